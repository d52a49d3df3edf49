//! Guesses at the same moment, through one node and through two: of right answers none is refused, of wrong ones no more than lock are
//! held against the real hash.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::{LOGIN, credentials, fail, failures, login};
use crate::callers::Calls;
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product};

on_both_engines!(
    of_right_passwords_at_once_none_is_refused,
    four_wrong_ones_among_right_ones_refuse_nobody_who_is_right,
    of_wrong_passwords_at_once_five_are_looked_at_on_two_nodes_together,
    right_passwords_at_once_pass_with_four_failures_before_them,
    right_passwords_at_once_without_their_second_factor_are_all_asked_for_it,
    guesses_that_hang_up_hold_nobody_up_and_count,
);

const WRONG: &str = "Wrong-Horse1-battery";

/// How many were answered so, and how many found the pool of hashing full; no other answer is allowed.
fn tally(answers: Vec<Answer>, expected: u16) -> (usize, usize) {
    let busy = answers.iter().filter(|answer| answer.status == 503).count();
    let all = answers.len();
    for answer in answers.into_iter().filter(|answer| answer.status != 503) {
        answer.expect(expected);
    }
    (all - busy, busy)
}

async fn of_right_passwords_at_once_none_is_refused(product: &Product) {
    product.admin().await;
    product.user("amy").await;
    let other = product.with(&[]).await;
    for (nodes, times) in [
        (&[product][..], 6),
        (&[product], 20),
        (&[product], 200),
        (&[product, &other], 6),
        (&[product, &other], 60),
        (&[product, &other], 200),
    ] {
        let signing_in = (0..times).map(|n| login(nodes[n % nodes.len()], "amy@example.com", PASSWORD));
        let (passed, busy) = tally(join_all(signing_in).await, 200);
        assert!(passed >= 6 && (times <= 20 || passed >= 20), "{passed} passed and {busy} found no place, of {times}");
        assert!(times > 20 || busy == 0, "{times} fit into the pool");
        assert_eq!(failures(product).await, 0);
    }
    other.close().await;
}

async fn four_wrong_ones_among_right_ones_refuse_nobody_who_is_right(product: &Product) {
    product.admin().await;
    product.user("bob").await;
    for _ in 0..3 {
        let signing_in = (0..20).map(|n| async move {
            let password = if n % 5 == 0 { WRONG } else { PASSWORD };
            let answer = login(product, "bob@example.com", password).await;
            answer.expect(if n % 5 == 0 { 401 } else { 200 });
        });
        join_all(signing_in).await;
        login(product, "bob@example.com", PASSWORD).await.expect(200);
    }
}

async fn of_wrong_passwords_at_once_five_are_looked_at_on_two_nodes_together(product: &Product) {
    product.admin().await;
    let other = product.with(&[]).await;
    let nodes = [product, &other];
    for (name, times) in [("six", 6), ("twenty", 20), ("many", 200)] {
        product.user(name).await;
        let before = failures(product).await;
        let compared = || nodes.map(|node| node.app.hasher.compared()).iter().sum::<u64>();
        let earlier = compared();
        let email = format!("{name}@example.com");
        let guesses = (0..times).map(|n| login(nodes[n % 2], &email, WRONG));
        let (wrong, busy) = tally(join_all(guesses).await, 401);
        assert_eq!(compared() - earlier, 5, "of {times}");
        assert_eq!(failures(product).await - before, i64::try_from(wrong).unwrap(), "{busy} found no place");
        login(&other, &email, PASSWORD).await.refused(401, "invalid_credentials");
        assert_eq!(compared() - earlier, 5, "nor is the right one, now");
    }
    other.close().await;
}

async fn right_passwords_at_once_pass_with_four_failures_before_them(product: &Product) {
    product.admin().await;
    product.user("cat").await;
    let other = product.with(&[]).await;
    fail(product, "cat@example.com", 4).await;
    let signing_in = (0..12).map(|n| login([product, &other][n % 2], "cat@example.com", PASSWORD));
    assert_eq!(tally(join_all(signing_in).await, 200), (12, 0));
    // One place is left, and a wrong one takes it first: then the right ones are too late.
    fail(product, "cat@example.com", 5).await;
    login(product, "cat@example.com", PASSWORD).await.refused(401, "invalid_credentials");
    other.close().await;
}

async fn right_passwords_at_once_without_their_second_factor_are_all_asked_for_it(product: &Product) {
    product.admin().await;
    let user = product.user("dee").await;
    crate::two_factor::enrol(product, &user).await;
    let answers = join_all((0..20).map(|_| login(product, "dee@example.com", PASSWORD))).await;
    for answer in answers {
        assert_eq!(answer.expect(200).json()["requires_2fa"], true);
    }
    assert_eq!(failures(product).await, 0);
}

/// Whoever asks and does not wait for the answer can neither keep others waiting nor guess for nothing.
async fn guesses_that_hang_up_hold_nobody_up_and_count(product: &Product) {
    product.admin().await;
    let user = product.user("eli").await;
    let change = json!({"old_password": WRONG, "new_password": "Another-Horse8-staple", "new_password_confirm": "Another-Horse8-staple"});
    for round in 1..=5 {
        let hung_up = async {
            tokio::select! {
                _ = user.post("/api/v1/auth/change-password", &change) => {}
                () = async {
                    while failures(product).await < round { tokio::time::sleep(Duration::from_millis(1)).await; }
                } => {}
            }
        };
        hung_up.await;
    }
    let begun = Instant::now();
    let right = product.guest().post(LOGIN, &credentials("eli@example.com", PASSWORD)).await;
    right.refused(401, "invalid_credentials");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    product.clock.advance_seconds(1800);
    login(product, "eli@example.com", PASSWORD).await.expect(200);
}
