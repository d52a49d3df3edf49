//! D-49: a schema that changes in the middle of traffic costs nobody a record and nobody a fault of ours.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastcms_store::Dialect;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::callers::{COLLECTIONS, Calls, Guest, collection_path, open};
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(sixteen_writers_meet_a_schema_that_changes, nothing_slips_in_while_a_field_becomes_required);

fn fields(round: usize) -> Value {
    let numbered = json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}]);
    match round % 6 {
        0 => {
            json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}, {"name": "extra", "type": "bool"}])
        }
        1 => json!([{"name": "title", "type": "text"}, {"name": "n", "type": "text"}]),
        2 => numbered,
        3 => {
            json!([{"name": "title", "type": "text"}, {"name": "m", "type": "number", "renamed_from": "n"}])
        }
        4 => {
            json!([{"name": "title", "type": "text", "validation": {"max_length": 500}}, {"name": "n", "type": "number", "renamed_from": "m"}])
        }
        _ => {
            json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}, {"name": "other", "type": "json"}])
        }
    }
}

/// Makes records and reads them until it is done; how many were made.
async fn write(caller: Guest<'_>, writer: usize, done: &AtomicBool) -> usize {
    let mut made = 0;
    while !done.load(Ordering::Relaxed) {
        let title = format!("{writer}-{made}");
        let answer = caller.create("things", &json!({"title": title})).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.json());
        made += 1;
        let page = caller.list("things", &[("per_page", "3")]).await;
        assert_eq!(page.status.as_u16(), 200, "{}", page.json());
    }
    made
}

async fn sixteen_writers_meet_a_schema_that_changes(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let things = admin
        .collection(&open("things", &json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}])))
        .await;
    // A second node, which hears of changes after they were made. SQLite has one.
    let other = match product.app.store.dialect() {
        Dialect::Postgres => Some(product.with(&[]).await),
        Dialect::Sqlite => None,
    };
    let done = AtomicBool::new(false);
    let writers = (0..16).map(|writer| {
        let node = other.as_ref().filter(|_| writer % 4 == 0);
        write(node.map_or(guest, Product::guest), writer, &done)
    });
    let changes = async {
        let mut refused = 0;
        for round in 0..24 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let answer = admin.patch(&collection_path(&things), &json!({"schema": fields(round)})).await;
            match answer.status.as_u16() {
                200 => {}
                422 | 503 => refused += 1,
                _ => panic!("{round}: {} {}", answer.status, answer.json()),
            }
        }
        let path = format!("{}/indexes", collection_path(&things));
        admin.post(&path, &json!({"name": "by_title", "fields": [{"name": "title"}]})).await.expect(201);
        admin.delete(&format!("{path}/by_title")).await.expect(204);
        done.store(true, Ordering::Relaxed);
        refused
    };
    let (made, refused) = join(join_all(writers), changes).await;
    if let Some(other) = other {
        other.close().await;
    }
    assert_eq!(refused, 0);
    let made: usize = made.into_iter().sum();
    let total = admin.list("things", &[]).await.expect(200).json()["total"].as_u64().unwrap();
    assert_eq!(usize::try_from(total).unwrap(), made);
    let stored = admin.get(&format!("{COLLECTIONS}/name/things")).await.expect(200).json();
    assert_eq!(stored["schema"].as_array().unwrap().len(), 3);
}

async fn nothing_slips_in_while_a_field_becomes_required(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    for round in 0..5 {
        let name = format!("things{round}");
        let things = admin
            .collection(&open(&name, &json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}])))
            .await;
        let strict = json!({"schema": [{"name": "title", "type": "text", "validation": {"required": true}}, {"name": "n", "type": "number"}]});
        let bodies: Vec<Value> = (0..16).map(|n| json!({"n": n})).collect();
        let creates = join_all(bodies.iter().map(|body| guest.create(&name, body)));
        let (created, changed) = join(creates, admin.patch(&collection_path(&things), &strict)).await;
        let made = created.iter().filter(|answer| answer.status.as_u16() == 201).count();
        assert!(created.iter().all(|answer| [201, 422].contains(&answer.status.as_u16())));
        let empty = guest.list(&name, &[("filter", "title = null")]).await.expect(200).json()["total"].clone();
        assert_eq!(empty, made);
        match changed.status.as_u16() {
            200 => assert_eq!(made, 0, "a required field has no empty record"),
            422 => assert!(made > 0),
            other => panic!("{other}: {}", changed.json()),
        }
    }
}
