//! Another key in the place of the one in force, while the server runs.

use std::path::PathBuf;

use fastcms_core::config::{Command, Config, Keys, SealedData, Sources};
use fastcms_core::keys::{Watch, recheck};
use fastcms_core::{Caller, keys};
use fastcms_secrets::Secret;
use http::Method;
use serde_json::{Value, json};

use super::forge::{self, ACCESS, IMPERSONATION};
use super::{KEY_B, KEY_C};
use crate::callers::{Bearer, Calls, request};
use crate::on_both_engines;
use crate::process::{PASSWORD, SECRET};
use crate::product::{Product, text};

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";
const ROTATE: &str = "/api/v1/admin/keys/rotate";
const REFRESH: &str = "/api/v1/auth/refresh";

on_both_engines!(
    an_admin_rotates_and_nobody_notices,
    a_key_that_is_not_ours_to_write_stays,
    a_rotation_wants_a_recent_sign_in_of_an_admin,
    an_emergency_ends_every_session_and_token_and_the_key,
    an_emergency_works_where_the_key_cannot_be_written,
    an_emergency_reaches_other_processes,
    an_emergency_keeps_what_is_sealed,
    a_rotation_at_run_time_leaves_nothing_wrapped_by_the_old_key,
    a_previous_key_signs_nothing_new,
    the_cut_off_is_that_of_the_first_node_and_survives_it,
    a_key_that_is_current_again_has_no_cut_off,
    a_change_in_the_settings_is_taken_up_in_two_steps,
    a_command_leaves_no_trace_of_its_settings,
);

/// A node whose key stands in a settings file of its own.
async fn with_settings_file(product: &Product, keys: &str) -> (Product, PathBuf) {
    let path = product.folder().join(".env");
    std::fs::write(&path, keys).unwrap();
    (product.with(&[("SECRET_KEY", "")]).await, path)
}

fn bearer<'p>(product: &'p Product, tokens: &Value) -> Bearer<'p> {
    Bearer { product, token: text(&tokens["access_token"]) }
}

async fn renew(node: &Product, tokens: &Value) -> crate::product::Answer {
    node.guest().post(REFRESH, &json!({"refresh_token": tokens["refresh_token"]})).await
}

async fn sign_in(node: &Product, cookie: bool) -> crate::product::Answer {
    let body = json!({"email": "root@example.com", "password": PASSWORD, "cookie": cookie});
    node.guest().post(LOGIN, &body).await.expect(200)
}

fn kid_of(token: &Value) -> String {
    text(&forge::read(token.as_str().unwrap()).0["kid"])
}

/// R11, R13.
async fn an_admin_rotates_and_nobody_notices(product: &Product) {
    let (admin, ada) = (product.admin().await, product.user("ada").await);
    let (node, path) = with_settings_file(product, &format!("# keys\nSECRET_KEY={SECRET}\n")).await;
    let list = bearer(&node, &admin.tokens).post(ROTATE, &json!({})).await.expect(200).json();
    let states: Vec<&str> = list["keys"].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["current", "previous"]);
    let (new, old) = (&list["keys"][0]["kid"], &list["keys"][1]["kid"]);
    assert_eq!(*old, json!(forge::kid(SECRET)));

    bearer(&node, &ada.tokens).get(ME).await.expect(200);
    let renewed = renew(&node, &ada.tokens).await.expect(200).json();
    assert_eq!(json!(kid_of(&renewed["access_token"])), *new);
    assert_eq!(json!(kid_of(&renewed["refresh_token"])), *new);
    let written = std::fs::read_to_string(&path).unwrap();
    let fresh = written.lines().find_map(|line| line.strip_prefix("SECRET_KEY=")).unwrap();
    assert_eq!(written, format!("# keys\nSECRET_KEY={fresh}\nSECRET_KEY_PREVIOUS={SECRET}\n"));
    assert_eq!(json!(forge::kid(fresh)), *new);
    let events = crate::audit::events(&node).await;
    let event = events.iter().find(|event| event["event"] == "system/key_rotate").expect("the rotation left its event");
    assert_eq!(event["resource"], *new);
    assert_eq!(event["details"]["was_current"], *old);
    // A start from that file goes on where this one stands; a further rotation keeps both.
    bearer(&node, &admin.tokens).post(ROTATE, &json!({"emergency": false})).await.expect(200);
    let restarted = product.with(&[("SECRET_KEY", "")]).await;
    for tokens in [&ada.tokens, &renewed] {
        bearer(&restarted, tokens).get(ME).await.expect(200);
    }
    node.close().await;
    restarted.close().await;
}

async fn a_key_that_is_not_ours_to_write_stays(product: &Product) {
    let admin = product.admin().await;
    admin.post(ROTATE, &json!({})).await.refused(409, "secret_not_writable");
    let (node, path) = with_settings_file(product, &format!("SECRET_KEY={SECRET}\n")).await;
    std::fs::write(&path, format!("SECRET_KEY={KEY_B}\n")).unwrap();
    bearer(&node, &admin.tokens).post(ROTATE, &json!({})).await.refused(409, "secret_not_writable");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("SECRET_KEY={KEY_B}\n"));
    node.close().await;
}

async fn a_rotation_wants_a_recent_sign_in_of_an_admin(product: &Product) {
    let admin = product.admin().await;
    for body in [json!({}), json!({"emergency": true})] {
        product.guest().post(ROTATE, &body).await.refused(401, "authentication_required");
        product
            .user(if body["emergency"] == true { "eve" } else { "ada" })
            .await
            .post(ROTATE, &body)
            .await
            .refused(403, "forbidden");
    }
    admin.post(ROTATE, &json!({"emergency": "yes"})).await.refused(422, "validation_failed");
    product.clock.advance_seconds(15 * 60 + 1);
    let old = renew(product, &admin.tokens).await.expect(200).json();
    bearer(product, &old)
        .post(ROTATE, &json!({"emergency": true}))
        .await
        .refused(403, "insufficient_user_authentication");
}

/// R14: cookie sessions too, the calling one included; who signs in at once after it is in.
async fn an_emergency_ends_every_session_and_token_and_the_key(product: &Product) {
    let (admin, ada) = (product.admin().await, product.user("ada").await);
    let (node, path) = with_settings_file(product, &format!("SECRET_KEY={SECRET}\nSECRET_KEY_NEXT={KEY_B}\n")).await;
    let cookie = sign_in(&node, true).await.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let with_cookie = async || {
        let mut request = request(None, Method::GET, ME, None);
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        node.send(request).await
    };
    with_cookie().await.expect(200);
    bearer(&node, &admin.tokens).post(ROTATE, &json!({"emergency": true})).await.expect(204);

    with_cookie().await.refused(401, "authentication_required");
    for tokens in [&admin.tokens, &ada.tokens] {
        bearer(&node, tokens).get(ME).await.refused(401, "invalid_token");
        renew(&node, tokens).await.refused(401, "invalid_refresh_token");
    }
    let tokens = sign_in(&node, false).await.json()["token"].clone();
    bearer(&node, &tokens).get(ME).await.expect(200);
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(!written.contains(SECRET) && !written.contains(KEY_B), "{written}");
    let list = bearer(&node, &tokens).get("/api/v1/admin/keys").await.expect(200).json();
    assert_eq!(list["keys"].as_array().unwrap().len(), 1, "{list}");
    // The lost key is worth nothing, even to who knows a live session and brings the key back as a previous one.
    let forged = forge::honest(SECRET, ACCESS, &forge::read(tokens["access_token"].as_str().unwrap()).1);
    let careless = product.with(&[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]).await;
    for at in [&node, &careless] {
        Bearer { product: at, token: forged.clone() }.get(ME).await.refused(401, "invalid_token");
    }
    node.close().await;
    careless.close().await;
}

async fn an_emergency_works_where_the_key_cannot_be_written(product: &Product) {
    let (admin, ada) = (product.admin().await, product.user("ada").await);
    let act = format!("/api/v1/admin/users/{}/impersonate", ada.id);
    let acting = admin.post(&act, &json!({"reason": "before"})).await.expect(200).json();
    admin.post(ROTATE, &json!({"emergency": true})).await.expect(204);
    let events = crate::audit::events(product).await;
    let [refused, event, ..] = events.as_slice() else { panic!("{events:?}") };
    // That the key itself stays is said too.
    assert_eq!((&refused["event"], &refused["resource"]), (&json!("system/secret_rotate"), &json!("SECRET_KEY")));
    assert_eq!((&event["event"], &event["details"]["sessions"]), (&json!("system/key_rotate"), &json!(2)));
    bearer(product, &admin.tokens).get(ME).await.refused(401, "invalid_token");
    let tokens = sign_in(product, false).await.json()["token"].clone();
    bearer(product, &tokens).get(ME).await.expect(200);
    renew(product, &tokens).await.expect(200);
    // A session that lives, and a token from before: what the sessions cannot end, the key does.
    let (_, mut claims) = forge::read(tokens["access_token"].as_str().unwrap());
    claims["iat"] = json!(product.app.now_seconds());
    let before = Bearer { product, token: forge::honest(SECRET, ACCESS, &claims) };
    before.get(ME).await.refused(401, "invalid_token");
    // What an admin had begun is over, even for who holds the key that is in force still.
    let listed = bearer(product, &tokens).get("/api/v1/admin/impersonations").await.expect(200).json();
    assert_eq!(listed, json!({"impersonations": []}));
    let (_, mut claims) = forge::read(acting["access_token"].as_str().unwrap());
    claims["iat"] = json!(product.app.now_seconds() + 1);
    let thief = Bearer { product, token: forge::honest(SECRET, IMPERSONATION, &claims) };
    thief.get(ME).await.refused(401, "invalid_token");
}

/// The keys that seal values are wrapped by the new key before the leaked one is gone: nobody loses a second factor.
async fn an_emergency_keeps_what_is_sealed(product: &Product) {
    use fastcms_guard::totp::STEP_SECONDS;
    let (admin, ada) = (product.admin().await, product.user("ada").await);
    let (totp, _) = crate::two_factor::enrol(product, &ada).await;
    let (node, path) = with_settings_file(product, &format!("SECRET_KEY={SECRET}\n")).await;
    bearer(&node, &admin.tokens).post(ROTATE, &json!({"emergency": true})).await.expect(204);
    node.close().await;
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(!written.contains(SECRET), "{written}");
    let restarted = product.with(&[("SECRET_KEY", "")]).await;
    product.clock.advance_seconds(STEP_SECONDS);
    let code = crate::two_factor::code(&totp, &restarted);
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "two_factor_code": code});
    let signed_in = restarted.guest().post(LOGIN, &body).await.expect(200).json();
    assert_eq!(signed_in["user"]["id"], json!(ada.id));
    restarted.close().await;
}

/// Whatever data keys are for: one that stayed behind would hold the old key back for as long as the server runs.
async fn a_rotation_at_run_time_leaves_nothing_wrapped_by_the_old_key(product: &Product) {
    let admin = product.admin().await;
    let (node, _) = with_settings_file(product, &format!("SECRET_KEY={SECRET}\n")).await;
    let wrapped = |list: &Value| -> Vec<i64> {
        list["keys"].as_array().unwrap().iter().map(|key| key["wrapped"].as_i64().unwrap()).collect()
    };
    let before = wrapped(&bearer(&node, &admin.tokens).get("/api/v1/admin/keys").await.expect(200).json());
    assert!(before[0] >= 2, "{before:?}");
    let after = wrapped(&bearer(&node, &admin.tokens).post(ROTATE, &json!({})).await.expect(200).json());
    assert_eq!(after, [before[0], 0]);
    node.close().await;
}

async fn an_emergency_reaches_other_processes(product: &Product) {
    let admin = product.admin().await;
    let other = product.with(&[]).await;
    let tokens = sign_in(&other, false).await.json()["token"].clone();
    bearer(product, &tokens).get(ME).await.expect(200);
    bearer(&other, &admin.tokens).post(ROTATE, &json!({"emergency": true})).await.expect(204);
    // What the running server does every few seconds.
    product.clock.advance_seconds(4);
    recheck(&Caller::background(), &product.app).await.unwrap();
    bearer(product, &tokens).get(ME).await.refused(401, "invalid_token");
    let standing = product.app.keys.load().current().standing();
    assert_eq!(standing.revoked_at.unwrap().as_seconds(), product.app.now_seconds() - 4);
    other.close().await;
}

/// Claims of a live session as a thief of `secret` would write them at this moment.
fn stolen(node: &Product, tokens: &Value, secret: &str) -> String {
    let (_, mut claims) = forge::read(tokens["access_token"].as_str().unwrap());
    claims["iat"] = json!(node.app.now_seconds());
    claims["exp"] = json!(node.app.now_seconds() + 900);
    forge::honest(secret, ACCESS, &claims)
}

/// Contract 2.1, cut-off: a leaked previous key is of use for an hour, not for the life of a refresh family.
async fn a_previous_key_signs_nothing_new(product: &Product) {
    let admin = product.admin().await;
    let node = product.with(&[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]).await;
    let tokens = renew(&node, &admin.tokens).await.expect(200).json();
    let thief = |secret| Bearer { product: &node, token: stolen(&node, &tokens, secret) };
    product.clock.advance_seconds(3_600);
    thief(SECRET).get(ME).await.expect(200);
    product.clock.advance_seconds(1);
    thief(SECRET).get(ME).await.refused(401, "invalid_token");
    thief(KEY_B).get(ME).await.expect(200);
    node.close().await;
}

async fn the_cut_off_is_that_of_the_first_node_and_survives_it(product: &Product) {
    let admin = product.admin().await;
    let first = product.with(&[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]).await;
    let tokens = renew(&first, &admin.tokens).await.expect(200).json();
    first.close().await;
    product.clock.advance_seconds(3_000);
    let second = product.with(&[("SECRET_KEY", KEY_C), ("SECRET_KEY_PREVIOUS", &format!("{KEY_B},{SECRET}"))]).await;
    let thief = |secret| Bearer { product: &second, token: stolen(&second, &tokens, secret) };
    product.clock.advance_seconds(600);
    thief(SECRET).get(ME).await.expect(200);
    product.clock.advance_seconds(1);
    thief(SECRET).get(ME).await.refused(401, "invalid_token");
    thief(KEY_B).get(ME).await.expect(200);
    second.close().await;
}

/// A rotation that is taken back: what the old key signs then is honest.
async fn a_key_that_is_current_again_has_no_cut_off(product: &Product) {
    let admin = product.admin().await;
    product.with(&[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]).await.close().await;
    product.clock.advance_seconds(7_200);
    let back = product.with(&[("SECRET_KEY", SECRET), ("SECRET_KEY_PREVIOUS", KEY_B)]).await;
    let tokens = renew(&back, &admin.tokens).await.expect(200).json();
    let again = product.with(&[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]).await;
    bearer(&again, &tokens).get(ME).await.expect(200);
    back.close().await;
    again.close().await;
}

fn settings(current: &str, previous: &[&str]) -> Keys {
    let secret = |text: &str| Secret::new(text.to_owned());
    Keys {
        secret_key: Some(secret(current)),
        secret_key_previous: previous.iter().copied().map(secret).collect(),
        secret_key_next: None,
        encryption_key: None,
        encryption_key_previous: Vec::new(),
        transit_key: None,
        sealed_data_unreadable: SealedData::Refuse,
    }
}

/// Contract 2.1: verifies at once, signs after twice `SECRETS_REFRESH_SECONDS`; the key before it goes on verifying.
async fn a_change_in_the_settings_is_taken_up_in_two_steps(product: &Product) {
    let admin = product.admin().await;
    let (mut watch, caller) = (Watch::default(), Caller::background());
    assert_eq!(watch.look(&caller, &product.app, &settings(SECRET, &[])).await.unwrap(), None);
    product.clock.advance_seconds(1_000);
    let other = product.with(&[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]).await;
    let of_other = renew(&other, &admin.tokens).await.expect(200).json();
    bearer(product, &of_other).get(ME).await.refused(401, "invalid_token");

    let changed = settings(KEY_B, &[]);
    assert_eq!(watch.look(&caller, &product.app, &changed).await.unwrap(), Some(120_000));
    bearer(product, &of_other).get(ME).await.expect(200);
    let mine = sign_in(product, false).await.json()["token"].clone();
    assert_eq!(kid_of(&mine["access_token"]), forge::kid(SECRET));
    product.clock.advance_seconds(119);
    assert_eq!(watch.look(&caller, &product.app, &changed).await.unwrap(), Some(1_000));
    product.clock.advance_seconds(1);
    assert_eq!(watch.look(&caller, &product.app, &changed).await.unwrap(), None);
    assert_eq!(product.app.keys.load().current().kid().to_string(), forge::kid(KEY_B));
    bearer(product, &mine).get(ME).await.expect(200);
    let mine = renew(product, &mine).await.expect(200).json();
    assert_eq!(kid_of(&mine["refresh_token"]), forge::kid(KEY_B));
    assert_eq!(watch.look(&caller, &product.app, &changed).await.unwrap(), None);
    assert_eq!(product.app.keys.load().keys().count(), 2, "the replaced key stays until this process ends");

    // A key that the settings name as previous and then no longer do is gone at once.
    watch.look(&caller, &product.app, &settings(KEY_B, &[KEY_C])).await.unwrap();
    assert_eq!(product.app.keys.load().keys().count(), 3);
    watch.look(&caller, &product.app, &changed).await.unwrap();
    assert_eq!(product.app.keys.load().keys().count(), 2);
    other.close().await;
}

/// `fastcms keys status` under settings that no server has yet must not begin their cut-off.
async fn a_command_leaves_no_trace_of_its_settings(product: &Product) {
    use fastcms_core::app::{self, OlderSchema, Opening, Process, WithoutSecret};
    product.admin().await;
    let environment = [("DATABASE_URL", product.url()), ("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)];
    let sources = Sources {
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        directory: product.folder().to_owned(),
        ..Sources::default()
    };
    let command = app::open(Opening {
        config: Config::load(&sources, Command::Other).unwrap(),
        clock: product.clock.clone(),
        rng: std::sync::Arc::new(fastcms_guard::ids::SystemRng),
        without_secret: WithoutSecret::Forget,
        older_schema: OlderSchema::Refuse,
        process: Process::Command,
        custody: None,
        alike_refusals: true,
    });
    let command = command.await.unwrap();
    let seen = keys::status(&Caller::operator(), &command).await.unwrap();
    let first_seen: Vec<(String, bool)> = seen.into_iter().map(|key| (key.kid, key.first_seen.is_some())).collect();
    assert_eq!(first_seen, [(forge::kid(KEY_B), false), (forge::kid(SECRET), true)]);
    assert!(command.keys.load().keys().all(|key| key.seen_previous_at().is_none()));
    command.store.close().await;
}
