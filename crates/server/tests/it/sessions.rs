//! Sessions as their owners and admins see and end them (R33), and what a sign-out leaves in a browser (R38).

use std::net::{IpAddr, SocketAddr};

use http::Method;
use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, request};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";
const SESSIONS: &str = "/api/v1/auth/sessions";

on_both_engines!(
    a_session_shows_its_device_its_address_and_its_last_use,
    nobody_sees_or_ends_the_sessions_of_somebody_else,
    an_admin_sees_and_ends_anybodys,
    whatever_signs_out_clears_what_the_browser_kept,
    an_answer_to_one_caller_is_kept_for_no_other,
);

/// Signs in from a place: an address and a program.
async fn sign_in<'p>(product: &'p Product, name: &str, peer: &str, agent: &str) -> (Bearer<'p>, Value) {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
    let mut request = request(None, Method::POST, LOGIN, Some(&body));
    request.headers_mut().insert("user-agent", agent.parse().unwrap());
    let peer: IpAddr = peer.parse().unwrap();
    let pair = product.send_from(SocketAddr::from((peer, 50_000)), request).await.expect(200).json()["token"].clone();
    (Bearer { product, token: text(&pair["access_token"]) }, pair)
}

async fn listed(caller: &impl Calls, path: &str) -> Vec<Value> {
    caller.get(path).await.expect(200).json()["sessions"].as_array().unwrap().clone()
}

async fn a_session_shows_its_device_its_address_and_its_last_use(product: &Product) {
    product.admin().await;
    product.user("ada").await;
    product.clock.advance_seconds(60);
    let began = product.app.now_millis();
    let long = format!("Phone/1.0 {}", "x".repeat(5_000));
    let (_, pair) = sign_in(product, "ada", "203.0.113.7", &long).await;
    product.clock.advance_seconds(60);
    let (laptop, _) = sign_in(product, "ada", "2001:db8::7", "Laptop/2.0 \"quoted\"").await;
    let sessions = listed(&laptop, SESSIONS).await;
    assert_eq!(sessions.len(), 3);
    let names: Vec<&String> = sessions[0].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 7, "{names:?}");
    let [newest, phone] = [&sessions[0], &sessions[1]];
    assert_eq!(
        [&newest["current"], &newest["ip_address"], &newest["user_agent"]],
        [&json!(true), &json!("2001:db8::7"), &json!("Laptop/2.0 \"quoted\"")]
    );
    assert_eq!([&phone["current"], &phone["ip_address"]], [&json!(false), &json!("203.0.113.7")]);
    let agent = text(&phone["user_agent"]);
    assert!(agent.starts_with("Phone/1.0 x") && agent.len() < 1_000, "{} characters", agent.len());
    let at = |value: &Value| fastcms_core::time::millis(value.as_str().unwrap()).unwrap();
    assert_eq!((at(&phone["created"]), at(&phone["last_seen"])), (began, began));
    assert_eq!(at(&phone["expires_at"]), began + 30 * 24 * 3600 * 1000);
    // Use moves the one, and nothing moves the other.
    let body = json!({"refresh_token": pair["refresh_token"]});
    product.guest().post("/api/v1/auth/refresh", &body).await.expect(200);
    let after = listed(&laptop, SESSIONS).await[1].clone();
    assert_eq!(at(&after["last_seen"]), began + 60_000);
    assert_eq!((&after["id"], &after["expires_at"]), (&phone["id"], &phone["expires_at"]));
    // What is over is not listed.
    laptop.delete(&format!("{SESSIONS}/{}", text(&phone["id"]))).await.expect(204);
    assert_eq!(listed(&laptop, SESSIONS).await.len(), 2);
    laptop.delete(&format!("{SESSIONS}/{}", text(&phone["id"]))).await.refused(404, "not_found");
    laptop.delete(SESSIONS).await.refused(422, "validation_failed");
    laptop.delete(&format!("{SESSIONS}?others=true")).await.expect(204);
    assert_eq!(listed(&laptop, SESSIONS).await.len(), 1);
}

/// An account of a collection may have the very id of a user: its sessions are others (CVE-2026-25574).
async fn nobody_sees_or_ends_the_sessions_of_somebody_else(product: &Product) {
    let admin = product.admin().await;
    let (ada, eve) = (product.user("ada").await, product.user("eve").await);
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let base = "/api/v1/collections/members/auth";
    let member = product.guest().post(&format!("{base}/register"), &body).await.expect(201).json();
    let member = Bearer { product, token: text(&member["token"]["access_token"]) };
    let of_ada = text(&listed(&ada, SESSIONS).await[0]["id"]);
    let of_member = text(&listed(&member, &format!("{base}/sessions")).await[0]["id"]);
    for session in [&of_ada, &of_member] {
        eve.delete(&format!("{SESSIONS}/{session}")).await.refused(404, "not_found");
    }
    member.delete(&format!("{base}/sessions/{of_ada}")).await.refused(404, "not_found");
    member.get(SESSIONS).await.refused(401, "invalid_token");
    ada.get(&format!("{base}/sessions")).await.refused(401, "invalid_token");
    let theirs = format!("/api/v1/admin/users/{}/sessions", ada.id);
    eve.get(&theirs).await.refused(403, "forbidden");
    eve.delete(&theirs).await.refused(403, "forbidden");
    eve.delete(&format!("{theirs}/{of_ada}")).await.refused(403, "forbidden");
    for (caller, path) in [(&ada.token, ME.to_owned()), (&member.token, format!("{base}/me"))] {
        Bearer { product, token: caller.clone() }.get(&path).await.expect(200);
    }
}

async fn an_admin_sees_and_ends_anybodys(product: &Product) {
    let admin = product.admin().await;
    let (ada, bob) = (product.user("ada").await, product.user("bob").await);
    let (phone, _) = sign_in(product, "ada", "203.0.113.7", "Phone/1.0").await;
    let at = format!("/api/v1/admin/users/{}/sessions", ada.id);
    let sessions = listed(&admin, &at).await;
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session["current"] == false));
    let of_phone = sessions.iter().find(|session| session["user_agent"] == "Phone/1.0").unwrap();
    assert_eq!(of_phone["ip_address"], "203.0.113.7");
    let of_bob = text(&listed(&bob, SESSIONS).await[0]["id"]);
    admin.delete(&format!("{at}/{of_bob}")).await.refused(404, "not_found");
    admin.delete(&format!("{at}/{}", text(&of_phone["id"]))).await.expect(204);
    phone.get(ME).await.refused(401, "invalid_token");
    ada.get(ME).await.expect(200);
    admin.delete(&at).await.expect(204);
    ada.get(ME).await.refused(401, "invalid_token");
    bob.get(ME).await.expect(200);
    assert_eq!(listed(&admin, &at).await.len(), 0);
    let nobody = "/api/v1/admin/users/01912345-0000-7000-8000-000000000001/sessions";
    admin.get(nobody).await.refused(404, "not_found");
    admin.delete(nobody).await.refused(404, "not_found");
}

/// R38, whatever was presented.
async fn whatever_signs_out_clears_what_the_browser_kept(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
    let base = "/api/v1/collections/members/auth";
    let body = json!({"email": "m@example.com", "password": PASSWORD});
    let member = product.guest().post(&format!("{base}/register"), &body).await.expect(201).json();
    let member = Bearer { product, token: text(&member["token"]["access_token"]) };
    let (ada, bob, eve) = (product.user("ada").await, product.user("bob").await, product.user("eve").await);
    let post = async |token: &str, path: &str| {
        Bearer { product, token: token.to_owned() }.post(path, &json!({})).await.expect(204)
    };
    let answers: Vec<Answer> = vec![
        post(&ada.token, "/api/v1/auth/logout").await,
        post(&bob.token, "/api/v1/auth/logout-all").await,
        eve.delete(ME).await.expect(204),
        post(&member.token, &format!("{base}/logout")).await,
        product.guest().post("/api/v1/auth/logout", &json!({"refresh_token": "junk"})).await.expect(204),
    ];
    for answer in answers {
        assert_eq!(answer.header("clear-site-data"), Some("\"cache\", \"cookies\", \"storage\""));
        assert!(answer.header("cache-control").unwrap().contains("no-store"), "{:?}", answer.headers);
    }
}

/// CVE-2026-61836, CVE-2024-45596: answers that a cache gave to whoever asked next.
async fn an_answer_to_one_caller_is_kept_for_no_other(product: &Product) {
    let admin = product.admin().await;
    let ada = product.user("ada").await;
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    for answer in [
        product.guest().post(LOGIN, &login).await.expect(200),
        ada.get(ME).await.expect(200),
        ada.get(SESSIONS).await.expect(200),
        admin.get("/api/v1/admin/users").await.expect(200),
        ada.get("/api/v1/admin/users").await.expect(403),
        product.guest().get(ME).await.expect(401),
    ] {
        let kept = answer.header("cache-control").unwrap();
        assert!(kept.contains("no-store") && kept.contains("private"), "{kept}");
    }
    assert_eq!(
        (ada.get(ME).await.json()["id"].clone(), admin.get(ME).await.json()["id"].clone()),
        (json!(ada.id), json!(admin.id))
    );
}
