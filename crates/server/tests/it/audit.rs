//! The audit log: what was done stands there, with who did it and from where.

mod accounts;
mod covering;
mod flood;
mod keeping;
mod operations;
mod segments;
mod shipping;
mod tampering;
mod unkeyed;

use fastcms_store::{Plan, Sql};
use serde_json::{Value, json};

use crate::callers::Calls;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    an_event_is_committed_with_what_it_describes,
    the_event_of_a_refused_change_is_rolled_back_with_it,
    what_is_typed_in_the_place_of_an_address_is_not_kept,
);

/// The latest events, newest first.
pub async fn events(product: &Product) -> Vec<Value> {
    let dialect = product.app.store.dialect();
    let mut sql = Sql::new(dialect);
    sql.push(
        "SELECT event_type, event_action, user_email, ip_address, user_agent, resource_id, details FROM audit_logs ",
    );
    sql.push("ORDER BY created DESC, seq DESC LIMIT 20");
    let read = product.app.store.read(Plan::Scan, move |reader| Box::pin(async move { reader.fetch(&sql).await }));
    let rows = read.await.unwrap();
    let text = |row: &fastcms_store::Row, at| row.opt_text(at).unwrap().map(str::to_owned);
    rows.iter()
        .map(|row| {
            json!({
                "event": format!("{}/{}", text(row, 0).unwrap(), text(row, 1).unwrap()), "email": text(row, 2),
                "address": text(row, 3), "agent": text(row, 4), "resource": text(row, 5),
                "details": serde_json::from_str::<Value>(&text(row, 6).unwrap()).unwrap(),
            })
        })
        .collect()
}

async fn an_event_is_committed_with_what_it_describes(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ada").await;
    let answer = admin.patch(&format!("/api/v1/admin/users/{}", user.id), &json!({"name": "Ada Lovelace"})).await;
    let answer = answer.expect(200);
    let event = &events(product).await[0];
    assert_eq!(event["event"], "user/update");
    assert_eq!(event["email"], "root@example.com");
    assert_eq!(event["address"], "127.0.0.1");
    assert_eq!(event["resource"], user.id);
    assert_eq!(event["details"]["before"], json!({"name": "ada"}));
    assert_eq!(event["details"]["after"], json!({"name": "Ada Lovelace"}));
    assert_eq!(event["details"]["request_id"], answer.header("x-request-id").unwrap());
}

async fn the_event_of_a_refused_change_is_rolled_back_with_it(product: &Product) {
    let admin = product.admin().await;
    let ada = product.user("ada").await;
    product.user("bob").await;
    let before = events(product).await.len();
    let taken = json!({"email": "bob@example.com"});
    admin.patch(&format!("/api/v1/admin/users/{}", ada.id), &taken).await.refused(409, "email_taken");
    assert_eq!(events(product).await.len(), before);
}

/// Rows are there for ever, and are shipped: a password that was typed one field too early must not be among them.
async fn what_is_typed_in_the_place_of_an_address_is_not_kept(product: &Product) {
    product.admin().await;
    for (typed, kept) in [("My$ecretPassw0rd", Value::Null), ("nobody@example.com", json!("nobody@example.com"))] {
        let body = json!({"email": typed, "password": "x"});
        product.guest().post("/api/v1/auth/login", &body).await.refused(401, "invalid_credentials");
        fastcms_core::audit::flush(&fastcms_core::Caller::operator(), &product.app).await.unwrap();
        let event = events(product).await[0].clone();
        assert_eq!((&event["event"], &event["email"]), (&json!("auth/login_failed"), &kept), "{event}");
        assert!(!event.to_string().contains("ecretpassw0rd"), "{event}");
    }
}
