//! What owners and admins are told, and the whole way of a mail through the real program.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use super::*;
use crate::callers::request;
use crate::on_both_engines;
use crate::process::Server;
use crate::product::text;

const LOGIN: &str = "/api/v1/auth/login";
const STATUS: &str = "/api/v1/admin/email/status";
const TEST: &str = "/api/v1/admin/email/test";
const NEW_DEVICE: &str = "Your account was used on a new device";
const EVERY: &str = "Somebody signed in to your account";

on_both_engines!(
    every_sign_in_is_told_where_that_is_asked_for,
    a_sign_in_from_elsewhere_is_told,
    a_password_mail_lists_the_api_keys_that_outlive_it,
    an_account_of_a_collection_verifies_and_resets_like_a_user,
    admins_see_how_mail_is_set_up_and_whether_it_works,
);

async fn login_from(product: &Product, peer: [u8; 4], name: &str) {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    let request = request(None, Method::POST, LOGIN, Some(&body));
    product.send_from(SocketAddr::from((peer, 50_000)), request).await.expect(200);
}

async fn every_sign_in_is_told_where_that_is_asked_for(product: &Product) {
    let smtp = Smtp::start().await;
    let port = smtp.port.to_string();
    let settings = [
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", port.as_str()),
        ("SECURITY_LOGIN_NOTIFICATIONS", "true"),
        ("SECURITY_NOTIFICATIONS_ENABLED", "false"),
    ];
    let node = node(product, &settings).await;
    node.admin().await;
    node.user("bob").await;
    post(&node, &smtp).await;
    for peer in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        login_from(&node, peer, "bob").await;
        let mails = post(&node, &smtp).await;
        assert!(mails[EVERY].text().contains(&format!("from {}.{}.{}.{}", peer[0], peer[1], peer[2], peer[3])));
        assert_eq!(mails.len(), 1);
    }
    node.close().await;
}

/// R46.
async fn a_sign_in_from_elsewhere_is_told(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    node.user("bob").await;
    post(&node, &smtp).await;
    login_from(&node, [127, 0, 0, 1], "bob").await;
    assert_eq!(post(&node, &smtp).await.len(), 0, "where the account was made");
    login_from(&node, [127, 0, 0, 2], "bob").await;
    let mails = post(&node, &smtp).await;
    assert!(mails[NEW_DEVICE].text().contains("127.0.0.2"));
    login_from(&node, [127, 0, 0, 2], "bob").await;
    assert_eq!(post(&node, &smtp).await.len(), 0, "known by now");
    node.close().await;
}

/// Contract 2.4.
async fn a_password_mail_lists_the_api_keys_that_outlive_it(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    let bob = node.user("bob").await;
    post(&node, &smtp).await;
    for name in ["deploy <b>", "backup"] {
        bob.post("/api/v1/api-keys", &json!({"name": name})).await.expect(201);
        let mail = &post(&node, &smtp).await["A new API key was made"];
        assert_eq!(mail.to, ["bob@example.com"]);
        assert!(mail.text().contains(name) && !mail.text().split_once("<!doctype").unwrap().1.contains("<b>"));
    }
    bob.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    let mail = post(&node, &smtp).await["Your password was changed"].text();
    assert!(mail.contains("until you revoke them: backup, deploy <b>."), "{mail}");
    node.close().await;
}

async fn an_account_of_a_collection_verifies_and_resets_like_a_user(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": "", "schema": []})).await;
    // The same address in `users` is somebody else.
    node.user("mia").await;
    post(&node, &smtp).await;
    let base = "/api/v1/collections/members/auth";
    let body = json!({"email": "mia@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    let guest = node.guest();
    let answer = guest.post(&format!("{base}/register"), &body).await.expect(201).json();
    let mia = crate::callers::Bearer { product: &node, token: text(&answer["token"]["access_token"]) };
    let first = post(&node, &smtp).await["Confirm your e-mail address"].link().unwrap().1;
    mia.post(&format!("{base}/resend-verification"), &json!({})).await.expect(204);
    let token = post(&node, &smtp).await["Confirm your e-mail address"].link().unwrap().1;
    guest.post("/api/v1/auth/verify-email", &json!({"token": token})).await.expect(204);
    let again = json!({"token": first});
    guest.post("/api/v1/auth/verify-email", &again).await.refused(400, "invalid_verification_token");
    mia.post(&format!("{base}/resend-verification"), &json!({})).await.refused(400, "email_already_verified");
    for address in ["mia@example.com", "nobody@example.com"] {
        guest.post(&format!("{base}/request-password-reset"), &json!({"email": address})).await.expect(204);
    }
    let mails = post(&node, &smtp).await;
    assert_eq!(mails.len(), 1);
    let token = mails["Choose a new password"].link().unwrap().1;
    let reset = json!({"token": token, "password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD});
    guest.post("/api/v1/auth/reset-password", &reset).await.expect(204);
    mia.get(&format!("{base}/me")).await.refused(401, "invalid_token");
    let login = |password: &str| json!({"email": "mia@example.com", "password": password});
    guest.post(&format!("{base}/login"), &login(NEW_PASSWORD)).await.expect(200);
    guest.post(LOGIN, &login(PASSWORD)).await.expect(200);
    node.close().await;
}

async fn admins_see_how_mail_is_set_up_and_whether_it_works(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let bob = node.user("bob").await;
    bob.get(STATUS).await.refused(403, "forbidden");
    node.guest().get(STATUS).await.refused(401, "authentication_required");
    bob.post(TEST, &json!({"to_email": "bob@example.com"})).await.refused(403, "forbidden");
    let status = admin.get(STATUS).await.expect(200).json();
    let wanted = json!({
        "smtp_enabled": true, "smtp_host": "localhost", "smtp_port": smtp.port, "smtp_user": "****",
        "smtp_from_email": "noreply@fastcms.dev", "smtp_from_name": "FastCMS",
        "security_notifications_enabled": true, "security_login_notifications": false,
    });
    assert_eq!(status, wanted);
    admin.post(TEST, &json!({"to_email": "not an address"})).await.refused(422, "validation_failed");
    // The certificate is nobody's whom this machine trusts.
    let refused = admin.post(TEST, &json!({"to_email": "ops@example.com"})).await.refused(502, "mail_failed");
    assert!(!String::from_utf8_lossy(&refused.bytes).contains("smtp-password"));
    let server = MailServer::trusting(&node.app, &smtp.authority).unwrap().unwrap();
    smtp.take();
    mail::send_test(&Caller::operator(), &node.app, &server, "ops@example.com").await.unwrap();
    assert_eq!(smtp.take()[0].to, ["ops@example.com"]);
    let admin = crate::callers::Admin { product, ..admin };
    admin.post(TEST, &json!({"to_email": "ops@example.com"})).await.refused(400, "mail_not_configured");
    assert_eq!(admin.get(STATUS).await.expect(200).json()["smtp_enabled"], false);
    node.close().await;
}

/// The whole way in the real program: what it queues it sends by itself, to a server whose certificate the machine's trust vouches for,
/// and what waited through a stop is sent after the next start.
#[test]
fn the_program_sends_what_it_queued_even_after_a_restart() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let smtp = runtime.block_on(Smtp::start());
    let folder = tempfile::TempDir::new().unwrap();
    let trusted = folder.path().join("authority.pem");
    let pem = STANDARD.encode(&smtp.authority);
    std::fs::write(&trusted, format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n")).unwrap();
    let port = smtp.port.to_string();
    let mut server = Server::new(&[
        ("SMTP_USER", "cms"),
        ("SMTP_PASSWORD", "smtp-password"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", &port),
        ("SSL_CERT_FILE", trusted.to_str().unwrap()),
    ]);
    server.start();
    server.set_up();
    let register = |name: &str| json!({"email": format!("{name}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
    let arrived = |wanted: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(mail) = smtp.take().into_iter().find(|mail| mail.to == [wanted]) {
                return mail;
            }
            assert!(Instant::now() < deadline, "no mail for {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    assert_eq!(server.call("POST", "/api/v1/auth/register", None, Some(&register("bob"))).status, 201);
    let (page, token) = arrived("bob@example.com").link().unwrap();
    let base = format!("http://127.0.0.1:{}", server.port);
    assert_eq!(server.call("GET", page.strip_prefix(&base).unwrap(), None, None).status, 200);
    let used = server.call("POST", "/api/v1/auth/verify-email", None, Some(&json!({"token": token})));
    assert_eq!(used.status, 204);
    // Killed right after the answer: what it said it had queued is there.
    let answer = server.call("POST", "/api/v1/auth/register", None, Some(&register("ann")));
    server.kill();
    assert_eq!(answer.status, 201);
    let early = smtp.take().into_iter().any(|mail| mail.to == ["ann@example.com"]);
    if !early {
        server.start();
        // A claim that the killed process held ends after five minutes; one that it had not made is sent at once.
        let log = server.log();
        let stored = rusqlite::Connection::open(server.folder.path().join("app.db")).unwrap();
        stored.execute("UPDATE mails SET due_at = 0", []).unwrap();
        drop(stored);
        arrived("ann@example.com");
        assert!(!log.contains("smtp-password"));
    }
}
