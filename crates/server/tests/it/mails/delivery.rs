//! The way to the mail server: nothing lost, nothing twice, nothing in the clear.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::certificate::Certificate;
use super::smtp::{Manner, Smtp};
use super::*;
use crate::on_both_engines;

const REQUEST_RESET: &str = "/api/v1/auth/request-password-reset";

on_both_engines!(
    a_mail_arrives_as_text_and_html_from_whom_the_settings_say,
    while_the_server_is_down_nothing_is_lost,
    two_nodes_send_each_mail_once,
    what_cannot_be_verified_gets_nothing_from_us,
    a_server_that_does_not_know_us_costs_no_mail,
    a_recipient_that_is_refused_for_good_is_given_up_and_one_for_now_is_not,
    no_header_can_be_opened_from_inside_another,
    no_token_is_ever_in_the_database,
);

async fn a_mail_arrives_as_text_and_html_from_whom_the_settings_say(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    node.user("bob").await;
    assert_eq!(deliver(&node, &smtp).await, Delivered { sent: 1, ..Delivered::default() });
    let [mail] = smtp.take().try_into().unwrap();
    assert_eq!((mail.from.as_str(), mail.to[0].as_str()), ("noreply@fastcms.dev", "bob@example.com"));
    let header = |name: &str| mail.header(name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(header("From"), "FastCMS <noreply@fastcms.dev>");
    assert_eq!(header("To"), "bob@example.com");
    assert_eq!(header("Subject"), "Confirm your e-mail address");
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert!(
        header("Message-ID").ends_with("@fastcms.dev>") && header("Content-Type").starts_with("multipart/alternative")
    );
    assert!(mail.raw.contains("text/plain") && mail.raw.contains("text/html"));
    assert_eq!(waiting(&node).await, 0);
    node.close().await;
}

async fn while_the_server_is_down_nothing_is_lost(product: &Product) {
    // A port that nobody listens on, until later.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let own = Certificate::for_name("localhost");
    let node = node(product, &[("SMTP_HOST", "localhost"), ("SMTP_PORT", port.to_string().as_str())]).await;
    node.admin().await;
    let server = MailServer::trusting(&node.app, &own.certificate).unwrap().unwrap();
    for name in ["bob", "ann"] {
        node.user(name).await;
    }
    let try_now = || async { mail::deliver(&Caller::background(), &node.app, &server).await.unwrap() };
    assert_eq!(try_now().await, Delivered { put_back: 1, interrupted: true, ..Delivered::default() });
    assert_eq!(waiting(&node).await, 2);
    // Not before its time.
    assert!(try_now().await.interrupted);
    assert_eq!(try_now().await, Delivered::default());
    node.clock.advance_seconds(14);
    assert_eq!(try_now().await, Delivered::default());
    let back = Smtp::on(TcpListener::bind(("127.0.0.1", port)).await.unwrap(), Manner::Good, own);
    node.clock.advance_seconds(1);
    assert_eq!(try_now().await, Delivered { sent: 2, ..Delivered::default() });
    let mut to: Vec<_> = back.take().into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    assert_eq!(to, ["ann@example.com", "bob@example.com"]);
    node.close().await;
}

async fn two_nodes_send_each_mail_once(product: &Product) {
    const MAILS: usize = 40;
    let smtp = Smtp::start().await;
    let (one, two) = (node_with(product, &smtp).await, node_with(product, &smtp).await);
    let admin = one.admin().await;
    let bob = one.user("bob").await;
    deliver(&one, &smtp).await;
    smtp.take();
    let _ = admin;
    for n in 0..MAILS {
        // Every sign-in with a refresh token that comes back tells the owner.
        let tokens = if n == 0 { bob.tokens.clone() } else { sign_in(&one, "bob").await };
        reuse(&one, &tokens).await;
    }
    assert_eq!(waiting(&one).await, i64::try_from(MAILS).unwrap());
    let (first, second) = tokio::join!(deliver(&one, &smtp), deliver(&two, &smtp));
    assert_eq!(first.sent + second.sent, MAILS, "{first:?} {second:?}");
    let mut ids: Vec<_> = smtp.take().iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MAILS);
    for node in [one, two] {
        node.close().await;
    }
}

async fn sign_in(product: &Product, name: &str) -> Value {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    product.guest().post("/api/v1/auth/login", &body).await.expect(200).json()["token"].clone()
}

/// Presents a refresh token again after its time.
async fn reuse(product: &Product, tokens: &Value) {
    let body = json!({"refresh_token": tokens["refresh_token"]});
    product.guest().post("/api/v1/auth/refresh", &body).await.expect(200);
    product.clock.advance_seconds(11);
    product.guest().post("/api/v1/auth/refresh", &body).await.refused(401, "invalid_refresh_token");
}

/// D-46: a self-signed server, one of another name, one without TLS, and one that is tampered with on the way get neither the account
/// nor a mail.
async fn what_cannot_be_verified_gets_nothing_from_us(product: &Product) {
    let node = node(product, &[]).await;
    node.admin().await;
    node.user("bob").await;
    let stranger = Certificate::for_name("localhost").certificate;
    for (manner, name, trusted) in [
        (Manner::Good, "localhost", Some(stranger)),
        (Manner::Good, "mail.example.com", None),
        (Manner::Plain, "localhost", None),
        (Manner::Injects, "localhost", None),
    ] {
        let smtp = Smtp::with(manner, name).await;
        let here = node_with(&node, &smtp).await;
        let authority = trusted.unwrap_or_else(|| smtp.authority.clone());
        let server = MailServer::trusting(&here.app, &authority).unwrap().unwrap();
        let done = mail::deliver(&Caller::background(), &here.app, &server).await.unwrap();
        assert_eq!((done.sent, done.interrupted), (0, true), "{manner:?} {name}");
        assert_eq!(smtp.take().len(), 0);
        let heard = smtp.heard();
        assert!(heard.iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"), "{manner:?}: {heard:?}");
        assert_eq!(waiting(&here).await, 1);
        node.clock.advance_seconds(600);
        here.close().await;
    }
    node.close().await;
}

async fn a_server_that_does_not_know_us_costs_no_mail(product: &Product) {
    let smtp = Smtp::with(Manner::RefusesAccount, "localhost").await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    node.user("bob").await;
    for _ in 0..20 {
        assert_eq!(deliver(&node, &smtp).await, Delivered { put_back: 1, interrupted: true, ..Delivered::default() });
        node.clock.advance_seconds(300);
    }
    assert_eq!(waiting(&node).await, 1);
    node.close().await;
}

async fn a_recipient_that_is_refused_for_good_is_given_up_and_one_for_now_is_not(product: &Product) {
    let first = node(product, &[]).await;
    first.admin().await;
    first.user("bob").await;
    let later = Smtp::with(Manner::RefusesRecipients(451), "localhost").await;
    let node = node_with(product, &later).await;
    assert_eq!(deliver(&node, &later).await, Delivered { put_back: 1, ..Delivered::default() });
    node.close().await;
    first.clock.advance_seconds(15);
    let never = Smtp::with(Manner::RefusesRecipients(550), "localhost").await;
    let node = node_with(product, &never).await;
    assert_eq!(deliver(&node, &never).await, Delivered { given_up: 1, ..Delivered::default() });
    let standing = mail::standing(&Caller::operator(), &node.app).await.unwrap();
    assert_eq!((standing.waiting, standing.failed), (0, 1));
    node.clock.advance_seconds(31 * 24 * 3600);
    mail::sweep(&Caller::background(), &node.app).await.unwrap();
    assert_eq!(mail::standing(&Caller::operator(), &node.app).await.unwrap().failed, 0);
    for node in [node, first] {
        node.close().await;
    }
}

/// R147.
async fn no_header_can_be_opened_from_inside_another(product: &Product) {
    let smtp = Smtp::start().await;
    let port = smtp.port.to_string();
    let node = node(
        product,
        &[
            ("SMTP_HOST", "localhost"),
            ("SMTP_PORT", port.as_str()),
            ("SMTP_FROM_NAME", "CMS <all@example.com>, \"x\" <y@example.com>"),
            ("APP_NAME", "<script>alert(1)</script>"),
        ],
    )
    .await;
    node.admin().await;
    for address in [
        "bob@example.com\r\nBcc: all@example.com",
        "bob@example.com,all@example.com",
        "bob@example.com>\r\nRCPT TO:<all@example.com",
        "\"bob\r\n\"@example.com",
        "bob@example.com\u{0}",
    ] {
        let body = json!({"email": address, "password": PASSWORD, "password_confirm": PASSWORD});
        node.guest().post("/api/v1/auth/register", &body).await.refused(422, "validation_failed");
        node.guest().post(REQUEST_RESET, &json!({"email": address})).await.expect(204);
    }
    assert_eq!(waiting(&node).await, 0);
    node.user("bob").await;
    assert_eq!(deliver(&node, &smtp).await.sent, 1);
    let [mail] = smtp.take().try_into().unwrap();
    assert_eq!(mail.to, ["bob@example.com"]);
    let from = mail.header("From").unwrap();
    assert!(from.ends_with(" <noreply@fastcms.dev>") && from.matches('@').count() == 1, "{from}");
    let html = mail.text().split_once("<!doctype html>").unwrap().1.to_owned();
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
    node.close().await;
}

/// R34: neither before a mail is sent nor after does the database know what its link is.
async fn no_token_is_ever_in_the_database(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    node.user("bob").await;
    deliver(&node, &smtp).await;
    let (_, token) = smtp.take()[0].link().unwrap();
    assert_eq!(token.len(), 43);
    if let Some(path) = node.url().strip_prefix("sqlite:///") {
        for suffix in ["", "-wal"] {
            let bytes = std::fs::read(format!("{path}{suffix}")).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&token), "{path}{suffix}");
            assert!(!suffix.is_empty() || !bytes.is_empty());
        }
    } else {
        let (client, connection) = tokio_postgres::connect(node.url(), tokio_postgres::NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        for table in ["mails", "mail_tokens"] {
            let query = format!("SELECT coalesce(string_agg(t::text, ''), '') FROM {table} t");
            let all: String = client.query_one(&query, &[]).await.unwrap().get(0);
            assert!(!all.contains(&token), "{table}");
        }
        drop(client);
        let _ = tokio::time::timeout(Duration::from_secs(5), driving).await;
    }
    node.close().await;
}
