//! What of a file is served: all, a part, or nothing because the client has it (RFC 9110 sections 13 and 14). One range at a time: a
//! request for several gets the whole, which it must be ready for.

use std::ops::Range;

use http::{HeaderMap, HeaderName, Method, header};
use jiff::{Timestamp, civil, fmt::strtime, tz::TimeZone};

/// The form of a date in a header (RFC 9110 section 5.6.7).
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// What is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Served {
    Whole,
    /// Not empty, and within the whole.
    Part(Range<u64>),
    NotModified,
    /// None of the bytes asked for exist.
    NoSuchRange,
}

/// What a client may hold against what it has.
#[derive(Debug)]
pub(super) struct Validators {
    /// Strong, with its quotes.
    pub(super) etag: String,
    pub(super) modified: Option<String>,
    at: Option<Timestamp>,
}

impl Validators {
    /// `created` is RFC 3339. Bytes are never changed: when they came is when they were last modified.
    pub(super) fn new(etag: &str, created: &str) -> Self {
        let at = created.parse::<Timestamp>().ok().and_then(|at| Timestamp::from_second(at.as_second()).ok());
        let written = at.map(|at| at.to_zoned(TimeZone::UTC).strftime(HTTP_DATE).to_string());
        Self { etag: format!("\"{etag}\""), modified: written, at }
    }

    /// Whether a list of tags names this one. A weak tag counts where only freshness is asked.
    fn is_among(&self, tags: &str) -> bool {
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
    }
}

/// Judges the conditions and the range of a request.
pub(super) fn judge(method: &Method, headers: &HeaderMap, validators: &Validators, size: u64) -> Served {
    if is_current(headers, validators) {
        return Served::NotModified;
    }
    // A range is asked of GET alone (RFC 9110 section 14.2).
    let range = only(headers, &header::RANGE).filter(|_| method == Method::GET);
    match range {
        Some(range) if holds_for_range(headers, validators) => part(range, size),
        _ => Served::Whole,
    }
}

/// `If-None-Match`, or `If-Modified-Since` where that is not given.
fn is_current(headers: &HeaderMap, validators: &Validators) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        let mut lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
        return lists.any(|list| validators.is_among(list));
    }
    let since = only(headers, &header::IF_MODIFIED_SINCE).and_then(date);
    since.zip(validators.at).is_some_and(|(since, at)| at <= since)
}

/// `If-Range`: only a client whose part is of these very bytes gets the rest of them.
fn holds_for_range(headers: &HeaderMap, validators: &Validators) -> bool {
    if !headers.contains_key(header::IF_RANGE) {
        return true;
    }
    let given = only(headers, &header::IF_RANGE);
    given.is_some_and(|given| given == validators.etag || validators.modified.as_deref() == Some(given))
}

fn date(text: &str) -> Option<Timestamp> {
    let parsed = strtime::parse(HTTP_DATE, text).ok()?;
    let at: civil::DateTime = parsed.to_datetime().ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The one value of a header.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n`. What is none of these asks for nothing in particular.
fn part(range: &str, size: u64) -> Served {
    let Some((unit, spec)) = range.split_once('=') else { return Served::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Served::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Served::Whole };
    match (Position::read(first), Position::read(last)) {
        (Position::At(first), Position::At(last)) if last < first => Served::Whole,
        (Position::At(first), Position::At(_) | Position::Unsaid) if first >= size => Served::NoSuchRange,
        (Position::At(first), Position::At(last)) => Served::Part(first..last.saturating_add(1).min(size)),
        (Position::At(first), Position::Unsaid) => Served::Part(first..size),
        (Position::Unsaid, Position::At(length)) if length == 0 || size == 0 => Served::NoSuchRange,
        (Position::Unsaid, Position::At(length)) => Served::Part(size.saturating_sub(length)..size),
        _ => Served::Whole,
    }
}

/// One end of a range, as it was written.
enum Position {
    At(u64),
    Unsaid,
    Nonsense,
}

impl Position {
    fn read(text: &str) -> Self {
        if text.is_empty() {
            return Self::Unsaid;
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::Nonsense;
        }
        // A number too large for us is past every end.
        Self::At(text.parse().unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Served {
        let validators = Validators::new("abc", "2026-01-31T09:30:00.123Z");
        assert_eq!(validators.modified.as_deref(), Some("Sat, 31 Jan 2026 09:30:00 GMT"));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        judge(&Method::GET, &headers, &validators, 100)
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (range, wanted) in [
            ("bytes=0-9", Served::Part(0..10)),
            ("BYTES=0-9", Served::Part(0..10)),
            ("bytes=0-", Served::Part(0..100)),
            ("bytes=99-", Served::Part(99..100)),
            ("bytes=90-1000", Served::Part(90..100)),
            ("bytes=-10", Served::Part(90..100)),
            ("bytes=-1000", Served::Part(0..100)),
            ("bytes=0-99999999999999999999999", Served::Part(0..100)),
            ("bytes=100-", Served::NoSuchRange),
            ("bytes=100-200", Served::NoSuchRange),
            ("bytes=99999999999999999999999-", Served::NoSuchRange),
            ("bytes=-0", Served::NoSuchRange),
            ("bytes=9-0", Served::Whole),
            ("bytes=0-1,5-6", Served::Whole),
            ("bytes=a-b", Served::Whole),
            ("bytes=", Served::Whole),
            ("bytes=-", Served::Whole),
            ("bytes", Served::Whole),
            ("bytes=+0-1", Served::Whole),
            ("lines=0-1", Served::Whole),
        ] {
            assert_eq!(asked(&[("range", range)]), wanted, "{range}");
        }
        assert_eq!(asked(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]), Served::Whole);
        assert_eq!(part("bytes=0-", 0), Served::NoSuchRange);
        assert_eq!(part("bytes=-1", 0), Served::NoSuchRange);
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = ("range", "bytes=0-0");
        for (condition, wanted) in [
            (("if-none-match", "\"abc\""), Served::NotModified),
            (("if-none-match", "W/\"abc\""), Served::NotModified),
            (("if-none-match", "\"x\", \"abc\""), Served::NotModified),
            (("if-none-match", "*"), Served::NotModified),
            (("if-none-match", "\"x\""), Served::Part(0..1)),
            (("if-modified-since", "Sat, 31 Jan 2026 09:30:00 GMT"), Served::NotModified),
            (("if-modified-since", "Sat, 31 Jan 2026 09:29:59 GMT"), Served::Part(0..1)),
            (("if-modified-since", "yesterday"), Served::Part(0..1)),
            (("if-range", "\"abc\""), Served::Part(0..1)),
            (("if-range", "W/\"abc\""), Served::Whole),
            (("if-range", "\"x\""), Served::Whole),
            (("if-range", "Sat, 31 Jan 2026 09:30:00 GMT"), Served::Part(0..1)),
            (("if-range", "Sun, 01 Feb 2026 09:30:00 GMT"), Served::Whole),
        ] {
            assert_eq!(asked(&[range, condition]), wanted, "{condition:?}");
        }
        let both = [("if-none-match", "\"x\""), ("if-modified-since", "Sun, 01 Feb 2026 00:00:00 GMT")];
        assert_eq!(asked(&both), Served::Whole, "a tag that differs is stronger than a date");
    }
}
