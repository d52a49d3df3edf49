//! Whose address it is, and which addresses may come in.

use super::*;

/// Whom the server takes the sender of this request for.
fn client(server: &Server, token: &str, headers: &[(&str, &str)]) -> String {
    let mut ask = server.ask("GET", "/api/v1/admin/limits").token(token);
    for (name, value) in headers {
        ask = ask.with(name, value);
    }
    ask.expect(200).json()["proxy"]["client_address"].as_str().unwrap().to_owned()
}

const CHAIN: (&str, &str) = ("X-Forwarded-For", "203.0.113.1, 198.51.100.2, 192.0.2.3");

/// R98.
#[test]
fn trusted_proxies_are_believed_and_nobody_else() {
    for (trusted, found) in [
        ("", "127.0.0.1"),
        ("10.0.0.0/8", "127.0.0.1"),
        ("127.0.0.1/32", "192.0.2.3"),
        ("127.0.0.0/8,192.0.2.0/24", "198.51.100.2"),
        ("127.0.0.0/8, 192.0.2.3, 198.51.100.0/24", "203.0.113.1"),
    ] {
        let (server, token) = started(&[("TRUSTED_PROXIES", trusted)]);
        assert_eq!(client(&server, &token, &[CHAIN]), found, "TRUSTED_PROXIES={trusted}");
    }
}

#[test]
fn trusted_proxy_hops_counts_from_the_right() {
    for (hops, found) in [("0", "127.0.0.1"), ("1", "192.0.2.3"), ("2", "198.51.100.2"), ("3", "203.0.113.1")] {
        let (server, token) = started(&[("TRUSTED_PROXY_HOPS", hops)]);
        assert_eq!(client(&server, &token, &[CHAIN]), found, "TRUSTED_PROXY_HOPS={hops}");
    }
}

#[test]
fn client_ip_header_is_the_one_header_that_is_read() {
    let all = [("X-Forwarded-For", "203.0.113.1"), ("Forwarded", "for=203.0.113.2"), ("X-Real-IP", "203.0.113.3")];
    for (header, found) in
        [("X-Forwarded-For", "203.0.113.1"), ("Forwarded", "203.0.113.2"), ("X-Real-IP", "203.0.113.3")]
    {
        let (server, token) = started(&[("TRUSTED_PROXIES", "127.0.0.1"), ("CLIENT_IP_HEADER", header)]);
        assert_eq!(client(&server, &token, &all), found);
        let others: Vec<(&str, &str)> = all.into_iter().filter(|(name, _)| *name != header).collect();
        assert_eq!(client(&server, &token, &others), "127.0.0.1", "without {header}");
    }
}

/// R112.
#[test]
fn ip_filter_enabled_applies_the_rules() {
    let block = json!({"cidr": "127.0.0.66", "rule_type": "block"});
    let allow = json!({"cidr": "127.0.0.0/24", "rule_type": "allow"});
    for (enabled, blocked) in [("true", 403), ("false", 200)] {
        let (server, token) = started(&[("IP_FILTER_ENABLED", enabled)]);
        let rules = |rule: &Value| server.ask("POST", "/api/v1/admin/ip-rules").token(&token).json(rule).expect(201);
        rules(&block);
        assert_eq!(server.ask("GET", "/").from("127.0.0.66").status(), blocked);
        assert_eq!(server.ask("GET", "/").from("127.0.9.1").status(), 200);
        rules(&allow);
        assert_eq!(server.ask("GET", "/").from("127.0.9.1").status(), blocked, "only the allowed come in");
        assert_eq!(server.ask("GET", "/").from("127.0.0.66").status(), blocked, "a block wins");
        server.ask("GET", "/").from("127.0.0.7").expect(200);
        server.ask("GET", "/health").from("127.0.0.66").expect(200);
    }
}

/// R114.
#[test]
fn admin_allowed_cidrs_are_where_admins_come_from() {
    let (server, token) = started(&[("ADMIN_ALLOWED_CIDRS", "127.0.0.1/32,127.0.5.0/24")]);
    let users = |from: &'static str| server.ask("GET", "/api/v1/admin/users").token(&token).from(from);
    users("127.0.5.9").expect(200);
    users("127.0.6.9").refused(403, "ip_blocked");
    for path in ["/admin/", "/admin/setup", "/setup", "/api/v1/setup/check", "/api/v1/collections"] {
        server.ask("GET", path).from("127.0.6.9").refused(403, "ip_blocked");
    }
    server.ask("GET", "/api/v1/auth/me").token(&token).from("127.0.6.9").expect(200);
}
