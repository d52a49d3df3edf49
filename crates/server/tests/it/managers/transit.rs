//! Data keys that a real OpenBao wraps: what lies in the database, what is asked of the vault and when, and what becomes of every way in
//! which it can fail.

mod failures;
mod nodes;

use std::time::Duration;

use serde_json::{Value, json};

use super::openbao::OpenBao;
use super::{events, refusal, wait_for};
use crate::engine::{Engine, run_blocking};
use crate::keys::KEY_C;
use crate::process::{SECRET, Server};

const KEY: &str = "transit/fastcms";
const MARKER: &str = "a value that lies sealed";
/// No look at the vault while a test runs.
const NEVER: (&str, &str) = ("SECRETS_REFRESH_SECONDS", "3600");
const PRODUCTION: [(&str, &str); 4] = [
    ("ENVIRONMENT", "production"),
    ("BASE_URL", "https://cms.example.com"),
    ("ALLOWED_HOSTS", "127.0.0.1,cms.example.com"),
    ("CORS_ORIGINS", "https://app.example.com"),
];

/// Tests on each engine, of a server and the address of its database.
macro_rules! on_both_engines_blocking {
    ($($test:ident),* $(,)?) => {
        mod sqlite { $(#[test] fn $test() { super::run_blocking(super::Engine::Sqlite, super::$test); })* }
        mod postgres { $(#[test] fn $test() { super::run_blocking(super::Engine::Postgres, super::$test); })* }
    };
}
use on_both_engines_blocking;

on_both_engines_blocking!(
    data_keys_lie_wrapped_by_the_vault_and_follow_its_rotations,
    from_the_ring_to_the_vault_and_back_nothing_is_lost,
);

/// A row of data keys.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: i64,
    purpose: String,
    wrapped: String,
    retired: bool,
}

/// Runs a statement past the product; its rows.
fn statement(database: &str, statement: &str) -> Vec<Vec<String>> {
    if let Some(path) = database.strip_prefix("sqlite:///") {
        let database = rusqlite::Connection::open(path).unwrap();
        let mut prepared = database.prepare(statement).unwrap();
        let width = prepared.column_count();
        let text = |value: rusqlite::types::ValueRef<'_>| match value {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str().unwrap().to_owned(),
        };
        let rows = prepared.query_map([], |row| (0..width).map(|at| row.get_ref(at).map(text)).collect());
        return rows.unwrap().collect::<Result<_, _>>().unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(statement).await.unwrap();
        connection.abort();
        let row = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect())
            }
            _ => None,
        };
        answer.into_iter().filter_map(row).collect()
    })
}

fn data_keys(database: &str) -> Vec<Row> {
    let rows = statement(database, "SELECT id, purpose, wrapped, retired FROM data_keys ORDER BY id");
    let row = |row: Vec<String>| Row {
        id: row[0].parse().unwrap(),
        purpose: row[1].clone(),
        wrapped: row[2].clone(),
        retired: !row[3].is_empty(),
    };
    rows.into_iter().map(row).collect()
}

fn put(database: &str, id: i64, wrapped: &str) {
    statement(database, &format!("UPDATE data_keys SET wrapped = '{wrapped}' WHERE id = {id}"));
}

/// Which version of the key wraps each data key.
fn versions(database: &str) -> Vec<String> {
    let version = |row: Row| {
        let rest = row.wrapped.strip_prefix("t1.transit/fastcms.vault:v");
        let rest = rest.unwrap_or_else(|| panic!("{} lies as {}", row.purpose, row.wrapped));
        rest.split_once(':').unwrap().0.to_owned()
    };
    data_keys(database).into_iter().map(version).collect()
}

/// A collection with an encrypted field, and a record in it; its path.
fn sealed_record(server: &Server, admin: &str) -> String {
    let collection = json!({
        "name": "notes", "schema": [{"name": "body", "type": "text", "encrypted": true}],
        "list_rule": "", "view_rule": "", "create_rule": "", "update_rule": "",
    });
    assert_eq!(server.call("POST", "/api/v1/collections", Some(admin), Some(&collection)).status, 201);
    new_record(server)
}

fn new_record(server: &Server) -> String {
    let body = json!({"data": {"body": MARKER}});
    let made = server.call("POST", "/api/v1/collections/notes/records", None, Some(&body));
    assert_eq!(made.status, 201, "{:?}", String::from_utf8_lossy(&made.body));
    format!("/api/v1/collections/notes/records/{}", made.json()["id"].as_str().unwrap())
}

fn read(server: &Server, record: &str) -> Value {
    let answer = server.call("GET", record, None, None);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"]["body"].clone()
}

/// What a command prints, and its exit code.
fn command(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let output = server.run(arguments, "");
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

fn status(server: &Server) -> (Option<i32>, Value) {
    let output = server.run(&["keys", "status", "--json"], "");
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), told)
}

fn restart(server: &mut Server) {
    assert!(server.terminate().0.success());
    server.start();
}

/// What a data key is, by the vault's own word.
fn plaintext(bao: &OpenBao, row: &Row) -> Vec<u8> {
    use base64::Engine as _;
    let engine = &base64::engine::general_purpose::STANDARD;
    let (_, ciphertext) = row.wrapped.rsplit_once('.').unwrap();
    let bound = engine.encode(format!("fastcms/v1/data-key|{}|{}", row.id, row.purpose));
    let decrypt = [
        "write",
        "-field=plaintext",
        "transit/decrypt/fastcms",
        &format!("ciphertext={ciphertext}"),
        &format!("associated_data={bound}"),
    ];
    engine.decode(bao.run(&decrypt).trim()).unwrap()
}

fn is_within(needle: &[u8], haystack: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Whoever has the database, or the log, has no data key, in whatever form.
fn assert_no_data_key_lies_open(bao: &OpenBao, database: &str, server: &Server) {
    use base64::Engine as _;
    use std::fmt::Write as _;
    let mut dump = statement(database, "SELECT * FROM data_keys").concat().concat().into_bytes();
    if let Some(path) = database.strip_prefix("sqlite:///") {
        for end in ["", "-wal"] {
            dump.extend(std::fs::read(format!("{path}{end}")).unwrap_or_default());
        }
    }
    for row in data_keys(database) {
        let key = plaintext(bao, &row);
        assert_eq!(key.len(), 32);
        let mut hex = String::new();
        for byte in &key {
            write!(hex, "{byte:02x}").unwrap();
        }
        let base64 = base64::engine::general_purpose::STANDARD.encode(&key);
        for form in [&key[..], hex.as_bytes(), base64.as_bytes()] {
            assert!(!is_within(form, &dump), "the data key of {} lies in the database", row.purpose);
            assert!(!is_within(form, server.log().as_bytes()), "the data key of {} is in the log", row.purpose);
        }
    }
}

/// The audit log says of each wrapping and unwrapping what for, by which key, and by which version.
fn assert_each_use_is_an_event(server: &Server, admin: &str) {
    let mut used = events(server, admin, "secret_use");
    used.retain(|event| event["resource_id"] == "ENCRYPTION_TRANSIT_KEY");
    for what in ["wrap data key 1 (audit)", "wrap data key 2 (values)", "unwrap data key 1 (audit)"] {
        let event = used.iter().find(|event| event["details"]["for"] == what);
        let details = &event.unwrap_or_else(|| panic!("{what}: {used:?}"))["details"];
        assert_eq!((&details["source"], &details["version"]), (&json!("vault:transit/fastcms"), &json!("1")));
    }
}

fn data_keys_lie_wrapped_by_the_vault_and_follow_its_rotations(database: &str) {
    let bao = OpenBao::start();
    let role = bao.transit_role();
    let settings = [("DATABASE_URL", database), ("SECRET_KEY", SECRET), ("ENCRYPTION_TRANSIT_KEY", KEY), NEVER];
    let mut server = bao.server(&role, &settings);
    server.start();
    let admin = server.set_up();
    let record = sealed_record(&server, &admin);
    assert_eq!(versions(database), ["1", "1"]);

    assert_no_data_key_lies_open(&bao, database, &server);

    // Each data key is unwrapped once a start; neither requests nor rows ask the vault for anything.
    restart(&mut server);
    let asked = || (bao.asked("transit/encrypt/fastcms"), bao.asked("transit/decrypt/fastcms"));
    let before = asked();
    for _ in 0..20 {
        assert_eq!(read(&server, &record), MARKER);
        new_record(&server);
    }
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(asked(), before);
    restart(&mut server);
    assert_eq!(asked(), (before.0 + 1, before.1 + 2), "a start tries the key, and unwraps two data keys");
    assert_eq!(read(&server, &record), MARKER);
    assert_each_use_is_an_event(&server, &admin);

    let (code, told) = status(&server);
    assert_eq!((code, &told["keys"][0]["wrapped"]), (Some(0), &json!(0)), "{told}");
    let wrapper = json!({
        "kind": "transit", "name": KEY, "state": "current", "data_keys": 2, "sealed": 21, "safe_to_remove": false,
        "versions": [{"version": 1, "data_keys": 2, "sealed": 21}],
    });
    assert_eq!(told["wrappers"][0], wrapper, "{told}");

    // Another version wraps them from the next start, or from a command on, which no server needs to be stopped for.
    bao.run(&["write", "-f", "transit/keys/fastcms/rotate"]);
    restart(&mut server);
    assert_eq!(versions(database), ["2", "2"]);
    bao.run(&["write", "-f", "transit/keys/fastcms/rotate"]);
    assert_eq!(versions(database), ["2", "2"]);
    let (code, said) = command(&server, &["keys", "rewrap"]);
    assert_eq!((code, said.lines().last()), (Some(0), Some("2 data keys were wrapped anew")), "{said}");
    assert_eq!(versions(database), ["3", "3"]);
    assert_eq!(read(&server, &record), MARKER);
    let (code, said) = command(&server, &["keys", "status"]);
    assert!(code == Some(0) && said.contains("transit/fastcms  transit key, wraps data keys"), "{said}");
    assert!(said.contains("version 3       2 data keys, 21 sealed values"), "{said}");
    bao.run(&["write", "transit/keys/fastcms/config", "min_decryption_version=3"]);
    restart(&mut server);
    assert_eq!(read(&server, &record), MARKER);

    let (code, said) = command(&server, &["doctor", "secrets"]);
    assert_eq!(code, Some(0), "{said}");
    for line in ["transit key `transit/fastcms`: 1 open", "data keys: 2 open", "notes.body: 21 open"] {
        assert!(said.contains(line), "{said}");
    }

    // A version that is forgotten too early refuses the start, and is told of.
    bao.run(&["write", "-f", "transit/keys/fastcms/rotate"]);
    bao.run(&["write", "transit/keys/fastcms/config", "min_decryption_version=4"]);
    assert!(server.terminate().0.success());
    server.set(&PRODUCTION);
    let said = refusal(&server, Duration::from_secs(20));
    for part in ["E009", "21 values of `notes.body`", "its version 3 wrapped", "min_decryption_version to 3"] {
        assert!(said.contains(part), "{part} in: {said}");
    }
    bao.run(&["write", "transit/keys/fastcms/config", "min_decryption_version=3"]);
    server.start();
    assert_eq!((versions(database), read(&server, &record)), (vec!["4".to_owned(); 2], json!(MARKER)));
}

fn from_the_ring_to_the_vault_and_back_nothing_is_lost(database: &str) {
    let bao = OpenBao::start();
    let role = bao.transit_role();
    let mut server = bao.server(&role, &[("DATABASE_URL", database), ("SECRET_KEY", SECRET), NEVER]);
    server.set(&[("ENCRYPTION_KEY", KEY_C)]).start();
    let admin = server.set_up();
    let record = sealed_record(&server, &admin);
    let by_ring = |rows: &[Row]| rows.iter().all(|row| row.wrapped.starts_with("w1."));
    assert!(by_ring(&data_keys(database)));
    let (_, told) = status(&server);
    let wrapper = &told["wrappers"][0];
    assert_eq!((&wrapper["kind"], &wrapper["state"]), (&json!("encryption_key"), &json!("current")), "{told}");

    // To the vault: the ring's key may go as soon as the port is open.
    server.set(&[("ENCRYPTION_TRANSIT_KEY", KEY)]);
    restart(&mut server);
    assert_eq!((versions(database), read(&server, &record)), (vec!["1".to_owned(); 2], json!(MARKER)));
    let (code, told) = status(&server);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(told["wrappers"][0]["kind"], "transit");
    let before = &told["wrappers"][1];
    assert_eq!((&before["kind"], &before["safe_to_remove"]), (&json!("encryption_key"), &json!(true)), "{told}");
    server.set(&[("ENCRYPTION_KEY", "")]);
    restart(&mut server);
    assert_eq!(read(&server, &record), MARKER);
    // Another SECRET_KEY is nothing to what the vault wraps.
    let wrapped = data_keys(database);
    server.set(&[("SECRET_KEY", KEY_C)]);
    restart(&mut server);
    assert_eq!((data_keys(database), read(&server, &record)), (wrapped.clone(), json!(MARKER)));

    // Without the way to the vault there is no start, and no command: both say what is wrapped, and nothing is made anew.
    assert!(server.terminate().0.success());
    let way = ["VAULT_ADDR", "VAULT_CACERT", "VAULT_ROLE_ID", "VAULT_SECRET_ID"];
    let given: Vec<(&str, String)> = way.iter().map(|name| (*name, server.setting(name))).collect();
    server.set(&way.map(|name| (name, ""))).set(&[("ENCRYPTION_TRANSIT_KEY", "")]).set(&PRODUCTION);
    let said = refusal(&server, Duration::from_secs(10)) + &command(&server, &["keys", "status"]).1;
    for part in [
        "E009",
        "1 values of `notes.body` (data key",
        "the data key of `audit`",
        "version 1 of the transit key `transit/fastcms`",
    ] {
        assert!(said.lines().filter(|line| line.contains(part)).count() == 2, "{part} in: {said}");
    }
    assert_eq!(data_keys(database), wrapped);
    // Who accepts that reads nothing of what is sealed, and has it in the log.
    server.set(&[("SEALED_DATA_UNREADABLE", "accept")]).start();
    assert_eq!(read(&server, &record), Value::Null);
    assert!(server.terminate().0.success());
    server.set(&[("SEALED_DATA_UNREADABLE", "")]);

    // With it, and without the setting, everything is the ring's again, what was made meanwhile too.
    let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.set(&given).start();
    assert_eq!(read(&server, &record), MARKER);
    assert!(by_ring(&data_keys(database)), "{:?}", data_keys(database));
    server.set(&way.map(|name| (name, "")));
    restart(&mut server);
    assert_eq!(read(&server, &record), MARKER);
    assert_eq!(status(&server).1["wrappers"], Value::Null);
}
