//! The documented rotation with the real binary, by environment alone.

use serde_json::{Value, json};

use super::forge;
use super::{KEY_B, KEY_C};
use crate::engine::{Engine, run_blocking};
use crate::process::{Answer, PASSWORD, SECRET, Server};
use crate::product::text;

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";

/// One token of each kind, and what each is presented to.
#[derive(Debug)]
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(pair: &Value) -> Self {
        Self { access: text(&pair["access_token"]), refresh: text(&pair["refresh_token"]) }
    }

    fn sign_in(server: &Server) -> Self {
        Self::of(&sign_in(server, false).json()["token"])
    }

    /// Presents each, by kind. The refresh token is used up.
    fn present(&self, server: &Server) -> Vec<(&'static str, Answer)> {
        let body = json!({"refresh_token": self.refresh});
        vec![
            ("access", server.call("GET", ME, Some(&self.access), None)),
            ("refresh", server.call("POST", "/api/v1/auth/refresh", None, Some(&body))),
        ]
    }

    fn all(&self) -> Vec<&str> {
        vec![&self.access, &self.refresh]
    }
}

fn sign_in(server: &Server, cookie: bool) -> Answer {
    let body = json!({"email": "root@example.com", "password": PASSWORD, "cookie": cookie});
    let answer = server.call("POST", LOGIN, None, Some(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn with_header(server: &Server, header: &str) -> u16 {
    let head = format!("GET {ME} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{header}\r\n\r\n", server.port);
    server.raw(head.as_bytes()).unwrap().status
}

fn restart(server: &mut Server, keys: &[(&str, &str)]) {
    assert!(server.terminate().0.success());
    server.set(keys).start();
}

/// R2, R3, R4: accepted while their key is a previous one, refused once it is gone; cookie sessions and API keys stay.
fn seed_procedure(database: &str) {
    let mut server = Server::new(&[("DATABASE_URL", database), ("RATE_LIMIT_ENABLED", "false")]);
    server.start();
    let admin = server.set_up();
    let key = server.call("POST", "/api/v1/api-keys", Some(&admin), Some(&json!({"name": "probe"})));
    assert_eq!(key.status, 201, "{:?}", String::from_utf8_lossy(&key.body));
    let api_key = format!("X-API-Key: {}", key.json()["key"].as_str().unwrap());
    let cookie = sign_in(&server, true).header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let cookie = format!("Cookie: {cookie}");
    let (unused, used) = (Tokens::sign_in(&server), Tokens::sign_in(&server));

    restart(&mut server, &[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]);
    let mut renewed = Value::Null;
    for (kind, answer) in used.present(&server) {
        assert_eq!(answer.status, 200, "{kind} under the previous key");
        if kind == "refresh" {
            renewed = answer.json();
        }
    }
    let fresh = Tokens::of(&renewed);
    let signed = Tokens::sign_in(&server);
    for token in fresh.all().into_iter().chain(signed.all()) {
        assert_eq!(forge::read(token).0["kid"], forge::kid(KEY_B).as_str(), "new tokens carry the new key");
    }
    let status = server.run(&["keys", "status", "--json"], "");
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["keys"][1]["kid"], forge::kid(SECRET).as_str());
    assert_eq!(status["keys"][1]["safe_to_remove"], false);

    restart(&mut server, &[("SECRET_KEY_PREVIOUS", "")]);
    assert!(
        server.log().contains("live sessions were signed by a key that is no longer configured"),
        "{}",
        server.log()
    );
    for (kind, answer) in unused.present(&server) {
        assert_eq!(answer.status, 401, "{kind} under a removed key");
    }
    for (kind, answer) in fresh.present(&server).into_iter().chain(signed.present(&server)) {
        assert_eq!(answer.status, 200, "{kind} under the current key");
    }
    assert_eq!(with_header(&server, &cookie), 200, "the cookie session stays");
    assert_eq!(with_header(&server, &api_key), 200, "the API key stays");
    let status = server.run(&["keys", "status"], "");
    assert_eq!(status.status.code(), Some(0), "no previous key waits: {status:?}");

    // The other way round: only the old key again, after the tokens were made under the new one.
    restart(&mut server, &[("SECRET_KEY", SECRET)]);
    assert!(fresh.present(&server).into_iter().all(|(_, answer)| answer.status == 401));
    assert_eq!(with_header(&server, &cookie), 200);
}

#[test]
fn the_documented_rotation_works_on_sqlite() {
    run_blocking(Engine::Sqlite, seed_procedure);
}

#[test]
fn the_documented_rotation_works_on_postgres() {
    run_blocking(Engine::Postgres, seed_procedure);
}

/// R5, R12, contract 14: the settings file is changed in one step, and the running server takes it up without a restart.
#[test]
fn keys_rotate_reaches_a_running_server() {
    let mut server = Server::new(&[("SECRET_KEY", ""), ("SECRETS_REFRESH_SECONDS", "1"), ("LOG_LEVEL", "INFO")]);
    let file = server.folder.path().join(".env");
    std::fs::write(&file, format!("# keys\nSECRET_KEY={SECRET}\n")).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    server.start();
    server.set_up();
    let before = Tokens::sign_in(&server);
    let unasked = server.run(&["keys", "rotate"], "y\n");
    assert_eq!(unasked.status.code(), Some(1), "without a terminal nobody agrees: {unasked:?}");
    let done = server.run(&["keys", "rotate", "--yes"], "");
    assert!(done.status.success(), "{done:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("# keys\nSECRET_KEY=") && text.ends_with(&format!("SECRET_KEY_PREVIOUS={SECRET}\n")),
        "{text}"
    );
    let fresh = text.lines().nth(1).unwrap().strip_prefix("SECRET_KEY=").unwrap().to_owned();
    assert!(!String::from_utf8_lossy(&done.stdout).contains(&fresh), "a key is never printed");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777, 0o600);

    let asked = std::time::Instant::now();
    let mut kid = String::new();
    while kid != forge::kid(&fresh) {
        assert!(asked.elapsed() < std::time::Duration::from_secs(20), "not taken up: {}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(server.call("GET", ME, Some(&before.access), None).status, 200);
        kid = forge::read(&Tokens::sign_in(&server).access).0["kid"].as_str().unwrap().to_owned();
    }
    assert!(before.present(&server).into_iter().all(|(_, answer)| answer.status == 200));

    // In an emergency everything ends, here and in the running server.
    let after = Tokens::sign_in(&server);
    let done = server.run(&["keys", "rotate", "--emergency", "--yes"], "");
    assert!(done.status.success(), "{done:?}");
    let asked = std::time::Instant::now();
    while server.call("GET", ME, Some(&after.access), None).status != 401 {
        assert!(asked.elapsed() < std::time::Duration::from_secs(10), "the running server goes on");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&fresh) && !text.contains(SECRET), "{text}");
    assert_eq!(sign_in(&server, false).status, 200);
}

#[test]
fn a_secret_in_a_file_is_taken_up_when_it_changes() {
    let mut server = Server::new(&[("SECRET_KEY", ""), ("SECRETS_REFRESH_SECONDS", "1"), ("SECRET_KEY_FILE", "key")]);
    let file = server.folder.path().join("key");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    server.start();
    server.set_up();
    let before = Tokens::sign_in(&server);
    std::fs::write(&file, format!("{KEY_C}\n")).unwrap();
    let asked = std::time::Instant::now();
    while forge::read(&Tokens::sign_in(&server).access).0["kid"] != forge::kid(KEY_C).as_str() {
        assert!(asked.elapsed() < std::time::Duration::from_secs(20), "not taken up: {}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(before.present(&server).into_iter().all(|(_, answer)| answer.status == 200), "nobody is signed out by it");
    // A faulty one is not taken up, and says so.
    std::fs::write(&file, "").unwrap();
    let asked = std::time::Instant::now();
    while !server.log().contains("those in force stay") {
        assert!(asked.elapsed() < std::time::Duration::from_secs(10), "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(sign_in(&server, false).status, 200);
}

#[test]
fn a_generated_key_is_fit_for_production_and_new_each_time() {
    let server = Server::new(&[]);
    let print = || String::from_utf8(server.run(&["keys", "generate"], "").stdout).unwrap();
    let (one, other) = (print(), print());
    assert_ne!(one, other);
    let key = one.strip_suffix('\n').unwrap();
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(Server::production(&[("SECRET_KEY", key)]).run(&["keys", "status"], "").status.success());
}

/// R6: the message names the variable, and the port stays closed.
#[test]
fn a_key_that_protects_nothing_does_not_start_in_production() {
    let twice = format!("{KEY_B},{SECRET}");
    for (name, value) in [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "changeme"),
        ("SECRET_KEY", "your-new-secret-key-here"),
        ("SECRET_KEY", "4f1c0a9be37d52680c1f9e4ab7d3365"),
        ("SECRET_KEY", "abababababababababababababababababababab"),
        ("SECRET_KEY", "4f1c0a9be37d52680c1f9e4ab7d33655,10e2c98f7ab6d4e3f2019c8b7a6d5e4f"),
        ("SECRET_KEY", " 4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f"),
        ("SECRET_KEY_PREVIOUS", SECRET),
        ("SECRET_KEY_PREVIOUS", &twice),
    ] {
        let server = Server::production(&[(name, value)]);
        let refused = server.run(&["serve"], "");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{name}={value}: {said}");
        assert!(said.contains(name) && said.lines().count() == 1, "{name}={value}: {said}");
        assert!(!said.contains(SECRET) && (value.len() < 20 || !said.contains(value.trim())), "{said}");
    }
}
