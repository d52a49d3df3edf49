//! Which other origins may read answers (Fetch standard, CORS protocol).
//!
//! Decides; the caller writes the headers. An origin is compared as text, byte for byte, with a
//! list that was parsed strictly: what a browser would never send is refused at the start instead
//! of silently never matching.

mod origin;

pub use origin::{BadOrigin, Origin};

/// `Access-Control-Allow-Methods`.
pub const ALLOW_METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";

/// `Access-Control-Allow-Headers`.
pub const ALLOW_HEADERS: &str = "Authorization, Content-Type, X-API-Key, X-Requested-With, Accept";

/// `Access-Control-Expose-Headers`.
pub const EXPOSE_HEADERS: &str = "X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit-Minute, \
    X-RateLimit-Limit-Hour, X-RateLimit-Remaining-Minute, X-RateLimit-Remaining-Hour";

/// `Access-Control-Max-Age`, in seconds.
pub const MAX_AGE_SECONDS: &str = "600";

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const HEADERS: [&str; 5] = ["authorization", "content-type", "x-api-key", "x-requested-with", "accept"];

/// Why a policy cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorsError {
    /// Every origin with credentials: any site could act as the visitor.
    #[error("`*` cannot be combined with credentials: list the origins, or switch credentials off")]
    AnyWithCredentials,
    /// An item of the list is no origin.
    #[error("`{item}` is no origin: {fault}")]
    Origin {
        /// The item as given.
        item: String,
        /// What is wrong with it.
        fault: BadOrigin,
    },
}

/// The origins that may read answers, and whether with credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsPolicy {
    origins: Vec<Origin>,
    any: bool,
    credentials: bool,
}

/// What to answer an origin that may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed<'a> {
    /// `Access-Control-Allow-Origin`.
    pub origin: &'a str,
    /// Whether `Access-Control-Allow-Credentials: true` goes with it.
    pub credentials: bool,
}

/// The answer to a preflight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preflight<'a> {
    /// Go ahead.
    Allowed(Allowed<'a>),
    /// No, and no `Access-Control-*` header with it.
    Refused(Refusal),
}

/// What a preflight failed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The origin is not on the list.
    Origin,
    /// The method is not among [`ALLOW_METHODS`].
    Method,
    /// A requested header is not among [`ALLOW_HEADERS`].
    Header,
}

impl Refusal {
    /// The name of what was refused: `origin`, `method` or `header`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Method => "method",
            Self::Header => "header",
        }
    }
}

impl CorsPolicy {
    /// A policy for the listed origins; `*` stands for every origin. Blank items are dropped,
    /// blanks around one trimmed.
    ///
    /// # Errors
    /// The first item that is no origin, or `*` together with credentials.
    pub fn new<'i>(items: impl IntoIterator<Item = &'i str>, credentials: bool) -> Result<Self, CorsError> {
        let mut policy = Self { origins: Vec::new(), any: false, credentials };
        for item in items.into_iter().map(str::trim).filter(|item| !item.is_empty()) {
            if item == "*" {
                policy.any = true;
                continue;
            }
            let origin = Origin::parse(item).map_err(|fault| CorsError::Origin { item: item.to_owned(), fault })?;
            if !policy.origins.contains(&origin) {
                policy.origins.push(origin);
            }
        }
        if policy.any && credentials { Err(CorsError::AnyWithCredentials) } else { Ok(policy) }
    }

    /// The listed origins.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Whether every origin may read.
    pub const fn allows_any(&self) -> bool {
        self.any
    }

    /// Whether answers may be read with credentials.
    pub const fn credentials(&self) -> bool {
        self.credentials
    }

    /// What to answer a request with this `Origin` header; `None`: no `Access-Control-*` header at
    /// all. `Vary: Origin` goes on every answer, this one or that.
    pub fn allow_origin(&self, origin: &str) -> Option<Allowed<'_>> {
        if let Some(listed) = self.origins.iter().find(|listed| listed.as_str() == origin) {
            return Some(Allowed { origin: listed.as_str(), credentials: self.credentials });
        }
        self.any.then_some(Allowed { origin: "*", credentials: false })
    }

    /// Judges a preflight by its `Origin`, its `Access-Control-Request-Method` and the lines of its
    /// `Access-Control-Request-Headers`.
    pub fn preflight<'h>(
        &self,
        origin: &str,
        method: &str,
        requested_headers: impl IntoIterator<Item = &'h str>,
    ) -> Preflight<'_> {
        let Some(allowed) = self.allow_origin(origin) else {
            return Preflight::Refused(Refusal::Origin);
        };
        // Methods are case-sensitive (RFC 9110 section 9.1), field names are not.
        if !METHODS.contains(&method) {
            return Preflight::Refused(Refusal::Method);
        }
        let mut names = requested_headers.into_iter().flat_map(|line| line.split(',')).map(str::trim);
        let known = |name: &str| name.is_empty() || HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name));
        if names.all(known) { Preflight::Allowed(allowed) } else { Preflight::Refused(Refusal::Header) }
    }

    /// Whether a WebSocket upgrade with this `Origin` may go on: browsers apply no CORS to it, so
    /// the server must. `own` is the origin the service itself is reached by.
    pub fn permits_upgrade(&self, origin: &str, own: Option<&Origin>) -> bool {
        own.is_some_and(|own| own.as_str() == origin) || self.allow_origin(origin).is_some()
    }
}

#[cfg(test)]
mod tests;
