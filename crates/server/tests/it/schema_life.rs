//! The life of a schema: fields renamed, retyped and tightened over records that are there, with everybody who reads them.

mod documents;
mod indexes;
mod readers;
mod retype;
mod traffic;
mod transfer;

pub use transfer::export;

use serde_json::{Value, json};

use crate::callers::{COLLECTIONS, Calls, collection_path, open, record};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_renamed_field_keeps_its_values,
    names_can_be_exchanged,
    a_rename_is_said_in_one_way,
    another_name_alone_is_another_field,
    records_in_the_way_are_counted_and_named,
    records_that_collide_are_counted_and_named,
    limits_are_for_what_is_written_from_now_on,
    a_refused_change_leaves_no_trace,
    a_type_of_collection_is_for_life,
);

/// The message under a key of a refused change.
#[track_caller]
fn told(answer: crate::product::Answer, key: &str) -> String {
    let details = answer.refused(422, "validation_failed").json()["details"].clone();
    details[key].as_str().unwrap_or_else(|| panic!("no {key} in {details}")).to_owned()
}

/// A change of the schema and nothing else.
fn schema(fields: Value) -> Value {
    Value::Object([("schema".to_owned(), fields)].into_iter().collect())
}

/// The fields of `posts`, with this validation of `title` and these choices of `kind`.
fn posts(title: Value, kinds: &[&str]) -> Value {
    let mut title_field = json!({"name": "title", "type": "text"});
    title_field["validation"] = title;
    json!([
        title_field, {"name": "kind", "type": "select", "select": {"values": kinds}},
        {"name": "tags", "type": "select", "select": {"values": ["x", "y", "z"], "max_select": 3}},
    ])
}

async fn a_renamed_field_keeps_its_values(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let unique = json!({"unique": true, "required": true});
    let posts = admin
        .collection(&open(
            "posts",
            &json!([{"name": "title", "type": "text", "validation": unique}, {"name": "n", "type": "number"}]),
        ))
        .await;
    admin
        .post(
            &format!("{}/indexes", collection_path(&posts)),
            &json!({"name": "by_title", "fields": [{"name": "title"}, {"name": "n", "order": "desc"}]}),
        )
        .await
        .expect(201);
    let one = guest.make("posts", &json!({"title": "one", "n": 1})).await;
    let renamed = json!([{"name": "n", "type": "number"}, {"name": "headline", "type": "text", "validation": unique, "renamed_from": "title"}]);
    let after = admin.reshape(&posts, &schema(renamed)).await;
    assert!(after["schema"][1].get("renamed_from").is_none(), "it is said, not kept");
    assert_eq!(
        guest.get(&record("posts", &one["id"])).await.expect(200).json()["data"],
        json!({"n": 1, "headline": "one"})
    );
    guest.create("posts", &json!({"headline": "one"})).await.refused(409, "unique_conflict");
    guest.create("posts", &json!({"n": 1})).await.refused(422, "validation_failed");
    guest.make("posts", &json!({"headline": "two"})).await;
    let index = admin.get(&format!("{}/indexes/by_title", collection_path(&posts))).await.expect(200).json();
    assert_eq!(index["fields"], json!([{"name": "headline", "order": "asc"}, {"name": "n", "order": "desc"}]));
    // The names of another case are the same to the engine and another to us.
    let again = json!([{"name": "n", "type": "number"}, {"name": "HeadLine", "type": "text", "validation": unique, "renamed_from": "headline"}]);
    admin.reshape(&posts, &schema(again)).await;
    assert_eq!(guest.column("posts", &[("sort", "HeadLine")], "HeadLine").await, ["one", "two"]);
}

async fn names_can_be_exchanged(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let things = admin.collection(&open("things", &json!([
        {"name": "a", "type": "text", "validation": {"unique": true}}, {"name": "b", "type": "text"}, {"name": "c", "type": "number"},
    ]))).await;
    let one = guest.make("things", &json!({"a": "A", "b": "B", "c": 3})).await;
    let round = json!([
        {"name": "b", "type": "text", "renamed_from": "a"}, {"name": "c", "type": "text", "renamed_from": "b"},
        {"name": "a", "type": "text", "renamed_from": "c", "validation": {"unique": true}},
    ]);
    admin.reshape(&things, &schema(round)).await;
    let data = guest.get(&record("things", &one["id"])).await.expect(200).json()["data"].clone();
    assert_eq!(data, json!({"b": "A", "c": "B", "a": "3"}));
    guest.create("things", &json!({"a": "3"})).await.refused(409, "unique_conflict");
    guest.make("things", &json!({"b": "A"})).await;
}

async fn a_rename_is_said_in_one_way(product: &Product) {
    let admin = product.admin().await;
    let renamed = |name: &str, was: Value| json!({"name": name, "type": "text", "renamed_from": was});
    let things =
        admin.collection(&open("things", &json!([{"name": "a", "type": "text"}, {"name": "b", "type": "text"}]))).await;
    let path = collection_path(&things);
    for (fields, key) in [
        (json!([renamed("x", json!("nothing"))]), "schema.0.renamed_from"),
        (json!([renamed("x", json!("A"))]), "schema.0.renamed_from"),
        (json!([renamed("x", json!("a")), renamed("y", json!("a"))]), "schema.1.renamed_from"),
        (json!([renamed("x", json!(5))]), "schema.0.renamed_from"),
        (json!([renamed("b", json!("a")), {"name": "b", "type": "text"}]), "schema.1.name"),
    ] {
        told(admin.patch(&path, &schema(fields)).await, key);
    }
    told(admin.post(COLLECTIONS, &open("new", &json!([renamed("x", json!("a"))]))).await, "schema.0.renamed_from");
    assert_eq!(admin.get(&path).await.expect(200).json(), things);
    // The same name, and null, say nothing.
    admin.reshape(&things, &schema(json!([renamed("a", json!("a")), renamed("b", Value::Null)]))).await;
    let members = admin.collection(&json!({"name": "members", "type": "auth"})).await;
    told(
        admin.patch(&collection_path(&members), &schema(json!([renamed("mail", json!("email"))]))).await,
        "schema.0.renamed_from",
    );
}

async fn another_name_alone_is_another_field(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let things = admin.collection(&open("things", &json!([{"name": "a", "type": "text"}]))).await;
    let one = guest.make("things", &json!({"a": "A"})).await;
    admin.reshape(&things, &schema(json!([{"name": "A", "type": "text"}]))).await;
    assert_eq!(guest.get(&record("things", &one["id"])).await.expect(200).json()["data"], json!({"A": null}));
}

async fn records_in_the_way_are_counted_and_named(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let kinds = ["a", "b", "c"];
    let made = admin.collection(&open("posts", &posts(json!({}), &kinds))).await;
    let path = collection_path(&made);
    let mut ids = Vec::new();
    for n in 0..8 {
        let title = if n < 7 { Value::Null } else { json!("t") };
        let data = json!({"title": title, "kind": if n == 3 { "b" } else { "a" }, "tags": ["x", "y"]});
        ids.push(text(&guest.make("posts", &data).await["id"]));
        product.clock.advance_millis(1);
    }
    let refused = async |fields: Value, key: &str| told(admin.patch(&path, &schema(fields)).await, key);
    let message = refused(posts(json!({"required": true}), &kinds), "schema.0.validation.required").await;
    assert_eq!(message, format!("7 records have no value: {}, …", ids[..5].join(", ")));
    let message = refused(posts(json!({}), &["c", "a"]), "schema.1.select.values").await;
    assert_eq!(message, format!("1 record has a value that does not fit: {}", ids[3]));
    let mut fewer = posts(json!({}), &kinds);
    fewer[2]["select"]["max_select"] = json!(1);
    let message = refused(fewer, "schema.2.select.max_select").await;
    assert!(message.starts_with("8 records"), "{message}");
    let mut more = posts(json!({}), &kinds);
    more.as_array_mut().unwrap().push(json!({"name": "n", "type": "number", "validation": {"required": true}}));
    let message = refused(more, "schema.3.validation.required").await;
    assert!(message.starts_with("8 records have no value yet"), "{message}");
    // What is in nobody's way is free to go.
    admin.reshape(&made, &schema(posts(json!({}), &["b", "a"]))).await;
}

async fn records_that_collide_are_counted_and_named(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let made = admin.collection(&open("posts", &posts(json!({}), &["a"]))).await;
    let mut ids = Vec::new();
    for title in ["same", "same", "other"] {
        ids.push(text(&guest.make("posts", &json!({"title": title})).await["id"]));
        product.clock.advance_millis(1);
    }
    let unique = schema(posts(json!({"unique": true}), &["a"]));
    let message = told(admin.patch(&collection_path(&made), &unique).await, "schema.0.validation.unique");
    assert_eq!(message, format!("2 records share a value with another: {}, {}", ids[0], ids[1]));
    guest.change("posts", &json!(ids[0]), &json!({"title": "é".repeat(1301)})).await.expect(200);
    let message = told(admin.patch(&collection_path(&made), &unique).await, "schema.0.validation.unique");
    assert_eq!(message, format!("1 record has more than 2600 bytes: {}", ids[0]));
}

async fn limits_are_for_what_is_written_from_now_on(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let things = admin
        .collection(&open("things", &json!([{"name": "n", "type": "number"}, {"name": "t", "type": "text"}])))
        .await;
    let one = guest.make("things", &json!({"n": 50, "t": "a long text"})).await;
    let tight = json!([{"name": "n", "type": "number", "validation": {"max": 10}}, {"name": "t", "type": "text", "validation": {"max_length": 3, "pattern": "[a-z]*"}}]);
    admin.reshape(&things, &schema(tight)).await;
    assert_eq!(
        guest.get(&record("things", &one["id"])).await.expect(200).json()["data"],
        json!({"n": 50, "t": "a long text"})
    );
    guest.change("things", &one["id"], &json!({"n": 11})).await.refused(422, "validation_failed");
    guest.change("things", &one["id"], &json!({"n": 9})).await.expect(200);
}

/// D-49.
async fn a_refused_change_leaves_no_trace(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let things = admin.collection(&open("things", &json!([
        {"name": "a", "type": "text", "validation": {"unique": true}}, {"name": "b", "type": "number"}, {"name": "c", "type": "text"},
    ]))).await;
    let other = admin
        .collection(&open(
            "others",
            &json!([{"name": "thing", "type": "relation", "relation": {"collection": "things"}}]),
        ))
        .await;
    guest.make("things", &json!({"a": "1", "b": 1, "c": "one"})).await;
    guest.make("things", &json!({"a": "2", "b": 2, "c": "one"})).await;
    let rows = guest.list("things", &[]).await.expect(200).json();
    // Much would go through before the last field does not.
    let change = json!({"name": "renamed", "list_rule": null, "schema": [
        {"name": "z", "type": "number", "renamed_from": "a"}, {"name": "b", "type": "text"}, {"name": "new", "type": "json"},
        {"name": "c", "type": "text", "validation": {"unique": true}},
    ]});
    told(admin.patch(&collection_path(&things), &change).await, "schema.3.validation.unique");
    assert_eq!(admin.get(&collection_path(&things)).await.expect(200).json(), things);
    assert_eq!(admin.get(&collection_path(&other)).await.expect(200).json(), other);
    assert_eq!(guest.list("things", &[]).await.expect(200).json(), rows);
    guest.create("things", &json!({"a": "2"})).await.refused(409, "unique_conflict");
    guest.make("things", &json!({"a": "3", "b": 3})).await;
    guest.list("renamed", &[]).await.refused(404, "not_found");
}

async fn a_type_of_collection_is_for_life(product: &Product) {
    let admin = product.admin().await;
    let things = admin.collection(&json!({"name": "things"})).await;
    for kind in ["auth", "view"] {
        told(admin.patch(&collection_path(&things), &json!({"type": kind})).await, "type");
    }
    assert_eq!(admin.reshape(&things, &json!({"type": "base"})).await["type"], "base");
}
