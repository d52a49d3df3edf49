//! The rate limit from outside (contract 9.4): who is charged, how much, and what a refusal says.

use std::net::SocketAddr;

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, open, records, request};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product};

mod addresses;
mod sharing;

on_both_engines!(
    the_eighth_of_seven_in_any_minute_is_refused_and_says_for_how_long,
    the_limit_of_an_hour_binds_over_minutes,
    a_refusal_carries_what_every_answer_does,
    people_behind_one_address_have_budgets_of_their_own,
    a_credential_that_is_not_verified_counts_for_its_address,
    an_address_of_ipv6_is_its_subscriber_and_a_mapped_one_is_ipv4,
    the_doors_have_budgets_that_other_traffic_does_not_eat,
    an_account_has_a_budget_wherever_it_is_called_from,
    another_spelling_of_a_door_is_no_other_budget,
    preflights_health_and_exempt_addresses_are_free,
    switched_off_nothing_is_limited,
    the_headers_are_those_that_were_asked_for,
    an_account_that_is_made_as_a_record_counts_as_a_registration,
);

const LOGIN: &str = "/api/v1/auth/login";
const ROOT: &str = "/";

async fn get_from(product: &Product, peer: &str, path: &str) -> Answer {
    product.send_from(peer.parse().unwrap(), request(None, Method::GET, path, None)).await
}

/// The statuses of so many requests.
async fn statuses(product: &Product, count: usize, path: &str) -> Vec<u16> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(product.guest().get(path).await.status.as_u16());
    }
    found
}

fn retry_after(answer: &Answer) -> i64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

async fn limited(product: &Product, settings: &[(&str, &str)]) -> Product {
    let mut all = vec![("RATE_LIMIT_ENABLED", "true")];
    all.extend_from_slice(settings);
    product.with(&all).await
}

async fn the_eighth_of_seven_in_any_minute_is_refused_and_says_for_how_long(product: &Product) {
    let node = limited(product, &[("RATE_LIMIT_PER_MINUTE", "7")]).await;
    for n in 0..7 {
        let answer = node.guest().get(ROOT).await.expect(200);
        assert_eq!(answer.header("x-ratelimit-remaining-minute").unwrap(), (6 - n).to_string());
        node.clock.advance_millis(1_500);
    }
    let refused = node.guest().get(ROOT).await.refused(429, "rate_limited");
    let seconds = retry_after(&refused);
    assert!((49..=65).contains(&seconds), "{seconds}");
    let details = &refused.json()["details"];
    assert_eq!(details, &json!({"limit_per_minute": 7, "limit_per_hour": 1000, "retry_after_seconds": seconds}));
    node.clock.advance_seconds(seconds);
    node.guest().get(ROOT).await.expect(200);
    node.close().await;
}

async fn the_limit_of_an_hour_binds_over_minutes(product: &Product) {
    let node = limited(product, &[("RATE_LIMIT_PER_MINUTE", "7"), ("RATE_LIMIT_PER_HOUR", "20")]).await;
    let mut admitted = 0;
    for _ in 0..6 {
        admitted += statuses(&node, 4, ROOT).await.iter().filter(|status| **status == 200).count();
        node.clock.advance_seconds(120);
    }
    assert_eq!(admitted, 20);
    let refused = node.guest().get(ROOT).await.refused(429, "rate_limited");
    assert!(retry_after(&refused) > 2_000, "{}", retry_after(&refused));
    node.clock.advance_seconds(retry_after(&refused));
    node.guest().get(ROOT).await.expect(200);
    node.close().await;
}

async fn a_refusal_carries_what_every_answer_does(product: &Product) {
    let node = limited(product, &[("RATE_LIMIT_PER_MINUTE", "1"), ("CORS_ORIGINS", "https://app.example.com")]).await;
    let asked = || {
        let mut sent = request(None, Method::GET, ROOT, None);
        sent.headers_mut().insert(header::ORIGIN, "https://app.example.com".parse().unwrap());
        sent
    };
    node.send(asked()).await.expect(200);
    let refused = node.send(asked()).await.refused(429, "rate_limited");
    for name in [
        "x-content-type-options",
        "x-frame-options",
        "content-security-policy",
        "x-request-id",
        "vary",
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
        "x-ratelimit-limit-minute",
        "x-ratelimit-limit-hour",
        "x-ratelimit-remaining-minute",
        "x-ratelimit-remaining-hour",
    ] {
        assert!(refused.header(name).is_some(), "{name}");
    }
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(refused.header("access-control-expose-headers").unwrap().contains("Retry-After"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"m\";q=1;w=60, \"h\";q=1000;w=3600"));
    assert!(refused.header("ratelimit").unwrap().starts_with("\"m\";r=0;t="), "{:?}", refused.header("ratelimit"));
    assert_eq!(refused.json()["request_id"], refused.header("x-request-id").unwrap());
    node.close().await;
}

async fn people_behind_one_address_have_budgets_of_their_own(product: &Product) {
    product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    let node = limited(product, &[("RATE_LIMIT_PER_MINUTE", "5")]).await;
    let me = |token: String| {
        let node = &node;
        async move { node.send(request(Some(&token), Method::GET, "/api/v1/auth/me", None)).await }
    };
    for _ in 0..5 {
        me(ann.token.clone()).await.expect(200);
    }
    me(ann.token.clone()).await.refused(429, "rate_limited");
    me(bob.token.clone()).await.expect(200);
    node.guest().get(ROOT).await.expect(200);
    // From elsewhere it is still ann.
    let elsewhere: SocketAddr = "203.0.113.9:1".parse().unwrap();
    let sent = request(Some(&ann.token), Method::GET, "/api/v1/auth/me", None);
    node.send_from(elsewhere, sent).await.refused(429, "rate_limited");
    node.close().await;
}

/// D-21: every invented credential and every invented forwarding header was a new budget.
async fn a_credential_that_is_not_verified_counts_for_its_address(product: &Product) {
    let node = limited(product, &[("RATE_LIMIT_PER_MINUTE", "6")]).await;
    for n in 0..6 {
        let token = format!("invented-{n}");
        node.send(request(Some(&token), Method::GET, "/api/v1/auth/me", None)).await.refused(401, "invalid_token");
    }
    node.send(request(Some("one more"), Method::GET, "/api/v1/auth/me", None)).await.refused(429, "rate_limited");
    node.guest().get("/api/v1/auth/me?access_token=x").await.refused(429, "rate_limited");
    let mut key = request(None, Method::GET, ROOT, None);
    key.headers_mut().insert("x-api-key", "fcms_00000000_00000000000000000000000000000000".parse().unwrap());
    assert_eq!(node.send(key).await.status, 429);
    let mut forwarded = request(None, Method::GET, ROOT, None);
    forwarded.headers_mut().insert("x-forwarded-for", "198.51.100.77".parse().unwrap());
    assert_eq!(node.send(forwarded).await.status, 429);
    get_from(&node, "127.0.0.2:1", ROOT).await.expect(200);
    node.close().await;
}

async fn an_address_of_ipv6_is_its_subscriber_and_a_mapped_one_is_ipv4(product: &Product) {
    let node = limited(product, &[("RATE_LIMIT_PER_MINUTE", "2")]).await;
    for (peer, status) in [
        ("[2001:db8:0:1::1]:1", 200),
        ("[2001:db8:0:1::2]:1", 200),
        ("[2001:db8:0:1:ffff::3]:1", 429),
        ("[2001:db8:0:2::1]:1", 200),
        ("203.0.113.7:1", 200),
        ("[::ffff:203.0.113.7]:1", 200),
        ("203.0.113.7:2", 429),
    ] {
        assert_eq!(get_from(&node, peer, ROOT).await.status, status, "{peer}");
    }
    // R106: one site has many subscribers, and a ceiling above them: 16 times as much.
    let mut admitted = 0;
    for n in 0..40 {
        admitted += usize::from(get_from(&node, &format!("[2001:db8:7:{n:x}::1]:1"), ROOT).await.status == 200);
    }
    assert_eq!(admitted, 32);
    node.close().await;
}

fn credentials(email: &str) -> Value {
    json!({"email": email, "password": "Wrong-Horse7-battery"})
}

async fn the_doors_have_budgets_that_other_traffic_does_not_eat(product: &Product) {
    product.admin().await;
    let node = limited(product, &[("RATE_LIMIT_PER_MINUTE", "20"), ("ACCOUNT_LOCKOUT_ENABLED", "false")]).await;
    assert_eq!(statuses(&node, 21, ROOT).await.last(), Some(&429));
    let right = json!({"email": "root@example.com", "password": PASSWORD});
    let answer = node.guest().post(LOGIN, &right).await.expect(200);
    assert_eq!(answer.header("x-ratelimit-limit-minute"), Some("10"));
    assert_eq!(answer.header("x-ratelimit-limit-hour"), Some("50"));
    for n in 0..9 {
        node.guest()
            .post(LOGIN, &credentials(&format!("nobody{n}@example.com")))
            .await
            .refused(401, "invalid_credentials");
    }
    let refused = node.guest().post(LOGIN, &right).await.refused(429, "rate_limited");
    assert_eq!(refused.json()["details"]["limit_per_minute"], 10);
    // CVE-2025-64526: what else stands in the body changes nothing.
    let mut dressed = right.clone();
    dressed["two_factor_code"] = json!("000000");
    node.guest().post(LOGIN, &dressed).await.refused(429, "rate_limited");
    // Each class by itself.
    let token = json!({"refresh_token": "junk"});
    node.guest().post("/api/v1/auth/refresh", &token).await.refused(401, "invalid_refresh_token");
    let new =
        |n: usize| json!({"email": format!("new{n}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
    for n in 0..5 {
        node.guest().post("/api/v1/auth/register", &new(n)).await.expect(201);
    }
    node.guest().post("/api/v1/auth/register", &new(5)).await.refused(429, "rate_limited");
    node.close().await;
}

async fn an_account_has_a_budget_wherever_it_is_called_from(product: &Product) {
    let admin = product.admin().await;
    let refresh = admin.tokens["refresh_token"].clone();
    let node = limited(product, &[]).await;
    // One account, a new address each time.
    let mut last = Value::Null;
    for n in 0..31 {
        let peer: SocketAddr = format!("203.0.113.{n}:1").parse().unwrap();
        let body = json!({"refresh_token": refresh});
        let answer = node.send_from(peer, request(None, Method::POST, "/api/v1/auth/refresh", Some(&body))).await;
        last = json!(answer.status.as_u16());
        if n < 30 {
            assert_eq!(answer.status, 200, "{n}: {}", answer.json());
        }
    }
    assert_eq!(last, 429);
    node.close().await;
}

/// CVE-2023-38507: the limiter went by the raw path, and another case or slash escaped it.
async fn another_spelling_of_a_door_is_no_other_budget(product: &Product) {
    product.admin().await;
    let node = limited(product, &[("ACCOUNT_LOCKOUT_ENABLED", "false")]).await;
    for n in 0..10 {
        node.guest()
            .post(LOGIN, &credentials(&format!("nobody{n}@example.com")))
            .await
            .refused(401, "invalid_credentials");
    }
    for (method, path) in [
        (Method::POST, "/api/v1/auth/login/"),
        (Method::POST, "/api/v1/auth/LOGIN"),
        (Method::POST, "//api/v1/auth/login"),
        (Method::POST, "/api/v1//auth/login"),
        (Method::POST, "/api/v1/auth/%6cogin"),
        (Method::POST, "/api/v1/auth/%2e/login"),
        (Method::POST, "/api/v1/auth/login;x=1"),
        (Method::POST, "/api/v1/auth/login?x=1"),
        (Method::HEAD, "/api/v1/auth/login"),
        (Method::OPTIONS, "/api/v1/auth/login"),
        (Method::PUT, "/api/v1/auth/login"),
    ] {
        let answer = node.send(request(None, method.clone(), path, None)).await;
        assert_eq!(answer.status, 429, "{method} {path}");
    }
    node.close().await;
}

async fn preflights_health_and_exempt_addresses_are_free(product: &Product) {
    let settings = [("RATE_LIMIT_PER_MINUTE", "1"), ("RATE_LIMIT_EXEMPT_CIDRS", "198.51.100.0/24,2001:db8::/32")];
    let node = limited(product, &settings).await;
    node.guest().get(ROOT).await.expect(200);
    node.guest().get(ROOT).await.refused(429, "rate_limited");
    for _ in 0..5 {
        let answer = node.guest().get("/health").await.expect(200);
        assert_eq!(answer.header("ratelimit"), None);
        node.guest().get("/health/live").await.expect(200);
        let preflight = Request::options(LOGIN)
            .header(header::HOST, "localhost:8000")
            .header(header::ORIGIN, "http://localhost:3000")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        node.send(preflight.body(Body::empty()).unwrap()).await.expect(204);
        get_from(&node, "198.51.100.200:1", ROOT).await.expect(200);
        get_from(&node, "[2001:db8:5::1]:1", ROOT).await.expect(200);
    }
    get_from(&node, "198.51.101.1:1", ROOT).await.expect(200);
    get_from(&node, "198.51.101.1:1", ROOT).await.refused(429, "rate_limited");
    node.close().await;
}

async fn switched_off_nothing_is_limited(product: &Product) {
    let settings =
        [("RATE_LIMIT_ENABLED", "false"), ("RATE_LIMIT_PER_MINUTE", "1"), ("ACCOUNT_LOCKOUT_ENABLED", "false")];
    let node = product.with(&settings).await;
    for _ in 0..12 {
        assert_eq!(node.guest().get(ROOT).await.expect(200).header("ratelimit"), None);
        node.guest().post(LOGIN, &credentials("nobody@example.com")).await.refused(401, "invalid_credentials");
    }
    node.close().await;
}

async fn the_headers_are_those_that_were_asked_for(product: &Product) {
    for (which, draft, legacy) in
        [("draft", true, false), ("legacy", false, true), ("both", true, true), ("off", false, false)]
    {
        let node = limited(product, &[("RATE_LIMIT_HEADERS", which)]).await;
        let answer = node.guest().get(ROOT).await.expect(200);
        assert_eq!(answer.header("ratelimit").is_some(), draft, "{which}");
        assert_eq!(answer.header("ratelimit-policy").is_some(), draft, "{which}");
        assert_eq!(answer.header("x-ratelimit-remaining-hour").is_some(), legacy, "{which}");
        node.close().await;
    }
}

/// Three doors to one thing have one budget.
async fn an_account_that_is_made_as_a_record_counts_as_a_registration(product: &Product) {
    let admin = product.admin().await;
    let mut members = open("members", &json!([]));
    members["type"] = json!("auth");
    admin.collection(&members).await;
    let node = limited(product, &[]).await;
    let guest = node.guest();
    let account = |n: i32| json!({"email": format!("m{n}@example.com"), "password": PASSWORD});
    guest.post("/api/v1/collections/members/auth/register", &account(0)).await.expect(201);
    for n in 1..5 {
        guest.create("members", &account(n)).await.expect(201);
    }
    guest.create("members", &account(5)).await.refused(429, "rate_limited");
    guest.post("/api/v1/collections/members/auth/register", &account(5)).await.refused(429, "rate_limited");
    let many = json!({"records": [account(6), account(7)]});
    let user = Bearer { product: &node, token: product.user("ann").await.token };
    for verb in ["batch", "upsert"] {
        let answer = user.post(&format!("{}/{verb}", records("members")), &many).await.json();
        assert!(answer.to_string().contains("rate_limited"), "{verb}: {answer}");
    }
    // Whoever keeps the accounts moves as many in as there are.
    let admin = Bearer { product: &node, token: admin.token };
    for n in 10..20 {
        admin.create("members", &account(n)).await.expect(201);
    }
    assert_eq!(admin.list("members", &[]).await.expect(200).json()["total"], 15);
    node.close().await;
}
