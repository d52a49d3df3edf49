//! Client address, CORS, host and HTTPS: each at its place.

use super::*;

const PREFLIGHT: [(&str, &str); 2] =
    [("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];

#[tokio::test]
async fn a_preflight_is_answered_before_anything_is_looked_up() {
    let origin = ("origin", "https://app.example.com");
    for path in ["/api/v1/login", "/nothing", "/openapi.json"] {
        let reply =
            call_with("OPTIONS", path, &[origin, PREFLIGHT[0], PREFLIGHT[1], ("authorization", "Bearer junk")]).await;
        assert_eq!(reply.status, 204, "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example.com"));
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, PUT, PATCH, DELETE, OPTIONS"));
        assert_eq!(reply.header("access-control-max-age"), Some("600"));
        assert_eq!(reply.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn a_refused_preflight_grants_nothing() {
    let origin = ("origin", "https://app.example.com");
    for (part, headers) in [
        ("origin", [("origin", "https://evil.example"), PREFLIGHT[0], PREFLIGHT[1]]),
        ("origin", [("origin", "null"), PREFLIGHT[0], PREFLIGHT[1]]),
        ("method", [origin, ("access-control-request-method", "TRACE"), PREFLIGHT[1]]),
        ("header", [origin, PREFLIGHT[0], ("access-control-request-headers", "accept, x-evil")]),
    ] {
        let reply = call_with("OPTIONS", "/api/v1/login", &headers).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_request"));
        assert!(reply.json()["details"].get(part).is_some(), "{part}: {reply:?}");
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{reply:?}");
    }
}

#[tokio::test]
async fn two_origins_are_none() {
    let (listed, evil) = (("origin", "https://app.example.com"), ("origin", "https://evil.example"));
    for both in [[listed, evil], [evil, listed], [listed, listed]] {
        let preflight = call_with("OPTIONS", "/api/v1/login", &[both[0], both[1], PREFLIGHT[0], PREFLIGHT[1]]).await;
        assert_eq!(preflight.status, 400);
        let simple = call_with("GET", "/health", &both).await;
        for reply in [preflight, simple] {
            assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_listed_origin_may_read_every_answer_and_others_none() {
    for path in ["/health", "/nothing", "/api/v1/me", "/api/v1/panics"] {
        let reply = call_with("GET", path, &[("origin", "https://app.example.com")]).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example.com"), "{path}");
        assert!(reply.header("access-control-expose-headers").unwrap().contains("X-Request-ID"));
        let other = call_with("GET", path, &[("origin", "https://app.example.com.evil.com")]).await;
        assert_eq!(other.header("access-control-allow-origin"), None);
        assert_eq!(other.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_says_who_the_client_is() {
    let trusted = call("GET", "/api/v1/client").await.json();
    assert_eq!((&trusted["address"], &trusted["secure"]), (&json!("203.0.113.7"), &json!(true)));
    let loopback = EdgeSettings { loopback: true, ..settings() };
    let sent = request("GET", "/api/v1/client").body(Body::empty()).unwrap();
    let untrusted = send_from("198.51.100.1:1", loopback, sent).await.json();
    assert_eq!((&untrusted["address"], &untrusted["secure"]), (&json!("198.51.100.1"), &json!(false)));
}

async fn to_host(host: &str, path: &str, settings: EdgeSettings) -> Reply {
    let sent = Request::builder().uri(path).header("host", host).header("x-forwarded-proto", "https");
    send_from(PROXY, settings, sent.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn other_hosts_are_misdirected() {
    for (host, status) in [
        ("cms.example.com", 200),
        ("CMS.example.com:8443", 200),
        ("evil.example", 421),
        ("cms.example.com.evil.example", 421),
        ("cms.example.com:80@evil.example", 421),
        ("localhost", 421),
    ] {
        assert_eq!(to_host(host, "/api/v1/page", settings()).await.status, status, "{host}");
        assert_eq!(to_host(host, "/health", settings()).await.status, 200, "{host} may be asked for its health");
    }
    let loopback = || EdgeSettings { loopback: true, ..settings() };
    assert_eq!(to_host("127.0.0.1:8000", "/api/v1/page", loopback()).await.status, 200);
    assert_eq!(to_host("evil.example", "/api/v1/page", loopback()).await.status, 421);
    let forwarded = call_with("GET", "/api/v1/page", &[("x-forwarded-host", "evil.example")]).await;
    assert_eq!(forwarded.code(), "misdirected_host");
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let none = Request::builder().uri("/health").body(Body::empty()).unwrap();
    assert_eq!(send(none).await.code(), "bad_request");
    let two = request("GET", "/health").header("host", "cms.example.com").body(Body::empty()).unwrap();
    assert_eq!(send(two).await.code(), "bad_request");
}

#[tokio::test]
async fn plain_http_is_not_served_in_production() {
    let plain = |path: &str| request("GET", path).body(Body::empty()).unwrap();
    let page = send_from("198.51.100.1:1", settings(), plain("/admin/?a=1")).await;
    assert_eq!((page.status, page.header("location")), (308, Some("https://cms.example.com/admin/?a=1")));
    let api = send_from("198.51.100.1:1", settings(), plain("/api/v1/page")).await;
    assert_eq!((api.status, api.code().as_str()), (403, "https_required"));
    assert_eq!(send_from("198.51.100.1:1", settings(), plain("/health")).await.status, 200);
    let development = EdgeSettings { production: false, ..settings() };
    assert_eq!(send_from("198.51.100.1:1", development, plain("/api/v1/page")).await.status, 200);
}
