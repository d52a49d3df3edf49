//! Who reads a field or a collection that changes its name: rules, indexes, relations.

use serde_json::{Value, json};

use super::{schema, told};
use crate::callers::{Calls, collection_path, open, record};
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    a_rule_never_changes_its_meaning_by_a_rename,
    what_others_read_of_a_field_follows_or_refuses,
    a_field_that_an_index_reads_stays,
    a_collection_takes_its_relations_along_when_it_is_renamed,
    a_rule_that_names_a_renamed_collection_stands_in_the_way,
);

async fn a_rule_never_changes_its_meaning_by_a_rename(product: &Product) {
    let admin = product.admin().await;
    let mut body = open("notes", &json!([{"name": "owner", "type": "text"}, {"name": "kind", "type": "text"}]));
    body["update_rule"] = json!("owner = @request.auth.id");
    body["create_rule"] = json!("@request.data.kind = 'open' && @request.auth.id != 'kind'");
    let notes = admin.collection(&body).await;
    let path = collection_path(&notes);
    // The name is used again at once: the rule would hold together and read another field.
    let swapped = json!([{"name": "writer", "type": "text", "renamed_from": "owner"}, {"name": "owner", "type": "text"}, {"name": "kind", "type": "text"}]);
    assert!(told(admin.patch(&path, &schema(swapped.clone())).await, "update_rule").contains("`owner`"));
    // What a request sends under a name that is none any more would never be there.
    let gone = json!([{"name": "owner", "type": "text"}]);
    assert!(told(admin.patch(&path, &schema(gone)).await, "create_rule").contains("`kind`"));
    assert_eq!(admin.get(&path).await.expect(200).json(), notes);
    let mut change = schema(swapped);
    change["update_rule"] = json!("writer = @request.auth.id");
    let after = admin.reshape(&notes, &change).await;
    assert_eq!(after["update_rule"], "writer = @request.auth.id");

    let other = json!({"name": "marks", "schema": [{"name": "note", "type": "relation", "relation": {"collection": "notes"}}], "list_rule": "note.writer = 'x'"});
    admin.collection(&other).await;
    let again = json!([{"name": "author", "type": "text", "renamed_from": "writer"}, {"name": "writer", "type": "text"}, {"name": "kind", "type": "text"}]);
    let mut change = schema(again);
    change["update_rule"] = Value::Null;
    assert!(told(admin.patch(&path, &change).await, "schema").contains("`list_rule` of the collection `marks`"));
}

async fn what_others_read_of_a_field_follows_or_refuses(product: &Product) {
    let admin = product.admin().await;
    let authors = admin
        .collection(&open("authors", &json!([{"name": "name", "type": "text"}, {"name": "age", "type": "number"}])))
        .await;
    let relation = json!({"collection": "authors", "display_fields": ["name", "id"]});
    let mut books = open("books", &json!([{"name": "writer", "type": "relation", "relation": relation}]));
    books["list_rule"] = json!("writer.age > 17");
    let books = admin.collection(&books).await;
    let path = collection_path(&authors);

    let renamed =
        json!([{"name": "called", "type": "text", "renamed_from": "name"}, {"name": "age", "type": "number"}]);
    admin.reshape(&authors, &schema(renamed)).await;
    let shown =
        admin.get(&collection_path(&books)).await.expect(200).json()["schema"][0]["relation"]["display_fields"].clone();
    assert_eq!(shown, json!(["called", "id"]));
    for (fields, who) in [
        (json!([{"name": "age", "type": "number"}]), "`writer` of the collection `books` shows `called`"),
        (
            json!([{"name": "called", "type": "text", "hidden": true}, {"name": "age", "type": "number"}]),
            "`writer` of the collection `books` shows `called`",
        ),
        (json!([{"name": "called", "type": "text"}]), "`list_rule` of the collection `books`"),
        (
            json!([{"name": "called", "type": "text"}, {"name": "age", "type": "text"}]),
            "`list_rule` of the collection `books`",
        ),
        (
            json!([{"name": "called", "type": "text"}, {"name": "years", "type": "number", "renamed_from": "age"}]),
            "`list_rule` of the collection `books`",
        ),
    ] {
        let message = told(admin.patch(&path, &schema(fields)).await, "schema");
        assert!(message.contains(who), "{message}");
    }
}

async fn a_field_that_an_index_reads_stays(product: &Product) {
    let admin = product.admin().await;
    let fields = json!([{"name": "name", "type": "text"}, {"name": "age", "type": "number"}]);
    let authors = admin.collection(&open("authors", &fields)).await;
    let path = collection_path(&authors);
    let index = json!({"name": "by_age", "fields": [{"name": "age"}]});
    admin.post(&format!("{path}/indexes"), &index).await.expect(201);
    for gone in [json!([{"name": "name", "type": "text"}]), json!([{"name": "age", "type": "json"}])] {
        let message = told(admin.patch(&path, &schema(gone)).await, "schema");
        assert!(message.contains("The index `by_age` reads `age`"), "{message}");
    }
    admin.delete(&format!("{path}/indexes/by_age")).await.expect(204);
    admin.reshape(&authors, &schema(json!([{"name": "name", "type": "text"}]))).await;
}

async fn a_collection_takes_its_relations_along_when_it_is_renamed(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let tree = json!([{"name": "parent", "type": "relation", "relation": {"collection": "Nodes"}}]);
    let nodes = admin.collection(&open("nodes", &tree)).await;
    let leaf =
        json!([{"name": "node", "type": "relation", "relation": {"collection": "nodes", "cascade_delete": "cascade"}}]);
    let leaves = admin.collection(&open("leaves", &leaf)).await;
    let root = guest.make("nodes", &json!({"parent": null})).await;
    let one = guest.make("leaves", &json!({"node": root["id"]})).await;
    let renamed = admin.reshape(&nodes, &json!({"name": "branches"})).await;
    assert_eq!(renamed["schema"][0]["relation"]["collection"], "branches");
    let leaves = admin.get(&collection_path(&leaves)).await.expect(200).json();
    assert_eq!(leaves["schema"][0]["relation"]["collection"], "branches");
    guest.make("branches", &json!({"parent": root["id"]})).await;
    let expanded = guest.get(&format!("{}?expand=node", record("leaves", &one["id"]))).await.expect(200).json();
    assert_eq!(expanded["expand"]["node"]["id"], root["id"]);
}

async fn a_rule_that_names_a_renamed_collection_stands_in_the_way(product: &Product) {
    let admin = product.admin().await;
    let teams = admin.collection(&open("teams", &json!([{"name": "member", "type": "text"}]))).await;
    let mut body = open("plans", &json!([{"name": "title", "type": "text"}]));
    body["view_rule"] = json!("@collection.teams.member ?= @request.auth.id");
    let plans = admin.collection(&body).await;
    let message = told(admin.patch(&collection_path(&teams), &json!({"name": "crews"})).await, "schema");
    assert!(message.contains("`view_rule` of the collection `plans`"), "{message}");
    admin.reshape(&plans, &json!({"view_rule": ""})).await;
    admin.reshape(&teams, &json!({"name": "crews"})).await;

    // A comparison of names cannot break, it would only come out differently.
    let members = admin.collection(&json!({"name": "members", "type": "auth"})).await;
    admin.reshape(&plans, &json!({"view_rule": "@request.auth.collection != \"members\""})).await;
    let message = told(admin.patch(&collection_path(&members), &json!({"name": "people"})).await, "name");
    assert!(message.contains("`view_rule` of the collection `plans`"), "{message}");
    admin.reshape(&plans, &json!({"view_rule": "@request.auth.collection != \"people\""})).await;
    admin.reshape(&members, &json!({"name": "people"})).await;
}
