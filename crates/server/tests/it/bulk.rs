//! Many records in one request, beyond what becomes of each: limits, order, and several callers at once (contract 5.9, 16).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, open, record, records};
use crate::on_both_engines;
use crate::product::{Product, text};

mod together;
mod upsert;

on_both_engines!(
    one_to_a_hundred_items_are_taken,
    items_are_dealt_with_in_their_order,
    a_deletion_clears_the_way_for_the_next,
    each_item_is_decided_for_its_caller,
    increments_of_many_callers_all_count,
    an_increment_past_the_limit_fails_alone,
    hidden_fields_are_written_and_not_shown,
    unknown_fields_fail_the_item,
    a_rule_sees_that_it_is_asked_in_a_batch,
);

const VERBS: [&str; 4] = ["batch", "upsert", "bulk-update", "bulk-delete"];
const OWN: &str = "owner = @request.auth.id";
const OWN_DATA: &str = "@request.data.owner = @request.auth.id";
const FREE: &str = "018f3f6e-1111-7abc-8def-0123456789ab";

fn at(verb: &str) -> String {
    format!("{}/{verb}", records("notes"))
}

fn notes(rules: &[(&str, &str)]) -> Value {
    let mut notes = json!({"name": "notes", "schema": [
        {"name": "title", "type": "text"},
        {"name": "owner", "type": "text"},
        {"name": "n", "type": "number", "validation": {"max": 20}},
        {"name": "code", "type": "text", "validation": {"unique": true}},
        {"name": "draft", "type": "text", "hidden": true},
    ]});
    for (kind, rule) in rules {
        notes[format!("{kind}_rule")] = json!(rule);
    }
    notes
}

fn open_notes() -> Value {
    notes(&["list", "view", "create", "update", "delete"].map(|kind| (kind, "")))
}

/// A request of `count` items to one of the verbs.
fn items(verb: &str, count: usize) -> Value {
    let records: Vec<Value> = (0..count).map(|n| json!({"title": n.to_string()})).collect();
    let ids: Vec<String> = (0..count).map(|n| format!("{}{n:03}", &FREE[..33])).collect();
    match verb {
        "bulk-update" => json!({"record_ids": ids, "data": {"title": "x"}}),
        "bulk-delete" => json!({"record_ids": ids}),
        _ => json!({"records": records}),
    }
}

/// What one of the verbs answers with 200.
async fn ask(caller: &impl Calls, verb: &str, body: &Value) -> Value {
    caller.post(&at(verb), body).await.expect(200).json()
}

async fn upsert(caller: &impl Calls, items: Value) -> Value {
    ask(caller, "upsert", &json!({"records": items})).await
}

async fn count(admin: &Admin<'_>) -> Value {
    admin.list("notes", &[]).await.expect(200).json()["total"].clone()
}

#[track_caller]
fn counts(outcome: &Value, created: usize, updated: usize, failed: usize) {
    let counted = json!([outcome["created"], outcome["updated"], outcome["failed"]]);
    assert_eq!(counted, json!([created, updated, failed]), "{outcome}");
    let told = (each(outcome, "records", "id").len(), codes(outcome).len());
    assert_eq!(told, (created + updated, failed), "{outcome}");
}

/// One key of every entry of a list of the answer; of none where the list is null.
fn each(answer: &Value, list: &str, key: &str) -> Vec<Value> {
    let entries = answer[list].as_array().into_iter().flatten();
    entries.map(|entry| entry[key].clone()).collect()
}

/// The codes of the items that failed.
fn codes(answer: &Value) -> Vec<String> {
    each(answer, "errors", "error").iter().map(text).collect()
}

async fn one_to_a_hundred_items_are_taken(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let user = product.user("user").await;
    for verb in VERBS {
        user.post(&at(verb), &items(verb, 0)).await.refused(422, "validation_failed");
        user.post(&at(verb), &items(verb, 101)).await.refused(400, "batch_too_large");
        let outcome = user.post(&at(verb), &items(verb, 100)).await;
        assert!(outcome.status.is_success());
        let failed = if verb.starts_with("bulk") { 100 } else { 0 };
        assert_eq!(outcome.json()["failed"], failed, "{verb}");
    }
    user.post(&at("bulk-update"), &json!({"record_ids": [FREE], "data": {}})).await.refused(422, "validation_failed");
    user.post(&at("bulk-delete"), &json!({"record_ids": [7]})).await.refused(422, "validation_failed");
    user.post(&at("upsert"), &json!({"records": [], "more": 1})).await.refused(422, "validation_failed");
    user.call(http::Method::PUT, &at("upsert"), Some(&items("upsert", 1))).await.refused(405, "method_not_allowed");
}

async fn items_are_dealt_with_in_their_order(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let made: Vec<Value> = (0..30).map(|n| json!({"code": format!("c{}", n / 2)})).collect();
    let outcome = admin.post(&at("batch"), &json!({"records": made})).await.expect(201).json();
    let later: Vec<u64> = (0..30).filter(|n| n % 2 == 1).collect();
    assert_eq!(json!(each(&outcome, "errors", "index")), json!(later));

    let ids = each(&outcome, "records", "id");
    let outcome = ask(&admin, "bulk-update", &json!({"record_ids": ids, "data": {"code": "one"}})).await;
    assert_eq!(each(&outcome, "errors", "record_id"), ids[1..]);
}

async fn a_deletion_clears_the_way_for_the_next(product: &Product) {
    let admin = product.admin().await;
    let to_parent =
        json!({"name": "parent", "type": "relation", "relation": {"collection": "tree", "cascade_delete": "restrict"}});
    let tree = admin.collection(&open("tree", &json!([{"name": "title", "type": "text"}]))).await;
    admin.reshape(&tree, &json!({"schema": [{"name": "title", "type": "text"}, to_parent]})).await;
    let mut chain = vec![admin.make("tree", &json!({"title": "root"})).await["id"].clone()];
    for _ in 0..20 {
        let below = admin.make("tree", &json!({"parent": chain.last()})).await;
        chain.push(below["id"].clone());
    }
    let path = format!("{}/bulk-delete", records("tree"));
    let outcome = admin.post(&path, &json!({"record_ids": chain})).await.expect(200).json();
    assert_eq!((&outcome["success"], &codes(&outcome)), (&json!(1), &vec!["relation_restricted".to_owned(); 20]));
    chain.truncate(20);
    chain.reverse();
    let outcome = admin.post(&path, &json!({"record_ids": chain})).await.expect(200).json();
    assert_eq!(outcome, json!({"success": 20, "failed": 0, "errors": null}));
}

async fn each_item_is_decided_for_its_caller(product: &Product) {
    let admin = product.admin().await;
    let (owner, other) = (product.user("owner").await, product.user("other").await);
    admin.collection(&notes(&[("view", ""), ("create", OWN_DATA), ("update", OWN), ("delete", OWN)])).await;
    let mine = owner.make("notes", &json!({"owner": owner.id})).await;
    let ids = json!([mine["id"]]);
    let requests = [
        ("batch", json!({"records": [{"owner": owner.id}]})),
        ("upsert", json!({"records": [{"id": mine["id"], "title": "x"}]})),
        ("bulk-update", json!({"record_ids": ids, "data": {"title": "x"}})),
        ("bulk-delete", json!({"record_ids": ids})),
    ];
    for (verb, body) in &requests {
        product.guest().post(&at(verb), body).await.refused(401, "authentication_required");
        let refused = other.post(&at(verb), body).await.json();
        assert_eq!((&refused["failed"], codes(&refused)), (&json!(1), vec!["forbidden".to_owned()]), "{verb}");
        assert_eq!(admin.post(&at(verb), body).await.json()["failed"], 0, "{verb}");
        // Where the admin took the record away it has to be put back.
        upsert(&admin, json!([{"id": mine["id"], "owner": owner.id}])).await;
        assert_eq!(owner.post(&at(verb), body).await.json()["failed"], 0, "{verb}");
    }
}

/// D-29.
async fn increments_of_many_callers_all_count(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(admin.make("notes", &json!({"n": 0})).await["id"].clone());
    }
    // Each caller begins elsewhere, so that they meet in every order.
    let bodies: Vec<Value> = (0..16)
        .map(|caller| {
            let mut named = ids.clone();
            named.rotate_left(caller % ids.len());
            json!({"record_ids": named, "data": {"n+": 1}})
        })
        .collect();
    let path = at("bulk-update");
    for answer in join_all(bodies.iter().map(|body| admin.post(&path, body))).await {
        assert_eq!(answer.expect(200).json(), json!({"success": 6, "failed": 0, "errors": null}));
    }
    assert_eq!(admin.column("notes", &[], "n").await, vec![json!(16); 6]);
    let twice = json!({"record_ids": [ids[0], ids[0]], "data": {"n+": 1}});
    assert_eq!(admin.post(&path, &twice).await.expect(200).json()["success"], 2);
    assert_eq!(admin.get(&record("notes", &ids[0])).await.expect(200).json()["data"]["n"], 18);
}

async fn an_increment_past_the_limit_fails_alone(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let (low, high) = (admin.make("notes", &json!({"n": 1})).await, admin.make("notes", &json!({"n": 19})).await);
    let body = json!({"record_ids": [high["id"], low["id"], high["id"]], "data": {"n+": 1}});
    let outcome = ask(&admin, "bulk-update", &body).await;
    assert_eq!(outcome["errors"], json!([{"record_id": high["id"], "error": "validation_failed"}]));
    assert_eq!(admin.column("notes", &[("sort", "n")], "n").await, [json!(2), json!(20)]);
}

/// D-10.
async fn hidden_fields_are_written_and_not_shown(product: &Product) {
    let admin = product.admin().await;
    let collection = admin.collection(&open_notes()).await;
    let user = product.user("user").await;
    let made = user.post(&at("batch"), &json!({"records": [{"draft": "first"}]})).await.expect(201).json();
    let id = &made["records"][0]["id"];
    let changed = upsert(&user, json!([{"id": id, "draft": "second"}, {"id": FREE, "draft": "third"}])).await;
    counts(&changed, 1, 1, 0);
    user.post(&at("bulk-update"), &json!({"record_ids": [FREE], "data": {"draft": "fourth"}})).await.expect(200);
    for answer in [&made, &changed] {
        let shown = each(answer, "records", "data");
        assert!(shown.iter().all(|data| data.get("draft").is_none()), "{answer}");
    }
    let mut shown = collection["schema"].clone();
    for field in shown.as_array_mut().into_iter().flatten() {
        field["hidden"] = json!(false);
    }
    admin.reshape(&collection, &json!({"schema": shown})).await;
    let mut drafts: Vec<String> = admin.column("notes", &[], "draft").await.iter().map(text).collect();
    drafts.sort();
    assert_eq!(drafts, ["fourth", "second"]);
}

/// D-54.
async fn unknown_fields_fail_the_item(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let user = product.user("user").await;
    let bad = json!([{"nope": 1}, {"title": "\u{0}"}, {"created": "2026-01-31"}, {"id": FREE, "n+": 1}, {"id": FREE}, {}, 5, null, []]);
    for (verb, status) in [("batch", 201), ("upsert", 200)] {
        let outcome = user.post(&at(verb), &json!({"records": bad})).await.expect(status).json();
        assert_eq!(codes(&outcome), vec!["validation_failed"; 9], "{verb}");
        assert_eq!(json!(each(&outcome, "errors", "data")), bad);
    }
    let known = user.make("notes", &json!({"title": "t"})).await;
    let body = json!({"record_ids": [known["id"], FREE, "a\u{0}"], "data": {"nope": 1}});
    let outcome = ask(&user, "bulk-update", &body).await;
    assert_eq!(codes(&outcome), ["validation_failed", "not_found", "not_found"], "an unknown record is unknown first");
    assert_eq!(count(&admin).await, 1);
}

/// D-60.
/// D-60.
async fn a_rule_sees_that_it_is_asked_in_a_batch(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("user").await;
    admin
        .collection(&notes(&[
            ("view", ""),
            ("create", "@request.context = 'batch'"),
            ("update", "@request.context = 'default'"),
        ]))
        .await;
    user.create("notes", &json!({"title": "t"})).await.refused(403, "forbidden");
    counts(&upsert(&user, json!([{"id": FREE, "title": "t"}])).await, 1, 0, 0);
    assert_eq!(codes(&upsert(&user, json!([{"id": FREE, "title": "u"}])).await), ["forbidden"]);
    user.change("notes", &json!(FREE), &json!({"title": "u"})).await.expect(200);
}
