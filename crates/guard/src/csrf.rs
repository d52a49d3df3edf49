//! Whether a request that a cookie speaks for comes from the own pages (Fetch Metadata; OWASP CSRF cheat sheet; ASVS 3.5.1).
//!
//! A cookie is sent by the browser, whoever made it send the request. What tells the own page from another is what browsers say
//! themselves and no page can forge: `Sec-Fetch-Site`, or where an old browser does not send it, `Origin`.
//!
//! | `Sec-Fetch-Site` | `Origin` | |
//! |---|---|---|
//! | `same-origin`, `none` | any | allowed |
//! | anything else | any | refused |
//! | absent | the own origin | allowed |
//! | absent | another, or absent | refused |
//!
//! Only unsafe methods are judged: safe ones change nothing.

/// What a browser says of where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source<'r> {
    /// `Sec-Fetch-Site`; one that cannot be read counts as one that says nothing good (an empty text).
    pub fetch_site: Option<&'r str>,
    /// `Origin`, likewise.
    pub origin: Option<&'r str>,
}

/// Which origin is the own one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own<'r> {
    /// The public origin, as a browser writes it (RFC 6454 section 6.2).
    pub public: &'r str,
    /// Scheme and authority that the request itself was sent to. Given only on a listener that is bound explicitly to a loopback
    /// address: elsewhere a request's own word for it is worth nothing.
    pub asked: Option<(&'r str, &'r str)>,
}

impl Own<'_> {
    fn is(self, origin: &str) -> bool {
        let asked = |(scheme, authority): (&str, &str)| {
            origin.split_once("://").is_some_and(|(its, host)| its == scheme && host.eq_ignore_ascii_case(authority))
        };
        origin == self.public || self.asked.is_some_and(asked)
    }
}

/// Whether a request with an unsafe method may act under its cookie.
pub fn allows(source: Source<'_>, own: Own<'_>) -> bool {
    match source.fetch_site {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => source.origin.is_some_and(|origin| own.is(origin)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://cms.example.com";

    fn judge(fetch_site: Option<&str>, origin: Option<&str>) -> bool {
        let own = Own { public: PUBLIC, asked: None };
        allows(Source { fetch_site, origin }, own)
    }

    /// R86, the whole table.
    #[test]
    fn fetch_metadata_decides_and_origin_only_without_it() {
        let evil = Some("https://evil.example");
        for (fetch_site, origin, allowed) in [
            (Some("same-origin"), None, true),
            (Some("same-origin"), Some(PUBLIC), true),
            (Some("same-origin"), evil, true),
            (Some("none"), None, true),
            (Some("same-site"), Some(PUBLIC), false),
            (Some("cross-site"), Some(PUBLIC), false),
            (Some("cross-site"), None, false),
            (Some(""), Some(PUBLIC), false),
            (Some("Same-Origin"), Some(PUBLIC), false),
            (Some("future-value"), Some(PUBLIC), false),
            (None, Some(PUBLIC), true),
            (None, evil, false),
            (None, Some("null"), false),
            (None, Some(""), false),
            (None, None, false),
        ] {
            assert_eq!(judge(fetch_site, origin), allowed, "{fetch_site:?} {origin:?}");
        }
    }

    #[test]
    fn an_origin_is_the_own_one_as_a_whole_or_not_at_all() {
        for origin in [
            "http://cms.example.com",
            "https://cms.example.com:8443",
            "https://cms.example.com.evil.example",
            "https://sub.cms.example.com",
            "https://example.com",
            "https://cms.example.com/",
            "cms.example.com",
        ] {
            assert!(!judge(None, Some(origin)), "{origin}");
        }
    }

    #[test]
    fn on_loopback_the_address_that_was_asked_counts_as_well() {
        let own = Own { public: PUBLIC, asked: Some(("http", "localhost:8000")) };
        for (origin, allowed) in [
            ("http://localhost:8000", true),
            ("http://LOCALHOST:8000", true),
            (PUBLIC, true),
            ("https://localhost:8000", false),
            ("http://localhost:3000", false),
            ("http://localhost", false),
            ("http://127.0.0.1:8000", false),
        ] {
            let source = Source { fetch_site: None, origin: Some(origin) };
            assert_eq!(allows(source, own), allowed, "{origin}");
        }
    }
}
