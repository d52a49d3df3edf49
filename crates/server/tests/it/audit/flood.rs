//! Many events at once: none is lost, and the chain that they are linked into holds while they come.

use std::sync::Arc;
use std::time::Instant;

use fastcms_core::access::RequestFacts;
use fastcms_core::audit::{self, Report};
use fastcms_core::{App, Caller};
use serde_json::{Value, json};

use crate::callers::open;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(a_flood_of_events_is_linked_whole_and_verifies_all_the_while);

const WRITERS: usize = 8;
/// Records of one call, each with an event of its own.
const TOGETHER: usize = 100;

/// How many events are written: a few thousand, or as many as `FASTCMS_AUDIT_EVENTS` says.
fn events() -> usize {
    std::env::var("FASTCMS_AUDIT_EVENTS").map_or(4_000, |count| count.parse().unwrap())
}

async fn verified(app: &App) -> Report {
    let report = audit::verify(&Caller::operator(), app, &[], &mut |_| {}).await.unwrap();
    assert_eq!(report.finding, None, "{report:?}");
    report
}

async fn write(caller: &Caller, app: &App, count: usize) {
    let records: Vec<Value> = (0..TOGETHER).map(|n| json!({"title": format!("t{n}")})).collect();
    for _ in 0..count / TOGETHER {
        let facts = RequestFacts::internal();
        let done = fastcms_core::records::create_many(caller, app, facts, "posts", &records).await.unwrap();
        assert_eq!((done.records.len(), done.failures.len()), (TOGETHER, 0));
    }
}

async fn a_flood_of_events_is_linked_whole_and_verifies_all_the_while(product: &Product) {
    let events = events() / (WRITERS * TOGETHER) * (WRITERS * TOGETHER);
    let admin = product.admin().await;
    admin.collection(&open("posts", &json!([{"name": "title", "type": "text"}]))).await;
    let before = {
        let report = verified(&product.app).await;
        report.links + report.tail
    };
    let caller = fastcms_core::accounts::authenticate(&product.app, &admin.token).await.unwrap();
    let began = Instant::now();
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let (caller, app) = (caller.clone(), Arc::clone(&product.app));
        writers.push(tokio::spawn(async move { write(&caller, &app, events / WRITERS).await }));
    }
    // Whoever looks meanwhile finds nothing wrong: what is not linked yet is counted, not missed.
    let mut looks = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        verified(&product.app).await;
        looks += 1;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let written = began.elapsed();
    super::tampering::linked(product).await;
    let linked = began.elapsed();
    let report = verified(&product.app).await;
    assert_eq!((report.links - before, report.tail), (i64::try_from(events).unwrap(), 0), "{report:?}");
    println!(
        "{events} events were written in {written:?} and linked after {linked:?}, verified {looks} times meanwhile"
    );
}
