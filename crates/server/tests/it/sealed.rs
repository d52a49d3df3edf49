//! Values that lie sealed: shown to whoever may see them, of no use to whoever has the database alone, and never lost to a rotation.

mod keys;

use fastcms_core::audit::{self, Wanted};
use fastcms_core::{Caller, sealing};
use fastcms_store::Plan;
use fastcms_store::sealed::{self as rows, SealedText};
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, collection_path, open};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    values_of_every_type_lie_sealed_and_are_shown_as_they_were,
    nothing_can_be_asked_of_an_encrypted_field,
    a_value_moved_to_another_row_or_column_is_refused_and_audited,
    a_second_factor_moved_to_another_account_is_refused_and_audited,
    a_field_stays_encrypted_and_keeps_its_name,
    a_document_carries_no_sealed_values,
);

fn field(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind, "encrypted": true})
}

/// A collection that everybody may do everything with.
async fn notes(admin: &Admin<'_>) -> Value {
    let schema = json!([{"name": "title", "type": "text"}, field("body", "text"), field("other", "text")]);
    admin.collection(&open("notes", &schema)).await
}

/// What lies in the column of a field, by record.
async fn stored(product: &Product, collection: &str, name: &str) -> Vec<SealedText> {
    let schema = product.app.schema.load_full();
    let collection = std::sync::Arc::clone(schema.by_name(collection).unwrap());
    let at = collection.position(name).unwrap();
    let mut all: Vec<SealedText> = Vec::new();
    loop {
        let (collection, after) = (collection.clone(), all.last().map(|last| last.record.clone()).unwrap_or_default());
        let read = product.app.store.read(Plan::Scan, move |reader| {
            Box::pin(async move { rows::others(reader, &collection, at, ("", &after), 10_000).await })
        });
        let mut more = read.await.unwrap();
        if more.is_empty() {
            return all;
        }
        all.append(&mut more);
    }
}

/// Puts a text where another lies.
async fn tamper(product: &Product, collection: &str, name: &str, record: &str, old: &str, new: &str) {
    let schema = product.app.schema.load_full();
    let collection = std::sync::Arc::clone(schema.by_name(collection).unwrap());
    let at = collection.position(name).unwrap();
    let change = rows::Replacement { record: record.to_owned(), old: old.to_owned(), new: new.to_owned() };
    let write =
        product.app.store.write(move |tx| Box::pin(async move { rows::replace(tx, &collection, at, &[change]).await }));
    assert_eq!(write.await.unwrap(), 1);
}

/// How many values were said to have not opened.
async fn refusals(product: &Product) -> i64 {
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    audit::flush(&Caller::operator(), &product.app).await.unwrap();
    let wanted = Wanted { event_action: Some("secret_use"), outcome: Some("error"), ..Wanted::default() };
    audit::list(&Caller::operator(), &product.app, wanted, 1, 0).await.unwrap().total
}

async fn values_of_every_type_lie_sealed_and_are_shown_as_they_were(product: &Product) {
    const MARKER: &str = "marker-7f3a";
    let admin = product.admin().await;
    let values = json!({
        "text": format!("{MARKER} \"quoted\"\n"), "editor": format!("<p>{MARKER}</p>"), "email": "marker-7f3a@example.com",
        "url": "https://example.com/marker-7f3a", "number": 12.5, "bool": true, "date": "2026-02-03",
        "datetime": "2026-02-03T04:05:06.000Z", "json": {"a": [1, MARKER]}, "geopoint": {"lat": 1.5, "lng": 2.5},
    });
    let kinds = ["text", "editor", "email", "url", "number", "bool", "date", "datetime", "json", "geopoint"];
    let schema: Vec<Value> = kinds.iter().map(|kind| field(kind, kind)).collect();
    let made = admin.collection(&open("secrets_of_all", &json!(schema))).await;
    assert_eq!(made["schema"][0]["encrypted"], true);
    let record = admin.make("secrets_of_all", &values).await;
    assert_eq!(record["data"], values);
    let path = format!("/api/v1/collections/secrets_of_all/records/{}", text(&record["id"]));
    assert_eq!(product.guest().get(&path).await.expect(200).json()["data"], values);
    for kind in kinds {
        let lies = &stored(product, "secrets_of_all", kind).await[0].sealed;
        assert!(lies.starts_with("s1.") && !lies.contains(MARKER) && lies.len() > 60, "{kind}: {lies}");
    }
    let change = json!({"number": 13, "text": null});
    let changed = admin.change("secrets_of_all", &record["id"], &change).await.expect(200).json();
    assert_eq!((&changed["data"]["number"], &changed["data"]["text"]), (&json!(13), &Value::Null));
    assert_eq!(stored(product, "secrets_of_all", "text").await, []);
    let listed =
        product.guest().get("/api/v1/collections/secrets_of_all/records?fields=number").await.expect(200).json();
    assert_eq!(listed["items"][0]["data"], json!({"number": 13}));
    // Two of the same do not look the same.
    let twins = [
        admin.make("secrets_of_all", &json!({"bool": true})).await,
        admin.make("secrets_of_all", &json!({"bool": true})).await,
    ];
    let lies = stored(product, "secrets_of_all", "bool").await;
    let of = |id: &Value| lies.iter().find(|value| value.record == text(id)).unwrap().sealed.clone();
    assert_ne!(of(&twins[0]["id"]), of(&twins[1]["id"]));
}

async fn nothing_can_be_asked_of_an_encrypted_field(product: &Product) {
    let admin = product.admin().await;
    let collection = notes(&admin).await;
    admin.make("notes", &json!({"title": "t", "body": "needle"})).await;
    for (parameter, code) in [(("filter", "body = \"needle\""), "invalid_filter"), (("sort", "-body"), "invalid_sort")]
    {
        let refused = admin.list("notes", &[parameter]).await.refused(400, code).json();
        let reason = text(&refused["details"]["reason"]);
        assert!(reason.contains("`body` is encrypted"), "{reason}");
    }
    let found = admin.list("notes", &[("search", "needle")]).await.expect(200).json();
    assert_eq!(found["total"], 0);
    let path = collection_path(&collection);
    let refused = admin.patch(&path, &json!({"list_rule": "body = \"x\""})).await.refused(422, "validation_failed");
    assert!(text(&refused.json()["details"]["list_rule"]).contains("is encrypted"));
    let index = json!({"name": "by_body", "fields": [{"name": "body"}]});
    admin.post(&format!("{path}/indexes"), &index).await.refused(422, "validation_failed");
    for wrong in [
        json!({"name": "f", "type": "file", "encrypted": true}),
        json!({"name": "f", "type": "select", "select": {"values": ["a"]}, "encrypted": true}),
        json!({"name": "f", "type": "autodate", "encrypted": true}),
        json!({"name": "f", "type": "text", "encrypted": true, "validation": {"unique": true}}),
        json!({"name": "f", "type": "text", "encrypted": "yes"}),
    ] {
        let body = json!({"name": "wrong", "schema": [wrong]});
        admin.post("/api/v1/collections", &body).await.refused(422, "validation_failed");
    }
    let body =
        json!({"name": "people", "type": "auth", "schema": [{"name": "email", "type": "email", "encrypted": true}]});
    admin.post("/api/v1/collections", &body).await.refused(422, "validation_failed");
    let numbers = open("numbers", &json!([field("n", "number")]));
    admin.collection(&numbers).await;
    let made = admin.make("numbers", &json!({"n": 1})).await;
    admin.change("numbers", &made["id"], &json!({"n+": 1})).await.refused(422, "validation_failed");
}

async fn a_value_moved_to_another_row_or_column_is_refused_and_audited(product: &Product) {
    let admin = product.admin().await;
    notes(&admin).await;
    let one = admin.make("notes", &json!({"title": "one", "body": "first", "other": "mine"})).await;
    let two = admin.make("notes", &json!({"title": "two", "body": "second", "other": "yours"})).await;
    let lies = stored(product, "notes", "body").await;
    let of = |id: &Value| lies.iter().find(|value| value.record == text(id)).unwrap().sealed.clone();
    let (first, second) = (of(&one["id"]), of(&two["id"]));
    // Rows swapped.
    tamper(product, "notes", "body", &text(&one["id"]), &first, &second).await;
    tamper(product, "notes", "body", &text(&two["id"]), &second, &first).await;
    // A column into another of the same row.
    let other = stored(product, "notes", "other").await;
    let other = other.iter().find(|value| value.record == text(&one["id"])).unwrap().sealed.clone();
    tamper(product, "notes", "other", &text(&one["id"]), &other, &first).await;

    let listed = product.guest().get("/api/v1/collections/notes/records?sort=title").await.expect(200).json();
    let shown = |at: usize| (&listed["items"][at]["data"]["body"], &listed["items"][at]["data"]["other"]);
    assert_eq!(shown(0), (&Value::Null, &Value::Null));
    assert_eq!(shown(1), (&Value::Null, &json!("yours")));
    assert_eq!(refusals(product).await, 3);
    let examined = sealing::examine(&Caller::operator(), &product.app).await.unwrap();
    let refused: Vec<_> = examined.iter().map(|place| (place.place.as_str(), place.opened, place.refused)).collect();
    assert_eq!(refused[2..], [("notes.body", 0, 2), ("notes.other", 1, 1)]);
    assert!(examined[2].named.iter().all(|(_, why)| *why == "it was changed or moved"));
    // Whoever writes the value anew has it whole again; nonsense in its place is no crash either.
    admin.change("notes", &one["id"], &json!({"body": "again"})).await.expect(200);
    let again = stored(product, "notes", "body").await;
    let again = again.iter().find(|value| value.record == text(&one["id"])).unwrap().sealed.clone();
    let path = format!("/api/v1/collections/notes/records/{}", text(&one["id"]));
    assert_eq!(admin.get(&path).await.expect(200).json()["data"]["body"], "again");
    for nonsense in ["", "s1.", "s1.1.", "s1.99.AAAA", "again", "s1.1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let lies = stored(product, "notes", "body").await;
        let lies =
            lies.iter().find(|value| value.record == text(&one["id"])).map_or(again.clone(), |v| v.sealed.clone());
        tamper(product, "notes", "body", &text(&one["id"]), &lies, nonsense).await;
        assert_eq!(admin.get(&path).await.expect(200).json()["data"]["body"], Value::Null, "{nonsense}");
    }
}

async fn a_second_factor_moved_to_another_account_is_refused_and_audited(product: &Product) {
    product.admin().await;
    let anna = crate::two_factor::owner(product, "anna").await;
    let bert = crate::two_factor::owner(product, "bert").await;
    let factors = async || {
        let read = product.app.store.read(Plan::Scan, |reader| Box::pin(rows::factors(reader, ("", ""), 10)));
        read.await.unwrap()
    };
    let found = factors().await;
    let (first, second) = (found[0].clone(), found[1].clone());
    let (one, two) = (first.clone(), second.clone());
    let write = product.app.store.write(move |tx| {
        Box::pin(async move {
            rows::replace_factor(tx, &one, two.secret.clone()).await?;
            rows::replace_factor(tx, &two, one.secret).await
        })
    });
    write.await.unwrap();
    for owner in [&anna, &bert] {
        let code = owner.code();
        owner.login(Some(&code)).await.refused(401, "invalid_credentials");
    }
    assert_eq!(refusals(product).await, 2);
    // What needs no secret goes on.
    let backup = anna.backup_codes[0].clone();
    anna.login(Some(&backup)).await.expect(200);
}

async fn a_field_stays_encrypted_and_keeps_its_name(product: &Product) {
    let admin = product.admin().await;
    let collection = notes(&admin).await;
    let made = admin.make("notes", &json!({"title": "t", "body": "b", "other": "o"})).await;
    let path = collection_path(&collection);
    let title = json!({"name": "title", "type": "text"});
    for (schema, fault) in [
        (json!([title, {"name": "body", "type": "text"}, field("other", "text")]), "schema.1.encrypted"),
        (json!([field("title", "text"), field("body", "text"), field("other", "text")]), "schema.0.encrypted"),
        (json!([title, field("body", "json"), field("other", "text")]), "schema.1.type"),
        (
            json!([title, {"name": "text", "type": "text", "encrypted": true, "renamed_from": "body"}, field("other", "text")]),
            "schema.1.renamed_from",
        ),
    ] {
        let refused = admin.patch(&path, &json!({"schema": schema})).await.refused(422, "validation_failed").json();
        assert!(refused["details"][fault].is_string(), "{refused}");
    }
    // Another name of the collection, a new field and one less are nobody's loss.
    let schema = json!([title, field("body", "text"), field("more", "text")]);
    admin.patch(&path, &json!({"name": "renamed", "schema": schema})).await.expect(200);
    let record = format!("/api/v1/collections/renamed/records/{}", text(&made["id"]));
    assert_eq!(admin.get(&record).await.expect(200).json()["data"], json!({"title": "t", "body": "b", "more": null}));
}

async fn a_document_carries_no_sealed_values(product: &Product) {
    let admin = product.admin().await;
    let schema = json!([
        {"name": "title", "type": "text"},
        {"name": "body", "type": "text", "encrypted": true, "validation": {"required": true}},
    ]);
    let collection = admin.collection(&open("notes", &schema)).await;
    admin.make("notes", &json!({"title": "t", "body": "needle-9"})).await;
    let path = format!("{}/export?include_data=true", collection_path(&collection));
    let exported = admin.get(&path).await.expect(200);
    let text_of = String::from_utf8(exported.bytes.clone()).unwrap();
    assert!(!text_of.contains("needle-9") && !text_of.contains("s1."), "{text_of}");
    let mut document = exported.json();
    assert_eq!(document["records"][0]["data"], json!({"title": "t"}));
    document["name"] = "copies".into();
    admin.post("/api/v1/collections/import?import_records=true", &document).await.expect(201);
    // Values that somebody puts in are sealed where they come to lie.
    document["name"] = "filled".into();
    document["records"][0]["data"]["body"] = "put in".into();
    admin.post("/api/v1/collections/import?import_records=true", &document).await.expect(201);
    let listed = admin.list("filled", &[]).await.expect(200).json();
    assert_eq!(listed["items"][0]["data"], json!({"title": "t", "body": "put in"}));
    assert!(stored(product, "filled", "body").await[0].sealed.starts_with("s1."));
}
