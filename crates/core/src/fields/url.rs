//! Addresses on the web.

/// Longest URL, in characters (contract 7.3).
pub const MAX_LENGTH: usize = 2048;

/// An absolute http(s) URL with a host (WHATWG URL), written without blanks or control characters.
pub fn is_web(text: &str) -> bool {
    // A parser of URLs passes over further slashes and takes the path for the host; who wrote them meant neither.
    let is_absolute = ["http://", "https://"].iter().any(|scheme| {
        text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
            && !text[scheme.len()..].starts_with(['/', '\\'])
    });
    is_absolute
        && text.chars().count() <= MAX_LENGTH
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && url::Url::parse(text).is_ok_and(|url| url.has_host())
}

/// The same, `https` only.
pub fn is_https(text: &str) -> bool {
    text.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("https://")) && is_web(text)
}

#[cfg(test)]
mod tests {
    use super::is_web;

    #[test]
    fn urls_are_absolute_and_of_the_web() {
        for good in ["https://example.org", "http://localhost:8000/a?b=c#d", "HTTPS://example.org/ä"] {
            assert!(is_web(good), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "//example.org",
            "ftp://example.org",
            "http:example.org",
            "http://",
            "javascript:alert(1)",
            "https://a b",
            "https:///a",
        ] {
            assert!(!is_web(bad), "{bad}");
        }
        assert!(!is_web(&format!("https://example.org/{}", "a".repeat(2048))));
    }
}
