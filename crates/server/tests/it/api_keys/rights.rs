//! A key never gives more than its owner has at this moment (R65), and never touches keys or credentials.

use http::Method;
use serde_json::json;

use super::{KEYS, ME, make, program};
use crate::callers::{Calls, open};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

on_both_engines!(
    a_key_loses_what_its_owner_loses,
    a_key_manages_neither_keys_nor_sessions_nor_credentials,
    making_and_rotating_wants_a_recent_sign_in,
    accounts_of_collections_have_no_keys,
    a_key_survives_a_sign_out_and_a_new_password,
    an_owner_who_must_change_the_password_has_no_working_key,
    a_higher_rate_is_an_admins_while_they_are_one,
    rules_see_the_owner,
);

/// CVE-2025-24353 (a share that could name any role), CVE-2026-1486 (what was disabled and trusted still).
async fn a_key_loses_what_its_owner_loses(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("anna").await;
    let at = format!("/api/v1/admin/users/{}", user.id);
    let made = make(&user, &json!({"name": "k"})).await;
    let key = program(product, &made);
    key.get("/api/v1/admin/users").await.refused(403, "forbidden");
    admin.patch(&format!("{at}/role?role=admin"), &json!({})).await.expect(200);
    key.get("/api/v1/admin/users").await.expect(200);
    admin.patch(&format!("{at}/role?role=user"), &json!({})).await.expect(200);
    key.get("/api/v1/admin/users").await.refused(403, "forbidden");
    admin.patch(&at, &json!({"disabled": true})).await.expect(200);
    key.get(ME).await.refused(401, "invalid_token");
    admin.patch(&at, &json!({"disabled": false})).await.expect(200);
    key.get(ME).await.expect(200);
    admin.delete(&at).await.expect(204);
    key.get(ME).await.refused(401, "invalid_token");
    // CVE-2025-4644: whoever comes next under the same address is somebody else.
    let again = product.user("anna").await;
    assert_ne!(again.id, user.id);
    key.get(ME).await.refused(401, "invalid_token");
    assert_eq!(again.get(KEYS).await.expect(200).json(), json!([]));
}

async fn a_key_manages_neither_keys_nor_sessions_nor_credentials(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("anna").await;
    let made = make(&admin, &json!({"name": "k"})).await;
    let key = program(product, &made);
    let (own, other) = (format!("{KEYS}/{}", text(&made["id"])), format!("/api/v1/admin/users/{}", user.id));
    let new = json!({"old_password": PASSWORD, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    let somebody = json!({"email": "x@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    for (method, path, body) in [
        (Method::GET, KEYS, None),
        (Method::POST, KEYS, Some(json!({"name": "more"}))),
        (Method::GET, &own, None),
        (Method::PATCH, &own, Some(json!({"scopes": "*"}))),
        (Method::DELETE, &own, None),
        (Method::POST, &format!("{own}/rotate"), Some(json!({}))),
        (Method::POST, &format!("{KEYS}/revoke-all"), None),
        (Method::GET, "/api/v1/auth/sessions", None),
        (Method::DELETE, "/api/v1/auth/sessions?others=true", None),
        (Method::POST, "/api/v1/auth/logout-all", None),
        (Method::POST, "/api/v1/auth/change-password", Some(new)),
        (Method::DELETE, ME, None),
        (Method::PATCH, &other, Some(json!({"role": "admin"}))),
        (Method::PATCH, &other, Some(json!({"password": "Another-Horse8-staple"}))),
        (Method::PATCH, &other, Some(json!({"email": "new@example.com"}))),
        (Method::PATCH, &format!("{other}/role?role=admin"), None),
        (Method::DELETE, &other, None),
        (Method::POST, "/api/v1/admin/users?role=admin", Some(somebody)),
    ] {
        let answer = key.call(method.clone(), path, body.as_ref()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden"), "{method} {path}");
    }
    // What is no credential, an admin's key may do.
    key.patch(&other, &json!({"name": "Anna", "verified": true})).await.expect(200);
    // Signing out ends what the key does not have.
    key.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    key.get(ME).await.expect(200);
    admin.get(ME).await.expect(200);
}

async fn making_and_rotating_wants_a_recent_sign_in(product: &Product) {
    let admin = product.admin().await;
    let made = make(&admin, &json!({"name": "k"})).await;
    product.clock.advance_seconds(15 * 60 + 1);
    let own = format!("{KEYS}/{}", text(&made["id"]));
    let too_old = "insufficient_user_authentication";
    admin.post(KEYS, &json!({"name": "more"})).await.refused(403, too_old);
    admin.post(&format!("{own}/rotate"), &json!({})).await.refused(403, too_old);
    admin.patch(&own, &json!({"active": false})).await.expect(200);
    admin.delete(&own).await.expect(204);
}

async fn accounts_of_collections_have_no_keys(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
    let body = json!({"email": "m@example.com", "password": PASSWORD});
    let member = product.guest().post("/api/v1/collections/members/auth/register", &body).await.expect(201).json();
    let member = crate::callers::Bearer { product, token: text(&member["token"]["access_token"]) };
    member.post(KEYS, &json!({"name": "k"})).await.refused(401, "invalid_token");
    member.get(KEYS).await.refused(401, "invalid_token");
    // And a key of a user is nobody there.
    let key = program(product, &make(&admin, &json!({"name": "k"})).await);
    key.get("/api/v1/collections/members/auth/me").await.refused(401, "invalid_token");
    key.get("/api/v1/collections/members/auth/sessions").await.refused(401, "invalid_token");
}

async fn a_key_survives_a_sign_out_and_a_new_password(product: &Product) {
    product.admin().await;
    let user = product.user("anna").await;
    let key = program(product, &make(&user, &json!({"name": "k"})).await);
    let new = json!({"old_password": PASSWORD, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    user.post("/api/v1/auth/change-password", &new).await.expect(204);
    user.get(ME).await.refused(401, "invalid_token");
    key.get(ME).await.expect(200);
}

async fn an_owner_who_must_change_the_password_has_no_working_key(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("anna").await;
    let key = program(product, &make(&user, &json!({"name": "k"})).await);
    let at = format!("/api/v1/admin/users/{}", user.id);
    admin.patch(&at, &json!({"password": "Given-By-Admin9"})).await.expect(200);
    key.get("/api/v1/collections/none/records").await.refused(403, "password_change_required");
}

async fn a_higher_rate_is_an_admins_while_they_are_one(product: &Product) {
    use fastcms_core::api_keys;
    let admin = product.admin().await;
    let second = product.user("anna").await;
    let at = format!("/api/v1/admin/users/{}", second.id);
    admin.patch(&format!("{at}/role?role=admin"), &json!({})).await.expect(200);
    let login = json!({"email": "anna@example.com", "password": PASSWORD});
    let login = product.guest().post("/api/v1/auth/login", &login).await.expect(200).json();
    let second = crate::callers::Bearer { product, token: text(&login["token"]["access_token"]) };
    let made = make(&second, &json!({"name": "k", "rate_limit_per_minute": 5_000})).await;
    let rate = async || {
        let caller = api_keys::authenticate(&product.app, &text(&made["key"]), [127, 0, 0, 1].into()).await.unwrap();
        caller.api_key().unwrap().rate_limit_per_minute
    };
    assert_eq!(rate().await, Some(5_000));
    admin.patch(&format!("{at}/role?role=user"), &json!({})).await.expect(200);
    assert_eq!(rate().await, Some(100));
}

async fn rules_see_the_owner(product: &Product) {
    let admin = product.admin().await;
    let (anna, bert) = (product.user("anna").await, product.user("bert").await);
    let mut diary = open("diary", &json!([{"name": "writer", "type": "text"}, {"name": "title", "type": "text"}]));
    diary["list_rule"] = json!("writer = @request.auth.id");
    admin.collection(&diary).await;
    for writer in [&anna, &bert] {
        admin.make("diary", &json!({"writer": writer.id, "title": "t"})).await;
    }
    let key = program(product, &make(&anna, &json!({"name": "k", "scopes": "records.diary:read"})).await);
    assert_eq!(key.column("diary", &[], "writer").await, vec![json!(anna.id)]);
}
