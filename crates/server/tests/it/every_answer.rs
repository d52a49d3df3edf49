//! What every answer of the suite must show, whatever test it was asked for in: looked at where answers are read, in process and over a
//! socket (R73, R89 to R92, R104; contract 3 and 9.2).

use serde_json::Value;

/// An answer, as it came.
pub struct Shown<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: &'a [u8],
    /// Whether the server is one of production; `None`: whoever reads does not know.
    pub production: Option<bool>,
}

const API: &str = "default-src 'none'; frame-ancestors 'none'";
const UPLOADED: &str = "sandbox; default-src 'none'";
const PERMISSIONS: &str =
    "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()";

impl Shown<'_> {
    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// What is wrong with it.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut rule = |kept: bool, what: &str| {
            if !kept {
                faults.push(what.to_owned());
            }
        };
        for (name, allowed) in [
            ("x-content-type-options", &["nosniff"][..]),
            ("x-frame-options", &["DENY"]),
            ("x-xss-protection", &["0"]),
            ("referrer-policy", &["strict-origin-when-cross-origin", "no-referrer"]),
            ("permissions-policy", &[PERMISSIONS]),
            ("cross-origin-resource-policy", &["same-origin", "cross-origin"]),
        ] {
            let sent = self.all(name);
            rule(sent.len() == 1 && allowed.contains(&sent[0]), &format!("{name}: {sent:?}"));
        }
        let policies = self.all("content-security-policy");
        rule(policies.len() == 1 && self.policy_fits(policies[0]), &format!("content-security-policy: {policies:?}"));
        let hsts = self.all("strict-transport-security");
        rule(
            hsts.iter().all(|value| *value == "max-age=31536000; includeSubDomains")
                && self.production.is_none_or(|production| hsts.len() == usize::from(production)),
            &format!("strict-transport-security: {hsts:?}"),
        );
        rule(self.all("x-request-id").len() == 1, "not one x-request-id");
        rule(self.all("vary").join(",").contains("Origin"), "it does not vary by origin");
        for name in ["server", "x-powered-by", "via"] {
            rule(self.one(name).is_none(), name);
        }
        if self.path.starts_with("/api/") {
            rule(self.one("cache-control").is_some_and(|value| value.contains("no-store")), "kept by caches");
        }
        for cookie in self.all("set-cookie") {
            let has = |part: &str| cookie.split("; ").any(|one| one == part);
            let is_secure = self.production != Some(true) || has("Secure");
            let is_closed = has("HttpOnly") && has("SameSite=Lax") && has("Path=/") && !cookie.contains("Domain");
            rule(is_closed && is_secure && cookie.len() < 4096, "a cookie that lacks an attribute");
        }
        if self.all("access-control-allow-origin").contains(&"*") {
            rule(self.one("access-control-allow-credentials").is_none(), "credentials for every origin");
        }
        self.look_at_status(&mut rule);
        faults
    }

    /// A page has scripts of its own, by a nonce; an upload none; everything else nothing at all.
    fn policy_fits(&self, policy: &str) -> bool {
        let kind = self.one("content-type").unwrap_or_default();
        if kind.starts_with("text/html") && self.path != "/" && !self.path.starts_with("/api/") {
            let isolated = self.all("cross-origin-opener-policy") == ["same-origin"]
                && self.all("cross-origin-embedder-policy") == ["require-corp"];
            let closed = ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'nonce-"];
            return isolated && !policy.contains("unsafe") && closed.iter().all(|part| policy.contains(part));
        }
        policy == API || (policy == UPLOADED && self.path.contains("/files/"))
    }

    fn look_at_status(&self, rule: &mut impl FnMut(bool, &str)) {
        let challenge = self.one("www-authenticate");
        rule((self.status == 401) == challenge.is_some_and(|value| value.starts_with("Bearer")), "www-authenticate");
        rule(self.status != 405 || self.one("allow").is_some(), "405 without Allow");
        if self.status == 429 {
            let seconds = self.one("retry-after").and_then(|value| value.parse::<u64>().ok());
            rule(seconds.is_some_and(|seconds| (1..=3_700).contains(&seconds)), "429 without Retry-After");
        }
        if [204, 304].contains(&self.status) || self.method == "HEAD" {
            rule(self.body.is_empty(), "a body where none may be");
        } else if self.status >= 400 {
            self.look_at_error(rule);
        }
    }

    fn look_at_error(&self, rule: &mut impl FnMut(bool, &str)) {
        let Ok(body) = serde_json::from_slice::<Value>(self.body) else {
            // The health of a database that is away is told in the shape of health.
            return rule(false, "an error that is no JSON");
        };
        if self.path.contains("/health") && self.status == 503 {
            return;
        }
        let members: Vec<&str> = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        rule(members == ["error", "message", "details", "request_id"], "an error body of another shape");
        rule(self.one("content-type").is_some_and(|kind| kind.starts_with("application/json")), "an error of no type");
        rule(body["request_id"].as_str() == self.one("x-request-id"), "another request id in the body");
        let text = String::from_utf8_lossy(self.body).to_lowercase();
        for inner in ["panicked", "sqlite", "postgres", ".rs:", "rusqlite", "select ", "backtrace"] {
            rule(self.status < 500 || !text.contains(inner), &format!("a fault of ours tells of `{inner}`"));
        }
    }
}

/// Fails where an answer lacks something.
#[track_caller]
pub fn check(shown: &Shown<'_>) {
    let faults = shown.faults();
    assert!(
        faults.is_empty(),
        "{} {} {}: {faults:?}: {:?}",
        shown.method,
        shown.path,
        shown.status,
        String::from_utf8_lossy(shown.body).chars().take(400).collect::<String>()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("x-xss-protection", "0"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("permissions-policy", PERMISSIONS),
            ("cross-origin-resource-policy", "same-origin"),
            ("content-security-policy", API),
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
            ("vary", "Origin"),
            ("x-request-id", "a"),
            ("cache-control", "no-store"),
        ]
    }

    fn faults(status: u16, headers: &[(&str, &str)], body: &str) -> usize {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let body = body.as_bytes();
        Shown { method: "GET", path: "/api/v1/x", status, headers, body, production: Some(true) }.faults().len()
    }

    #[test]
    fn whatever_is_missing_doubled_or_too_much_is_seen() {
        assert_eq!(faults(200, &good(), "{}"), 0);
        for n in 0..good().len() {
            let mut less = good();
            less.remove(n);
            assert_eq!(faults(200, &less, "{}"), 1, "without {}", good()[n].0);
        }
        for n in 0..8 {
            let mut more = good();
            more.push(good()[n]);
            assert_eq!(faults(200, &more, "{}"), 1, "twice {}", good()[n].0);
        }
        for header in
            [("server", "x"), ("set-cookie", "a=b; Path=/; SameSite=Lax; Secure"), ("www-authenticate", "Bearer")]
        {
            let mut more = good();
            more.push(header);
            assert_eq!(faults(200, &more, "{}"), 1, "{header:?}");
        }
        let error = r#"{"error":"x","message":"y","details":{},"request_id":"a"}"#;
        let mut json = good();
        json.push(("content-type", "application/json"));
        assert_eq!(faults(404, &json, error), 0);
        for (status, body) in [(404, "{}"), (404, "no"), (401, error), (405, error), (429, error), (204, error)] {
            assert!(faults(status, &json, body) > 0, "{status} {body}");
        }
        assert!(faults(500, &json, &error.replace('y', "SQLite says no")) > 0);
    }
}
