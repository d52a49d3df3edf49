//! Browser sessions from outside: the cookie, how long it lives, what ends it, and for whom it may speak.

use std::time::Duration;

use fastcms_core::Realm;
use fastcms_guard::opaque::Digest;
use fastcms_guard::token::{self, Access, AccessDetails, Claims};
use fastcms_store::Plan;
use fastcms_store::accounts::sessions as rows;
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
const CLEARED: &str = "fastcms_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
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
    an_idle_session_ends,
    use_on_one_node_keeps_a_session_alive_on_another,
    the_store_hears_of_use_once_a_minute,
    a_session_ends_absolutely_however_busy,
    a_cookie_outlives_every_key,
    no_token_speaks_for_a_cookie_session,
    a_remembered_session_costs_no_query,
    logout_ends_the_session_and_clears_the_cookie,
    cookie_sessions_stand_in_the_one_list,
    whatever_ends_sessions_ends_cookies,
    nobody_adopts_a_cookie_that_was_planted,
    production_marks_cookies_secure,
    https_at_a_trusted_proxy_marks_cookies_secure,
    the_host_prefix_replaces_the_name,
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
        Browser {
            product: node,
            cookie: self.cookie.clone(),
        }
    }

    #[track_caller]
    fn is_alive(&self, answer: &Answer) -> bool {
        match (answer.status.as_u16(), answer.header("set-cookie")) {
            (200, None) => true,
            (401, Some(cleared)) => {
                assert_eq!(
                    (answer.code().as_str(), cleared),
                    ("authentication_required", CLEARED)
                );
                false
            }
            other => panic!("{other:?}"),
        }
    }

    async fn alive(&self) -> bool {
        let answer = self.get(ME).await;
        self.is_alive(&answer)
    }
}

async fn send(
    product: &Product,
    method: Method,
    path: &str,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = request(None, method, path, body);
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        if name == header::HOST {
            request.headers_mut().remove(&name);
        }
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    product.send(request).await
}

fn credentials(name: &str, cookie: bool) -> Value {
    json!({"email": format!("{name}@example.com"), "password": PASSWORD, "cookie": cookie})
}

async fn browser<'p>(product: &'p Product, name: &str) -> Browser<'p> {
    let answer = product.guest().post(LOGIN, &credentials(name, true)).await;
    let set = answer.expect(200).header("set-cookie").unwrap().to_owned();
    Browser {
        product,
        cookie: set.split(';').next().unwrap().to_owned(),
    }
}

async fn bearer<'p>(product: &'p Product, name: &str) -> Bearer<'p> {
    let answer = product.guest().post(LOGIN, &credentials(name, false)).await;
    let token = text(&answer.expect(200).json()["token"]["access_token"]);
    Bearer { product, token }
}

async fn stored(product: &Product, value: &str) -> Option<rows::Session> {
    let digest = *Digest::of(value).as_bytes();
    let read = product.app.store.read(Plan::Bounded, move |reader| {
        Box::pin(async move { rows::by_cookie(reader, &digest).await })
    });
    read.await.unwrap()
}

/// R83, R35.
async fn a_sign_in_by_cookie_gives_a_cookie_and_no_token(product: &Product) {
    let admin = product.admin().await;
    let answer = product
        .guest()
        .post(LOGIN, &credentials("root", true))
        .await
        .expect(200);
    let body = answer.json();
    assert_eq!(body["token"], Value::Null);
    assert_eq!(body["user"]["id"], admin.id);
    assert_eq!(body["requires_2fa"], false);
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    let [set] = set[..] else { panic!("{set:?}") };
    let (cookie, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Lax");
    let value = cookie.strip_prefix("fastcms_session=").unwrap();
    assert_eq!(value.len(), 43);
    let row = stored(product, value)
        .await
        .expect("found by its digest alone");
    assert!(!format!("{row:?}").contains(value));

    let again = browser(product, "root").await;
    assert_ne!(again.value(), value);
    let wrong = json!({"email": "root@example.com", "password": "wrong-Horse7", "cookie": true});
    let refused = product.guest().post(LOGIN, &wrong).await;
    assert_eq!(refused.header("set-cookie"), None);
    refused.refused(401, "invalid_credentials");
    let plain = product
        .guest()
        .post(LOGIN, &credentials("root", false))
        .await
        .expect(200);
    assert_eq!(plain.header("set-cookie"), None);
    assert!(plain.json()["token"]["access_token"].is_string());
}

async fn a_cookie_is_an_identity_on_every_route(product: &Product) {
    let admin = product.admin().await;
    product.user("ann").await;
    let (root, ann) = (
        browser(product, "root").await,
        browser(product, "ann").await,
    );
    assert_eq!(root.get(ME).await.expect(200).json()["id"], admin.id);
    root.get("/api/v1/admin/users").await.expect(200);
    ann.get("/api/v1/admin/users")
        .await
        .refused(403, "forbidden");
    let posts = json!({
        "name": "posts", "schema": [{"name": "title", "type": "text"}],
        "list_rule": "@request.auth.id != ''", "create_rule": "@request.auth.id != ''",
    });
    root.post("/api/v1/collections", &posts).await.expect(201);
    let records = "/api/v1/collections/posts/records";
    ann.post(records, &json!({"data": {"title": "by cookie"}}))
        .await
        .expect(201);
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
    let me = send(product, Method::GET, ME, None, &both)
        .await
        .expect(200);
    assert_eq!(me.json()["id"], user.id);
    let cross = [both[0], both[1], ("sec-fetch-site", "cross-site")];
    let name = json!({"name": "Robert"});
    send(product, Method::PATCH, ME, Some(&name), &cross)
        .await
        .expect(200);
    for invalid in [
        ("authorization", "Bearer junk"),
        ("x-api-key", "fcms_00000000_x"),
    ] {
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
        for (path, status) in [
            ("/health", 200),
            ("/api/v1/setup/check", 200),
            (ME, 401),
            ("/nothing", 404),
        ] {
            let answer = send(product, Method::GET, path, None, &headers)
                .await
                .expect(status);
            assert_eq!(answer.header("set-cookie"), Some(CLEARED), "{path} {value}");
        }
        // A guest may sign in, from wherever the request comes: nothing is done in anybody's name.
        let login = send(
            product,
            Method::POST,
            LOGIN,
            Some(&credentials("root", true)),
            &headers,
        )
        .await;
        let login = login.expect(200);
        let set: Vec<_> = login.headers.get_all("set-cookie").iter().collect();
        assert_eq!(set.len(), 1, "{set:?}");
        assert!(!set[0].to_str().unwrap().contains("Max-Age=0"));
    }
    let guest = send(
        product,
        Method::GET,
        "/health",
        None,
        &[("cookie", "other=1")],
    )
    .await;
    assert_eq!(guest.header("set-cookie"), None);
}

/// R85: cookie tossing.
async fn the_same_cookie_twice_is_refused(product: &Product) {
    product.admin().await;
    let root = browser(product, "root").await;
    let twice = format!("{}; a=b; fastcms_session={PLANTED}", root.cookie);
    let same = format!("{0}; {0}", root.cookie);
    for cookies in [
        vec![("cookie", twice.as_str())],
        vec![("cookie", same.as_str())],
        vec![("cookie", root.cookie.as_str()); 2],
    ] {
        let answer = send(product, Method::GET, ME, None, &cookies).await;
        assert_eq!(answer.json()["details"], json!({"name": "fastcms_session"}));
        answer.refused(400, "duplicate_cookie");
        send(product, Method::GET, "/nothing", None, &cookies)
            .await
            .refused(400, "duplicate_cookie");
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
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://localhost:8000"),
        ],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "same-origin"),
        ],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:3000")],
        &[("referer", "http://localhost:8000/admin/")],
    ] {
        let headers: Vec<_> = [cookie]
            .into_iter()
            .chain(refused.iter().copied())
            .collect();
        for (method, path) in [
            (Method::POST, LOGOUT_ALL),
            (Method::POST, LOGOUT),
            (Method::POST, LOGIN),
            (Method::DELETE, ME),
            (Method::PATCH, ME),
            (Method::PUT, "/nothing"),
        ] {
            let answer = send(product, method, path, Some(&json!({})), &headers).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (403, "csrf"),
                "{path} {refused:?}"
            );
        }
        send(product, Method::GET, ME, None, &headers)
            .await
            .expect(200);
    }
    for allowed in [
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://evil.example"),
        ][..],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://localhost:8000")],
        &[
            ("origin", "http://127.0.0.1:9000"),
            ("host", "127.0.0.1:9000"),
        ],
    ] {
        let headers: Vec<_> = [cookie]
            .into_iter()
            .chain(allowed.iter().copied())
            .collect();
        let name = json!({"name": "Changed"});
        send(product, Method::PATCH, ME, Some(&name), &headers)
            .await
            .expect(200);
    }
    root.post(LOGOUT_ALL, &json!({})).await.expect(204);
    assert!(!root.alive().await);
}

/// R36.
async fn an_idle_session_ends(product: &Product) {
    product.admin().await;
    let node = product.with(&[("SESSION_IDLE_MINUTES", "5")]).await;
    let root = browser(&node, "root").await;
    for _ in 0..6 {
        product.clock.advance_seconds(5 * 60 - 1);
        assert!(root.alive().await);
    }
    let other = bearer(&node, "root").await;
    let listed = || async {
        let all = other.get(SESSIONS).await.expect(200).json();
        all["sessions"].as_array().unwrap().len()
    };
    let before = listed().await;
    product.clock.advance_seconds(5 * 60 - 1);
    assert_eq!(listed().await, before);
    // A refused request does not keep alive what it was refused for.
    product.clock.advance_seconds(1);
    assert!(!root.alive().await);
    product.clock.advance_seconds(-1);
    product.clock.advance_seconds(1);
    assert!(!root.alive().await);
    product.clock.advance_seconds(60);
    assert_eq!(listed().await, before - 1);
    // A node that never saw it before says the same.
    let fresh = product.with(&[("SESSION_IDLE_MINUTES", "5")]).await;
    assert!(!root.at(&fresh).alive().await);
    // Not the row is stale but the life: where idling may last longer it is still alive.
    assert!(root.at(product).alive().await);
    fresh.close().await;
    node.close().await;
}

async fn last_seen(product: &Product, browser: &Browser<'_>) -> String {
    stored(product, browser.value()).await.unwrap().last_seen
}

/// Waits for what is written beside the answers.
async fn seen_after(product: &Product, browser: &Browser<'_>, before: &str) -> String {
    for _ in 0..500 {
        let now = last_seen(product, browser).await;
        if now.as_str() > before {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the store was not told of the session's use");
}

async fn use_on_one_node_keeps_a_session_alive_on_another(product: &Product) {
    product.admin().await;
    let idle = [("SESSION_IDLE_MINUTES", "10")];
    let (one, two) = (product.with(&idle).await, product.with(&idle).await);
    let at_one = browser(&one, "root").await;
    let at_two = at_one.at(&two);
    assert!(at_two.alive().await);
    let login = last_seen(product, &at_one).await;
    product.clock.advance_seconds(9 * 60);
    assert!(at_two.alive().await);
    seen_after(product, &at_one, &login).await;
    // Node one itself has heard nothing of the session for ten minutes now.
    product.clock.advance_seconds(2 * 60);
    assert!(at_one.alive().await);
    product.clock.advance_seconds(10 * 60);
    assert!(!at_two.alive().await);
    one.close().await;
    two.close().await;
}

async fn the_store_hears_of_use_once_a_minute(product: &Product) {
    product.admin().await;
    let root = browser(product, "root").await;
    let login = last_seen(product, &root).await;
    for _ in 0..59 {
        product.clock.advance_seconds(1);
        assert!(root.alive().await);
    }
    // Whatever was on its way would have come before this write's answer.
    root.send(Method::PATCH, ME, Some(&json!({"name": "Root"})))
        .await
        .expect(200);
    assert_eq!(last_seen(product, &root).await, login);
    product.clock.advance_seconds(1);
    let answers = futures_util::future::join_all((0..20).map(|_| root.alive())).await;
    assert!(answers.into_iter().all(|alive| alive));
    let minute = seen_after(product, &root, &login).await;
    let listed = root.get(SESSIONS).await.expect(200).json();
    assert_eq!(listed["sessions"][0]["last_seen"], minute);
    product.clock.advance_seconds(59);
    assert!(root.alive().await);
    root.send(Method::PATCH, ME, Some(&json!({"name": "Root"})))
        .await
        .expect(200);
    assert_eq!(last_seen(product, &root).await, minute);
}

/// R36.
async fn a_session_ends_absolutely_however_busy(product: &Product) {
    product.admin().await;
    let node = product.with(&[("SESSION_ABSOLUTE_HOURS", "1")]).await;
    let answer = node
        .guest()
        .post(LOGIN, &credentials("root", true))
        .await
        .expect(200);
    assert!(
        answer
            .header("set-cookie")
            .unwrap()
            .contains("; Max-Age=3600;")
    );
    let root = browser(&node, "root").await;
    for _ in 0..59 {
        product.clock.advance_seconds(60);
        assert!(root.alive().await);
    }
    product.clock.advance_seconds(59);
    assert!(root.alive().await);
    product.clock.advance_seconds(1);
    assert!(!root.alive().await);
    node.close().await;
}

/// R3, R4: a rotation signs nobody out of the browser.
async fn a_cookie_outlives_every_key(product: &Product) {
    const NEW_KEY: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";
    let admin = product.admin().await;
    let root = browser(product, "root").await;
    let node = product.with(&[("SECRET_KEY", NEW_KEY)]).await;
    assert!(root.at(&node).alive().await);
    let token = Bearer {
        product: &node,
        token: admin.token.clone(),
    };
    token.get(ME).await.refused(401, "invalid_token");
    // Who must sign in again: the admin's token of setup, not the browser.
    let now = product.app.now_seconds();
    let lost = node.app.store.read(Plan::Scan, move |reader| {
        Box::pin(async move { rows::signed_by_others(reader, &["new".to_owned()], now).await })
    });
    assert_eq!(lost.await.unwrap(), 1);
    node.close().await;
}

/// Whoever holds a leaked key writes any token he likes; a cookie session is out of its reach.
async fn no_token_speaks_for_a_cookie_session(product: &Product) {
    let admin = product.admin().await;
    let root = browser(product, "root").await;
    let row = stored(product, root.value()).await.unwrap();
    let now = product.app.now_seconds();
    let forge = |sid: &str| {
        let claims = Claims::<Access> {
            iss: product.app.issuer.clone(),
            aud: Realm::Users.audience(),
            sub: admin.id.clone(),
            jti: product.app.new_id(),
            iat: now,
            exp: now + 60,
            details: AccessDetails {
                sid: sid.to_owned(),
                epoch: None,
                global_epoch: None,
            },
        };
        Bearer {
            product,
            token: token::sign(&product.app.keys.load(), &claims),
        }
    };
    // Both before and after the session is remembered.
    forge(&row.id).get(ME).await.refused(401, "invalid_token");
    assert!(root.alive().await);
    forge(&row.id).get(ME).await.refused(401, "invalid_token");
    let listed = admin.get(SESSIONS).await.expect(200).json();
    let own = listed["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|session| session["current"] == true);
    forge(&text(&own.unwrap()["id"])).get(ME).await.expect(200);
}

async fn a_remembered_session_costs_no_query(product: &Product) {
    product.admin().await;
    let node = product.with(&PRODUCTION).await;
    let root = browser(&node, "root").await;
    assert_eq!(
        root.get("/health").await.expect(200).json()["environment"],
        "production"
    );
    node.close().await;
    // The admin is known although nothing can be read any more.
    assert_eq!(
        root.get("/health").await.expect(200).json()["environment"],
        "production"
    );
    product.clock.advance_seconds(4);
    root.get("/health").await.expect(503);
}

/// R38.
async fn logout_ends_the_session_and_clears_the_cookie(product: &Product) {
    product.admin().await;
    let clear_site_data = "\"cache\", \"cookies\", \"storage\"";
    let root = browser(product, "root").await;
    let answer = root.post(LOGOUT, &json!({})).await.expect(204);
    assert_eq!(answer.header("clear-site-data"), Some(clear_site_data));
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, [CLEARED]);
    assert!(!root.alive().await);

    // Beside a header credential the cookie's session ends as well.
    let (root, token) = (
        browser(product, "root").await,
        bearer(product, "root").await,
    );
    let header = format!("Bearer {}", token.token);
    let both = [
        ("cookie", root.cookie.as_str()),
        ("authorization", header.as_str()),
    ];
    let answer = send(product, Method::POST, LOGOUT, None, &both)
        .await
        .expect(204);
    assert_eq!(answer.header("set-cookie"), Some(CLEARED));
    assert!(!root.alive().await);
    token.get(ME).await.refused(401, "invalid_token");

    // Without anything to end it answers the same.
    let stale = [("cookie", root.cookie.as_str())];
    let answer = send(product, Method::POST, LOGOUT, None, &stale)
        .await
        .expect(204);
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, [CLEARED]);
    product.guest().post(LOGOUT, &json!({})).await.expect(204);
}

async fn cookie_sessions_stand_in_the_one_list(product: &Product) {
    product.admin().await;
    product.user("eve").await;
    let root = browser(product, "root").await;
    let token = bearer(product, "root").await;
    let current = |list: &Value| {
        let current: Vec<String> = list["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|session| session["current"] == true)
            .map(|session| text(&session["id"]))
            .collect();
        assert_eq!(current.len(), 1);
        current[0].clone()
    };
    let list = root.get(SESSIONS).await.expect(200).json();
    // Setup's, the cookie's, the token's.
    assert_eq!(list["sessions"].as_array().unwrap().len(), 3);
    let (by_cookie, by_token) = (current(&list), current(&token.get(SESSIONS).await.json()));
    assert_ne!(by_cookie, by_token);
    let eve = browser(product, "eve").await;
    let path = format!("{SESSIONS}/{by_cookie}");
    eve.send(Method::DELETE, &path, None)
        .await
        .refused(404, "not_found");
    assert!(root.alive().await);
    token.delete(&path).await.expect(204);
    assert!(!root.alive().await);

    let root = browser(product, "root").await;
    let second = browser(product, "root").await;
    root.send(Method::DELETE, &format!("{SESSIONS}?others=true"), None)
        .await
        .expect(204);
    assert!(root.alive().await);
    assert!(!second.alive().await);
    token.get(ME).await.refused(401, "invalid_token");
    assert!(eve.alive().await);
}

/// R32, contract 2.4: on every node, at the next request.
async fn whatever_ends_sessions_ends_cookies(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("kim").await;
    let path = format!("/api/v1/admin/users/{}", user.id);
    let one = || async {
        let kim = browser(product, "kim").await;
        assert!(kim.alive().await);
        kim
    };
    let kim = one().await;
    kim.post(LOGOUT_ALL, &json!({})).await.expect(204);
    assert!(!kim.alive().await);

    let kim = one().await;
    admin
        .patch(&path, &json!({"role": "admin"}))
        .await
        .expect(200);
    assert!(!kim.alive().await);

    let kim = one().await;
    admin
        .patch(&path, &json!({"disabled": true}))
        .await
        .expect(200);
    assert!(!kim.alive().await);
    admin
        .patch(&path, &json!({"disabled": false}))
        .await
        .expect(200);

    let (kim, elsewhere) = (one().await, one().await);
    let change = json!({"old_password": PASSWORD, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    kim.post("/api/v1/auth/change-password", &change)
        .await
        .expect(204);
    assert!(!kim.alive().await);
    assert!(!elsewhere.alive().await);

    // What another process did is seen after four seconds at the latest.
    admin
        .patch(&path, &json!({"password": PASSWORD}))
        .await
        .expect(200);
    let kim = browser(product, "kim").await;
    kim.get("/api/v1/auth/sessions")
        .await
        .refused(403, "password_change_required");
    assert!(kim.alive().await);
    let node = product.with(&[]).await;
    let login = node
        .guest()
        .post(LOGIN, &credentials("root", false))
        .await
        .expect(200)
        .json();
    let there = Bearer {
        product: &node,
        token: text(&login["token"]["access_token"]),
    };
    there.delete(&path).await.expect(204);
    product.clock.advance_seconds(4);
    assert!(!kim.alive().await);
    node.close().await;
}

/// R35: session fixation.
async fn nobody_adopts_a_cookie_that_was_planted(product: &Product) {
    product.admin().await;
    product.user("mia").await;
    let planted = format!("fastcms_session={PLANTED}");
    let attacker = Browser {
        product,
        cookie: planted.clone(),
    };
    assert!(!attacker.alive().await);
    let login = attacker
        .post(LOGIN, &credentials("root", true))
        .await
        .expect(200);
    let set = login.header("set-cookie").unwrap();
    assert!(!set.contains(PLANTED), "{set}");
    assert!(!attacker.alive().await);
    assert!(stored(product, PLANTED).await.is_none());

    // One that the attacker is signed in with changes hands as little, and ends: the browser has forgotten it.
    let attacker = browser(product, "mia").await;
    let login = attacker
        .post(LOGIN, &credentials("root", true))
        .await
        .expect(200);
    let victim = Browser {
        product,
        cookie: login
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned(),
    };
    assert_ne!(victim.cookie, attacker.cookie);
    assert_eq!(
        victim.get(ME).await.expect(200).json()["email"],
        "root@example.com"
    );
    assert!(!attacker.alive().await);
}

async fn production_marks_cookies_secure(product: &Product) {
    product.admin().await;
    let node = product.with(&PRODUCTION).await;
    let answer = node
        .guest()
        .post(LOGIN, &credentials("root", true))
        .await
        .expect(200);
    let set = answer.header("set-cookie").unwrap().to_owned();
    assert!(
        set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"),
        "{set}"
    );
    let root = Browser {
        product: &node,
        cookie: set.split(';').next().unwrap().to_owned(),
    };
    let cookie = ("cookie", root.cookie.as_str());
    let path = "/api/v1/auth/me";
    let name = json!({"name": "Root"});
    for (origin, status) in [
        ("https://cms.example.com", 200),
        ("https://app.example.com", 403),
        ("http://cms.example.com", 403),
    ] {
        send(
            &node,
            Method::PATCH,
            path,
            Some(&name),
            &[cookie, ("origin", origin)],
        )
        .await
        .expect(status);
    }
    let stale = root.post(LOGOUT, &json!({})).await.expect(204);
    assert_eq!(
        stale.header("set-cookie"),
        Some(format!("{CLEARED}; Secure").as_str())
    );
    node.close().await;
}

async fn https_at_a_trusted_proxy_marks_cookies_secure(product: &Product) {
    product.admin().await;
    let node = product.with(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    for (forwarded, secure) in [("https", true), ("http", false)] {
        let headers = [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", forwarded),
        ];
        let answer = send(
            &node,
            Method::POST,
            LOGIN,
            Some(&credentials("root", true)),
            &headers,
        )
        .await
        .expect(200);
        assert_eq!(
            answer.header("set-cookie").unwrap().ends_with("; Secure"),
            secure,
            "{forwarded}"
        );
        let stale = [headers[0], headers[1], ("cookie", "fastcms_session=x")];
        let answer = send(&node, Method::GET, "/health", None, &stale)
            .await
            .expect(200);
        assert_eq!(
            answer.header("set-cookie").unwrap().ends_with("; Secure"),
            secure,
            "{forwarded}"
        );
    }
    // Nobody else's word counts.
    let headers = [("x-forwarded-proto", "https")];
    let answer = send(
        product,
        Method::POST,
        LOGIN,
        Some(&credentials("root", true)),
        &headers,
    )
    .await
    .expect(200);
    assert!(!answer.header("set-cookie").unwrap().contains("Secure"));
    node.close().await;
}

/// R85.
async fn the_host_prefix_replaces_the_name(product: &Product) {
    product.admin().await;
    for settings in [&PRODUCTION[..], &[]] {
        let settings = [settings, &[("COOKIE_HOST_PREFIX", "true")]].concat();
        let node = product.with(&settings).await;
        let root = browser(&node, "root").await;
        let value = root.cookie.strip_prefix("__Host-fastcms_session=").unwrap();
        root.get(ME).await.expect(200);
        // The plain name means nothing here, so that planting one is of no use; it is not answered either.
        let plain = format!("fastcms_session={value}");
        let answer = send(&node, Method::GET, ME, None, &[("cookie", plain.as_str())]).await;
        assert_eq!(answer.header("set-cookie"), None);
        answer.refused(401, "authentication_required");
        let both = format!("fastcms_session={PLANTED}; {}", root.cookie);
        send(&node, Method::GET, ME, None, &[("cookie", both.as_str())])
            .await
            .expect(200);
        let answer = root.post(LOGOUT, &json!({})).await.expect(204);
        let cleared = answer.header("set-cookie").unwrap();
        assert!(
            cleared.starts_with("__Host-fastcms_session=; Path=/; Max-Age=0;"),
            "{cleared}"
        );
        assert!(cleared.ends_with("; Secure"), "{cleared}");
        node.close().await;
    }
}

/// Whatever becomes of the request, and however much is logged.
#[test]
fn a_cookie_value_is_in_no_line_of_the_log() {
    let mut server = Server::new(&[("LOG_LEVEL", "DEBUG"), ("DEBUG", "true")]);
    server.start();
    server.set_up();
    let host = format!("127.0.0.1:{}", server.port);
    let call = |method: &str, path: &str, extra: &str, body: &str| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        );
        let request = format!("{head}{extra}Content-Length: {}\r\n\r\n{body}", body.len());
        server.raw(request.as_bytes()).unwrap()
    };
    let login = call("POST", LOGIN, "", &credentials("root", true).to_string());
    let cookie = login
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let value = cookie.strip_prefix("fastcms_session=").unwrap();
    let sent = format!("Cookie: {cookie}\r\n");
    assert_eq!(call("GET", ME, &sent, "").status, 200);
    assert_eq!(call("GET", "/nothing", &sent, "").status, 404);
    assert_eq!(call("GET", ME, &format!("{sent}{sent}"), "").status, 400);
    assert_eq!(call("POST", LOGOUT, &sent, "").status, 403);
    let own = format!("{sent}Sec-Fetch-Site: same-origin\r\n");
    assert_eq!(call("POST", LOGIN, &own, "{").status, 422);
    assert_eq!(call("POST", LOGOUT, &own, "{}").status, 204);
    assert_eq!(call("GET", ME, &sent, "").status, 401);
    server.terminate();
    let log = server.log();
    assert!(log.contains(ME), "nothing was logged");
    assert!(!log.contains(value), "{log}");
}
