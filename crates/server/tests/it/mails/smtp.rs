//! A real mail server for the tests: SMTP with STARTTLS and an account (RFC 5321, 3207, 4954), that keeps what it gets, and can be told
//! to behave badly.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::certificate::Certificate;

/// A mail as the server took it over.
#[derive(Debug, Clone)]
pub struct Received {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and bodies.
    pub raw: String,
}

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// Offers no TLS.
    Plain,
    /// Sends more than its answer to STARTTLS before TLS begins.
    Injects,
    /// Knows no such account.
    RefusesAccount,
    /// Takes mail for nobody, for good or for now.
    RefusesRecipients(u16),
}

/// A running mail server.
pub struct Smtp {
    pub port: u16,
    /// Whom to trust to reach it, DER.
    pub authority: Vec<u8>,
    mails: Arc<Mutex<Vec<Received>>>,
    /// Every line that clients sent.
    said: Arc<Mutex<Vec<String>>>,
    /// The password of its account.
    password: Arc<Mutex<String>>,
    serving: JoinHandle<()>,
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Smtp {
    pub async fn start() -> Self {
        Self::with(Manner::Good, "localhost").await
    }

    /// One that behaves like this, with a certificate for this name.
    pub async fn with(manner: Manner, name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, manner, Certificate::for_name(name))
    }

    /// One on a port of one's own choice.
    pub fn on(listener: TcpListener, manner: Manner, own: Certificate) -> Self {
        let key = PrivateKeyDer::try_from(own.key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.certificate.clone().into()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (mails, said) = (Arc::default(), Arc::default());
        let password = Arc::new(Mutex::new("smtp-password".to_owned()));
        let port = listener.local_addr().unwrap().port();
        let (kept, heard, wanted) = (Arc::clone(&mails), Arc::clone(&said), Arc::clone(&password));
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let session = Session {
                    manner,
                    mails: Arc::clone(&kept),
                    said: Arc::clone(&heard),
                    password: Arc::clone(&wanted),
                    acceptor: acceptor.clone(),
                };
                tokio::spawn(session.serve(socket));
            }
        });
        Self { port, authority: own.certificate, mails, said, password, serving }
    }

    /// Its account has another password from now on.
    pub fn change_password(&self, password: &str) {
        password.clone_into(&mut self.password.lock().unwrap());
    }

    /// What it took over so far, and forgets.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }

    /// Every line that clients sent, before TLS and inside.
    pub fn heard(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

struct Session {
    manner: Manner,
    mails: Arc<Mutex<Vec<Received>>>,
    said: Arc<Mutex<Vec<String>>>,
    password: Arc<Mutex<String>>,
    acceptor: TlsAcceptor,
}

impl Session {
    async fn serve(self, mut socket: TcpStream) {
        socket.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
        let mut plain = BufReader::new(socket);
        while let Some(line) = self.line(&mut plain).await {
            let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
                "EHLO" if self.manner == Manner::Plain => b"250-mail.test\r\n250 AUTH PLAIN\r\n",
                "EHLO" => b"250-mail.test\r\n250 STARTTLS\r\n",
                "STARTTLS" if self.manner == Manner::Injects => {
                    b"220 go ahead\r\n250-injected\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"
                }
                "STARTTLS" => b"220 go ahead\r\n",
                _ => b"530 STARTTLS first\r\n",
            };
            if plain.get_mut().write_all(answer).await.is_err() {
                return;
            }
            if line == "STARTTLS" {
                let Ok(stream) = self.acceptor.accept(plain.into_inner()).await else { return };
                return self.serve_inside(BufReader::new(stream)).await;
            }
        }
    }

    async fn line<S: AsyncRead + Unpin>(&self, stream: &mut BufReader<S>) -> Option<String> {
        let mut line = String::new();
        match stream.read_line(&mut line).await {
            Ok(1..) => {
                let line = line.trim_end().to_owned();
                self.said.lock().unwrap().push(line.clone());
                Some(line)
            }
            _ => None,
        }
    }

    async fn serve_inside<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: BufReader<S>) {
        let (mut from, mut to) = (String::new(), Vec::new());
        let mut known = false;
        while let Some(line) = self.line(&mut stream).await {
            let argument = || line.split_once(['<', '>']).map(|(_, rest)| rest.trim_end_matches('>').to_owned());
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n".to_owned(),
                "AUTH" => {
                    let said = STANDARD.decode(line.rsplit(' ').next().unwrap()).unwrap();
                    let password = self.password.lock().unwrap().clone();
                    known = said == format!("\0cms\0{password}").into_bytes() && self.manner != Manner::RefusesAccount;
                    if known { "235 welcome\r\n" } else { "535 who are you\r\n" }.to_owned()
                }
                "MAIL" if known => {
                    from = argument().unwrap();
                    "250 ok\r\n".to_owned()
                }
                "RCPT" if known => {
                    if let Manner::RefusesRecipients(code) = self.manner {
                        format!("{code} not here\r\n")
                    } else {
                        to.push(argument().unwrap());
                        "250 ok\r\n".to_owned()
                    }
                }
                "DATA" if known => {
                    stream.get_mut().write_all(b"354 go\r\n").await.unwrap();
                    let raw = self.data(&mut stream).await;
                    let mail = Received { from: std::mem::take(&mut from), to: std::mem::take(&mut to), raw };
                    self.mails.lock().unwrap().push(mail);
                    "250 taken\r\n".to_owned()
                }
                "QUIT" => "221 bye\r\n".to_owned(),
                _ => "530 not like this\r\n".to_owned(),
            };
            if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn data<S: AsyncRead + Unpin>(&self, stream: &mut BufReader<S>) -> String {
        let mut data = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == ".\r\n" {
                return data;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
    }
}

impl Received {
    /// A header, unfolded and decoded as far as these tests need it.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.raw.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let prefix = format!("{}: ", name.to_ascii_lowercase());
        head.lines()
            .find_map(|line| line.to_ascii_lowercase().starts_with(&prefix).then(|| line[prefix.len()..].to_owned()))
    }

    /// All text of all parts.
    pub fn text(&self) -> String {
        let joined = self.raw.replace("=\r\n", "");
        let mut bytes = Vec::with_capacity(joined.len());
        let mut rest = joined.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let escaped = (*first == b'=')
                .then(|| tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()))
                .flatten();
            bytes.push(escaped.unwrap_or(*first));
            rest = if escaped.is_some() { &tail[2..] } else { tail };
        }
        String::from_utf8(bytes).unwrap()
    }

    /// The link of the mail: its page, and its token.
    pub fn link(&self) -> Option<(String, String)> {
        let text = self.text();
        let line = text.lines().find(|line| line.starts_with("http") && line.contains("/admin/"))?;
        let (page, token) = line.trim().split_once('#')?;
        Some((page.to_owned(), token.to_owned()))
    }
}
