//! Records that point at others: filters and orders through a relation, and expansion, in the eyes of the caller (contract 7.5, 7.6).

use serde_json::{Value, json};

use super::reading::titles;
use crate::callers::{Calls, open, record, with_query};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_relation_is_followed_as_far_as_the_caller_sees,
    an_expansion_shows_what_the_caller_may_view,
    a_collection_that_is_closed_is_not_told_from_one_that_does_not_exist,
);

/// D-08: the target comes from the schema, and the caller's own view of it counts.
async fn a_relation_is_followed_as_far_as_the_caller_sees(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let authors = json!([
        {"name": "name", "type": "text"}, {"name": "age", "type": "number"}, {"name": "secret", "type": "text", "hidden": true},
    ]);
    let author = admin.collection(&open("author", &authors)).await;
    let schema = json!([
        {"name": "title", "type": "text"},
        {"name": "writer", "type": "relation", "relation": {"collection": "author"}},
        {"name": "users", "type": "text"},
    ]);
    admin.collection(&open("books", &schema)).await;
    let ann = guest.make("author", &json!({"name": "Ann", "age": 40, "secret": "s"})).await;
    let bob = guest.make("author", &json!({"name": "Bob", "age": 30})).await;
    guest.make("books", &json!({"title": "one", "writer": ann["id"]})).await;
    guest.make("books", &json!({"title": "two", "writer": bob["id"]})).await;
    guest.make("books", &json!({"title": "none", "users": "a"})).await;

    assert_eq!(titles(product, &[("filter", "writer.name=\"Ann\"")]).await, ["one"]);
    assert_eq!(titles(product, &[("filter", "writer.age < 35 && writer.name ~ 'b'")]).await, ["two"]);
    assert_eq!(titles(product, &[("filter", &format!("writer = '{}'", text(&ann["id"])))]).await, ["one"]);
    assert_eq!(titles(product, &[("sort", "writer.age")]).await, ["none", "two", "one"]);
    for filter in [
        "users.password_hash~\"a\"",
        "writer.secret = 's'",
        "writer.nope = 1",
        "writer.name.x = 1",
        "author.name = 'Ann'",
    ] {
        guest.list("books", &[("filter", filter)]).await.refused(400, "invalid_filter");
    }
    for sort in ["writer.secret", "writer.nope", "users.password"] {
        guest.list("books", &[("sort", sort)]).await.refused(400, "invalid_sort");
    }
    admin.reshape(&author, &json!({"list_rule": "name = 'Bob'"})).await;
    assert_eq!(titles(product, &[("filter", "writer.name = 'Ann'")]).await, [""; 0], "a row the caller may not list");
    assert_eq!(titles(product, &[("filter", "writer.name = 'Bob'")]).await, ["two"]);
    admin.reshape(&author, &json!({"list_rule": null})).await;
    // D-55: nobody learns the names of a collection that only admins may list, not even by way of a suggestion.
    for query in [("filter", "writer.name = 'Bob'"), ("filter", "writer.nam = 'Bob'"), ("sort", "writer.nam")] {
        let closed = guest.list("books", &[query]).await.refused(400, &format!("invalid_{}", query.0));
        assert!(!closed.json().to_string().contains("name"), "{}", closed.json());
    }
    assert_eq!(admin.list("books", &[("filter", "writer.name = 'Bob'")]).await.expect(200).json()["total"], 1);
}

async fn an_expansion_shows_what_the_caller_may_view(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let mut people =
        open("people", &json!([{"name": "name", "type": "text"}, {"name": "secret", "type": "text", "hidden": true}]));
    people["view_rule"] = json!("name != 'Veiled'");
    people["list_rule"] = Value::Null;
    let people = admin.collection(&people).await;
    let posts = json!([
        {"name": "title", "type": "text"},
        {"name": "writer", "type": "relation", "relation": {"collection": "people"}},
        {"name": "readers", "type": "relation", "relation": {"collection": "people", "type": "many-to-many"}},
    ]);
    admin.collection(&open("posts", &posts)).await;
    let ann = admin.make("people", &json!({"name": "Ann", "secret": "s"})).await;
    let veiled = admin.make("people", &json!({"name": "Veiled"})).await;
    let post =
        guest.make("posts", &json!({"title": "t", "writer": ann["id"], "readers": [veiled["id"], ann["id"]]})).await;
    assert_eq!(post["expand"], json!({}));
    let path = record("posts", &post["id"]);

    let one = guest.get(&with_query(&path, &[("expand", "writer")])).await.expect(200).json();
    assert_eq!(one["expand"], json!({"writer": ann}), "a whole record, without what is hidden");
    assert_eq!(one["data"], post["data"]);
    let both = guest.list("posts", &[("expand", "writer,readers")]).await.expect(200).json();
    assert_eq!(
        both["items"][0]["expand"],
        json!({"writer": ann, "readers": [ann]}),
        "who may not be viewed is left out"
    );
    let all = admin.get(&with_query(&path, &[("expand", "readers")])).await.expect(200).json();
    assert_eq!(all["expand"]["readers"], json!([veiled, ann]), "in the order of the value");
    let slim = guest.list("posts", &[("expand", "writer"), ("fields", "title")]).await.expect(200).json();
    assert_eq!((&slim["items"][0]["data"], &slim["items"][0]["expand"]["writer"]), (&json!({"title": "t"}), &ann));
    let back = guest
        .get(&with_query(&record("people", &ann["id"]), &[("expand", "posts_via_writer")]))
        .await
        .expect(200)
        .json();
    assert_eq!(back["expand"]["posts_via_writer"], json!([post]));

    let unread = guest.make("posts", &json!({"title": "u", "writer": veiled["id"]})).await;
    let unread =
        guest.get(&with_query(&record("posts", &unread["id"]), &[("expand", "writer")])).await.expect(200).json();
    assert!(unread["expand"].get("writer").is_none_or(Value::is_null), "{unread}");
    admin.reshape(&people, &json!({"view_rule": null})).await;
    let closed = guest.get(&with_query(&path, &[("expand", "writer,readers")])).await.expect(200).json();
    assert!(!closed["expand"].to_string().contains("Ann"), "{closed}");
    for bad in
        ["title", "writer.title", "nope_via_writer", "posts_via_writer", "people_via_writer", "writer,", "writer;"]
    {
        let answer = guest.get(&with_query(&path, &[("expand", bad)])).await.refused(400, "invalid_expand").json();
        assert!(answer["details"]["position"].is_u64(), "{bad}: {answer}");
    }
}

/// D-55, by way of what points here, and of what forbids a deletion.
async fn a_collection_that_is_closed_is_not_told_from_one_that_does_not_exist(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let shown = admin.collection(&open("shown", &json!([{"name": "title", "type": "text"}]))).await;
    let pointing = |action| json!([{"name": "p", "type": "relation", "relation": {"collection_id": shown["id"], "cascade_delete": action}}]);
    admin.collection(&json!({"name": "dossiers", "schema": pointing("restrict")})).await;
    let held = guest.make("shown", &json!({"title": "x"})).await;
    let closed = guest.list("shown", &[("expand", "dossiers_via_p")]).await.refused(400, "invalid_expand").json();
    let unknown = guest.list("shown", &[("expand", "nonsense_via_p")]).await.refused(400, "invalid_expand").json();
    let reason = |answer: &Value| text(&answer["details"]["reason"]).replace("nonsense", "dossiers");
    assert_eq!(reason(&closed), reason(&unknown));
    admin.list("shown", &[("expand", "dossiers_via_p")]).await.expect(200);
    admin.make("dossiers", &json!({"p": held["id"]})).await;
    let refused = guest.delete(&record("shown", &held["id"])).await.refused(409, "relation_restricted").json();
    assert!(!refused.to_string().contains("dossiers"), "{refused}");
    let told = admin.delete(&record("shown", &held["id"])).await.refused(409, "relation_restricted").json();
    assert!(told.to_string().contains("dossiers"), "{told}");
}
