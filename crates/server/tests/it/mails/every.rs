//! Every mail that the product writes arrives, and a mail server that is away or that hangs makes nobody wait.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use fastcms_core::mail::Kind;
use fastcms_guard::totp::STEP_SECONDS;
use http::Method;
use serde_json::json;

use super::*;
use crate::callers::{Admin, User, request};
use crate::on_both_engines;
use crate::process::Server;
use crate::two_factor::{base32, code};

on_both_engines!(every_mail_arrives_and_only_the_planned_ones_carry_a_link, a_link_names_the_configured_address_alone,);

const LOGIN: &str = "/api/v1/auth/login";

/// The subject that a kind is delivered with.
fn subject(kind: Kind) -> String {
    let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/mail/texts");
    let text = std::fs::read_to_string(texts.join(format!("{}.txt", kind.name()))).unwrap();
    text.lines().next().unwrap().to_owned()
}

async fn sign_in_from(node: &Product, peer: &str, body: &Value) -> Value {
    let sent = request(None, Method::POST, LOGIN, Some(body));
    node.send_from(peer.parse().unwrap(), sent).await.expect(200).json()
}

fn bob(password: &str) -> Value {
    json!({"email": "bob@example.com", "password": password})
}

async fn every_mail_arrives_and_only_the_planned_ones_carry_a_link(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let user = node.user("bob").await;
    let mut arrived = Vec::new();
    guessed_at(&node, &smtp, &mut arrived).await;
    let port = smtp.port.to_string();
    let telling = [("SMTP_HOST", "localhost"), ("SMTP_PORT", port.as_str()), ("SECURITY_LOGIN_NOTIFICATIONS", "true")];
    let telling = super::node(product, &telling).await;
    sign_in_from(&telling, "127.0.0.1:1", &bob(PASSWORD)).await;
    telling.close().await;
    sign_in_from(&node, "192.0.2.99:1", &bob(PASSWORD)).await;
    deliver(&node, &smtp).await;
    arrived.extend(smtp.take());
    changed(&admin, &user, &smtp, &mut arrived).await;
    let server = MailServer::trusting(&node.app, &smtp.authority).unwrap().unwrap();
    mail::send_test(&Caller::operator(), &node.app, &server, "ops@example.com").await.unwrap();
    arrived.extend(smtp.take());
    strangers(&node, &admin, &smtp, &mut arrived).await;

    let subjects: BTreeSet<String> = arrived.iter().map(|mail| mail.header("Subject").unwrap()).collect();
    for kind in Kind::ALL {
        let subject = match kind {
            Kind::NoticeToAdmins => "passwords are being tried on many accounts".to_owned(),
            kind => subject(*kind).to_lowercase(),
        };
        let mail = arrived.iter().find(|mail| mail.header("Subject").unwrap().to_lowercase() == subject);
        let mail = mail.unwrap_or_else(|| panic!("{kind:?} has not arrived: {subjects:?}"));
        assert_eq!(mail.link().is_some(), kind.purpose().is_some(), "{kind:?}");
        assert_eq!(mail.to.len(), 1, "{kind:?}");
    }
    assert_eq!(waiting(&node).await, 0);
    node.close().await;
}

/// Who tries many accounts, and who registers an address that is taken.
async fn strangers(node: &Product, admin: &Admin<'_>, smtp: &Smtp, arrived: &mut Vec<Received>) {
    for n in 0..12 {
        let body = json!({"email": format!("nobody{n}@example.com"), "password": "Wrong-Horse1-battery"});
        node.guest().post(LOGIN, &body).await.refused(401, "invalid_credentials");
    }
    crate::stored_settings::require_verification(node, admin, &["new"]).await;
    let taken = json!({"email": "new@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    node.guest().post("/api/v1/auth/register", &taken).await.expect(202);
    deliver(node, smtp).await;
    let mails = smtp.take();
    let notices: Vec<_> = mails.iter().filter(|mail| mail.to == ["root@example.com"]).collect();
    assert_eq!(notices.len(), 1, "once an hour");
    assert!(notices[0].text().contains("the network of 127.0.0.1"));
    arrived.extend(mails);
}

/// What strangers and owners ask for without being signed in.
async fn guessed_at(node: &Product, smtp: &Smtp, arrived: &mut Vec<Received>) {
    let address = json!({"email": "bob@example.com"});
    node.guest().post("/api/v1/auth/request-password-reset", &address).await.expect(204);
    node.guest().post("/api/v1/auth/request-otp", &address).await.expect(204);
    for _ in 0..5 {
        node.guest().post(LOGIN, &bob("Wrong-Horse1-battery")).await.refused(401, "invalid_credentials");
    }
    deliver(node, smtp).await;
    let mails = smtp.take();
    let lock = mails.iter().find(|mail| mail.header("Subject").unwrap() == "Your account is locked").unwrap();
    let token = json!({"token": lock.link().unwrap().1});
    node.guest().post("/api/v1/auth/unlock", &token).await.expect(204);
    arrived.extend(mails);
}

/// What changes an account: its factors, its keys, its address, its password.
async fn changed(admin: &Admin<'_>, user: &User<'_>, smtp: &Smtp, arrived: &mut Vec<Received>) {
    let node = admin.product;
    let made = user.post("/api/v1/auth/2fa/setup", &json!({})).await.expect(200).json();
    let app = base32(made["secret"].as_str().unwrap());
    for (verb, status) in [("enable", 200), ("backup-codes", 200), ("disable", 200)] {
        user.post(&format!("/api/v1/auth/2fa/{verb}"), &json!({"code": code(&app, node)})).await.expect(status);
        node.clock.advance_seconds(STEP_SECONDS);
    }
    user.post("/api/v1/api-keys", &json!({"name": "deploy"})).await.expect(201);
    let path = format!("/api/v1/admin/users/{}", user.id);
    admin.post(&format!("{path}/impersonate"), &json!({"reason": "ticket 4711"})).await.expect(200);
    // A refresh token that comes back after its time.
    let session = sign_in_from(node, "127.0.0.1:1", &bob(PASSWORD)).await;
    let used = json!({"refresh_token": session["token"]["refresh_token"]});
    node.guest().post("/api/v1/auth/refresh", &used).await.expect(200);
    node.clock.advance_seconds(11);
    node.guest().post("/api/v1/auth/refresh", &used).await.refused(401, "invalid_refresh_token");
    let asked = json!({"new_email": "new@example.com", "password": PASSWORD});
    user.post("/api/v1/auth/request-email-change", &asked).await.expect(204);
    deliver(node, smtp).await;
    let mails = smtp.take();
    let agree = mails.iter().find(|mail| mail.to == ["new@example.com"]).unwrap().link().unwrap().1;
    arrived.extend(mails);
    node.guest().post("/api/v1/auth/confirm-email-change", &json!({"token": agree})).await.expect(204);
    let body = json!({"email": "new@example.com", "password": PASSWORD});
    let again = sign_in_from(node, "127.0.0.1:1", &body).await["token"]["access_token"].clone();
    let caller = crate::callers::Bearer { product: node, token: again.as_str().unwrap().to_owned() };
    caller.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    deliver(node, smtp).await;
    arrived.extend(smtp.take());
    admin.patch(&path, &json!({"password": "given-zq8vkw3mtx"})).await.expect(200);
    deliver(node, smtp).await;
    arrived.extend(smtp.take());
}

/// R99, CVE-2023-49097, CVE-2025-64101, GHSA-pfrf-9r5f-73f5: links were built from the host that was asked for.
async fn a_link_names_the_configured_address_alone(product: &Product) {
    let smtp = Smtp::start().await;
    let port = smtp.port.to_string();
    let settings = [
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", port.as_str()),
        ("BASE_URL", "https://cms.example.com"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let node = super::node(product, &settings).await;
    node.admin().await;
    node.user("bob").await;
    deliver(&node, &smtp).await;
    smtp.take();
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "666"),
        ("x-original-url", "http://evil.example/"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ] {
        let body = json!({"email": "bob@example.com"});
        let mut sent = request(None, Method::POST, "/api/v1/auth/request-password-reset", Some(&body));
        sent.headers_mut().insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        node.send(sent).await.expect(204);
        deliver(&node, &smtp).await;
        let [mail] = smtp.take().try_into().unwrap();
        assert_eq!(mail.link().unwrap().0, "https://cms.example.com/admin/reset-password", "{name}");
        assert!(!mail.raw.contains("evil"), "{name}");
    }
    node.close().await;
}

/// A server that takes connections and never says a word: whoever causes a mail is answered as fast as ever, and the mail waits.
#[test]
fn a_mail_server_that_hangs_makes_nobody_wait() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let mut server = Server::new(&[
        ("SMTP_USER", "cms"),
        ("SMTP_PASSWORD", "smtp-password"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", &port),
    ]);
    server.start();
    server.set_up();
    let register = |n: usize| {
        let email = format!("u{n}@example.com");
        let body = json!({"email": email, "password": PASSWORD, "password_confirm": PASSWORD});
        let asked = Instant::now();
        server.ask("POST", "/api/v1/auth/register").json(&body).expect(201);
        asked.elapsed()
    };
    let mut times: Vec<Duration> = (0..12).map(register).collect();
    times.sort();
    // The mail server is given many times as long.
    assert!(times[6] < Duration::from_secs(2), "{times:?}");
    server.kill();
    let stored = rusqlite::Connection::open(server.folder.path().join("app.db")).unwrap();
    let waiting: i64 = stored.query_row("SELECT count(*) FROM mails", [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 12, "nothing is lost");
}
