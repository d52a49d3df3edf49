//! Many records in one request, beyond what becomes of each: limits, order, several callers at once, and what an upsert gives away
//! (contract 5.9, 16).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, open, record, records};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

on_both_engines!(
    timing,
    one_to_a_hundred_items_are_taken,
    items_are_dealt_with_in_their_order,
    each_item_is_decided_for_its_caller,
    increments_of_many_callers_all_count,
    an_increment_past_the_limit_fails_alone,
    hidden_fields_are_written_and_not_shown,
    unknown_fields_fail_the_item,
    what_is_sent_twice_is_stored_once,
    a_record_is_made_by_one_of_many_callers,
    an_item_may_name_the_record_of_one_before_it,
    an_id_is_a_uuid_in_whatever_case,
    a_refused_upsert_tells_nothing_of_hidden_records,
    an_id_that_is_taken_shows_only_to_who_may_create,
    accounts_are_kept_to_their_rules,
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

async fn upsert(caller: &impl Calls, items: Value) -> Value {
    caller.post(&at("upsert"), &json!({"records": items})).await.expect(200).json()
}

async fn count(admin: &Admin<'_>) -> u64 {
    admin.list("notes", &[]).await.expect(200).json()["total"].as_u64().unwrap()
}

#[track_caller]
fn counts(outcome: &Value, created: u64, updated: u64, failed: u64) {
    let counted = json!([outcome["created"], outcome["updated"], outcome["failed"]]);
    assert_eq!(counted, json!([created, updated, failed]), "{outcome}");
    assert_eq!(outcome["records"].as_array().unwrap().len() as u64, created + updated);
    assert_eq!(outcome["errors"].as_array().map_or(0, Vec::len) as u64, failed);
}

/// The codes of the items that failed.
fn codes(answer: &Value) -> Vec<String> {
    answer["errors"].as_array().into_iter().flatten().map(|error| text(&error["error"])).collect()
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
    let to_parent = json!({"name": "parent", "type": "relation", "relation": {"collection": "tree", "cascade_delete": "restrict"}});
    let tree = admin.collection(&open("tree", &json!([{"name": "title", "type": "text"}]))).await;
    admin.reshape(&tree, &json!({"schema": [{"name": "title", "type": "text"}, to_parent]})).await;

    let made: Vec<Value> = (0..30).map(|n| json!({"code": format!("c{}", n / 2)})).collect();
    let outcome = admin.post(&at("batch"), &json!({"records": made})).await.expect(201).json();
    let failed: Vec<u64> = outcome["errors"].as_array().unwrap().iter().map(|error| error["index"].as_u64().unwrap()).collect();
    assert_eq!(failed, (0..30).filter(|n| n % 2 == 1).collect::<Vec<u64>>());

    let ids: Vec<Value> = outcome["records"].as_array().unwrap().iter().map(|record| record["id"].clone()).collect();
    let outcome = admin.post(&at("bulk-update"), &json!({"record_ids": ids, "data": {"code": "one"}})).await.expect(200).json();
    let failed: Vec<Value> = outcome["errors"].as_array().unwrap().iter().map(|error| error["record_id"].clone()).collect();
    assert_eq!(failed, ids[1..]);

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
    let outcome = admin.post(&at("bulk-update"), &body).await.expect(200).json();
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
        assert!(answer["records"].as_array().unwrap().iter().all(|record| record["data"].get("draft").is_none()), "{answer}");
    }
    let mut shown = collection["schema"].clone();
    for field in shown.as_array_mut().unwrap() {
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
        let echoed: Vec<&Value> = outcome["errors"].as_array().unwrap().iter().map(|error| &error["data"]).collect();
        assert_eq!(json!(echoed), bad);
    }
    let known = user.make("notes", &json!({"title": "t"})).await;
    let body = json!({"record_ids": [known["id"], FREE, "a\u{0}"], "data": {"nope": 1}});
    let outcome = user.post(&at("bulk-update"), &body).await.expect(200).json();
    assert_eq!(codes(&outcome), ["validation_failed", "not_found", "not_found"], "an unknown record is unknown first");
    assert_eq!(count(&admin).await, 1);
}

async fn what_is_sent_twice_is_stored_once(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let items: Vec<Value> = (0..40).map(|n| json!({"id": format!("{}{n:03}", &FREE[..33]), "code": format!("c{n}")})).collect();
    let first = upsert(&admin, json!(items)).await;
    counts(&first, 40, 0, 0);
    let second = upsert(&admin, json!(items)).await;
    counts(&second, 0, 40, 0);
    for (first, (second, item)) in first["records"].as_array().unwrap().iter().zip(second["records"].as_array().unwrap().iter().zip(&items)) {
        assert_eq!((&first["id"], &first["data"]["code"]), (&item["id"], &item["code"]));
        assert_eq!((&first["id"], &first["data"], &first["created"]), (&second["id"], &second["data"], &second["created"]));
    }
    assert_eq!(count(&admin).await, 40);
}

async fn a_record_is_made_by_one_of_many_callers(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let (path, body) = (at("upsert"), json!({"records": [{"id": FREE, "title": "t"}]}));
    let outcomes: Vec<Value> = join_all((0..16).map(|_| admin.post(&path, &body))).await.into_iter().map(|answer| answer.expect(200).json()).collect();
    let sum = |key: &str| outcomes.iter().map(|outcome| outcome[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("created"), sum("updated"), sum("failed")), (1, 15, 0));
    assert_eq!(count(&admin).await, 1);
}

async fn an_item_may_name_the_record_of_one_before_it(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let outcome = upsert(&admin, json!([{"id": FREE, "n": 1}, {"id": FREE, "n+": 2}, {"id": FREE, "n": "x"}, {"id": FREE, "n+": 4}])).await;
    counts(&outcome, 1, 2, 1);
    let seen: Vec<&Value> = outcome["records"].as_array().unwrap().iter().map(|record| &record["data"]["n"]).collect();
    assert_eq!(seen, [&json!(1), &json!(3), &json!(7)]);
    assert_eq!(count(&admin).await, 1);
}

async fn an_id_is_a_uuid_in_whatever_case(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let outcome = upsert(&admin, json!([{"id": FREE.to_uppercase(), "n": 1}, {"id": FREE, "n": 2}, {"id": FREE.to_uppercase(), "n": 3}, {"id": null, "n": 4}])).await;
    counts(&outcome, 2, 2, 0);
    assert_eq!(outcome["records"][0]["id"], FREE);
    let compact = FREE.replace('-', "");
    let odd = [json!(compact), json!(format!("{{{FREE}}}")), json!(format!("urn:uuid:{FREE}")), json!("x"), json!(""), json!("a\u{0}"), json!(7), json!([FREE])];
    let items: Vec<Value> = odd.iter().map(|id| json!({"id": id, "n": 5})).collect();
    let outcome = upsert(&admin, json!(items)).await;
    assert_eq!(codes(&outcome), vec!["validation_failed"; 8]);
    assert_eq!(count(&admin).await, 2);
}

/// D-60.
async fn a_refused_upsert_tells_nothing_of_hidden_records(product: &Product) {
    let admin = product.admin().await;
    let (owner, other) = (product.user("owner").await, product.user("other").await);
    let collection = admin.collection(&notes(&[("view", OWN), ("update", OWN)])).await;
    let mine = admin.make("notes", &json!({"owner": owner.id, "title": "mine"})).await;
    let probe = json!([{"id": mine["id"], "title": "x"}, {"id": FREE, "title": "x"}, {"id": mine["id"], "nope": 1}, {"id": FREE, "nope": 1}]);
    // Nobody but admins may create, then those who are named may, then nobody by an expression: the taken id answers as the free one.
    for create in [json!(null), json!("@request.data.title = 'y'"), json!("@collection.notes.title ?= @request.data.owner")] {
        admin.reshape(&collection, &json!({"create_rule": create})).await;
        let outcome = upsert(&other, probe.clone()).await;
        counts(&outcome, 0, 0, 4);
        let codes = codes(&outcome);
        assert_eq!((&codes[0], &codes[2]), (&codes[1], &codes[3]), "{create}");
        assert_eq!(codes[0], "forbidden");
    }
    admin.reshape(&collection, &json!({"update_rule": null})).await;
    assert_eq!(codes(&upsert(&other, probe.clone()).await), codes(&upsert(&other, probe).await));
    assert_eq!(codes(&upsert(&owner, json!([{"id": mine["id"], "title": "x"}])).await), ["forbidden"]);
    assert_eq!(count(&admin).await, 1);
    assert_eq!(admin.get(&record("notes", &mine["id"])).await.expect(200).json(), mine);
}

/// D-60.
async fn an_id_that_is_taken_shows_only_to_who_may_create(product: &Product) {
    let admin = product.admin().await;
    let (owner, other) = (product.user("owner").await, product.user("other").await);
    let collection = admin.collection(&notes(&[("view", OWN), ("update", OWN), ("create", "")])).await;
    let mine = owner.make("notes", &json!({"owner": owner.id, "title": "mine"})).await;
    let steal = json!([{"id": mine["id"], "owner": other.id, "title": "stolen"}]);
    assert_eq!(codes(&upsert(&other, steal.clone()).await), ["already_exists"]);
    admin.reshape(&collection, &json!({"view_rule": ""})).await;
    assert_eq!(codes(&upsert(&other, steal).await), ["forbidden"]);
    assert_eq!(admin.list("notes", &[]).await.expect(200).json()["items"], json!([mine]));
    counts(&upsert(&owner, json!([{"id": mine["id"], "title": "own"}])).await, 0, 1, 0);
}

async fn accounts_are_kept_to_their_rules(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("user").await;
    let mut members = open("members", &json!([{"name": "nick", "type": "text"}]));
    members["type"] = json!("auth");
    admin.collection(&members).await;
    let at = |verb: &str| format!("{}/{verb}", records("members"));
    let member = |id: &str, email: &str| json!({"id": id, "email": email, "password": PASSWORD});
    let other_id = format!("{}999", &FREE[..33]);
    let items = json!({"records": [member(FREE, "a@example.com"), member(&other_id, "A@example.com"), member(&other_id, "b@example.com")]});
    let outcome = user.post(&at("upsert"), &items).await.expect(200);
    assert!(!String::from_utf8_lossy(&outcome.bytes).contains("argon2"));
    let outcome = outcome.json();
    counts(&outcome, 2, 0, 1);
    assert_eq!(codes(&outcome), ["email_taken"]);
    for (data, success) in [(json!({"verified": true}), 0), (json!({"role": "admin"}), 0), (json!({"password": PASSWORD}), 0), (json!({"nick": "n"}), 2)] {
        let body = json!({"record_ids": [FREE, other_id], "data": data});
        assert_eq!(user.post(&at("bulk-update"), &body).await.expect(200).json()["success"], success, "{data}");
    }
    let body = json!({"record_ids": [FREE, other_id], "data": {"verified": true}});
    assert_eq!(admin.post(&at("bulk-update"), &body).await.expect(200).json()["success"], 2);
    let login = json!({"email": "b@example.com", "password": PASSWORD});
    let path = "/api/v1/collections/members/auth/login";
    product.guest().post(path, &login).await.expect(200);
    assert_eq!(user.post(&at("bulk-delete"), &json!({"record_ids": [other_id]})).await.expect(200).json()["success"], 1);
    product.guest().post(path, &login).await.refused(401, "invalid_credentials");
}

async fn a_rule_sees_that_it_is_asked_in_a_batch(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("user").await;
    admin.collection(&notes(&[("view", ""), ("create", "@request.context = 'batch'"), ("update", "@request.context = 'default'")])).await;
    user.create("notes", &json!({"title": "t"})).await.refused(403, "forbidden");
    counts(&upsert(&user, json!([{"id": FREE, "title": "t"}])).await, 1, 0, 0);
    assert_eq!(codes(&upsert(&user, json!([{"id": FREE, "title": "u"}])).await), ["forbidden"]);
    user.change("notes", &json!(FREE), &json!({"title": "u"})).await.expect(200);
}

async fn timing(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("notes", &json!([{"name": "t", "type": "text"}, {"name": "n", "type": "number"}]))).await;
    let items: Vec<_> = (0..100).map(|n| json!({"t": "x", "n": n})).collect();
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let made = admin.post(&format!("{}/batch", records("notes")), &json!({"records": items})).await.expect(201).json();
        println!("batch {:?}", start.elapsed());
        let ids: Vec<_> = made["records"].as_array().unwrap().iter().map(|r| r["id"].clone()).collect();
        let start = std::time::Instant::now();
        admin.post(&format!("{}/bulk-update", records("notes")), &json!({"record_ids": ids, "data": {"n+": 1}})).await.expect(200).json();
        println!("update {:?}", start.elapsed());
        let up: Vec<_> = ids.iter().map(|id| json!({"id": id, "n": 4})).collect();
        let start = std::time::Instant::now();
        admin.post(&format!("{}/upsert", records("notes")), &json!({"records": up})).await.expect(200).json();
        println!("upsert {:?}", start.elapsed());
        let start = std::time::Instant::now();
        admin.post(&format!("{}/bulk-delete", records("notes")), &json!({"record_ids": ids})).await.expect(200).json();
        println!("delete {:?}", start.elapsed());
    }
}
