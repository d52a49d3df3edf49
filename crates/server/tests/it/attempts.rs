//! Guesses at credentials: every door counts them in one place before it looks at them, and every refusal looks the same (R39 to R49).

use axum::body::Body;
use fastcms_store::{Plan, Sql};
use futures_util::future::join_all;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::callers::{Admin, COLLECTIONS, Calls, User, request};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

on_both_engines!(
    five_wrong_passwords_lock_and_the_right_one_is_refused_until_time_or_an_admin_unlocks,
    of_twenty_guesses_at_once_every_one_counts,
    of_two_hundred_guesses_at_once_five_are_looked_at,
    of_two_hundred_guesses_at_an_auth_collection_five_are_looked_at,
    of_two_hundred_guesses_at_the_current_password_five_are_looked_at,
    of_two_hundred_guesses_at_a_reset_link_none_costs_a_hash,
    who_sprays_passwords_is_limited_by_where_it_comes_from,
    guesses_at_the_current_password_count_like_those_at_sign_in,
    a_success_forgives_and_old_failures_are_forgotten,
    locks_survive_a_restart_and_hold_on_every_node,
    unknown_names_lock_like_accounts_and_nothing_tells_them_apart,
    a_known_browser_keeps_a_counter_of_its_own,
    a_planted_browser_cookie_is_never_adopted,
    lockout_enabled_false_locks_nothing,
    lockout_attempts_is_the_failure_that_locks,
    lockout_duration_is_how_long_a_lock_lasts,
    lockout_reveal_says_so_for_names_that_nobody_has_too,
);

mod at_once;

const LOGIN: &str = "/api/v1/auth/login";

pub fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

async fn login(product: &Product, email: &str, password: &str) -> Answer {
    product.guest().post(LOGIN, &credentials(email, password)).await
}

async fn fail(product: &Product, email: &str, times: usize) {
    for answer in join_all((0..times).map(|_| login(product, email, "Wrong-Horse1-battery"))).await {
        answer.refused(401, "invalid_credentials");
    }
}

/// What a refusal shows, but for its request id.
fn bytes(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let own = ["x-request-id", "date"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    (answer.status.as_u16(), headers, body)
}

async fn standing(admin: &Admin<'_>, user: &User<'_>) -> Value {
    admin.get(&format!("/api/v1/admin/users/{}/lock-status", user.id)).await.expect(200).json()
}

/// The admin, signed in anew after the clock went on.
async fn again(admin: Admin<'_>) -> Admin<'_> {
    let answer = login(admin.product, "root@example.com", PASSWORD).await.expect(200).json();
    Admin { token: text(&answer["token"]["access_token"]), ..admin }
}

async fn unlock(admin: &Admin<'_>, user: &User<'_>) {
    let unlocked = admin.post(&format!("/api/v1/admin/users/{}/unlock", user.id), &json!({})).await.expect(200);
    assert_eq!(unlocked.json()["id"], json!(user.id));
}

/// R39, R49, D-22.
async fn five_wrong_passwords_lock_and_the_right_one_is_refused_until_time_or_an_admin_unlocks(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ann").await;
    fail(product, "ann@example.com", 4).await;
    let open = standing(&admin, &user).await;
    assert_eq!((&open["is_locked"], &open["failed_login_attempts"]), (&json!(false), &json!(4)));
    let wrong = login(product, "ann@example.com", "Wrong-Horse1-battery").await;
    let right = login(product, "ANN@example.com", PASSWORD).await;
    assert_eq!(bytes(&wrong), bytes(&right));
    let locked = standing(&admin, &user).await;
    assert_eq!((&locked["is_locked"], &locked["remaining_seconds"]), (&json!(true), &json!(1800)));
    assert_eq!(locked["locked_until"], "2026-05-28T20:56:40.000Z");
    // Who was in before stays in.
    user.get("/api/v1/auth/me").await.expect(200);

    product.clock.advance_seconds(1799);
    login(product, "ann@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    product.clock.advance_seconds(1);
    login(product, "ann@example.com", PASSWORD).await.expect(200);
    let admin = again(admin).await;
    assert_eq!(standing(&admin, &user).await["failed_login_attempts"], 0);

    fail(product, "ann@example.com", 5).await;
    login(product, "ann@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    unlock(&admin, &user).await;
    login(product, "ann@example.com", PASSWORD).await.expect(200);
    let nobody = format!("/api/v1/admin/users/{}", "0190a000-0000-7000-8000-000000000000");
    admin.post(&format!("{nobody}/unlock"), &json!({})).await.refused(404, "not_found");
    admin.get(&format!("{nobody}/lock-status")).await.refused(404, "not_found");
}

/// D-22: the original counted twenty at once as one.
async fn of_twenty_guesses_at_once_every_one_counts(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ben").await;
    fail(product, "ben@example.com", 20).await;
    assert_eq!(standing(&admin, &user).await["failed_login_attempts"], 20);
    login(product, "ben@example.com", PASSWORD).await.refused(401, "invalid_credentials");
}

/// R48: a full pool of hashing is answered before anything is counted.
async fn of_two_hundred_guesses_at_once_five_are_looked_at(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("cas").await;
    let (computed, compared) = (product.app.hasher.computed(), product.app.hasher.compared());
    let answers = join_all((0..200).map(|_| login(product, "cas@example.com", "Wrong-Horse1-battery"))).await;
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    for answer in answers.into_iter().filter(|answer| answer.status != 503) {
        answer.refused(401, "invalid_credentials");
    }
    let wrong = 200 - refused;
    assert!(refused > 0 && wrong > 5, "{refused} refused, {wrong} looked at");
    assert_eq!(standing(&admin, &user).await["failed_login_attempts"], json!(200 - refused));
    assert_eq!(product.app.hasher.compared() - compared, 5, "compared with the password of the account");
    assert_eq!(product.app.hasher.computed() - computed, wrong as u64, "every refusal costs a hash");
}

fn members() -> Value {
    json!({"name": "members", "type": "auth", "create_rule": "", "schema": []})
}

/// Failures counted at accounts, of whatever realm.
pub async fn failures(product: &Product) -> i64 {
    let mut sql = Sql::new(product.app.store.dialect());
    sql.push("SELECT CAST(coalesce(sum(failures), 0) AS bigint) FROM attempts WHERE account_id IS NOT NULL");
    let read =
        product.app.store.read(Plan::Bounded, move |reader| Box::pin(async move { reader.fetch_one(&sql).await }));
    read.await.unwrap().unwrap().int(0).unwrap()
}

/// CVE-2024-32868, CVE-2025-64102: a door beside the first one that nobody counted at.
async fn of_two_hundred_guesses_at_an_auth_collection_five_are_looked_at(product: &Product) {
    product.admin().await.collection(&members()).await;
    let door = |verb: &str| format!("{COLLECTIONS}/members/auth/{verb}");
    let guest = product.guest();
    let right = credentials("dan@example.com", PASSWORD);
    guest.post(&door("register"), &right).await.expect(201);
    let compared = product.app.hasher.compared();
    let wrong = credentials("dan@example.com", "Wrong-Horse1-battery");
    let entrance = door("login");
    let answers = join_all((0..200).map(|_| guest.post(&entrance, &wrong))).await;
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    for answer in answers.into_iter().filter(|answer| answer.status != 503) {
        answer.refused(401, "invalid_credentials");
    }
    assert_eq!(product.app.hasher.compared() - compared, 5);
    assert_eq!(failures(product).await, i64::try_from(200 - busy).unwrap());
    guest.post(&door("login"), &right).await.refused(401, "invalid_credentials");
    product.clock.advance_seconds(1800);
    guest.post(&door("login"), &right).await.expect(200);
}

/// A stolen session is no quieter place to guess at the password.
async fn of_two_hundred_guesses_at_the_current_password_five_are_looked_at(product: &Product) {
    product.admin().await;
    let user = product.user("eve").await;
    let change = json!({"old_password": "Wrong-Horse1-battery", "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    let compared = product.app.hasher.compared();
    let answers = join_all((0..200).map(|_| user.post("/api/v1/auth/change-password", &change))).await;
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    for answer in answers.into_iter().filter(|answer| answer.status != 503) {
        answer.refused(401, "invalid_credentials");
    }
    assert_eq!(product.app.hasher.compared() - compared, 5);
    assert_eq!(failures(product).await, i64::try_from(200 - busy).unwrap());
}

/// A link has 256 bits: nobody guesses it, whoever tries costs no hash, and the right one stays good.
async fn of_two_hundred_guesses_at_a_reset_link_none_costs_a_hash(product: &Product) {
    product.admin().await;
    let before = (product.app.hasher.compared(), product.app.hasher.computed());
    let guess = |n: usize| json!({"token": format!("{n:043}"), "password": "a quite new phrase", "password_confirm": "a quite new phrase"});
    let bodies: Vec<Value> = (0..200).map(guess).collect();
    let guest = product.guest();
    for answer in join_all(bodies.iter().map(|body| guest.post("/api/v1/auth/reset-password", body))).await {
        answer.refused(400, "invalid_reset_token");
    }
    assert_eq!((product.app.hasher.compared(), product.app.hasher.computed()), before);
}

/// R44: one password tried on fifty accounts locks none of them, and the network that it comes from is slowed down.
async fn who_sprays_passwords_is_limited_by_where_it_comes_from(product: &Product) {
    product.admin().await;
    for n in 0..50 {
        product.user(&format!("u{n}")).await;
    }
    let node = product.with(&[("RATE_LIMIT_ENABLED", "true")]).await;
    let mut looked_at = 0;
    for n in 0..50 {
        // From ever other addresses of one network, so that none of them uses its own budget up.
        let peer = format!("203.0.113.{n}:1").parse().unwrap();
        let body = credentials(&format!("u{n}@example.com"), "Wrong-Horse1-battery");
        let answer = node.send_from(peer, request(None, Method::POST, LOGIN, Some(&body))).await;
        looked_at += usize::from(answer.status == 401);
        assert!([401, 429].contains(&answer.status.as_u16()));
        node.clock.advance_millis(100);
    }
    assert_eq!(looked_at, 13, "ten show what it is, three are left to the network");
    // No account pays for it, nor does another network.
    for n in [0, 49] {
        let right = credentials(&format!("u{n}@example.com"), PASSWORD);
        let elsewhere = "198.51.100.7:1".parse().unwrap();
        node.send_from(elsewhere, request(None, Method::POST, LOGIN, Some(&right))).await.expect(200);
    }
    node.close().await;
    // Without limits there is none of this either, and without lockout there is.
    let free = product.with(&[("ACCOUNT_LOCKOUT_ENABLED", "false")]).await;
    for n in 0..16 {
        login(&free, &format!("u{n}@example.com"), "Wrong-Horse1-battery").await.refused(401, "invalid_credentials");
    }
    free.close().await;
    let node = product.with(&[("ACCOUNT_LOCKOUT_ENABLED", "false"), ("RATE_LIMIT_ENABLED", "true")]).await;
    let mut codes = Vec::new();
    for n in 0..16 {
        let peer = format!("[2001:db8:1:2::{n:x}]:1").parse().unwrap();
        let body = credentials(&format!("u{n}@example.com"), "Wrong-Horse1-battery");
        codes.push(node.send_from(peer, request(None, Method::POST, LOGIN, Some(&body))).await.status.as_u16());
        node.clock.advance_millis(7_000);
    }
    assert_eq!((&codes[..10], &codes[10..]), (&[401; 10][..], &[429; 6][..]));
    node.close().await;
}

async fn guesses_at_the_current_password_count_like_those_at_sign_in(product: &Product) {
    product.admin().await;
    let user = product.user("eva").await;
    let change = |old: &str| json!({"old_password": old, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    for _ in 0..5 {
        user.post("/api/v1/auth/change-password", &change("Wrong-Horse1-battery"))
            .await
            .refused(401, "invalid_credentials");
    }
    user.post("/api/v1/auth/change-password", &change(PASSWORD)).await.refused(401, "invalid_credentials");
    login(product, "eva@example.com", PASSWORD).await.refused(401, "invalid_credentials");
}

/// R40.
async fn a_success_forgives_and_old_failures_are_forgotten(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("fay").await;
    for _ in 0..3 {
        fail(product, "fay@example.com", 4).await;
        login(product, "fay@example.com", PASSWORD).await.expect(200);
    }
    fail(product, "fay@example.com", 4).await;
    product.clock.advance_seconds(1800);
    let admin = again(admin).await;
    assert_eq!(standing(&admin, &user).await["failed_login_attempts"], 0);
    fail(product, "fay@example.com", 1).await;
    assert_eq!(standing(&admin, &user).await["failed_login_attempts"], 1);
}

/// R40.
async fn locks_survive_a_restart_and_hold_on_every_node(product: &Product) {
    product.admin().await;
    product.user("gil").await;
    let other = product.with(&[]).await;
    let halves = [product, &other];
    for answer in join_all((0..10).map(|n| login(halves[n % 2], "gil@example.com", "Wrong-Horse1-battery"))).await {
        answer.refused(401, "invalid_credentials");
    }
    for _ in 0..5 {
        login(product, "nobody@example.com", PASSWORD).await;
    }
    let restarted = product.with(&[("ACCOUNT_LOCKOUT_REVEAL", "true")]).await;
    for node in halves {
        login(node, "gil@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    }
    login(&restarted, "gil@example.com", PASSWORD).await.refused(403, "account_locked");
    login(&restarted, "Nobody@example.com", PASSWORD).await.refused(403, "account_locked");
}

/// R41.
async fn unknown_names_lock_like_accounts_and_nothing_tells_them_apart(product: &Product) {
    let admin = product.admin().await;
    product.user("hal").await;
    let gone = product.user("ida").await;
    admin.patch(&format!("/api/v1/admin/users/{}", gone.id), &json!({"disabled": true})).await.expect(200);
    let mut seen = Vec::new();
    for email in ["hal@example.com", "nobody@example.com", "ida@example.com"] {
        for _ in 0..6 {
            seen.push(bytes(&login(product, email, "Wrong-Horse1-battery").await));
        }
        seen.push(bytes(&login(product, email, PASSWORD).await));
    }
    assert_eq!(seen[0].0, 401);
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
}

/// The value of the cookie by which a browser is known, as an answer sets it.
fn device(answer: &Answer) -> String {
    let set = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let set: Vec<&str> = set.filter(|value| value.starts_with("fastcms_device=")).collect();
    assert_eq!(set.len(), 1, "{set:?}");
    assert!(set[0].ends_with("; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"), "{}", set[0]);
    set[0].split(['=', ';']).nth(1).unwrap().to_owned()
}

fn from_browser(device: &str, email: &str, password: &str) -> Request<Body> {
    let mut request = request(None, Method::POST, LOGIN, Some(&credentials(email, password)));
    request.headers_mut().insert(header::COOKIE, format!("fastcms_device={device}").parse().unwrap());
    request
}

/// R43, CVE-2024-1722: nobody is locked out by strangers.
async fn a_known_browser_keeps_a_counter_of_its_own(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("jon").await;
    let known = device(&login(product, "jon@example.com", PASSWORD).await.expect(200));
    fail(product, "jon@example.com", 8).await;
    login(product, "jon@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    let from_known = |password: &'static str| product.send(from_browser(&known, "jon@example.com", password));
    assert_eq!(device(&from_known(PASSWORD).await.expect(200)), known, "a known browser stays known by the same value");
    assert_eq!(standing(&admin, &user).await["is_locked"], true, "strangers stay locked out");
    // A browser known for another account is a stranger here.
    product.user("kim").await;
    let of_kim = device(&login(product, "kim@example.com", PASSWORD).await.expect(200));
    product.send(from_browser(&of_kim, "jon@example.com", PASSWORD)).await.refused(401, "invalid_credentials");

    for _ in 0..5 {
        from_known("Wrong-Horse1-battery").await.refused(401, "invalid_credentials");
    }
    from_known(PASSWORD).await.refused(401, "invalid_credentials");
    unlock(&admin, &user).await;
    from_known(PASSWORD).await.expect(200);
    // After a year it is forgotten.
    product.clock.advance_seconds(365 * 24 * 3600);
    fail(product, "jon@example.com", 5).await;
    from_known(PASSWORD).await.refused(401, "invalid_credentials");
}

/// Whoever writes a cookie into somebody's browser must not learn by what it is known after a sign-in.
async fn a_planted_browser_cookie_is_never_adopted(product: &Product) {
    product.admin().await;
    product.user("lea").await;
    product.user("mia").await;
    let of_mallory = device(&login(product, "mia@example.com", PASSWORD).await.expect(200));
    for planted in [of_mallory.as_str(), "planted", &"x".repeat(2_000)] {
        let answer = product.send(from_browser(planted, "lea@example.com", PASSWORD)).await.expect(200);
        assert_ne!(device(&answer), planted);
        fail(product, "lea@example.com", 5).await;
        product.send(from_browser(planted, "lea@example.com", PASSWORD)).await.refused(401, "invalid_credentials");
        let own = device(&answer);
        product.send(from_browser(&own, "lea@example.com", PASSWORD)).await.expect(200);
        product.clock.advance_seconds(1800);
    }
}

async fn lockout_enabled_false_locks_nothing(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ned").await;
    let free = product.with(&[("ACCOUNT_LOCKOUT_ENABLED", "false")]).await;
    let begun = std::time::Instant::now();
    fail(&free, "ned@example.com", 12).await;
    login(&free, "ned@example.com", PASSWORD).await.expect(200);
    assert_eq!(standing(&admin, &user).await["failed_login_attempts"], 0);
    // Nor is there a growing delay, once all that came before has left.
    tokio::time::sleep(fastcms_core::attempts::FLOOR).await;
    let one = std::time::Instant::now();
    fail(&free, "ned@example.com", 1).await;
    let most = fastcms_core::attempts::FLOOR + std::time::Duration::from_millis(350);
    assert!(one.elapsed() < most, "{:?} of {:?}", one.elapsed(), begun.elapsed());
}

async fn lockout_attempts_is_the_failure_that_locks(product: &Product) {
    product.admin().await;
    product.user("ola").await;
    for attempts in [1, 2, 7] {
        let node = product.with(&[("ACCOUNT_LOCKOUT_ATTEMPTS", &attempts.to_string())]).await;
        fail(&node, "ola@example.com", attempts - 1).await;
        login(&node, "ola@example.com", PASSWORD).await.expect(200);
        fail(&node, "ola@example.com", attempts).await;
        login(&node, "ola@example.com", PASSWORD).await.refused(401, "invalid_credentials");
        product.clock.advance_seconds(1800);
    }
}

async fn lockout_duration_is_how_long_a_lock_lasts(product: &Product) {
    product.admin().await;
    product.user("pia").await;
    let node = product.with(&[("ACCOUNT_LOCKOUT_DURATION", "61"), ("ACCOUNT_LOCKOUT_REVEAL", "true")]).await;
    for _ in 0..5 {
        login(&node, "pia@example.com", "Wrong-Horse1-battery").await.refused(401, "invalid_credentials");
    }
    let locked = login(&node, "pia@example.com", PASSWORD).await.refused(403, "account_locked");
    assert_eq!(locked.header("retry-after"), Some("61"));
    product.clock.advance_seconds(60);
    let locked = login(&node, "pia@example.com", PASSWORD).await.refused(403, "account_locked");
    assert_eq!(locked.header("retry-after"), Some("1"));
    product.clock.advance_seconds(1);
    login(&node, "pia@example.com", PASSWORD).await.expect(200);
}

async fn lockout_reveal_says_so_for_names_that_nobody_has_too(product: &Product) {
    product.admin().await;
    product.user("quin").await;
    let node = product.with(&[("ACCOUNT_LOCKOUT_REVEAL", "true")]).await;
    let mut seen = Vec::new();
    for email in ["quin@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            login(&node, email, "Wrong-Horse1-battery").await.refused(401, "invalid_credentials");
        }
        seen.push(bytes(&login(&node, email, PASSWORD).await.refused(403, "account_locked")));
    }
    assert_eq!(seen[0], seen[1]);
}
