//! R87: what only asks changes nothing. Every GET and HEAD there is, by everybody, and the whole database before and after.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::callers::{Calls, open};
use crate::engine::Engine;
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(no_safe_method_changes_what_is_stored);

/// Written down beside every request, whatever it is: who came when, and what was refused.
const BOOKS: [&str; 8] = [
    "request_logs",
    "audit_logs",
    "audit_segments",
    "audit_blocks",
    "audit_users",
    "limit_windows",
    "signing_key_ends",
    "sqlite_sequence",
];

/// All rows of all tables, as text.
async fn everything(product: &Product) -> BTreeMap<String, Vec<String>> {
    let mut all = match product.engine() {
        Engine::Sqlite => of_sqlite(product.url().strip_prefix("sqlite://").unwrap()),
        Engine::Postgres => of_postgres(product.url()).await,
    };
    all.retain(|table, _| !BOOKS.contains(&table.as_str()));
    assert!(all.len() > 10 && all.values().any(|rows| !rows.is_empty()), "{:?}", all.keys());
    all
}

fn of_sqlite(file: &str) -> BTreeMap<String, Vec<String>> {
    let database = rusqlite::Connection::open(file).unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'";
    let mut tables = database.prepare(tables).unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let rows = |name: &str| {
        let mut statement = database.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..columns).map(|at| row.get_ref(at).map(|value| format!("{value:?}"))).collect::<Result<Vec<_>, _>>()
        });
        let mut rows: Vec<String> = rows.unwrap().map(|row| row.unwrap().join("|")).collect();
        rows.sort();
        rows
    };
    names.into_iter().map(|name| (name.clone(), rows(&name))).collect()
}

async fn of_postgres(url: &str) -> BTreeMap<String, Vec<String>> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let driving = tokio::spawn(connection);
    let tables = "SELECT schemaname || '.' || tablename, tablename FROM pg_tables
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let mut all = BTreeMap::new();
    for table in client.query(tables, &[]).await.unwrap() {
        let (full, name): (String, String) = (table.get(0), table.get(1));
        let rows = client.query(&format!("SELECT t::text FROM {full} t ORDER BY 1"), &[]).await.unwrap();
        all.insert(name, rows.iter().map(|row| row.get(0)).collect());
    }
    drop(client);
    let _ = driving.await;
    all
}

async fn no_safe_method_changes_what_is_stored(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ann").await;
    let collection = admin.collection(&open("things", &json!([{"name": "title", "type": "text"}]))).await;
    let thing = admin.make("things", &json!({"title": "one"})).await;
    let key = admin.post("/api/v1/api-keys", &json!({"name": "k"})).await.expect(201).json();
    let document = fastcms::api::document(&product.app);
    let ids = [text(&thing["id"]), text(&collection["id"]), user.id.clone(), text(&key["id"])];
    let mut paths: Vec<String> =
        ["/", "/setup", "/admin/setup", "/admin/verify-email", "/admin/unlock"].map(str::to_owned).into();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_some() {
            paths.extend(ids.iter().map(|id| filled(path, id)));
        }
    }
    paths.sort();
    paths.dedup();
    // Once, so that what is written at first sight (such as a session's last use) is there.
    walk(product, &admin, &user, &paths).await;
    let before = everything(product).await;
    walk(product, &admin, &user, &paths).await;
    let after = everything(product).await;
    for (table, rows) in &before {
        assert_eq!(Some(rows), after.get(table), "{table}");
    }
    assert_eq!(before.len(), after.len());
}

/// A path of the document, with names and ids filled in.
fn filled(path: &str, id: &str) -> String {
    let mut out = String::new();
    for segment in path.split('/').skip(1) {
        out.push('/');
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some("collection" | "name") => out.push_str("things"),
            Some(_) => out.push_str(id),
            None => out.push_str(segment),
        }
    }
    out
}

async fn walk(product: &Product, admin: &impl Calls, user: &impl Calls, paths: &[String]) {
    let mut answered: BTreeMap<u16, usize> = BTreeMap::new();
    for path in paths {
        for method in [Method::GET, Method::HEAD] {
            for answer in [
                admin.call(method.clone(), path, None::<&Value>).await,
                user.call(method.clone(), path, None).await,
                product.guest().call(method.clone(), path, None).await,
            ] {
                assert!(answer.status.as_u16() < 500, "{method} {path}: {}", answer.status);
                *answered.entry(answer.status.as_u16()).or_default() += 1;
            }
        }
    }
    assert!(answered[&200] > 40, "{answered:?}");
}
