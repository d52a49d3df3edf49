//! Migrations: once each, whole or not at all, and never past a file that was changed.

use crate::database::{execute, on_each_engine, on_sqlite, statement};
use fastcms_store::{Dialect, Error, Store, migrations};
use futures_util::future::join_all;
use rusqlite::Connection;
use std::path::Path;

#[test]
fn a_new_database_gets_everything_once() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = Store::open(database.config()).await.unwrap();
            let status = migrations::status(&store).await.unwrap();
            assert!(status.is_empty_database() && !status.is_current());
            assert_eq!(status.pending, migrations::all(database.dialect));
            assert_eq!(migrations::apply(&store).await.unwrap(), migrations::all(database.dialect));
            assert!(migrations::status(&store).await.unwrap().is_current());
            assert_eq!(migrations::apply(&store).await.unwrap(), []);
        })
    });
}

#[test]
fn of_nodes_that_start_at_once_one_applies() {
    on_each_engine(|database| {
        Box::pin(async move {
            let stores = join_all((0..4).map(|_| async { Store::open(database.config()).await.unwrap() })).await;
            let applied = join_all(stores.iter().map(migrations::apply)).await;
            let applied: usize = applied.into_iter().map(|done| done.unwrap().len()).sum();
            assert_eq!(applied, migrations::all(database.dialect).len());
        })
    });
}

#[test]
fn a_changed_file_and_an_unknown_one_are_refused() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let newer = "INSERT INTO schema_migrations (version, name, checksum) VALUES (999, 'later', 'x')";
            execute(&store, statement(&store, newer)).await.unwrap();
            for error in [migrations::status(&store).await.unwrap_err(), migrations::apply(&store).await.unwrap_err()] {
                assert!(matches!(error, Error::SchemaTooNew { version: 999 }), "{error:?}");
            }
            let changed = "UPDATE schema_migrations SET checksum = 'x' WHERE version = 1";
            execute(&store, statement(&store, "DELETE FROM schema_migrations WHERE version = 999")).await.unwrap();
            execute(&store, statement(&store, changed)).await.unwrap();
            for error in [migrations::status(&store).await.unwrap_err(), migrations::apply(&store).await.unwrap_err()] {
                assert!(matches!(error, Error::MigrationChanged { version: 1, .. }), "{error:?}");
            }
        })
    });
}

#[test]
fn numbers_of_events_go_on_where_they_were_when_their_table_is_made_anew() {
    let file = rusqlite::Connection::open_in_memory().unwrap();
    file.execute_batch(include_str!("../../migrations/sqlite/0009_audit.sql")).unwrap();
    let event =
        "INSERT INTO audit_logs (id, created, event_type, event_action, severity, outcome, description, key_id, mac)
        VALUES (hex(randomblob(8)), '', 'record', 'create', 'info', 'success', '', 1, x'00')";
    for _ in 0..5 {
        file.execute_batch(event).unwrap();
    }
    // The last two went, as when retention takes all that there is.
    file.execute_batch("DROP TRIGGER audit_logs_kept; DELETE FROM audit_logs WHERE seq > 3").unwrap();
    file.execute_batch("CREATE TRIGGER audit_logs_kept BEFORE DELETE ON audit_logs BEGIN SELECT 1; END").unwrap();
    file.execute_batch(include_str!("../../migrations/sqlite/0021_audit_ids.sql")).unwrap();
    file.execute_batch(event).unwrap();
    let numbers = file.prepare("SELECT seq FROM audit_logs ORDER BY seq").unwrap();
    let numbers: Vec<i64> = { numbers }.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(numbers, [1, 2, 3, 6]);
    let refused = file.execute_batch("DELETE FROM audit_logs WHERE seq = 1").unwrap_err();
    assert!(refused.to_string().contains("append-only"), "{refused}");
}

#[test]
fn linked_events_are_found_under_their_accounts_after_the_migration() {
    let file = rusqlite::Connection::open_in_memory().unwrap();
    for earlier in [
        include_str!("../../migrations/sqlite/0009_audit.sql"),
        include_str!("../../migrations/sqlite/0021_audit_ids.sql"),
    ] {
        file.execute_batch(earlier).unwrap();
    }
    for account in ["'a'", "'b'", "NULL", "'a'", "'b'"] {
        let event = format!(
            "INSERT INTO audit_logs (id, created, event_type, event_action, severity, outcome, user_id, description, key_id, mac)
             VALUES (hex(randomblob(8)), '', 'record', 'create', 'info', 'success', {account}, '', 1, x'00')"
        );
        file.execute_batch(&event).unwrap();
    }
    // The last is not linked yet.
    file.execute_batch("INSERT INTO audit_blocks VALUES (1, 1, 1, 0, 2, x'', ''), (2, 1, 3, 2, 4, x'', '')").unwrap();
    file.execute_batch(include_str!("../../migrations/sqlite/0022_audit_users.sql")).unwrap();
    let found = texts(&file, "SELECT account_id || first_seq || last_seq FROM audit_users ORDER BY 1");
    assert_eq!(found, ["a11", "a44", "b22"]);
}

#[test]
fn every_file_is_embedded_and_the_engines_have_the_same_ones() {
    let embedded = |dialect| {
        let all = migrations::all(dialect).iter();
        all.map(|m| format!("{:04}_{}.sql", m.version, m.name)).collect::<Vec<_>>()
    };
    for (dialect, folder) in [(Dialect::Sqlite, "sqlite"), (Dialect::Postgres, "postgres")] {
        let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, embedded(dialect));
    }
    assert_eq!(embedded(Dialect::Sqlite), embedded(Dialect::Postgres));
}

/// A database as the files make it one after another.
fn step_by_step() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    for migration in migrations::all(Dialect::Sqlite) {
        let file = folder.join(format!("{:04}_{}.sql", migration.version, migration.name));
        conn.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
    }
    conn
}

fn texts(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// What makes another database the same: its tables, indexes and triggers as it has them by heart, then its rows.
fn script(conn: &Connection) -> String {
    let mut statements = texts(conn, "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY rowid");
    for table in
        texts(conn, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid")
    {
        let columns = texts(conn, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"));
        let quoted = columns.iter().map(|column| format!("quote({column})")).collect::<Vec<_>>().join(" || ', ' || ");
        for row in texts(conn, &format!("SELECT {quoted} FROM {table}")) {
            statements.push(format!("INSERT INTO {table} ({}) VALUES ({row})", columns.join(", ")));
        }
    }
    statements.iter().fold(String::new(), |text, statement| text + statement + ";\n")
}

#[test]
fn the_script_for_an_empty_database_is_what_the_files_come_to() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite.sql");
    let text = format!("-- Made by `cargo xtask docs` out of the files in sqlite/.\n{}", script(&step_by_step()));
    if std::env::var_os("FASTCMS_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "migrations/sqlite.sql is not what the files come to: run `cargo xtask docs`");
}

#[test]
fn an_empty_database_becomes_what_the_files_make_of_it_one_after_another() {
    on_sqlite(|database| {
        Box::pin(async move {
            database.store().await.close().await;
            let whole = Connection::open(database.folder.path().join("data/app.db")).unwrap();
            let recorded = texts(&whole, "SELECT name FROM schema_migrations ORDER BY version");
            assert_eq!(recorded, migrations::all(Dialect::Sqlite).iter().map(|m| m.name).collect::<Vec<_>>());
            whole.execute_batch("DELETE FROM schema_migrations").unwrap();
            assert_eq!(script(&whole), script(&step_by_step()));
        })
    });
}
