//! Refresh tokens from outside: each makes one successor, however many bring it at once, and none lives longer than its family.

use std::collections::BTreeSet;
use std::sync::Barrier;

use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::callers::{Admin, Bearer, Calls};
use crate::engine::Engine;
use crate::keys::forge;
use crate::mails::smtp::Smtp;
use crate::mails::{node_with, post};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

const ME: &str = "/api/v1/auth/me";
const REFRESH: &str = "/api/v1/auth/refresh";
const DAYS: i64 = 24 * 3600;

on_both_engines!(
    a_hundred_uses_at_once_make_one_successor_and_a_replay_ends_the_family,
    a_family_ends_when_it_was_to_end_however_often_it_is_renewed,
    lifetimes_are_those_of_the_settings,
    nobody_who_is_shut_out_renews_a_session,
);

/// Calls from as many threads at the same moment.
fn at_once<T: Send>(callers: usize, call: impl AsyncFn(usize) -> T + Sync) -> Vec<T> {
    let (gate, handle) = (Barrier::new(callers), Handle::current());
    let (gate, handle, call) = (&gate, &handle, &call);
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let begin = |n| {
                scope.spawn(move || {
                    gate.wait();
                    handle.block_on(call(n))
                })
            };
            let threads: Vec<_> = (0..callers).map(begin).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    })
}

fn presenting(token: &str) -> Value {
    json!({"refresh_token": token})
}

/// The one refresh token of many answers.
fn successor(answers: &[Answer]) -> String {
    let all: BTreeSet<String> =
        answers.iter().map(|answer| text(&answer.clone().expect(200).json()["refresh_token"])).collect();
    assert_eq!(all.len(), 1, "{} branches", all.len());
    all.into_iter().next().unwrap()
}

async fn told(admin: &Admin<'_>, action: &str) -> Value {
    admin.get(&format!("/api/v1/audit?event_action={action}")).await.expect(200).json()
}

/// R27, R28, R29, D-18: threads of their own, and two nodes where the database serves two.
async fn a_hundred_uses_at_once_make_one_successor_and_a_replay_ends_the_family(product: &Product) {
    let smtp = Smtp::start().await;
    let one = node_with(product, &smtp).await;
    let other = node_with(product, &smtp).await;
    let nodes = if product.engine() == Engine::Postgres { vec![&one, &other] } else { vec![&one] };
    let (admin, bob) = (one.admin().await, one.user("bob").await);
    post(&one, &smtp).await;
    let first = text(&bob.tokens["refresh_token"]);
    let present = async |n: usize, token: &str| nodes[n % nodes.len()].guest().post(REFRESH, &presenting(token)).await;

    let answers = at_once(100, async |n| present(n, &first).await);
    let second = successor(&answers);
    assert_ne!(second, first);
    assert_eq!(told(&admin, "token_refresh").await["total"], 1, "rotated once");
    for answer in answers.iter().step_by(20) {
        let access = text(&answer.json()["access_token"]);
        Bearer { product: &one, token: access }.get(ME).await.expect(200);
    }
    let answers = at_once(100, async |n| present(n, &second).await);
    let third = successor(&answers);
    let access = text(&answers[0].json()["access_token"]);

    // The grace is over: whoever brings what is used up, and whoever has the newest, is out.
    product.clock.advance_seconds(11);
    for answer in at_once(100, async |n| present(n, &second).await) {
        answer.refused(401, "invalid_refresh_token");
    }
    for node in &nodes {
        node.guest().post(REFRESH, &presenting(&third)).await.refused(401, "invalid_refresh_token");
    }
    Bearer { product: &one, token: access }.get(ME).await.refused(401, "invalid_token");
    let events = told(&admin, "refresh_reuse").await;
    assert_eq!(events["total"], 1, "{events}");
    let event = &events["items"][0];
    let seen = [&event["event_type"], &event["severity"], &event["outcome"], &event["user_email"]];
    assert_eq!(seen, [&json!("security"), &json!("critical"), &json!("failure"), &json!("bob@example.com")]);
    let mails = post(&one, &smtp).await;
    assert_eq!(mails.len(), 1, "told once");
    let mail = mails.values().next().unwrap();
    assert_eq!(mail.to, ["bob@example.com"]);
    assert!(!mail.raw.contains(&second) && !mail.raw.contains(&third));
    // Who signs in again is in.
    let again = json!({"email": "bob@example.com", "password": PASSWORD});
    one.guest().post("/api/v1/auth/login", &again).await.expect(200);
    one.close().await;
    other.close().await;
}

/// R30, contract 2.3.
async fn a_family_ends_when_it_was_to_end_however_often_it_is_renewed(product: &Product) {
    let mut pair = product.admin().await.tokens;
    let end = forge::read(pair["refresh_token"].as_str().unwrap()).1["exp"].as_i64().unwrap();
    assert_eq!(end, product.app.now_seconds() + 30 * DAYS);
    for _ in 0..29 {
        product.clock.advance_seconds(DAYS);
        let body = presenting(pair["refresh_token"].as_str().unwrap());
        pair = product.guest().post(REFRESH, &body).await.expect(200).json();
        assert_eq!(forge::read(pair["refresh_token"].as_str().unwrap()).1["exp"], end);
    }
    product.clock.advance_seconds(DAYS - 60);
    let body = presenting(pair["refresh_token"].as_str().unwrap());
    let last = product.guest().post(REFRESH, &body).await.expect(200).json();
    // No access token outlives it either.
    let access = text(&last["access_token"]);
    assert_eq!((forge::read(&access).1["exp"].as_i64(), &last["expires_in"]), (Some(end), &json!(60)));
    product.clock.advance_seconds(60);
    let body = presenting(last["refresh_token"].as_str().unwrap());
    product.guest().post(REFRESH, &body).await.refused(401, "invalid_refresh_token");
    Bearer { product, token: access }.get(ME).await.refused(401, "invalid_token");
}

/// R21: by default a quarter of an hour and thirty days, else what was set; what is configured now bounds what was issued before.
async fn lifetimes_are_those_of_the_settings(product: &Product) {
    let admin = product.admin().await;
    let life = |token: &Value| {
        let claims = forge::read(token.as_str().unwrap()).1;
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
    };
    assert_eq!((life(&admin.tokens["access_token"]), life(&admin.tokens["refresh_token"])), (900, 30 * DAYS));
    assert_eq!(admin.tokens["expires_in"], 900);
    let node = product.with(&[("ACCESS_TOKEN_EXPIRE_MINUTES", "3"), ("REFRESH_TOKEN_EXPIRE_DAYS", "2")]).await;
    let ada = node.user("ada").await;
    assert_eq!((life(&ada.tokens["access_token"]), life(&ada.tokens["refresh_token"])), (180, 2 * DAYS));
    // A life above the one of the kind is refused, whoever signed it (R19).
    Bearer { product: &node, token: admin.token.clone() }.get(ME).await.refused(401, "invalid_token");
    let long = presenting(admin.tokens["refresh_token"].as_str().unwrap());
    node.guest().post(REFRESH, &long).await.refused(401, "invalid_refresh_token");
    admin.get(ME).await.expect(200);
    node.close().await;
}

/// CVE-2023-22492, CVE-2025-3930: refresh tokens that went on after their account was deactivated, and could be renewed for ever.
async fn nobody_who_is_shut_out_renews_a_session(product: &Product) {
    let admin = product.admin().await;
    let ada = product.user("ada").await;
    let at = format!("/api/v1/admin/users/{}", ada.id);
    let body = presenting(ada.tokens["refresh_token"].as_str().unwrap());
    admin.patch(&at, &json!({"disabled": true})).await.expect(200);
    product.guest().post(REFRESH, &body).await.refused(401, "invalid_refresh_token");
    // Nor does what was ended come back with the account.
    admin.patch(&at, &json!({"disabled": false})).await.expect(200);
    product.guest().post(REFRESH, &body).await.refused(401, "invalid_refresh_token");
    ada.get(ME).await.refused(401, "invalid_token");
}
