//! Session cookies at the edge: when one counts, when it is refused, when it is taken back.

use super::*;

const CLEARED: &str =
    "fastcms_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure";

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

#[tokio::test]
async fn a_header_decides_and_a_cookie_counts_without_one() {
    let cookie = ("cookie", "a=b; fastcms_session=user");
    let alone = call_with("GET", "/api/v1/me", &[cookie]).await;
    assert_eq!(alone.status, 200);
    assert_eq!(alone.header("set-cookie"), None);
    for (authorization, status) in [("Bearer member", 401), ("Bearer junk", 401)] {
        let both = call_with("GET", "/api/v1/me", &[cookie, ("authorization", authorization)]).await;
        assert_eq!((both.status, both.header("set-cookie")), (status, None), "{authorization}");
    }
    // Nobody forges a header across origins, so nothing more is asked of it.
    let path = "/api/v1/houses/h/things/01912345-0000-7000-8000-000000000001";
    let headers =
        [("cookie", "fastcms_session=user"), ("authorization", "Bearer admin"), ("sec-fetch-site", "cross-site")];
    assert_eq!(call_with("DELETE", path, &headers).await.status, 204);
}

#[tokio::test]
async fn a_stale_cookie_is_a_guest_who_is_told_to_drop_it() {
    let cookie = ("cookie", "fastcms_session=junk");
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("HEAD", "/health", 200),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/panics", 500),
        // A guest has nothing that another site could make use of.
        ("POST", "/api/v1/page", 405),
    ] {
        let reply = call_with(method, path, &[cookie]).await;
        assert_eq!((reply.status, reply.header("set-cookie")), (status, Some(CLEARED)), "{method} {path}");
        assert!(reply.header("cache-control").unwrap().contains("no-store"), "{path}");
    }
    let me = call_with("GET", "/api/v1/me", &[cookie]).await;
    assert_eq!(refused(&me), (401, "authentication_required".to_owned()));
    assert_eq!(me.header("set-cookie"), Some(CLEARED));
}

#[tokio::test]
async fn what_a_cookie_made_visible_is_kept_by_no_cache() {
    let reply = call_with("GET", "/health", &[("cookie", "fastcms_session=user")]).await;
    assert!(reply.header("cache-control").unwrap().contains("no-store"));
    let other = call_with("GET", "/health", &[("cookie", "other=user")]).await;
    assert_eq!((other.header("cache-control"), other.header("set-cookie")), (None, None));
}

#[tokio::test]
async fn a_session_that_cannot_be_looked_up_is_neither_a_guest_nor_over() {
    let reply = call_with("GET", "/health", &[("cookie", "fastcms_session=unknowable")]).await;
    assert_eq!(refused(&reply), (503, "unavailable".to_owned()));
    assert_eq!(reply.header("set-cookie"), None);
}

#[tokio::test]
async fn the_same_cookie_twice_is_refused_whoever_calls() {
    let twice = ("cookie", "fastcms_session=user; fastcms_session=user");
    let apart = [("cookie", "fastcms_session=user"), ("cookie", "fastcms_session=junk")];
    let flow = ("cookie", "oauth_collection=a; oauth_collection=b");
    for headers in [&[twice][..], &apart, &[flow], &[twice, ("authorization", "Bearer user")]] {
        for path in ["/health", "/nothing"] {
            let reply = call_with("GET", path, headers).await;
            assert_eq!(refused(&reply), (400, "duplicate_cookie".to_owned()), "{headers:?}");
        }
    }
    let strangers = call_with("GET", "/health", &[("cookie", "a=1; a=2")]).await;
    assert_eq!(strangers.status, 200);
    // What is wrong with a header is said first.
    let invalid = call_with("GET", "/health", &[twice, ("authorization", "Basic x")]).await;
    assert_eq!(refused(&invalid), (401, "invalid_token".to_owned()));
}

/// R86.
#[tokio::test]
async fn an_unsafe_request_acts_by_cookie_only_for_an_own_page() {
    let cookie = ("cookie", "fastcms_session=user");
    let ours = ("origin", "https://cms.example.com");
    let theirs = ("origin", "https://evil.example");
    for (headers, allowed) in [
        (&[cookie, ("sec-fetch-site", "same-origin")][..], true),
        (&[cookie, ("sec-fetch-site", "none")], true),
        (&[cookie, ("sec-fetch-site", "same-site"), ours], false),
        (&[cookie, ("sec-fetch-site", "cross-site"), ours], false),
        (&[cookie, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
        (&[cookie, ours], true),
        (&[cookie, theirs], false),
        (&[cookie, ours, theirs], false),
        (&[cookie, ("origin", "null")], false),
        (&[cookie, ("origin", "https://app.example.com")], false),
        (&[cookie], false),
    ] {
        // Beyond the check the route knows no such method, and that is soon enough.
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"] {
            let reply = call_with(method, "/api/v1/me", headers).await;
            let expected = if allowed { (405, "method_not_allowed") } else { (403, "csrf") };
            assert_eq!((reply.status, reply.code().as_str()), expected, "{method} {headers:?}");
        }
        for method in ["GET", "HEAD"] {
            assert_eq!(call_with(method, "/api/v1/me", headers).await.status, 200);
        }
    }
}

#[tokio::test]
async fn the_own_address_counts_as_origin_on_a_loopback_listener_only() {
    let send_to = |loopback: bool| async move {
        let settings = EdgeSettings { loopback, production: false, hosts: None, ..settings() };
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/me")
            .header("host", "localhost:8000")
            .header("origin", "http://localhost:8000")
            .header("cookie", "fastcms_session=user");
        let request = request.body(Body::empty()).unwrap();
        send_from("127.0.0.1:1", settings, request).await.code()
    };
    assert_eq!(send_to(true).await, "method_not_allowed");
    assert_eq!(send_to(false).await, "csrf");
}
