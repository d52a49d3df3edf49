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
