//! Credentials that change in the vault while the server runs: those of the database, of Redis and of the mail server. No request fails.

use std::time::Duration;

use serde_json::json;

use super::load::under_load;
use super::openbao::{AppRole, OpenBao, pem};
use super::{GRACE, REFRESH, freshness, wait_for};
use crate::engine::{Engine, run_blocking};
use crate::external::External;
use crate::mails::smtp::Smtp;
use crate::process::{PASSWORD, SECRET, Server};

const PATH: &str = "fastcms/prod";

/// A server all of whose secrets are in the vault, found there by their names.
fn server(bao: &OpenBao, role: &AppRole, settings: &[(&str, &str)]) -> Server {
    let mut server =
        bao.server(role, &[("SECRET_KEY", ""), ("DATABASE_URL", ""), ("VAULT_SECRET_PATH", "secret/fastcms/prod")]);
    server.set(settings);
    server
}

/// Says something to Redis, and reads its answer of one line or one bulk.
fn redis(port: u16, said: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("{said}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Redis is used, and mail goes to a server whose certificate this file vouches for.
fn around<'s>(mail_port: &'s str, trusted: &'s str) -> [(&'s str, &'s str); 8] {
    [
        ("REDIS_ENABLED", "true"),
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_PER_MINUTE", "100000"),
        ("RATE_LIMIT_PER_HOUR", "1000000"),
        ("SMTP_USER", "cms"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", mail_port),
        ("SSL_CERT_FILE", trusted),
    ]
}

/// The first column of what a statement answers.
async fn query(url: &str, statement: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let rows = client.simple_query(statement).await.unwrap();
    connection.abort();
    let first = |row: &tokio_postgres::SimpleQueryMessage| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    rows.iter().filter_map(first).collect()
}

#[test]
fn credentials_of_database_redis_and_mail_server_change_in_the_vault_and_no_request_fails() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (bao, cache, smtp) = (OpenBao::start(), External::redis(), runtime.block_on(Smtp::start()));
    let role = bao.app_role();
    let trusted = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(trusted.path(), pem("CERTIFICATE", &smtp.authority)).unwrap();
    run_blocking(Engine::Postgres, |first| {
        let user = format!("user_{}", uuid::Uuid::now_v7().simple());
        let execute = |statement: &str| runtime.block_on(query(first, statement));
        execute(&format!("CREATE ROLE {user} LOGIN SUPERUSER PASSWORD 'second'"));
        let mut second = url::Url::parse(first).unwrap();
        second.set_username(&user).unwrap();
        second.set_password(Some("second")).unwrap();
        let address = format!("redis://127.0.0.1:{}/0", cache.port);
        let put = |database: &str, cache: &str, mail: &str| {
            let fields =
                [("SECRET_KEY", SECRET), ("DATABASE_URL", database), ("REDIS_URL", cache), ("SMTP_PASSWORD", mail)];
            bao.put(PATH, &fields);
        };
        put(first, &address, "smtp-password");
        let mut server = server(&bao, &role, &around(&smtp.port.to_string(), trusted.path().to_str().unwrap()));
        server.start();
        let admin = server.set_up();
        let of_others = format!(
            "FROM pg_stat_activity WHERE datname = current_database() AND usename <> '{user}' AND pid <> pg_backend_pid()"
        );
        let (counted, ended) =
            (format!("SELECT count(*) {of_others}"), format!("SELECT pg_terminate_backend(pid) {of_others}"));
        let others = || execute(&counted)[0].parse::<usize>().unwrap();
        let patience = Duration::from_secs(REFRESH) * 3 + GRACE * 5;
        let ((), tally) = under_load(&server, &admin, || {
            redis(cache.port, "ACL SETUSER second on >word ~* +@all");
            smtp.change_password("another-password");
            put(second.as_str(), &address.replace("//", "//second:word@"), "another-password");
            // What listens for changes goes on until it is cut off, and comes back as the second.
            wait_for("the work is the second user's", patience, || others() <= 1);
            execute(&ended);
            wait_for("and so is everything", patience, || others() == 0);
            wait_for("so does Redis", patience, || redis(cache.port, "CLIENT LIST").contains("user=second"));
            // The first ones are gone, and nothing asks for them.
            redis(cache.port, "ACL SETUSER default off");
            std::thread::sleep(Duration::from_secs(1));
        });
        // Refreshing tokens has a budget of its own, which so many clients on one address use up.
        let faults: Vec<&String> = tally.faults.iter().filter(|fault| !fault.contains("status: 429")).collect();
        assert!(faults.is_empty(), "{} of {:?}: {:?}", faults.len(), tally.answers, faults.first());
        println!("{:?}", tally.answers);
        let limits = server.call("GET", "/api/v1/admin/limits", Some(&admin), None).json();
        assert_eq!((&limits["backend"]["name"], &limits["backend"]["degraded"]), (&"redis".into(), &false.into()));
        smtp.take();
        let late = json!({"email": "late@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
        assert_eq!(server.call("POST", "/api/v1/auth/register", None, Some(&late)).status, 201);
        wait_for("a mail arrives under the new password", patience, || {
            smtp.take().iter().any(|mail| mail.to == ["late@example.com"])
        });
        assert_eq!(freshness(&server, &admin), "fresh");
        let said = format!("{} {:?}", server.log(), server.run(&["config", "--json"], ""));
        for secret in ["another-password", "second:word", ":second@", SECRET] {
            assert!(!said.contains(secret), "a secret is in what the server says: {secret}");
        }
        server.terminate();
        execute(&format!("REASSIGN OWNED BY {user} TO CURRENT_USER; DROP OWNED BY {user}; DROP ROLE {user}"));
    });
}

/// What is wrong is said of each secret at once, without a database, and by the exit code; and a start says what it waits for.
#[test]
fn a_check_says_what_would_come_of_each_secret_and_a_start_says_what_it_waits_for() {
    let bao = OpenBao::start();
    let role = bao.app_role();
    bao.put(PATH, &[("SECRET_KEY", SECRET)]);
    let mut server = server(&bao, &role, &[("DATABASE_URL", "sqlite:///nowhere/at/all.db")]);
    let check = |server: &Server| {
        let output = server.run(&["secrets", "check", "--json"], "");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let item = told["items"].as_array().unwrap().iter().find(|item| item["name"] == "SECRET_KEY").unwrap().clone();
        (output.status.code(), item)
    };
    let (code, key) = check(&server);
    assert_eq!((code, &key["state"], &key["version"]), (Some(0), &"fresh".into(), &"1".into()), "{key}");
    assert_eq!(key["source"], "vault:secret/fastcms/prod#SECRET_KEY");
    assert_eq!(key["then"], "a new one is taken up while the server runs");
    let listed = String::from_utf8(server.run(&["secrets", "list"], "").stdout).unwrap();
    let line = listed.lines().find(|line| line.starts_with("SECRET_KEY ")).unwrap();
    assert!(line.contains("  fresh  0 d  1") && line.ends_with("vault:secret/fastcms/prod#SECRET_KEY"), "{listed}");

    server.set(&[("SECRET_KEY", "vault:secret/fastcms/prod#NOTHING")]);
    let (code, key) = check(&server);
    assert_eq!(
        (code, &key["state"], &key["then"]),
        (Some(1), &"missing".into(), &"a start is refused".into()),
        "{key}"
    );
    assert!(key["fault"].as_str().unwrap().contains("is not there (no field `NOTHING`)"), "{key}");

    bao.seal();
    let (code, key) = check(&server);
    assert_eq!((code, &key["then"]), (Some(1), &"a start asks again for 2 s, and is refused then".into()), "{key}");
    let said = super::refusal(&server, Duration::from_secs(20));
    assert!(said.contains("the start waits for a secret") && said.contains("seconds_left"), "{said}");
}
