//! Clients that go on while something happens behind the server's back, and what they were answered.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::wait_for;
use crate::process::{PASSWORD, Server};
use crate::product::text;

/// Clients at once.
const CLIENTS: usize = 4;

/// Good answers that prove something. The load goes on until it has them, so that a slow machine proves as much.
const ENOUGH: usize = 600;

/// What was answered, and what was not what it should be.
#[derive(Debug, Default)]
pub struct Tally {
    pub answers: BTreeMap<u16, usize>,
    pub faults: Vec<String>,
}

impl Tally {
    /// Whether there were enough good answers to prove something.
    fn is_enough(&self) -> bool {
        self.answers.iter().filter(|(status, _)| **status < 400).map(|(_, count)| count).sum::<usize>() >= ENOUGH
    }
}

/// Runs `what` while clients read, write and refresh their tokens, and goes on until there were [`ENOUGH`] good answers.
pub fn under_load<T>(server: &Server, admin: &str, what: impl FnOnce() -> T) -> (T, Tally) {
    let posts =
        json!({"name": "posts", "schema": [{"name": "n", "type": "number"}], "list_rule": "", "create_rule": ""});
    assert_eq!(server.call("POST", "/api/v1/collections", Some(admin), Some(&posts)).status, 201);
    let pairs: Vec<Value> = (0..CLIENTS)
        .map(|n| {
            let who = json!({"email": format!("u{n}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
            let answer = server.call("POST", "/api/v1/auth/register", None, Some(&who));
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.json()["token"].clone()
        })
        .collect();
    let (tally, stop) = (Mutex::new(Tally::default()), AtomicBool::new(false));
    let done = std::thread::scope(|scope| {
        for pair in &pairs {
            let (tally, stop) = (&tally, &stop);
            scope.spawn(move || work(server, pair, stop, tally));
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let done = what();
            wait_for("enough good answers", Duration::from_mins(1), || tally.lock().unwrap().is_enough());
            done
        }));
        stop.store(true, Ordering::Relaxed);
        done
    });
    match done {
        Ok(done) => (done, tally.into_inner().unwrap()),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn work(server: &Server, pair: &Value, stop: &AtomicBool, tally: &Mutex<Tally>) {
    let (mut access, mut refresh) = (text(&pair["access_token"]), text(&pair["refresh_token"]));
    for n in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let records = "/api/v1/collections/posts/records";
        let answer = match n % 5 {
            0 => server.try_call("POST", records, Some(&access), Some(&json!({"data": {"n": n}}))),
            1 => server.try_call("POST", "/api/v1/auth/refresh", None, Some(&json!({"refresh_token": refresh}))),
            2 => server.try_call("GET", records, None, None),
            _ => server.try_call("GET", "/api/v1/auth/me", Some(&access), None),
        };
        let mut tally = tally.lock().unwrap();
        match answer {
            Ok(answer) => {
                *tally.answers.entry(answer.status).or_default() += 1;
                if answer.status >= 400 {
                    tally.faults.push(format!("{answer:?}"));
                } else if n % 5 == 1 {
                    let pair = answer.json();
                    (access, refresh) = (text(&pair["access_token"]), text(&pair["refresh_token"]));
                }
            }
            Err(error) => tally.faults.push(error.to_string()),
        }
        drop(tally);
        std::thread::sleep(Duration::from_millis(5));
    }
}
