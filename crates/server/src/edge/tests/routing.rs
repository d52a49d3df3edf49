//! Which answer a method and a path lead to.

use super::*;

#[tokio::test]
async fn an_unknown_path_is_the_same_whatever_the_method() {
    for method in ["GET", "POST", "PUT", "OPTIONS", "TRACE", "BREW"] {
        let reply = call(method, "/nothing").await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{method}");
    }
    let head = call("HEAD", "/nothing").await;
    assert_eq!(head.status, 404);
    assert!(head.body.is_empty());
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert_eq!(length, call("GET", "/nothing").await.body.len());
}

#[tokio::test]
async fn hidden_documentation_is_an_unknown_path_in_every_spelling() {
    let strip = |reply: &Reply| {
        let mut headers = reply.headers.clone();
        headers.remove("x-request-id");
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        let body = body.split("\"request_id\"").next().unwrap_or_default().to_owned();
        (reply.status, headers, body)
    };
    for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"] {
        let unknown = strip(&call(method, "/zzz-unknown-path").await);
        assert_eq!(unknown.0, 404);
        for path in
            ["/docs", "/redoc", "/openapi.json", "/docs/", "/DOCS", "//docs", "/%64ocs", "/docs/oauth2-redirect"]
        {
            assert_eq!(strip(&call(method, path).await), unknown, "{method} {path}");
            assert_eq!(strip(&call_as("admin", method, path).await), unknown, "{method} {path} for an admin");
        }
    }
}

#[tokio::test]
async fn a_known_path_names_its_methods() {
    let reply = call("PUT", "/api/v1/login").await;
    assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(reply.header("allow"), Some("POST, PATCH, OPTIONS"));
    let options = call("OPTIONS", "/health").await;
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let (get, head) = (call("GET", "/api/v1/page").await, call("HEAD", "/api/v1/page").await);
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length").unwrap(), get.body.len().to_string());
    assert_eq!(head.header("content-type"), get.header("content-type"));
}

#[tokio::test]
async fn the_other_slash_leads_to_the_route() {
    let missing = call("GET", "/admin?a=b%20c").await;
    assert_eq!((missing.status, missing.header("location")), (307, Some("/admin/?a=b%20c")));
    let superfluous = call("POST", "/api/v1/login/").await;
    assert_eq!((superfluous.status, superfluous.header("location")), (307, Some("/api/v1/login")));
    assert_eq!(call("GET", "/admin//").await.header("location"), Some("/admin/"));
    for path in ["//admin", "//admin/", "/admin///", "/nothing/", "//evil.example/health/"] {
        assert_eq!(call("GET", path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn segments_are_decoded_and_a_malformed_id_is_not_found() {
    let id = "01912345-0000-7000-8000-000000000001";
    let reply = call_as("user", "GET", &format!("/api/v1/houses/a%20b/things/{id}")).await;
    assert_eq!(reply.json(), json!({"house": "a b", "id": id}));
    for id in ["1", "01912345-0000-7000-8000-00000000000g", "01912345-0000-7000-8000-0000000000011", "%00", "%ff"] {
        let path = format!("/api/v1/houses/h/things/{id}");
        assert_eq!(call_as("user", "GET", &path).await.status, 404, "{id}");
        assert_eq!(call("GET", &path).await.status, 401, "who may not look learns nothing of ids");
    }
}

#[test]
#[should_panic(expected = "two operations for GET /twice")]
fn a_route_is_declared_once() {
    Edge::new(House, vec![get("/twice", client), get("/twice", client)], settings());
}
