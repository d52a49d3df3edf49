//! The one way out for requests that the product sends by itself to addresses of its settings and its data. Where they may go is
//! `fastcms_guard::egress`'s: a name is resolved once, and connected to where it was looked at. Certificates are verified against those
//! the system trusts; no redirect is followed and no proxy asked. How long it may take is for whoever asks.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use fastcms_guard::egress::Egress;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// A place that requests are sent to.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    host: Host,
    port: u16,
    /// What stands in `Host`.
    authority: String,
    is_https: bool,
}

/// An answer, as far as it was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Destination {
    /// The place that an URL names; `None` where it names none.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let (host, port) = (url.host()?.to_owned(), url.port_or_known_default()?);
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Some(Self { host, port, authority, is_https: url.scheme() == "https" })
    }

    /// Sends a request whose target is a path, and reads at most `limit` bytes of the answer to it: of one that is larger nothing is
    /// taken. With a limit of 0 the body is not looked at.
    ///
    /// # Errors
    /// What went wrong, as a sentence.
    pub(crate) async fn send(
        &self,
        egress: &Egress,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, String> {
        let authority = self.authority.parse().map_err(|_| format!("`{}` is no host", self.authority))?;
        request.headers_mut().insert(header::HOST, authority);
        request.headers_mut().insert(header::USER_AGENT, header::HeaderValue::from_static("fastcms"));
        let socket = egress.connect(&self.host, self.port).await.map_err(|error| error.to_string())?;
        if !self.is_https {
            return self.exchange(TokioIo::new(socket), request, limit).await;
        }
        let name = match &self.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| error.to_string())?,
            Host::Ipv4(address) => ServerName::IpAddress(IpAddr::V4(*address).into()),
            Host::Ipv6(address) => ServerName::IpAddress(IpAddr::V6(*address).into()),
        };
        let stream = TlsConnector::from(tls()?).connect(name, socket).await;
        let stream = stream.map_err(|error| format!("`{}` cannot be reached: {error}", self.authority))?;
        self.exchange(TokioIo::new(stream), request, limit).await
    }

    async fn exchange<T>(&self, stream: T, request: Request<Full<Bytes>>, limit: usize) -> Result<Answer, String>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| format!("`{}` did not answer: {error}", self.authority);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
        // Ends with what was asked.
        let connection = tokio::spawn(connection);
        let answer = async {
            let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
            if limit == 0 {
                return Ok(Answer { status: head.status, body: Bytes::new() });
            }
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| format!("`{}` broke off: {error}", self.authority))?.to_bytes();
            Ok(Answer { status: head.status, body })
        };
        let answer = answer.await;
        connection.abort();
        answer
    }

    /// What stands in `Host`, for messages.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

/// Trusts whom the system trusts.
fn tls() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
