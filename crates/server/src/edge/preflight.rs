//! CORS (contract 9.3): the preflight, and what other answers tell a page of another origin. The decision is `guard`'s.

use axum::{body::Body, response::Response};
use fastcms_guard::cors::{
    ALLOW_HEADERS, ALLOW_METHODS, Allowed, CorsPolicy, EXPOSE_HEADERS, MAX_AGE_SECONDS, Preflight, Refusal as Refused,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};

use crate::error::Refusal;

/// What answers to one request say about its origin.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    origin: HeaderValue,
    credentials: bool,
}

/// The origin of a request. Two of them say nothing: a page has one (RFC 6454 section 7.3).
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut sent = headers.get_all(header::ORIGIN).iter();
    sent.next().filter(|_| sent.next().is_none())
}

/// Whether the origin of a request may read the answer.
pub(super) fn shared(headers: &HeaderMap, policy: &CorsPolicy) -> Option<Shared> {
    let sent = origin(headers)?;
    let allowed = policy.allow_origin(sent.to_str().ok()?)?;
    Some(share(allowed, sent))
}

fn share(allowed: Allowed<'_>, sent: &HeaderValue) -> Shared {
    // A listed origin equals what was sent, byte for byte, so the value can be shared instead of copied.
    let origin = if allowed.origin == "*" { HeaderValue::from_static("*") } else { sent.clone() };
    Shared { origin, credentials: allowed.credentials }
}

impl Shared {
    /// Adds the headers of an answer that is no preflight.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSE_HEADERS));
    }
}

/// A preflight is an `OPTIONS` that names its origin and the method it asks about (Fetch standard).
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight; `None` when the request is none.
pub(super) fn answer(parts: &Parts, policy: &CorsPolicy) -> Option<Result<Response, Refusal>> {
    if !is_preflight(&parts.method, &parts.headers) {
        return None;
    }
    let Some(origin) = origin(&parts.headers) else {
        return Some(Err(Refusal::PreflightRefused { part: Refused::Origin.as_str(), value: String::new() }));
    };
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let method = text(header::ACCESS_CONTROL_REQUEST_METHOD);
    // A line that is no text names no header we know.
    let lines =
        parts.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter().map(|line| line.to_str().unwrap_or("?"));
    let refused = match policy.preflight(text(header::ORIGIN), method, lines) {
        Preflight::Allowed(allowed) => return Some(Ok(granted(&share(allowed, origin)))),
        Preflight::Refused(refused) => refused,
    };
    let value = match refused {
        Refused::Origin => text(header::ORIGIN),
        Refused::Method => method,
        Refused::Header => text(header::ACCESS_CONTROL_REQUEST_HEADERS),
    };
    let value = value.chars().take(256).collect();
    Some(Err(Refusal::PreflightRefused { part: refused.as_str(), value }))
}

fn granted(shared: &Shared) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    shared.write(headers);
    headers.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOW_METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOW_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    response
}
