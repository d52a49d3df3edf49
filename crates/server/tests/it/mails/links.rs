//! Links in mails: each opens its page, is good once, for its purpose, until its time is up, and says nothing about anybody.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use super::*;
use crate::callers::Bearer;
use crate::on_both_engines;
use crate::product::{Answer, text};

const VERIFY: &str = "/api/v1/auth/verify-email";
const RESEND: &str = "/api/v1/auth/resend-verification";
const REQUEST_RESET: &str = "/api/v1/auth/request-password-reset";
const RESET: &str = "/api/v1/auth/reset-password";
const REQUEST_CHANGE: &str = "/api/v1/auth/request-email-change";
const CONFIRM_CHANGE: &str = "/api/v1/auth/confirm-email-change";
const UNLOCK: &str = "/api/v1/auth/unlock";
const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/auth/me";

const CONFIRM: &str = "Confirm your e-mail address";
const CHOOSE: &str = "Choose a new password";
const AGREE: &str = "Confirm your new e-mail address";

on_both_engines!(
    a_new_account_verifies_its_address_once,
    a_new_password_by_link_ends_every_session,
    of_many_uses_of_one_link_at_once_one_counts,
    a_link_dies_at_its_time_and_not_before,
    a_link_is_good_for_its_purpose_alone,
    a_request_for_a_reset_says_nothing_about_the_address,
    another_address_is_agreed_to_from_there_and_told_to_the_old_one,
    a_change_of_password_or_address_voids_links,
    an_account_of_a_collection_changes_its_address,
    every_link_opens_a_page_that_uses_nothing_up,
    whoever_has_no_mail_is_told_so,
    a_mail_that_waited_says_nothing_to_who_lost_the_address,
    admins_changes_are_told_to_the_owner,
    a_lock_is_told_to_its_owner_with_a_link_that_ends_it,
    a_new_password_by_link_ends_a_lock,
);

async fn login(product: &Product, email: &str, password: &str) -> Answer {
    product.guest().post(LOGIN, &json!({"email": email, "password": password})).await
}

fn reset(token: &str, password: &str) -> Value {
    json!({"token": token, "password": password, "password_confirm": password})
}

/// Asks for a link for bob, and takes it from the mail.
async fn reset_link(product: &Product, smtp: &Smtp) -> String {
    product.guest().post(REQUEST_RESET, &json!({"email": "bob@example.com"})).await.expect(204);
    post(product, smtp).await[CHOOSE].link().unwrap().1
}

async fn a_new_account_verifies_its_address_once(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let bob = node.user("bob").await;
    let (page, token) = post(&node, &smtp).await[CONFIRM].link().unwrap();
    assert_eq!(page, "http://localhost:8000/admin/verify-email");
    assert_eq!(bob.get(ME).await.expect(200).json()["verified"], false);
    let guest = node.guest();
    guest.post(VERIFY, &json!({"token": "A".repeat(43)})).await.refused(400, "invalid_verification_token");
    guest.post(VERIFY, &json!({"token": ""})).await.refused(400, "invalid_verification_token");
    guest.post(VERIFY, &json!({"token": token})).await.expect(204);
    assert_eq!(bob.get(ME).await.expect(200).json()["verified"], true);
    guest.post(VERIFY, &json!({"token": token})).await.refused(400, "invalid_verification_token");
    bob.post(RESEND, &json!({})).await.refused(400, "email_already_verified");
    // The second link is another one, and the first one dies with its use.
    let ann = node.user("ann").await;
    let first = post(&node, &smtp).await[CONFIRM].link().unwrap().1;
    ann.post(RESEND, &json!({})).await.expect(204);
    let second = post(&node, &smtp).await[CONFIRM].link().unwrap().1;
    assert_ne!(first, second);
    guest.post(VERIFY, &json!({"token": second})).await.expect(204);
    guest.post(VERIFY, &json!({"token": first})).await.refused(400, "invalid_verification_token");
    // Whom an admin made is asked as well, an admin is not.
    let body = json!({"email": "eve@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    admin.post("/api/v1/admin/users?role=user", &body).await.expect(201);
    let body = json!({"email": "adm@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    admin.post("/api/v1/admin/users?role=admin", &body).await.expect(201);
    let mails = post(&node, &smtp).await;
    assert_eq!(mails[CONFIRM].to, ["eve@example.com"]);
    node.close().await;
}

/// R58.
async fn a_new_password_by_link_ends_every_session(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    let bob = node.user("bob").await;
    post(&node, &smtp).await;
    let token = reset_link(&node, &smtp).await;
    let guest = node.guest();
    // A password that is refused leaves the link as it is.
    guest.post(RESET, &reset(&token, "short")).await.refused(422, "password_policy");
    let unlike = json!({"token": token, "password": NEW_PASSWORD, "password_confirm": "another"});
    guest.post(RESET, &unlike).await.refused(422, "validation_failed");
    let more =
        json!({"token": token, "password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD, "email": "x@example.com"});
    guest.post(RESET, &more).await.refused(422, "validation_failed");
    let list = json!({"token": [token], "password": NEW_PASSWORD, "password_confirm": NEW_PASSWORD});
    guest.post(RESET, &list).await.refused(422, "validation_failed");
    let answer = guest.post(RESET, &reset(&token, NEW_PASSWORD)).await.expect(204);
    assert!(answer.header("set-cookie").is_none());
    bob.get(ME).await.refused(401, "invalid_token");
    login(&node, "bob@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    login(&node, "bob@example.com", NEW_PASSWORD).await.expect(200);
    guest.post(RESET, &reset(&token, NEW_PASSWORD)).await.refused(400, "invalid_reset_token");
    assert!(post(&node, &smtp).await.contains_key("Your password was changed"));
    node.close().await;
}

/// CVE-2025-46815: a token that could be used again.
async fn of_many_uses_of_one_link_at_once_one_counts(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    node.user("bob").await;
    let verification = post(&node, &smtp).await[CONFIRM].link().unwrap().1;
    let token = reset_link(&node, &smtp).await;
    let guest = node.guest();
    let (one, other) = (json!({"token": verification}), reset(&token, NEW_PASSWORD));
    for (path, body, count) in [(VERIFY, &one, 30), (RESET, &other, 8)] {
        let answers = join_all((0..count).map(|_| guest.post(path, body))).await;
        let taken = answers.iter().filter(|answer| answer.status == 204).count();
        assert_eq!(taken, 1, "{path}");
        assert!(answers.iter().all(|answer| [204, 400].contains(&answer.status.as_u16())), "{path}");
    }
    node.close().await;
}

/// Contract 2.2: 24 hours, and one for a password.
async fn a_link_dies_at_its_time_and_not_before(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    for (name, late) in [("bob", 0), ("ann", 1)] {
        let user = node.user(name).await;
        let verification = post(&node, &smtp).await[CONFIRM].link().unwrap().1;
        let email = format!("{name}@example.com");
        node.guest().post(REQUEST_RESET, &json!({"email": email})).await.expect(204);
        let for_password = post(&node, &smtp).await[CHOOSE].link().unwrap().1;
        node.clock.advance_seconds(3600 - 1 + late);
        let answer = node.guest().post(RESET, &reset(&for_password, NEW_PASSWORD)).await;
        if late == 0 {
            answer.expect(204);
            // That voided the other link: get another one.
            node.user("carl").await;
            let carl = post(&node, &smtp).await[CONFIRM].link().unwrap().1;
            node.clock.advance_seconds(24 * 3600 - 1);
            node.guest().post(VERIFY, &json!({"token": carl})).await.expect(204);
        } else {
            answer.refused(400, "invalid_reset_token");
            node.clock.advance_seconds(23 * 3600);
            node.guest().post(VERIFY, &json!({"token": verification})).await.refused(400, "invalid_verification_token");
        }
        let _ = user;
    }
    node.close().await;
}

/// D-20 and contract 2.2: every token is single-purpose.
async fn a_link_is_good_for_its_purpose_alone(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    let bob = node.user("bob").await;
    let verification = post(&node, &smtp).await[CONFIRM].link().unwrap().1;
    let for_password = reset_link(&node, &smtp).await;
    bob.post(REQUEST_CHANGE, &json!({"new_email": "new@example.com", "password": PASSWORD})).await.expect(204);
    let change = post(&node, &smtp).await[AGREE].link().unwrap().1;
    let guest = node.guest();
    for token in [&verification, &change] {
        guest.post(RESET, &reset(token, NEW_PASSWORD)).await.refused(400, "invalid_reset_token");
    }
    for token in [&for_password, &change] {
        guest.post(VERIFY, &json!({"token": token})).await.refused(400, "invalid_verification_token");
    }
    for token in [&for_password, &verification] {
        guest.post(CONFIRM_CHANGE, &json!({"token": token})).await.refused(400, "invalid_verification_token");
    }
    for token in [&for_password, &verification, &change] {
        let bearer = Bearer { product: &node, token: token.clone() };
        bearer.get(ME).await.refused(401, "invalid_token");
    }
    guest.post(VERIFY, &json!({"token": verification})).await.expect(204);
    guest.post(CONFIRM_CHANGE, &json!({"token": change})).await.expect(204);
    node.close().await;
}

/// R41, CVE-2026-26185: the same bytes and the same work, whoever the address belongs to; the mail goes to the address as the account
/// has it.
async fn a_request_for_a_reset_says_nothing_about_the_address(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    node.user("bob").await;
    let off = node.user("off").await;
    admin.patch(&format!("/api/v1/admin/users/{}", off.id), &json!({"disabled": true})).await.expect(200);
    deliver(&node, &smtp).await;
    smtp.take();
    let mut seen = Vec::new();
    for (n, address) in
        ["bob@example.com", "BOB@Example.com", "nobody@example.com", "off@example.com", "b\u{f6}b@example.com"]
            .into_iter()
            .enumerate()
    {
        let before = waiting(&node).await;
        let answer = node.guest().post(REQUEST_RESET, &json!({"email": address})).await.expect(204);
        let headers: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        seen.push((answer.bytes, headers));
        assert_eq!(seen[n], seen[0], "{address}");
        // The second spelling takes the place of the first; every other address is one more row.
        assert_eq!(waiting(&node).await - before, i64::from(n != 1), "{address}");
    }
    assert_eq!(deliver(&node, &smtp).await, Delivered { sent: 1, dropped: 3, ..Delivered::default() });
    let [mail] = smtp.take().try_into().unwrap();
    assert_eq!(mail.to, ["bob@example.com"]);
    node.close().await;
}

async fn another_address_is_agreed_to_from_there_and_told_to_the_old_one(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    let bob = node.user("bob").await;
    let ann = node.user("ann").await;
    deliver(&node, &smtp).await;
    smtp.take();
    let asked = |email: &str, password: &str| json!({"new_email": email, "password": password});
    bob.post(REQUEST_CHANGE, &asked("new@example.com", "wrong")).await.refused(401, "invalid_credentials");
    bob.post(REQUEST_CHANGE, &asked("ann@example.com", "wrong")).await.refused(401, "invalid_credentials");
    bob.post(REQUEST_CHANGE, &asked("BOB@example.com", PASSWORD)).await.refused(400, "same_email");
    bob.post(REQUEST_CHANGE, &asked("Ann@example.com", PASSWORD)).await.refused(409, "email_taken");
    bob.post(REQUEST_CHANGE, &asked("not an address", PASSWORD)).await.refused(422, "validation_failed");
    node.guest()
        .post(REQUEST_CHANGE, &asked("new@example.com", PASSWORD))
        .await
        .refused(401, "authentication_required");
    bob.post(REQUEST_CHANGE, &asked("older@example.com", PASSWORD)).await.expect(204);
    let older = post(&node, &smtp).await[AGREE].link().unwrap().1;
    bob.post(REQUEST_CHANGE, &asked("New@example.com", PASSWORD)).await.expect(204);
    let mails = post(&node, &smtp).await;
    let warning = &mails["Your e-mail address is about to change"];
    assert_eq!((warning.to[0].as_str(), warning.link()), ("bob@example.com", None));
    assert!(warning.text().contains("New@example.com"));
    assert_eq!(mails[AGREE].to, ["New@example.com"]);
    let token = mails[AGREE].link().unwrap().1;
    // The account keeps its address until the new one agrees, and only the last request counts.
    assert_eq!(bob.get(ME).await.json()["email"], "bob@example.com");
    let guest = node.guest();
    guest.post(CONFIRM_CHANGE, &json!({"token": older})).await.refused(400, "invalid_verification_token");
    guest.post(CONFIRM_CHANGE, &json!({"token": token})).await.expect(204);
    bob.get(ME).await.refused(401, "invalid_token");
    guest.post(CONFIRM_CHANGE, &json!({"token": token})).await.refused(400, "invalid_verification_token");
    login(&node, "bob@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    let again = login(&node, "new@example.com", PASSWORD).await.expect(200).json();
    let bob = Bearer { product: &node, token: text(&again["token"]["access_token"]) };
    let me = bob.get(ME).await.expect(200).json();
    assert_eq!((&me["email"], &me["verified"]), (&json!("New@example.com"), &json!(true)));
    let told = &post(&node, &smtp).await["Your e-mail address was changed"];
    assert_eq!(told.to, ["bob@example.com"]);
    // Two want the same address: the second to agree is told.
    ann.post(REQUEST_CHANGE, &asked("both@example.com", PASSWORD)).await.expect(204);
    let first = post(&node, &smtp).await[AGREE].link().unwrap().1;
    bob.post(REQUEST_CHANGE, &asked("Both@example.com", PASSWORD)).await.expect(204);
    let second = post(&node, &smtp).await[AGREE].link().unwrap().1;
    guest.post(CONFIRM_CHANGE, &json!({"token": first})).await.expect(204);
    guest.post(CONFIRM_CHANGE, &json!({"token": second})).await.refused(409, "email_taken");
    node.close().await;
}

async fn a_change_of_password_or_address_voids_links(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let bob = node.user("bob").await;
    deliver(&node, &smtp).await;
    let before = smtp.take()[0].link().unwrap().1;
    let for_password = reset_link(&node, &smtp).await;
    bob.post(REQUEST_CHANGE, &json!({"new_email": "new@example.com", "password": PASSWORD})).await.expect(204);
    let change = post(&node, &smtp).await[AGREE].link().unwrap().1;
    bob.post(CHANGE_PASSWORD, &passwords(PASSWORD, NEW_PASSWORD)).await.expect(204);
    let guest = node.guest();
    guest.post(RESET, &reset(&for_password, "one more phrase")).await.refused(400, "invalid_reset_token");
    guest.post(CONFIRM_CHANGE, &json!({"token": change})).await.refused(400, "invalid_verification_token");
    guest.post(VERIFY, &json!({"token": before})).await.refused(400, "invalid_verification_token");
    // What an admin changes voids them as well, and a link that still waits is not sent.
    let for_password = reset_link(&node, &smtp).await;
    guest.post(REQUEST_RESET, &json!({"email": "bob@example.com"})).await.expect(204);
    admin.patch(&format!("/api/v1/admin/users/{}", bob.id), &json!({"email": "other@example.com"})).await.expect(200);
    guest.post(RESET, &reset(&for_password, "one more phrase")).await.refused(400, "invalid_reset_token");
    assert!(!post(&node, &smtp).await.contains_key(CHOOSE));
    node.close().await;
}

async fn an_account_of_a_collection_changes_its_address(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    for name in ["members", "guests"] {
        admin.collection(&json!({"name": name, "type": "auth", "create_rule": "", "schema": []})).await;
    }
    let body = json!({"email": "mia@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    let base = "/api/v1/collections/members/auth";
    let answer = node.guest().post(&format!("{base}/register"), &body).await.expect(201).json();
    let mia = Bearer { product: &node, token: text(&answer["token"]["access_token"]) };
    deliver(&node, &smtp).await;
    smtp.take();
    let asked = json!({"new_email": "mia2@example.com", "password": PASSWORD});
    let bob = node.user("bob").await;
    bob.post(&format!("{base}/me/request-email-change"), &asked).await.refused(401, "invalid_token");
    mia.post(REQUEST_CHANGE, &asked).await.refused(401, "invalid_token");
    mia.post(&format!("{base}/me/request-email-change"), &asked).await.expect(204);
    deliver(&node, &smtp).await;
    let token = smtp.take().iter().find(|mail| mail.to == ["mia2@example.com"]).unwrap().link().unwrap().1;
    let guest = node.guest();
    let elsewhere = "/api/v1/collections/guests/auth/me/confirm-email-change";
    guest.post(elsewhere, &json!({"token": token})).await.refused(400, "invalid_verification_token");
    guest.post(&format!("{base}/me/confirm-email-change"), &json!({"token": token})).await.expect(204);
    mia.get(&format!("{base}/me")).await.refused(401, "invalid_token");
    let login = json!({"email": "mia2@example.com", "password": PASSWORD});
    let again = guest.post(&format!("{base}/login"), &login).await.expect(200).json();
    let mia = Bearer { product: &node, token: text(&again["token"]["access_token"]) };
    // The page of the mail knows no collection: its route takes the link of any realm.
    let asked = json!({"new_email": "mia3@example.com", "password": PASSWORD});
    mia.post(&format!("{base}/me/request-email-change"), &asked).await.expect(204);
    deliver(&node, &smtp).await;
    let token = smtp.take().iter().find(|mail| mail.to == ["mia3@example.com"]).unwrap().link().unwrap().1;
    guest.post(CONFIRM_CHANGE, &json!({"token": token})).await.expect(204);
    node.close().await;
}

/// D-46: links open pages. Programs that open links in mails, with GET or HEAD, use nothing up.
async fn every_link_opens_a_page_that_uses_nothing_up(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    let bob = node.user("bob").await;
    let (verify_page, verify) = post(&node, &smtp).await[CONFIRM].link().unwrap();
    node.guest().post(REQUEST_RESET, &json!({"email": "bob@example.com"})).await.expect(204);
    bob.post(REQUEST_CHANGE, &json!({"new_email": "new@example.com", "password": PASSWORD})).await.expect(204);
    let mails = post(&node, &smtp).await;
    let pages = [verify_page, mails[CHOOSE].link().unwrap().0, mails[AGREE].link().unwrap().0];
    for page in pages {
        let path = page.strip_prefix("http://localhost:8000").unwrap();
        for method in [Method::HEAD, Method::GET, Method::GET] {
            let answer = node.guest().call(method, path, None).await.expect(200);
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("script-src 'nonce-") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let html = String::from_utf8(node.guest().get(path).await.bytes).unwrap();
        assert!(!html.contains("{{"), "{path}: an empty place in the template");
        assert!(html.contains("<meta name=\"referrer\" content=\"no-referrer\">"), "{path}");
    }
    node.guest().post(VERIFY, &json!({"token": verify})).await.expect(204);
    node.close().await;
}

async fn whoever_has_no_mail_is_told_so(product: &Product) {
    product.admin().await;
    let bob = product.user("bob").await;
    bob.post(RESEND, &json!({})).await.refused(400, "mail_not_configured");
    let asked = json!({"new_email": "new@example.com", "password": PASSWORD});
    bob.post(REQUEST_CHANGE, &asked).await.refused(400, "mail_not_configured");
    product.guest().post(REQUEST_RESET, &json!({"email": "bob@example.com"})).await.expect(204);
}

/// Whoever lost an address between asking and sending gets no link for the account that had it.
async fn a_mail_that_waited_says_nothing_to_who_lost_the_address(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let bob = node.user("bob").await;
    let ann = node.user("ann").await;
    node.guest().post(REQUEST_RESET, &json!({"email": "bob@example.com"})).await.expect(204);
    admin.patch(&format!("/api/v1/admin/users/{}", bob.id), &json!({"email": "bob2@example.com"})).await.expect(200);
    admin.delete(&format!("/api/v1/admin/users/{}", ann.id)).await.expect(204);
    let mails = post(&node, &smtp).await;
    assert_eq!(mails.keys().collect::<Vec<_>>(), ["Your e-mail address was changed"]);
    node.close().await;
}

async fn admins_changes_are_told_to_the_owner(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    let bob = node.user("bob").await;
    post(&node, &smtp).await;
    let change = json!({"email": "moved@example.com", "password": NEW_PASSWORD});
    admin.patch(&format!("/api/v1/admin/users/{}", bob.id), &change).await.expect(200);
    let mails = post(&node, &smtp).await;
    assert_eq!(mails["Your e-mail address was changed"].to, ["bob@example.com"]);
    assert_eq!(mails["An administrator set a new password for you"].to, ["bob@example.com"]);
    node.close().await;
}

const LOCKED: &str = "Your account is locked";

async fn fail(product: &Product, email: &str, times: usize) {
    for _ in 0..times {
        login(product, email, "a wrong password").await.refused(401, "invalid_credentials");
    }
}

async fn a_lock_is_told_to_its_owner_with_a_link_that_ends_it(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    let admin = node.admin().await;
    node.user("bob").await;
    post(&node, &smtp).await;
    fail(&node, "bob@example.com", 4).await;
    fail(&node, "nobody@example.com", 6).await;
    assert_eq!(deliver(&node, &smtp).await, Delivered::default(), "an address without an account has no owner");
    fail(&node, "bob@example.com", 3).await;
    let mails = post(&node, &smtp).await;
    assert_eq!((mails.len(), mails[LOCKED].to[0].as_str()), (1, "bob@example.com"));
    assert!(mails[LOCKED].text().contains("127.0.0.1"));
    let (page, token) = mails[LOCKED].link().unwrap();
    node.guest().get(page.strip_prefix("http://localhost:8000").unwrap()).await.expect(200);
    login(&node, "bob@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    let guest = node.guest();
    let unlock = |token: &str| json!({"token": token});
    guest.post(UNLOCK, &unlock("nonsense")).await.refused(400, "invalid_unlock_token");
    guest.post(VERIFY, &unlock(&token)).await.refused(400, "invalid_verification_token");
    guest.post(UNLOCK, &unlock(&token)).await.expect(204);
    guest.post(UNLOCK, &unlock(&token)).await.refused(400, "invalid_unlock_token");
    login(&node, "bob@example.com", PASSWORD).await.expect(200);
    // The link dies with the lock.
    fail(&node, "bob@example.com", 5).await;
    let token = post(&node, &smtp).await[LOCKED].link().unwrap().1;
    node.clock.advance_seconds(1800);
    guest.post(UNLOCK, &unlock(&token)).await.refused(400, "invalid_unlock_token");
    // Accounts of collections are locked and unlocked the same way.
    let sign_in = json!({"email": "root@example.com", "password": PASSWORD});
    let token = text(&guest.post(LOGIN, &sign_in).await.expect(200).json()["token"]["access_token"]);
    let admin = crate::callers::Admin { token, ..admin };
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": "", "schema": []})).await;
    let body = json!({"email": "mia@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    guest.post("/api/v1/collections/members/auth/register", &body).await.expect(201);
    let sign_in = |password: &str| json!({"email": "mia@example.com", "password": password});
    let members = "/api/v1/collections/members/auth/login";
    for _ in 0..5 {
        guest.post(members, &sign_in("wrong")).await.refused(401, "invalid_credentials");
    }
    guest.post(members, &sign_in(PASSWORD)).await.refused(401, "invalid_credentials");
    let token = post(&node, &smtp).await[LOCKED].link().unwrap().1;
    guest.post(UNLOCK, &unlock(&token)).await.expect(204);
    guest.post(members, &sign_in(PASSWORD)).await.expect(200);
    node.close().await;
}

async fn a_new_password_by_link_ends_a_lock(product: &Product) {
    let smtp = Smtp::start().await;
    let node = node_with(product, &smtp).await;
    node.admin().await;
    node.user("bob").await;
    fail(&node, "bob@example.com", 5).await;
    post(&node, &smtp).await;
    let token = reset_link(&node, &smtp).await;
    node.guest().post(RESET, &reset(&token, NEW_PASSWORD)).await.expect(204);
    login(&node, "bob@example.com", NEW_PASSWORD).await.expect(200);
    node.close().await;
}
