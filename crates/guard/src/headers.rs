//! The headers every answer carries, whatever its status.
//!
//! Names are lower-case, as HTTP/2 has them and as header maps want them. Which answers are pages
//! is for the caller to know; so is whether an answer under `/api/` has a `Cache-Control` of its
//! own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ids::{self, Rng};

/// A header's name and value.
pub type Header = (&'static str, &'static str);

/// The request id, made anew for each request. The one header of the set that is no constant
/// besides a page's policy.
pub const REQUEST_ID: &str = "x-request-id";

/// `content-security-policy`.
pub const CONTENT_SECURITY_POLICY: &str = "content-security-policy";

/// HTTPS only, for a year, subdomains included (RFC 6797): in production.
pub const STRICT_TRANSPORT_SECURITY: Header = ("strict-transport-security", "max-age=31536000; includeSubDomains");

/// The policy of an answer that is no page: nothing may load, nobody may frame it.
pub const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// For answers under `/api/` that set no `Cache-Control` themselves.
pub const NO_STORE: [Header; 2] =
    [("cache-control", "no-store, no-cache, must-revalidate, private"), ("pragma", "no-cache")];

/// For pages: no other origin shares their browsing context, embeds them or is embedded by them
/// unasked.
pub const PAGE_ISOLATION: [Header; 3] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// With HSTS at the end: the part before it is for everything but production.
const FIXED: [Header; 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // 0, since the filter it once steered was itself a way in (OWASP HTTP Headers cheat sheet).
    ("x-xss-protection", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    (
        "permissions-policy",
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
    ),
    STRICT_TRANSPORT_SECURITY,
];

/// The headers that are the same on every answer, without a policy: see [`security_headers`] for
/// the whole set.
pub const fn fixed(production: bool) -> &'static [Header] {
    if production { &FIXED } else { FIXED.split_at(FIXED.len() - 1).0 }
}

/// What an answer is.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// Data, an error, a file, a redirect: anything that is not a page of ours.
    Data,
    /// A page, whose scripts and styles carry the nonce.
    Page(&'a PagePolicy),
}

/// The whole set for one answer, but for the request id and [`NO_STORE`].
pub fn security_headers(production: bool, answer: Answer<'_>) -> Vec<(&'static str, String)> {
    let own = |header: &Header| (header.0, header.1.to_owned());
    let mut headers: Vec<_> = fixed(production).iter().map(own).collect();
    match answer {
        Answer::Data => headers.push((CONTENT_SECURITY_POLICY, API_POLICY.to_owned())),
        Answer::Page(policy) => {
            headers.extend(PAGE_ISOLATION.iter().map(own));
            headers.push((CONTENT_SECURITY_POLICY, policy.to_string()));
            if let Some(url) = &policy.report_url {
                headers.push(("reporting-endpoints", format!("{REPORT_GROUP}=\"{url}\"")));
            }
        }
    }
    headers
}

/// 128 random bits for one answer, in base64: what tells our scripts from injected ones (CSP level
/// 3, section 6.7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Makes the nonce of one answer.
    pub fn generate(rng: &(impl Rng + ?Sized)) -> Self {
        Self(STANDARD.encode(ids::bytes::<16>(rng)))
    }

    /// The text for `nonce="…"` attributes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const REPORT_GROUP: &str = "csp";

/// The content security policy of a page. `Display` writes the header's value.
#[derive(Clone, Debug)]
pub struct PagePolicy {
    nonce: Nonce,
    report_url: Option<String>,
    connect: Vec<String>,
    images: Vec<String>,
}

impl PagePolicy {
    /// The strict policy: scripts by nonce only, everything else from the own origin, Trusted
    /// Types.
    ///
    /// Scripts are not allowed by `'self'`: uploads are served from the same origin, and a `<script
    /// src>` does not care how they would be displayed.
    pub const fn new(nonce: Nonce) -> Self {
        Self { nonce, report_url: None, connect: Vec::new(), images: Vec::new() }
    }

    /// Sends violation reports to `path`, an absolute path of the own origin.
    pub fn report_to(mut self, path: &str) -> Self {
        self.report_url = Some(path.chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect());
        self
    }

    /// Lets scripts connect to one more origin, such as the WebSocket spelling of the own one for
    /// old browsers.
    pub fn allow_connect(mut self, origin: &crate::cors::Origin) -> Self {
        self.connect.push(origin.as_str().to_owned());
        self
    }

    /// Lets images come from one more origin, such as the one uploads are served from.
    pub fn allow_images(mut self, origin: &crate::cors::Origin) -> Self {
        self.images.push(origin.as_str().to_owned());
        self
    }

    /// The nonce of this answer.
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }
}

impl fmt::Display for PagePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nonce = self.nonce.as_str();
        write!(f, "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; ")?;
        write!(f, "style-src 'nonce-{nonce}' 'self'; img-src 'self' blob: data:")?;
        for origin in &self.images {
            write!(f, " {origin}")?;
        }
        f.write_str("; font-src 'self'; connect-src 'self'")?;
        for origin in &self.connect {
            write!(f, " {origin}")?;
        }
        f.write_str(
            "; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; ",
        )?;
        f.write_str("frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types fastcms default")?;
        if self.report_url.is_some() { write!(f, "; report-to {REPORT_GROUP}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SystemRng, TestRng};

    #[test]
    fn the_fixed_set_is_that_of_the_contract() {
        let development = fixed(false);
        assert_eq!(
            development.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
            [
                "x-content-type-options: nosniff",
                "x-frame-options: DENY",
                "x-xss-protection: 0",
                "referrer-policy: strict-origin-when-cross-origin",
                "permissions-policy: accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), \
                 microphone=(), payment=(), usb=()",
            ]
        );
        assert_eq!(&fixed(true)[..5], development);
        assert_eq!(fixed(true)[5..], [("strict-transport-security", "max-age=31536000; includeSubDomains")]);
    }

    #[test]
    fn data_may_load_nothing_and_a_page_only_its_own() {
        let data = security_headers(false, Answer::Data);
        assert_eq!(data.last().unwrap().1, "default-src 'none'; frame-ancestors 'none'");
        let policy = PagePolicy::new(Nonce::generate(&TestRng::new(1))).report_to("/api/v1/csp");
        let page = security_headers(true, Answer::Page(&policy));
        let get = |name| page.iter().find(|header| header.0 == name).map(|header| header.1.as_str());
        assert_eq!(get("cross-origin-opener-policy"), Some("same-origin"));
        assert_eq!(get("reporting-endpoints"), Some("csp=\"/api/v1/csp\""));
        assert_eq!(get(CONTENT_SECURITY_POLICY), Some(policy.to_string().as_str()));
    }

    #[test]
    fn the_page_policy_names_the_nonce_and_nothing_unsafe() {
        let nonce = Nonce::generate(&SystemRng);
        let files = crate::cors::Origin::parse("https://files.example").unwrap();
        let policy = PagePolicy::new(nonce.clone()).allow_images(&files).to_string();
        for part in [
            "default-src 'none'; ",
            &format!("script-src 'nonce-{}' 'strict-dynamic'; ", nonce.as_str()),
            "img-src 'self' blob: data: https://files.example; ",
            "object-src 'none'; ",
            "base-uri 'none'; ",
            "form-action 'self'; ",
            "frame-ancestors 'none'; ",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http:") && !policy.contains('*'));
        assert!(!policy.contains("report-to"));
    }

    #[test]
    fn a_nonce_is_128_bits_and_fresh() {
        let nonce = Nonce::generate(&SystemRng);
        assert_eq!(nonce.as_str().len(), 24);
        assert_ne!(nonce, Nonce::generate(&SystemRng));
    }

    #[test]
    fn every_header_is_one_line_of_visible_ascii() {
        let policy = PagePolicy::new(Nonce::generate(&SystemRng)).report_to("/x\r\nset-cookie: a=\"b\"");
        for (name, value) in security_headers(true, Answer::Page(&policy)) {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
            assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{value}");
        }
    }
}
