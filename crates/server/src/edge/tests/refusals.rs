//! What a refused request reads.

use super::*;

#[tokio::test]
async fn the_body_of_an_error_has_four_members_in_their_order() {
    let reply = call("GET", "/nothing").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let id = reply.header("x-request-id").unwrap();
    let expected = format!(
        "{{\"error\":\"not_found\",\"message\":\"Nothing was found here\",\"details\":{{}},\"request_id\":\"{id}\"}}"
    );
    assert_eq!(reply.body, expected);
}

#[tokio::test]
async fn faults_of_ours_say_nothing_of_themselves() {
    for path in ["/api/v1/panics", "/api/v1/fails"] {
        let reply = call("GET", path).await;
        assert_eq!((reply.status, reply.code().as_str()), (500, "internal_error"));
        assert!(!String::from_utf8_lossy(&reply.body).contains("secret"));
    }
}

#[tokio::test]
async fn every_401_says_how_to_authenticate() {
    let anonymous = call("GET", "/api/v1/me").await;
    assert_eq!((anonymous.status, anonymous.code().as_str()), (401, "authentication_required"));
    assert_eq!(anonymous.header("www-authenticate"), Some("Bearer"));
    let invalid = call_as("junk", "GET", "/api/v1/me").await;
    assert_eq!((invalid.status, invalid.code().as_str()), (401, "invalid_token"));
    assert_eq!(invalid.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
}

#[tokio::test]
async fn an_invalid_credential_is_refused_on_every_route() {
    for path in ["/health", "/nothing", "/api/v1/page", "/api/v1/page/"] {
        assert_eq!(call_as("junk", "GET", path).await.code(), "invalid_token", "{path}");
    }
    for header in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "user", &format!("Bearer {}", "x".repeat(8193))] {
        assert_eq!(
            call_with("GET", "/health", &[("authorization", header)]).await.code(),
            "invalid_token",
            "{header:.20}"
        );
    }
    assert_eq!(call_with("GET", "/health", &[("x-api-key", "fcms_1")]).await.code(), "invalid_token");
    assert_eq!(call_with("GET", "/health", &[("authorization", "bearer user")]).await.status, 200);
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    for second in [("authorization", "Bearer admin"), ("x-api-key", "k")] {
        let reply = call_with("GET", "/health", &[("authorization", "Bearer user"), second]).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "multiple_credentials"));
    }
}

#[tokio::test]
async fn a_credential_in_the_url_is_refused_and_not_ignored() {
    for query in ["access_token=x", "token=x", "a=1&API_KEY=x", "%61pikey=x", "jwt", "x-api-key=x"] {
        for path in ["/api/v1/page", "/nothing", "/health"] {
            let reply = call("GET", &format!("{path}?{query}")).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "credential_in_url"), "{path}?{query}");
        }
    }
    assert_eq!(call("GET", "/api/v1/download?token=x").await.status, 200);
    assert_eq!(call("GET", "/api/v1/download?access_token=x").await.code(), "credential_in_url");
}

#[tokio::test]
async fn the_type_of_the_caller_is_the_permission() {
    let thing = "/api/v1/houses/h/things/01912345-0000-7000-8000-000000000001";
    for (token, method, path, status) in [
        ("user", "GET", "/api/v1/me", 200),
        ("member", "GET", "/api/v1/me", 401),
        ("user", "GET", thing, 200),
        ("member", "GET", thing, 200),
        ("user", "DELETE", thing, 403),
        ("member", "DELETE", thing, 401),
        ("admin", "DELETE", thing, 204),
    ] {
        assert_eq!(call_as(token, method, path).await.status, status, "{token} {method} {path}");
    }
    assert_eq!(call("DELETE", thing).await.code(), "authentication_required");
}

#[tokio::test]
async fn who_must_change_the_password_can_do_little_else() {
    assert_eq!(call_as("stale", "GET", "/api/v1/page").await.code(), "password_change_required");
    assert_eq!(call_as("stale", "GET", "/api/v1/me").await.status, 200);
    assert_eq!(call_as("stale", "GET", "/health").await.status, 200);
}

#[tokio::test]
async fn every_fault_of_a_body_is_named_at_once() {
    let body = json!({"attempts": "3", "cookie": 1, "tags": [{"name": "a"}, {"nam": 1}, 7], "extra": {}, "type": "t"});
    let reply = send_json("/api/v1/login", body.to_string()).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "validation_failed"));
    let expected = json!({
        "email": "This field is required",
        "attempts": "Must be a number",
        "cookie": "Must be a boolean",
        "tags.1.name": "This field is required",
        "tags.1.nam": "Unknown field",
        "tags.2": "Must be an object",
        "extra": "Unknown field",
    });
    assert_eq!(reply.json()["details"], expected);
}

#[tokio::test]
async fn a_sound_body_is_read() {
    let body = json!({"email": "a@b", "attempts": null, "type": "t", "tags": [{"name": "x"}]});
    let reply = send_json("/api/v1/login", body.to_string()).await;
    assert_eq!(reply.json(), json!({"email": "a@b", "attempts": null, "cookie": false, "kind": "t", "tags": ["x"]}));
}

#[tokio::test]
async fn what_is_no_json_object_is_said_under_body() {
    let deep = format!("{{\"email\":{}1{}}}", "[".repeat(64), "]".repeat(64));
    for (body, message) in [
        ("{", "Not valid JSON (line 1, column 1)"),
        ("{\"email\": \"\u{0}\"}", "Not valid JSON (line 1, column 12)"),
        ("[]", "Must be an object"),
        ("", "A JSON body is required"),
        (deep.as_str(), "At most 64 levels may be nested"),
    ] {
        let reply = send_json("/api/v1/login", body.to_owned()).await;
        assert_eq!(reply.json()["details"], json!({"body": message}), "{body:.20}");
    }
    let just = format!("{{\"email\":{}1{}}}", "[".repeat(63), "]".repeat(63));
    assert_eq!(send_json("/api/v1/login", just).await.json()["details"], json!({"email": "Must be a string"}));
}

#[tokio::test]
async fn other_types_of_body_are_refused() {
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""] {
        let sent = request("POST", "/api/v1/login").header("content-type", kind).body("{}".into()).unwrap();
        let reply = send(sent).await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"), "{kind}");
    }
    let packed = request("POST", "/api/v1/login")
        .header("content-type", "application/json; charset=utf-8")
        .header("content-encoding", "gzip");
    assert_eq!(send(packed.body("{}".into()).unwrap()).await.status, 415);
}

#[tokio::test]
async fn parameters_are_checked_by_name_and_by_value() {
    let unknown = call("GET", "/api/v1/page?page=2&pge=1").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (400, "unknown_parameter"));
    assert_eq!(unknown.json()["details"], json!({"name": "pge"}));
    let wrong = call("GET", "/api/v1/page?page=0&skipTotal=maybe&sort=a&sort=b").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "validation_failed"));
    let expected =
        json!({"page": "Minimum value is 1", "skipTotal": "Must be a boolean", "sort": "Must be given once"});
    assert_eq!(wrong.json()["details"], expected);
    assert_eq!(call("GET", "/api/v1/page?page=1001").await.json()["details"], json!({"page": "Maximum value is 1000"}));
    assert_eq!(call("GET", "/api/v1/page?page=x").await.json()["details"], json!({"page": "Must be a number"}));
    let fine = call("GET", "/api/v1/page?page=2&skip%54otal=true&sort=-a%2Cb").await;
    assert_eq!(fine.json(), json!({"page": 2, "skip_total": true, "sort": "-a,b"}));
}

#[tokio::test]
async fn a_route_may_know_names_at_run_time() {
    let known = call("GET", "/api/v1/rules/open?secret+word=1").await;
    assert_eq!(known.json(), json!([["secret word", "1"]]));
    assert_eq!(call("GET", "/api/v1/rules/open?other=1").await.code(), "unknown_parameter");
    assert_eq!(call("GET", "/api/v1/rules/closed?secret+word=1").await.code(), "unknown_parameter");
}
