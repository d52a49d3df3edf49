//! The documented rotation with the real binary, by environment alone.

use serde_json::{Value, json};

use super::forge;
use super::{KEY_B, KEY_C};
use crate::engine::{Engine, run_blocking};
use crate::files::{BOUNDARY, FILES, file, form};
use crate::process::{Answer, PASSWORD, SECRET, Server};
use crate::product::text;

const ME: &str = "/api/v1/auth/me";
const LOGIN: &str = "/api/v1/auth/login";

/// One token of each kind, and what each is presented to.
#[derive(Debug)]
pub(super) struct Tokens {
    access: String,
    refresh: String,
    /// Where the bytes of a protected file lie, and what opens them.
    file: (String, String),
    impersonation: String,
}

impl Tokens {
    /// Of the admin, who acts as somebody.
    pub(super) fn make(server: &Server, somebody: &str) -> Self {
        let pair = sign_in(server, false).json()["token"].clone();
        let access = text(&pair["access_token"]);
        let call = |method, path: &str, body: Option<&Value>| {
            let answer = server.call(method, path, Some(&access), body);
            assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
            answer.json()
        };
        let file = format!("/api/v1/files/{}", upload(server, &access));
        call("PATCH", &format!("{file}/protected?protected=true"), None);
        let token = text(&call("POST", &format!("{file}/token"), None)["token"]);
        let act = format!("/api/v1/admin/users/{somebody}/impersonate");
        let acting = call("POST", &act, Some(&json!({"reason": "rotation"})));
        Self {
            refresh: text(&pair["refresh_token"]),
            file: (format!("{file}/download"), token),
            impersonation: text(&acting["access_token"]),
            access,
        }
    }

    /// Presents each: its kind, the answer, and how it is refused. The refresh token is used up.
    fn present(&self, server: &Server) -> Vec<(&'static str, Answer, u16)> {
        let body = json!({"refresh_token": self.refresh});
        let (download, token) = &self.file;
        vec![
            ("access", server.call("GET", ME, Some(&self.access), None), 401),
            ("impersonation", server.call("GET", ME, Some(&self.impersonation), None), 401),
            ("file", server.call("GET", &format!("{download}?token={token}"), None, None), 403),
            ("refresh", server.call("POST", "/api/v1/auth/refresh", None, Some(&body)), 401),
        ]
    }

    #[track_caller]
    pub(super) fn are_taken(&self, server: &Server) {
        for (kind, answer, _) in self.present(server) {
            assert_eq!(answer.status, 200, "{kind}: {}", String::from_utf8_lossy(&answer.body));
        }
    }

    #[track_caller]
    fn are_refused(&self, server: &Server) {
        for (kind, answer, refusal) in self.present(server) {
            assert_eq!(answer.status, refusal, "{kind}: {}", String::from_utf8_lossy(&answer.body));
        }
    }

    /// Where the file token belongs.
    pub(super) fn download(&self) -> &str {
        &self.file.0
    }

    /// Access, refresh, file, impersonation.
    pub(super) fn all(&self) -> [&str; 4] {
        [&self.access, &self.refresh, &self.file.1, &self.impersonation]
    }
}

/// Uploads a text; its id.
fn upload(server: &Server, token: &str) -> String {
    let body = form(&[file("a.txt", "text/plain", b"hello file")]);
    let head = format!(
        "POST {FILES} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        server.port,
        body.len()
    );
    let answer = server.raw(&[head.as_bytes(), &body].concat()).unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    text(&answer.json()["id"])
}

pub(super) fn register(server: &Server, name: &str) -> String {
    let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
    let answer = server.call("POST", "/api/v1/auth/register", None, Some(&body));
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer.json()["user"]["id"])
}

fn sign_in(server: &Server, cookie: bool) -> Answer {
    let body = json!({"email": "root@example.com", "password": PASSWORD, "cookie": cookie});
    let answer = server.call("POST", LOGIN, None, Some(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

pub(super) fn with_header(server: &Server, header: &str) -> u16 {
    let head = format!("GET {ME} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{header}\r\n\r\n", server.port);
    server.raw(head.as_bytes()).unwrap().status
}

fn restart(server: &mut Server, keys: &[(&str, &str)]) {
    assert!(server.terminate().0.success());
    server.set(keys).start();
}

/// What hangs on no key: a browser that is signed in, and an API key. Each as a header.
pub(super) fn unsigned(server: &Server) -> [String; 2] {
    let answer = sign_in(server, true);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = text(&sign_in(server, false).json()["token"]["access_token"]);
    let key = server.call("POST", "/api/v1/api-keys", Some(&token), Some(&json!({"name": "probe"})));
    assert_eq!(key.status, 201, "{:?}", String::from_utf8_lossy(&key.body));
    [format!("Cookie: {cookie}"), format!("X-API-Key: {}", text(&key.json()["key"]))]
}

/// R2, R3, R4, R66: all four kinds are accepted while their key is a previous one, and refused once it is gone; cookie sessions and API
/// keys stay.
fn seed_procedure(database: &str) {
    let mut server = Server::new(&[("DATABASE_URL", database), ("RATE_LIMIT_ENABLED", "false")]);
    server.start();
    server.set_up();
    let anna = register(&server, "anna");
    let unsigned = unsigned(&server);
    let (unused, used) = (Tokens::make(&server, &anna), Tokens::make(&server, &anna));
    for token in used.all() {
        assert_eq!(forge::read(token).0["kid"], forge::kid(SECRET).as_str());
    }

    restart(&mut server, &[("SECRET_KEY", KEY_B), ("SECRET_KEY_PREVIOUS", SECRET)]);
    used.are_taken(&server);
    let signed = [Tokens::make(&server, &anna), Tokens::make(&server, &anna)];
    for token in signed[0].all() {
        assert_eq!(forge::read(token).0["kid"], forge::kid(KEY_B).as_str(), "new tokens carry the new key");
    }
    let status = server.run(&["keys", "status", "--json"], "");
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let old = &status["keys"][1];
    assert_eq!((&old["kid"], &old["safe_to_remove"]), (&json!(forge::kid(SECRET)), &json!(false)));
    for kind in ["access", "refresh", "file", "impersonation"] {
        assert!(old["outstanding"][kind].is_string(), "{kind}: {status}");
    }

    restart(&mut server, &[("SECRET_KEY_PREVIOUS", "")]);
    assert!(
        server.log().contains("live sessions were signed by a key that is no longer configured"),
        "{}",
        server.log()
    );
    unused.are_refused(&server);
    signed[0].are_taken(&server);
    for header in &unsigned {
        assert_eq!(with_header(&server, header), 200, "{header} stays");
    }
    let status = server.run(&["keys", "status"], "");
    assert_eq!(status.status.code(), Some(0), "no previous key waits: {status:?}");

    // The other way round: only the old key again, after the tokens were made under the new one.
    restart(&mut server, &[("SECRET_KEY", SECRET)]);
    signed[1].are_refused(&server);
    for header in &unsigned {
        assert_eq!(with_header(&server, header), 200, "{header} stays");
    }
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
    let anna = register(&server, "anna");
    let before = Tokens::make(&server, &anna);
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
        kid = signing_kid(&server);
    }
    before.are_taken(&server);

    // In an emergency everything ends, here and in the running server; API keys hang on no key and stay (R14).
    let after = Tokens::make(&server, &anna);
    let [cookie, api_key] = unsigned(&server);
    let done = server.run(&["keys", "rotate", "--emergency", "--yes"], "");
    assert!(done.status.success(), "{done:?}");
    let asked = std::time::Instant::now();
    while server.call("GET", ME, Some(&after.access), None).status != 401 || with_header(&server, &cookie) != 401 {
        assert!(asked.elapsed() < std::time::Duration::from_secs(20), "the running server goes on");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    after.are_refused(&server);
    assert_eq!(with_header(&server, &api_key), 200);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&fresh) && !text.contains(SECRET), "{text}");
    assert_eq!(sign_in(&server, false).status, 200);
}

/// The key that signs at this moment.
fn signing_kid(server: &Server) -> String {
    let pair = sign_in(server, false).json()["token"].clone();
    text(&forge::read(&text(&pair["access_token"])).0["kid"])
}

#[test]
fn a_secret_in_a_file_is_taken_up_when_it_changes() {
    let mut server = Server::new(&[("SECRET_KEY", ""), ("SECRETS_REFRESH_SECONDS", "1"), ("SECRET_KEY_FILE", "key")]);
    let file = server.folder.path().join("key");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    server.start();
    server.set_up();
    let before = Tokens::make(&server, &register(&server, "anna"));
    std::fs::write(&file, format!("{KEY_C}\n")).unwrap();
    let asked = std::time::Instant::now();
    while signing_kid(&server) != forge::kid(KEY_C) {
        assert!(asked.elapsed() < std::time::Duration::from_secs(20), "not taken up: {}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    before.are_taken(&server);
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
