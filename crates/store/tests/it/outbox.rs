//! Events that wait for others: with the commit of what they tell, or not at all; and never more than have room.

use crate::database::{Refused, ddl, fetch, number, on_each_engine, statement};
use crate::records::definition;
use fastcms_store::records::{Event, announce};
use fastcms_store::schema::{Collection, Field, FieldType, Schema};
use fastcms_store::{Plan, Store};
use serde_json::Value as Json;
use std::sync::Arc;

const NOW: &str = "2026-01-31T09:30:00.000Z";

fn posts(store: &Store) -> Arc<Collection> {
    let definition = definition("posts-id", "posts", vec![Field::new("title", FieldType::Text)]);
    Arc::clone(Schema::new(0, vec![definition], store.dialect()).unwrap().by_name("posts").unwrap())
}

/// Topics and ids of what waits, in order.
async fn waiting(store: &Store) -> Vec<(String, String)> {
    let sql = statement(store, "SELECT topic, payload FROM outbox ORDER BY id");
    let rows = fetch(store, Plan::Scan, sql).await.unwrap();
    rows.iter()
        .map(|row| {
            let payload: Json = serde_json::from_str(row.text(1).unwrap()).unwrap();
            assert_eq!(payload["collection"], "posts-id");
            (row.text(0).unwrap().to_owned(), payload["id"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn events_wait_in_the_order_of_the_job_and_only_those_of_what_was_committed() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let posts = posts(&store);
            let collection = Arc::clone(&posts);
            store
                .write(move |tx| {
                    Box::pin(async move {
                        announce(tx, &collection, Event::Created, "a", NOW);
                        let undone = tx
                            .savepoint(|tx| {
                                announce(tx, &collection, Event::Updated, "undone", NOW);
                                Box::pin(async { Err::<(), _>(Refused::OnPurpose) })
                            })
                            .await;
                        undone.unwrap_err();
                        announce(tx, &collection, Event::Updated, "a", NOW);
                        Ok::<_, Refused>(())
                    })
                })
                .await
                .unwrap();
            let collection = Arc::clone(&posts);
            let refused = store.write(move |tx| {
                announce(tx, &collection, Event::Created, "never", NOW);
                Box::pin(async { Err::<(), _>(Refused::OnPurpose) })
            });
            refused.await.unwrap_err();
            let event = |topic: &str, id: &str| (topic.to_owned(), id.to_owned());
            assert_eq!(waiting(&store).await, [event("record.create", "a"), event("record.update", "a")]);
        })
    });
}

#[test]
fn the_oldest_make_room() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let fill = "INSERT INTO outbox (topic, payload, created)
                WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100500)
                SELECT 'record.create', '{}', '' FROM numbers";
            ddl(&store, fill, fill).await;
            let posts = posts(&store);
            for _ in 0..20 {
                let collection = Arc::clone(&posts);
                store
                    .write(move |tx| {
                        for id in 0..100 {
                            announce(tx, &collection, Event::Created, &id.to_string(), NOW);
                        }
                        Box::pin(async { Ok::<_, Refused>(()) })
                    })
                    .await
                    .unwrap();
            }
            let (count, first) = (
                number(&store, "SELECT count(*) FROM outbox").await,
                number(&store, "SELECT min(id) FROM outbox").await,
            );
            assert!((100_000..=101_000).contains(&count), "{count} wait");
            assert!(first > 1_000, "the oldest went, not {first}");
        })
    });
}

/// On `PostgreSQL` such a job is one statement, without BEGIN and COMMIT around it, where there is one row.
#[test]
fn what_a_job_without_statements_tells_is_committed_or_not_at_all() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let posts = posts(&store);
            let tell = async |count: usize, is_good: bool| {
                let collection = Arc::clone(&posts);
                let job = store.write(move |tx| {
                    (0..count).for_each(|id| announce(tx, &collection, Event::Created, &id.to_string(), NOW));
                    Box::pin(async move { if is_good { Ok(()) } else { Err(Refused::OnPurpose) } })
                });
                job.await
            };
            for (count, is_good) in [(0, true), (0, false), (1, true), (1, false), (3, true), (3, false)] {
                assert_eq!(tell(count, is_good).await.is_ok(), is_good);
            }
            assert_eq!(waiting(&store).await.len(), 4);
            // More often than there are connections: none is left in a transaction that broke.
            let (away, back) = ("ALTER TABLE outbox RENAME TO away", "ALTER TABLE away RENAME TO outbox");
            ddl(&store, away, away).await;
            for _ in 0..40 {
                tell(1, true).await.unwrap_err();
            }
            ddl(&store, back, back).await;
            for _ in 0..40 {
                tell(1, true).await.unwrap();
            }
            assert_eq!(waiting(&store).await.len(), 44);
        })
    });
}
