//! Every secret setting is a marker here, and no marker may be found anywhere: in an answer, the log, the database, files, `/proc`, the
//! commands, or what is said of a configuration that is wrong. On both engines, and with secrets that a manager keeps.

use std::path::{Path, PathBuf};

use fastcms_core::config::catalog;
use fastcms_core::config::{Kind, Secrecy};
use serde_json::{Value, json};

use super::proc;
use crate::canary::{MARKER, found};
use crate::engine::{Engine, run_blocking};
use crate::managers::age::KeyPair;
use crate::managers::openbao::OpenBao;
use crate::process::{PASSWORD, Server};

/// An identity of age that opens nothing.
const IDENTITY: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

/// A marker of a number; long and varied enough to be a key.
fn marker(number: usize) -> String {
    format!("{MARKER}{number:03}-4f1c0a9be37d52680c1f9e4ab7d33655-{MARKER}")
}

/// Every secret setting with a marker for a value, but the database's.
fn canaries() -> Vec<(&'static str, String)> {
    let mut canaries = Vec::new();
    for (number, variable) in catalog::ALL.iter().enumerate().filter(|(_, variable)| variable.is_secret()) {
        let marker = marker(number);
        match (variable.name, variable.secrecy, variable.kind) {
            ("DATABASE_URL", ..) => {}
            // Of an identity only a comment may be of our choice.
            (name @ "SECRETS_AGE_IDENTITY", ..) => canaries.push((name, format!("# {marker}\n{IDENTITY}"))),
            // Nobody is there, which is said in the log, of the host alone.
            ("AUDIT_WEBHOOK_URL", ..) => canaries.push((variable.name, format!("http://127.0.0.1:1/{marker}"))),
            ("REDIS_URL", ..) => canaries.push((variable.name, format!("redis://:{marker}@127.0.0.1:1/0"))),
            (_, Secrecy::Secret, Kind::Key | Kind::Keys | Kind::Text) => canaries.push((variable.name, marker)),
            other => panic!("a new kind of secret: {other:?}"),
        }
    }
    assert!(canaries.len() >= 22, "{}", canaries.len());
    canaries
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Calls a server and looks at every answer.
struct Driver<'s> {
    server: &'s Server,
    admin: String,
}

impl Driver<'_> {
    fn call(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Value {
        let body = (method != "GET").then_some(body);
        let answer = self.server.call(method, path, token, body);
        assert_eq!(found(&answer.body), None, "in the answer to {method} {path}");
        assert_eq!(found(format!("{:?}", answer.headers).as_bytes()), None, "in a header of {method} {path}");
        json!({"status": answer.status, "body": serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()})
    }

    /// As the admin; the body of an answer of this status.
    #[track_caller]
    fn admin(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.call(method, path, Some(&self.admin), body);
        assert_eq!(answer["status"], status, "{method} {path}: {answer}");
        answer["body"].clone()
    }

    /// As nobody.
    #[track_caller]
    fn guest(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.call(method, path, None, body);
        assert_eq!(answer["status"], status, "{method} {path}: {answer}");
        answer["body"].clone()
    }

    fn content(&self) {
        let schema = json!([{"name": "title", "type": "text"}, {"name": "body", "type": "text", "encrypted": true}]);
        let notes = json!({"name": "notes", "schema": schema, "list_rule": "", "view_rule": "", "create_rule": ""});
        self.admin("POST", "/api/v1/collections", &notes, 201);
        // What lies sealed is found in the answer to whoever may see it, and in no file.
        let sealed = json!({"data": {"title": "t", "body": "a text that is nobody else's"}});
        self.admin("POST", "/api/v1/collections/notes/records", &sealed, 201);
        let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
        let answer = self.server.ask("POST", "/api/v1/files").token(&self.admin).form("b", form).expect(201);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        self.admin("POST", &format!("/api/v1/files/{id}/token"), &json!({}), 200);
    }

    fn people(&self) {
        let who = json!({"email": "a@example.com", "password": PASSWORD, "password_confirm": PASSWORD, "name": "A"});
        let ann = self.guest("POST", "/api/v1/auth/register", &who, 201);
        let login = json!({"email": "a@example.com", "password": PASSWORD});
        let signed_in = self.guest("POST", "/api/v1/auth/login", &login, 200);
        let refresh = json!({"refresh_token": signed_in["token"]["refresh_token"]});
        let access = signed_in["token"]["access_token"].as_str().unwrap().to_owned();
        self.guest("POST", "/api/v1/auth/refresh", &refresh, 200);
        for door in ["request-password-reset", "request-otp", "resend-verification"] {
            let status = self.call("POST", &format!("/api/v1/auth/{door}"), None, &json!({"email": "a@example.com"}));
            assert!(status["status"].as_u64().unwrap() < 500, "{door}: {status}");
        }
        let reset = json!({"token": "x".repeat(43), "password": PASSWORD, "password_confirm": PASSWORD});
        assert_eq!(self.call("POST", "/api/v1/auth/reset-password", None, &reset)["status"], 400);
        let key = self.call("POST", "/api/v1/api-keys", Some(&self.admin), &json!({"name": "k"}));
        let key = key["body"]["key"].as_str().unwrap().to_owned();
        self.server.ask("GET", "/api/v1/auth/me").with("X-API-Key", &key).expect(200);
        self.server.ask("GET", "/api/v1/auth/me").with("X-API-Key", &format!("{}0", &key[..key.len() - 1])).status();
        for wrong in [format!("{}x", &access[..access.len() - 1]), "nonsense".to_owned()] {
            assert_eq!(self.call("GET", "/api/v1/auth/me", Some(&wrong), &Value::Null)["status"], 401);
        }
        let act = format!("/api/v1/admin/users/{}/impersonate", ann["user"]["id"].as_str().unwrap());
        self.admin("POST", &act, &json!({"reason": "a look"}), 200);
        self.admin("POST", "/api/v1/auth/2fa/setup", &json!({}), 200);
        for _ in 0..6 {
            let wrong = json!({"email": "a@example.com", "password": "wrong-horse-1"});
            self.guest("POST", "/api/v1/auth/login", &wrong, 401);
        }
    }

    fn administration(&self) {
        let role = json!({"name": "Auditor", "permissions": ["audit:read"]});
        self.admin("POST", "/api/v1/admin/roles", &role, 201);
        self.admin("POST", "/api/v1/admin/ip-rules", &json!({"cidr": "192.0.2.0/24", "rule_type": "block"}), 201);
        // Refused, faulty and unknown: what errors say is looked at too.
        self.admin("POST", "/api/v1/admin/keys/rotate", &json!({}), 409);
        self.admin("POST", "/api/v1/admin/email/test", &json!({"to_email": "b@example.com"}), 502);
        for name in ["SMTP_PASSWORD", "SECRET_KEY", "NOBODYS"] {
            let rotate = format!("/api/v1/admin/secrets/{name}/rotate");
            assert!(self.call("POST", &rotate, Some(&self.admin), &json!({}))["status"].as_u64().unwrap() >= 400);
        }
        for path in ["/api/v1/collections/notes/records?filter=((", "/nowhere", "/api/v1/audit?limit=x"] {
            assert!(self.call("GET", path, Some(&self.admin), &Value::Null)["status"].as_u64().unwrap() >= 400);
        }
        // Everything that can be read at all.
        for operation in fastcms::api::operations() {
            let (method, path) = (operation.method().to_string(), operation.path());
            if method == "GET" && !path.contains('{') {
                self.call("GET", path, Some(&self.admin), &Value::Null);
            }
        }
    }
}

/// The server's log, files and own view of the system hold no marker.
fn assert_silent(server: &Server, when: &str) {
    let mut all = Vec::new();
    files(server.folder.path(), &mut all);
    assert!(all.iter().any(|path| path.ends_with("server.log")));
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(found(&bytes), None, "{} {when}", path.display());
        let sealed = b"a text that is nobody else's";
        assert!(!bytes.windows(sealed.len()).any(|window| window == sealed), "{} {when}", path.display());
    }
}

/// Uses a server in every way there is and looks at everything it leaves.
fn assert_nothing_leaks(server: &mut Server) {
    server.start();
    let driver = Driver { admin: server.set_up(), server };
    driver.content();
    driver.people();
    driver.administration();
    for file in ["environ", "cmdline"] {
        assert_eq!(found(&proc(server, file)), None, "in /proc/PID/{file}");
    }
    // The write-ahead log is there while the server runs; afterwards all of it is in the database.
    assert_silent(server, "while it runs");
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
    assert_silent(server, "once it has ended");
    // The same check does find a marker where there is one.
    let leak = server.folder.path().join("leak");
    std::fs::write(&leak, marker(7)).unwrap();
    assert!(found(&std::fs::read(&leak).unwrap()).is_some());
}

fn server(canaries: &[(&str, String)], more: &[(&str, &str)]) -> Server {
    let mut settings: Vec<(&str, &str)> = canaries.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend([
        ("LOG_LEVEL", "DEBUG"),
        ("DEBUG", "true"),
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", "1"),
        ("SMTP_USER", "mailer"),
        ("AUDIT_FILE", "outside/audit.jsonl"),
        ("REDIS_ENABLED", "false"),
    ]);
    settings.extend(more);
    Server::new(&settings)
}

#[test]
fn no_secret_setting_is_found_in_anything_that_leaves_the_process() {
    assert_nothing_leaks(&mut server(&canaries(), &[]));
}

/// The same with the database's password a marker too, and everything in the database looked at, table by table.
#[test]
fn no_secret_setting_is_found_in_a_database_of_postgresql() {
    run_blocking(Engine::Postgres, |url| {
        let role = format!("reader_{}", uuid::Uuid::now_v7().simple());
        let password = marker(25);
        let mut own = url::Url::parse(url).unwrap();
        let name = own.path().trim_start_matches('/').to_owned();
        query(
            url,
            &format!(
                "CREATE ROLE {role} LOGIN PASSWORD '{password}'; GRANT ALL ON DATABASE {name} TO {role}; GRANT ALL ON SCHEMA public TO {role}"
            ),
        );
        own.set_username(&role).unwrap();
        own.set_password(Some(&password)).unwrap();
        assert_nothing_leaks(&mut server(&canaries(), &[("DATABASE_URL", own.as_str())]));
        let tables = query(
            url,
            "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
             WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'",
        );
        assert!(tables.len() > 20, "{tables:?}");
        let mut rows = 0;
        for table in tables {
            for row in query(url, &format!("SELECT t::text FROM {table} AS t")) {
                assert_eq!(found(row.as_bytes()), None, "in {table}");
                rows += 1;
            }
        }
        assert!(rows > 50, "{rows} rows are too few to prove anything");
        query(url, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    });
}

/// Runs statements and answers the first column of what the last one says.
fn query(url: &str, statements: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        let answered = client.simple_query(statements).await.unwrap();
        drop(client);
        let _ = driving.await;
        let rows = answered.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        rows.collect()
    })
}

/// Secrets that come from a manager go no other ways than those that are given.
#[test]
fn no_secret_of_a_manager_is_found_in_anything_that_leaves_the_process() {
    let (bao, canaries) = (OpenBao::start(), canaries());
    let kept = ["SECRET_KEY", "ENCRYPTION_KEY", "SMTP_PASSWORD", "AUDIT_WEBHOOK_SECRET", "GITHUB_CLIENT_SECRET"];
    let fields: Vec<(&str, &str)> =
        canaries.iter().filter(|(name, _)| kept.contains(name)).map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(fields.len(), kept.len());
    bao.put("fastcms/prod", &fields);
    let references: Vec<(&str, String)> =
        kept.iter().map(|name| (*name, format!("vault:secret/fastcms/prod#{name}"))).collect();
    let references: Vec<(&str, &str)> = references.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let mut server = bao.server(&bao.app_role(), &references);
    server.set(&[
        ("LOG_LEVEL", "DEBUG"),
        ("DEBUG", "true"),
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", "1"),
        ("SMTP_USER", "mailer"),
        ("AUDIT_WEBHOOK_URL", "http://127.0.0.1:1/audit"),
    ]);
    assert_nothing_leaks(&mut server);
}

/// Nor do secrets that lie in a file of age.
#[test]
fn no_secret_in_a_file_of_age_is_found_in_anything_that_leaves_the_process() {
    let (pair, mut canaries) = (KeyPair::make(), canaries());
    canaries.retain(|(name, _)| *name != "SECRETS_AGE_IDENTITY");
    let lines: Vec<String> = canaries.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let identity = pair.identity();
    let mut server = server(&[], &[("SECRET_KEY", ""), ("SECRETS_AGE_FILE", "secrets.age")]);
    server.set(&[("SECRETS_AGE_IDENTITY_FILE", identity.to_str().unwrap())]);
    pair.encrypt(&server.folder.path().join("secrets.age"), &lines.concat());
    assert_nothing_leaks(&mut server);
}

/// What is said of a configuration that is wrong names the setting, and nothing of what stands in it.
#[test]
fn what_is_wrong_with_a_secret_is_said_without_it() {
    // Whatever is not refused ends with the port, which is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let long = marker(1);
    let mut wrong: Vec<(&str, String)> = canaries()
        .into_iter()
        .filter(|(name, _)| name.starts_with("SECRET_KEY") || name.starts_with("ENCRYPTION_KEY"))
        .flat_map(|(name, _)| [MARKER.to_owned(), format!("{long} "), format!("vault:{long}")].map(|text| (name, text)))
        .collect();
    wrong.extend([
        ("DATABASE_URL", format!("postgres://u:{long}@127.0.0.1:99999/db")),
        ("DATABASE_URL", format!("postgres://u:{long}@[/db")),
        ("DATABASE_URL", format!("mysql://u:{long}@127.0.0.1/db")),
        ("DATABASE_URL", format!("postgres://u:{long}@127.0.0.1:1/db")),
        ("REDIS_URL", format!("http://:{long}@127.0.0.1")),
        ("REDIS_URL", format!("redis://:{long}@[")),
    ]);
    for (name, text) in wrong {
        for command in ["serve", "config"] {
            let output = Server::production(&[("APP_PORT", &port), (name, &text)]).run(&[command], "");
            assert!(command == "config" || output.status.code() == Some(1), "{name}={text}: {output:?}");
            assert_eq!(found(&[output.stdout, output.stderr].concat()), None, "{command} with {name}={text}");
        }
    }
    // A file that cannot be read as what it is meant to be.
    for (file, text) in [
        ("fastcms.toml", format!("secret_key = \"{long}\nport = 1\n")),
        ("fastcms.toml", format!("secret_key = {long}\n")),
        ("fastcms.toml", format!("smtp_password = [\"{long}\"]\n")),
        (".env", format!("SECRET_KEY {long}\n")),
        (".env", format!("SECRET_KEY=\"{long}\n")),
        (".env", format!("={long}\n")),
    ] {
        let server = Server::new(&[("SECRET_KEY", ""), ("APP_PORT", &port)]);
        std::fs::write(server.folder.path().join(file), &text).unwrap();
        for command in ["serve", "config"] {
            let output = server.run(&[command], "");
            assert_eq!(found(&[output.stdout, output.stderr].concat()), None, "{command} with {file}: {text}");
        }
    }
}
