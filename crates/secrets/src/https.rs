//! Asking a manager: one request, one answer, over HTTP/1.1 and TLS with a verified certificate.
//!
//! No proxy, no redirect, no cookie, no connection that is kept: managers are asked every minute or so. In the clear only within this
//! machine, or to the link-local addresses at which clouds tell a machine who it is. Every answer has a size and every wait an end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};
use zeroize::Zeroize;

use crate::Secret;
use crate::unresolved::Why;

/// How long a manager may take to be reached.
const CONNECT: Duration = Duration::from_secs(3);
/// How long it may take to answer, from the beginning of the request.
const ANSWER: Duration = Duration::from_secs(8);
/// The largest answer taken, in bytes: a secret has 64 KiB, and a list of versions has pages.
const MAX_ANSWER: usize = 1024 * 1024;

/// Whom to believe.
pub(crate) struct Https {
    tls: TlsConnector,
}

/// A question.
pub(crate) struct Request<'a> {
    pub method: &'static str,
    pub url: &'a Url,
    pub headers: Vec<(&'static str, Secret<String>)>,
    pub body: Secret<Vec<u8>>,
}

/// What was answered, whatever it means.
pub(crate) struct Answer {
    pub status: u16,
    /// `WWW-Authenticate`, where there is one.
    pub challenge: Option<String>,
    pub body: Secret<Vec<u8>>,
}

impl<'a> Request<'a> {
    pub fn get(url: &'a Url) -> Self {
        Self { method: "GET", url, headers: Vec::new(), body: Secret::new(Vec::new()) }
    }

    pub fn post(url: &'a Url, content_type: &str, body: Vec<u8>) -> Self {
        let request = Self { method: "POST", url, headers: Vec::new(), body: Secret::new(body) };
        request.with("content-type", content_type)
    }

    /// A question with a body of JSON.
    pub fn json(method: &'static str, url: &'a Url, body: Secret<Vec<u8>>) -> Self {
        Self { method, url, headers: Vec::new(), body }.with("content-type", "application/json")
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret::new(value.into())));
        self
    }
}

impl Answer {
    /// The body as JSON of this form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Why> {
        // The error's own text may show a part of the body.
        serde_json::from_slice(self.body.expose())
            .map_err(|_| Why::Unreachable("an answer that makes no sense".to_owned()))
    }

    /// What the answer means where it is none that was hoped for: a status that a busy or broken server gives is worth waiting for.
    pub fn refused(&self, what: &str) -> Why {
        match self.status {
            401 | 403 => Why::Denied(what.to_owned()),
            404 => Why::NotFound(what.to_owned()),
            408 | 429 | 500.. => Why::Unreachable(format!("{what}: status {}", self.status)),
            status => Why::Unusable(format!("the manager answers {what} with status {status}")),
        }
    }
}

impl Https {
    /// Trusts the authorities of this PEM file; without one those of the system.
    pub fn new(authorities: Option<&Path>) -> Result<Self, Why> {
        let roots = match authorities {
            Some(path) => from_file(path)?,
            None => from_system()?,
        };
        // Named here and not installed for the process: the one provider of the process is the server's to choose.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Why::NotConfigured(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Asks. An answer of any status is an answer.
    pub async fn ask(&self, request: Request<'_>) -> Result<Answer, Why> {
        let name = request.url.host_str().unwrap_or_default().to_owned();
        let asked = tokio::time::timeout(ANSWER, self.converse(request));
        asked.await.unwrap_or_else(|_| Err(Why::Silent(format!("`{name}` does not answer in time"))))
    }

    async fn converse(&self, request: Request<'_>) -> Result<Answer, Why> {
        let url = request.url;
        let host = url.host().ok_or_else(|| Why::NotConfigured("the address names no host".to_owned()))?;
        let name = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let is_tls = url.scheme() == "https";
        if !is_tls && !stays_near(&host) {
            return Err(Why::Untrusted(format!("`http://{name}` would carry it in the clear, give an https address")));
        }
        let address = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let connected = tokio::time::timeout(CONNECT, TcpStream::connect((address.as_str(), port)));
        let socket = connected
            .await
            .map_err(|_| Why::Silent(format!("`{name}:{port}` does not answer")))?
            .map_err(|error| Why::Unreachable(format!("`{name}:{port}`: {error}")))?;
        if !is_tls {
            return exchange(socket, request, &name, port).await;
        }
        let server = ServerName::try_from(address)
            .map_err(|_| Why::NotConfigured(format!("`{name}` is no name of a server")))?;
        let stream = self.tls.connect(server, socket).await.map_err(|error| unproven(&name, &error))?;
        exchange(stream, request, &name, port).await
    }
}

/// Whether what is sent there in the clear stays on this machine, or on the link that the cloud's own services are on.
fn stays_near(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::/32 is where AWS serves instances and containers.
        Host::Ipv6(address) => address.is_loopback() || address.segments()[..2] == [0xfd00, 0x0ec2],
    }
}

async fn exchange<S>(stream: S, request: Request<'_>, name: &str, port: u16) -> Result<Answer, Why>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| Why::Unreachable(format!("`{name}:{port}`: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let asked = async {
        let answer = sender.send_request(written(&request)?).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let challenge = answer.headers().get(http::header::WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|_| Why::Unreachable(format!("`{name}:{port}` broke off, or said more than 1 MiB")))?;
        Ok(Answer { status, challenge, body: Secret::new(body.to_bytes().to_vec()) })
    };
    let answer = asked.await;
    connection.abort();
    answer
}

fn written(request: &Request<'_>) -> Result<http::Request<Full<Bytes>>, Why> {
    let unwritten = |_| Why::NotConfigured("a setting holds what no request can carry".to_owned());
    let url = request.url;
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut builder = http::Request::builder().method(request.method).uri(target).header("host", host(url));
    for (name, value) in &request.headers {
        let mut value = http::HeaderValue::from_str(value.expose()).map_err(|error| unwritten(error.into()))?;
        value.set_sensitive(true);
        builder = builder.header(*name, value);
    }
    builder.body(Full::new(Bytes::copy_from_slice(request.body.expose()))).map_err(unwritten)
}

/// The `Host` header of requests to an address.
pub(crate) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// Why there is no TLS: a certificate that does not hold is no matter of waiting.
fn unproven(name: &str, error: &io::Error) -> Why {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(fault)) => Why::Untrusted(format!(
            "the certificate of `{name}` does not hold ({fault}), name its authority or mend it"
        )),
        _ => Why::Unreachable(format!("`{name}`: no TLS: {error}")),
    }
}

fn from_file(path: &Path) -> Result<RootCertStore, Why> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Why::NotConfigured(format!("the authorities in `{}` cannot be read: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() { Err(unreadable(&"there is no certificate in it")) } else { Ok(roots) }
}

fn from_system() -> Result<RootCertStore, Why> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Why::NotConfigured("the system has no trusted certificates, install them".to_owned()));
    }
    Ok(roots)
}

/// A code that a manager gave its refusal, if it looks like one: the rest of what it says may be anything.
pub(crate) fn code(text: &str) -> Option<&str> {
    let is_code =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_code.then_some(text)
}

/// Whether an address of the machine's own services is one that its token may be sent to.
pub(crate) fn is_own_service(url: &Url) -> bool {
    url.scheme() == "https" || url.host().is_some_and(|host| stays_near(&host))
}

/// The content of a small file that somebody else keeps fresh: the token of a workload.
pub(crate) fn fresh_token(path: &Path) -> Result<Secret<String>, Why> {
    let mut text = crate::read_file(path).map_err(|error| Why::NotConfigured(error.to_string()))?.expose().clone();
    let token = Secret::new(text.trim().to_owned());
    text.zeroize();
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(url: &str) -> bool {
        Url::parse(url).unwrap().host().is_some_and(|host| stays_near(&host))
    }

    #[test]
    fn nothing_goes_in_the_clear_further_than_this_machine_and_its_link() {
        for near in [
            "http://127.0.0.1:8200",
            "http://localhost",
            "http://[::1]/",
            "http://169.254.169.254",
            "http://[fd00:ec2::254]",
        ] {
            assert!(is_near(near), "{near}");
        }
        for far in
            ["http://10.0.0.1", "http://vault", "http://localhost.example", "http://[fd00::1]", "http://127.example"]
        {
            assert!(!is_near(far), "{far}");
        }
    }

    #[test]
    fn a_code_is_shown_and_nothing_else_that_a_manager_says() {
        assert_eq!(code("AccessDeniedException"), Some("AccessDeniedException"));
        for other in ["", "with spaces", "a\nb", &"a".repeat(65)] {
            assert_eq!(code(other), None);
        }
    }
}
