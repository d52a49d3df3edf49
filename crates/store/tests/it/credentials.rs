//! Another user in the middle of the work.

use crate::database::{execute, fetch, on_postgres, statement};
use fastcms_store::{DatabaseUrl, Plan};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn another_user_takes_over_without_a_failed_job_and_one_who_may_not_in_changes_nothing() {
    on_postgres(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let name = format!("user_{}", uuid::Uuid::now_v7().simple());
            let admin = database.admin().await;
            admin.batch_execute(&format!("CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'second'")).await.unwrap();
            let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let load: Vec<_> = (0..8)
                .map(|worker| {
                    let (store, stop, done) = (store.clone(), Arc::clone(&stop), Arc::clone(&done));
                    tokio::spawn(async move {
                        while !stop.load(Ordering::Relaxed) {
                            if worker % 2 == 0 {
                                fetch(&store, Plan::Bounded, statement(&store, "SELECT 1")).await.unwrap();
                            } else {
                                execute(&store, statement(&store, "SELECT pg_sleep(0.001)")).await.unwrap();
                            }
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(200)).await;

            let url = |user: &str| DatabaseUrl::parse(&database.url_of(user, "second")).unwrap();
            store.take_credentials(&url("nobody_of_this_name")).await.unwrap_err();
            assert!(store.take_credentials(&url(&name)).await.unwrap());
            assert!(!store.take_credentials(&url(&name)).await.unwrap(), "nothing is left to do");
            let elsewhere = DatabaseUrl::parse("postgresql://somebody@elsewhere.invalid/db").unwrap();
            assert!(!store.take_credentials(&elsewhere).await.unwrap(), "another database waits for a start");

            tokio::time::sleep(Duration::from_millis(200)).await;
            let mut who = fetch(&store, Plan::Bounded, statement(&store, "SELECT current_user::text")).await.unwrap();
            assert_eq!(who[0].take_text(0).unwrap(), name);
            stop.store(true, Ordering::Relaxed);
            for worker in load {
                worker.await.unwrap();
            }
            assert!(done.load(Ordering::Relaxed) > 100, "too little load to prove anything");
            store.close().await;
            let drop = format!("REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}");
            admin.batch_execute(&drop).await.unwrap();
        })
    });
}
