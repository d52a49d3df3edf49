//! What an account of an auth collection may do, where it is nobody, and who sees what of it (contract 2.2, 2.4, 7.1).

use serde_json::json;

use super::{Account, NEW_PASSWORD, auth, club, credentials, members};
use crate::callers::{Bearer, COLLECTIONS, Calls, collection_path, record};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

on_both_engines!(
    tokens_stay_in_their_audience,
    an_account_acts_as_itself,
    what_admins_do_to_an_account_counts_at_once,
    an_address_is_shown_to_its_owner_and_to_admins,
    the_role_of_an_account_opens_nothing_by_itself,
);

/// D-03, D-14: a token speaks in the collection that issued it, and nowhere else as somebody.
async fn tokens_stay_in_their_audience(product: &Product) {
    let admin = club(product).await;
    admin.collection(&members("guests")).await;
    let user = product.user("carol").await;
    let ann = Account::register(product, "members", "ann").await;
    for path in [
        "/api/v1/auth/me",
        "/api/v1/auth/sessions",
        "/api/v1/admin/users",
        COLLECTIONS,
        &auth("guests", "me"),
        &auth("guests", "sessions"),
    ] {
        let refused = ann.caller.get(path).await.refused(401, "invalid_token");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
    ann.caller.post("/api/v1/auth/logout-all", &json!({})).await.refused(401, "invalid_token");
    ann.caller.patch("/api/v1/auth/me", &json!({"name": "x"})).await.refused(401, "invalid_token");
    let change = json!({"old_password": PASSWORD, "new_password": NEW_PASSWORD, "new_password_confirm": NEW_PASSWORD});
    ann.caller.post("/api/v1/auth/change-password", &change).await.refused(401, "invalid_token");
    for path in [auth("members", "me"), auth("members", "sessions")] {
        user.get(&path).await.refused(401, "invalid_token");
        admin.get(&path).await.refused(401, "invalid_token");
    }
    user.post(&auth("members", "me/change-password"), &change).await.refused(401, "invalid_token");
    let guest = product.guest();
    guest.post("/api/v1/auth/refresh", &ann.refresh_body()).await.refused(401, "invalid_refresh_token");
    guest.post(&auth("guests", "refresh"), &ann.refresh_body()).await.refused(401, "invalid_refresh_token");
    let of_user = json!({"refresh_token": user.tokens["refresh_token"]});
    guest.post(&auth("members", "refresh"), &of_user).await.refused(401, "invalid_refresh_token");
    ann.caller.get(&auth("members", "me")).await.expect(200);
    guest.post(&auth("members", "refresh"), &ann.refresh_body()).await.expect(200);
    guest.post("/api/v1/auth/refresh", &of_user).await.expect(200);
}

/// D-14.
async fn an_account_acts_as_itself(product: &Product) {
    let admin = club(product).await;
    admin.collection(&json!({
        "name": "posts", "schema": [{"name": "owner", "type": "text"}, {"name": "title", "type": "text"}],
        "create_rule": "@request.auth.id != ''", "list_rule": "owner = @request.auth.id", "view_rule": "@request.auth.collection = 'members'",
    })).await;
    let ann = Account::register(product, "members", "ann").await;
    let post = ann.caller.make("posts", &json!({"owner": ann.id, "title": "t"})).await;
    assert_eq!(ann.caller.list("posts", &[]).await.expect(200).json()["items"], json!([post]));
    ann.caller.get(&record("posts", &post["id"])).await.expect(200);
    product.user("carol").await.get(&record("posts", &post["id"])).await.refused(404, "not_found");
    let renewed = product.guest().post(&auth("members", "refresh"), &ann.refresh_body()).await.expect(200).json();
    let renewed = Bearer { product, token: text(&renewed["access_token"]) };
    renewed.make("posts", &json!({"owner": ann.id})).await;
    let changed = ann.caller.change("members", &ann.id, &json!({"nick": "ann"})).await.expect(200).json();
    assert_eq!(changed["data"]["nick"], "ann");
    let bob = Account::register(product, "members", "bob").await;
    bob.caller.change("members", &ann.id, &json!({"nick": "bob"})).await.refused(403, "forbidden");
    ann.caller.delete(&record("members", &ann.id)).await.refused(403, "forbidden");
}

/// Contract 2.4: password, role and deletion take effect with the next request.
async fn what_admins_do_to_an_account_counts_at_once(product: &Product) {
    let admin = club(product).await;
    let me = auth("members", "me");
    let ann = Account::register(product, "members", "ann").await;
    admin.change("members", &ann.id, &json!({"nick": "n"})).await.expect(200);
    ann.caller.get(&me).await.expect(200);
    admin.change("members", &ann.id, &json!({"password": NEW_PASSWORD})).await.expect(200);
    ann.caller.get(&me).await.refused(401, "invalid_token");
    let ann = Account::login(product, "members", "ann", NEW_PASSWORD).await;
    admin.change("members", &ann.id, &json!({"role": "editor"})).await.expect(200);
    ann.caller.get(&me).await.refused(401, "invalid_token");
    let ann = Account::login(product, "members", "ann", NEW_PASSWORD).await;
    ann.caller.get(&me).await.expect(200);
    admin.delete(&record("members", &ann.id)).await.expect(204);
    ann.caller.get(&me).await.refused(401, "invalid_token");
    product.guest().post(&auth("members", "refresh"), &ann.refresh_body()).await.refused(401, "invalid_refresh_token");
    product
        .guest()
        .post(&auth("members", "login"), &credentials("ann", NEW_PASSWORD))
        .await
        .refused(401, "invalid_credentials");

    let bob = Account::register(product, "members", "bob").await;
    let members = admin.get(&format!("{COLLECTIONS}/name/members")).await.expect(200).json();
    admin.delete(&collection_path(&members)).await.expect(204);
    let gone = bob.caller.get(&me).await;
    assert!([401, 404].contains(&gone.status.as_u16()), "{}", gone.json());
    admin.collection(&self::members("members")).await;
    bob.caller.get(&me).await.refused(401, "invalid_token");
    assert_eq!(admin.list("members", &[]).await.expect(200).json()["total"], 0);
}

async fn an_address_is_shown_to_its_owner_and_to_admins(product: &Product) {
    let admin = club(product).await;
    let user = product.user("carol").await;
    let ann = Account::register(product, "members", "ann").await;
    let bob = Account::register(product, "members", "bob").await;
    let path = record("members", &ann.id);
    let seen = |answer: Answer| answer.expect(200).json()["data"]["email"].clone();
    for answer in [ann.caller.get(&path).await, admin.get(&path).await] {
        assert_eq!(seen(answer), "ann@example.com");
    }
    for stranger in [bob.caller.get(&path).await, user.get(&path).await, product.guest().get(&path).await] {
        let shown = seen(stranger);
        assert!(shown.is_null() || shown == "hidden", "{shown}");
    }
    let listed = bob.caller.list("members", &[("sort", "@rowid")]).await.expect(200).json();
    assert_ne!(listed["items"][0]["data"]["email"], "ann@example.com");
    assert_eq!(listed["items"][1]["data"]["email"], "bob@example.com");
    for parameters in [("filter", "email = 'ann@example.com'"), ("filter", "email ~ 'ann'"), ("search", "ann@")] {
        let found = bob.caller.list("members", &[parameters]).await.expect(200).json();
        assert_eq!(found["total"], 0, "what is not shown is not found: {parameters:?}");
    }
    assert_eq!(
        bob.caller.list("members", &[("filter", "email = 'bob@example.com'")]).await.expect(200).json()["total"],
        1
    );
    assert_eq!(admin.list("members", &[("filter", "email ~ 'ann'")]).await.expect(200).json()["total"], 1);
    admin.change("members", &ann.id, &json!({"email_visibility": true})).await.expect(200);
    for stranger in [bob.caller.get(&path).await, user.get(&path).await, product.guest().get(&path).await] {
        assert_eq!(seen(stranger), "ann@example.com");
    }
}

async fn the_role_of_an_account_opens_nothing_by_itself(product: &Product) {
    let admin = club(product).await;
    admin.collection(&json!({"name": "vault", "schema": [{"name": "title", "type": "text"}]})).await;
    let made = admin.make("members", &json!({"email": "ann@example.com", "password": PASSWORD, "role": "admin"})).await;
    assert_eq!(made["data"]["role"], "admin");
    let ann = Account::login(product, "members", "ann", PASSWORD).await;
    ann.caller.list("vault", &[]).await.refused(403, "forbidden");
    ann.caller.create("vault", &json!({"title": "t"})).await.refused(403, "forbidden");
    ann.caller.get(COLLECTIONS).await.refused(401, "invalid_token");
    ann.caller.get("/api/v1/admin/users").await.refused(401, "invalid_token");
    ann.caller.delete(&record("members", &ann.id)).await.refused(403, "forbidden");
    assert!(ann.caller.get("/health").await.expect(200).json().get("checks").is_none());
}
