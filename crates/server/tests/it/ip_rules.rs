//! Which client addresses may come in, from outside (contract 9.5), and `ADMIN_ALLOWED_CIDRS`.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, request};
use crate::on_both_engines;
use crate::process::Server;
use crate::product::{Answer, Product, text};

on_both_engines!(
    a_blocked_network_is_told_nothing_but_health,
    once_a_rule_allows_only_the_allowed_come_in,
    a_rule_ends_at_its_moment_and_with_its_deletion,
    every_node_hears_of_a_rule,
    nobody_locks_themselves_out_without_saying_so,
    rules_are_checked_listed_and_for_admins_alone,
    without_the_switch_rules_do_nothing,
    what_is_for_admins_is_reached_from_where_the_setting_says,
);

const RULES: &str = "/api/v1/admin/ip-rules";
const INSIDE: &str = "203.0.113.7:1";
const OUTSIDE: &str = "198.51.100.1:1";

async fn get_from(product: &Product, peer: &str, path: &str) -> Answer {
    product.send_from(peer.parse().unwrap(), request(None, Method::GET, path, None)).await
}

/// A node with the filter on, and its admin, who comes from 127.0.0.1.
async fn filtering(product: &Product) -> (Product, String) {
    let token = product.admin().await.token;
    (product.with(&[("IP_FILTER_ENABLED", "true")]).await, token)
}

fn as_admin<'p>(node: &'p Product, token: &str) -> Admin<'p> {
    Admin { product: node, id: String::new(), token: token.to_owned(), tokens: Value::Null }
}

fn rule(cidr: &str, rule_type: &str) -> Value {
    json!({"cidr": cidr, "rule_type": rule_type, "reason": "why is nobody's business"})
}

async fn a_blocked_network_is_told_nothing_but_health(product: &Product) {
    let (node, token) = filtering(product).await;
    as_admin(&node, &token).post(RULES, &rule("203.0.113.0/24", "block")).await.expect(201);
    for path in ["/", "/api/v1/collections/x/records", "/nothing", "/admin/setup"] {
        let refused = get_from(&node, INSIDE, path).await.refused(403, "ip_blocked");
        assert!(!refused.json().to_string().contains("business"), "{}", refused.json());
        assert!(refused.header("x-frame-options").is_some() && refused.header("x-request-id").is_some());
    }
    for path in ["/health", "/health/live", "/api/v1/health"] {
        get_from(&node, INSIDE, path).await.expect(200);
    }
    get_from(&node, "[::ffff:203.0.113.7]:1", "/").await.refused(403, "ip_blocked");
    get_from(&node, OUTSIDE, "/").await.expect(200);
    // A token does not help.
    let sent = request(Some(&token), Method::GET, "/api/v1/auth/me", None);
    node.send_from(INSIDE.parse().unwrap(), sent).await.refused(403, "ip_blocked");
    node.close().await;
}

async fn once_a_rule_allows_only_the_allowed_come_in(product: &Product) {
    let (node, token) = filtering(product).await;
    let admin = as_admin(&node, &token);
    admin.post(RULES, &rule("127.0.0.0/8", "allow")).await.expect(201);
    admin.post(RULES, &rule("2001:db8::/32", "allow")).await.expect(201);
    admin.post(RULES, &rule("127.0.0.66", "block")).await.expect(201);
    for (peer, status) in [
        ("127.0.0.1:1", 200),
        ("[2001:db8:1::1]:1", 200),
        ("[2001:db9::1]:1", 403),
        (OUTSIDE, 403),
        ("127.0.0.66:1", 403),
    ] {
        assert_eq!(get_from(&node, peer, "/").await.status, status, "{peer}");
    }
    node.close().await;
}

async fn a_rule_ends_at_its_moment_and_with_its_deletion(product: &Product) {
    let (node, token) = filtering(product).await;
    let admin = as_admin(&node, &token);
    let mut passing = rule("203.0.113.0/24", "block");
    passing["expires_at"] = json!(fastcms_core::time::stamp(node.app.now_millis() + 60_000));
    admin.post(RULES, &passing).await.expect(201);
    node.clock.advance_millis(59_999);
    get_from(&node, INSIDE, "/").await.refused(403, "ip_blocked");
    node.clock.advance_millis(1);
    get_from(&node, INSIDE, "/").await.expect(200);
    let made = admin.post(RULES, &rule("203.0.113.7", "block")).await.expect(201).json();
    assert_eq!(made["cidr"], "203.0.113.7/32");
    get_from(&node, INSIDE, "/").await.refused(403, "ip_blocked");
    let path = format!("{RULES}/{}", text(&made["id"]));
    admin.delete(&path).await.expect(204);
    get_from(&node, INSIDE, "/").await.expect(200);
    admin.delete(&path).await.refused(404, "not_found");
    node.close().await;
}

/// Asks until the answer has this status; on PostgreSQL that is a message away, on one SQLite file a look every four seconds.
async fn soon(node: &Product, peer: &str, status: u16) {
    for _ in 0..120 {
        if get_from(node, peer, "/").await.status == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{peer} is not answered {status} within six seconds");
}

async fn every_node_hears_of_a_rule(product: &Product) {
    let (node, token) = filtering(product).await;
    let other = product.with(&[("IP_FILTER_ENABLED", "true")]).await;
    get_from(&other, INSIDE, "/").await.expect(200);
    let made = as_admin(&node, &token).post(RULES, &rule("203.0.113.0/24", "block")).await.expect(201).json();
    soon(&other, INSIDE, 403).await;
    as_admin(&node, &token).delete(&format!("{RULES}/{}", text(&made["id"]))).await.expect(204);
    soon(&other, INSIDE, 200).await;
    node.close().await;
    other.close().await;
}

/// R113.
async fn nobody_locks_themselves_out_without_saying_so(product: &Product) {
    let (node, token) = filtering(product).await;
    let admin = as_admin(&node, &token);
    for (cidr, rule_type) in [
        ("127.0.0.1", "block"),
        ("127.0.0.0/8", "block"),
        ("0.0.0.0/0", "block"),
        ("::ffff:127.0.0.0/104", "block"),
        ("203.0.113.0/24", "allow"),
    ] {
        admin.post(RULES, &rule(cidr, rule_type)).await.refused(409, "would_lock_you_out");
    }
    assert_eq!(admin.get(RULES).await.expect(200).json()["total"], 0);
    let mut forced = rule("203.0.113.0/24", "allow");
    forced["force"] = json!(true);
    admin.post(RULES, &forced).await.expect(201);
    admin.get(RULES).await.refused(403, "ip_blocked");
    // The way back in, from the host.
    let gone = fastcms_core::ip_rules::clear(&fastcms_core::Caller::operator(), &node.app).await.unwrap();
    assert_eq!(gone, 1);
    admin.get(RULES).await.expect(200);
    node.close().await;
}

async fn rules_are_checked_listed_and_for_admins_alone(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ann").await;
    for (field, body) in [
        ("cidr", rule("203.0.113.0/33", "block")),
        ("cidr", rule("example.com", "block")),
        ("cidr", rule("203.0.113.7:80", "block")),
        ("rule_type", rule("203.0.113.7", "deny")),
        ("expires_at", json!({"cidr": "203.0.113.7", "rule_type": "block", "expires_at": "2020-01-01T00:00:00Z"})),
        ("expires_at", json!({"cidr": "203.0.113.7", "rule_type": "block", "expires_at": "tomorrow"})),
        ("cidr", json!({"rule_type": "block"})),
        ("other", json!({"cidr": "203.0.113.7", "rule_type": "block", "other": 1})),
    ] {
        let refused = admin.post(RULES, &body).await.refused(422, "validation_failed");
        assert!(refused.json()["details"][field].is_string(), "{body}: {}", refused.json());
    }
    let made = admin.post(RULES, &rule("203.0.113.77/24", "block")).await.expect(201).json();
    assert_eq!((&made["cidr"], &made["created_by"]), (&json!("203.0.113.0/24"), &json!(admin.id)));
    admin.post("/api/v1/ip-rules", &rule("127.0.0.0/8", "allow")).await.expect(201);
    for path in [RULES, "/api/v1/ip-rules"] {
        let page = admin.get(path).await.expect(200).json();
        assert_eq!((&page["total"], &page["per_page"], &page["total_pages"]), (&json!(2), &json!(50), &json!(1)));
        let blocks = admin.get(&format!("{path}?rule_type=block&per_page=200")).await.expect(200).json();
        assert_eq!((&blocks["total"], &blocks["items"][0]["id"]), (&json!(1), &made["id"]));
        admin.get(&format!("{path}?rule_type=deny")).await.refused(422, "validation_failed");
        admin.get(&format!("{path}?per_page=201")).await.refused(422, "validation_failed");
        user.get(path).await.refused(403, "forbidden");
        user.post(path, &rule("203.0.113.7", "block")).await.refused(403, "forbidden");
        product.guest().get(path).await.refused(401, "authentication_required");
        let one = format!("{path}/{}", text(&made["id"]));
        user.delete(&one).await.refused(403, "forbidden");
        product.guest().delete(&one).await.refused(401, "authentication_required");
    }
}

async fn without_the_switch_rules_do_nothing(product: &Product) {
    let admin = product.admin().await;
    admin.post(RULES, &rule("203.0.113.0/24", "block")).await.expect(201);
    get_from(product, INSIDE, "/").await.expect(200);
}

async fn what_is_for_admins_is_reached_from_where_the_setting_says(product: &Product) {
    let token = product.admin().await.token;
    let node = product.with(&[("ADMIN_ALLOWED_CIDRS", "10.0.0.0/8,2001:db8::/32")]).await;
    for path in [
        "/admin/setup",
        "/admin/",
        "/admin",
        "/setup",
        "/api/v1/setup/check",
        "/api/v1/admin/users",
        "/api/v1/admin/limits",
        "/api/v1/ip-rules",
        "/api/v1/logs",
        "/api/v1/collections",
    ] {
        let get = |peer: &str| node.send_from(peer.parse().unwrap(), request(Some(&token), Method::GET, path, None));
        get(OUTSIDE).await.refused(403, "ip_blocked");
        for peer in ["10.1.2.3:1", "[2001:db8::5]:1", "[::ffff:10.1.2.3]:1"] {
            assert_ne!(get(peer).await.code(), "ip_blocked", "{path} from {peer}");
        }
    }
    for path in ["/", "/api/v1/auth/me", "/health", "/api/v1/collections/posts/records", "/administrators"] {
        let sent = request(Some(&token), Method::GET, path, None);
        assert_ne!(node.send_from(OUTSIDE.parse().unwrap(), sent).await.code(), "ip_blocked", "{path}");
    }
    node.close().await;
}

/// Locked out from outside, let in again by the command line, without a restart.
#[test]
fn the_command_line_is_the_way_back_in() {
    let mut server = Server::new(&[("IP_FILTER_ENABLED", "true")]);
    server.start();
    let token = server.set_up();
    let body = json!({"cidr": "203.0.113.0/24", "rule_type": "allow", "force": true});
    assert_eq!(server.call("POST", RULES, Some(&token), Some(&body)).status, 201);
    assert_eq!(server.call("GET", RULES, Some(&token), None).status, 403);
    let unasked = server.run(&["ip-rules", "clear"], "y\n");
    assert!(!unasked.status.success(), "there is no terminal to ask at");
    assert!(String::from_utf8_lossy(&unasked.stderr).contains("--yes"), "{unasked:?}");
    let output = server.run(&["ip-rules", "clear", "--yes"], "");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("1 IP rules removed"), "{output:?}");
    let back = (0..120).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        server.call("GET", RULES, Some(&token), None).status == 200
    });
    assert!(back, "still locked out after six seconds");
}
