//! How long tokens and sessions live, and what their cookies are called.

use super::*;
use crate::callers::{Bearer, Calls, request};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    session_idle_minutes_end_a_cookie_session_that_rests,
    session_absolute_hours_end_a_cookie_session_however_busy,
    step_up_minutes_are_how_recent_a_sign_in_must_be,
);

const ME: &str = "/api/v1/auth/me";

#[test]
fn algorithm_is_the_one_there_is() {
    let (server, _) = started(&[("ALGORITHM", "HS256")]);
    let token = tokens(&server)["access_token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("eyJ"), "{token}");
    for other in ["none", "HS512", "RS256"] {
        let output = Server::new(&[("ALGORITHM", other)]).run(&["serve"], "");
        assert_eq!(output.status.code(), Some(1), "{other}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("ALGORITHM"));
    }
}

/// R21.
#[test]
fn access_token_expire_minutes_is_the_life_of_an_access_token() {
    let (server, _) = started(&[("ACCESS_TOKEN_EXPIRE_MINUTES", "7")]);
    let tokens = tokens(&server);
    let claims = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7 * 60);
    assert_eq!(tokens["expires_in"], 7 * 60);
}

/// R21.
#[test]
fn refresh_token_expire_days_is_the_life_of_a_refresh_token() {
    let (server, _) = started(&[("REFRESH_TOKEN_EXPIRE_DAYS", "3")]);
    let claims = claims(tokens(&server)["refresh_token"].as_str().unwrap());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3 * 24 * 3600);
}

#[test]
fn refresh_grace_seconds_is_how_long_a_used_token_still_answers() {
    for (grace, again) in [("60", 200), ("0", 401)] {
        let (server, _) = started(&[("REFRESH_GRACE_SECONDS", grace)]);
        let body = json!({"refresh_token": tokens(&server)["refresh_token"]});
        let refresh = || server.ask("POST", "/api/v1/auth/refresh").json(&body).send();
        assert_eq!(refresh().status, 200);
        // Time is read in whole seconds.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        assert_eq!(refresh().status, again, "REFRESH_GRACE_SECONDS={grace}");
    }
}

/// R85.
#[test]
fn cookie_host_prefix_is_in_the_name_of_the_cookies() {
    for (prefixed, name, other) in
        [("false", "fastcms_session", "__Host-fastcms_session"), ("true", "__Host-fastcms_session", "fastcms_session")]
    {
        let mut server = Server::production(&[("COOKIE_HOST_PREFIX", prefixed)]);
        server.start();
        let made = server.run(&["admin", "create", "root@example.com", "--password-stdin"], &format!("{PASSWORD}\n"));
        assert!(made.status.success(), "{made:?}");
        let body = json!({"email": "root@example.com", "password": PASSWORD, "cookie": true});
        let answer = server.ask("POST", "/api/v1/auth/login").json(&body).expect(200);
        let mut set = answer.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case("set-cookie"));
        let value = set.find_map(|(_, value)| value.strip_prefix(&format!("{name}=")));
        let value = value.unwrap_or_else(|| panic!("no {name}")).split(';').next().unwrap();
        server.ask("GET", ME).with("Cookie", &format!("{name}={value}")).expect(200);
        server.ask("GET", ME).with("Cookie", &format!("{other}={value}")).refused(401, "authentication_required");
    }
}

/// Signs the first admin in by cookie.
async fn cookie(node: &Product) -> String {
    let body = json!({"email": "root@example.com", "password": PASSWORD, "cookie": true});
    let answer = node.guest().post("/api/v1/auth/login", &body).await.expect(200);
    let set = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    set.filter(|value| value.starts_with("fastcms_session="))
        .map(|value| value.split(';').next().unwrap().to_owned())
        .next()
        .unwrap()
}

async fn alive(node: &Product, cookie: &str) -> bool {
    let mut sent = request(None, http::Method::GET, ME, None);
    sent.headers_mut().insert("cookie", cookie.parse().unwrap());
    node.send(sent).await.status == 200
}

/// R36.
async fn session_idle_minutes_end_a_cookie_session_that_rests(product: &Product) {
    product.admin().await;
    let node = product.with(&[("SESSION_IDLE_MINUTES", "3")]).await;
    let (rests, waits) = (cookie(&node).await, cookie(&node).await);
    node.clock.advance_seconds(3 * 60 - 1);
    assert!(alive(&node, &waits).await);
    node.clock.advance_seconds(1);
    assert!(!alive(&node, &rests).await);
    node.close().await;
}

/// R36.
async fn session_absolute_hours_end_a_cookie_session_however_busy(product: &Product) {
    product.admin().await;
    let node = product.with(&[("SESSION_ABSOLUTE_HOURS", "2")]).await;
    let cookie = cookie(&node).await;
    for _ in 0..4 {
        node.clock.advance_seconds(30 * 60 - 1);
        assert!(alive(&node, &cookie).await);
    }
    node.clock.advance_seconds(4);
    assert!(!alive(&node, &cookie).await);
    node.close().await;
}

/// R37.
async fn step_up_minutes_are_how_recent_a_sign_in_must_be(product: &Product) {
    product.admin().await;
    let node = product.with(&[("STEP_UP_MINUTES", "6")]).await;
    let body = json!({"email": "root@example.com", "password": PASSWORD});
    let token = text(&node.guest().post("/api/v1/auth/login", &body).await.expect(200).json()["token"]["access_token"]);
    let caller = Bearer { product: &node, token };
    let key = json!({"name": "a key"});
    node.clock.advance_seconds(6 * 60 - 1);
    caller.post("/api/v1/api-keys", &key).await.expect(201);
    node.clock.advance_seconds(2);
    caller.post("/api/v1/api-keys", &key).await.refused(403, "insufficient_user_authentication");
    caller.get(ME).await.expect(200);
    node.close().await;
}
