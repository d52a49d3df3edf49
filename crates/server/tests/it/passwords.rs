//! The rules of passwords from outside, at every door that takes a new one, and what is stored (R50 to R56; contract 4).

use fastcms_secrets::Secret;
use fastcms_store::accounts::{AccountTable, replace_password};
use fastcms_store::{Plan, Sql};
use serde_json::{Value, json};

use crate::callers::{Bearer, COLLECTIONS, Calls, record, records};
use crate::mails::post;
use crate::mails::smtp::Smtp;
use crate::on_both_engines;
use crate::process::{PASSWORD, Server};
use crate::product::{Answer, Product, text};

on_both_engines!(
    no_door_takes_what_another_refuses,
    what_looks_the_same_is_the_same_password,
    a_password_has_up_to_128_characters_that_all_count,
    an_old_hash_opens_and_is_replaced_by_a_strong_one,
    what_an_admin_sets_must_be_changed_at_once,
);

const LOGIN: &str = "/api/v1/auth/login";
const COMMON: &str = "Password is too common";

/// What no account of `somebody@` may have for a password at `cms.example.net`, and what is said of it.
fn refused() -> Vec<(String, &'static str)> {
    vec![
        ("zq8vkw3mt".to_owned(), "Password must be at least 10 characters long"),
        ("zq8vkw3mtx".repeat(13), "Password must be at most 128 characters long"),
        ("zq8vkw\u{0}3mtx".to_owned(), "Password must not contain a NUL character"),
        ("Password123!".to_owned(), COMMON),
        ("P@$$w0rd2024!!".to_owned(), COMMON),
        ("1l0v3y0u!!".to_owned(), COMMON),
        ("my-SomeBody-zq8v".to_owned(), COMMON),
        ("my-FastCMS-zq8vkw".to_owned(), COMMON),
        ("wombat-zq8vkw3mtx".to_owned(), COMMON),
    ]
}

fn somebody(password: &str) -> Value {
    json!({"email": "somebody@example.com", "password": password, "password_confirm": password})
}

fn changed(password: &str) -> Value {
    json!({"old_password": PASSWORD, "new_password": password, "new_password_confirm": password})
}

#[track_caller]
fn assert_refused(answer: &Answer, field: &str, said: &str, door: &str) {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["error"]), (422, &json!("password_policy")), "{door}: {body}");
    assert_eq!(body["details"], json!({field: said}), "{door}");
}

async fn no_door_takes_what_another_refuses(product: &Product) {
    let smtp = Smtp::start().await;
    let port = smtp.port.to_string();
    let node = product
        .with(&[
            ("BASE_URL", "http://wombat.example.net"),
            ("SMTP_USER", "cms"),
            ("SMTP_PASSWORD", "smtp-password"),
            ("SMTP_HOST", "localhost"),
            ("SMTP_PORT", &port),
        ])
        .await;
    for (password, said) in refused() {
        assert_refused(&node.guest().post("/api/v1/setup", &somebody(&password)).await, "password", said, "setup");
    }
    let admin = node.admin().await;
    for (password, said) in refused() {
        let answer = node.guest().post("/api/v1/auth/register", &somebody(&password)).await;
        assert_refused(&answer, "password", said, "register");
        let answer = admin.post("/api/v1/admin/users", &somebody(&password)).await;
        assert_refused(&answer, "password", said, "made by an admin");
    }
    let user = node.user("somebody").await;
    let path = format!("/api/v1/admin/users/{}", user.id);
    post(&node, &smtp).await;
    node.guest()
        .post("/api/v1/auth/request-password-reset", &json!({"email": "somebody@example.com"}))
        .await
        .expect(204);
    let link = post(&node, &smtp).await["Choose a new password"].link().unwrap().1;
    for (password, said) in refused() {
        let answer = user.post("/api/v1/auth/change-password", &changed(&password)).await;
        assert_refused(&answer, "new_password", said, "change");
        assert_refused(&admin.patch(&path, &json!({"password": password})).await, "password", said, "set by an admin");
        let reset = json!({"token": link, "password": password, "password_confirm": password});
        assert_refused(&node.guest().post("/api/v1/auth/reset-password", &reset).await, "password", said, "reset");
    }
    at_the_doors_of_a_collection(&Bearer { product: &node, token: admin.token.clone() }).await;
    node.close().await;
}

async fn at_the_doors_of_a_collection(admin: &Bearer<'_>) {
    let node = admin.product;
    let members = json!({"name": "members", "type": "auth", "create_rule": "", "update_rule": "id = @request.auth.id", "schema": []});
    admin.post(COLLECTIONS, &members).await.expect(201);
    let door = |verb: &str| format!("{COLLECTIONS}/members/auth/{verb}");
    let made = node.guest().post(&door("register"), &somebody(PASSWORD)).await.expect(201).json();
    let member = Bearer { product: node, token: text(&made["token"]["access_token"]) };
    let own = record("members", &made["user"]["id"]);
    for (password, said) in refused() {
        // What belongs to somebody else's address is no word of this one.
        let another = json!({"email": "somebody@example.org", "password": password});
        assert_refused(&node.guest().post(&door("register"), &another).await, "password", said, "register");
        let answer = member.post(&door("me/change-password"), &changed(&password)).await;
        assert_refused(&answer, "new_password", said, "change");
        for (answer, what) in [
            (admin.post(&records("members"), &json!({"data": another})).await, "record made"),
            (admin.patch(&own, &json!({"data": {"password": password}})).await, "record changed"),
        ] {
            assert_refused(&answer, "password", said, what);
        }
    }
}

/// R50: the command line is a door too.
#[test]
fn the_command_line_takes_no_password_that_the_api_refuses() {
    let server = Server::new(&[("BASE_URL", "http://wombat.example.net"), ("PASSWORD_REQUIRE_DIGIT", "true")]);
    let create = |password: &str| {
        let output =
            server.run(&["admin", "create", "somebody@example.com", "--password-stdin"], &format!("{password}\n"));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (password, said) in refused() {
        let (status, text) = create(&password);
        assert!(status == Some(1) && text.contains(said), "{status:?} {text}");
        assert!(!text.contains(&password), "{text}");
    }
    let (status, text) = create("zqvkw-mtxbrnh");
    assert!(status == Some(1) && text.contains("at least one digit"), "{text}");
    assert_eq!(create("zqvkw-mtxbrnh7").0, Some(0));
}

async fn sign_in(product: &Product, name: &str, password: &str) -> Answer {
    product.guest().post(LOGIN, &json!({"email": format!("{name}@example.com"), "password": password})).await
}

fn named(name: &str, password: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "password": password, "password_confirm": password})
}

/// R51: keyboards write one character in several ways.
async fn what_looks_the_same_is_the_same_password(product: &Product) {
    product.admin().await;
    let (composed, apart) = ("cr\u{e8}me br\u{fb}l\u{e9}e", "cre\u{300}me bru\u{302}le\u{301}e");
    product.guest().post("/api/v1/auth/register", &named("ann", composed)).await.expect(201);
    sign_in(product, "ann", apart).await.expect(200);
    sign_in(product, "ann", "creme brulee").await.refused(401, "invalid_credentials");
    let mixed = json!({"email": "bob@example.com", "password": apart, "password_confirm": apart});
    product.guest().post("/api/v1/auth/register", &mixed).await.expect(201);
    sign_in(product, "bob", composed).await.expect(200);
}

/// R51.
async fn a_password_has_up_to_128_characters_that_all_count(product: &Product) {
    product.admin().await;
    let long: String = "zq8vkw3mtx \u{1f980}\u{e4}".chars().cycle().take(128).collect();
    product.guest().post("/api/v1/auth/register", &named("ann", &long)).await.expect(201);
    let mut other: Vec<char> = long.chars().collect();
    other[127] = '!';
    sign_in(product, "ann", &other.iter().collect::<String>()).await.refused(401, "invalid_credentials");
    sign_in(product, "ann", &long[..long.len() - 1]).await.refused(401, "invalid_credentials");
    sign_in(product, "ann", &format!("{long}x")).await.refused(401, "invalid_credentials");
    sign_in(product, "ann", &long).await.expect(200);
}

/// The hash of `correct horse`, as the predecessor stored them.
const BCRYPT: &str = "$2b$04$h7d5tb4NUf27bGV1y0ZIqO2zj28M1fSVf7j9/z1pNd.koYpDBYk/W";

async fn stored(product: &Product, id: &str) -> String {
    let mut sql = Sql::new(product.app.store.dialect());
    sql.push("SELECT password FROM users WHERE id = ").bind(id);
    let read =
        product.app.store.read(Plan::Bounded, move |reader| Box::pin(async move { reader.fetch_one(&sql).await }));
    read.await.unwrap().unwrap().opt_text(0).unwrap().unwrap().to_owned()
}

async fn put(product: &Product, id: &str, hash: &str) {
    let (id, hash) = (id.to_owned(), Secret::new(hash.to_owned()));
    let written = product.app.store.write(move |tx| {
        Box::pin(async move {
            replace_password(tx, &AccountTable::Users, &id, None, &hash, false, "2026-01-01T00:00:00.000Z").await
        })
    });
    assert!(written.await.unwrap());
}

/// R55, R56.
async fn an_old_hash_opens_and_is_replaced_by_a_strong_one(product: &Product) {
    product.admin().await;
    let ann = product.user("ann").await;
    let strong = "$argon2id$v=19$m=19456,t=2,p=1$";
    assert!(stored(product, &ann.id).await.starts_with(strong));
    put(product, &ann.id, BCRYPT).await;
    sign_in(product, "ann", "correct hors").await.refused(401, "invalid_credentials");
    assert_eq!(stored(product, &ann.id).await, BCRYPT);
    // Two at once: one replaces it, both are in.
    let answers = futures_util::future::join_all((0..2).map(|_| sign_in(product, "ann", "correct horse"))).await;
    for answer in answers {
        answer.expect(200);
    }
    let new = stored(product, &ann.id).await;
    assert!(new.starts_with(strong), "{new}");
    sign_in(product, "ann", "correct horse").await.expect(200);
    assert_eq!(stored(product, &ann.id).await, new, "and stays");
}

/// R59: an admin can let somebody in anew, and never keeps a password of theirs.
async fn what_an_admin_sets_must_be_changed_at_once(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let given = "given-zq8vkw3mtx";
    let set = admin.patch(&format!("/api/v1/admin/users/{}", ann.id), &json!({"password": given})).await.expect(200);
    assert!(!String::from_utf8_lossy(&set.bytes).contains("zq8v"));
    ann.get("/api/v1/auth/me").await.refused(401, "invalid_token");
    let tokens = sign_in(product, "ann", given).await.expect(200).json()["token"].clone();
    let caller = Bearer { product, token: text(&tokens["access_token"]) };
    caller.get("/api/v1/auth/me").await.expect(200);
    caller.get("/api/v1/auth/sessions").await.refused(403, "password_change_required");
    caller.post("/api/v1/api-keys", &json!({"name": "k"})).await.refused(403, "password_change_required");
    // To give it once more is no change.
    let same = json!({"old_password": given, "new_password": given, "new_password_confirm": given});
    caller.post("/api/v1/auth/change-password", &same).await.refused(422, "password_policy");
    caller.get("/api/v1/auth/sessions").await.refused(403, "password_change_required");
    let own =
        json!({"old_password": given, "new_password": "own-zq8vkw3mtx", "new_password_confirm": "own-zq8vkw3mtx"});
    caller.post("/api/v1/auth/change-password", &own).await.expect(204);
    let tokens = sign_in(product, "ann", "own-zq8vkw3mtx").await.expect(200).json()["token"].clone();
    let caller = Bearer { product, token: text(&tokens["access_token"]) };
    caller.get("/api/v1/auth/sessions").await.expect(200);
}
