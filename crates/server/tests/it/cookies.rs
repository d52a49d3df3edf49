//! Browser sessions from outside: the cookie, how long it lives, what ends it, and for whom it may speak.

mod attributes;
mod ends;
mod life;

use std::time::Duration;

use fastcms_core::Realm;
use fastcms_guard::opaque::Digest;
use fastcms_guard::token::{self, Access, AccessDetails, Claims};
use fastcms_store::Plan;
use fastcms_store::accounts::sessions as rows;
use fastcms_store::signing_keys;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, request};
use crate::on_both_engines;
use crate::process::{PASSWORD, Server};
use crate::product::{Answer, Product, text};

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";
const LOGOUT: &str = "/api/v1/auth/logout";
const LOGOUT_ALL: &str = "/api/v1/auth/logout-all";
const SESSIONS: &str = "/api/v1/auth/sessions";
const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");
const CLEARED: &str =
    "fastcms_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
/// As long as a real one, and nobody's.
const PLANTED: &str = "cGxhbnRlZC1ieS1hbi1hdHRhY2tlci1oZXJlLTEyMzQ";
const PRODUCTION: [(&str, &str); 4] = [
    ("ENVIRONMENT", "production"),
    ("BASE_URL", "https://cms.example.com"),
    ("ALLOWED_HOSTS", "localhost,cms.example.com"),
    ("CORS_ORIGINS", "https://app.example.com"),
];

on_both_engines!(
    a_sign_in_by_cookie_gives_a_cookie_and_no_token,
    a_cookie_is_an_identity_on_every_route,
    a_header_credential_decides,
    a_stale_cookie_is_anonymous_and_taken_back,
    the_same_cookie_twice_is_refused,
    unsafe_methods_need_an_own_page,
    no_route_that_changes_something_takes_a_cookie_from_a_foreign_page,
);

/// A browser that is signed in: sends its cookie, and says that an own page asks.
struct Browser<'p> {
    product: &'p Product,
    /// `name=value`.
    cookie: String,
}

impl Browser<'_> {
    fn value(&self) -> &str {
        self.cookie.split_once('=').unwrap().1
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let headers = [("cookie", self.cookie.as_str()), SAME_ORIGIN];
        send(self.product, method, path, body, &headers).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// The same browser at another node.
    fn at<'n>(&self, node: &'n Product) -> Browser<'n> {
        Browser { product: node, cookie: self.cookie.clone() }
    }

    /// Whether the session is alive; a browser whose session is over is told so.
    async fn alive(&self) -> bool {
        let answer = self.get(ME).await;
        match (answer.status.as_u16(), answer.header("set-cookie")) {
            (200, None) => true,
            (401, Some(cleared)) => {
                let code = answer.code();
                assert_eq!((code.as_str(), cleared), ("authentication_required", CLEARED));
                false
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn send(product: &Product, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(None, method, path, body);
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        if name == header::HOST {
            request.headers_mut().remove(&name);
        }
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    product.send(request).await
}

fn credentials(name: &str, cookie: bool) -> Value {
    json!({"email": format!("{name}@example.com"), "password": PASSWORD, "cookie": cookie})
}

async fn browser<'p>(product: &'p Product, name: &str) -> Browser<'p> {
    let answer = product.guest().post(LOGIN, &credentials(name, true)).await;
    let set = answer.expect(200).header("set-cookie").unwrap().to_owned();
    Browser { product, cookie: set.split(';').next().unwrap().to_owned() }
}

async fn bearer<'p>(product: &'p Product, name: &str) -> Bearer<'p> {
    let answer = product.guest().post(LOGIN, &credentials(name, false)).await;
    let token = text(&answer.expect(200).json()["token"]["access_token"]);
    Bearer { product, token }
}

async fn stored(product: &Product, value: &str) -> Option<rows::Session> {
    let digest = *Digest::of(value).as_bytes();
    let read = product
        .app
        .store
        .read(Plan::Bounded, move |reader| Box::pin(async move { rows::by_cookie(reader, &digest).await }));
    read.await.unwrap()
}

/// What an answer says about the session cookie.
fn set_session(answer: &Answer) -> Vec<&str> {
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    set.filter(|value| value.starts_with("fastcms_session=")).collect()
}

/// R83, R35; CVE-2021-46440 (a cookie that a password could be read from).
async fn a_sign_in_by_cookie_gives_a_cookie_and_no_token(product: &Product) {
    let admin = product.admin().await;
    let answer = product.guest().post(LOGIN, &credentials("root", true)).await.expect(200);
    let body = answer.json();
    assert_eq!(body["token"], Value::Null);
    assert_eq!(body["user"]["id"], admin.id);
    assert_eq!(body["requires_2fa"], false);
    let set = set_session(&answer);
    let [set] = set[..] else { panic!("{set:?}") };
    let (cookie, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Lax");
    let value = cookie.strip_prefix("fastcms_session=").unwrap();
    assert_eq!(value.len(), 43);
    let row = stored(product, value).await.expect("found by its digest alone");
    assert!(!format!("{row:?}").contains(value));

    let again = browser(product, "root").await;
    assert_ne!(again.value(), value);
    let wrong = json!({"email": "root@example.com", "password": "wrong-Horse7", "cookie": true});
    let refused = product.guest().post(LOGIN, &wrong).await;
    assert_eq!(refused.header("set-cookie"), None);
    refused.refused(401, "invalid_credentials");
    let plain = product.guest().post(LOGIN, &credentials("root", false)).await.expect(200);
    assert!(set_session(&plain).is_empty());
    assert!(plain.json()["token"]["access_token"].is_string());
}

async fn a_cookie_is_an_identity_on_every_route(product: &Product) {
    let admin = product.admin().await;
    product.user("ann").await;
    let (root, ann) = (browser(product, "root").await, browser(product, "ann").await);
    assert_eq!(root.get(ME).await.expect(200).json()["id"], admin.id);
    root.get("/api/v1/admin/users").await.expect(200);
    ann.get("/api/v1/admin/users").await.refused(403, "forbidden");
    let posts = json!({
        "name": "posts", "schema": [{"name": "title", "type": "text"}],
        "list_rule": "@request.auth.id != ''", "create_rule": "@request.auth.id != ''",
    });
    root.post("/api/v1/collections", &posts).await.expect(201);
    let records = "/api/v1/collections/posts/records";
    ann.post(records, &json!({"data": {"title": "by cookie"}})).await.expect(201);
    assert_eq!(ann.get(records).await.expect(200).json()["total"], 1);
    let guest = product.guest().get(records).await;
    assert_ne!(guest.status, 201);
    assert_ne!(guest.json()["total"], 1);
}

/// Contract 2.5: the header decides, a cookie beside it is ignored.
async fn a_header_credential_decides(product: &Product) {
    product.admin().await;
    let user = product.user("bob").await;
    let root = browser(product, "root").await;
    let cookie = ("cookie", root.cookie.as_str());
    let token = format!("Bearer {}", user.token);
    let both = [cookie, ("authorization", token.as_str())];
    let me = send(product, Method::GET, ME, None, &both).await.expect(200);
    assert_eq!(me.json()["id"], user.id);
    let cross = [both[0], both[1], ("sec-fetch-site", "cross-site")];
    let name = json!({"name": "Robert"});
    send(product, Method::PATCH, ME, Some(&name), &cross).await.expect(200);
    for invalid in [("authorization", "Bearer junk"), ("x-api-key", "fcms_00000000_x")] {
        let answer = send(product, Method::GET, ME, None, &[cookie, invalid]).await;
        assert_eq!(answer.header("set-cookie"), None);
        answer.refused(401, "invalid_token");
    }
    assert!(root.alive().await);
}

async fn a_stale_cookie_is_anonymous_and_taken_back(product: &Product) {
    product.admin().await;
    let long = "x".repeat(5000);
    for value in [PLANTED, "", "short", "\"quoted\"", "deleted", &long] {
        let cookie = format!("fastcms_session={value}");
        let headers = [("cookie", cookie.as_str())];
        for (path, status) in [("/health", 200), ("/api/v1/setup/check", 200), (ME, 401), ("/nothing", 404)] {
            let answer = send(product, Method::GET, path, None, &headers).await.expect(status);
            assert_eq!(answer.header("set-cookie"), Some(CLEARED), "{path} {value}");
        }
        // A guest may sign in, from wherever the request comes: nothing is done in anybody's name.
        let login = send(product, Method::POST, LOGIN, Some(&credentials("root", true)), &headers).await;
        let login = login.expect(200);
        let set = set_session(&login);
        assert_eq!(set.len(), 1, "{set:?}");
        assert!(!set[0].contains("Max-Age=0"));
    }
    let guest = send(product, Method::GET, "/health", None, &[("cookie", "other=1")]).await;
    assert_eq!(guest.header("set-cookie"), None);
}

/// R85: cookie tossing.
async fn the_same_cookie_twice_is_refused(product: &Product) {
    product.admin().await;
    let root = browser(product, "root").await;
    let twice = format!("{}; a=b; fastcms_session={PLANTED}", root.cookie);
    let same = format!("{0}; {0}", root.cookie);
    for cookies in
        [vec![("cookie", twice.as_str())], vec![("cookie", same.as_str())], vec![("cookie", root.cookie.as_str()); 2]]
    {
        let answer = send(product, Method::GET, ME, None, &cookies).await;
        assert_eq!(answer.json()["details"], json!({"name": "fastcms_session"}));
        answer.refused(400, "duplicate_cookie");
        send(product, Method::GET, "/nothing", None, &cookies).await.refused(400, "duplicate_cookie");
    }
    assert!(root.alive().await);
}

/// CVE-2026-34749: one way in did not look where a request came from.
async fn no_route_that_changes_something_takes_a_cookie_from_a_foreign_page(product: &Product) {
    product.admin().await;
    let root = browser(product, "root").await;
    let cookie = ("cookie", root.cookie.as_str());
    let unsafe_ones: Vec<_> = fastcms::api::operations()
        .iter()
        .filter(|operation| !matches!(*operation.method(), Method::GET | Method::HEAD))
        .map(|operation| (operation.method().clone(), operation.path().replace(['{', '}'], "")))
        .collect();
    assert!(unsafe_ones.len() > 50, "{}", unsafe_ones.len());
    for (method, path) in &unsafe_ones {
        for foreign in [
            None,
            Some(("sec-fetch-site", "cross-site")),
            Some(("sec-fetch-site", "same-site")),
            Some(("origin", "https://evil.example")),
            Some(("origin", "null")),
        ] {
            let headers: Vec<_> = [cookie].into_iter().chain(foreign).collect();
            let answer = send(product, method.clone(), path, Some(&json!({})), &headers).await;
            let found = (answer.status.as_u16(), answer.code());
            assert_eq!((found.0, found.1.as_str()), (403, "csrf"), "{method} {path} {foreign:?}");
        }
    }
    assert!(root.alive().await);
}

/// R86: the table, and that what it refuses has not happened.
async fn unsafe_methods_need_an_own_page(product: &Product) {
    product.admin().await;
    let root = browser(product, "root").await;
    let cookie = ("cookie", root.cookie.as_str());
    for refused in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8000")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:3000")],
        &[("referer", "http://localhost:8000/admin/")],
    ] {
        let headers: Vec<_> = [cookie].into_iter().chain(refused.iter().copied()).collect();
        for (method, path) in [
            (Method::POST, LOGOUT_ALL),
            (Method::POST, LOGOUT),
            (Method::POST, LOGIN),
            (Method::DELETE, ME),
            (Method::PATCH, ME),
            (Method::PUT, "/nothing"),
        ] {
            let answer = send(product, method, path, Some(&json!({})), &headers).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "csrf"), "{path} {refused:?}");
        }
        send(product, Method::GET, ME, None, &headers).await.expect(200);
    }
    for allowed in [
        &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")][..],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://localhost:8000")],
        &[("origin", "http://127.0.0.1:9000"), ("host", "127.0.0.1:9000")],
    ] {
        let headers: Vec<_> = [cookie].into_iter().chain(allowed.iter().copied()).collect();
        let name = json!({"name": "Changed"});
        send(product, Method::PATCH, ME, Some(&name), &headers).await.expect(200);
    }
    root.post(LOGOUT_ALL, &json!({})).await.expect(204);
    assert!(!root.alive().await);
}
