//! What others on the host, and whoever reads what the product writes, learn of its secrets: nothing. Every secret setting is a marker
//! here, and no marker may be found anywhere.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fastcms_core::config::catalog;
use fastcms_core::config::{Kind, Secrecy};
use serde_json::{Value, json};

use crate::process::{PASSWORD, Server};

/// Every secret setting with a marker for a value; `DATABASE_URL` has none on `SQLite`.
fn canaries() -> Vec<(&'static str, String)> {
    let mut canaries = Vec::new();
    for (number, variable) in catalog::ALL.iter().enumerate().filter(|(_, variable)| variable.is_secret()) {
        let marker = format!("canary{number:03}-4f1c0a9be37d52680c1f9e4ab7d33655");
        match (variable.name, variable.secrecy, variable.kind) {
            ("DATABASE_URL", ..) => {}
            ("REDIS_URL", ..) => canaries.push((variable.name, format!("redis://:{marker}@127.0.0.1:1/0"))),
            (_, Secrecy::Secret, Kind::Key | Kind::Keys | Kind::Text) => canaries.push((variable.name, marker)),
            other => panic!("a new kind of secret: {other:?}"),
        }
    }
    assert!(canaries.len() >= 20, "{}", canaries.len());
    canaries
}

/// Where a marker stands in what was read, with what is around it.
fn found(bytes: &[u8]) -> Option<String> {
    let at = bytes.windows(6).position(|six| six == b"canary")?;
    let around = &bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())];
    Some(String::from_utf8_lossy(around).into_owned())
}

fn proc(server: &Server, file: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/{file}", server.pid())).unwrap()
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Uses the product in many ways; what was answered.
fn drive(server: &Server) -> Vec<Vec<u8>> {
    let token = server.set_up();
    let mut answers = Vec::new();
    let mut call = |method: &str, path: &str, token: Option<&str>, body: Option<&Value>| {
        let answer = server.call(method, path, token, body);
        answers.push(answer.body.clone());
        answers.push(format!("{:?}", answer.headers).into_bytes());
        answer
    };
    let admin = Some(token.as_str());
    let schema = json!([{"name": "title", "type": "text"}, {"name": "body", "type": "text", "encrypted": true}]);
    let notes = json!({"name": "notes", "schema": schema, "list_rule": "", "create_rule": ""});
    assert_eq!(call("POST", "/api/v1/collections", admin, Some(&notes)).status, 201);
    let record = json!({"data": {"title": "t", "body": "sealed"}});
    assert_eq!(call("POST", "/api/v1/collections/notes/records", admin, Some(&record)).status, 201);
    let who = json!({"email": "a@example.com", "password": PASSWORD, "password_confirm": PASSWORD, "name": "A"});
    assert_eq!(call("POST", "/api/v1/auth/register", None, Some(&who)).status, 201);
    let login = json!({"email": "a@example.com", "password": PASSWORD});
    let signed_in = call("POST", "/api/v1/auth/login", None, Some(&login)).json();
    let refresh = json!({"refresh_token": signed_in["token"]["refresh_token"]});
    assert_eq!(call("POST", "/api/v1/auth/refresh", None, Some(&refresh)).status, 200);
    for _ in 0..6 {
        let wrong = json!({"email": "a@example.com", "password": "wrong-horse-1"});
        assert_eq!(call("POST", "/api/v1/auth/login", None, Some(&wrong)).status, 401);
    }
    assert_eq!(call("POST", "/api/v1/auth/2fa/setup", admin, Some(&json!({}))).status, 200);
    assert_eq!(call("POST", "/api/v1/api-keys", admin, Some(&json!({"name": "k"}))).status, 201);
    let role = json!({"name": "Auditor", "permissions": ["audit:read"]});
    assert_eq!(call("POST", "/api/v1/admin/roles", admin, Some(&role)).status, 201);
    // Refused, faulty and unknown: what errors say is looked at too.
    assert_eq!(call("POST", "/api/v1/admin/keys/rotate", admin, Some(&json!({}))).status, 409);
    assert_eq!(
        call("POST", "/api/v1/admin/email/test", admin, Some(&json!({"to_email": "b@example.com"}))).status,
        502
    );
    for path in ["/api/v1/collections/notes/records?filter=((", "/nowhere", "/api/v1/audit?limit=x"] {
        assert!(call("GET", path, admin, None).status >= 400, "{path}");
    }
    for path in [
        "/health/ready",
        "/api/v1/collections/notes/records",
        "/api/v1/admin/keys",
        "/api/v1/admin/limits",
        "/api/v1/admin/email/status",
        "/api/v1/admin/users",
        "/api/v1/logs",
        "/api/v1/audit?limit=1000",
        "/api/v1/audit/statistics",
        "/openapi.json",
    ] {
        call("GET", path, admin, None);
    }
    answers
}

#[test]
fn no_secret_setting_is_found_in_anything_that_leaves_the_process() {
    let canaries = canaries();
    let mut settings: Vec<(&str, &str)> = canaries.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend([
        ("LOG_LEVEL", "DEBUG"),
        ("DEBUG", "true"),
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", "1"),
        ("SMTP_USER", "mailer"),
        ("AUDIT_FILE", "outside/audit.jsonl"),
    ]);
    let mut server = Server::new(&settings);
    server.start();
    let answers = drive(&server);
    for answer in &answers {
        assert_eq!(found(answer), None, "in an answer");
    }
    for file in ["environ", "cmdline"] {
        assert_eq!(found(&proc(&server, file)), None, "in /proc/PID/{file}");
    }
    // The write-ahead log is there while the server runs; afterwards all of it is in the database.
    let look = |server: &Server, when: &str| {
        let mut all = Vec::new();
        files(server.folder.path(), &mut all);
        assert!(all.iter().any(|path| path.ends_with("app.db")) && all.iter().any(|path| path.ends_with("server.log")));
        for path in all {
            assert_eq!(found(&std::fs::read(&path).unwrap()), None, "{} {when}", path.display());
        }
    };
    look(&server, "while it runs");
    for arguments in [
        &["config"][..],
        &["config", "--json"],
        &["audit", "export"],
        &["audit", "verify"],
        &["keys", "status"],
        &["doctor", "secrets"],
        &["users", "list"],
        &["openapi"],
        &["--help"],
    ] {
        let output = server.run(arguments, "");
        for text in [&output.stdout, &output.stderr] {
            assert_eq!(found(text), None, "{arguments:?}");
        }
    }
    let (status, _) = server.terminate();
    assert!(status.success(), "{}", server.log());
    look(&server, "once it has ended");
    // The same check does find a marker where there is one.
    std::fs::write(server.folder.path().join("leak"), &canaries[0].1).unwrap();
    assert!(found(&std::fs::read(server.folder.path().join("leak")).unwrap()).is_some());
}

#[test]
fn secrets_given_by_environment_leave_it_and_still_count() {
    let mut server = Server::new(&[("SECRET_KEY", "env:OUR_KEY"), ("OUR_KEY", crate::process::SECRET)]);
    server.start();
    let environ = String::from_utf8(proc(&server, "environ")).unwrap();
    assert!(environ.contains("APP_PORT=") && !environ.contains(crate::process::SECRET), "{environ}");
    assert!(!environ.contains("OUR_KEY="), "{environ}");
    // Nothing is left of the way they came: the standard input leads nowhere.
    let input = std::fs::read_link(format!("/proc/{}/fd/0", server.pid())).unwrap();
    assert_eq!(input, Path::new("/dev/null"));
    // A second process with the key says that it is the same: what the first has signed is good there.
    let token = server.set_up();
    server.terminate();
    server.set(&[("SECRET_KEY", crate::process::SECRET), ("OUR_KEY", "")]);
    server.start();
    assert_eq!(server.call("GET", "/api/v1/auth/me", Some(&token), None).status, 200);
}

#[test]
fn in_production_nobody_looks_into_the_process_and_no_core_is_dumped() {
    let mut server = Server::production(&[]);
    server.without_rights().start();
    let limits = String::from_utf8(proc(&server, "limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{cores}");
    let status = String::from_utf8(proc(&server, "status")).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"), "{status}");
    // What is not dumpable belongs to root in `/proc`, whoever runs it: others of the same user neither open nor attach to it.
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap().split('\t').next().unwrap();
    assert_ne!(user, "0", "the server runs as root, of whom nothing can be kept");
    for file in ["mem", "environ", "maps"] {
        assert_eq!(std::fs::metadata(format!("/proc/{}/{file}", server.pid())).unwrap().uid(), 0, "{file}");
    }
}
