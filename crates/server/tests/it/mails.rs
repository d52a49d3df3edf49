//! Outgoing mail from outside: what is queued, what arrives, what a link is good for.

use fastcms_core::{Caller, mail};
use serde_json::{Value, json};

use crate::callers::Calls;
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::Product;

/// Mail is on only with an account at the mail server.
const MAIL: [(&str, &str); 2] = [("SMTP_USER", "cms"), ("SMTP_PASSWORD", "smtp-password")];
const NEW_PASSWORD: &str = "a quite new phrase";
const CHANGE_PASSWORD: &str = "/api/v1/auth/change-password";

on_both_engines!(a_password_change_queues_its_notice_with_it, nothing_is_queued_where_mail_is_off_or_not_wanted,);

async fn waiting(product: &Product) -> i64 {
    mail::standing(&Caller::operator(), &product.app).await.unwrap().waiting
}

/// A node that sends mail, or that is set up otherwise.
async fn node(product: &Product, settings: &[(&str, &str)]) -> Product {
    let mut all = MAIL.to_vec();
    all.extend_from_slice(settings);
    product.with(&all).await
}

fn passwords(old: &str, new: &str) -> Value {
    json!({"old_password": old, "new_password": new, "new_password_confirm": new})
}

async fn a_password_change_queues_its_notice_with_it(product: &Product) {
    let product = node(product, &[]).await;
    product.admin().await;
    let bob = product.user("bob").await;
    let before = waiting(&product).await;
    bob.post(CHANGE_PASSWORD, &passwords("wrong", NEW_PASSWORD)).await.refused(401, "invalid_credentials");
    assert_eq!(waiting(&product).await, before);
    bob.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    assert_eq!(waiting(&product).await, before + 1);
    product.close().await;
}

async fn nothing_is_queued_where_mail_is_off_or_not_wanted(product: &Product) {
    product.admin().await;
    let bob = product.user("bob").await;
    bob.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    assert_eq!(waiting(product).await, 0);
    let silent = node(product, &[("SECURITY_NOTIFICATIONS_ENABLED", "false")]).await;
    let ann = silent.user("ann").await;
    let before = waiting(&silent).await;
    ann.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    assert_eq!(waiting(&silent).await, before);
    silent.close().await;
}
