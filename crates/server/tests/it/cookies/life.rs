//! How long browser sessions live, and what they do not depend on.

use super::*;

on_both_engines!(
    an_idle_session_ends,
    use_on_one_node_keeps_a_session_alive_on_another,
    the_store_hears_of_use_once_a_minute,
    a_session_ends_absolutely_however_busy,
    a_cookie_outlives_every_key,
    no_token_speaks_for_a_cookie_session,
    a_remembered_session_costs_no_query,
);

/// R36.
async fn an_idle_session_ends(product: &Product) {
    product.admin().await;
    let node = product.with(&[("SESSION_IDLE_MINUTES", "5")]).await;
    let root = browser(&node, "root").await;
    for _ in 0..6 {
        let before = last_seen(product, &root).await;
        product.clock.advance_seconds(5 * 60 - 1);
        assert!(root.alive().await);
        seen_after(product, &root, &before).await;
    }
    let other = bearer(&node, "root").await;
    let listed = || async {
        let all = other.get(SESSIONS).await.expect(200).json();
        all["sessions"].as_array().unwrap().len()
    };
    let before = listed().await;
    product.clock.advance_seconds(5 * 60 - 1);
    assert_eq!(listed().await, before);
    // A refused request does not keep alive what it was refused for.
    product.clock.advance_seconds(1);
    assert!(!root.alive().await);
    assert!(!root.alive().await);
    product.clock.advance_seconds(60);
    assert_eq!(listed().await, before - 1);
    // A node that never saw it before says the same.
    let fresh = product.with(&[("SESSION_IDLE_MINUTES", "5")]).await;
    assert!(!root.at(&fresh).alive().await);
    // Not the row is stale but the life: where idling may last longer it is still alive.
    assert!(root.at(product).alive().await);
    fresh.close().await;
    node.close().await;
}

async fn last_seen(product: &Product, browser: &Browser<'_>) -> String {
    stored(product, browser.value()).await.unwrap().last_seen
}

/// Waits for what is written beside the answers.
async fn seen_after(product: &Product, browser: &Browser<'_>, before: &str) -> String {
    for _ in 0..500 {
        let now = last_seen(product, browser).await;
        if now.as_str() > before {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the store was not told of the session's use");
}

async fn use_on_one_node_keeps_a_session_alive_on_another(product: &Product) {
    product.admin().await;
    let idle = [("SESSION_IDLE_MINUTES", "10")];
    let (one, two) = (product.with(&idle).await, product.with(&idle).await);
    let at_one = browser(&one, "root").await;
    let at_two = at_one.at(&two);
    assert!(at_two.alive().await);
    let login = last_seen(product, &at_one).await;
    product.clock.advance_seconds(9 * 60);
    assert!(at_two.alive().await);
    seen_after(product, &at_one, &login).await;
    // Node one itself has heard nothing of the session for ten minutes now.
    product.clock.advance_seconds(2 * 60);
    assert!(at_one.alive().await);
    product.clock.advance_seconds(10 * 60);
    assert!(!at_two.alive().await);
    one.close().await;
    two.close().await;
}

async fn the_store_hears_of_use_once_a_minute(product: &Product) {
    product.admin().await;
    let root = browser(product, "root").await;
    let login = last_seen(product, &root).await;
    for _ in 0..59 {
        product.clock.advance_seconds(1);
        assert!(root.alive().await);
    }
    // Whatever was on its way would have come before this write's answer.
    root.send(Method::PATCH, ME, Some(&json!({"name": "Root"}))).await.expect(200);
    assert_eq!(last_seen(product, &root).await, login);
    product.clock.advance_seconds(1);
    let answers = futures_util::future::join_all((0..20).map(|_| root.alive())).await;
    assert!(answers.into_iter().all(|alive| alive));
    let minute = seen_after(product, &root, &login).await;
    let listed = root.get(SESSIONS).await.expect(200).json();
    let sessions = listed["sessions"].as_array().unwrap();
    let current = sessions.iter().find(|session| session["current"] == true);
    assert_eq!(current.unwrap()["last_seen"], minute);
    product.clock.advance_seconds(59);
    assert!(root.alive().await);
    root.send(Method::PATCH, ME, Some(&json!({"name": "Root"}))).await.expect(200);
    assert_eq!(last_seen(product, &root).await, minute);
}

/// R36.
async fn a_session_ends_absolutely_however_busy(product: &Product) {
    product.admin().await;
    let node = product.with(&[("SESSION_ABSOLUTE_HOURS", "1")]).await;
    let answer = node.guest().post(LOGIN, &credentials("root", true)).await.expect(200);
    assert!(answer.header("set-cookie").unwrap().contains("; Max-Age=3600;"));
    let root = browser(&node, "root").await;
    for _ in 0..59 {
        product.clock.advance_seconds(60);
        assert!(root.alive().await);
    }
    product.clock.advance_seconds(59);
    assert!(root.alive().await);
    product.clock.advance_seconds(1);
    assert!(!root.alive().await);
    node.close().await;
}

/// R3, R4: a rotation signs nobody out of the browser.
async fn a_cookie_outlives_every_key(product: &Product) {
    const NEW_KEY: &str = "b7e2d1906c5f4a3388f70e19ad2c6b5547f3e2d1c0b9a8f7e6d5c4b3a2918070";
    let admin = product.admin().await;
    let root = browser(product, "root").await;
    let node = product.with(&[("SECRET_KEY", NEW_KEY)]).await;
    assert!(root.at(&node).alive().await);
    let token = Bearer { product: &node, token: admin.token.clone() };
    token.get(ME).await.refused(401, "invalid_token");
    // Who must sign in again: the admin's token of setup, not the browser.
    let now = product.app.now_seconds();
    let lost = node.app.store.read(Plan::Scan, move |reader| {
        Box::pin(async move { signing_keys::signed_by_others(reader, &["new".to_owned()], now).await })
    });
    assert_eq!(lost.await.unwrap(), 1);
    node.close().await;
}

/// Whoever holds a leaked key writes any token he likes; a cookie session is out of its reach.
async fn no_token_speaks_for_a_cookie_session(product: &Product) {
    let admin = product.admin().await;
    let root = browser(product, "root").await;
    let row = stored(product, root.value()).await.unwrap();
    let now = product.app.now_seconds();
    let forge = |sid: &str| {
        let claims = Claims::<Access> {
            iss: product.app.issuer.clone(),
            aud: Realm::Users.audience(),
            sub: admin.id.clone(),
            jti: product.app.new_id(),
            iat: now,
            exp: now + 60,
            details: AccessDetails { sid: sid.to_owned(), epoch: None, global_epoch: None },
        };
        Bearer { product, token: token::sign(&product.app.keys.load(), &claims) }
    };
    // Both before and after the session is remembered.
    forge(&row.id).get(ME).await.refused(401, "invalid_token");
    assert!(root.alive().await);
    forge(&row.id).get(ME).await.refused(401, "invalid_token");
    let listed = admin.get(SESSIONS).await.expect(200).json();
    let own = listed["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true);
    forge(&text(&own.unwrap()["id"])).get(ME).await.expect(200);
}

async fn a_remembered_session_costs_no_query(product: &Product) {
    product.admin().await;
    let node = product.with(&PRODUCTION).await;
    let root = browser(&node, "root").await;
    assert_eq!(root.get("/health").await.expect(200).json()["environment"], "production");
    node.close().await;
    // The admin is known although nothing can be read any more.
    assert_eq!(root.get("/health").await.expect(200).json()["environment"], "production");
    product.clock.advance_seconds(4);
    root.get("/health").await.expect(503);
}
