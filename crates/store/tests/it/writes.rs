//! Writes: what is acknowledged stands, what failed leaves nothing behind.

use crate::database::{
    Database, Refused, ddl, execute, fetch, number, on_each_engine, on_postgres, on_sqlite, statement,
};
use fastcms_store::{Dialect, Error, Plan, Sql, Store, StoreConfig, Tx, Value};
use futures_util::future::join_all;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::time::Duration;

async fn with_items(database: &Database) -> Store {
    let store = database.store().await;
    items(&store).await;
    store
}

async fn items(store: &Store) {
    let text = "CREATE TABLE items (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)";
    ddl(store, text, text).await;
}

fn insert(dialect: Dialect, id: i64) -> Sql {
    Sql::with(dialect, "INSERT INTO items (id, n) VALUES (?, 0)", [id])
}

/// Has the writer wait until the sender this answers is used or dropped; answers when it does wait.
fn block(store: &Store) -> mpsc::Sender<()> {
    let (sender, gate) = mpsc::channel();
    let (waits, waiting) = mpsc::channel();
    let store = store.clone();
    tokio::spawn(async move {
        store
            .write::<_, Error, _>(move |_| {
                waits.send(()).unwrap();
                let _ = gate.recv();
                Box::pin(async { Ok(()) })
            })
            .await
    });
    waiting.recv().unwrap();
    sender
}

async fn misbehave(tx: &mut Tx<'_>, id: i64) -> Result<i64, Refused> {
    tx.execute(&insert(tx.dialect(), id)).await?;
    match id % 4 {
        1 => Err(Refused::OnPurpose),
        // A panic that prints neither a message nor a backtrace.
        2 => resume_unwind(Box::new("on purpose")),
        3 => {
            tx.execute(&insert(tx.dialect(), id)).await?;
            Ok(id)
        }
        _ => Ok(id),
    }
}

/// Hands in jobs that fail or not as their numbers say, all of them before the first one runs on `SQLite`.
async fn misbehave_together(store: &Store, jobs: &[i64]) {
    let gate = (store.dialect() == Dialect::Sqlite).then(|| block(store));
    let running = jobs.iter().map(|&id| {
        let store = store.clone();
        tokio::spawn(async move { store.write(move |tx| Box::pin(misbehave(tx, id))).await })
    });
    let running: Vec<_> = running.collect();
    drop(gate);
    for (id, answer) in jobs.iter().zip(join_all(running).await) {
        match (id % 4, answer.unwrap()) {
            (0, Ok(_))
            | (1, Err(Refused::OnPurpose))
            | (2, Err(Refused::Store(Error::Internal(_))))
            | (3, Err(Refused::Store(Error::Unique { .. }))) => {}
            (_, answer) => panic!("job {id}: {answer:?}"),
        }
    }
}

#[test]
fn a_failing_or_panicking_job_undoes_itself_and_no_other() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            // SQLite gets all at once, for one group; a pool makes none, and who waits for it too long is refused.
            let jobs: Vec<_> = (0..400_i64).collect();
            for jobs in jobs.chunks(database.dialect.pick(400, 40)) {
                misbehave_together(&store, jobs).await;
            }
            assert_eq!(number(&store, "SELECT count(*) FROM items").await, 100);
            assert_eq!(number(&store, "SELECT count(*) FROM items WHERE id % 4 = 0").await, 100);
        })
    });
}

#[test]
fn sixteen_threads_of_writes_lose_nothing() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            execute(&store, insert(database.dialect, 0)).await.unwrap();
            let threads: Vec<_> = (0..16_i64)
                .map(|thread| {
                    let (store, runtime) = (store.clone(), tokio::runtime::Handle::current());
                    std::thread::spawn(move || {
                        for at in 1..=50_i64 {
                            let id = thread * 1_000 + at;
                            let write = store.write::<_, Error, _>(move |tx| {
                                Box::pin(async move {
                                    tx.execute(&insert(tx.dialect(), id)).await?;
                                    let mut sql = tx.sql();
                                    sql.push("UPDATE items SET n = n + 1 WHERE id = 0");
                                    tx.count("items", 1);
                                    tx.execute(&sql).await
                                })
                            });
                            assert_eq!(runtime.block_on(write).unwrap(), 1);
                        }
                    })
                })
                .collect();
            for thread in threads {
                tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
            }
            assert_eq!(number(&store, "SELECT n FROM items WHERE id = 0").await, 800);
            assert_eq!(number(&store, "SELECT count(*) FROM items").await, 801);
            let counted = fetch(&store, Plan::Bounded, statement(&store, "SELECT n FROM record_counts")).await.unwrap();
            let wanted: &[i64] = database.dialect.pick(&[800], &[]);
            assert_eq!(counted.iter().map(|row| row.int(0).unwrap()).collect::<Vec<_>>(), wanted);
        })
    });
}

#[test]
fn a_violation_names_what_it_is_about() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let text = "CREATE TABLE parents (id BIGINT PRIMARY KEY, slug TEXT NOT NULL, a TEXT, b TEXT);
                CREATE UNIQUE INDEX ux_slug ON parents (slug); CREATE UNIQUE INDEX ux_ab ON parents (a, b);
                CREATE TABLE words (w TEXT); CREATE UNIQUE INDEX ux_lower ON words (lower(w));
                INSERT INTO words VALUES ('marker');
                CREATE TABLE children (id BIGINT PRIMARY KEY, parent BIGINT REFERENCES parents (id),
                    n BIGINT CONSTRAINT positive CHECK (n > 0));
                INSERT INTO parents VALUES (1, 'one', 'a', 'b')";
            ddl(&store, text, text).await;
            let run = async |text| execute(&store, statement(&store, text)).await.unwrap_err();

            let error = run("INSERT INTO parents VALUES (2, 'one', 'x', 'y')").await;
            assert!(error.is_unique_on("slug") && !error.is_unique_on("id"), "{error:?}");
            let error = run("INSERT INTO parents VALUES (1, 'two', 'x', 'y')").await;
            assert!(error.is_unique_on("id"), "{error:?}");
            let error = run("INSERT INTO parents VALUES (3, 'three', 'a', 'b')").await;
            assert!(error.is_unique_on("a") && error.is_unique_on("b"), "{error:?}");
            let Error::Unique { table, .. } = &error else { panic!("{error:?}") };
            assert_eq!(table.as_deref(), Some("parents"));
            let error = run("INSERT INTO words VALUES ('MARKER')").await;
            assert!(error.is_unique_on("ux_lower"), "{error:?}");
            assert!(!format!("{error} {error:?}").to_lowercase().contains("marker"), "{error:?}");

            let error = run("INSERT INTO children VALUES (1, 99, 1)").await;
            assert!(matches!(error, Error::ForeignKey { .. }), "{error:?}");
            let error = run("INSERT INTO parents (id) VALUES (9)").await;
            assert!(matches!(&error, Error::NotNull { column } if column == "slug"), "{error:?}");
            let error = run("INSERT INTO children VALUES (1, 1, 0)").await;
            assert!(matches!(&error, Error::Check { constraint } if constraint == "positive"), "{error:?}");
            let error = run("INSERT INTO nowhere VALUES (1)").await;
            assert!(matches!(error, Error::Internal(_)), "{error:?}");
        })
    });
}

#[test]
fn a_job_that_goes_on_after_a_failed_statement_is_rolled_back() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            let done = store.write::<_, Error, _>(|tx| {
                Box::pin(async move {
                    tx.execute(&insert(tx.dialect(), 1)).await?;
                    assert!(tx.execute(&insert(tx.dialect(), 1)).await.is_err());
                    Ok(())
                })
            });
            assert!(matches!(done.await, Err(Error::Internal(_))));
            assert_eq!(number(&store, "SELECT count(*) FROM items").await, 0);
        })
    });
}

#[test]
fn a_failed_savepoint_leaves_the_rest_of_its_job_standing() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            let failed = store.write::<_, Error, _>(|tx| {
                Box::pin(async move {
                    tx.execute(&insert(tx.dialect(), 1)).await?;
                    let part = tx.savepoint::<_, Error, _>(|tx| {
                        Box::pin(async move {
                            tx.execute(&insert(tx.dialect(), 2)).await?;
                            tx.execute(&insert(tx.dialect(), 1)).await
                        })
                    });
                    let failed =
                        part.await.is_err_and(|error| error.is_unique_on("id") || error.is_unique_on("items_pkey"));
                    let part = tx.savepoint::<_, Error, _>(|tx| {
                        Box::pin(async move { tx.execute(&insert(tx.dialect(), 3)).await })
                    });
                    assert_eq!(part.await?, 1);
                    Ok(failed)
                })
            });
            assert!(failed.await.unwrap());
            assert_eq!(number(&store, "SELECT count(*) FROM items").await, 2);
            assert_eq!(number(&store, "SELECT max(id) FROM items").await, 3);
        })
    });
}

#[test]
fn a_job_whose_transaction_the_database_gave_up_does_nothing_more() {
    // A disk that is full or fails makes SQLite roll back by itself, as this conflict clause does.
    on_sqlite(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            let lost = store.write::<_, Error, _>(move |tx| {
                Box::pin(async move {
                    tx.execute(&insert(tx.dialect(), 1)).await?;
                    let sql = Sql::with(tx.dialect(), "INSERT OR ROLLBACK INTO items (id, n) VALUES (?, 0)", [1]);
                    assert!(tx.execute(&sql).await.is_err());
                    let part = tx.savepoint::<_, Error, _>(|tx| {
                        Box::pin(async move { tx.execute(&insert(tx.dialect(), 2)).await })
                    });
                    assert!(matches!(part.await, Err(Error::Unavailable(_))));
                    assert!(matches!(tx.execute(&insert(tx.dialect(), 3)).await, Err(Error::Unavailable(_))));
                    Ok(())
                })
            });
            assert!(matches!(lost.await, Err(Error::Unavailable(_))));
            assert_eq!(number(&store, "SELECT count(*) FROM items").await, 0);
        })
    });
}

#[test]
fn the_queue_takes_exactly_its_limit() {
    on_sqlite(|database| {
        Box::pin(async move {
            let mut config = database.config();
            config.write_queue = 8;
            let store = database.store_with(config).await;
            items(&store).await;
            let gate = block(&store);
            let jobs: Vec<_> = (0..8)
                .map(|id| {
                    let store = store.clone();
                    tokio::spawn(async move { execute(&store, insert(Dialect::Sqlite, id)).await })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(500)).await;
            let error = execute(&store, insert(Dialect::Sqlite, 8)).await.unwrap_err();
            assert!(matches!(error, Error::Overloaded), "{error:?}");
            drop(gate);
            for job in jobs {
                assert_eq!(job.await.unwrap().unwrap(), 1);
            }
            assert_eq!(execute(&store, insert(Dialect::Sqlite, 8)).await.unwrap(), 1);
        })
    });
}

#[test]
fn a_busy_pool_refuses_work_beyond_its_queue() {
    on_postgres(|database| {
        Box::pin(async move {
            let mut config = database.config();
            (config.readers, config.write_queue) = (1, 2);
            let store = database.store_with(config).await;
            let sleepers: Vec<_> = (0..4)
                .map(|_| {
                    let store = store.clone();
                    let sleep = statement(&store, "SELECT pg_sleep(1)");
                    tokio::spawn(async move { execute(&store, sleep).await })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let error = execute(&store, statement(&store, "SELECT 1")).await.unwrap_err();
            assert!(matches!(error, Error::Overloaded), "{error:?}");
            for sleeper in sleepers {
                sleeper.await.unwrap().unwrap();
            }
            execute(&store, statement(&store, "SELECT 1")).await.unwrap();
        })
    });
}

#[test]
fn the_log_does_not_grow_under_updates_that_return_rows() {
    on_sqlite(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            for id in 0..200 {
                execute(&store, insert(Dialect::Sqlite, id)).await.unwrap();
            }
            for _ in 0..30 {
                let rounds = (0..200_i64).map(|id| {
                    store.write::<_, Error, _>(move |tx| {
                        Box::pin(async move {
                            let text = "UPDATE items SET n = n + 1 WHERE id >= ? RETURNING n";
                            tx.fetch_one(&Sql::with(Dialect::Sqlite, text, [id])).await
                        })
                    })
                });
                for row in join_all(rounds).await {
                    assert!(row.unwrap().is_some());
                }
            }
            assert_eq!(number(&store, "SELECT n FROM items WHERE id = 199").await, 30 * 200);
            let log = std::fs::metadata(database.folder.path().join("data/app.db-wal")).unwrap().len();
            assert!(log < 8 * 1024 * 1024, "{log} bytes");
        })
    });
}

#[test]
fn when_the_commit_fails_nobody_of_the_group_is_told_otherwise() {
    on_sqlite(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            let text = "CREATE TABLE late (item BIGINT REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED)";
            ddl(&store, text, text).await;
            let gate = block(&store);
            let jobs = ["INSERT INTO items VALUES (1, 1)", "INSERT INTO late VALUES (99)"].map(|text| {
                let (store, sql) = (store.clone(), statement(&store, text));
                tokio::spawn(async move { execute(&store, sql).await })
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(gate);
            for job in jobs {
                assert!(matches!(job.await.unwrap(), Err(Error::ForeignKey { .. })));
            }
            assert_eq!(number(&store, "SELECT count(*) FROM items").await, 0);
            execute(&store, insert(Dialect::Sqlite, 1)).await.unwrap();
        })
    });
}

#[test]
fn a_full_disk_is_said_and_survived() {
    on_sqlite(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let text = "CREATE TABLE blobs (b BLOB); PRAGMA max_page_count = 40";
            ddl(&store, text, text).await;
            let fill = |size: usize| Sql::with(Dialect::Sqlite, "INSERT INTO blobs VALUES (?)", [vec![0_u8; size]]);
            let error = execute(&store, fill(1_000_000)).await.unwrap_err();
            assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
            execute(&store, fill(10)).await.unwrap();
            ddl(&store, "PRAGMA max_page_count = 100000", "").await;
            execute(&store, fill(1_000_000)).await.unwrap();
            assert_eq!(number(&store, "SELECT count(*) FROM blobs").await, 2);
        })
    });
}

#[test]
fn closing_finishes_what_is_queued_and_takes_no_more() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            let gate = (database.dialect == Dialect::Sqlite).then(|| block(&store));
            let jobs: Vec<_> = (0..database.dialect.pick(500, 100))
                .map(|id| {
                    let store = store.clone();
                    tokio::spawn(async move { execute(&store, insert(store.dialect(), id)).await })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(gate);
            store.close().await;
            let mut done = 0;
            for job in jobs {
                match job.await.unwrap() {
                    Ok(_) => done += 1,
                    Err(Error::Unavailable(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            assert!(database.dialect == Dialect::Postgres || done == 500, "{done}");
            let late = execute(&store, insert(database.dialect, 1_000)).await;
            assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
            assert!(matches!(store.ping().await, Err(Error::Unavailable(_))));
            let again = database.store().await;
            assert_eq!(number(&again, "SELECT count(*) FROM items").await, done);
        })
    });
}

#[test]
fn values_come_back_as_they_went() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            ddl(
                &store,
                "CREATE TABLE kinds (b INTEGER, i INTEGER, r REAL, t TEXT, x BLOB, j TEXT)",
                "CREATE TABLE kinds (b BOOLEAN, i BIGINT, r DOUBLE PRECISION, t TEXT, x BYTEA, j JSONB)",
            )
            .await;
            let sent: [Value; 6] = [
                true.into(),
                i64::MIN.into(),
                0.1.into(),
                "ä '\" ?1 $1".into(),
                vec![0_u8, 255].into(),
                "{\"a\": 1}".into(),
            ];
            for row in [sent, [const { Value::Null }; 6]] {
                execute(&store, Sql::with(database.dialect, "INSERT INTO kinds VALUES (?, ?, ?, ?, ?, ?)", row))
                    .await
                    .unwrap();
            }
            let rows = statement(&store, "SELECT b, i, r, t, x, j FROM kinds ORDER BY b IS NULL");
            let rows = fetch(&store, Plan::Scan, rows).await.unwrap();
            let [full, empty] = rows.as_slice() else { panic!("two rows") };
            assert!(full.bool(0).unwrap());
            assert_eq!(full.int(1).unwrap(), i64::MIN);
            assert_eq!(full.real(2).unwrap().to_bits(), 0.1_f64.to_bits());
            assert_eq!(full.text(3).unwrap(), "ä '\" ?1 $1");
            assert_eq!(full.bytes(4).unwrap(), [0, 255]);
            assert_eq!(full.text(5).unwrap(), "{\"a\": 1}");
            assert!(empty.values().iter().all(Value::is_null));
            let mut sum = store.sql();
            sum.pick("SELECT 12345.6789, -0.0001", "SELECT 12345.6789::numeric, -0.0001::numeric");
            let sum = &fetch(&store, Plan::Bounded, sum).await.unwrap()[0];
            assert_eq!(sum.real(0).unwrap().to_bits(), 12_345.678_9_f64.to_bits());
            assert_eq!(sum.real(1).unwrap().to_bits(), (-0.000_1_f64).to_bits());
        })
    });
}

#[test]
fn a_nul_character_is_an_invalid_value_and_not_a_fault_of_the_server() {
    on_postgres(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let error = execute(&store, Sql::with(Dialect::Postgres, "SELECT ?::text", ["a\0b"])).await.unwrap_err();
            assert!(matches!(error, Error::InvalidValue(_)), "{error:?}");
        })
    });
}

#[test]
fn a_write_whose_caller_went_away_is_whole_or_not_there() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = with_items(database).await;
            for id in 0..50_u64 {
                let write = store.write::<_, Error, _>(move |tx| {
                    Box::pin(async move {
                        let id = i64::try_from(id).unwrap();
                        tx.execute(&insert(tx.dialect(), id)).await?;
                        tx.execute(&insert(tx.dialect(), id + 1_000)).await
                    })
                });
                let _ = tokio::time::timeout(Duration::from_micros(id * 40), write).await;
            }
            store.close().await;
            let store = database.store().await;
            let pairs = "SELECT count(*) FROM items a WHERE id < 1000
                AND NOT EXISTS (SELECT 1 FROM items b WHERE b.id = a.id + 1000)";
            assert_eq!(number(&store, pairs).await, 0);
        })
    });
}

/// So many steps that no test waits for their end.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000) SELECT count(*) FROM n";

#[test]
fn a_write_that_takes_too_long_is_undone_alone() {
    on_sqlite(|database| {
        Box::pin(async move {
            let config = StoreConfig { write_budget: Duration::from_millis(300), ..database.config() };
            let store = database.store_with(config).await;
            items(&store).await;
            let gate = block(&store);
            let jobs = (1..=5_i64).map(|id| {
                let store = store.clone();
                tokio::spawn(async move {
                    let job = store.write::<_, Error, _>(move |tx| {
                        Box::pin(async move {
                            tx.execute(&insert(tx.dialect(), id)).await?;
                            if id == 3 {
                                tx.fetch(&Sql::with(tx.dialect(), ENDLESS, [0; 0])).await?;
                            }
                            Ok(id)
                        })
                    });
                    job.await
                })
            });
            let jobs: Vec<_> = jobs.collect();
            drop(gate);
            for (answer, id) in join_all(jobs).await.into_iter().zip(1..) {
                match answer.unwrap() {
                    Ok(done) => assert!(done == id && id != 3),
                    Err(error) => assert!(id == 3 && matches!(error, Error::Timeout), "{error:?}"),
                }
            }
            assert_eq!(number(&store, "SELECT sum(id) FROM items").await, 1 + 2 + 4 + 5);
        })
    });
}

#[test]
fn many_short_statements_have_one_budget_together_and_a_long_one_that_writes_leaves_nothing() {
    on_sqlite(|database| {
        Box::pin(async move {
            let config = StoreConfig { write_budget: Duration::from_millis(200), ..database.config() };
            let store = database.store_with(config).await;
            items(&store).await;
            let many = store.write::<(), Error, _>(|tx| {
                Box::pin(async move {
                    for id in 0.. {
                        tx.execute(&insert(tx.dialect(), id)).await?;
                    }
                    Ok(())
                })
            });
            assert!(matches!(many.await, Err(Error::Timeout)));
            let filled = statement(
                &store,
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO items SELECT i, 0 FROM n",
            );
            assert!(matches!(execute(&store, filled).await, Err(Error::Timeout)));
            assert_eq!(number(&store, "SELECT count(*) FROM items").await, 0);
            execute(&store, insert(Dialect::Sqlite, 1)).await.unwrap();

            // What is known to take long may.
            let slow = store.write_within::<_, Error, _>(Duration::from_mins(1), |tx| {
                Box::pin(async move {
                    std::thread::sleep(Duration::from_millis(300));
                    tx.execute(&insert(tx.dialect(), 2)).await
                })
            });
            assert_eq!(slow.await.unwrap(), 1);
        })
    });
}

#[test]
fn a_long_write_has_its_own_limit_on_postgres_and_leaves_it_behind() {
    async fn limit(tx: &mut Tx<'_>) -> Result<String, Error> {
        let sql = Sql::with(tx.dialect(), "SELECT current_setting('statement_timeout')", [0; 0]);
        tx.fetch_one(&sql).await?.unwrap().take_text(0)
    }
    on_postgres(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let long = store.write_within(Duration::from_mins(10), |tx| Box::pin(limit(tx))).await;
            assert_eq!(long.unwrap(), "10min");
            for _ in 0..8 {
                assert_eq!(store.write(|tx| Box::pin(limit(tx))).await.unwrap(), "30s");
            }
        })
    });
}
