//! What ends browser sessions, and that none begins with a planted cookie.

use super::*;

on_both_engines!(
    logout_ends_the_session_and_clears_the_cookie,
    cookie_sessions_stand_in_the_one_list,
    whatever_ends_sessions_ends_cookies,
    nobody_adopts_a_cookie_that_was_planted,
);

/// R38.
async fn logout_ends_the_session_and_clears_the_cookie(product: &Product) {
    product.admin().await;
    let clear_site_data = "\"cache\", \"cookies\", \"storage\"";
    let root = browser(product, "root").await;
    let answer = root.post(LOGOUT, &json!({})).await.expect(204);
    assert_eq!(answer.header("clear-site-data"), Some(clear_site_data));
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, [CLEARED]);
    assert!(!root.alive().await);

    // Beside a header credential the cookie's session ends as well.
    let (root, token) = (browser(product, "root").await, bearer(product, "root").await);
    let header = format!("Bearer {}", token.token);
    let both = [("cookie", root.cookie.as_str()), ("authorization", header.as_str())];
    let answer = send(product, Method::POST, LOGOUT, None, &both).await.expect(204);
    assert_eq!(answer.header("set-cookie"), Some(CLEARED));
    assert!(!root.alive().await);
    token.get(ME).await.refused(401, "invalid_token");

    // Without anything to end it answers the same.
    let stale = [("cookie", root.cookie.as_str())];
    let answer = send(product, Method::POST, LOGOUT, None, &stale).await.expect(204);
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, [CLEARED]);
    product.guest().post(LOGOUT, &json!({})).await.expect(204);
}

async fn cookie_sessions_stand_in_the_one_list(product: &Product) {
    product.admin().await;
    product.user("eve").await;
    let root = browser(product, "root").await;
    let token = bearer(product, "root").await;
    let current = |list: &Value| {
        let current: Vec<String> = list["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|session| session["current"] == true)
            .map(|session| text(&session["id"]))
            .collect();
        assert_eq!(current.len(), 1);
        current[0].clone()
    };
    let list = root.get(SESSIONS).await.expect(200).json();
    // Setup's, the cookie's, the token's.
    assert_eq!(list["sessions"].as_array().unwrap().len(), 3);
    let (by_cookie, by_token) = (current(&list), current(&token.get(SESSIONS).await.json()));
    assert_ne!(by_cookie, by_token);
    let eve = browser(product, "eve").await;
    let path = format!("{SESSIONS}/{by_cookie}");
    eve.send(Method::DELETE, &path, None).await.refused(404, "not_found");
    assert!(root.alive().await);
    token.delete(&path).await.expect(204);
    assert!(!root.alive().await);

    let root = browser(product, "root").await;
    let second = browser(product, "root").await;
    root.send(Method::DELETE, &format!("{SESSIONS}?others=true"), None).await.expect(204);
    assert!(root.alive().await);
    assert!(!second.alive().await);
    token.get(ME).await.refused(401, "invalid_token");
    assert!(eve.alive().await);
}

/// R32, contract 2.4: on every node, at the next request.
async fn whatever_ends_sessions_ends_cookies(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("kim").await;
    let path = format!("/api/v1/admin/users/{}", user.id);
    let one = || async {
        let kim = browser(product, "kim").await;
        assert!(kim.alive().await);
        kim
    };
    let kim = one().await;
    kim.post(LOGOUT_ALL, &json!({})).await.expect(204);
    assert!(!kim.alive().await);

    let kim = one().await;
    admin.patch(&path, &json!({"role": "admin"})).await.expect(200);
    assert!(!kim.alive().await);

    let kim = one().await;
    admin.patch(&path, &json!({"disabled": true})).await.expect(200);
    assert!(!kim.alive().await);
    admin.patch(&path, &json!({"disabled": false})).await.expect(200);

    let (kim, elsewhere) = (one().await, one().await);
    let change = json!({"old_password": PASSWORD, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    kim.post("/api/v1/auth/change-password", &change).await.expect(204);
    assert!(!kim.alive().await);
    assert!(!elsewhere.alive().await);

    // What another process did is seen after four seconds at the latest.
    admin.patch(&path, &json!({"password": PASSWORD})).await.expect(200);
    let kim = browser(product, "kim").await;
    kim.get("/api/v1/auth/sessions").await.refused(403, "password_change_required");
    assert!(kim.alive().await);
    let node = product.with(&[]).await;
    let login = node.guest().post(LOGIN, &credentials("root", false)).await.expect(200).json();
    let there = Bearer { product: &node, token: text(&login["token"]["access_token"]) };
    there.delete(&path).await.expect(204);
    product.clock.advance_seconds(4);
    assert!(!kim.alive().await);
    node.close().await;
}

/// R35: session fixation.
async fn nobody_adopts_a_cookie_that_was_planted(product: &Product) {
    product.admin().await;
    product.user("mia").await;
    let planted = format!("fastcms_session={PLANTED}");
    let attacker = Browser { product, cookie: planted.clone() };
    assert!(!attacker.alive().await);
    let login = attacker.post(LOGIN, &credentials("root", true)).await.expect(200);
    let set = login.header("set-cookie").unwrap();
    assert!(!set.contains(PLANTED), "{set}");
    assert!(!attacker.alive().await);
    assert!(stored(product, PLANTED).await.is_none());

    // One that the attacker is signed in with changes hands as little, and ends: the browser has forgotten it.
    let attacker = browser(product, "mia").await;
    let login = attacker.post(LOGIN, &credentials("root", true)).await.expect(200);
    let victim = Browser { product, cookie: login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned() };
    assert_ne!(victim.cookie, attacker.cookie);
    assert_eq!(victim.get(ME).await.expect(200).json()["email"], "root@example.com");
    assert!(!attacker.alive().await);
}
