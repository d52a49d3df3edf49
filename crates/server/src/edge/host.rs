//! Who sent a request and where to: client address, scheme and host, the socket's own or a trusted proxy's word (contract 9.6),
//! and the two checks on them (9.1 step 5).

use std::net::IpAddr;

use axum::{body::Body, response::Response};
use fastcms_guard::address::Scheme;
use http::{HeaderValue, StatusCode, Version, header, request::Parts};

use super::{Connection, EdgeSettings, FilesDoor};
use crate::error::Refusal;

/// The sender of a request, and what it asked for.
pub(super) struct Sender {
    pub(super) client: IpAddr,
    pub(super) secure: bool,
    /// As a trusted proxy said it; `None`: what the request itself says.
    forwarded_host: Option<String>,
}

impl Sender {
    pub(super) fn of(connection: &Connection, parts: &Parts, settings: &EdgeSettings) -> Result<Self, Refusal> {
        // Two hosts, or none where one is required, are how requests are made to mean two things (RFC 9112 section 3.2).
        let hosts = parts.headers.get_all(header::HOST).iter().count();
        let optional = parts.version < Version::HTTP_11 || parts.uri.authority().is_some();
        if hosts > 1 || (hosts == 0 && !optional) {
            return Err(Refusal::BadRequest("Exactly one Host header is required"));
        }
        let client = settings
            .address
            .resolve(connection.peer.ip(), |name| parts.headers.get_all(name).iter().map(HeaderValue::as_bytes));
        Ok(Self { client: client.address, secure: client.scheme == Some(Scheme::Https), forwarded_host: client.host })
    }

    /// Host and port asked for, as they were written.
    pub(super) fn authority<'r>(&'r self, parts: &'r Parts) -> Option<&'r str> {
        Some(match &self.forwarded_host {
            Some(host) => host.as_str(),
            None => match parts.uri.authority() {
                Some(authority) => authority.as_str(),
                None => parts.headers.get(header::HOST)?.to_str().ok()?,
            },
        })
    }

    /// The host asked for, without its port.
    fn host<'r>(&'r self, parts: &'r Parts) -> Option<&'r str> {
        self.authority(parts).and_then(without_port)
    }
}

/// `cms.example.com` of `cms.example.com:8000`; `None` for what is neither.
fn without_port(sent: &str) -> Option<&str> {
    let end = if sent.starts_with('[') { sent.find(']')? + 1 } else { sent.find(':').unwrap_or(sent.len()) };
    let (host, port) = sent.split_at(end);
    let port_is_number =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    (port_is_number && !host.is_empty()).then_some(host)
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

pub(super) fn is_health(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/") || path == "/api/v1/health"
}

/// Host check (421), then HTTPS check: 403 for the API, `Some` redirect for pages.
pub(super) fn check(sender: &Sender, parts: &Parts, settings: &EdgeSettings) -> Result<Option<Response>, Refusal> {
    let path = parts.uri.path();
    if is_health(path) {
        return Ok(None);
    }
    if let Some(served) = &settings.hosts {
        let known = sender.host(parts).is_some_and(|host| {
            served.iter().chain(&settings.files_host).any(|one| one.eq_ignore_ascii_case(host))
                || (settings.loopback && is_loopback_name(host))
        });
        if !known {
            return Err(Refusal::MisdirectedHost);
        }
    }
    if !settings.production || sender.secure || settings.loopback {
        return Ok(None);
    }
    match sender.host(parts) {
        Some(host) if !(path == "/api" || path.starts_with("/api/")) => to_https(host, parts).map(Some),
        _ => Err(Refusal::HttpsRequired),
    }
}

/// Which origin uploaded bytes would be served from here.
pub(super) fn files_door(sender: &Sender, parts: &Parts, settings: &EdgeSettings) -> FilesDoor {
    let Some(own) = &settings.files_host else { return FilesDoor::Common };
    let asked = sender.host(parts).is_some_and(|host| host.eq_ignore_ascii_case(own));
    if asked && !is_health(parts.uri.path()) { FilesDoor::Own } else { FilesDoor::Beside }
}

/// The same address over HTTPS. The host has passed the host check.
fn to_https(host: &str, parts: &Parts) -> Result<Response, Refusal> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let location = HeaderValue::try_from(format!("https://{host}{path}")).map_err(|_| Refusal::HttpsRequired)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_no_part_of_the_host() {
        for (sent, host) in [
            ("cms.example.com", Some("cms.example.com")),
            ("cms.example.com:8000", Some("cms.example.com")),
            ("[::1]:8000", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("cms.example.com:80@evil.example", None),
            ("[::1]evil.example", None),
            (":80", None),
            ("", None),
        ] {
            assert_eq!(without_port(sent), host, "{sent}");
        }
    }

    #[test]
    fn loopback_has_several_names() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]"] {
            assert!(is_loopback_name(host), "{host}");
        }
        assert!(!is_loopback_name("127.0.0.1.evil.example"));
    }
}
