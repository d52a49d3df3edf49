//! Whether an account exists, and how it stands, is told by nothing: not by the bytes of a refusal, and not by its time (R41, R42;
//! CVE-2026-26185, CVE-2025-64749).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastcms_secrets::Secret;
use fastcms_store::accounts::{AccountTable, replace_password};
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::callers::{Calls, request};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::Product;

on_both_engines!(
    refusals_of_every_kind_take_the_same_time,
    guesses_at_once_do_not_tell_an_old_hash_from_a_name_that_nobody_has,
    the_test_would_see_refusals_that_are_not_made_alike,
);

/// Measurements of each kind.
const EACH: usize = 40;
/// A chance in a thousand that equal times look unequal to one comparison.
const DOUBT: f64 = 0.001;

/// The bcrypt hash of some other password, as the predecessor stored them.
const BCRYPT: &str = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

/// Seconds that a refused sign-in takes, and its bytes but for the request id.
async fn refused(product: &Product, email: &str) -> (f64, Value) {
    // Whose address is not verified knows the password.
    let password = if email.starts_with("unverified") { PASSWORD } else { "Wrong-Horse1-battery" };
    let body = json!({"email": email, "password": password});
    let begun = Instant::now();
    let answer = product.guest().post("/api/v1/auth/login", &body).await;
    let took = begun.elapsed().as_secs_f64();
    let mut body = answer.refused(401, "invalid_credentials").json();
    body["request_id"] = Value::Null;
    (took, body)
}

/// Gives an account a hash of the predecessor.
async fn make_old(product: &Product, id: &str, hash: String) {
    let id = id.to_owned();
    let written = product.app.store.write(move |tx| {
        Box::pin(async move {
            let hash = Secret::new(hash);
            replace_password(tx, &AccountTable::Users, &id, None, &hash, false, "2026-01-01T00:00:00.000Z").await
        })
    });
    assert!(written.await.unwrap());
}

/// The two-sided p of the Mann–Whitney rank test, by its normal approximation: how likely two samples of one distribution lie as far
/// apart as these.
fn p_of_ranks(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = a.iter().map(|x| (*x, true)).chain(b.iter().map(|x| (*x, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (n, m) = (f64::from(u32::try_from(a.len()).unwrap()), f64::from(u32::try_from(b.len()).unwrap()));
    let ranks: f64 = (1_u32..).zip(&all).filter(|(_, (_, is_a))| *is_a).map(|(rank, _)| f64::from(rank)).sum();
    let above_mean = ranks - n * (n + m + 1.0) / 2.0;
    let deviations = above_mean / (n * m * (n + m + 1.0) / 12.0).sqrt();
    erfc(deviations.abs() / std::f64::consts::SQRT_2)
}

/// Abramowitz and Stegun 7.1.26, within 1.5e-7.
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    series.iter().fold(0.0, |sum, factor| (sum + factor) * t) * (-x * x).exp()
}

#[test]
fn the_rank_test_tells_equal_samples_from_shifted_ones() {
    let sample = |shift: u32| (0..40_u32).map(|n| f64::from((n * 37 + 11) % 41) + f64::from(shift)).collect::<Vec<_>>();
    assert!(p_of_ranks(&sample(0), &sample(0)) > 0.8);
    assert!(p_of_ranks(&sample(0), &sample(30)) < 1e-6);
}

async fn refusals_of_every_kind_take_the_same_time(product: &Product) {
    let admin = product.admin().await;
    for name in ["wrong", "locked"] {
        product.user(name).await;
    }
    let (off, old) = (product.user("disabled").await, product.user("old").await);
    product.user("unverified").await;
    crate::stored_settings::require_verification(product, &admin, &["wrong", "locked", "disabled", "old"]).await;
    admin.patch(&format!("/api/v1/admin/users/{}", off.id), &json!({"disabled": true})).await.expect(200);
    make_old(product, &old.id, BCRYPT.to_owned()).await;
    let patient = product.with(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "1000")]).await;
    let strict = product.with(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "1")]).await;
    let kinds = [
        (&patient, "wrong@example.com"),
        (&patient, "nobody@example.com"),
        (&strict, "locked@example.com"),
        (&patient, "disabled@example.com"),
        (&patient, "old@example.com"),
        (&patient, "unverified@example.com"),
    ];
    // A source that fails waits longer for each refusal, up to a bound: from there on all of them wait alike.
    join_all((0..48).map(|n| refused(kinds[n % 6].0, kinds[n % 6].1))).await;
    // Fifteen comparisons of equal times find one apart now and then, each time another; what tells accounts apart is found every time.
    let mut found = told_apart(&kinds).await;
    for _ in 0..3 {
        if found.is_empty() {
            return;
        }
        let again = told_apart(&kinds).await;
        found.retain(|pair, _| again.contains_key(pair));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Which kinds of refusal can be told apart by their times, and how unlikely it is that they only look so.
async fn told_apart(kinds: &[(&Product, &str); 6]) -> BTreeMap<(usize, usize), String> {
    let mut times: [Vec<f64>; 6] = Default::default();
    let mut seen = Vec::new();
    for round in 0..EACH {
        // At once, each time in another order.
        let asked = (0..6).map(|n| (n + round) % 6).map(|kind| async move {
            let (took, body) = refused(kinds[kind].0, kinds[kind].1).await;
            (kind, took, body)
        });
        for (kind, took, body) in join_all(asked).await {
            times[kind].push(took);
            seen.push(body);
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let pairs = (0..6).flat_map(|one| (one + 1..6).map(move |other| (one, other)));
    pairs
        .map(|(one, other)| (one, other, p_of_ranks(&times[one], &times[other])))
        .filter(|(.., p)| *p <= DOUBT)
        .map(|(one, other, p)| ((one, other), format!("{} and {}: p = {p}", kinds[one].1, kinds[other].1)))
        .collect()
}

/// Seconds until the last of four sign-ins is refused that come at once from four networks.
async fn four_at_once(product: &Product, email: &str, round: u8) -> f64 {
    let body = json!({"email": email, "password": "Wrong-Horse1-battery"});
    let begun = Instant::now();
    let guesses = (0..4_u8).map(|n| {
        let guess = request(None, Method::POST, "/api/v1/auth/login", Some(&body));
        product.send_from(([10, round, n, 1], 4711).into(), guess)
    });
    for answer in join_all(guesses).await {
        answer.refused(401, "invalid_credentials");
    }
    begun.elapsed().as_secs_f64()
}

/// One check of an old hash may hide in the time that every refusal takes; four in a line for the processor do not.
async fn guesses_at_once_do_not_tell_an_old_hash_from_a_name_that_nobody_has(product: &Product) {
    product.admin().await;
    let old = product.user("old").await;
    make_old(product, &old.id, BCRYPT.replace("$10$", "$12$")).await;
    let patient = product.with(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "1000")]).await;
    // Somebody else may use this machine at the same time: of eight rounds the most alike counts.
    let mut apart = f64::MAX;
    for round in 0..8 {
        let known = four_at_once(&patient, "old@example.com", round).await;
        let unknown = four_at_once(&patient, &format!("nobody{round}@example.com"), 100 + round).await;
        apart = apart.min((known - unknown).abs());
        if apart < 0.05 {
            break;
        }
    }
    assert!(apart < 0.05, "{apart} s apart");
}

/// Otherwise an old hash would show: bcrypt takes longer.
async fn the_test_would_see_refusals_that_are_not_made_alike(product: &Product) {
    product.admin().await;
    let old = product.user("old").await;
    make_old(product, &old.id, BCRYPT.to_owned()).await;
    let telling = product.with_telling_refusals(&[("ACCOUNT_LOCKOUT_ATTEMPTS", "1000")]).await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..EACH {
        known.push(refused(&telling, "old@example.com").await.0);
        unknown.push(refused(&telling, "nobody@example.com").await.0);
    }
    let p = p_of_ranks(&known, &unknown);
    assert!(p < DOUBT, "p = {p}");
    // Nor do they wait.
    assert!(known.iter().chain(&unknown).any(|took| *took < Duration::from_millis(200).as_secs_f64()));
}
