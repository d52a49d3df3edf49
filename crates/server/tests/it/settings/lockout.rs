//! When an account locks.

use std::time::{Duration, Instant};

use super::*;

const WRONG: &str = "Wrong-Horse1-battery";

fn fail(server: &Server, times: usize) {
    for _ in 0..times {
        server.sign_in(WRONG).refused(401, "invalid_credentials");
    }
}

#[test]
fn account_lockout_enabled_false_locks_nobody() {
    let (server, _) = started(&[("ACCOUNT_LOCKOUT_ENABLED", "false")]);
    fail(&server, 9);
    server.sign_in(PASSWORD).expect(200);
}

#[test]
fn account_lockout_attempts_is_the_failure_that_locks() {
    for attempts in [2, 3] {
        let (server, _) = started(&[("ACCOUNT_LOCKOUT_ATTEMPTS", &attempts.to_string())]);
        fail(&server, attempts - 1);
        server.sign_in(PASSWORD).expect(200);
        fail(&server, attempts);
        server.sign_in(PASSWORD).refused(401, "invalid_credentials");
    }
}

#[test]
fn account_lockout_duration_is_the_seconds_that_a_lock_lasts() {
    let (server, _) = started(&[("ACCOUNT_LOCKOUT_DURATION", "4"), ("ACCOUNT_LOCKOUT_ATTEMPTS", "2")]);
    fail(&server, 1);
    // The failure that locks is counted at some moment of this call.
    let before = Instant::now();
    fail(&server, 1);
    let after = Instant::now();
    let status = server.sign_in(PASSWORD).status();
    if before.elapsed() < Duration::from_millis(3_800) {
        assert_eq!(status, 401, "it is locked");
    }
    std::thread::sleep(Duration::from_millis(4_100).saturating_sub(after.elapsed()));
    server.sign_in(PASSWORD).expect(200);
}

#[test]
fn account_lockout_reveal_says_so_and_for_how_long() {
    let (server, _) = started(&[
        ("ACCOUNT_LOCKOUT_REVEAL", "true"),
        ("ACCOUNT_LOCKOUT_ATTEMPTS", "2"),
        ("ACCOUNT_LOCKOUT_DURATION", "600"),
    ]);
    fail(&server, 2);
    let answer = server.sign_in(PASSWORD).refused(403, "account_locked");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((500..=600).contains(&seconds), "{seconds}");
}
