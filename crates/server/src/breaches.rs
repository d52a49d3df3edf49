//! The way to the service that knows breached passwords (`PASSWORD_BREACH_URL`): one GET, certificates verified against those the system
//! trusts, no redirect followed, no proxy asked. What is asked, and what follows from it, is `fastcms_core::breaches`'s.

use bytes::Bytes;
use fastcms_core::App;
use fastcms_core::breaches::Ranges;
use futures_util::future::BoxFuture;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::shipping::tls;

/// Largest answer: a range has some 40 KiB.
const MAX_ANSWER: usize = 1024 * 1024;

/// Has new passwords asked for, where the settings name a service.
pub fn connect(app: &App) {
    let Some(url) = &app.config.passwords.breach_url else { return };
    if let Some(service) = Service::of(url) {
        app.breaches.ask_at(Box::new(service));
    } else {
        tracing::warn!("PASSWORD_BREACH_URL names no host and port: nobody is asked");
    }
}

#[derive(Clone)]
struct Service {
    host: Host,
    port: u16,
    /// What stands in `Host`.
    authority: String,
    /// What the head of a digest is put behind.
    path: String,
    is_https: bool,
}

impl Service {
    fn of(url: &Url) -> Option<Self> {
        let (host, port) = (url.host()?.to_owned(), url.port_or_known_default()?);
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let path = format!("{}/", url.path().trim_end_matches('/'));
        Some(Self { host, port, authority, path, is_https: url.scheme() == "https" })
    }

    async fn exchange(self, head: String) -> Result<String, String> {
        let unreachable = |error: std::io::Error| format!("`{}` cannot be reached: {error}", self.authority);
        let socket = match &self.host {
            Host::Domain(name) => TcpStream::connect((name.as_str(), self.port)).await,
            Host::Ipv4(address) => TcpStream::connect((*address, self.port)).await,
            Host::Ipv6(address) => TcpStream::connect((*address, self.port)).await,
        };
        let socket = socket.map_err(unreachable)?;
        if !self.is_https {
            return self.ask(TokioIo::new(socket), &head).await;
        }
        let name = match &self.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| error.to_string())?,
            Host::Ipv4(address) => ServerName::IpAddress(std::net::IpAddr::V4(*address).into()),
            Host::Ipv6(address) => ServerName::IpAddress(std::net::IpAddr::V6(*address).into()),
        };
        let stream = TlsConnector::from(tls()?).connect(name, socket).await.map_err(unreachable)?;
        self.ask(TokioIo::new(stream), &head).await
    }

    async fn ask<T>(&self, stream: T, head: &str) -> Result<String, String>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| format!("`{}` did not answer: {error}", self.authority);
        let request = Request::get(format!("{}{head}", self.path))
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, "fastcms")
            // Answers of one length: who watches the line does not see which range it was.
            .header("add-padding", "true")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
        let connection = tokio::spawn(connection);
        let answer = read(sender.send_request(request).await.map_err(failed)?).await;
        connection.abort();
        answer.map_err(|what| format!("`{}` {what}", self.authority))
    }
}

async fn read(answer: http::Response<hyper::body::Incoming>) -> Result<String, String> {
    if !answer.status().is_success() {
        return Err(format!("answered {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let bytes = body.map_err(|error| format!("broke off: {error}"))?.to_bytes();
    String::from_utf8(bytes.into()).map_err(|_| "answered no text".to_owned())
}

impl Ranges for Service {
    fn range(&self, head: String) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(self.clone().exchange(head))
    }
}
