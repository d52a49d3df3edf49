//! Changing and deleting collections that have records: whole or not at all, and nobody loses one (contract 5.7, 7.3).

use serde_json::{Value, json};

use super::definitions::notes;
use crate::callers::{COLLECTIONS, Calls, collection_path, open, record};
use crate::on_both_engines;
use crate::product::Product;

/// The text of a rule that only its owner satisfies, over a text field `title`.
const OWNED: &str = "title = @request.auth.id";

on_both_engines!(
    a_change_happens_whole_or_not_at_all,
    a_rename_keeps_the_records,
    fields_come_go_and_keep_their_values,
    a_field_that_becomes_required_or_unique_must_fit_the_records,
    deleting_a_collection_drops_exactly_its_table,
    a_collection_that_others_point_at_stays,
    truncate_empties_one_collection,
    records_made_during_a_change_are_all_kept,
);

async fn a_change_happens_whole_or_not_at_all(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let before = admin.collection(&notes()).await;
    guest.make("notes", &json!({"title": "same", "n": 1})).await;
    guest.make("notes", &json!({"title": "same", "n": null})).await;
    let rows = guest.list("notes", &[]).await.expect(200).json();
    for schema in [
        json!([{"name": "title", "type": "text", "validation": {"unique": true}}, {"name": "n", "type": "number"}]),
        json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number", "validation": {"required": true}}]),
        json!([{"name": "title", "type": "number"}, {"name": "n", "type": "number"}]),
        json!([{"name": "title", "type": "text"}, {"name": "title", "type": "text"}]),
        json!([{"name": "title", "type": "text"}, {"name": "n", "type": "nonsense"}]),
    ] {
        let change = json!({"name": "renamed", "list_rule": null, "schema": schema});
        let answer = admin.patch(&collection_path(&before), &change).await;
        assert!([409, 422].contains(&answer.status.as_u16()), "{schema}: {} {}", answer.status, answer.json());
        assert_eq!(admin.get(&collection_path(&before)).await.expect(200).json(), before, "{schema}");
        assert_eq!(guest.list("notes", &[]).await.expect(200).json(), rows, "{schema}");
        guest.list("renamed", &[]).await.refused(404, "not_found");
    }
    guest.make("notes", &json!({"title": "still", "n": 3})).await;
}

async fn a_rename_keeps_the_records(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let notes = admin.collection(&notes()).await;
    let one = guest.make("notes", &json!({"title": "one"})).await;
    product.clock.advance_seconds(1);
    let renamed = admin.reshape(&notes, &json!({"name": "memos"})).await;
    assert_eq!((&renamed["id"], &renamed["created"]), (&notes["id"], &notes["created"]));
    assert_ne!(renamed["updated"], notes["updated"]);
    assert_eq!(guest.get(&record("memos", &one["id"])).await.expect(200).json(), one);
    guest.get(&record("notes", &one["id"])).await.refused(404, "not_found");
    guest.make("memos", &json!({"title": "two"})).await;
    admin.collection(&open("notes", &json!([{"name": "other", "type": "bool"}]))).await;
    assert_eq!(
        guest.list("notes", &[]).await.expect(200).json()["total"],
        0,
        "a name that is used again brings nothing back"
    );
    assert_eq!(guest.list("memos", &[]).await.expect(200).json()["total"], 2);
}

async fn fields_come_go_and_keep_their_values(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let notes = admin.collection(&notes()).await;
    let one = guest.make("notes", &json!({"title": "one", "n": 1})).await;
    let path = record("notes", &one["id"]);

    let wider =
        json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}, {"name": "done", "type": "bool"}]);
    admin.reshape(&notes, &json!({"schema": wider})).await;
    assert_eq!(guest.get(&path).await.expect(200).json()["data"], json!({"title": "one", "n": 1, "done": null}));
    guest.change("notes", &one["id"], &json!({"done": true})).await.expect(200);

    admin
        .reshape(&notes, &json!({"schema": [{"name": "done", "type": "bool"}, {"name": "n", "type": "number"}]}))
        .await;
    assert_eq!(guest.get(&path).await.expect(200).json()["data"], json!({"n": 1, "done": true}));
    let answer = guest.change("notes", &one["id"], &json!({"title": "gone"})).await.refused(422, "validation_failed");
    assert_eq!(answer.json()["details"], json!({"title": "Unknown field"}));
    guest.list("notes", &[("filter", "title = 'one'")]).await.refused(400, "invalid_filter");

    admin
        .reshape(&notes, &json!({"schema": [{"name": "title", "type": "text"}, {"name": "n", "type": "number"}]}))
        .await;
    assert_eq!(
        guest.get(&path).await.expect(200).json()["data"],
        json!({"title": null, "n": 1}),
        "a field that comes back is empty"
    );

    let retyped = admin
        .patch(
            &collection_path(&notes),
            &json!({"schema": [{"name": "title", "type": "text"}, {"name": "n", "type": "text"}]}),
        )
        .await;
    let kept = guest.get(&path).await.expect(200).json()["data"]["n"].clone();
    match retyped.status.as_u16() {
        200 => assert_eq!(kept, "1", "the old rows are converted"),
        _ => assert_eq!(
            (retyped.refused(422, "validation_failed").json()["details"]["schema.1.type"].is_string(), kept),
            (true, json!(1))
        ),
    }
    let used = admin.reshape(&notes, &json!({"list_rule": "title = 'x'"})).await;
    let answer = admin.patch(&collection_path(&notes), &json!({"schema": [{"name": "n", "type": "number"}]})).await;
    let details = answer.refused(422, "validation_failed").json()["details"].clone();
    assert!(details["list_rule"].is_string(), "a rule reads the field that would go: {details}");
    assert_eq!(admin.get(&collection_path(&notes)).await.expect(200).json(), used);
}

async fn a_field_that_becomes_required_or_unique_must_fit_the_records(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let notes = admin.collection(&notes()).await;
    guest.make("notes", &json!({"title": "one", "n": 1})).await;
    guest.make("notes", &json!({"title": "two", "n": 2})).await;
    let strict = json!([
        {"name": "title", "type": "text", "validation": {"required": true, "unique": true}},
        {"name": "n", "type": "number", "validation": {"unique": true}},
    ]);
    admin.reshape(&notes, &json!({"schema": strict})).await;
    guest.create("notes", &json!({"title": "one"})).await.refused(409, "unique_conflict");
    guest.create("notes", &json!({"n": 5})).await.refused(422, "validation_failed");
    guest.make("notes", &json!({"title": "three"})).await;
    guest.make("notes", &json!({"title": "four"})).await;
    let lax = json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}]);
    admin.reshape(&notes, &json!({"schema": lax})).await;
    guest.make("notes", &json!({"title": "one", "n": 1})).await;
    guest.make("notes", &json!({"n": 1})).await;
}

/// D-02: two collections in use, one goes, everything else works; the name used again is empty.
async fn deleting_a_collection_drops_exactly_its_table(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let (left, right) = (
        admin.collection(&open("lefts", &notes()["schema"])).await,
        admin.collection(&open("rights", &notes()["schema"])).await,
    );
    guest.make("lefts", &json!({"title": "l"})).await;
    let kept = guest.make("rights", &json!({"title": "r"})).await;
    admin.delete(&collection_path(&left)).await.expect(204);

    admin.get(&collection_path(&left)).await.refused(404, "not_found");
    guest.list("lefts", &[]).await.refused(404, "not_found");
    guest.create("lefts", &json!({"title": "l"})).await.refused(404, "not_found");
    admin.delete(&collection_path(&left)).await.refused(404, "not_found");

    let login = json!({"email": "root@example.com", "password": crate::process::PASSWORD});
    guest.post("/api/v1/auth/login", &login).await.expect(200);
    admin.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(guest.get(&record("rights", &kept["id"])).await.expect(200).json(), kept);
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json()["items"], json!([right]));
    admin.collection(&open("lefts", &notes()["schema"])).await;
    assert_eq!(guest.list("lefts", &[]).await.expect(200).json()["total"], 0);
}

async fn a_collection_that_others_point_at_stays(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let authors = admin.collection(&open("authors", &json!([{"name": "name", "type": "text"}]))).await;
    let by = json!([{"name": "writer", "type": "relation", "relation": {"collection": "authors"}}]);
    let books = admin.collection(&open("books", &by)).await;
    admin.delete(&collection_path(&authors)).await.refused(409, "relation_restricted");
    let ann = guest.make("authors", &json!({"name": "Ann"})).await;
    guest.make("books", &json!({"writer": ann["id"]})).await;
    admin.reshape(&authors, &json!({"name": "writers"})).await;
    guest.make("books", &json!({"writer": ann["id"]})).await;
    admin.delete(&collection_path(&books)).await.expect(204);
    admin.delete(&collection_path(&authors)).await.expect(204);
    guest.list("writers", &[]).await.refused(404, "not_found");
}

async fn truncate_empties_one_collection(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    admin.collection(&notes()).await;
    admin.collection(&open("others", &json!([{"name": "title", "type": "text"}]))).await;
    for title in ["a", "b", "c"] {
        guest.make("notes", &json!({"title": title})).await;
        guest.make("others", &json!({"title": title})).await;
    }
    let path = format!("{COLLECTIONS}/name/notes/truncate");
    assert_eq!(admin.delete(&path).await.expect(200).json(), json!({"deleted_count": 3, "collection": "notes"}));
    assert_eq!(guest.list("notes", &[]).await.expect(200).json()["total"], 0);
    assert_eq!(guest.list("others", &[]).await.expect(200).json()["total"], 3);
    assert_eq!(admin.delete(&path).await.expect(200).json()["deleted_count"], 0);
    guest.make("notes", &json!({"title": "d"})).await;
    admin.delete(&format!("{COLLECTIONS}/name/nothing/truncate")).await.refused(404, "not_found");
}

/// D-49: a change of the schema in the middle of traffic costs nobody a record.
async fn records_made_during_a_change_are_all_kept(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("writer").await;
    let notes = admin.collection(&notes()).await;
    let path = collection_path(&notes);
    for round in 0..3 {
        let wider = json!({"schema": [
            {"name": "title", "type": "text"}, {"name": "n", "type": "number"}, {"name": format!("extra{round}"), "type": "bool"},
        ]});
        let bodies: Vec<Value> = (0..20).map(|n| json!({"title": format!("{round}-{n}"), "n": n})).collect();
        let creates = futures_util::future::join_all(bodies.iter().map(|body| user.create("notes", body)));
        let (changed, created) = futures_util::future::join(admin.patch(&path, &wider), creates).await;
        changed.expect(200);
        for answer in created {
            answer.expect(201);
        }
        assert_eq!(user.list("notes", &[]).await.expect(200).json()["total"], (round + 1) * 20);
        let again = user.make("notes", &json!({format!("extra{round}"): true})).await;
        user.delete(&record("notes", &again["id"])).await.expect(204);
    }
    let renamed = admin.reshape(&notes, &json!({"name": "memos", "list_rule": OWNED, "view_rule": ""})).await;
    assert_eq!(renamed["list_rule"], OWNED);
    assert_eq!(admin.list("memos", &[]).await.expect(200).json()["total"], 60);
}
