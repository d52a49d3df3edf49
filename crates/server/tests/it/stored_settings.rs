//! Settings that admins change while the server runs: who sees what, what is checked, and that each has the effect it names, on every
//! node.

use std::time::{Duration, Instant};

use fastcms_core::mail::MailServer;
use fastcms_core::{Caller, mail};
use serde_json::{Value, json};

use crate::callers::{Admin, COLLECTIONS, Calls};
use crate::mails::smtp::{Received, Smtp};
use crate::mails::{MAIL, node_with, post, waiting};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

on_both_engines!(
    settings_are_shown_with_what_the_variables_say_and_no_secret,
    a_setting_that_has_an_effect_is_checked,
    other_settings_are_kept_up_to_a_number,
    an_account_that_is_not_verified_signs_in_where_that_is_not_asked_and_nowhere_else,
    registering_says_nothing_about_an_address_where_it_has_to_be_verified,
    accounts_of_a_collection_are_verified_too,
    a_change_counts_on_every_node_within_a_second,
    a_way_in_can_be_closed_but_not_the_last_one,
    the_request_log_can_be_turned_off,
);

const SETTINGS: &str = "/api/v1/settings";
const LOGIN: &str = "/api/v1/auth/login";
const REGISTER: &str = "/api/v1/auth/register";

async fn set(admin: &Admin<'_>, product: &Product, category: &str, key: &str, value: Value) -> Answer {
    let body = json!({"category": category, "key": key, "value": value});
    crate::callers::call(product, Some(&admin.token), http::Method::POST, SETTINGS, Some(&body)).await
}

/// Addresses have to be verified from here on; those of these users are.
pub async fn require_verification(product: &Product, admin: &Admin<'_>, verified: &[&str]) {
    let users = admin.get("/api/v1/admin/users?per_page=100").await.expect(200).json();
    for user in users["items"].as_array().unwrap() {
        if verified.iter().any(|name| user["email"] == format!("{name}@example.com")) {
            let path = format!("/api/v1/admin/users/{}", text(&user["id"]));
            admin.patch(&path, &json!({"verified": true})).await.expect(200);
        }
    }
    let with_mail = product.with(&MAIL).await;
    set(admin, &with_mail, "auth", "verification_required", json!(true)).await.expect(200);
    with_mail.close().await;
    comes_true(|| product.app.settings.now().verification_required).await;
}

/// Waits for what another node has to hear of: a second, and the time that a busy machine takes.
async fn comes_true(check: impl Fn() -> bool) {
    let begun = Instant::now();
    while !check() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn login(product: &Product, email: &str, password: &str) -> Answer {
    product.guest().post(LOGIN, &json!({"email": email, "password": password})).await
}

/// What arrives when everything is sent that is due.
async fn sent(node: &Product, smtp: &Smtp) -> Vec<Received> {
    let server = MailServer::trusting(&node.app, &smtp.authority).unwrap().unwrap();
    mail::deliver(&Caller::background(), &node.app, &server).await.unwrap();
    smtp.take()
}

fn registration(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD})
}

async fn settings_are_shown_with_what_the_variables_say_and_no_secret(product: &Product) {
    let admin = product.admin().await;
    let node = product.with(&[MAIL[0], MAIL[1], ("RATE_LIMIT_PER_MINUTE", "77"), ("PASSWORD_MIN_LENGTH", "12")]).await;
    let ask =
        async |path: String| crate::callers::call(&node, Some(&admin.token), http::Method::GET, &path, None).await;
    let all = ask(SETTINGS.to_owned()).await.expect(200);
    assert!(!String::from_utf8_lossy(&all.bytes).contains("smtp-password"));
    let all = all.json();
    assert_eq!(all["auth"]["verification_required"]["value"], false);
    assert_eq!(all["auth"]["password_auth_enabled"]["value"], true);
    assert_eq!(all["logs"]["retention_days"]["value"], 7);
    assert_eq!(all["rate_limit"]["rate_limit_per_minute"]["value"], 77);
    assert_eq!(all["password"]["password_min_length"]["value"], 12);
    assert_eq!(all["mail"]["smtp_password"]["value"], "******");
    assert_eq!(all["mail"]["smtp_user"]["value"], "******");
    assert!(text(&all["rate_limit"]["rate_limit_per_minute"]["description"]).contains("RATE_LIMIT_PER_MINUTE"));
    let auth = ask(format!("{SETTINGS}/auth")).await.expect(200).json();
    assert_eq!(auth, all["auth"]);
    ask(format!("{SETTINGS}/nothing")).await.refused(404, "not_found");
    set(&admin, &node, "rate_limit", "rate_limit_per_minute", json!(5)).await.refused(422, "validation_failed");
    assert_eq!(ask(SETTINGS.to_owned()).await.json(), all);
    node.close().await;
}

async fn a_setting_that_has_an_effect_is_checked(product: &Product) {
    let admin = product.admin().await;
    for (category, key, value) in [
        ("auth", "verification_required", json!("true")),
        ("auth", "verification_required", json!(1)),
        ("auth", "verification_required", Value::Null),
        ("auth", "verfication_required", json!(true)),
        ("logs", "retention_days", json!(0)),
        ("logs", "retention_days", json!(366)),
        ("logs", "retention_days", json!(1.5)),
        ("Auth", "verification_required", json!(true)),
        ("app", "a.b", json!(true)),
        ("app", "", json!(true)),
        ("app", "app_name", json!("Another")),
    ] {
        let refused = set(&admin, product, category, key, value.clone()).await.refused(422, "validation_failed");
        assert!(!refused.json()["details"].as_object().unwrap().is_empty(), "{category} {key} {value}");
    }
    // Without mail nobody could verify anything.
    set(&admin, product, "auth", "verification_required", json!(true)).await.refused(400, "mail_not_configured");
    let made = set(&admin, product, "logs", "retention_days", json!(30)).await.expect(200).json();
    assert_eq!(
        (&made["key"], &made["value"], &made["category"]),
        (&json!("retention_days"), &json!(30), &json!("logs"))
    );
    let again = set(&admin, product, "logs", "retention_days", json!(31)).await.expect(200).json();
    assert_eq!(again["id"], made["id"]);
    assert_eq!(product.app.settings.now().request_log_days, 31);
    assert_eq!(admin.delete(&format!("{SETTINGS}/retention_days")).await.expect(200).json(), json!({"deleted": true}));
    assert_eq!(product.app.settings.now().request_log_days, 7);
    assert_eq!(admin.delete(&format!("{SETTINGS}/retention_days")).await.expect(200).json(), json!({"deleted": false}));
}

async fn other_settings_are_kept_up_to_a_number(product: &Product) {
    let admin = product.admin().await;
    let value = json!({"nested": [1, "two", null]});
    let body = json!({"key": "theme", "value": value, "description": "Of the site"});
    assert_eq!(admin.post(SETTINGS, &body).await.expect(200).json()["category"], "app");
    let shown = admin.get(&format!("{SETTINGS}/app")).await.expect(200).json();
    assert_eq!(shown["theme"], json!({"value": value, "description": "Of the site"}));
    set(&admin, product, "shop", "theme", json!("dark")).await.expect(200);
    admin.delete(&format!("{SETTINGS}/theme")).await.refused(422, "validation_failed");
    assert_eq!(admin.delete(&format!("{SETTINGS}/shop.theme")).await.expect(200).json()["deleted"], true);
    let huge = json!("x".repeat(8 * 1024));
    set(&admin, product, "app", "huge", huge).await.refused(422, "validation_failed");
    set(&admin, product, "app", "nul", json!("a\u{0}b")).await.refused(422, "validation_failed");
    for n in 1..fastcms_core::settings::MAX_FREE {
        set(&admin, product, "app", &format!("k{n}"), json!(n)).await.expect(200);
    }
    set(&admin, product, "app", "one_more", json!(1)).await.refused(422, "validation_failed");
    set(&admin, product, "app", "k1", json!("again")).await.expect(200);
    set(&admin, product, "logs", "retention_days", json!(9)).await.expect(200);
}

/// R41: a right password of an account that is not verified is answered like a wrong one.
async fn an_account_that_is_not_verified_signs_in_where_that_is_not_asked_and_nowhere_else(product: &Product) {
    let admin = product.admin().await;
    product.user("ann").await;
    let bob = product.user("bob").await;
    crate::two_factor::enrol(product, &bob).await;
    login(product, "ann@example.com", PASSWORD).await.expect(200);
    require_verification(product, &admin, &[]).await;
    let seen = |answer: Answer| {
        let mut body = answer.refused(401, "invalid_credentials").json();
        body["request_id"] = Value::Null;
        body
    };
    let right = seen(login(product, "ann@example.com", PASSWORD).await);
    assert_eq!(right, seen(login(product, "ann@example.com", "Wrong-Horse1-battery").await));
    assert_eq!(right, seen(login(product, "nobody@example.com", PASSWORD).await));
    // That a second factor is wanted would tell that the password was right.
    assert_eq!(right, seen(login(product, "bob@example.com", PASSWORD).await));
    let by_cookie = json!({"email": "ann@example.com", "password": PASSWORD, "cookie": true});
    assert_eq!(right, seen(product.guest().post(LOGIN, &by_cookie).await));
    login(product, "root@example.com", PASSWORD).await.expect(200);
    let path = format!("/api/v1/admin/users/{}", bob.id);
    admin.patch(&path, &json!({"verified": true})).await.expect(200);
    assert_eq!(login(product, "bob@example.com", PASSWORD).await.expect(200).json()["requires_2fa"], true);
    admin.delete(&format!("{SETTINGS}/verification_required")).await.expect(200);
    admin.post(&format!("/api/v1/admin/users/{}/unlock", bob.id), &json!({})).await.expect(200);
    login(product, "ann@example.com", PASSWORD).await.expect(200);
}

async fn registering_says_nothing_about_an_address_where_it_has_to_be_verified(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    node.user("ann").await;
    node.user("old").await;
    sent(&node, &smtp).await;
    require_verification(&node, &admin, &["ann"]).await;
    let guest = node.guest();
    let mut seen = Vec::new();
    for email in ["new@example.com", "ann@example.com", "OLD@example.com"] {
        let begun = Instant::now();
        let answer = guest.post(REGISTER, &registration(email)).await.expect(202);
        assert!(begun.elapsed() >= fastcms_core::attempts::FLOOR);
        let headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        seen.push((headers, answer.json()));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    assert!(seen[0].1.get("token").is_none());
    let mut sent: Vec<_> = sent(&node, &smtp).await.into_iter().map(|mail| (mail.to.clone(), mail)).collect();
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    let subjects: Vec<_> = sent.iter().map(|(to, mail)| (to[0].as_str(), mail.header("Subject").unwrap())).collect();
    let asked = "Confirm your e-mail address".to_owned();
    let expected = [
        ("ann@example.com", "You have an account already".to_owned()),
        ("new@example.com", asked.clone()),
        ("old@example.com", asked),
    ];
    assert_eq!(subjects, expected);
    login(&node, "new@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    let token = sent[1].1.link().unwrap().1;
    guest.post("/api/v1/auth/verify-email", &json!({"token": token})).await.expect(204);
    login(&node, "new@example.com", PASSWORD).await.expect(200);
    login(&node, "ann@example.com", PASSWORD).await.expect(200);
    assert_eq!(waiting(&node).await, 0);
    node.close().await;
}

async fn accounts_of_a_collection_are_verified_too(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let members = json!({"name": "members", "type": "auth", "create_rule": "", "schema": []});
    admin.post(COLLECTIONS, &members).await.expect(201);
    require_verification(&node, &admin, &[]).await;
    let guest = node.guest();
    let door = |verb: &str| format!("{COLLECTIONS}/members/auth/{verb}");
    let body = json!({"email": "dan@example.com", "password": PASSWORD});
    let first = guest.post(&door("register"), &body).await.expect(202).json();
    let token = post(&node, &smtp).await["Confirm your e-mail address"].link().unwrap().1;
    guest.post(&door("login"), &body).await.refused(401, "invalid_credentials");
    guest.post("/api/v1/auth/verify-email", &json!({"token": token})).await.expect(204);
    guest.post(&door("login"), &body).await.expect(200);
    assert_eq!(guest.post(&door("register"), &body).await.expect(202).json(), first);
    assert!(post(&node, &smtp).await.contains_key("You have an account already"));
    node.close().await;
}

async fn a_change_counts_on_every_node_within_a_second(product: &Product) {
    let admin = product.admin().await;
    let other = product.with(&[]).await;
    set(&admin, product, "logs", "retention_days", json!(11)).await.expect(200);
    assert_eq!(product.app.settings.now().request_log_days, 11, "here before it is answered");
    comes_true(|| other.app.settings.now().request_log_days == 11).await;
    admin.delete(&format!("{SETTINGS}/retention_days")).await.expect(200);
    comes_true(|| other.app.settings.now().request_log_days == 7).await;
    other.close().await;
}

async fn a_way_in_can_be_closed_but_not_the_last_one(product: &Product) {
    let admin = product.admin().await;
    set(&admin, product, "auth", "password_auth_enabled", json!(false)).await.refused(400, "mail_not_configured");
    let node = product.with(&MAIL).await;
    set(&admin, &node, "auth", "otp_enabled", json!(false)).await.expect(200);
    set(&admin, &node, "auth", "password_auth_enabled", json!(false)).await.refused(409, "would_lock_you_out");
    let body = json!({"email": "root@example.com", "code": "123456"});
    node.guest().post("/api/v1/auth/auth-with-otp", &body).await.refused(401, "invalid_credentials");
    set(&admin, &node, "auth", "otp_enabled", json!(true)).await.expect(200);
    set(&admin, &node, "auth", "password_auth_enabled", json!(false)).await.expect(200);
    set(&admin, &node, "auth", "otp_enabled", json!(false)).await.refused(409, "would_lock_you_out");
    login(&node, "root@example.com", PASSWORD).await.refused(403, "password_auth_disabled");
    login(&node, "nobody@example.com", PASSWORD).await.refused(403, "password_auth_disabled");
    comes_true(|| !product.app.settings.now().password_auth).await;
    login(product, "root@example.com", PASSWORD).await.refused(403, "password_auth_disabled");
    node.close().await;
}

async fn the_request_log_can_be_turned_off(product: &Product) {
    let admin = product.admin().await;
    set(&admin, product, "logs", "enabled", json!(false)).await.expect(200);
    admin.get("/api/v1/auth/me?fields=unseen").await;
    admin.get("/api/v1/auth/me").await.expect(200);
    set(&admin, product, "logs", "enabled", json!(true)).await.expect(200);
    fastcms_core::request_log::flush(&Caller::operator(), &product.app).await;
    let logged = admin.get("/api/v1/logs").await.expect(200).json();
    let urls: Vec<&str> = logged["items"].as_array().unwrap().iter().filter_map(|row| row["url"].as_str()).collect();
    assert!(!urls.iter().any(|url| url.contains("/auth/me")), "{urls:?}");
    assert!(urls.iter().any(|url| url.contains("/settings")), "{urls:?}");
}
