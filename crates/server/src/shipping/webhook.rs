//! One POST to the address of the settings: no redirect is followed and no proxy asked, certificates are verified against those the
//! system trusts. The operator chose the address: it may well be an internal one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastcms_core::audit::Batch;
use fastcms_guard::webhook::signature;
use fastcms_secrets::Secret;
use http::{Request, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// How long a request may take, from the connection to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who takes the events.
pub(super) struct Receiver<'s> {
    host: Host,
    port: u16,
    /// What stands in the request line.
    target: String,
    /// What stands in `Host`.
    authority: String,
    is_https: bool,
    secret: Option<&'s Secret<String>>,
}

impl<'s> Receiver<'s> {
    pub(super) fn of(url: &Url, secret: Option<&'s Secret<String>>) -> Result<Self, String> {
        let host = url.host().ok_or("the address names no host")?.to_owned();
        let port = url.port_or_known_default().ok_or("the address names no port")?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        let target = format!("{}{query}", url.path());
        Ok(Self { host, port, target, authority, is_https: url.scheme() == "https", secret })
    }

    /// Hands a batch in; `now` is in unix seconds.
    pub(super) async fn post(&self, batch: Batch, now: i64) -> Result<(), String> {
        let done = tokio::time::timeout(PATIENCE, self.exchange(batch, now)).await;
        done.map_err(|_| format!("`{}` does not answer in time", self.authority))?
    }

    async fn exchange(&self, batch: Batch, now: i64) -> Result<(), String> {
        let unreachable = |error: std::io::Error| format!("`{}` cannot be reached: {error}", self.authority);
        let socket = match &self.host {
            Host::Domain(name) => TcpStream::connect((name.as_str(), self.port)).await,
            Host::Ipv4(address) => TcpStream::connect((*address, self.port)).await,
            Host::Ipv6(address) => TcpStream::connect((*address, self.port)).await,
        };
        let socket = socket.map_err(unreachable)?;
        let request = self.request(batch, now)?;
        if self.is_https {
            let name = match &self.host {
                Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| error.to_string())?,
                Host::Ipv4(address) => ServerName::IpAddress(std::net::IpAddr::V4(*address).into()),
                Host::Ipv6(address) => ServerName::IpAddress(std::net::IpAddr::V6(*address).into()),
            };
            let stream = TlsConnector::from(tls()?).connect(name, socket).await.map_err(unreachable)?;
            self.send(TokioIo::new(stream), request).await
        } else {
            self.send(TokioIo::new(socket), request).await
        }
    }

    fn request(&self, batch: Batch, now: i64) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(&self.target)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::USER_AGENT, "fastcms")
            .header("webhook-id", &batch.id)
            .header("webhook-timestamp", now);
        if let Some(secret) = self.secret {
            request = request.header("webhook-signature", signature(secret, &batch.id, now, &batch.lines));
        }
        request.body(Full::from(batch.lines)).map_err(|error| error.to_string())
    }

    async fn send<T>(&self, stream: T, request: Request<Full<Bytes>>) -> Result<(), String>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| format!("`{}` did not answer: {error}", self.authority);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
        // Ends with the sender; the answer's body is not read.
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        connection.abort();
        let status = answer.map_err(failed)?.status();
        if status.is_success() { Ok(()) } else { Err(format!("`{}` answered {status}", self.authority)) }
    }
}

/// Trusts whom the system trusts.
pub(crate) fn tls() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
