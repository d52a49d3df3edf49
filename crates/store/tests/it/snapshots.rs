//! Reads that come close together share a snapshot on `SQLite`: nobody may notice but by the time it takes.

use crate::database::{execute, fetch, number, on_each_engine, on_sqlite, statement};
use fastcms_store::{Plan, Sql, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

const SUM: &str = "SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM record_counts";

async fn bounded(store: &Store, text: &'static str) -> i64 {
    fetch(store, Plan::Bounded, statement(store, text)).await.unwrap()[0].int(0).unwrap()
}

#[test]
fn a_read_sees_every_write_that_was_answered_before_it_began() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            execute(&store, statement(&store, "INSERT INTO record_counts VALUES ('a', 0)")).await.unwrap();
            let (answered, over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    let (store, answered, over) = (store.clone(), Arc::clone(&answered), Arc::clone(&over));
                    tokio::spawn(async move {
                        let mut looks = 0;
                        while !over.load(Ordering::Relaxed) {
                            let least = answered.load(Ordering::Acquire);
                            let seen = bounded(&store, SUM).await;
                            assert!(seen >= least, "{seen} although {least} had been answered");
                            looks += 1;
                            tokio::task::yield_now().await;
                        }
                        looks
                    })
                })
                .collect();
            for written in 1..=300 {
                execute(&store, statement(&store, "UPDATE record_counts SET n = n + 1")).await.unwrap();
                answered.store(written, Ordering::Release);
            }
            over.store(true, Ordering::Relaxed);
            for reader in readers {
                assert!(reader.await.unwrap() > 0);
            }
        })
    });
}

#[test]
fn what_another_process_commits_is_seen_by_reads_that_never_pause() {
    on_sqlite(|database| {
        Box::pin(async move {
            let (store, other) = (database.store().await, database.store().await);
            for _ in 0..100 {
                assert_eq!(bounded(&store, SUM).await, 0);
            }
            execute(&other, statement(&other, "INSERT INTO record_counts VALUES ('a', 1)")).await.unwrap();
            let committed = Instant::now();
            while bounded(&store, SUM).await == 0 {
                assert!(committed.elapsed() < Duration::from_secs(2), "still not seen");
            }
        })
    });
}

#[test]
fn the_log_begins_anew_after_a_burst_of_reads() {
    on_sqlite(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let burst = |store: Store| async move {
                for _ in 0..200 {
                    bounded(&store, SUM).await;
                }
            };
            for one in [(); 8].map(|()| tokio::spawn(burst(store.clone()))) {
                one.await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            // 24 MB, in ones that are folded into the file every four.
            for number in 0..240_i64 {
                let text = "INSERT INTO record_counts VALUES (?, 1)";
                let name = format!("{number}{}", "x".repeat(100_000));
                execute(&store, Sql::with(store.dialect(), text, [name])).await.unwrap();
            }
            let log = std::fs::metadata(database.folder.path().join("data/app.db-wal")).unwrap().len();
            assert!(log < 12 << 20, "{log} bytes");
            assert_eq!(number(&store, "SELECT count(*) FROM record_counts").await, 240);
        })
    });
}

#[test]
fn the_log_stays_short_between_bursts_of_reads() {
    on_sqlite(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let over = Arc::new(AtomicBool::new(false));
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    let (store, over) = (store.clone(), Arc::clone(&over));
                    tokio::spawn(async move {
                        while !over.load(Ordering::Relaxed) {
                            for _ in 0..3 {
                                bounded(&store, "SELECT count(*) FROM record_counts WHERE collection_id = 'a'").await;
                            }
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    })
                })
                .collect();
            let mut longest = 0;
            for round in 0..40_i64 {
                // Several at once, so that a commit is worth a few dozen pages.
                let writes = (0..25).map(|number| {
                    let name = format!("{round} {number} {}", "x".repeat(50_000));
                    let text = "INSERT INTO record_counts VALUES (?, 1)";
                    let (store, sql) = (store.clone(), Sql::with(store.dialect(), text, [name]));
                    async move { execute(&store, sql).await.unwrap() }
                });
                futures_util::future::join_all(writes).await;
                let log = std::fs::metadata(database.folder.path().join("data/app.db-wal")).unwrap().len();
                longest = longest.max(log);
            }
            over.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.await.unwrap();
            }
            assert!(longest < 32 << 20, "{longest} of 50 million bytes");
        })
    });
}
