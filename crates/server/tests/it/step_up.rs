//! Sensitive actions and how long ago the caller signed in (contract 2.5, R37).

use http::Method;
use serde_json::{Value, json};

use crate::callers::{Bearer, Calls};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

const TOO_OLD: &str = "insufficient_user_authentication";

on_both_engines!(
    a_sign_in_of_a_quarter_of_an_hour_ago_is_too_old_for_what_is_sensitive,
    a_new_access_token_is_not_a_new_sign_in,
    who_signs_in_again_may,
    what_is_not_sensitive_asks_for_no_new_sign_in,
    accounts_of_collections_step_up_too,
);

fn new_password() -> Value {
    json!({"old_password": PASSWORD, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"})
}

fn somebody(name: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD})
}

/// What is sensitive of the own account, and of somebody else's in the hands of an admin.
fn sensitive(other: &str) -> Vec<(Method, String, Option<Value>)> {
    let user = format!("/api/v1/admin/users/{other}");
    vec![
        (Method::POST, "/api/v1/auth/change-password".to_owned(), Some(new_password())),
        (Method::DELETE, "/api/v1/auth/me".to_owned(), None),
        (Method::PATCH, format!("{user}/role?role=admin"), Some(json!({}))),
        (Method::PATCH, user.clone(), Some(json!({"role": "admin"}))),
        (Method::PATCH, user.clone(), Some(json!({"email": "new@example.com"}))),
        (Method::PATCH, user.clone(), Some(json!({"password": "Another-Horse8-staple"}))),
        (Method::POST, "/api/v1/admin/users?role=admin".to_owned(), Some(somebody("second"))),
        (Method::DELETE, user, None),
    ]
}

async fn a_sign_in_of_a_quarter_of_an_hour_ago_is_too_old_for_what_is_sensitive(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("anna").await;
    product.clock.advance_seconds(15 * 60 + 1);
    for (method, path, body) in sensitive(&user.id) {
        let answer = admin.call(method.clone(), &path, body.as_ref()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, TOO_OLD), "{method} {path}");
    }
    let untouched = admin.get(&format!("/api/v1/admin/users/{}", user.id)).await.expect(200).json();
    assert_eq!((&untouched["role"], &untouched["email"]), (&json!("user"), &json!("anna@example.com")));
}

/// The age counts from the sign-in, not from the token.
async fn a_new_access_token_is_not_a_new_sign_in(product: &Product) {
    let admin = product.admin().await;
    product.clock.advance_seconds(14 * 60);
    let body = json!({"refresh_token": admin.tokens["refresh_token"]});
    let refreshed = product.guest().post("/api/v1/auth/refresh", &body).await.expect(200).json();
    let again = Bearer { product, token: text(&refreshed["access_token"]) };
    product.clock.advance_seconds(61);
    again.get("/api/v1/auth/me").await.expect(200);
    again.post("/api/v1/auth/change-password", &new_password()).await.refused(403, TOO_OLD);
}

async fn who_signs_in_again_may(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("anna").await;
    product.clock.advance_seconds(15 * 60);
    // To the second.
    admin.patch(&format!("/api/v1/admin/users/{}/role?role=admin", user.id), &json!({})).await.expect(200);
    product.clock.advance_seconds(1);
    let login = json!({"email": "root@example.com", "password": PASSWORD});
    let login = product.guest().post("/api/v1/auth/login", &login).await.expect(200).json();
    let again = Bearer { product, token: text(&login["token"]["access_token"]) };
    again.delete(&format!("/api/v1/admin/users/{}", user.id)).await.expect(204);
    again.post("/api/v1/auth/change-password", &new_password()).await.expect(204);
}

async fn what_is_not_sensitive_asks_for_no_new_sign_in(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("anna").await;
    product.clock.advance_seconds(15 * 60 + 1);
    let path = format!("/api/v1/admin/users/{}", user.id);
    admin.patch(&path, &json!({"name": "Anna", "verified": true})).await.expect(200);
    admin.post("/api/v1/admin/users", &somebody("plain")).await.expect(201);
    admin.patch("/api/v1/auth/me", &json!({"name": "Root"})).await.expect(200);
    // Shutting somebody out must not wait for a password.
    admin.patch(&path, &json!({"disabled": true})).await.expect(200);
}

async fn accounts_of_collections_step_up_too(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
    let body = json!({"email": "m@example.com", "password": PASSWORD});
    let member = product.guest().post("/api/v1/collections/members/auth/register", &body).await.expect(201).json();
    let member = Bearer { product, token: text(&member["token"]["access_token"]) };
    product.clock.advance_seconds(15 * 60 + 1);
    let path = "/api/v1/collections/members/auth/me/change-password";
    member.post(path, &new_password()).await.refused(403, TOO_OLD);
}
