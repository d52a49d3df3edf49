//! "Safe to remove" is a fact.

use serde_json::{Value, json};

use super::forge::{self, ACCESS};
use super::{KEY_B, KEY_C};
use crate::callers::{Bearer, Calls};
use crate::on_both_engines;
use crate::process::SECRET;
use crate::product::{Product, text};

const ME: &str = "/api/v1/auth/me";
const KEYS: &str = "/api/v1/admin/keys";
const REFRESH: &str = "/api/v1/auth/refresh";
/// Past every access token: its life, the step in which ends are written down, and the leeway.
const ACCESS_TOKENS_RAN_OUT: i64 = 900 + 60 + 60;

on_both_engines!(
    a_key_may_go_once_nothing_depends_on_it,
    a_revoked_session_holds_no_key_back,
    file_and_impersonation_tokens_hold_a_key_until_they_run_out,
    a_data_key_holds_the_key_that_wraps_it,
    a_key_that_a_node_still_signs_with_is_not_safe,
    what_is_written_down_is_never_too_early_and_a_minute_late_at_most,
    many_sign_ins_share_one_write,
    a_key_is_known_by_when_it_was_first_seen,
    only_admins_see_the_keys,
);

/// What a node says of the key of `secret`.
async fn status(node: &Product, admin: &str, secret: &str) -> Value {
    let keys = Bearer { product: node, token: admin.to_owned() }.get(KEYS).await.expect(200).json();
    let kid = forge::kid(secret);
    let found = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid.as_str()).cloned();
    found.unwrap_or_else(|| panic!("{kid} in {keys}"))
}

async fn renew(node: &Product, tokens: &Value) -> Value {
    let body = json!({"refresh_token": tokens["refresh_token"]});
    node.guest().post(REFRESH, &body).await.expect(200).json()
}

/// A node under `secret` with one previous key.
async fn rotated(product: &Product, secret: &str, previous: &str) -> Product {
    product.with(&[("SECRET_KEY", secret), ("SECRET_KEY_PREVIOUS", previous)]).await
}

/// R10: NOT SAFE while one refresh family lives; then its tokens are refused and everybody else stays in.
async fn a_key_may_go_once_nothing_depends_on_it(product: &Product) {
    let (admin, ada) = (product.admin().await, product.user("ada").await);
    let node = rotated(product, KEY_B, SECRET).await;
    let root = renew(&node, &admin.tokens).await;
    product.clock.advance_seconds(11);
    let old = status(&node, &text(&root["access_token"]), SECRET).await;
    assert_eq!(
        (&old["state"], &old["live_families"], &old["safe_to_remove"]),
        (&json!("previous"), &json!(1), &json!(false))
    );
    assert!(old["outstanding"]["access"].is_string() && old["outstanding"]["refresh"].is_string(), "{old}");
    assert!(old["outstanding"]["file"].is_null() && old["outstanding"]["impersonation"].is_null(), "{old}");

    // The access tokens ran out, one family is left.
    product.clock.advance_seconds(ACCESS_TOKENS_RAN_OUT);
    let root = renew(&node, &root).await;
    let old = status(&node, &text(&root["access_token"]), SECRET).await;
    assert!(old["outstanding"]["access"].is_null(), "{old}");
    assert_eq!((&old["live_families"], &old["safe_to_remove"]), (&json!(1), &json!(false)));

    // For the time in which the superseded token still answers, the key is needed.
    let ada = renew(&node, &ada.tokens).await;
    assert_eq!(status(&node, &text(&root["access_token"]), SECRET).await["safe_to_remove"], false);
    product.clock.advance_seconds(11);
    let old = status(&node, &text(&root["access_token"]), SECRET).await;
    assert_eq!((&old["live_families"], &old["safe_to_remove"]), (&json!(0), &json!(true)), "{old}");
    let current = status(&node, &text(&root["access_token"]), KEY_B).await;
    assert_eq!((&current["state"], &current["safe_to_remove"]), (&json!("current"), &json!(false)));

    let last = product.with(&[("SECRET_KEY", KEY_B)]).await;
    for tokens in [&ada, &root] {
        Bearer { product: &last, token: text(&tokens["access_token"]) }.get(ME).await.expect(200);
        let (_, claims) = forge::read(tokens["access_token"].as_str().unwrap());
        let forged = forge::honest(SECRET, ACCESS, &claims);
        Bearer { product: &last, token: forged }.get(ME).await.refused(401, "invalid_token");
        renew(&last, tokens).await;
    }
    node.close().await;
    last.close().await;
}

async fn a_revoked_session_holds_no_key_back(product: &Product) {
    let (admin, ada) = (product.admin().await, product.user("ada").await);
    let node = rotated(product, KEY_B, SECRET).await;
    let root = renew(&node, &admin.tokens).await;
    Bearer { product: &node, token: ada.token.clone() }.post("/api/v1/auth/logout-all", &json!({})).await.expect(204);
    product.clock.advance_seconds(ACCESS_TOKENS_RAN_OUT);
    let root = renew(&node, &root).await;
    assert_eq!(status(&node, &text(&root["access_token"]), SECRET).await["safe_to_remove"], true);
    node.close().await;
}

async fn file_and_impersonation_tokens_hold_a_key_until_they_run_out(product: &Product) {
    let (admin, ada) = (product.admin().await, product.user("ada").await);
    let file = crate::files::protected(&admin).await;
    admin.post(&format!("{}/token", crate::files::path(&file)), &json!({})).await.expect(200);
    let act = format!("/api/v1/admin/users/{}/impersonate?duration=7200", ada.id);
    admin.post(&act, &json!({"reason": "a long look"})).await.expect(200);
    let node = rotated(product, KEY_B, SECRET).await;
    let mut root = renew(&node, &admin.tokens).await;
    renew(&node, &ada.tokens).await;
    product.clock.advance_seconds(11);
    let began = product.app.now_seconds() - 11;
    let seconds = |value: &Value| fastcms_core::time::millis(value.as_str().unwrap()).unwrap() / 1000;
    let old = status(&node, &text(&root["access_token"]), SECRET).await;
    assert!((began + 120..=began + 180).contains(&seconds(&old["outstanding"]["file"])), "{old}");
    assert!((began + 7200..=began + 7260).contains(&seconds(&old["outstanding"]["impersonation"])), "{old}");

    // No family and no access token is left: the impersonation alone holds it.
    product.clock.advance_seconds(ACCESS_TOKENS_RAN_OUT);
    root = renew(&node, &root).await;
    let old = status(&node, &text(&root["access_token"]), SECRET).await;
    let outstanding = &old["outstanding"];
    assert!(outstanding["access"].is_null() && outstanding["file"].is_null(), "{old}");
    assert_eq!((&old["live_families"], &old["safe_to_remove"]), (&json!(0), &json!(false)), "{old}");
    product.clock.advance_seconds(7_200);
    root = renew(&node, &root).await;
    let old = status(&node, &text(&root["access_token"]), SECRET).await;
    assert_eq!((&old["outstanding"]["impersonation"], &old["safe_to_remove"]), (&Value::Null, &json!(true)), "{old}");
    node.close().await;
}

/// Sealed rows: one that a node under the old key made meanwhile counts until it is wrapped by the new one.
async fn a_data_key_holds_the_key_that_wraps_it(product: &Product) {
    use fastcms_guard::ids::SystemRng;
    use fastcms_guard::keys::{KeyRing, SecretKey};
    use fastcms_guard::sealed::DataKey;
    let admin = product.admin().await;
    let node = rotated(product, KEY_B, SECRET).await;
    let root = renew(&node, &admin.tokens).await;
    product.clock.advance_seconds(ACCESS_TOKENS_RAN_OUT);
    let root = renew(&node, &root).await;
    let token = text(&root["access_token"]);
    let old = status(&node, &token, SECRET).await;
    assert_eq!((&old["wrapped"], &old["safe_to_remove"]), (&json!(0), &json!(true)), "{old}");
    assert!(status(&node, &token, KEY_B).await["wrapped"].as_i64().unwrap() >= 2);

    let secret = |text: &str| SecretKey::parse(fastcms_secrets::Secret::new(text.to_owned())).unwrap();
    let by = KeyRing::single(&secret(SECRET));
    let wrapped = DataKey::generate(&SystemRng).wrap(&SystemRng, by.current(), "data_keys|late|wrapped");
    let created = fastcms_core::time::stamp(product.app.now_millis());
    let late = product.app.store.write(move |tx| {
        Box::pin(async move {
            let id = fastcms_store::data_keys::reserve(tx).await?;
            let key = fastcms_store::data_keys::NewKey { id, purpose: "late", wrapped, created };
            fastcms_store::data_keys::insert(tx, &key).await
        })
    });
    late.await.unwrap();
    let old = status(&node, &token, SECRET).await;
    assert_eq!((&old["wrapped"], &old["safe_to_remove"]), (&json!(1), &json!(false)), "{old}");
    let mut material = fastcms_core::keys::Material::only(secret(KEY_B));
    material.previous.push(secret(SECRET));
    node.app.replace_keys(material).await.unwrap();
    let old = status(&node, &token, SECRET).await;
    assert_eq!((&old["wrapped"], &old["safe_to_remove"]), (&json!(0), &json!(true)), "{old}");
    node.close().await;
}

/// One node has the new key, another goes on with the old one: taking it away would sign out whoever signs in there.
async fn a_key_that_a_node_still_signs_with_is_not_safe(product: &Product) {
    let admin = product.admin().await;
    let node = rotated(product, KEY_B, SECRET).await;
    let root = renew(&node, &admin.tokens).await;
    product.clock.advance_seconds(ACCESS_TOKENS_RAN_OUT);
    fastcms_core::keys::report_use(&fastcms_core::Caller::background(), &product.app).await.unwrap();
    let root = renew(&node, &root).await;
    let token = text(&root["access_token"]);
    let old = status(&node, &token, SECRET).await;
    assert_eq!((&old["live_families"], &old["safe_to_remove"]), (&json!(0), &json!(false)), "{old}");
    product.clock.advance_seconds(90);
    assert_eq!(status(&node, &token, SECRET).await["safe_to_remove"], true);
    node.close().await;
}

async fn what_is_written_down_is_never_too_early_and_a_minute_late_at_most(product: &Product) {
    let mut root = product.admin().await.tokens;
    for _ in 0..40 {
        product.clock.advance_seconds(7);
        root = renew(product, &root).await;
        let token = text(&root["access_token"]);
        let said = text(&status(product, &token, SECRET).await["outstanding"]["access"]);
        let said = fastcms_core::time::millis(&said).unwrap() / 1000;
        let exp = forge::read(&token).1["exp"].as_i64().unwrap();
        assert!((exp..=exp + 60).contains(&said), "a token lives until {exp}, written down is {said}");
    }
}

/// The ledger costs no write a token.
async fn many_sign_ins_share_one_write(product: &Product) {
    use fastcms_guard::keys::Purpose;
    let admin = product.admin().await;
    let mut root = admin.tokens;
    let exp = |tokens: &Value| forge::read(tokens["access_token"].as_str().unwrap()).1["exp"].as_i64().unwrap();
    let ring = product.app.keys.load_full();
    let recorded = |exp: i64| ring.current().usage().is_recorded(Purpose::Access, exp);
    let first = exp(&root);
    for _ in 0..20 {
        product.clock.advance_seconds(3);
        root = renew(product, &root).await;
        assert!(!recorded(first + 61), "written again within a step");
    }
    assert_eq!(exp(&root), first + 60);
    product.clock.advance_seconds(1);
    renew(product, &root).await;
    assert!(recorded(first + 61 + 60));
}

async fn a_key_is_known_by_when_it_was_first_seen(product: &Product) {
    let admin = product.admin().await;
    let seen = text(&status(product, &admin.token, SECRET).await["first_seen"]);
    product.clock.advance_seconds(30);
    let node = product.with(&[("SECRET_KEY", SECRET), ("SECRET_KEY_NEXT", KEY_C)]).await;
    let current = status(&node, &admin.token, SECRET).await;
    assert_eq!((text(&current["first_seen"]), &current["state"]), (seen, &json!("current")));
    let next = status(&node, &admin.token, KEY_C).await;
    assert_eq!(
        (&next["state"], &next["last_verified"], &next["live_families"]),
        (&json!("next"), &Value::Null, &json!(0))
    );
    let verified = text(&status(&node, &admin.token, SECRET).await["last_verified"]);
    assert_eq!(fastcms_core::time::millis(&verified).unwrap(), product.app.now_millis());
    node.close().await;
}

async fn only_admins_see_the_keys(product: &Product) {
    product.admin().await;
    product.guest().get(KEYS).await.refused(401, "authentication_required");
    product.user("ada").await.get(KEYS).await.refused(403, "forbidden");
}
