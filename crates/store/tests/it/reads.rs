//! Reads: bounded in time, apart from each other, and unable to write.

use crate::database::{ddl, execute, fetch, number, on_each_engine, on_sqlite, statement};
use fastcms_store::{Error, Plan, Sql, Store};
use std::time::{Duration, Instant};

/// Counts to a number that takes hours.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000000)
    SELECT count(*) FROM n";

#[test]
fn a_slow_scan_is_stopped_and_stalls_nobody() {
    on_each_engine(|database| {
        Box::pin(async move {
            let mut config = database.config();
            config.time_budget = Duration::from_secs(2);
            config.readers = 2;
            let store = database.store_with(config).await;
            let started = Instant::now();
            let scans: Vec<_> = [Plan::Scan, Plan::Within(Duration::from_millis(1_500))]
                .map(|plan| {
                    let (store, sql) = (store.clone(), statement(&store, ENDLESS));
                    tokio::spawn(async move { fetch(&store, plan, sql).await })
                })
                .into();
            tokio::time::sleep(Duration::from_millis(50)).await;
            let asked = Instant::now();
            store.ping().await.unwrap();
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            for scan in scans {
                let error = scan.await.unwrap().unwrap_err();
                assert!(matches!(error, Error::Timeout), "{error:?}");
            }
            assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
            let row = fetch(&store, Plan::Scan, statement(&store, "SELECT 1")).await.unwrap();
            assert_eq!(row[0].int(0).unwrap(), 1);
        })
    });
}

#[test]
fn a_bounded_read_that_was_none_is_stopped_too() {
    on_sqlite(|database| {
        Box::pin(async move {
            let mut config = database.config();
            config.time_budget = Duration::from_millis(100);
            let store = database.store_with(config).await;
            let error = fetch(&store, Plan::Bounded, statement(&store, ENDLESS)).await.unwrap_err();
            assert!(matches!(error, Error::Timeout), "{error:?}");
            assert_eq!(number(&store, "SELECT 1").await, 1);
        })
    });
}

#[test]
fn scans_beyond_the_queue_are_refused() {
    on_sqlite(|database| {
        Box::pin(async move {
            let mut config = database.config();
            (config.readers, config.read_queue) = (1, 2);
            let store = database.store_with(config).await;
            let scan = |store: &Store| {
                let (store, sql) = (store.clone(), statement(store, ENDLESS));
                tokio::spawn(async move { fetch(&store, Plan::Within(Duration::from_secs(1)), sql).await })
            };
            let first = scan(&store);
            tokio::time::sleep(Duration::from_millis(200)).await;
            let waiting = [scan(&store), scan(&store)];
            tokio::time::sleep(Duration::from_millis(100)).await;
            let error = scan(&store).await.unwrap().unwrap_err();
            assert!(matches!(error, Error::Overloaded), "{error:?}");
            for scan in [first].into_iter().chain(waiting) {
                assert!(matches!(scan.await.unwrap(), Err(Error::Timeout)));
            }
        })
    });
}

#[test]
fn a_read_cannot_write() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let insert = "INSERT INTO record_counts VALUES ('a', 1) RETURNING n";
            for plan in [Plan::Scan, Plan::Bounded] {
                let error = fetch(&store, plan, statement(&store, insert)).await.unwrap_err();
                assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
            }
            assert_eq!(number(&store, "SELECT count(*) FROM record_counts").await, 0);
        })
    });
}

#[test]
fn a_scan_sees_one_state_throughout() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let writer = store.clone();
            let (before, after) = store
                .read::<_, Error, _>(Plan::Scan, move |reader| {
                    Box::pin(async move {
                        let mut sql = reader.sql();
                        sql.push("SELECT count(*) FROM record_counts");
                        let before = reader.fetch_one(&sql).await?.unwrap().int(0)?;
                        let insert = statement(&writer, "INSERT INTO record_counts VALUES ('a', 1)");
                        let done = std::thread::spawn(move || {
                            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                            runtime.block_on(execute(&writer, insert)).unwrap();
                        });
                        done.join().unwrap();
                        Ok((before, reader.fetch_one(&sql).await?.unwrap().int(0)?))
                    })
                })
                .await
                .unwrap();
            assert_eq!((before, after), (0, 0));
            assert_eq!(number(&store, "SELECT count(*) FROM record_counts").await, 1);
        })
    });
}

#[test]
fn rows_are_shown_one_by_one_with_their_names() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let shown = store
                .read::<_, Error, _>(Plan::Bounded, |reader| {
                    Box::pin(async move {
                        let mut sql = reader.sql();
                        sql.push("SELECT ").bind_typed("a").push(" AS letter, ").bind_typed(2_i64).push(" AS digit");
                        let mut shown = String::new();
                        reader
                            .for_each(&sql, |row| {
                                shown.push_str(row.name(0));
                                shown.push_str(row.text(0).unwrap());
                                assert_eq!((row.width(), row.int(1), row.name(1)), (2, Some(2), "digit"));
                                assert!(row.int(2).is_none() && row.is_null(2) && row.name(2).is_empty());
                                Ok(())
                            })
                            .await?;
                        Ok(shown)
                    })
                })
                .await;
            assert_eq!(shown.unwrap(), "lettera");
        })
    });
}

#[test]
fn a_changed_table_is_read_anew() {
    on_each_engine(|database| {
        Box::pin(async move {
            let (store, other) = (database.store().await, database.store().await);
            let text = "CREATE TABLE shifting (a TEXT); INSERT INTO shifting VALUES ('1')";
            ddl(&store, text, text).await;
            for node in [&store, &other] {
                for _ in 0..20 {
                    let rows = fetch(node, Plan::Bounded, statement(node, "SELECT * FROM shifting")).await.unwrap();
                    assert_eq!(rows[0].values().len(), 1);
                }
            }
            ddl(&store, "ALTER TABLE shifting ADD COLUMN b TEXT", "ALTER TABLE shifting ADD COLUMN b TEXT").await;
            let rows = fetch(&store, Plan::Bounded, statement(&store, "SELECT * FROM shifting")).await.unwrap();
            assert_eq!(rows[0].values().len(), 2);
            // Another process may read from a snapshot that it began a quarter of a millisecond before.
            tokio::time::sleep(Duration::from_millis(1)).await;
            for node in [&store, &other] {
                let rows = fetch(node, Plan::Bounded, statement(node, "SELECT * FROM shifting")).await.unwrap();
                assert_eq!(rows[0].values().len(), 2);
            }
        })
    });
}

#[test]
fn reads_from_many_threads_and_inside_each_other_work() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let inner = store.clone();
            let sum = store.read::<_, Error, _>(Plan::Bounded, move |reader| {
                Box::pin(async move {
                    let mut sql = reader.sql();
                    sql.push("SELECT 1");
                    let inside = fetch(&inner, Plan::Bounded, sql.clone()).await?;
                    Ok(inside[0].int(0)? + reader.fetch_one(&sql).await?.unwrap().int(0)?)
                })
            });
            assert_eq!(sum.await.unwrap(), 2);
            let reads = (0..64).map(|_| {
                let store = store.clone();
                tokio::spawn(async move { number(&store, "SELECT 7").await })
            });
            for read in reads.collect::<Vec<_>>() {
                assert_eq!(read.await.unwrap(), 7);
            }
        })
    });
}

#[test]
fn a_panicking_read_harms_nobody_else() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            for plan in [Plan::Bounded, Plan::Scan] {
                let panicked = store.read::<(), Error, _>(plan, |_| Box::pin(async { panic!("on purpose") }));
                assert!(matches!(panicked.await, Err(Error::Internal(_))));
                assert_eq!(fetch(&store, plan, statement(&store, "SELECT 1")).await.unwrap().len(), 1);
            }
        })
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_or_dropped_store_leaves_no_file_open() {
    on_sqlite(|database| {
        Box::pin(async move {
            let open = || {
                let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
                let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
                targets.filter(|target| target.starts_with(database.folder.path())).count()
            };
            let store = database.store().await;
            let reads: Vec<_> = (0..32)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move { number(&store, "SELECT 1").await })
                })
                .collect();
            for read in reads {
                read.await.unwrap();
            }
            assert!(open() > 0);
            store.close().await;
            assert_eq!(open(), 0);
            assert!(!database.folder.path().join("data/app.db-wal").exists(), "the log is folded into the file");

            let store = database.store().await;
            number(&store, "SELECT 1").await;
            drop(store);
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(open(), 0);
        })
    });
}

#[cfg(unix)]
#[test]
fn the_file_and_its_folder_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    on_sqlite(|database| {
        Box::pin(async move {
            let _store = database.store().await;
            let folder = database.folder.path().join("data");
            let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&folder), 0o700);
            for file in ["app.db", "app.db-wal", "app.db-shm"] {
                assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
            }
        })
    });
}

#[test]
fn a_count_is_what_would_be_counted_now_whoever_wrote() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let other = database.store().await;
            ddl(&store, "CREATE TABLE counted (n INTEGER) STRICT", "CREATE TABLE counted (n BIGINT)").await;
            let above = |least: i64| {
                let sql = Sql::with(store.dialect(), "SELECT count(*) FROM counted WHERE n > ?", [least]);
                let store = store.clone();
                async move {
                    let count = store.read(Plan::Scan, move |reader| Box::pin(async move { reader.count(&sql).await }));
                    count.await.unwrap()
                }
            };
            for round in 0..20_i64 {
                let writer = if round % 2 == 0 { &store } else { &other };
                execute(writer, Sql::with(store.dialect(), "INSERT INTO counted (n) VALUES (?)", [round]))
                    .await
                    .unwrap();
                for _ in 0..4 {
                    assert_eq!((above(-1).await, above(9).await), (round + 1, (round - 9).max(0)));
                }
            }
        })
    });
}
