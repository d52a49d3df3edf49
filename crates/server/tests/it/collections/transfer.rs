//! Collections as documents: out of one place, into another.

use serde_json::{Value, json};

use super::open_collection;
use crate::callers::Calls;
use crate::on_both_engines;
use crate::product::{Product, text};

const COLLECTIONS: &str = "/api/v1/collections";

on_both_engines!(
    a_document_makes_the_collection_again,
    a_document_is_checked_like_any_other_collection,
    an_emptied_collection_is_empty
);

async fn a_document_makes_the_collection_again(product: &Product) {
    let admin = product.admin().await;
    let fields = json!([
        {"name": "title", "type": "text", "validation": {"unique": true}}, {"name": "secret", "type": "text", "hidden": true},
        {"name": "parent", "type": "relation", "relation": {"collection": "notes"}},
    ]);
    let made = open_collection(&admin, "notes", fields).await;
    let records = format!("{COLLECTIONS}/notes/records");
    let first = admin.post(&records, &json!({"data": {"title": "a", "secret": "s"}})).await.expect(201).json();
    admin.post(&records, &json!({"data": {"title": "b", "parent": first["id"]}})).await.expect(201);
    let path = format!("{COLLECTIONS}/{}/export", text(&made["id"]));
    let answer = admin.get(&format!("{path}?include_data=true")).await.expect(200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"notes_export.json\""));
    let document = answer.json();
    assert!(!document.to_string().contains("\"s\""), "hidden values stay");
    assert!(admin.get(&path).await.expect(200).json().get("records").is_none());
    assert_eq!((&document["schema"], &document["rules"]["list_rule"]), (&made["schema"], &made["list_rule"]));

    admin.post(&format!("{COLLECTIONS}/import"), &document).await.refused(409, "already_exists");
    admin.delete(&format!("{COLLECTIONS}/{}", text(&made["id"]))).await.expect(204);
    let again = admin.post(&format!("{COLLECTIONS}/import?import_records=true"), &document).await.expect(201).json();
    assert_eq!((&again["schema"], &again["view_rule"]), (&made["schema"], &made["view_rule"]));
    let page = admin.get(&format!("{records}?sort=title")).await.expect(200).json();
    assert_eq!(
        (&page["total"], &page["items"][0]["id"], &page["items"][1]["data"]["parent"]),
        (&json!(2), &first["id"], &first["id"])
    );
}

/// D-05, D-54.
async fn a_document_is_checked_like_any_other_collection(product: &Product) {
    let admin = product.admin().await;
    let import = format!("{COLLECTIONS}/import?import_records=true");
    admin.post(&import, &json!({})).await.refused(422, "validation_failed");
    for name in ["users", "Collections", "refresh_tokens"] {
        admin.post(&import, &json!({"name": name, "schema": []})).await.refused(422, "validation_failed");
    }
    let with = |records: Value| json!({"name": "notes", "schema": [{"name": "n", "type": "number", "validation": {"unique": true}}], "records": records});
    let id = "018f0000-0000-7000-8000-00000000abcd";
    for (records, status) in [
        (json!([{"id": id, "data": {"n": "x"}}]), 422),
        (json!([{"id": "x", "data": {"n": 1}}]), 422),
        (json!([{"data": {"n": 1}}, {"data": {"n": 1}}]), 422),
        (json!([{"id": id, "data": {"n": 1}}, {"id": id, "data": {"n": 2}}]), 422),
        (json!({}), 422),
    ] {
        admin.post(&import, &with(records)).await.expect(status);
        admin.get(&format!("{COLLECTIONS}/name/notes")).await.refused(404, "not_found");
    }
    product.guest().post(&import, &with(json!([]))).await.refused(401, "authentication_required");
}

async fn an_emptied_collection_is_empty(product: &Product) {
    let admin = product.admin().await;
    open_collection(&admin, "notes", json!([{"name": "n", "type": "number"}])).await;
    open_collection(
        &admin,
        "marks",
        json!([{"name": "note", "type": "relation", "relation": {"collection": "notes"}}]),
    )
    .await;
    let records = format!("{COLLECTIONS}/notes/records");
    for n in 0..3 {
        admin.post(&records, &json!({"data": {"n": n}})).await.expect(201);
    }
    let note = admin.get(&records).await.expect(200).json()["items"][0]["id"].clone();
    admin.post(&format!("{COLLECTIONS}/marks/records"), &json!({"data": {"note": note}})).await.expect(201);
    let truncate = |name: &str| format!("{COLLECTIONS}/name/{name}/truncate");
    admin.delete(&truncate("notes")).await.refused(409, "relation_restricted");
    assert_eq!(
        admin.delete(&truncate("marks")).await.expect(200).json(),
        json!({"deleted_count": 1, "collection": "marks"})
    );
    assert_eq!(admin.delete(&truncate("notes")).await.expect(200).json()["deleted_count"], 3);
    assert_eq!(admin.get(&records).await.expect(200).json()["total"], 0);
    admin.delete(&truncate("nope")).await.refused(404, "not_found");
}
