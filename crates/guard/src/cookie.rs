//! The product's cookies, all of them, in one place: their names, how they are found in a request, how they are set and taken away
//! (RFC 6265bis, ASVS 3.3).
//!
//! Every cookie is `HttpOnly`, `SameSite=Lax`, `Path=/` and has no `Domain`; there is no way to write one otherwise. What a value
//! means is not known here.

use std::fmt::{self, Write as _};

/// A cookie of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// Who is signed in, in a browser: a random session id.
    Session,
    /// The state of a sign-in at another provider, from its start to its callback.
    OauthFlow,
    /// A browser that signed in before: a random id that gives no access, only a counter of failures of its own.
    Device,
}

/// Largest name and value together, bytes (RFC 6265bis section 5.6 has user agents drop what is larger).
pub const MAX_BYTES: usize = 4095;

/// How cookies are written and read; the same for the whole life of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookiePolicy {
    /// Names begin with `__Host-`, so that neither a sibling domain nor plain HTTP can plant one; those without are not read.
    pub host_prefix: bool,
    /// `Secure` even where the request does not seem to have come over HTTPS.
    pub always_secure: bool,
}

/// Values that a request carries, each where it was sent exactly once.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent<'r> {
    /// That of [`Cookie::Session`].
    pub session: Option<&'r str>,
    /// That of [`Cookie::OauthFlow`].
    pub oauth_flow: Option<&'r str>,
    /// That of [`Cookie::Device`].
    pub device: Option<&'r str>,
}

impl fmt::Debug for Sent<'_> {
    /// What was sent, never its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("session", &self.session.is_some())
            .field("oauth_flow", &self.oauth_flow.is_some())
            .field("device", &self.device.is_some())
            .finish()
    }
}

/// The same name stands in a request twice: somebody who can write one cookie tries to hide another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cookie `{0}` was sent more than once")]
pub struct Duplicate(pub &'static str);

/// A value that no `Set-Cookie` can carry unharmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitValue {
    /// Something that is no `cookie-octet`.
    #[error("a cookie value holds a character that would end it")]
    Octet,
    /// More than [`MAX_BYTES`] with its name.
    #[error("a cookie is longer than browsers keep")]
    Size,
}

impl CookiePolicy {
    /// The name of a cookie under this policy.
    pub const fn name(self, cookie: Cookie) -> &'static str {
        match (cookie, self.host_prefix) {
            (Cookie::Session, false) => "fastcms_session",
            (Cookie::Session, true) => "__Host-fastcms_session",
            (Cookie::OauthFlow, false) => "oauth_collection",
            (Cookie::OauthFlow, true) => "__Host-oauth_collection",
            (Cookie::Device, false) => "fastcms_device",
            (Cookie::Device, true) => "__Host-fastcms_device",
        }
    }

    /// `Set-Cookie` that gives a cookie to a browser for `max_age_seconds`. `over_https`: the request came that way.
    pub fn set(
        self,
        cookie: Cookie,
        value: &str,
        max_age_seconds: u32,
        over_https: bool,
    ) -> Result<String, UnfitValue> {
        if !value.bytes().all(is_cookie_octet) {
            return Err(UnfitValue::Octet);
        }
        if self.name(cookie).len() + value.len() > MAX_BYTES {
            return Err(UnfitValue::Size);
        }
        Ok(self.write(cookie, value, max_age_seconds, over_https))
    }

    /// `Set-Cookie` that takes a cookie away. Its attributes are those it was set with, or a browser would keep it.
    pub fn clear(self, cookie: Cookie, over_https: bool) -> String {
        self.write(cookie, "", 0, over_https)
    }

    fn write(self, cookie: Cookie, value: &str, max_age: u32, over_https: bool) -> String {
        let mut text = format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax", self.name(cookie));
        if max_age == 0 {
            // For what does not know Max-Age.
            text.push_str("; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        }
        // A browser takes a `__Host-` name with Secure only, and counts localhost as secure.
        if over_https || self.always_secure || self.host_prefix {
            write!(text, "; Secure").expect("writing to a String cannot fail");
        }
        text
    }

    /// Finds the product's cookies in the `Cookie` headers of a request. A value that is not text is nobody's and reads as empty.
    pub fn read<'r>(self, headers: impl IntoIterator<Item = &'r [u8]>) -> Result<Sent<'r>, Duplicate> {
        let mut sent = Sent::default();
        for pair in headers.into_iter().flat_map(|header| header.split(|byte| *byte == b';')) {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
            let (place, known) = if name == self.name(Cookie::Session).as_bytes() {
                (&mut sent.session, self.name(Cookie::Session))
            } else if name == self.name(Cookie::OauthFlow).as_bytes() {
                (&mut sent.oauth_flow, self.name(Cookie::OauthFlow))
            } else if name == self.name(Cookie::Device).as_bytes() {
                (&mut sent.device, self.name(Cookie::Device))
            } else {
                continue;
            };
            if place.is_some() {
                return Err(Duplicate(known));
            }
            *place = Some(std::str::from_utf8(value).unwrap_or_default());
        }
        Ok(sent)
    }

    /// Whether this `Set-Cookie` value is about `cookie`.
    pub fn is_about(self, cookie: Cookie, set_cookie: &[u8]) -> bool {
        set_cookie.strip_prefix(self.name(cookie).as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
    }
}

/// `cookie-octet` of RFC 6265 section 4.1.1.
const fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: CookiePolicy = CookiePolicy { host_prefix: false, always_secure: false };
    const PRODUCTION: CookiePolicy = CookiePolicy { always_secure: true, ..PLAIN };
    const PREFIXED: CookiePolicy = CookiePolicy { host_prefix: true, ..PLAIN };
    const ALL: [Cookie; 3] = [Cookie::Session, Cookie::OauthFlow, Cookie::Device];

    fn attributes(set_cookie: &str) -> Vec<String> {
        set_cookie.split("; ").skip(1).map(str::to_owned).collect()
    }

    /// R83, R84.
    #[test]
    fn every_cookie_is_http_only_lax_host_only_and_for_the_whole_site() {
        for cookie in ALL {
            let set = PLAIN.set(cookie, "value", 300, false).unwrap();
            assert!(set.starts_with(&format!("{}=value; ", PLAIN.name(cookie))));
            assert_eq!(attributes(&set), ["Path=/", "Max-Age=300", "HttpOnly", "SameSite=Lax"]);
        }
    }

    #[test]
    fn the_names_are_the_documented_ones() {
        assert_eq!(ALL.map(|cookie| PLAIN.name(cookie)), ["fastcms_session", "oauth_collection", "fastcms_device"]);
        let prefixed = ["__Host-fastcms_session", "__Host-oauth_collection", "__Host-fastcms_device"];
        assert_eq!(ALL.map(|cookie| PREFIXED.name(cookie)), prefixed);
    }

    /// R83: Secure in production, over HTTPS, and wherever the name demands it.
    #[test]
    fn secure_is_left_out_over_plain_http_outside_production_only() {
        for cookie in ALL {
            for (policy, over_https, secure) in [
                (PLAIN, false, false),
                (PLAIN, true, true),
                (PRODUCTION, false, true),
                (PRODUCTION, true, true),
                (PREFIXED, false, true),
            ] {
                let set = policy.set(cookie, "value", 300, over_https).unwrap();
                let clear = policy.clear(cookie, over_https);
                for text in [set, clear] {
                    assert_eq!(attributes(&text).contains(&"Secure".to_owned()), secure, "{text}");
                    assert!(!text.to_lowercase().contains("domain"), "{text}");
                }
            }
        }
    }

    #[test]
    fn clearing_says_the_same_attributes_and_no_life() {
        assert_eq!(
            PLAIN.clear(Cookie::OauthFlow, false),
            "oauth_collection=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }

    #[test]
    fn a_value_cannot_add_attributes() {
        for value in ["a; Domain=evil.example", "a\r\nb", "a b", "a,b", "é", "\"a\"", "a\\b"] {
            assert_eq!(PLAIN.set(Cookie::Session, value, 1, false), Err(UnfitValue::Octet), "{value}");
        }
        let room = MAX_BYTES - "fastcms_session".len();
        assert!(PLAIN.set(Cookie::Session, &"a".repeat(room), 1, false).is_ok());
        assert_eq!(PLAIN.set(Cookie::Session, &"a".repeat(room + 1), 1, false), Err(UnfitValue::Size));
    }

    fn session<'r>(policy: CookiePolicy, headers: &[&'r str]) -> Result<Option<&'r str>, Duplicate> {
        policy.read(headers.iter().map(|header| header.as_bytes())).map(|sent| sent.session)
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        for (headers, expected) in [
            (&["fastcms_session=abc"][..], Some("abc")),
            (&["a=b; fastcms_session=abc;c=d"], Some("abc")),
            (&["a=b", "\tfastcms_session = abc "], Some("abc")),
            (&["fastcms_session=a=b"], Some("a=b")),
            (&["fastcms_session="], Some("")),
            (&["fastcms_session"], None),
            (&["FASTCMS_SESSION=abc"], None),
            (&["xfastcms_session=abc; fastcms_session2=abc"], None),
            (&["a=fastcms_session=abc"], None),
            (&[], None),
        ] {
            assert_eq!(session(PLAIN, headers), Ok(expected), "{headers:?}");
        }
        let sent = PLAIN.read([&b"oauth_collection=flow; fastcms_session=\xff; fastcms_device=d"[..]]);
        assert_eq!(sent, Ok(Sent { session: Some(""), oauth_flow: Some("flow"), device: Some("d") }));
    }

    /// R85: cookie tossing is refused, whichever header it hides in.
    #[test]
    fn the_same_name_twice_is_refused() {
        for headers in [
            &["fastcms_session=a; fastcms_session=a"][..],
            &["fastcms_session=a", "fastcms_session=b"],
            &["fastcms_session=; x=y; fastcms_session=b"],
        ] {
            assert_eq!(session(PLAIN, headers), Err(Duplicate("fastcms_session")), "{headers:?}");
        }
        assert_eq!(session(PLAIN, &["oauth_collection=a; oauth_collection=b"]), Err(Duplicate("oauth_collection")));
        assert_eq!(session(PLAIN, &["other=a; other=b"]), Ok(None));
    }

    /// R85: only the name in force counts.
    #[test]
    fn the_other_spelling_of_a_name_is_ignored() {
        let both = ["fastcms_session=planted; __Host-fastcms_session=own; fastcms_session=again"];
        assert_eq!(session(PREFIXED, &both), Ok(Some("own")));
        assert_eq!(session(PREFIXED, &["fastcms_session=planted"]), Ok(None));
        assert_eq!(session(PLAIN, &["__Host-fastcms_session=other"]), Ok(None));
    }

    #[test]
    fn a_set_cookie_tells_what_it_is_about() {
        assert!(PLAIN.is_about(Cookie::Session, b"fastcms_session=; Path=/"));
        assert!(!PLAIN.is_about(Cookie::Session, b"fastcms_session2=; Path=/"));
        assert!(!PLAIN.is_about(Cookie::Session, b"oauth_collection=x"));
        assert!(!PREFIXED.is_about(Cookie::Session, b"fastcms_session=x"));
    }
}
