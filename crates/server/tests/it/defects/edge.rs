//! Defects of the original that showed at the edge: the root, headers, documentation.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};

use crate::callers::{COLLECTIONS, Calls, call, open, records, request, with_query};
use crate::engine::Engine;
use crate::on_both_engines;
use crate::product::{Answer, Product};

on_both_engines!(
    d36_the_root_answers_in_production,
    d37_every_answer_carries_the_security_headers,
    d38_documentation_is_an_unknown_path_unless_it_is_on,
);

const PRODUCTION: [(&str, &str); 4] = [
    ("ENVIRONMENT", "production"),
    ("BASE_URL", "https://cms.example.com"),
    ("ALLOWED_HOSTS", "localhost,cms.example.com"),
    ("CORS_ORIGINS", "https://app.example.com"),
];

async fn d36_the_root_answers_in_production(product: &Product) {
    let production = product.with(&PRODUCTION).await;
    let root = production.guest().get("/").await.expect(200).json();
    assert!(root["message"].is_string());
    assert_eq!((&root["version"], &root["docs"]), (&Value::Null, &Value::Null));
    assert_eq!(production.guest().get("/health").await.expect(200).json(), json!({"status": "healthy"}));
    production.close().await;
    let debug = product.with(&[("DEBUG", "true")]).await;
    let root = debug.guest().get("/").await.expect(200).json();
    assert_eq!(root["docs"], "/docs");
    assert!(root["version"].is_string());
    debug.close().await;
}

#[track_caller]
fn assert_secured(answer: &Answer, path: &str, what: &str) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-xss-protection", "0"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        (
            "permissions-policy",
            "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
        ),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{what}: {name}");
    }
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() >= 16), "{what}");
    assert!(answer.header("vary").is_some_and(|vary| vary.contains("Origin")), "{what}");
    if path.starts_with("/api/") {
        assert_eq!(answer.header("cache-control"), Some("no-store, no-cache, must-revalidate, private"), "{what}");
        assert_eq!(answer.header("pragma"), Some("no-cache"), "{what}");
    }
    for name in ["server", "x-powered-by"] {
        assert_eq!(answer.header(name), None, "{what}");
    }
    if answer.status.as_u16() >= 400 {
        let body = answer.json();
        assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"), "{what}");
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error", "message", "details", "request_id"], "{what}");
        assert!(body["message"].is_string() && body["details"].is_object(), "{what}");
    }
}

async fn d37_every_answer_carries_the_security_headers(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("things", &json!([{"name": "title", "type": "text"}]))).await;
    let path = records("things");
    let large = json!({"data": {"title": "a".repeat(1 << 20)}});
    let preflight = |origin: &str| {
        Request::builder()
            .method(Method::OPTIONS)
            .uri("/api/v1/collections")
            .header("host", "localhost:8000")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .body(Body::empty())
            .unwrap()
    };
    let users = "/api/v1/admin/users";
    drop_users(product).await;
    for (what, status, path, sent) in [
        ("ok", 200, "/health", request(None, Method::GET, "/health", None)),
        ("ok under /api/", 200, "/api/v1/health", request(None, Method::GET, "/api/v1/health", None)),
        ("unknown path", 404, "/nothing", request(None, Method::GET, "/nothing", None)),
        ("unknown path under /api/", 404, "/api/v1/nothing", request(None, Method::GET, "/api/v1/nothing", None)),
        ("method", 405, &path, request(None, Method::PUT, &path, Some(&json!({})))),
        ("body", 413, &path, request(None, Method::POST, &path, Some(&large))),
        ("not signed in", 401, COLLECTIONS, request(None, Method::GET, COLLECTIONS, None)),
        ("a bad token", 401, &path, request(Some("junk"), Method::GET, &path, None)),
        ("a bad filter", 400, &path, request(None, Method::GET, &with_query(&path, &[("filter", "nope = 1")]), None)),
        ("a bad body", 422, &path, request(None, Method::POST, &path, Some(&json!({})))),
        ("preflight", 400, "/api/v1/collections", preflight("https://evil.example")),
        ("a fault of ours", 500, users, request(Some(&admin.token), Method::GET, users, None)),
    ] {
        let answer = product.send(sent).await;
        assert_eq!(answer.status, status, "{what}: {}", String::from_utf8_lossy(&answer.bytes));
        assert_secured(&answer, path, what);
        assert_eq!(answer.header("strict-transport-security"), None, "{what}: not in development");
        if status == 500 {
            let body = String::from_utf8(answer.bytes.clone()).unwrap().to_lowercase();
            assert_eq!(answer.code(), "internal_error");
            assert!(
                ["select", "table", "sqlite", "postgres", "no such", "relation", "users", "src/"]
                    .iter()
                    .all(|inner| !body.contains(inner)),
                "{body}"
            );
        }
    }
    let production = product.with(&PRODUCTION).await;
    for (path, origin) in [("/", None), ("/api/v1/nothing", None), ("/api/v1/health", Some("https://app.example.com"))]
    {
        let mut sent = request(None, Method::GET, path, None);
        if let Some(origin) = origin {
            sent.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let answer = production.send(sent).await;
        assert_secured(&answer, path, path);
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), origin, "{path}");
    }
    let allowed = production.send(preflight("https://app.example.com")).await;
    assert_eq!(allowed.status, 204);
    assert_secured(&allowed, "/", "preflight");
    production.close().await;
}

/// Takes a table away behind the product's back.
async fn drop_users(product: &Product) {
    if product.engine() == Engine::Sqlite {
        let file = product.url().strip_prefix("sqlite://").unwrap();
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = off; ALTER TABLE users RENAME TO taken_away").unwrap();
        return;
    }
    let (client, connection) = tokio_postgres::connect(product.url(), tokio_postgres::NoTls).await.unwrap();
    let driving = tokio::spawn(connection);
    client.batch_execute("ALTER TABLE users RENAME TO taken_away").await.unwrap();
    drop(client);
    let _ = driving.await;
}

/// What of an answer must be alike: status, headers and body without what differs with every request.
fn comparable(answer: &Answer) -> (u16, BTreeMap<String, String>, String) {
    let without = |headers: &HeaderMap| {
        let headers = headers.iter().filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    };
    let id = answer.header("x-request-id").unwrap_or("-").to_owned();
    (answer.status.as_u16(), without(&answer.headers), String::from_utf8_lossy(&answer.bytes).replace(&id, "[id]"))
}

async fn d38_documentation_is_an_unknown_path_unless_it_is_on(product: &Product) {
    let admin = product.admin().await;
    let production = product.with(&PRODUCTION).await;
    for node in [product, &production] {
        for token in [None, Some(admin.token.as_str())] {
            // A production node issues for its own address; a token of the other is no credential there.
            let token = token.filter(|_| std::ptr::eq(node, product));
            for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
                let unknown = comparable(&call(node, token, method.clone(), "/nothing", None).await);
                assert_eq!(unknown.0, 404);
                for path in
                    ["/docs", "/docs/", "/redoc", "/openapi.json", "/Docs", "/docs/index.html", "/openapi.json/"]
                {
                    let answer = comparable(&call(node, token, method.clone(), path, None).await);
                    assert_eq!(answer, unknown, "{method} {path}");
                }
            }
        }
    }
    production.close().await;
    let debug = product.with(&[("DEBUG", "true")]).await;
    for path in ["/docs", "/redoc", "/openapi.json"] {
        debug.guest().get(path).await.expect(200);
    }
    let document = debug.guest().get("/openapi.json").await.expect(200).json();
    for path in ["/api/v1/collections", "/api/v1/collections/{name}/records", "/api/v1/collections/{name}/records/{id}"]
    {
        assert!(document["paths"].get(path).is_some(), "{path} is served and not documented");
    }
    debug.close().await;
}
