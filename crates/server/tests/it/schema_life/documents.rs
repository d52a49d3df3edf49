//! Documents that are not taken, and collections that are emptied.

use serde_json::{Map, Value, json};

use super::transfer::{IMPORT, export};
use crate::callers::{COLLECTIONS, Calls, collection_path, open};
use crate::on_both_engines;
use crate::product::{Answer, Product};

on_both_engines!(
    every_fault_of_a_document_is_said_at_once,
    a_document_beyond_the_limit_is_refused,
    a_name_is_reserved_for_documents_too,
    accounts_come_without_passwords,
    truncation_is_one_step,
);

async fn every_fault_of_a_document_is_said_at_once(product: &Product) {
    let admin = product.admin().await;
    let keys = |answer: Answer| {
        answer.refused(422, "validation_failed").json()["details"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(admin.post(IMPORT, &json!({})).await), ["name"]);
    let faulty = json!({"name": "a b", "type": "table", "schema": [{"name": "x", "type": "y"}], "rules": {"list_rule": 1, "rule": ""}, "indexes": [{"name": "i"}], "extra": 1});
    let mut found = keys(admin.post(IMPORT, &faulty).await);
    found.sort();
    assert_eq!(found, ["extra", "indexes.0.fields", "list_rule", "name", "rules.rule", "schema.0.type", "type"]);
    let rule = json!({"name": "a", "rules": {"list_rule": "nothing = 1"}});
    assert_eq!(keys(admin.post(IMPORT, &rule).await), ["list_rule"]);
    let index = json!({"name": "a", "indexes": [{"name": "i", "fields": [{"name": "no"}]}, {"name": "j", "fields": [{"name": "id"}]}]});
    assert_eq!(keys(admin.post(IMPORT, &index).await), ["indexes.0.fields.0.name"]);
    let id = "018f0000-0000-7000-8000-00000000abcd";
    let document = json!({
        "name": "a", "schema": [{"name": "n", "type": "number", "validation": {"unique": true, "required": true}}, {"name": "m", "type": "number"}],
        "indexes": [{"name": "pair", "fields": [{"name": "m"}, {"name": "created"}], "unique": true}],
        "records": [
            {"id": id, "data": {"n": 1, "m": 1}}, {"id": id, "data": {"n": 2}}, {"id": "7", "data": {"n": 3}}, {"data": {"n": 1}}, {"data": {"m": true}},
            {"data": {"n": 5, "x": 1}}, 6, {"data": {"n": 7}, "created": "yesterday"}, {"data": {"n": 8, "m": 1}}, {"n": 9}, {"data": {"n": 10, "m+": 1}},
        ],
    });
    let found = keys(admin.post(IMPORT, &document).await);
    assert_eq!(
        found,
        [
            "records.1.id",
            "records.2.id",
            "records.3.data.n",
            "records.4.data.n",
            "records.4.data.m",
            "records.5.data.x",
            "records.6.data",
            "records.7.created",
            "records.8.data",
            "records.9.n",
            "records.9.data",
            "records.10.data.m",
        ]
    );
    let many: Vec<Value> = (0..150).map(|_| json!({"data": {"n": "x"}})).collect();
    let mut document = document;
    document["records"] = many.into();
    let found = keys(admin.post(IMPORT, &document).await);
    assert_eq!((found.len(), found[100].as_str()), (101, "records"));
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json()["total"], 0);
}

async fn a_document_beyond_the_limit_is_refused(product: &Product) {
    let admin = product.admin().await;
    let things = admin.collection(&open("things", &json!([{"name": "t", "type": "text"}]))).await;
    for _ in 0..12 {
        admin.make("things", &json!({"t": "x".repeat(900_000)})).await;
    }
    let message = super::told(export(&admin, "things").await, "include_data");
    assert!(message.contains("MAX_FILE_SIZE"), "{message}");
    admin.get(&format!("{}/export", collection_path(&things))).await.expect(200);
    let page = admin.list("things", &[]).await.expect(200).json();
    let items = page["items"].as_array().unwrap();
    let document = |count: usize| json!({"name": "copies", "schema": things["schema"], "records": &items[..count]});
    admin.post(IMPORT, &document(12)).await.refused(413, "payload_too_large");
    admin.post(IMPORT, &document(9)).await.expect(201);
    assert_eq!(admin.list("copies", &[]).await.expect(200).json()["total"], 9);
}

/// D-05.
async fn a_name_is_reserved_for_documents_too(product: &Product) {
    let admin = product.admin().await;
    for name in ["users", "Users", "refresh_tokens", "SETTINGS", "sqlite_master", "a;--"] {
        let answer = admin.post(IMPORT, &json!({"name": name, "rules": {"list_rule": ""}})).await;
        if name == "sqlite_master" {
            // A name like any other: tables of collections have names of their own.
            answer.expect(201);
        } else {
            super::told(answer, "name");
        }
    }
}

async fn accounts_come_without_passwords(product: &Product) {
    let admin = product.admin().await;
    let fields = json!([{"name": "nick", "type": "text", "validation": {"unique": true, "required": true}}]);
    let made = admin
        .collection(
            &json!({"name": "members", "type": "auth", "schema": fields, "options": {"identity_field": "nick"}}),
        )
        .await;
    let ann = json!({"email": "Ann@example.org", "password": "correct horse battery", "nick": "ann"});
    admin.make("members", &ann).await;
    let mut document = export(&admin, "members").await.expect(200).json();
    assert_eq!(document["options"], json!({"identity_field": "nick"}));
    let data: &Map<String, Value> = document["records"][0]["data"].as_object().unwrap();
    assert!(!data.contains_key("password") && data["email"] == "Ann@example.org");
    document["name"] = json!("people");
    let people = admin.post(IMPORT, &document).await.expect(201).json();
    assert_eq!(people["options"], made["options"]);
    let sign_in = json!({"identity": "ann", "email": "ann", "password": "correct horse battery"});
    let answer = product.guest().post("/api/v1/collections/people/auth/login", &sign_in).await;
    assert!(answer.status.is_client_error(), "{}", answer.json());
    admin
        .create("people", &json!({"email": "ann@EXAMPLE.org", "password": "correct horse battery", "nick": "two"}))
        .await
        .refused(409, "email_taken");
    document["name"] = json!("others");
    document["records"][0]["data"]["password"] = json!("correct horse battery");
    super::told(admin.post(IMPORT, &document).await, "records.0.data.password");
    document["records"][0]["data"].as_object_mut().unwrap().remove("password");
    let records = document["records"].as_array_mut().unwrap();
    records.push(json!({"data": {"email": "ANN@example.org", "nick": "three"}}));
    records.push(json!({"data": {"nick": "four"}}));
    let details = admin.post(IMPORT, &document).await.refused(422, "validation_failed").json()["details"].clone();
    assert_eq!(
        details,
        json!({"records.1.data.email": "Must be unique", "records.2.data.email": "This field is required"})
    );
}

async fn truncation_is_one_step(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let relation = |on_delete: &str| json!([{"name": "v", "type": "relation", "relation": {"collection": "things", "cascade_delete": on_delete}}]);
    admin.collection(&open("things", &json!([{"name": "n", "type": "number"}]))).await;
    admin.collection(&open("tight", &relation("restrict"))).await;
    admin.collection(&open("loose", &relation("no_action"))).await;
    let one = guest.make("things", &json!({"n": 1})).await;
    let path = |name: &str| format!("{COLLECTIONS}/name/{name}/truncate");
    let pointing = guest.make("tight", &json!({"v": one["id"]})).await;
    guest.make("loose", &json!({"v": one["id"]})).await;
    admin.delete(&path("things")).await.refused(409, "relation_restricted");
    assert_eq!(guest.list("things", &[]).await.expect(200).json()["total"], 1);
    guest.change("tight", &pointing["id"], &json!({"v": null})).await.expect(200);
    assert_eq!(
        admin.delete(&path("Things")).await.expect(200).json(),
        json!({"deleted_count": 1, "collection": "things"})
    );
    assert_eq!(guest.list("things", &[]).await.expect(200).json()["total"], 0);
    admin.delete(&path("users")).await.refused(404, "not_found");
}
