//! The one pass over every answer: the error body, security headers, CORS, `HEAD`, the access log.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use fastcms_core::{Caller, config::LimitHeaders, request_log::Answered};
use fastcms_guard::{
    address::AddressText,
    cookie::{Cookie, CookiePolicy},
    cors::CorsPolicy,
    headers::{API_POLICY, CONTENT_SECURITY_POLICY, NO_STORE, REQUEST_ID, fixed},
    limits::Standing,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use http_body::Body as _;
use tokio::time::Instant;

use super::{
    Connection, EdgeSettings, RequestId,
    identity::CookieRole,
    limits,
    preflight::{self, Shared},
    thinning::Thinning,
};
use crate::{error::Refused, logging::Access};

const X_REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID);
/// What a line of the access log shows of a method and a path, bytes: the parser lets far longer ones through, for us to refuse.
const MAX_LOGGED_METHOD: usize = 32;
const MAX_LOGGED_PATH: usize = 2048;
/// Where health is asked for, again and again: kept out of the request log.
const HEALTH: [&str; 2] = ["/health", "/api/v1/health"];

/// What of a request its answer depends on.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one request")]
pub(super) struct Seen {
    head: bool,
    /// Below `/api/`: not to be kept by anybody unless the answer says otherwise.
    api: bool,
    shared: Option<Shared>,
    /// Set once it is known.
    pub(super) client: Option<IpAddr>,
    /// A guest until the credential was verified.
    pub(super) caller: Caller,
    /// What the session cookie had to say.
    pub(super) cookie: CookieRole,
    /// It came with a credential that is none of ours.
    pub(super) credential_refused: bool,
    /// The request came over HTTPS.
    pub(super) secure: bool,
    /// What is left of the caller's budget, once it was charged.
    pub(super) standing: Option<Standing>,
    /// What was asked for: for the logs.
    asked: Option<(Method, Uri)>,
    /// When the request came.
    pub(super) started: Instant,
}

impl Seen {
    pub(super) fn new(parts: &Parts, connection: &Connection, cors: &CorsPolicy) -> Self {
        // What a preflight may know, its own answer says.
        let plain = !preflight::is_preflight(&parts.method, &parts.headers);
        let shared = plain.then(|| preflight::shared(&parts.headers, cors)).flatten();
        Self {
            head: parts.method == Method::HEAD,
            api: parts.uri.path().starts_with("/api/"),
            shared,
            client: Some(connection.peer.ip()),
            caller: Caller::guest(),
            cookie: CookieRole::Silent,
            credential_refused: false,
            secure: false,
            standing: None,
            asked: Some((parts.method.clone(), parts.uri.clone())),
            started: Instant::now(),
        }
    }

    /// For an answer to a request that was not read.
    pub(super) fn nothing() -> Self {
        Self {
            head: false,
            api: false,
            shared: None,
            client: None,
            caller: Caller::guest(),
            cookie: CookieRole::Silent,
            credential_refused: false,
            secure: false,
            standing: None,
            asked: None,
            started: Instant::now(),
        }
    }
}

/// The headers that are the same on every answer, parsed once, and which lines of faults are written.
pub(super) struct Headers {
    /// Of a page or an asset.
    open: HeaderMap,
    /// Of the API: nobody keeps it.
    private: HeaderMap,
    /// Where in both the request id stands, by how many values come before; the type of the body stands next to it.
    request_id_at: usize,
    cookies: CookiePolicy,
    limits: LimitHeaders,
    pub(super) faults: Arc<Thinning>,
}

/// Fields for which the maps have room: copying one then makes the room that the rest of an answer's headers need.
const FIELDS: usize = 24;

impl Headers {
    pub(super) fn new(settings: &EdgeSettings) -> Self {
        // Where every origin may read, every page may also embed.
        let embedding = if settings.cors.allows_any() { "cross-origin" } else { "same-origin" };
        let all = fixed(settings.production).iter().copied().chain([
            ("cross-origin-resource-policy", embedding),
            (CONTENT_SECURITY_POLICY, API_POLICY),
            ("vary", "Origin"),
            // Both are set or taken out on each answer: so they have their places.
            (REQUEST_ID, ""),
            ("content-type", ""),
        ]);
        let parsed = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut open = HeaderMap::with_capacity(FIELDS);
        open.extend(all.map(parsed));
        let mut private = HeaderMap::with_capacity(FIELDS);
        private.extend(open.iter().map(|(name, value)| (name.clone(), value.clone())).chain(NO_STORE.map(parsed)));
        let request_id_at = open.keys().take_while(|name| **name != X_REQUEST_ID).count();
        let (cookies, limits) = (settings.cookies, settings.limit_headers);
        Self { open, private, request_id_at, cookies, limits, faults: Arc::default() }
    }

    /// Completes an answer.
    pub(super) fn finish(&self, response: Response, request_id: &RequestId, seen: &Seen, took: Duration) -> Response {
        let mut response = write_refusal(response, request_id, &self.faults);
        let mut own = std::mem::take(response.headers_mut());
        // Most answers say their type and nothing else, which need not be looked for.
        let plain = own.len() <= 1 && own.keys().all(|name| *name == header::CONTENT_TYPE);
        let kind = if plain { own.drain().next().map(|(_, kind)| kind) } else { own.remove(header::CONTENT_TYPE) };
        // What was answered because of a cookie is for that browser only: caches know that of Authorization, not of cookies.
        let personal =
            (seen.api || seen.cookie != CookieRole::Silent) && (plain || !own.contains_key(header::CACHE_CONTROL));
        let mut headers = if personal { self.private.clone() } else { self.open.clone() };
        let varies = !plain && own.contains_key(header::VARY);
        self.put(&mut headers, request_id, kind);
        if !plain {
            // What an answer says itself stands: a page has a policy of its own.
            headers.extend(own);
            headers.insert(X_REQUEST_ID, request_id.header());
        }
        if let Some(standing) = &seen.standing {
            limits::write(&mut headers, standing, self.limits);
        }
        if varies {
            headers.append(header::VARY, const { HeaderValue::from_static("Origin") });
        }
        if seen.cookie == CookieRole::Stale {
            self.drop_session_cookie(&mut headers, seen.secure);
        }
        if let Some(shared) = &seen.shared {
            shared.write(&mut headers);
        }
        *response.headers_mut() = headers;
        if seen.head {
            take_body_off(&mut response);
        }
        seen.log(response.status(), request_id, took);
        response
    }
}

impl Headers {
    /// Puts the request id and the type of the body where they belong in a copy of ours, without looking for the places.
    fn put(&self, headers: &mut HeaderMap, request_id: &RequestId, kind: Option<HeaderValue>) {
        let mut places = headers.values_mut().skip(self.request_id_at);
        if let Some(place) = places.next() {
            *place = request_id.header();
        }
        match places.next().zip(kind) {
            Some((place, kind)) => *place = kind,
            None => drop(headers.remove(header::CONTENT_TYPE)),
        }
    }

    /// Tells the browser to forget a session that is over, unless the answer itself says something about that cookie.
    fn drop_session_cookie(&self, headers: &mut HeaderMap, over_https: bool) {
        let about = |set: &HeaderValue| self.cookies.is_about(Cookie::Session, set.as_bytes());
        if !headers.get_all(header::SET_COOKIE).iter().any(about)
            && let Ok(clear) = HeaderValue::try_from(self.cookies.clear(Cookie::Session, over_https))
        {
            headers.append(header::SET_COOKIE, clear);
        }
    }
}

/// Writes the body of a refusal, now that the request id is known, and what the answer had besides.
fn write_refusal(mut response: Response, request_id: &RequestId, faults: &Thinning) -> Response {
    let Some(Refused(refusal)) = response.extensions_mut().remove::<Refused>() else {
        return response;
    };
    refusal.log(request_id.as_str(), faults);
    let mut written = refusal.render(request_id.as_str());
    written.headers_mut().extend(std::mem::take(response.headers_mut()));
    written
}

/// `HEAD` says all that `GET` would, the length included (RFC 9110 section 9.3.2).
fn take_body_off(response: &mut Response) {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
}

impl Seen {
    /// One line a request. The query is left out: filters and tokens stand there.
    fn log(&self, status: StatusCode, request_id: &RequestId, took: Duration) {
        let Some((method, uri)) = &self.asked else {
            return;
        };
        let client = self.client.map(AddressText::new);
        let answered = Access {
            method: head(method.as_str(), MAX_LOGGED_METHOD),
            path: head(uri.path(), MAX_LOGGED_PATH),
            query: uri.query().is_some(),
            status,
            request_id: request_id.bytes(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            client: client.as_ref().map(AddressText::as_bytes),
            account: self.caller.account().map(|account| account.id.as_str()),
        };
        answered.log();
    }

    /// The method of the request; nothing where it was not read.
    pub(super) fn method(&self) -> &str {
        self.asked.as_ref().map_or("", |(method, _)| method.as_str())
    }

    /// What goes into the request log: every request to the API, and whatever was refused elsewhere. Health probes do not, nor do
    /// pages and assets that were simply served.
    pub(super) fn to_note(&self, status: StatusCode, request_id: &RequestId, took: Duration) -> Option<Answered<'_>> {
        let (method, uri) = self.asked.as_ref()?;
        let path = uri.path();
        let refused = status.is_client_error() || status.is_server_error();
        let probe =
            |health: &&str| path.strip_prefix(*health).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !(self.api || refused) || HEALTH.iter().any(probe) {
            return None;
        }
        Some(Answered {
            method: method.as_str(),
            path,
            query: uri.query(),
            status: status.as_u16(),
            started: self.started,
            took,
            client: self.client?,
            caller: &self.caller,
            request_id: request_id.bytes(),
            credential_refused: self.credential_refused,
        })
    }
}

/// The first `limit` bytes of a text, cut between two characters.
fn head(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn the_log_shows_the_head_of_what_is_too_long() {
        assert_eq!(head("GET", 32), "GET");
        assert_eq!(head(&"A".repeat(70_000), 32), "A".repeat(32));
        assert_eq!(head("/\u{e9}\u{e9}", 4), "/\u{e9}", "never half a character");
    }
}
