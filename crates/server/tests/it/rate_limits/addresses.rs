//! Whose address it is: forged headers from a stranger change nothing, real proxies in front are understood.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use super::ROOT;
use crate::callers::{Calls, request};
use crate::external::External;
use crate::on_both_engines;
use crate::process::{PASSWORD, Server};
use crate::product::Product;

on_both_engines!(no_forged_header_changes_whose_request_it_is, a_lone_private_sender_is_pointed_out);

/// Forty ways to claim another address. The stranger is 127.0.0.1 throughout.
const FORGED: [(&str, &str); 40] = [
    ("X-Forwarded-For", "203.0.113.1"),
    ("x-forwarded-for", "203.0.113.2"),
    ("X-FORWARDED-FOR", "203.0.113.3, 127.0.0.1"),
    ("X-Forwarded-For", "127.0.0.1, 203.0.113.4"),
    ("X-Forwarded-For", "203.0.113.5:4711"),
    ("X-Forwarded-For", "[2001:db8::5]:4711"),
    ("X-Forwarded-For", "2001:db8::6"),
    ("X-Forwarded-For", "::ffff:203.0.113.7"),
    ("X-Forwarded-For", "\"203.0.113.8\""),
    ("X-Forwarded-For", "unknown"),
    ("X-Forwarded-For", "127.0.0.1:555"),
    ("X-Forwarded-For", ""),
    ("X-Forwarded-For", " , ,203.0.113.9"),
    ("X-Forwarded-For", "localhost"),
    ("X-Forwarded-For", "0x7f.1"),
    ("X-Forwarded-For", "3405803777"),
    ("X-Real-IP", "203.0.113.10"),
    ("X-Real-IP", "2001:db8::10"),
    ("X-Real-Ip", "203.0.113.11:80"),
    ("Forwarded", "for=203.0.113.12"),
    ("Forwarded", "for=\"[2001:db8::12]:4711\""),
    ("Forwarded", "For=203.0.113.13;proto=https;by=127.0.0.1"),
    ("Forwarded", "for=203.0.113.14, for=127.0.0.1"),
    ("Forwarded", "for=_hidden"),
    ("Forwarded", "for=unknown;host=localhost"),
    ("X-Client-IP", "203.0.113.15"),
    ("X-Cluster-Client-IP", "203.0.113.16"),
    ("Client-IP", "203.0.113.17"),
    ("True-Client-IP", "203.0.113.18"),
    ("CF-Connecting-IP", "203.0.113.19"),
    ("CF-Connecting-IPv6", "2001:db8::19"),
    ("Fastly-Client-IP", "203.0.113.20"),
    ("X-Azure-ClientIP", "203.0.113.21"),
    ("X-Azure-SocketIP", "203.0.113.22"),
    ("X-Originating-IP", "203.0.113.23"),
    ("X-Remote-IP", "203.0.113.24"),
    ("X-Remote-Addr", "203.0.113.25"),
    ("X-ProxyUser-Ip", "203.0.113.26"),
    ("X-Forwarded", "for=203.0.113.27"),
    ("Forwarded-For", "203.0.113.28"),
];

fn forged(method: Method, path: &str, (name, value): (&str, &str), body: Option<&Value>) -> Request<Body> {
    let mut sent = request(None, method, path, body);
    let name: http::HeaderName = name.parse().unwrap();
    sent.headers_mut().append(name, value.parse().unwrap());
    sent
}

/// D-21, D-23, D-67.
async fn no_forged_header_changes_whose_request_it_is(product: &Product) {
    let admin = product.admin().await;
    // Limits: each spelling counts for the one address.
    let limit = FORGED.len().to_string();
    let node = super::limited(product, &[("RATE_LIMIT_PER_MINUTE", &limit)]).await;
    for (n, header) in FORGED.into_iter().enumerate() {
        let answer = node.send(forged(Method::GET, ROOT, header, None)).await.expect(200);
        let left: usize = answer.header("x-ratelimit-remaining-minute").unwrap().parse().unwrap();
        assert_eq!(left, FORGED.len() - 1 - n, "{header:?} was counted for somebody else");
    }
    for header in FORGED {
        assert_eq!(node.send(forged(Method::GET, ROOT, header, None)).await.status, 429, "{header:?}");
    }
    node.close().await;
    // IP rules: a blocked stranger stays out, an allowed address is not borrowed.
    let node = product.with(&[("IP_FILTER_ENABLED", "true")]).await;
    let stranger = "127.0.0.66:1".parse().unwrap();
    let rule = json!({"cidr": "127.0.0.66", "rule_type": "block"});
    admin.post("/api/v1/admin/ip-rules", &rule).await.expect(201);
    for address in ["127.0.0.1", "203.0.113.0/24", "2001:db8::/32"] {
        let rule = json!({"cidr": address, "rule_type": "allow", "force": true});
        node.send(request(Some(&admin.token), Method::POST, "/api/v1/admin/ip-rules", Some(&rule))).await.expect(201);
    }
    for header in FORGED {
        for peer in [stranger, "198.51.100.1:1".parse().unwrap()] {
            let answer = node.send_from(peer, forged(Method::GET, ROOT, header, None)).await;
            assert_eq!(answer.code(), "ip_blocked", "{header:?} from {peer}");
        }
    }
    fastcms_core::ip_rules::clear(&fastcms_core::Caller::operator(), &node.app).await.unwrap();
    node.close().await;
    // Lockout: another header is no other guesser.
    product.user("ann").await;
    let wrong = json!({"email": "ann@example.com", "password": "Wrong-Horse7-battery"});
    for header in FORGED.into_iter().take(6) {
        product
            .send(forged(Method::POST, "/api/v1/auth/login", header, Some(&wrong)))
            .await
            .refused(401, "invalid_credentials");
    }
    let right = json!({"email": "ann@example.com", "password": PASSWORD});
    product
        .send(forged(Method::POST, "/api/v1/auth/login", FORGED[0], Some(&right)))
        .await
        .refused(401, "invalid_credentials");
    // Sessions: where somebody signed in from.
    let root = json!({"email": "root@example.com", "password": PASSWORD});
    for header in FORGED {
        let token = product.send(forged(Method::POST, "/api/v1/auth/login", header, Some(&root))).await.expect(200);
        let token = token.json()["token"]["access_token"].as_str().unwrap().to_owned();
        let listed = product.send(request(Some(&token), Method::GET, "/api/v1/auth/sessions", None)).await.expect(200);
        assert_eq!(listed.json()["sessions"][0]["ip_address"], "127.0.0.1", "{header:?}");
        product.send(request(Some(&token), Method::POST, "/api/v1/auth/logout", Some(&json!({})))).await.expect(204);
    }
    // The audit log, down to the last event of all that was done above.
    fastcms_core::audit::flush(&fastcms_core::Caller::operator(), &product.app).await.unwrap();
    let events = admin.get("/api/v1/audit?limit=1000").await.expect(200).json();
    let events = events["items"].as_array().unwrap();
    assert!(events.len() > 2 * FORGED.len(), "{}", events.len());
    for event in events {
        let address = event["ip_address"].as_str().unwrap_or("127.0.0.1");
        assert!(["127.0.0.1", "127.0.0.66", "198.51.100.1"].contains(&address), "{event}");
    }
    // Logs: nothing claimed stands in a row.
    fastcms_core::request_log::flush(&fastcms_core::Caller::operator(), &product.app).await;
    let rows = admin.get("/api/v1/logs?limit=1000").await.expect(200).json();
    let rows = rows["items"].as_array().unwrap();
    assert!(
        !rows.is_empty()
            && rows.iter().all(|row| {
                ["127.0.0.1", "127.0.0.66", "198.51.100.1"].contains(&row["ip_address"].as_str().unwrap())
            })
    );
}

async fn a_lone_private_sender_is_pointed_out(product: &Product) {
    let admin = product.admin().await;
    let proxy = admin.get("/api/v1/admin/limits").await.expect(200).json()["proxy"].clone();
    assert_eq!(proxy["peer"], "127.0.0.1");
    assert_eq!(
        (&proxy["trusted"], &proxy["header"], &proxy["header_value"]),
        (&json!(false), &json!("x-forwarded-for"), &Value::Null)
    );
    assert_eq!((&proxy["client_address"], &proxy["finding"]), (&json!("127.0.0.1"), &Value::Null));
    product.app.limits.note_senders(Some("10.0.0.5".parse().unwrap()));
    let proxy = admin.get("/api/v1/admin/limits").await.expect(200).json()["proxy"].clone();
    let finding = proxy["finding"].as_str().unwrap();
    assert!(finding.contains("10.0.0.5") && finding.contains("TRUSTED_PROXIES"), "{finding}");
    product.app.limits.note_senders(None);
    let answer = admin.get("/api/v1/admin/limits").await.expect(200).json();
    assert_eq!(answer["proxy"]["finding"], Value::Null);
    assert_eq!((&answer["enabled"], &answer["backend"]["degraded"]), (&json!(false), &json!(false)));
}

/// A real server behind a real proxy, asked from 127.0.0.2 by somebody who claims to be another. What the server says of the request.
fn seen_through(proxy: impl FnOnce(u16) -> External) -> Value {
    let mut server = Server::new(&[("TRUSTED_PROXIES", "127.0.0.1/32"), ("RATE_LIMIT_ENABLED", "true")]);
    server.start();
    let token = server.set_up();
    let proxy = proxy(server.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(format!("127.0.0.1:{}", proxy.port).parse().unwrap()).await.unwrap();
        let head = format!(
            "GET /api/v1/admin/limits HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {token}\r\n\
             X-Forwarded-For: 203.0.113.99\r\nForwarded: for=203.0.113.99\r\nX-Real-IP: 203.0.113.99\r\nConnection: close\r\n\r\n",
            proxy.port
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (start, end) = (answer.find("{\"enabled\"").unwrap(), answer.rfind('}').unwrap());
    serde_json::from_str::<Value>(&answer[start..=end]).unwrap()["proxy"].clone()
}

/// R98: the client is who connected to the proxy, not who was claimed to stand before it.
fn is_the_one_who_connected(proxy: &Value) {
    assert_eq!((&proxy["peer"], &proxy["trusted"]), (&json!("127.0.0.1"), &json!(true)), "{proxy}");
    assert_eq!((&proxy["client_address"], &proxy["finding"]), (&json!("127.0.0.2"), &Value::Null), "{proxy}");
}

#[test]
fn behind_a_real_nginx_the_client_is_who_connected_to_it() {
    let proxy = seen_through(External::nginx);
    is_the_one_who_connected(&proxy);
    assert_eq!(proxy["header_value"], "203.0.113.99, 127.0.0.2");
}

#[test]
fn behind_a_real_caddy_the_client_is_who_connected_to_it() {
    is_the_one_who_connected(&seen_through(External::caddy));
}
