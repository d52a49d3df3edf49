//! Admins in a user's place (contract 5.14, R66 to R68).

use http::Method;
use serde_json::{Value, json};

use crate::callers::{Admin, Bearer, Calls, User, open};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

const ME: &str = "/api/v1/auth/me";
const LIVE: &str = "/api/v1/admin/impersonations";

on_both_engines!(
    an_admin_sees_what_the_user_sees,
    it_wants_a_recent_sign_in_and_a_reason_and_ends_in_time,
    it_reaches_no_admin_no_credential_and_no_key,
    nobody_acts_as_an_admin_or_as_themselves,
    it_ends_when_it_is_told_to,
    it_ends_with_what_it_rests_on,
    both_names_stand_in_the_audit_log,
    its_token_follows_the_signing_key,
    it_ends_with_the_idle_time_of_the_session_it_was_begun_in,
);

async fn begin(admin: &impl Calls, user: &str) -> Value {
    let path = format!("/api/v1/admin/users/{user}/impersonate");
    admin.post(&path, &json!({"reason": "ticket 4711"})).await.expect(200).json()
}

fn acting<'p>(product: &'p Product, begun: &Value) -> Bearer<'p> {
    Bearer { product, token: text(&begun["access_token"]) }
}

async fn cast(product: &Product) -> (Admin<'_>, User<'_>) {
    (product.admin().await, product.user("anna").await)
}

async fn sign_in<'p>(product: &'p Product, email: &str) -> Bearer<'p> {
    let login = json!({"email": email, "password": PASSWORD});
    let login = product.guest().post("/api/v1/auth/login", &login).await.expect(200).json();
    Bearer { product, token: text(&login["token"]["access_token"]) }
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn an_admin_sees_what_the_user_sees(product: &Product) {
    let (admin, user) = cast(product).await;
    let mut diary = open("diary", &json!([{"name": "writer", "type": "text"}]));
    diary["list_rule"] = json!("writer = @request.auth.id");
    admin.collection(&diary).await;
    admin.make("diary", &json!({"writer": user.id})).await;
    admin.make("diary", &json!({"writer": admin.id})).await;
    let begun = begin(&admin, &user.id).await;
    assert_eq!((&begun["token_type"], &begun["expires_in"]), (&json!("bearer"), &json!(3600)));
    assert_eq!((&begun["impersonated_user_id"], begun.get("refresh_token")), (&json!(user.id), None));
    let as_user = acting(product, &begun);
    assert_eq!(as_user.get(ME).await.expect(200).json()["id"], json!(user.id));
    assert_eq!(as_user.column("diary", &[], "writer").await, vec![json!(user.id)]);
    let claims = claims(&as_user.token);
    assert_eq!((&claims["sub"], &claims["act"]), (&json!(user.id), &json!({"sub": admin.id})));
    // The user's own session is another one.
    user.get(ME).await.expect(200);
    let sessions = user.get("/api/v1/auth/sessions").await.expect(200).json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
}

async fn it_wants_a_recent_sign_in_and_a_reason_and_ends_in_time(product: &Product) {
    let (admin, user) = cast(product).await;
    let path = format!("/api/v1/admin/users/{}/impersonate", user.id);
    for (query, body, field) in [
        ("", json!({}), "reason"),
        ("", json!({"reason": "  "}), "reason"),
        ("", json!({"reason": "x".repeat(501)}), "reason"),
        ("?duration=59", json!({"reason": "r"}), "duration"),
        ("?duration=86401", json!({"reason": "r"}), "duration"),
    ] {
        let answer = admin.post(&format!("{path}{query}"), &body).await.refused(422, "validation_failed").json();
        assert!(answer["details"][field].is_string(), "{query} {body}: {answer}");
    }
    let begun = admin.post(&format!("{path}?duration=60"), &json!({"reason": "r"})).await.expect(200).json();
    let as_user = acting(product, &begun);
    product.clock.advance_seconds(59);
    as_user.get(ME).await.expect(200);
    product.clock.advance_seconds(1);
    as_user.get(ME).await.refused(401, "invalid_token");
    product.clock.advance_seconds(14 * 60 + 1);
    admin.post(&path, &json!({"reason": "r"})).await.refused(403, "insufficient_user_authentication");
    user.post(&path, &json!({"reason": "r"})).await.refused(403, "forbidden");
    product.guest().post(&path, &json!({"reason": "r"})).await.refused(401, "authentication_required");
}

async fn it_reaches_no_admin_no_credential_and_no_key(product: &Product) {
    let (admin, user) = cast(product).await;
    let other = product.user("bert").await;
    let begun = begin(&admin, &user.id).await;
    let as_user = acting(product, &begun);
    let new = json!({"old_password": PASSWORD, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    for (method, path, body) in [
        (Method::GET, "/api/v1/admin/users", None),
        (Method::GET, LIVE, None),
        (Method::GET, "/api/v1/collections", None),
        (Method::GET, "/api/v1/logs", None),
        (Method::POST, &format!("/api/v1/admin/users/{}/impersonate", other.id), Some(json!({"reason": "r"}))),
        (Method::POST, &format!("/api/v1/admin/users/{}/impersonate/end", user.id), None),
        (Method::POST, "/api/v1/auth/change-password", Some(new)),
        (Method::DELETE, ME, None),
        (Method::GET, "/api/v1/auth/sessions", None),
        (Method::DELETE, "/api/v1/auth/sessions?others=true", None),
        (Method::POST, "/api/v1/auth/logout-all", None),
        (Method::GET, "/api/v1/api-keys", None),
        (Method::POST, "/api/v1/api-keys", Some(json!({"name": "k"}))),
        (Method::POST, "/api/v1/api-keys/revoke-all", None),
    ] {
        let answer = as_user.call(method.clone(), path, body.as_ref()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden"), "{method} {path}");
    }
    // It is neither a refresh token nor one of an auth collection.
    let body = json!({"refresh_token": as_user.token});
    product.guest().post("/api/v1/auth/refresh", &body).await.refused(401, "invalid_refresh_token");
    user.get(ME).await.expect(200);
}

async fn nobody_acts_as_an_admin_or_as_themselves(product: &Product) {
    let (admin, user) = cast(product).await;
    let body = json!({"reason": "r"});
    let path = |id: &str| format!("/api/v1/admin/users/{id}/impersonate");
    admin.post(&path(&admin.id), &body).await.refused(400, "self_action");
    let unknown = "01912345-0000-7000-8000-000000000001";
    admin.post(&path(unknown), &body).await.refused(404, "not_found");
    admin.patch(&format!("/api/v1/admin/users/{}/role?role=admin", user.id), &json!({})).await.expect(200);
    admin.post(&path(&user.id), &body).await.refused(403, "forbidden");
    let off = product.user("off").await;
    admin.patch(&format!("/api/v1/admin/users/{}", off.id), &json!({"disabled": true})).await.expect(200);
    admin.post(&path(&off.id), &body).await.refused(403, "forbidden");
}

async fn it_ends_when_it_is_told_to(product: &Product) {
    let (admin, user) = cast(product).await;
    let first = begin(&admin, &user.id).await;
    product.clock.advance_seconds(1);
    let second = begin(&admin, &user.id).await;
    let live = admin.get(LIVE).await.expect(200).json();
    assert_eq!(live["impersonations"].as_array().unwrap().len(), 2);
    let shown = &live["impersonations"][1];
    assert_eq!(
        (&shown["admin_email"], &shown["user_email"], &shown["reason"]),
        (&json!("root@example.com"), &json!("anna@example.com"), &json!("ticket 4711"))
    );
    let one = format!("{LIVE}/{}", text(&shown["id"]));
    acting(product, &first).get(ME).await.expect(200);
    admin.delete(&one).await.expect(204);
    acting(product, &first).get(ME).await.refused(401, "invalid_token");
    acting(product, &second).get(ME).await.expect(200);
    admin.delete(&one).await.refused(404, "not_found");
    // The one who acts may stop by signing out; nobody else is signed out by that.
    acting(product, &second).post("/api/v1/auth/logout", &json!({})).await.expect(204);
    acting(product, &second).get(ME).await.refused(401, "invalid_token");
    user.get(ME).await.expect(200);
    admin.get(ME).await.expect(200);

    let third = begin(&admin, &user.id).await;
    acting(product, &third).get(ME).await.expect(200);
    let all = format!("/api/v1/admin/users/{}/impersonate/end", user.id);
    admin.post(&all, &json!({})).await.expect(204);
    acting(product, &third).get(ME).await.refused(401, "invalid_token");
    assert_eq!(admin.get(LIVE).await.expect(200).json(), json!({"impersonations": []}));
}

/// What ends the sessions of the user, or the session or the power of the admin, ends it.
async fn it_ends_with_what_it_rests_on(product: &Product) {
    let (root, user) = cast(product).await;
    let at = format!("/api/v1/admin/users/{}", user.id);
    let second = product.user("second").await;
    let promote = async || {
        let path = format!("/api/v1/admin/users/{}/role?role=admin", second.id);
        root.patch(&path, &json!({})).await.expect(200);
        sign_in(product, "second@example.com").await
    };
    let admin = promote().await;
    let role = |role: &str| (Method::PATCH, format!("/api/v1/admin/users/{}/role?role={role}", second.id), Value::Null);

    // Of the admin: sign-out, loss of power.
    let begun = begin(&admin, &user.id).await;
    acting(product, &begun).get(ME).await.expect(200);
    admin.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    acting(product, &begun).get(ME).await.refused(401, "invalid_token");
    let admin = sign_in(product, "second@example.com").await;
    let begun = begin(&admin, &user.id).await;
    acting(product, &begun).get(ME).await.expect(200);
    let (method, path, _) = role("user");
    root.call(method, &path, None).await.expect(200);
    acting(product, &begun).get(ME).await.refused(401, "invalid_token");

    // Of the user: everything that ends sessions.
    for change in
        [json!({"password": "Given-By-Admin9"}), json!({"email": "anna2@example.com"}), json!({"disabled": true})]
    {
        let begun = begin(&root, &user.id).await;
        acting(product, &begun).get(ME).await.expect(200);
        root.patch(&at, &change).await.expect(200);
        acting(product, &begun).get(ME).await.refused(401, "invalid_token");
    }
    root.patch(&at, &json!({"disabled": false})).await.expect(200);
    let begun = begin(&root, &user.id).await;
    acting(product, &begun).get(ME).await.expect(200);
    root.patch(&format!("{at}/role?role=admin"), &json!({})).await.expect(200);
    acting(product, &begun).get(ME).await.refused(401, "invalid_token");
    root.patch(&format!("{at}/role?role=user"), &json!({})).await.expect(200);
    let begun = begin(&root, &user.id).await;
    acting(product, &begun).get(ME).await.expect(200);
    root.delete(&at).await.expect(204);
    acting(product, &begun).get(ME).await.refused(401, "invalid_token");
    // Whoever comes under the same address is somebody else.
    let body = json!({"email": "anna2@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    product.guest().post("/api/v1/auth/register", &body).await.expect(201);
    acting(product, &begun).get(ME).await.refused(401, "invalid_token");
}

/// R67.
async fn both_names_stand_in_the_audit_log(product: &Product) {
    let (admin, user) = cast(product).await;
    let begun = begin(&admin, &user.id).await;
    acting(product, &begun).post("/api/v1/auth/logout", &json!({})).await.expect(204);
    let dialect = product.app.store.dialect();
    let mut sql = fastcms_store::Sql::new(dialect);
    sql.push("SELECT user_email, description, details FROM audit_logs WHERE event_action = 'impersonate' ORDER BY created, seq");
    let read = product
        .app
        .store
        .read(fastcms_store::Plan::Scan, move |reader| Box::pin(async move { reader.fetch(&sql).await }));
    let rows = read.await.unwrap();
    assert_eq!(rows.len(), 2);
    let details = |at: usize| serde_json::from_str::<Value>(rows[at].text(2).unwrap()).unwrap();
    assert_eq!(rows[0].text(0).unwrap(), "root@example.com");
    assert_eq!(details(0)["reason"], "ticket 4711");
    assert_eq!(rows[1].text(0).unwrap(), "anna@example.com");
    assert_eq!(details(1)["acting_admin_email"], "root@example.com");
    assert_eq!(details(1)["acting_admin_id"], json!(admin.id));
}

async fn its_token_follows_the_signing_key(product: &Product) {
    const NEW_KEY: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";
    let (admin, user) = cast(product).await;
    let begun = begin(&admin, &user.id).await;
    let rotating = product.with(&[("SECRET_KEY", NEW_KEY), ("SECRET_KEY_PREVIOUS", crate::process::SECRET)]).await;
    let done = product.with(&[("SECRET_KEY", NEW_KEY)]).await;
    acting(&rotating, &begun).get(ME).await.expect(200);
    acting(&done, &begun).get(ME).await.refused(401, "invalid_token");
    rotating.close().await;
    done.close().await;
}

/// Whoever walked away from a browser is not acting for anybody either.
async fn it_ends_with_the_idle_time_of_the_session_it_was_begun_in(product: &Product) {
    let (_, user) = cast(product).await;
    let node = &product.with(&[("SESSION_IDLE_MINUTES", "5")]).await;
    let login = json!({"email": "root@example.com", "password": PASSWORD, "cookie": true});
    let set =
        node.guest().post("/api/v1/auth/login", &login).await.expect(200).header("set-cookie").unwrap().to_owned();
    let cookie = set.split(';').next().unwrap().to_owned();
    let ask = |method, path: &str, body: Option<&Value>| {
        let mut request = crate::callers::request(None, method, path, body);
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", "http://localhost:8000".parse().unwrap());
        node.send(request)
    };
    let path = format!("/api/v1/admin/users/{}/impersonate?duration=3600", user.id);
    let begun = ask(Method::POST, &path, Some(&json!({"reason": "ticket 4711"}))).await.expect(200).json();
    let acting = acting(node, &begun);
    for _ in 0..4 {
        node.clock.advance_seconds(70);
        acting.get(ME).await.expect(200);
    }
    node.clock.advance_seconds(70);
    acting.get(ME).await.refused(401, "invalid_token");
    ask(Method::GET, ME, None).await.expect(401);
    node.close().await;
}
