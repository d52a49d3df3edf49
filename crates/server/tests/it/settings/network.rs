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

/// Somebody who listens on an address of this machine, and how often they were called.
fn listening(address: &str) -> (u16, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let called = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&called);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (mut socket, mut chunk) = (socket.unwrap(), vec![0; 64 * 1024]);
            let _ = socket.read(&mut chunk);
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (port, called)
}

/// Waits until `seen` is true of the server's log and of how often somebody was called.
fn until(server: &Server, called: &std::sync::atomic::AtomicUsize, seen: impl Fn(&str, usize) -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !seen(&server.log(), called.load(std::sync::atomic::Ordering::Relaxed)) {
        assert!(std::time::Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// R144.
#[test]
fn egress_allowed_cidrs_opens_inner_networks_to_what_the_product_sends_by_itself() {
    let (port, called) = listening("127.0.0.1");
    let by_name = format!("http://localhost:{port}/audit");
    let by_number = format!("http://127.0.0.1:{port}/audit");
    // In production an address that must not be reached is found before the port opens, a name when it is called.
    for name in ["AUDIT_WEBHOOK_URL", "PASSWORD_BREACH_URL"] {
        for url in [by_number.as_str(), "https://169.254.169.254/latest", "https://[fd00:ec2::254]/", "https://0x7f.1/"]
        {
            let refused = Server::production(&[(name, url)]).run(&["serve"], "");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(1), "{name}={url}: {said}");
            assert!(said.contains(name) && said.contains("EGRESS_ALLOWED_CIDRS"), "{said}");
        }
    }
    let mut server = Server::production(&[("AUDIT_WEBHOOK_URL", &by_name)]);
    // Something to be told of.
    assert_eq!(server.start().sign_in("wrong-horse-1").status(), 401);
    until(&server, &called, |log, _| log.contains("EGRESS_ALLOWED_CIDRS does not list it"));
    server.terminate();
    assert_eq!(called.load(std::sync::atomic::Ordering::Relaxed), 0);

    server.set(&[("EGRESS_ALLOWED_CIDRS", "127.0.0.0/8, ::1/128")]).start();
    until(&server, &called, |_, called| called > 0);
    server.terminate();

    // Elsewhere one's own machine needs no listing.
    let (port, called) = listening("127.0.0.1");
    let (server, _) = started(&[("AUDIT_WEBHOOK_URL", &format!("http://127.0.0.1:{port}/audit"))]);
    until(&server, &called, |_, called| called > 0);
}
