//! Accounts of auth collections: they register, sign in and manage their sessions in a world of their own (contract 5.5, 2.2).

use serde_json::{Value, json};

use crate::callers::{Admin, Bearer, COLLECTIONS, Calls, collection_path};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

mod standing;

on_both_engines!(
    a_registration_answers_the_documented_shape,
    a_registration_takes_what_the_schema_offers_and_nothing_else,
    the_create_rule_decides_who_registers,
    an_address_is_taken_once_a_collection,
    every_failed_sign_in_looks_the_same,
    another_field_can_be_the_identity,
    a_token_is_refreshed_once_and_its_family_ends_with_reuse,
    sessions_are_listed_and_ended,
    a_new_password_ends_every_session,
);

const NEW_PASSWORD: &str = "Another-Horse8-staple";

fn auth(collection: &str, verb: &str) -> String {
    format!("{COLLECTIONS}/{collection}/auth/{verb}")
}

fn members(name: &str) -> Value {
    json!({
        "name": name, "type": "auth", "create_rule": "", "list_rule": "", "view_rule": "", "update_rule": "id = @request.auth.id", "delete_rule": null,
        "schema": [{"name": "nick", "type": "text", "validation": {"max_length": 10}}, {"name": "internal", "type": "text", "hidden": true}],
    })
}

fn credentials(name: &str, password: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "password": password})
}

/// An account of an auth collection, signed in.
struct Account<'p> {
    id: Value,
    caller: Bearer<'p>,
    tokens: Value,
}

impl<'p> Account<'p> {
    fn of(product: &'p Product, answer: &Answer) -> Self {
        let body = answer.json();
        let caller = Bearer { product, token: text(&body["token"]["access_token"]) };
        Self { id: body["user"]["id"].clone(), caller, tokens: body["token"].clone() }
    }

    async fn register(product: &'p Product, collection: &str, name: &str) -> Self {
        Self::of(
            product,
            &product.guest().post(&auth(collection, "register"), &credentials(name, PASSWORD)).await.expect(201),
        )
    }

    async fn login(product: &'p Product, collection: &str, name: &str, password: &str) -> Self {
        Self::of(
            product,
            &product.guest().post(&auth(collection, "login"), &credentials(name, password)).await.expect(200),
        )
    }

    fn refresh_body(&self) -> Value {
        json!({"refresh_token": self.tokens["refresh_token"]})
    }
}

async fn club(product: &Product) -> Admin<'_> {
    let admin = product.admin().await;
    admin.collection(&members("members")).await;
    admin
}

async fn a_registration_answers_the_documented_shape(product: &Product) {
    club(product).await;
    let body = json!({"email": "Ann@Example.com", "password": PASSWORD, "password_confirm": PASSWORD, "nick": "ann"});
    let registered = product.guest().post(&auth("members", "register"), &body).await.expect(201).json();
    let login = product.guest().post(&auth("members", "login"), &credentials("ann", PASSWORD)).await.expect(200).json();
    assert_eq!(login["user"], registered["user"]);
    let me = Bearer { product, token: text(&login["token"]["access_token"]) }
        .get(&auth("members", "me"))
        .await
        .expect(200)
        .json();
    assert_eq!(me, registered["user"]);
    insta::with_settings!({snapshot_suffix => "any_engine"}, {
        insta::assert_json_snapshot!("registered", registered, {
            ".user.id" => "[id]", ".user.created" => "[time]", ".user.updated" => "[time]",
            ".token.access_token" => "[token]", ".token.refresh_token" => "[token]",
        });
    });
    product.guest().get(&auth("members", "me")).await.refused(401, "authentication_required");
}

/// D-03: nobody chooses an id, a role or a flag.
async fn a_registration_takes_what_the_schema_offers_and_nothing_else(product: &Product) {
    let admin = club(product).await;
    for (name, value) in [
        ("id", json!(admin.id)),
        ("role", json!("admin")),
        ("verified", json!(true)),
        ("email_visibility", json!(true)),
        ("created", json!("2026-01-01T00:00:00.000Z")),
        ("updated", json!("2026-01-01T00:00:00.000Z")),
        ("internal", json!("x")),
        ("nope", json!(1)),
        ("token_key", json!("x")),
        ("disabled", json!(false)),
        ("email_folded", json!("x")),
    ] {
        let mut body = credentials("eve", PASSWORD);
        body[name] = value;
        let details = product
            .guest()
            .post(&auth("members", "register"), &body)
            .await
            .refused(422, "validation_failed")
            .json()["details"]
            .clone();
        assert!(details[name].is_string(), "{name}: {details}");
    }
    for (body, field) in [
        (json!({"password": PASSWORD}), "email"),
        (json!({"email": "eve@example.com"}), "password"),
        (json!({"email": "x.y@", "password": PASSWORD}), "email"),
        (json!({"email": "eve@example.com", "password": PASSWORD, "password_confirm": "other"}), "password_confirm"),
        (json!({"email": "eve@example.com", "password": PASSWORD, "nick": "far too long a nick"}), "nick"),
        (json!({"email": 5, "password": PASSWORD}), "email"),
        (json!({"email": "eve@example.com", "password": ["x"]}), "password"),
    ] {
        let details = product
            .guest()
            .post(&auth("members", "register"), &body)
            .await
            .refused(422, "validation_failed")
            .json()["details"]
            .clone();
        assert!(details[field].is_string(), "{body}: {details}");
    }
    let answer = product
        .guest()
        .post(&auth("members", "register"), &credentials("eve", "short"))
        .await
        .refused(422, "password_policy");
    assert_eq!(answer.json()["details"], json!({"password": "Password must be at least 10 characters long"}));
    let nul = product.guest().post(&auth("members", "register"), &credentials("eve", "nul\u{0}-Horse7-battery")).await;
    assert!(nul.status.is_success() || nul.status == 422, "{}", nul.json());
    assert!(admin.list("members", &[]).await.expect(200).json()["total"].as_u64().unwrap() <= 1);
}

async fn the_create_rule_decides_who_registers(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let members = admin.collection(&members("members")).await;
    admin.collection(&json!({"name": "plain", "create_rule": ""})).await;
    let body = &credentials("ann", PASSWORD);
    guest.post(&auth("plain", "register"), body).await.refused(400, "wrong_collection_type");
    guest.post(&auth("plain", "login"), body).await.refused(400, "wrong_collection_type");
    guest.post(&auth("nothing", "register"), body).await.refused(404, "not_found");
    guest.post(&auth("nothing", "login"), body).await.refused(404, "not_found");

    admin.reshape(&members, &json!({"create_rule": null})).await;
    guest.post(&auth("members", "register"), body).await.refused(403, "registration_closed");
    admin.reshape(&members, &json!({"create_rule": "@request.data.nick = 'invited'"})).await;
    guest.post(&auth("members", "register"), body).await.refused(403, "forbidden");
    let mut invited = credentials("ann", PASSWORD);
    invited["nick"] = json!("invited");
    guest.post(&auth("members", "register"), &invited).await.expect(201);
}

async fn an_address_is_taken_once_a_collection(product: &Product) {
    let admin = club(product).await;
    admin.collection(&members("guests")).await;
    let guest = product.guest();
    Account::register(product, "members", "ann").await;
    for shouted in ["ann@example.com", "ANN@example.com", "Ann@Example.COM"] {
        let body = json!({"email": shouted, "password": PASSWORD});
        guest.post(&auth("members", "register"), &body).await.refused(409, "email_taken");
        guest.create("members", &body).await.refused(409, "email_taken");
        guest.post(&auth("members", "login"), &body).await.expect(200);
    }
    Account::register(product, "guests", "ann").await;
    product.user("ann").await;
    let same = credentials("bob", PASSWORD);
    let path = auth("members", "register");
    let answers = futures_util::future::join_all((0..10).map(|_| guest.post(&path, &same))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "email_taken"));
}

async fn every_failed_sign_in_looks_the_same(product: &Product) {
    club(product).await;
    Account::register(product, "members", "ann").await;
    product.user("carol").await;
    let mut bodies = Vec::new();
    for (name, password) in [("ann", "wrong-password-1"), ("nobody", PASSWORD), ("carol", PASSWORD), ("root", PASSWORD)]
    {
        let answer = product
            .guest()
            .post(&auth("members", "login"), &credentials(name, password))
            .await
            .refused(401, "invalid_credentials");
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        bodies.push((body, answer.header("www-authenticate").map(str::to_owned)));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    for body in [json!({}), json!({"email": "ann@example.com"}), json!({"email": "ann@example.com", "password": 5})] {
        product.guest().post(&auth("members", "login"), &body).await.refused(422, "validation_failed");
    }
    product.guest().post("/api/v1/auth/login", &credentials("ann", PASSWORD)).await.refused(401, "invalid_credentials");
}

async fn another_field_can_be_the_identity(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let mut definition = members("members");
    definition["schema"] = json!([{"name": "nick", "type": "text", "validation": {"required": true, "unique": true}}]);
    definition["options"] = json!({"identity_field": "nick"});
    let made = admin.collection(&definition).await;
    assert_eq!(made["options"]["identity_field"], "nick");
    let mut body = credentials("ann", PASSWORD);
    body["nick"] = json!("ann1");
    guest.post(&auth("members", "register"), &body).await.expect(201);
    guest.post(&auth("members", "login"), &json!({"nick": "ann1", "password": PASSWORD})).await.expect(200);
    guest
        .post(&auth("members", "login"), &json!({"nick": "ann2", "password": PASSWORD}))
        .await
        .refused(401, "invalid_credentials");
    for identity in ["nope", "password", "role"] {
        let options = json!({"options": {"identity_field": identity}});
        admin.patch(&collection_path(&made), &options).await.refused(422, "validation_failed");
    }
}

async fn a_token_is_refreshed_once_and_its_family_ends_with_reuse(product: &Product) {
    club(product).await;
    let guest = product.guest();
    let path = auth("members", "refresh");
    let ann = Account::register(product, "members", "ann").await;
    product.clock.advance_seconds(1);
    let next = guest.post(&path, &ann.refresh_body()).await.expect(200).json();
    assert_eq!((&next["token_type"], &next["expires_in"]), (&json!("bearer"), &json!(900)));
    assert_ne!(next["refresh_token"], ann.tokens["refresh_token"]);
    let again = guest.post(&path, &ann.refresh_body()).await.expect(200).json();
    assert_eq!(again["refresh_token"], next["refresh_token"], "within the grace it is the same successor");
    let renewed = Bearer { product, token: text(&next["access_token"]) };
    renewed.get(&auth("members", "me")).await.expect(200);
    product.clock.advance_seconds(11);
    guest.post(&path, &ann.refresh_body()).await.refused(401, "invalid_refresh_token");
    guest.post(&path, &json!({"refresh_token": next["refresh_token"]})).await.refused(401, "invalid_refresh_token");
    renewed.get(&auth("members", "me")).await.refused(401, "invalid_token");
    for junk in [json!("junk"), ann.tokens["access_token"].clone(), json!("")] {
        guest.post(&path, &json!({"refresh_token": junk})).await.refused(401, "invalid_refresh_token");
    }
    guest.post(&path, &json!({})).await.refused(422, "validation_failed");
}

async fn sessions_are_listed_and_ended(product: &Product) {
    club(product).await;
    let me = auth("members", "me");
    let sessions = auth("members", "sessions");
    let first = Account::register(product, "members", "ann").await;
    product.clock.advance_seconds(1);
    let second = Account::login(product, "members", "ann", PASSWORD).await;
    product.clock.advance_seconds(1);
    let third = Account::login(product, "members", "ann", PASSWORD).await;
    let bob = Account::register(product, "members", "bob").await;
    let list = third.caller.get(&sessions).await.expect(200).json()["sessions"].clone();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(
        list.iter().map(|session| session["current"] == true).collect::<Vec<_>>(),
        [true, false, false],
        "newest first"
    );
    for key in ["id", "user_agent", "ip_address", "created", "last_seen", "expires_at", "current"] {
        assert!(list[0].get(key).is_some(), "{key}: {}", list[0]);
    }
    let oldest = format!("{sessions}/{}", text(&list[2]["id"]));
    bob.caller.delete(&oldest).await.refused(404, "not_found");
    third.caller.delete(&oldest).await.expect(204);
    first.caller.get(&me).await.refused(401, "invalid_token");
    third.caller.delete(&oldest).await.refused(404, "not_found");
    third.caller.delete(&sessions).await.refused(422, "validation_failed");
    third.caller.delete(&format!("{sessions}?others=true")).await.expect(204);
    second.caller.get(&me).await.refused(401, "invalid_token");
    third.caller.get(&me).await.expect(200);
    third.caller.post(&auth("members", "logout"), &json!({})).await.expect(204);
    third.caller.get(&me).await.refused(401, "invalid_token");
    product
        .guest()
        .post(&auth("members", "refresh"), &third.refresh_body())
        .await
        .refused(401, "invalid_refresh_token");
    bob.caller.get(&me).await.expect(200);
}

async fn a_new_password_ends_every_session(product: &Product) {
    club(product).await;
    let path = auth("members", "me/change-password");
    let first = Account::register(product, "members", "ann").await;
    let second = Account::login(product, "members", "ann", PASSWORD).await;
    let body = |old: &str, new: &str, confirm: &str| json!({"old_password": old, "new_password": new, "new_password_confirm": confirm});
    first
        .caller
        .post(&path, &body("wrong-password-1", NEW_PASSWORD, NEW_PASSWORD))
        .await
        .refused(401, "invalid_credentials");
    let weak = first.caller.post(&path, &body(PASSWORD, "short", "short")).await.refused(422, "password_policy");
    assert!(weak.json()["details"]["new_password"].is_string());
    first.caller.post(&path, &body(PASSWORD, NEW_PASSWORD, "other")).await.refused(422, "validation_failed");
    product
        .guest()
        .post(&path, &body(PASSWORD, NEW_PASSWORD, NEW_PASSWORD))
        .await
        .refused(401, "authentication_required");
    second.caller.get(&auth("members", "me")).await.expect(200);
    first.caller.post(&path, &body(PASSWORD, NEW_PASSWORD, NEW_PASSWORD)).await.expect(204);
    for ended in [&first, &second] {
        ended.caller.get(&auth("members", "me")).await.refused(401, "invalid_token");
        product
            .guest()
            .post(&auth("members", "refresh"), &ended.refresh_body())
            .await
            .refused(401, "invalid_refresh_token");
    }
    product
        .guest()
        .post(&auth("members", "login"), &credentials("ann", PASSWORD))
        .await
        .refused(401, "invalid_credentials");
    Account::login(product, "members", "ann", NEW_PASSWORD).await;
}
