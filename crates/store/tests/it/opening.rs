//! Opening a database that cannot be opened: said at the start, in words that help and give nothing away.

use crate::database::{on_postgres, on_sqlite};
use fastcms_store::{DatabaseUrl, Dialect, Error, Sql, Store, StoreConfig, migrations};
use futures_util::future::join_all;

async fn refusal(url: DatabaseUrl) -> Error {
    Store::open(StoreConfig::new(url)).await.unwrap_err()
}

#[test]
fn a_file_that_is_no_database_is_not_touched() {
    on_sqlite(|database| {
        Box::pin(async move {
            let path = database.folder.path().join("notes.txt");
            std::fs::write(&path, "not a database, but long enough to have a header ".repeat(10)).unwrap();
            let before = std::fs::read(&path).unwrap();
            let error = refusal(DatabaseUrl::sqlite(&path)).await;
            assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        })
    });
}

#[test]
fn a_path_that_cannot_be_is_named() {
    on_sqlite(|database| {
        Box::pin(async move {
            let file = database.folder.path().join("file");
            std::fs::write(&file, "").unwrap();
            for path in [file.join("app.db"), database.folder.path().to_owned()] {
                let error = refusal(DatabaseUrl::sqlite(&path)).await;
                assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
                assert!(error.to_string().contains(database.folder.path().to_str().unwrap()), "{error}");
            }
        })
    });
}

#[test]
fn a_refused_login_does_not_repeat_the_password() {
    on_postgres(|_| {
        Box::pin(async {
            let mut url = url::Url::parse(&std::env::var("TEST_DATABASE_URL").unwrap()).unwrap();
            url.set_username("nobody_of_this_name").unwrap();
            url.set_password(Some("MARKER")).unwrap();
            let error = refusal(DatabaseUrl::parse(url.as_str()).unwrap()).await;
            assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("MARKER"), "{error:?}");
        })
    });
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    on_sqlite(|_| {
        Box::pin(async {
            // A port that was free a moment ago.
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let url = format!("postgresql://nobody:MARKER@127.0.0.1:{port}/none?sslmode=disable");
            let error = refusal(DatabaseUrl::parse(&url).unwrap()).await;
            assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("MARKER"), "{error:?}");
        })
    });
}

#[test]
fn the_figures_of_tables_that_were_small_are_forgotten() {
    on_sqlite(|database| {
        Box::pin(async move {
            let path = database.folder.path().join("figures.db");
            let conn = rusqlite::Connection::open(&path).unwrap();
            for (table, rows) in [("small", 1), ("large", 20_000)] {
                conn.execute_batch(&format!(
                    "CREATE TABLE {table} (n INTEGER PRIMARY KEY, word TEXT); CREATE INDEX {table}_word ON {table} (word);
                     INSERT INTO {table} (word)
                     WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < {rows}) SELECT n % 7 FROM more;"
                ))
                .unwrap();
            }
            conn.execute_batch("ANALYZE").unwrap();
            let plan = |conn: &rusqlite::Connection| -> String {
                conn.query_row("EXPLAIN QUERY PLAN SELECT word FROM small WHERE n > 1000", [], |row| row.get(3))
                    .unwrap()
            };
            assert!(plan(&conn).starts_with("SCAN"), "what this is about");
            drop(conn);
            Store::open(StoreConfig::new(DatabaseUrl::sqlite(&path))).await.unwrap().close().await;
            let conn = rusqlite::Connection::open(&path).unwrap();
            let mut tables = conn.prepare("SELECT DISTINCT tbl FROM sqlite_stat1").unwrap();
            let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            assert_eq!(tables, ["large"]);
            assert!(plan(&conn).starts_with("SEARCH"), "{}", plan(&conn));
        })
    });
}

/// What `SQLite` does about a commit, as the connection that writes says: 1 is NORMAL, 2 is FULL.
async fn synchronous(store: &Store) -> i64 {
    let asked = store.write(|tx| {
        Box::pin(async move { tx.fetch_one(&Sql::with(Dialect::Sqlite, "PRAGMA synchronous", NO_BINDS)).await })
    });
    asked.await.unwrap().unwrap().int(0).unwrap()
}

const NO_BINDS: [i64; 0] = [];

#[test]
fn every_commit_is_flushed_unless_a_start_asks_for_later_and_then_from_when_it_is_settled() {
    on_sqlite(|database| {
        Box::pin(async move {
            // A file that is made, and one that is there.
            for _ in 0..2 {
                let store = Store::open(StoreConfig { settles_later: true, ..database.config() }).await.unwrap();
                migrations::apply(&store).await.unwrap();
                assert_eq!(synchronous(&store).await, 1);
                store.settle().await.unwrap();
                assert_eq!(synchronous(&store).await, 2);
                store.close().await;
            }
            let store = Store::open(database.config()).await.unwrap();
            assert_eq!(synchronous(&store).await, 2);
        })
    });
}

#[test]
fn a_log_that_cannot_be_flushed_is_told_to_who_settles() {
    on_sqlite(|database| {
        Box::pin(async move {
            let store = Store::open(StoreConfig { settles_later: true, ..database.config() }).await.unwrap();
            migrations::apply(&store).await.unwrap();
            let log = database.folder.path().join("data/app.db-wal");
            std::fs::rename(&log, log.with_extension("away")).unwrap();
            std::fs::create_dir(&log).unwrap();
            let error = store.settle().await.unwrap_err();
            assert!(error.to_string().contains("flush"), "{error}");
        })
    });
}

#[test]
fn of_those_who_open_a_new_file_at_once_none_is_refused() {
    on_sqlite(|database| {
        Box::pin(async move {
            for round in 0..20 {
                let path = database.folder.path().join(format!("{round}.db"));
                let open = || Store::open(StoreConfig::new(DatabaseUrl::sqlite(&path)));
                for store in join_all((0..4).map(|_| open())).await {
                    store.unwrap().close().await;
                }
            }
        })
    });
}
