//! The rate limit at the edge (contract 9.4): which class a request belongs to, and the headers that say what is left.

use fastcms_core::config::LimitHeaders;
use fastcms_guard::limits::{Class, Left, Standing};
use http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts};

use super::table::{Found, Table};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-limit-minute");
const LIMIT_HOUR: HeaderName = HeaderName::from_static("x-ratelimit-limit-hour");
const REMAINING_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-remaining-minute");
const REMAINING_HOUR: HeaderName = HeaderName::from_static("x-ratelimit-remaining-hour");

/// The class of a route; `None`: it is not limited. Told from its path alone, so that no route can forget to say.
pub(crate) fn class_of(method: &Method, path: &str) -> Option<Class> {
    if is_free(path) {
        return None;
    }
    let path = path.strip_prefix("/api/v1/").unwrap_or(path);
    // What follows the door of the users, or of an auth collection.
    let door = path.strip_prefix("auth/").or_else(|| {
        let (_, rest) = path.strip_prefix("collections/")?.split_once('/')?;
        rest.strip_prefix("auth/")
    });
    let (get, post) = (*method == Method::GET, *method == Method::POST);
    let ends = |end: &str| path.ends_with(end);
    Some(match door {
        Some("login" | "auth-with-otp" | "otp/verify") if post => Class::Login,
        Some("register") if post => Class::Register,
        Some("request-password-reset" | "request-otp" | "otp/request") if post => Class::Reset,
        Some("refresh") if post => Class::Refresh,
        None if post && path == "/admin/login" => Class::Login,
        None if post && path == "files" => Class::Upload,
        None if get && path.starts_with("collections/") && (ends("/export/csv") || ends("/export")) => Class::Export,
        None if get && (path == "audit/export" || (path.starts_with("backups/") && ends("/download"))) => Class::Export,
        _ => Class::General,
    })
}

/// Health is asked for by machines, assets of the admin UI come by the dozen.
fn is_free(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/") || path == "/api/v1/health" || path.starts_with("/admin/assets/")
}

/// The class of a request. One that no route serves as it is written counts as the route that its spelling is a variant of: another
/// case, slash, escape or method is no way around a strict budget.
pub(super) fn class<S>(found: &Found<'_, S>, table: &Table<S>, parts: &Parts) -> Option<Class> {
    if let Some(operation) = found.operation() {
        return operation.class;
    }
    let path = parts.uri.path();
    if is_free(path) {
        return None;
    }
    let canonical = canonical(path);
    let mut classes = table.operations_at(&canonical).iter().filter_map(|operation| operation.class);
    Some(classes.find(|class| *class != Class::General).unwrap_or(Class::General))
}

/// A path as a careless server might read it: decoded, in lower case, without empty segments, dots and parameters of segments.
fn canonical(path: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split(['/', '\\']).map(|segment| segment.split(';').next().unwrap_or_default().trim()) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            named => segments.push(named),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Writes what is left of the tightest budget that a request was charged to.
pub(super) fn write(headers: &mut HeaderMap, standing: &Standing, which: LimitHeaders) {
    let Standing { minute, hour } = standing;
    if matches!(which, LimitHeaders::Draft | LimitHeaders::Both) {
        headers.insert(RATE_LIMIT_POLICY, policy(minute.limit, hour.limit));
        headers.insert(RATE_LIMIT, left(minute, hour));
    }
    if matches!(which, LimitHeaders::Legacy | LimitHeaders::Both) {
        headers.insert(LIMIT_MINUTE, HeaderValue::from(minute.limit));
        headers.insert(LIMIT_HOUR, HeaderValue::from(hour.limit));
        headers.insert(REMAINING_MINUTE, HeaderValue::from(minute.remaining));
        headers.insert(REMAINING_HOUR, HeaderValue::from(hour.remaining));
    }
}

/// `"m";q=100;w=60, "h";q=1000;w=3600`
fn policy(per_minute: u32, per_hour: u32) -> HeaderValue {
    if (per_minute, per_hour) == (100, 1000) {
        return HeaderValue::from_static("\"m\";q=100;w=60, \"h\";q=1000;w=3600");
    }
    let mut text = Text::default();
    text.push("\"m\";q=").number(per_minute).push(";w=60, \"h\";q=").number(per_hour).push(";w=3600");
    text.value()
}

/// `"m";r=99;t=60, "h";r=999;t=3600`
fn left(minute: &Left, hour: &Left) -> HeaderValue {
    let mut text = Text::default();
    text.push("\"m\";r=").number(minute.remaining).push(";t=").number(minute.reset_seconds);
    text.push(", \"h\";r=").number(hour.remaining).push(";t=").number(hour.reset_seconds);
    text.value()
}

/// A short text on the stack.
struct Text {
    bytes: [u8; 96],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 96], length: 0 }
    }
}

impl Text {
    fn push(&mut self, text: &str) -> &mut Self {
        let end = self.length + text.len();
        self.bytes[self.length..end].copy_from_slice(text.as_bytes());
        self.length = end;
        self
    }

    fn number(&mut self, mut number: u32) -> &mut Self {
        let mut digits = [0; 10];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            if number == 0 {
                break;
            }
        }
        for digit in &digits[start..] {
            self.bytes[self.length] = *digit;
            self.length += 1;
        }
        self
    }

    fn value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.bytes[..self.length]).expect("digits and punctuation are a header value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strict_budget_has_its_doors() {
        let class = |method: &str, path: &str| class_of(&method.parse().unwrap(), path).map(Class::as_str);
        for (method, path, wanted) in [
            ("POST", "/api/v1/auth/login", Some("login")),
            ("POST", "/api/v1/auth/auth-with-otp", Some("login")),
            ("POST", "/api/v1/collections/{collection}/auth/login", Some("login")),
            ("POST", "/api/v1/collections/{name}/auth/otp/verify", Some("login")),
            ("POST", "/admin/login", Some("login")),
            ("GET", "/admin/login", Some("general")),
            ("POST", "/api/v1/auth/register", Some("register")),
            ("POST", "/api/v1/collections/{collection}/auth/register", Some("register")),
            ("POST", "/api/v1/auth/request-password-reset", Some("reset")),
            ("POST", "/api/v1/auth/request-otp", Some("reset")),
            ("POST", "/api/v1/collections/{collection}/auth/otp/request", Some("reset")),
            ("POST", "/api/v1/auth/refresh", Some("refresh")),
            ("POST", "/api/v1/collections/{collection}/auth/refresh", Some("refresh")),
            ("POST", "/api/v1/files", Some("upload")),
            ("GET", "/api/v1/files", Some("general")),
            ("GET", "/api/v1/collections/{c}/records/export/csv", Some("export")),
            ("GET", "/api/v1/collections/{id}/export", Some("export")),
            ("GET", "/api/v1/audit/export", Some("export")),
            ("GET", "/api/v1/backups/{id}/download", Some("export")),
            ("GET", "/api/v1/files/{id}/download", Some("general")),
            ("GET", "/api/v1/collections/{name}/records", Some("general")),
            ("POST", "/api/v1/views/{name}/refresh", Some("general")),
            ("GET", "/api/v1/auth/me", Some("general")),
            ("GET", "/health", None),
            ("GET", "/health/live", None),
            ("GET", "/api/v1/health", None),
            ("GET", "/healthy", Some("general")),
            ("GET", "/", Some("general")),
        ] {
            assert_eq!(class(method, path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn spellings_of_a_path_are_one() {
        for spelling in [
            "/api/v1/auth/login",
            "/api/v1/auth/login/",
            "//api//v1/auth/login",
            "/API/V1/Auth/LOGIN",
            "/api/v1/auth/%6cogin",
            "/api/v1/auth/%2e/login",
            "/api/v1/auth/x/../login",
            "/api/v1/auth/login;a=b",
            "/api/v1/auth;jsessionid=1/login",
            "/api/v1/auth/login%20",
            "/api/v1/auth%2flogin",
            "/api\\v1\\auth\\login",
        ] {
            assert_eq!(canonical(spelling), "/api/v1/auth/login", "{spelling}");
        }
    }

    #[test]
    fn the_headers_say_what_the_draft_and_the_legacy_ones_do() {
        let of = |limit, remaining, reset_seconds| Left { limit, remaining, reset_seconds };
        let standing = Standing { minute: of(7, 0, 17), hour: of(u32::MAX, 12, 3600) };
        let written = |which| {
            let mut headers = HeaderMap::new();
            write(&mut headers, &standing, which);
            headers
        };
        let both = written(LimitHeaders::Both);
        assert_eq!(both["ratelimit-policy"], "\"m\";q=7;w=60, \"h\";q=4294967295;w=3600");
        assert_eq!(both["ratelimit"], "\"m\";r=0;t=17, \"h\";r=12;t=3600");
        assert_eq!(both["x-ratelimit-limit-hour"], "4294967295");
        assert_eq!(both["x-ratelimit-remaining-hour"], "12");
        assert_eq!((both.len(), written(LimitHeaders::Off).len()), (6, 0));
        assert_eq!((written(LimitHeaders::Draft).len(), written(LimitHeaders::Legacy).len()), (2, 4));
    }
}
