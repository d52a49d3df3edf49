//! What the scopes of a key keep it from, on every area and down to one collection.

use serde_json::{Value, json};

use super::{KEYS, ME, make, program};
use crate::callers::{Admin, Calls, Program, open};
use crate::on_both_engines;
use crate::product::{Product, text};

const NO_SCOPE: &str = "insufficient_scope";

on_both_engines!(
    a_key_goes_as_far_as_its_area_and_action,
    to_write_is_not_to_read,
    a_key_for_one_collection_sees_no_other,
    relations_lead_no_further_than_the_scopes,
    an_export_with_records_reads_records,
    bulk_and_upsert_are_writes,
    a_key_tells_strangers_nothing_more,
);

async fn with_scopes<'p>(product: &'p Product, owner: &impl Calls, scopes: &str) -> Program<'p> {
    program(product, &make(owner, &json!({"name": scopes, "scopes": scopes})).await)
}

async fn notes(admin: &Admin<'_>) -> String {
    let fields = json!([{"name": "title", "type": "text"}, {"name": "about", "type": "relation", "relation": {"collection": "topics", "type": "many-to-one"}}]);
    admin.collection(&json!({"name": "topics", "schema": [{"name": "title", "type": "text"}]})).await;
    admin.collection(&json!({"name": "notes", "schema": fields})).await;
    let topic = admin.make("topics", &json!({"title": "secret"})).await;
    text(&admin.make("notes", &json!({"title": "n", "about": topic["id"]})).await["id"])
}

async fn a_key_goes_as_far_as_its_area_and_action(product: &Product) {
    let admin = product.admin().await;
    let note = notes(&admin).await;
    let note = format!("/api/v1/collections/notes/records/{note}");
    let paths = [
        ("collections:read", "/api/v1/collections"),
        ("records:read", note.as_str()),
        ("admin:read", "/api/v1/admin/users"),
        ("admin:read", "/api/v1/logs"),
    ];
    for scopes in
        ["collections:read", "records:read", "admin:read", "files:read", "webhooks:*", "search:read", "realtime:*"]
    {
        let program = with_scopes(product, &admin, scopes).await;
        for (wanted, path) in paths {
            let answer = program.get(path).await;
            if wanted == scopes {
                answer.expect(200);
            } else {
                answer.refused(403, NO_SCOPE);
            }
        }
        program.get(ME).await.refused(403, NO_SCOPE);
        program.get("/health").await.expect(200);
    }
}

async fn to_write_is_not_to_read(product: &Product) {
    let admin = product.admin().await;
    let note = notes(&admin).await;
    let (all, one) = ("/api/v1/collections/notes/records", format!("/api/v1/collections/notes/records/{note}"));
    let writer = with_scopes(product, &admin, "records:write").await;
    writer.get(all).await.refused(403, NO_SCOPE);
    writer.get(&one).await.refused(403, NO_SCOPE);
    writer.patch(&one, &json!({"data": {"title": "w"}})).await.expect(200);
    writer.create("notes", &json!({"title": "x"})).await.expect(201);
    let reader = with_scopes(product, &admin, "records:read").await;
    reader.patch(&one, &json!({"data": {"title": "r"}})).await.refused(403, NO_SCOPE);
    reader.create("notes", &json!({"title": "x"})).await.refused(403, NO_SCOPE);
    reader.delete(&one).await.refused(403, NO_SCOPE);
    assert_eq!(reader.get(&one).await.expect(200).json()["data"]["title"], "w");
    writer.delete(&one).await.expect(204);
    let schema = with_scopes(product, &admin, "collections:read").await;
    schema.post("/api/v1/collections", &json!({"name": "more"})).await.refused(403, NO_SCOPE);
    let manager = with_scopes(product, &admin, "admin:read").await;
    let somebody = json!({"email": "x@example.com", "password": crate::process::PASSWORD, "password_confirm": crate::process::PASSWORD});
    manager.post("/api/v1/admin/users", &somebody).await.refused(403, NO_SCOPE);
}

async fn a_key_for_one_collection_sees_no_other(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("public", &json!([{"name": "title", "type": "text"}]))).await;
    let note = notes(&admin).await;
    let narrow = with_scopes(product, &admin, "records.notes:read,records.topics:write").await;
    narrow.list("notes", &[]).await.expect(200);
    narrow.get(&format!("/api/v1/collections/notes/records/{note}")).await.expect(200);
    narrow.create("notes", &json!({"title": "x"})).await.refused(403, NO_SCOPE);
    narrow.create("topics", &json!({"title": "x"})).await.expect(201);
    narrow.list("topics", &[]).await.refused(403, NO_SCOPE);
    // Not even what is there for everybody: the key was made for something else.
    narrow.list("public", &[]).await.refused(403, NO_SCOPE);
    narrow.get("/api/v1/collections").await.refused(403, NO_SCOPE);
    product.guest().list("public", &[]).await.expect(200);
}

/// Neither expanding, nor filtering, nor sorting by what the key may not read.
async fn relations_lead_no_further_than_the_scopes(product: &Product) {
    let admin = product.admin().await;
    notes(&admin).await;
    let narrow = with_scopes(product, &admin, "records.notes:read").await;
    let both = with_scopes(product, &admin, "records.notes:read,records.topics:read").await;
    let expanded = async |program: &Program<'_>| {
        program.list("notes", &[("expand", "about")]).await.expect(200).json()["items"][0]["expand"].clone()
    };
    assert_eq!(expanded(&both).await["about"]["data"]["title"], "secret");
    assert!(!expanded(&narrow).await.to_string().contains("secret"));
    let found = async |program: &Program<'_>| {
        program.list("notes", &[("filter", "about.title = 'secret'")]).await.expect(200).json()["total"].clone()
    };
    assert_eq!((found(&both).await, found(&narrow).await), (json!(1), json!(0)));
    let back = async |program: &Program<'_>| {
        program.list("topics", &[("expand", "notes_via_about")]).await.expect(200).json().to_string()
    };
    let topics = with_scopes(product, &admin, "records.topics:read").await;
    assert!(back(&both).await.contains("\"title\":\"n\"") && !back(&topics).await.contains("\"title\":\"n\""));
}

async fn an_export_with_records_reads_records(product: &Product) {
    let admin = product.admin().await;
    notes(&admin).await;
    let notes = admin.get("/api/v1/collections/name/notes").await.expect(200).json();
    let export = format!("/api/v1/collections/{}/export", text(&notes["id"]));
    let schema = with_scopes(product, &admin, "collections:*").await;
    schema.get(&export).await.expect(200);
    schema.get(&format!("{export}?include_data=true")).await.refused(403, NO_SCOPE);
    let one = with_scopes(product, &admin, "collections:*,records:read").await;
    let document = one.get(&format!("{export}?include_data=true")).await.expect(200).json();
    let mut copy: Value = document;
    copy["name"] = json!("copies");
    one.post("/api/v1/collections/import?import_records=true", &copy).await.refused(403, NO_SCOPE);
}

async fn bulk_and_upsert_are_writes(product: &Product) {
    let admin = product.admin().await;
    let note = notes(&admin).await;
    let at = "/api/v1/collections/notes/records";
    let reader = with_scopes(product, &admin, "records:read,records.topics:*").await;
    for (door, body) in [
        ("batch", json!({"records": [{"title": "x"}]})),
        ("upsert", json!({"records": [{"title": "x"}]})),
        ("bulk-update", json!({"record_ids": [note], "data": {"title": "x"}})),
        ("bulk-delete", json!({"record_ids": [note]})),
    ] {
        let answer = reader.post(&format!("{at}/{door}"), &body).await;
        let refused_whole = answer.code() == NO_SCOPE;
        let refused_each = answer.status.is_success() && answer.json()["errors"][0]["error"] == NO_SCOPE;
        assert!(refused_whole || refused_each, "{door}: {}", String::from_utf8_lossy(&answer.bytes));
    }
    assert_eq!(admin.list("notes", &[]).await.expect(200).json()["total"], 1);
}

/// A key of an admin says no more on open routes than its scopes do.
async fn a_key_tells_strangers_nothing_more(product: &Product) {
    let admin = product.admin().await;
    let staging = product.with(&[("ENVIRONMENT", "staging")]).await;
    let narrow = make(&admin, &json!({"name": "k", "scopes": "records:read"})).await;
    let wide = make(&admin, &json!({"name": "k", "scopes": "admin:read"})).await;
    assert_eq!(program(&staging, &narrow).get("/health").await.expect(200).json(), json!({"status": "healthy"}));
    assert!(program(&staging, &wide).get("/health").await.expect(200).json()["version"].is_string());
    program(product, &wide).get(KEYS).await.refused(403, "forbidden");
    staging.close().await;
}
