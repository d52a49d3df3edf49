//! Migrations: once each, whole or not at all, and never past a file that was changed.

use crate::database::{execute, on_each_engine, statement};
use fastcms_store::{Dialect, Error, Store, migrations};
use futures_util::future::join_all;

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
