//! Accounts from outside: setup, sign-in, tokens, sessions, passwords, admins.

use serde_json::{Value, json};

use crate::callers::{Bearer, Calls};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

const ME: &str = "/api/v1/auth/me";

on_both_engines!(
    setup_makes_one_admin_of_fifty_callers,
    registration_waits_for_setup,
    a_sign_in_answers_the_documented_shape,
    every_failed_sign_in_looks_the_same,
    sessions_end_with_the_next_request,
    fifty_uses_of_one_refresh_token_make_one_successor,
    a_used_refresh_token_ends_the_family_after_the_grace,
    tokens_speak_for_their_own_place_only,
    the_password_policy_stands_on_every_door,
    admins_manage_users_and_the_last_one_stays,
    the_setup_link_is_good_once_and_for_half_an_hour,
    an_unknown_key_ends_tokens_and_a_previous_one_does_not,
    password_history_is_refused,
);

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

/// D-30: one winner, and everybody else is told so.
async fn setup_makes_one_admin_of_fifty_callers(product: &Product) {
    let guest = product.guest();
    let calls = (0..50).map(|n| async move {
        let body = json!({"email": format!("a{n}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
        guest.post("/api/v1/setup", &body).await
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "setup_already_done"));
    }
    let winner = answers.iter().find(|answer| answer.status == 200).unwrap().json();
    let admin = Bearer { product, token: text(&winner["token"]["access_token"]) };
    assert_eq!(admin.get("/api/v1/admin/users").await.expect(200).json()["total"], 1);
}

async fn registration_waits_for_setup(product: &Product) {
    let guest = product.guest();
    let body = json!({"email": "early@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    guest.post("/api/v1/auth/register", &body).await.refused(403, "registration_closed");
    assert_eq!(guest.get("/api/v1/setup/check").await.expect(200).json(), json!({"needs_setup": true}));
    product.admin().await;
    assert_eq!(guest.get("/api/v1/setup/check").await.expect(200).json(), json!({"needs_setup": false}));
    guest.post("/api/v1/auth/register", &body).await.expect(201);
    let shouted = json!({"email": "EARLY@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    guest.post("/api/v1/auth/register", &shouted).await.refused(409, "email_taken");
}

async fn a_sign_in_answers_the_documented_shape(product: &Product) {
    let admin = product.admin().await;
    let answer =
        product.guest().post("/api/v1/auth/login", &credentials("root@example.com", PASSWORD)).await.expect(200);
    insta::assert_json_snapshot!("login", answer.json(), {
        ".user.id" => "[id]",
        ".token.access_token" => "[token]",
        ".token.refresh_token" => "[token]",
    });
    assert_eq!(admin.get(ME).await.expect(200).json()["id"], json!(admin.id));
    product.guest().get(ME).await.refused(401, "authentication_required");
}

/// R41: wrong password, unknown address, disabled account: the same bytes.
async fn every_failed_sign_in_looks_the_same(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("carol").await;
    admin.patch(&format!("/api/v1/admin/users/{}", user.id), &json!({"disabled": true})).await.expect(200);
    user.get(ME).await.refused(401, "invalid_token");
    let mut bodies = Vec::new();
    for (email, password) in
        [("root@example.com", "wrong-password-1"), ("nobody@example.com", PASSWORD), ("carol@example.com", PASSWORD)]
    {
        let answer = product.guest().post("/api/v1/auth/login", &credentials(email, password)).await;
        let mut body = answer.clone().refused(401, "invalid_credentials").json();
        body["request_id"] = Value::Null;
        bodies.push((body, answer.header("www-authenticate").map(str::to_owned)));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
}

/// D-17: sign-out, sign-out everywhere and a new password count from the next request.
async fn sessions_end_with_the_next_request(product: &Product) {
    product.admin().await;
    let login = || async {
        let answer =
            product.guest().post("/api/v1/auth/login", &credentials("dave@example.com", PASSWORD)).await.expect(200);
        Bearer { product, token: text(&answer.json()["token"]["access_token"]) }
    };
    let first = product.user("dave").await;
    first.get(ME).await.expect(200);
    first.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    first.get(ME).await.refused(401, "invalid_token");
    let refresh = json!({"refresh_token": first.tokens["refresh_token"]});
    product.guest().post("/api/v1/auth/refresh", &refresh).await.refused(401, "invalid_refresh_token");

    let (second, third) = (login().await, login().await);
    second.get(ME).await.expect(200);
    third.get(ME).await.expect(200);
    assert_eq!(second.get("/api/v1/auth/sessions").await.expect(200).json()["sessions"].as_array().unwrap().len(), 2);
    second.delete("/api/v1/auth/sessions?others=true").await.expect(204);
    third.get(ME).await.refused(401, "invalid_token");
    second.get(ME).await.expect(200);
    let fourth = login().await;
    second.post("/api/v1/auth/logout-all", &json!({})).await.expect(204);
    second.get(ME).await.refused(401, "invalid_token");
    fourth.get(ME).await.refused(401, "invalid_token");

    let fifth = login().await;
    let sixth = login().await;
    let change = json!({"old_password": PASSWORD, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    fifth.post("/api/v1/auth/change-password", &change).await.expect(204);
    fifth.get(ME).await.refused(401, "invalid_token");
    sixth.get(ME).await.refused(401, "invalid_token");
    product
        .guest()
        .post("/api/v1/auth/login", &credentials("dave@example.com", PASSWORD))
        .await
        .refused(401, "invalid_credentials");
    product
        .guest()
        .post("/api/v1/auth/login", &credentials("dave@example.com", "Another-Horse8-staple"))
        .await
        .expect(200);
}

/// D-18, R29: parallel tabs get the same successor.
async fn fifty_uses_of_one_refresh_token_make_one_successor(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let body = &json!({"refresh_token": admin.tokens["refresh_token"]});
    let answers = futures_util::future::join_all((0..50).map(|_| guest.post("/api/v1/auth/refresh", body))).await;
    let successors: std::collections::BTreeSet<String> =
        answers.into_iter().map(|answer| text(&answer.expect(200).json()["refresh_token"])).collect();
    assert_eq!(successors.len(), 1);
    assert_ne!(successors.first(), Some(&text(&admin.tokens["refresh_token"])));
}

/// R28: later it is a thief or a victim; nobody keeps the session.
async fn a_used_refresh_token_ends_the_family_after_the_grace(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let old = json!({"refresh_token": admin.tokens["refresh_token"]});
    let first = guest.post("/api/v1/auth/refresh", &old).await.expect(200).json();
    product.clock.advance_seconds(10);
    let again = guest.post("/api/v1/auth/refresh", &old).await.expect(200).json();
    assert_eq!(again["refresh_token"], first["refresh_token"]);
    product.clock.advance_seconds(1);
    guest.post("/api/v1/auth/refresh", &old).await.refused(401, "invalid_refresh_token");
    let newest = json!({"refresh_token": first["refresh_token"]});
    guest.post("/api/v1/auth/refresh", &newest).await.refused(401, "invalid_refresh_token");
    let bearer = Bearer { product, token: text(&first["access_token"]) };
    bearer.get(ME).await.refused(401, "invalid_token");
}

/// R26, D-59: an access token does not refresh, a refresh token does not call; claims are those documented.
async fn tokens_speak_for_their_own_place_only(product: &Product) {
    let admin = product.admin().await;
    let refresh = Bearer { product, token: text(&admin.tokens["refresh_token"]) };
    let answer = refresh.get(ME).await.refused(401, "invalid_token");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    refresh.get("/health").await.refused(401, "invalid_token");
    let body = json!({"refresh_token": admin.token});
    product.guest().post("/api/v1/auth/refresh", &body).await.refused(401, "invalid_refresh_token");
    product.clock.advance_seconds(15 * 60 + 61);
    admin.get(ME).await.refused(401, "invalid_token");
}

/// R50: register, change, admin create and admin PATCH say every failed rule, under the name of the field that was sent.
async fn the_password_policy_stands_on_every_door(product: &Product) {
    product.admin().await;
    let strict = product
        .with(&[
            ("PASSWORD_MIN_LENGTH", "12"),
            ("PASSWORD_REQUIRE_DIGIT", "true"),
            ("PASSWORD_REQUIRE_SPECIAL", "true"),
        ])
        .await;
    let login =
        strict.guest().post("/api/v1/auth/login", &credentials("root@example.com", PASSWORD)).await.expect(200).json();
    let admin = Bearer { product: &strict, token: text(&login["token"]["access_token"]) };
    let expected = "Password must be at least 12 characters long; Password must contain at least one digit; \
                    Password must contain at least one special character (!@#$%^&*...)";
    let weak = "Quuxfrob";
    let register = json!({"email": "eve@example.com", "password": weak, "password_confirm": weak});
    let change = json!({"old_password": PASSWORD, "new_password": weak, "new_password_confirm": weak});
    let id = text(&login["user"]["id"]);
    for (answer, field) in [
        (strict.guest().post("/api/v1/auth/register", &register).await, "password"),
        (admin.post("/api/v1/auth/change-password", &change).await, "new_password"),
        (admin.post("/api/v1/admin/users", &register).await, "password"),
        (admin.patch(&format!("/api/v1/admin/users/{id}"), &json!({"password": weak})).await, "password"),
    ] {
        assert_eq!(answer.refused(422, "password_policy").json()["details"], json!({field: expected}));
    }
    let common = json!({"email": "eve@example.com", "password": "P@ssw0rd123!", "password_confirm": "P@ssw0rd123!"});
    let answer = product.guest().post("/api/v1/auth/register", &common).await.refused(422, "password_policy");
    assert_eq!(answer.json()["details"]["password"], "Password is too common");
    strict.close().await;
}

/// D-48: admins' edits pass the same checks as everybody's.
async fn admins_manage_users_and_the_last_one_stays(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("frank").await;
    user.get("/api/v1/admin/users").await.refused(403, "forbidden");
    product.guest().get("/api/v1/admin/users").await.refused(401, "authentication_required");
    let path = format!("/api/v1/admin/users/{}", user.id);
    for (body, field) in [
        (json!({"role": "superuser"}), "role"),
        (json!({"email": "not-an-email"}), "email"),
        (json!({"nonsense": 1}), "nonsense"),
    ] {
        let answer = admin.patch(&path, &body).await.refused(422, "validation_failed");
        assert!(answer.json()["details"][field].is_string(), "{}", answer.json());
    }
    let own = format!("/api/v1/admin/users/{}", admin.id);
    admin.patch(&own, &json!({"role": "user"})).await.refused(400, "self_action");
    admin.patch(&format!("{own}/role?role=user"), &json!({})).await.refused(400, "self_action");
    admin.delete(&own).await.refused(400, "self_action");
    admin.delete(ME).await.refused(409, "last_admin");

    let promoted = admin.patch(&format!("{path}/role?role=admin"), &json!({})).await.expect(200).json();
    assert_eq!(promoted["role"], "admin");
    user.get(ME).await.refused(401, "invalid_token");
    let login = product
        .guest()
        .post("/api/v1/auth/login", &credentials("frank@example.com", PASSWORD))
        .await
        .expect(200)
        .json();
    let second = Bearer { product, token: text(&login["token"]["access_token"]) };
    second.get("/api/v1/admin/users").await.expect(200);

    admin.patch(&path, &json!({"password": "Given-By-Admin9"})).await.expect(200);
    second.get(ME).await.refused(401, "invalid_token");
    let login = product
        .guest()
        .post("/api/v1/auth/login", &credentials("frank@example.com", "Given-By-Admin9"))
        .await
        .expect(200);
    let third = Bearer { product, token: text(&login.json()["token"]["access_token"]) };
    third.get("/api/v1/admin/users").await.refused(403, "password_change_required");
    third.get(ME).await.expect(200);
    let change = json!({"old_password": "Given-By-Admin9", "new_password": "Chosen-Battery9-x", "new_password_confirm": "Chosen-Battery9-x"});
    third.post("/api/v1/auth/change-password", &change).await.expect(204);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.refused(404, "not_found");
    product
        .guest()
        .post("/api/v1/auth/login", &credentials("frank@example.com", "Chosen-Battery9-x"))
        .await
        .refused(401, "invalid_credentials");
}

/// R45: from another machine only the printed link opens setup.
async fn the_setup_link_is_good_once_and_for_half_an_hour(product: &Product) {
    use fastcms_core::{Caller, accounts};
    let link = |link: accounts::SetupLink| link.0.expose().split('#').nth(1).unwrap().to_owned();
    let stale = link(accounts::offer_setup_link(&Caller::operator(), &product.app).await.unwrap());
    product.clock.advance_seconds(30 * 60 + 1);
    let fresh = link(accounts::offer_setup_link(&Caller::operator(), &product.app).await.unwrap());
    let attempt = |token: Option<String>| async move {
        let mut body = json!({"email": "root@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
        if let Some(token) = token {
            body["setup_token"] = json!(token);
        }
        let request = crate::callers::request(None, http::Method::POST, "/api/v1/setup", Some(&body));
        product.send_from("192.0.2.7:4000".parse().unwrap(), request).await
    };
    attempt(None).await.refused(403, "setup_token_invalid");
    attempt(Some("guessed".to_owned())).await.refused(403, "setup_token_invalid");
    attempt(Some(stale)).await.refused(403, "setup_token_invalid");
    attempt(Some(fresh.clone())).await.expect(200);
    attempt(Some(fresh)).await.refused(400, "setup_already_done");
}

/// R3, R4, R13: rotation by the environment alone.
async fn an_unknown_key_ends_tokens_and_a_previous_one_does_not(product: &Product) {
    const NEW_KEY: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";
    let admin = product.admin().await;
    let rotating = product.with(&[("SECRET_KEY", NEW_KEY), ("SECRET_KEY_PREVIOUS", crate::process::SECRET)]).await;
    let done = product.with(&[("SECRET_KEY", NEW_KEY)]).await;
    let on = |product, token: &str| Bearer { product, token: token.to_owned() };
    on(&rotating, &admin.token).get(ME).await.expect(200);
    on(&done, &admin.token).get(ME).await.refused(401, "invalid_token");
    let body = json!({"refresh_token": admin.tokens["refresh_token"]});
    let moved = rotating.guest().post("/api/v1/auth/refresh", &body).await.expect(200).json();
    on(&done, &text(&moved["access_token"])).get(ME).await.expect(200);
    on(product, &text(&moved["access_token"])).get(ME).await.refused(401, "invalid_token");
    let body = json!({"refresh_token": moved["refresh_token"]});
    done.guest().post("/api/v1/auth/refresh", &body).await.expect(200);
    rotating.close().await;
    done.close().await;
}

async fn password_history_is_refused(product: &Product) {
    product.admin().await;
    let node = product.with(&[("PASSWORD_HISTORY_COUNT", "1")]).await;
    let mut current = PASSWORD.to_owned();
    let change = |old: String, new: &'static str| {
        let node = &node;
        async move {
            let login = node
                .guest()
                .post("/api/v1/auth/login", &credentials("root@example.com", &old))
                .await
                .expect(200)
                .json();
            let bearer = Bearer { product: node, token: text(&login["token"]["access_token"]) };
            let body = json!({"old_password": old, "new_password": new, "new_password_confirm": new});
            bearer.post("/api/v1/auth/change-password", &body).await
        }
    };
    for new in ["Second-Horse8-staple", "Third-Horse8-staple"] {
        change(current.clone(), new).await.expect(204);
        current = new.to_owned();
    }
    for used in ["Third-Horse8-staple", "Second-Horse8-staple"] {
        let answer = change(current.clone(), used).await.refused(422, "password_policy");
        assert_eq!(answer.json()["details"]["new_password"], "Password was used before");
    }
    change(current, PASSWORD).await.expect(204);
    an_admin_cannot_go_around_the_history(&node).await;
    node.close().await;
}

/// What an admin sets for somebody is held against the history, and what it replaces belongs to it.
async fn an_admin_cannot_go_around_the_history(node: &Product) {
    let login = node.guest().post("/api/v1/auth/login", &credentials("root@example.com", PASSWORD)).await.expect(200);
    let admin = Bearer { product: node, token: text(&login.json()["token"]["access_token"]) };
    let user = json!({"email": "reset@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    let user = node.guest().post("/api/v1/auth/register", &user).await.expect(201).json();
    let path = format!("/api/v1/admin/users/{}", text(&user["user"]["id"]));
    let set = async |password: &str| admin.patch(&path, &json!({"password": password})).await;
    let in_force = set(PASSWORD).await.refused(422, "password_policy").json();
    assert_eq!(in_force["details"]["password"], "Password was used before");
    set("Second-Horse8-staple").await.expect(200);
    set(PASSWORD).await.refused(422, "password_policy");
    set("Third-Horse8-staple").await.expect(200);
    set(PASSWORD).await.expect(200);
}
