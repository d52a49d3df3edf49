//! A small HTTP client: one connection kept alive, JSON both ways. It knows nothing of what it asks for.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A client with at most one open connection.
pub struct Client {
    port: u16,
    token: Option<String>,
    patience: Duration,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client of the server at a port of the loopback, with an access token or as a guest.
    pub fn new(port: u16, token: Option<&str>) -> Self {
        Self { port, token: token.map(str::to_owned), patience: Duration::from_secs(40), stream: None }
    }

    /// How long an answer may take before it counts as none.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends one request and waits for its answer. After an error it is unknown whether the request was carried out.
    pub fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let answer = self.attempt(method, path, body);
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }

    fn attempt(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        if self.stream.is_none() {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(self.patience))?;
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut().expect("a connection was just made");
        let body = body.map(Value::to_string).unwrap_or_default();
        let credential =
            self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{credential}{length}", self.port);
        stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
        let (answer, stays) = read(stream)?;
        if !stays {
            self.stream = None;
        }
        Ok(answer)
    }
}

/// Reads one answer, and whether the connection stays open after it.
fn read(stream: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no status line"))?;
    let (mut length, mut stays) = (0, true);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close") {
            stays = false;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).map_err(io::Error::other)? };
    Ok((Answer { status, body }, stays))
}
