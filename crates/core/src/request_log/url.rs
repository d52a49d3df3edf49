//! How the URL of a request is written into the log: the path as it is, of the query only names.
//!
//! A value may be a token or what somebody looks for, so none is copied. A name is kept when it looks like one and a value stands
//! behind it; a pair without a value may be a token by itself, and one with a strange name may hide one.

/// Longest URL written, bytes; what is longer ends with [`CUT`].
pub(super) const MAX_BYTES: usize = 2048;
const CUT: &str = "...";
/// Longest name of a parameter that is kept, bytes.
const MAX_NAME: usize = 64;
const REDACTED: &str = "[redacted]";

/// Writes a URL without the values of its query, in visible ASCII.
pub(super) fn redacted(path: &str, query: Option<&str>) -> String {
    let mut url = if path.len() <= MAX_BYTES && is_visible(path) {
        // An estimate of the room that the query takes: one allocation is enough for most.
        let room = query.map_or(0, |query| query.len().min(MAX_BYTES - path.len()) + 16);
        let mut url = String::with_capacity(path.len() + room);
        url.push_str(path);
        url
    } else {
        escaped(path)
    };
    if let Some(query) = query {
        push_names(&mut url, query);
    }
    url
}

/// Whether all of it is visible ASCII. Looks at every byte whatever was found: that is done for many at once.
fn is_visible(text: &str) -> bool {
    text.bytes().fold(0, |odd, byte| odd | u8::from(!byte.is_ascii_graphic())) == 0
}

/// The path with everything percent-encoded that could be taken for something else in a terminal or a log.
fn escaped(path: &str) -> String {
    let mut url = String::with_capacity(path.len().min(MAX_BYTES) + 16);
    for byte in path.bytes() {
        if url.len() + 3 > MAX_BYTES {
            url.push_str(CUT);
            break;
        }
        if byte.is_ascii_graphic() {
            url.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            url.push('%');
            url.push(char::from(DIGITS[usize::from(byte >> 4)]));
            url.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    url
}

fn push_names(url: &mut String, query: &str) {
    let mut separator = '?';
    for pair in query.split('&') {
        if url.len() + MAX_NAME + REDACTED.len() + 2 > MAX_BYTES {
            url.push(separator);
            url.push_str(CUT);
            return;
        }
        url.push(separator);
        separator = '&';
        if let Some(name) = name(pair) {
            url.push_str(name);
            url.push('=');
        }
        url.push_str(REDACTED);
    }
}

/// The name of a `name=value` pair, unless it may be a secret itself. (`YWJj==` is no name: Base64 ends so.)
fn name(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=')?;
    let has_value = value.bytes().any(|byte| byte != b'=');
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte));
    (has_value && is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_without_query_stays_as_it_is() {
        let path = "/api/v1/collections/posts/records/01912345-0000-7000-8000-000000000001";
        assert_eq!(redacted(path, None), path);
    }

    #[test]
    fn of_a_query_only_names_stay() {
        for (query, wanted) in [
            ("token=s3cret", "?token=[redacted]"),
            ("page=2&filter=a%3D'x'", "?page=[redacted]&filter=[redacted]"),
            ("a=b=c&d[]=e", "?a=[redacted]&d[]=[redacted]"),
            ("a=1;token=s3cret", "?a=[redacted]"),
            ("", "?[redacted]"),
            ("s3cret", "?[redacted]"),
            ("czNjcmV0MQ==", "?[redacted]"),
            ("s3cret=", "?[redacted]"),
            ("=s3cret", "?[redacted]"),
            ("x%3Ds3cret=1", "?[redacted]"),
            ("s3cret+name=1", "?[redacted]"),
            ("&&a=1&", "?[redacted]&[redacted]&a=[redacted]&[redacted]"),
        ] {
            assert_eq!(redacted("/", Some(query)), format!("/{wanted}"), "{query}");
        }
        let long = format!("{}=1", "n".repeat(MAX_NAME + 1));
        assert_eq!(redacted("/", Some(&long)), "/?[redacted]");
        let longest = format!("{}=1", "n".repeat(MAX_NAME));
        assert_eq!(redacted("/", Some(&longest)).len(), 2 + MAX_NAME + 11);
    }

    #[test]
    fn what_could_steer_a_terminal_is_encoded() {
        assert_eq!(redacted("/a\u{7f}\u{9b}\u{202e}b", None), "/a%7F%C2%9B%E2%80%AEb");
        assert_eq!(redacted("/a\r\n\u{1b}[31m b", None), "/a%0D%0A%1B[31m%20b");
    }

    #[test]
    fn a_url_is_cut_at_its_limit() {
        let (at, past) = ("a".repeat(MAX_BYTES), "a".repeat(MAX_BYTES + 1));
        assert_eq!(redacted(&at, None), at);
        assert_eq!(redacted(&past, None).len(), MAX_BYTES - 2 + CUT.len());
        assert!(redacted(&past, Some("a=1")).ends_with("...?..."));
        let pairs = vec!["name=1"; 1000].join("&");
        let url = redacted("/", Some(&pairs));
        assert!(url.len() <= MAX_BYTES && url.ends_with("&..."), "{url}");
        assert!(redacted(&"\u{7f}".repeat(5000), Some(&pairs)).len() <= MAX_BYTES + 2 * CUT.len() + 1);
    }
}
