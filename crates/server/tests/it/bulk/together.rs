//! Changes and deletions of many records as one job: at once, beside others that name the same records, and in the audit log.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{at, count, each, open_notes};
use crate::audit::events;
use crate::callers::{Admin, Calls};
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    requests_that_name_the_same_records_in_another_order_all_succeed,
    a_record_is_deleted_by_one_of_many_requests,
    nobody_sees_half_of_a_change,
    an_item_that_fails_leaves_the_others_standing,
    the_audit_log_names_each_record_and_the_whole,
);

async fn many(admin: &Admin<'_>, number: usize) -> Vec<Value> {
    admin.collection(&open_notes()).await;
    let records: Vec<Value> = (0..number).map(|_| json!({"title": "old", "n": 0})).collect();
    let made = admin.post(&at("batch"), &json!({"records": records})).await.expect(201).json();
    each(&made, "records", "id")
}

async fn requests_that_name_the_same_records_in_another_order_all_succeed(product: &Product) {
    let admin = product.admin().await;
    let ids = many(&admin, 60).await;
    let backwards: Vec<Value> = ids.iter().rev().cloned().collect();
    let path = at("bulk-update");
    let requests = (0..8).map(|at| {
        let body = json!({"record_ids": if at % 2 == 0 { &ids } else { &backwards }, "data": {"n+": 1}});
        let (admin, path) = (&admin, &path);
        async move { admin.post(path, &body).await }
    });
    for answer in join_all(requests).await {
        assert_eq!(answer.expect(200).json(), json!({"success": 60, "failed": 0, "errors": null}));
    }
    let counted = admin.column("notes", &[("per_page", "100")], "n").await;
    assert_eq!(counted, vec![json!(8); 60]);
}

async fn a_record_is_deleted_by_one_of_many_requests(product: &Product) {
    let admin = product.admin().await;
    let ids = many(&admin, 40).await;
    let (path, body) = (at("bulk-delete"), json!({"record_ids": ids}));
    let mut deleted = 0;
    for answer in join_all((0..6).map(|_| admin.post(&path, &body))).await {
        let answer = answer.expect(200).json();
        deleted += answer["success"].as_u64().unwrap();
        assert!(each(&answer, "errors", "error").iter().all(|code| code == "not_found"), "{answer}");
    }
    assert_eq!(deleted, 40);
    assert_eq!(count(&admin).await, 0);
}

async fn nobody_sees_half_of_a_change(product: &Product) {
    let admin = product.admin().await;
    let ids = many(&admin, 80).await;
    let (path, change) = (at("bulk-update"), |title: &str| json!({"record_ids": ids, "data": {"title": title}}));
    let writes = async {
        for title in ["new", "old", "new", "old", "new"] {
            admin.post(&path, &change(title)).await.expect(200);
        }
    };
    let reads = async {
        let mut seen = Vec::new();
        for _ in 0..60 {
            let page = admin.list("notes", &[("filter", "title = 'new'"), ("per_page", "1")]).await.expect(200).json();
            seen.push(page["total"].clone());
        }
        seen
    };
    let ((), seen) = tokio::join!(writes, reads);
    assert!(seen.iter().all(|total| *total == 0 || *total == 80), "{seen:?}");
}

async fn an_item_that_fails_leaves_the_others_standing(product: &Product) {
    let admin = product.admin().await;
    let mut ids = many(&admin, 3).await;
    admin.change("notes", &ids[1], &json!({"n": 20})).await.expect(200);
    ids.insert(0, json!("a\0b"));
    let answer =
        admin.post(&at("bulk-update"), &json!({"record_ids": ids, "data": {"n+": 1}})).await.expect(200).json();
    assert_eq!((&answer["success"], &answer["failed"]), (&json!(2), &json!(2)));
    assert_eq!(each(&answer, "errors", "error"), ["not_found", "validation_failed"]);
    assert_eq!(each(&answer, "errors", "record_id"), [ids[0].clone(), ids[2].clone()]);
    let mut counted = admin.column("notes", &[], "n").await;
    counted.sort_by_key(Value::as_i64);
    assert_eq!(counted, [1, 1, 20]);
}

async fn the_audit_log_names_each_record_and_the_whole(product: &Product) {
    let admin = product.admin().await;
    let ids = many(&admin, 3).await;
    let body = json!({"record_ids": [ids[0], ids[1], "nobody"]});
    admin.post(&at("bulk-delete"), &body).await.expect(200);
    let all = events(product).await;
    let of = |name: &'static str| all.iter().filter(move |event| event["event"] == name);
    assert_eq!(of("record/delete").count(), 2);
    let whole: Vec<&Value> = of("record/bulk_delete").collect();
    assert_eq!(whole.len(), 1);
    let told = ["collection", "records", "refused"].map(|name| whole[0]["details"][name].clone());
    assert_eq!(told, [json!("notes"), json!(2), json!(1)]);
}
