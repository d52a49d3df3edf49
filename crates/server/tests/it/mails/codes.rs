//! Signing in with a code from a mail (D-20): six digits, ten minutes, five tries, one at a time.

use futures_util::future::join_all;
use serde_json::json;

use super::smtp::Smtp;
use super::*;
use crate::attempts::failures;
use crate::on_both_engines;
use crate::product::{Answer, text};
use crate::two_factor::{base32, code as totp};

on_both_engines!(
    a_code_signs_in_once_and_verifies_the_address,
    a_second_code_voids_the_first,
    five_wrong_codes_void_the_right_one,
    of_two_hundred_wrong_codes_at_once_every_one_counts_and_three_are_looked_at,
    a_lock_holds_at_every_door_that_gives_tokens,
    a_code_is_good_for_ten_minutes_and_not_a_millisecond_longer,
    an_address_that_nobody_has_gets_the_same_answer_and_no_mail,
    accounts_of_a_collection_sign_in_with_a_code_too,
);

const REQUEST: &str = "/api/v1/auth/request-otp";
const ENTER: &str = "/api/v1/auth/auth-with-otp";

async fn ask(node: &Product, path: &str, email: &str) {
    let answer = node.guest().post(path, &json!({"email": email})).await.expect(204);
    assert!(answer.bytes.is_empty());
}

/// The code of the one mail that is delivered now.
async fn code(node: &Product, smtp: &Smtp) -> String {
    deliver(node, smtp).await;
    let [mail] = smtp.take().try_into().unwrap_or_else(|mails| panic!("one mail: {mails:?}"));
    assert_eq!(mail.header("Subject").unwrap(), "Your code to sign in");
    let text = mail.text();
    let line = text.lines().find(|line| line.contains(" is your code to sign in to ")).expect("a line with the code");
    let digits = line.split(' ').next().unwrap();
    assert!(digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit()), "{line}");
    digits.to_owned()
}

async fn enter(node: &Product, email: &str, code: &str) -> Answer {
    node.guest().post(ENTER, &json!({"email": email, "code": code})).await
}

/// A code that is not this one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// A node that sends mail, with an account whose first mails are out.
async fn with_bob(product: &Product, smtp: &Smtp) -> Product {
    let node = node_with(product, smtp).await;
    node.admin().await;
    node.user("bob").await;
    deliver(&node, smtp).await;
    smtp.take();
    node
}

async fn a_code_signs_in_once_and_verifies_the_address(product: &Product) {
    let smtp = Smtp::start().await;
    let node = with_bob(product, &smtp).await;
    ask(&node, REQUEST, "BOB@example.com").await;
    let code = code(&node, &smtp).await;
    // It is no token of another door.
    node.guest()
        .post("/api/v1/auth/verify-email", &json!({"token": code}))
        .await
        .refused(400, "invalid_verification_token");
    let answers = join_all((0..4).map(|_| enter(&node, "bob@example.com", &code))).await;
    let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1);
    assert_eq!(good[0].json()["user"]["verified"], true);
    enter(&node, "bob@example.com", &code).await.refused(401, "invalid_credentials");
    node.close().await;
}

async fn a_second_code_voids_the_first(product: &Product) {
    let smtp = Smtp::start().await;
    let node = with_bob(product, &smtp).await;
    ask(&node, REQUEST, "bob@example.com").await;
    let first = code(&node, &smtp).await;
    ask(&node, REQUEST, "bob@example.com").await;
    let second = code(&node, &smtp).await;
    if first != second {
        enter(&node, "bob@example.com", &first).await.refused(401, "invalid_credentials");
    }
    enter(&node, "bob@example.com", &second).await.expect(200);
    node.close().await;
}

/// Five tries a code, whatever the counter of the account says.
async fn five_wrong_codes_void_the_right_one(product: &Product) {
    let smtp = Smtp::start().await;
    let locking = with_bob(product, &smtp).await;
    let port = smtp.port.to_string();
    let settings = [("SMTP_HOST", "localhost"), ("SMTP_PORT", &port), ("ACCOUNT_LOCKOUT_ENABLED", "false")];
    let node = node(product, &settings).await;
    ask(&node, REQUEST, "bob@example.com").await;
    let code = code(&node, &smtp).await;
    for _ in 0..5 {
        enter(&node, "bob@example.com", &wrong(&code)).await.refused(401, "invalid_credentials");
    }
    enter(&node, "bob@example.com", &code).await.refused(401, "invalid_credentials");
    node.close().await;
    locking.close().await;
}

/// CVE-2024-32868: counted where passwords count.
async fn of_two_hundred_wrong_codes_at_once_every_one_counts_and_three_are_looked_at(product: &Product) {
    let smtp = Smtp::start().await;
    let first = with_bob(product, &smtp).await;
    let port = smtp.port.to_string();
    let settings = [("SMTP_HOST", "localhost"), ("SMTP_PORT", port.as_str()), ("ACCOUNT_LOCKOUT_ATTEMPTS", "3")];
    let node = node(product, &settings).await;
    ask(&node, REQUEST, "bob@example.com").await;
    let code = code(&node, &smtp).await;
    let bad = wrong(&code);
    let answers = join_all((0..200).map(|_| enter(&node, "bob@example.com", &bad))).await;
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    for answer in answers.into_iter().filter(|answer| answer.status != 503) {
        answer.refused(401, "invalid_credentials");
    }
    assert_eq!(failures(&node).await, i64::try_from(200 - busy).unwrap());
    assert_eq!(tries_left(&node).await, 2, "the third failure locked: of five tries three were taken");
    enter(&node, "bob@example.com", &code).await.refused(401, "invalid_credentials");
    let password = json!({"email": "bob@example.com", "password": PASSWORD});
    node.guest().post("/api/v1/auth/login", &password).await.refused(401, "invalid_credentials");
    // Its owner is told, and can open the lock.
    let mails = post(&node, &smtp).await;
    let (page, token) = mails["Your account is locked"].link().expect("a link");
    assert!(page.ends_with("/admin/unlock"), "{page}");
    node.guest().post("/api/v1/auth/unlock", &json!({"token": token})).await.expect(204);
    node.guest().post("/api/v1/auth/login", &password).await.expect(200);
    for node in [node, first] {
        node.close().await;
    }
}

/// Tries that the one code there is has left.
async fn tries_left(product: &Product) -> i64 {
    let mut sql = fastcms_store::Sql::new(product.app.store.dialect());
    sql.push("SELECT tries_left FROM one_time_codes");
    let read = product
        .app
        .store
        .read(fastcms_store::Plan::Bounded, move |reader| Box::pin(async move { reader.fetch_one(&sql).await }));
    read.await.unwrap().unwrap().int(0).unwrap()
}

/// CVE-2026-9798, CVE-2026-16103: a lock that one door knew, and another did not.
async fn a_lock_holds_at_every_door_that_gives_tokens(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    let bob = node.user("bob").await;
    let made = bob.post("/api/v1/auth/2fa/setup", &json!({})).await.expect(200).json();
    let app = base32(&text(&made["secret"]));
    bob.post("/api/v1/auth/2fa/enable", &json!({"code": totp(&app, &node)})).await.expect(200);
    node.clock.advance_seconds(30);
    deliver(&node, &smtp).await;
    smtp.take();
    ask(&node, REQUEST, "bob@example.com").await;
    let code = code(&node, &smtp).await;
    let sign_in = |password: &str, second: Option<&str>| json!({"email": "bob@example.com", "password": password, "two_factor_code": second});
    for _ in 0..5 {
        let wrong = sign_in("Wrong-Horse1-battery", None);
        node.guest().post("/api/v1/auth/login", &wrong).await.refused(401, "invalid_credentials");
    }
    let second = totp(&app, &node);
    let doors = [
        ("/api/v1/auth/login", sign_in(PASSWORD, None)),
        ("/api/v1/auth/login", sign_in(PASSWORD, Some(&second))),
        (ENTER, json!({"email": "bob@example.com", "code": code})),
        (ENTER, json!({"email": "bob@example.com", "code": code, "two_factor_code": second})),
    ];
    for (door, body) in &doors {
        node.guest().post(door, body).await.refused(401, "invalid_credentials");
    }
    // Nor can a session that was open before guess on, or change what opens the account.
    bob.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.refused(401, "invalid_credentials");
    let moved = json!({"new_email": "new@example.com", "password": PASSWORD});
    bob.post("/api/v1/auth/request-email-change", &moved).await.refused(401, "invalid_credentials");
    let off = json!({"code": second});
    bob.post("/api/v1/auth/2fa/disable", &off).await.refused(400, "invalid_two_factor_code");
    bob.get("/api/v1/auth/me").await.expect(200);
    node.clock.advance_seconds(1800);
    let right = sign_in(PASSWORD, Some(&totp(&app, &node)));
    node.guest().post("/api/v1/auth/login", &right).await.expect(200);
    node.close().await;
}

/// CVE-2024-7318: a code that lived longer than was said.
async fn a_code_is_good_for_ten_minutes_and_not_a_millisecond_longer(product: &Product) {
    let smtp = Smtp::start().await;
    let node = with_bob(product, &smtp).await;
    for (seconds, status) in [(599, 200), (600, 401)] {
        ask(&node, REQUEST, "bob@example.com").await;
        let code = code(&node, &smtp).await;
        node.clock.advance_seconds(seconds);
        enter(&node, "bob@example.com", &code).await.expect(status);
    }
    node.close().await;
}

async fn an_address_that_nobody_has_gets_the_same_answer_and_no_mail(product: &Product) {
    let smtp = Smtp::start().await;
    let node = with_bob(product, &smtp).await;
    ask(&node, REQUEST, "nobody@example.com").await;
    deliver(&node, &smtp).await;
    assert_eq!(smtp.take().len(), 0);
    let (known, unknown) =
        (enter(&node, "bob@example.com", "000000").await, enter(&node, "nobody@example.com", "000000").await);
    let bytes = |answer: Answer| {
        let mut body = answer.refused(401, "invalid_credentials").json();
        body["request_id"] = serde_json::Value::Null;
        body
    };
    assert_eq!(bytes(known), bytes(unknown));
    node.close().await;
}

async fn accounts_of_a_collection_sign_in_with_a_code_too(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    admin
        .collection(&json!({"name": "members", "type": "auth", "create_rule": "", "view_rule": "", "schema": []}))
        .await;
    let door = |verb: &str| format!("/api/v1/collections/members/auth/{verb}");
    let body = json!({"email": "cas@example.com", "password": PASSWORD});
    node.guest().post(&door("register"), &body).await.expect(201);
    deliver(&node, &smtp).await;
    smtp.take();
    ask(&node, &door("otp/request"), "cas@example.com").await;
    let code = code(&node, &smtp).await;
    // A code of one realm is none of another.
    enter(&node, "cas@example.com", &code).await.refused(401, "invalid_credentials");
    let answer = node.guest().post(&door("otp/verify"), &json!({"email": "cas@example.com", "code": code})).await;
    let body = answer.expect(200).json();
    assert!(!text(&body["token"]["access_token"]).is_empty());
    assert!(body["user"].to_string().contains("\"verified\":true"), "{body}");
    node.close().await;
}
