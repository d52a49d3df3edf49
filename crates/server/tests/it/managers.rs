//! Secrets that managers keep, with the real binary: a real OpenBao in production mode, moto with signatures and policies enforced, and
//! a double of Azure Key Vault that Microsoft's own SDK takes for the real thing. `cargo xtask test` installs the others. And files that
//! the real `age` encrypted.

pub mod age;
mod aws;
mod aws_identities;
mod azure;
mod azure_double;
mod listener;
mod live;
mod load;
mod logins;
mod moto;
pub mod openbao;
mod patience;
mod rotation;
mod transit;
mod vault;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::keys::forge;
use crate::process::{PASSWORD, Server};

/// Seconds between two looks at a manager, in most of these tests.
const REFRESH: u64 = 2;
/// What measuring itself may take on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

/// The fenced block of docs/secrets.md that begins with this line: what people are told is what is tested.
fn documented(first_line: &str) -> String {
    let page = include_str!("../../../../docs/secrets.md");
    let (_, block) =
        page.split_once(&format!("```{first_line}\n")).unwrap_or_else(|| panic!("{first_line} is not documented"));
    block.split_once("```").expect("the block ends").0.to_owned()
}

/// Asks until the answer is yes; how long that took.
#[track_caller]
fn wait_for(what: &str, at_most: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let asked = Instant::now();
    while !is_so() {
        assert!(asked.elapsed() < at_most, "{what}: not within {at_most:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    asked.elapsed()
}

/// The key that signs now, by what a sign-in answers.
fn signing_key(server: &Server) -> String {
    let body = json!({"email": "root@example.com", "password": PASSWORD});
    let answer = server.call("POST", "/api/v1/auth/login", None, Some(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["token"]["access_token"].as_str().unwrap().to_owned();
    forge::read(&token).0["kid"].as_str().unwrap().to_owned()
}

/// What readiness says of secrets to an admin.
fn freshness(server: &Server, admin: &str) -> String {
    let answer = server.call("GET", "/health/ready", Some(admin), None);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["checks"]["secrets"].as_str().unwrap().to_owned()
}

/// The events of a kind, the newest first.
fn events(server: &Server, admin: &str, action: &str) -> Vec<Value> {
    let answer = server.call("GET", &format!("/api/v1/audit?limit=1000&event_action={action}"), Some(admin), None);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}

/// What a start that is refused says; it must not take longer than this.
fn refusal(server: &Server, at_most: Duration) -> String {
    let asked = Instant::now();
    let output = server.run(&["serve"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(asked.elapsed() < at_most, "{:?}", asked.elapsed());
    assert!(server.try_call("GET", "/health", None, None).is_err(), "the port was opened");
    String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
}
