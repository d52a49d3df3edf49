//! The change feed: told after the commit, before the answer, on every node, and never for what was rolled back.

use crate::database::{ddl, on_each_engine, on_postgres};
use fastcms_store::{Change, ChangeKind, Error, Store, Subscriber};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Heard = Arc<Mutex<Vec<Change>>>;

fn listen(store: &Store) -> Heard {
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    let subscriber: Subscriber = Arc::new(move |change: &Change| log.lock().unwrap().push(change.clone()));
    store.on_change(&subscriber);
    heard
}

async fn announce(store: &Store, ids: &[&'static str], fail: bool) -> Result<(), Error> {
    let ids = ids.to_vec();
    store
        .write(move |tx| {
            Box::pin(async move {
                for id in ids {
                    tx.announce(Change::new(ChangeKind::Session, id));
                }
                if fail { Err(Error::Timeout) } else { Ok(()) }
            })
        })
        .await
}

fn ids(heard: &Heard) -> Vec<String> {
    heard.lock().unwrap().iter().map(|change| change.id.clone()).collect()
}

async fn until(holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited ten seconds in vain");
}

#[test]
fn subscribers_know_before_the_answer_in_the_order_of_the_job() {
    on_each_engine(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let panicking: Subscriber = Arc::new(|_: &Change| panic!("on purpose"));
            store.on_change(&panicking);
            let heard = listen(&store);
            announce(&store, &["a", "b", "c"], false).await.unwrap();
            assert_eq!(ids(&heard), ["a", "b", "c"]);
            announce(&store, &["lost"], true).await.unwrap_err();
            announce(&store, &["d"], false).await.unwrap();
            assert_eq!(ids(&heard), ["a", "b", "c", "d"]);
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(ids(&heard).len(), 4, "a node's own notifications are not applied twice");
        })
    });
}

#[test]
fn another_node_hears_what_was_committed() {
    on_postgres(|database| {
        Box::pin(async move {
            let (one, two) = (database.store().await, database.store().await);
            let (at_one, at_two) = (listen(&one), listen(&two));
            announce(&one, &["a", "b"], false).await.unwrap();
            announce(&one, &["lost"], true).await.unwrap_err();
            announce(&two, &["c"], false).await.unwrap();
            until(|| ids(&at_one).len() == 3 && ids(&at_two).len() == 3).await;
            assert_eq!(ids(&at_one), ["a", "b", "c"]);
            assert!(ids(&at_two).iter().all(|id| ["a", "b", "c"].contains(&id.as_str())), "{:?}", ids(&at_two));
        })
    });
}

#[test]
fn after_a_gap_everything_counts_as_changed() {
    on_postgres(|database| {
        Box::pin(async move {
            let (one, two) = (database.store().await, database.store().await);
            let at_two = listen(&two);
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND query LIKE 'LISTEN%'";
            ddl(&one, "", cut).await;
            until(|| at_two.lock().unwrap().contains(&Change::everything())).await;
            announce(&one, &["after"], false).await.unwrap();
            until(|| ids(&at_two).contains(&"after".to_owned())).await;
        })
    });
}
