//! Outgoing mail from outside: what is queued, what arrives, what a link is good for.

mod ages;
pub mod certificate;
mod codes;
mod delivery;
mod every;
mod links;
mod notices;
pub mod smtp;
mod texts;

use std::collections::HashMap;

use fastcms_core::mail::{Delivered, MailServer};
use fastcms_core::{Caller, mail};
use serde_json::{Value, json};

use crate::callers::Calls;
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::Product;
use smtp::{Received, Smtp};

/// Mail is on only with an account at the mail server.
pub const MAIL: [(&str, &str); 2] = [("SMTP_USER", "cms"), ("SMTP_PASSWORD", "smtp-password")];
const NEW_PASSWORD: &str = "a quite new phrase";
const CHANGE_PASSWORD: &str = "/api/v1/auth/change-password";

on_both_engines!(a_password_change_queues_its_notice_with_it, nothing_is_queued_where_mail_is_off_or_not_wanted,);

pub async fn waiting(product: &Product) -> i64 {
    mail::standing(&Caller::operator(), &product.app).await.unwrap().waiting
}

/// A node that hands its mail to this server.
pub async fn node_with(product: &Product, smtp: &Smtp) -> Product {
    let port = smtp.port.to_string();
    node(product, &[("SMTP_HOST", "localhost"), ("SMTP_PORT", port.as_str())]).await
}

/// Has everything sent that is due.
async fn deliver(product: &Product, smtp: &Smtp) -> Delivered {
    let server = MailServer::trusting(&product.app, &smtp.authority).unwrap().unwrap();
    mail::deliver(&Caller::background(), &product.app, &server).await.unwrap()
}

/// Has everything sent that is due, and takes what arrived, by subject.
pub async fn post(product: &Product, smtp: &Smtp) -> HashMap<String, Received> {
    deliver(product, smtp).await;
    let mails = smtp.take();
    let count = mails.len();
    let by_subject: HashMap<_, _> = mails.into_iter().map(|mail| (mail.header("Subject").unwrap(), mail)).collect();
    assert_eq!(by_subject.len(), count, "two mails of one subject");
    by_subject
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
    let smtp = Smtp::start().await;
    let product = node_with(product, &smtp).await;
    product.admin().await;
    let bob = product.user("bob").await;
    post(&product, &smtp).await;
    bob.post(CHANGE_PASSWORD, &passwords("wrong", NEW_PASSWORD)).await.refused(401, "invalid_credentials");
    assert_eq!(waiting(&product).await, 0);
    bob.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    assert_eq!(post(&product, &smtp).await["Your password was changed"].to, ["bob@example.com"]);
    product.close().await;
}

async fn nothing_is_queued_where_mail_is_off_or_not_wanted(product: &Product) {
    product.admin().await;
    let bob = product.user("bob").await;
    bob.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    assert_eq!(waiting(product).await, 0);
    let silent = node(product, &[("SECURITY_NOTIFICATIONS_ENABLED", "false")]).await;
    let ann = silent.user("ann").await;
    assert_eq!(waiting(&silent).await, 1, "the link that verifies the address is no notice");
    ann.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    assert_eq!(waiting(&silent).await, 0, "that link is void, and nothing is told");
    silent.close().await;
}
