//! Each setting of the edge and the doors, set to an unusual value, changes from outside just what its name says: the real binary,
//! started with that value. Where it would take minutes to see, the product in process with a clock that is moved.
//!
//! A test is called by its setting: a setting without one fails here.

use fastcms_core::config::catalog::{self, Concern};
use serde_json::{Value, json};

use crate::process::{Answer, PASSWORD, Server};

mod cors;
mod limits;
mod lockout;
mod network;
mod passwords;
mod server;
mod tokens;

/// What is not shown here, and why.
const ELSEWHERE: [(&str, &str); 1] = [("ACCEPT_LEGACY_TOKENS_UNTIL", "for who moves over from the predecessor")];

#[test]
fn every_setting_of_the_edge_and_the_doors_is_shown_to_have_its_effect() {
    let tests = [
        include_str!("settings/cors.rs"),
        include_str!("settings/limits.rs"),
        include_str!("settings/lockout.rs"),
        include_str!("settings/network.rs"),
        include_str!("settings/passwords.rs"),
        include_str!("settings/server.rs"),
        include_str!("settings/tokens.rs"),
    ]
    .concat();
    let concerns = [
        Concern::Server,
        Concern::Tokens,
        Concern::Cors,
        Concern::Passwords,
        Concern::Lockout,
        Concern::RateLimits,
        Concern::Network,
        Concern::Limits,
    ];
    let settings: Vec<&str> =
        catalog::ALL.iter().filter(|one| concerns.contains(&one.concern)).map(|one| one.name).collect();
    assert!(settings.len() > 40, "{settings:?}");
    let missing: Vec<&&str> = settings
        .iter()
        .filter(|name| !tests.contains(&format!("fn {}_", name.to_lowercase())))
        .filter(|name| !ELSEWHERE.iter().any(|(known, _)| known == *name))
        .collect();
    assert!(missing.is_empty(), "no test in `settings/` is called by {missing:?}");
}

/// A server of these settings, and the token of its first admin.
fn started(settings: &[(&str, &str)]) -> (Server, String) {
    let mut server = Server::new(settings);
    server.start();
    let token = server.set_up();
    (server, token)
}

fn register(server: &Server, name: &str, password: &str) -> Answer {
    let body = json!({"email": format!("{name}@example.com"), "password": password, "password_confirm": password});
    server.call("POST", "/api/v1/auth/register", None, Some(&body))
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// What a sign-in of the first admin gives.
fn tokens(server: &Server) -> Value {
    server.sign_in(PASSWORD).expect(200).json()["token"].clone()
}
