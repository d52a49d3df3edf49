//! How often one may call, and how much one may send.

use super::*;

/// A server whose limits are on.
fn limited(settings: &[(&str, &str)]) -> (Server, String) {
    let mut all = vec![("RATE_LIMIT_ENABLED", "true")];
    all.extend_from_slice(settings);
    started(&all)
}

fn statuses(server: &Server, from: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| server.ask("GET", "/").from(from).status()).collect()
}

/// R103: off, neither the general limit nor the budgets of the doors hold.
#[test]
fn rate_limit_enabled_false_limits_nothing() {
    for (enabled, refused) in [("true", true), ("false", false)] {
        let (server, _) = started(&[
            ("RATE_LIMIT_ENABLED", enabled),
            ("RATE_LIMIT_PER_MINUTE", "3"),
            ("ACCOUNT_LOCKOUT_ENABLED", "false"),
        ]);
        assert_eq!(statuses(&server, "127.0.0.5", 5).contains(&429), refused);
        let doors: Vec<u16> =
            (0..12).map(|_| server.sign_in("Wrong-Horse1-battery").from("127.0.0.6").status()).collect();
        assert_eq!(doors.contains(&429), refused, "{doors:?}");
    }
}

/// R103, R104.
#[test]
fn rate_limit_per_minute_seven_refuses_the_eighth() {
    let (server, _) = limited(&[("RATE_LIMIT_PER_MINUTE", "7")]);
    assert_eq!(statuses(&server, "127.0.0.5", 9), [200, 200, 200, 200, 200, 200, 200, 429, 429]);
    let answer = server.ask("GET", "/").from("127.0.0.5").refused(429, "rate_limited");
    assert_eq!(answer.json()["details"]["limit_per_minute"], 7);
    assert_eq!(answer.header("x-ratelimit-limit-minute"), Some("7"));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=66).contains(&seconds), "{seconds}");
    // The next address is another caller.
    assert_eq!(statuses(&server, "127.0.0.6", 7), [200; 7]);
}

#[test]
fn rate_limit_per_hour_binds_where_the_minute_would_admit() {
    let (server, _) = limited(&[("RATE_LIMIT_PER_MINUTE", "50"), ("RATE_LIMIT_PER_HOUR", "5")]);
    assert_eq!(statuses(&server, "127.0.0.5", 6), [200, 200, 200, 200, 200, 429]);
    let answer = server.ask("GET", "/").from("127.0.0.5").refused(429, "rate_limited");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 3_000, "{seconds}");
    assert_eq!(answer.json()["details"]["limit_per_hour"], 5);
}

#[test]
fn rate_limit_headers_are_those_asked_for() {
    for (which, draft, legacy) in
        [("draft", true, false), ("legacy", false, true), ("both", true, true), ("off", false, false)]
    {
        let (server, _) = limited(&[("RATE_LIMIT_HEADERS", which)]);
        let answer = server.ask("GET", "/").expect(200);
        assert_eq!(answer.header("ratelimit").is_some(), draft, "{which}");
        assert_eq!(answer.header("ratelimit-policy").is_some(), draft, "{which}");
        assert_eq!(answer.header("x-ratelimit-limit-hour").is_some(), legacy, "{which}");
    }
}

/// Lockout still holds for them.
#[test]
fn rate_limit_exempt_cidrs_are_outside_every_limit() {
    let (server, _) = limited(&[("RATE_LIMIT_PER_MINUTE", "2"), ("RATE_LIMIT_EXEMPT_CIDRS", "127.0.7.0/24")]);
    assert_eq!(statuses(&server, "127.0.7.200", 6), [200; 6]);
    assert_eq!(statuses(&server, "127.0.8.1", 3), [200, 200, 429]);
    for _ in 0..12 {
        server.sign_in("Wrong-Horse1-battery").from("127.0.7.200").refused(401, "invalid_credentials");
    }
    server.sign_in(PASSWORD).from("127.0.7.200").refused(401, "invalid_credentials");
}

/// R109.
#[test]
fn max_body_size_is_the_largest_body() {
    let (server, _) = started(&[("MAX_BODY_SIZE", "1000")]);
    let body = |size: usize| json!({"email": "a".repeat(size - "{\"email\":\"\"}".len())});
    assert_eq!(server.ask("POST", "/api/v1/auth/login").json(&body(1000)).status(), 422);
    server.ask("POST", "/api/v1/auth/login").json(&body(1001)).refused(413, "payload_too_large");
}
