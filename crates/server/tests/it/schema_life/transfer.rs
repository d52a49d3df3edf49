//! Collections out of one product and into another, on whichever engine (D-33, D-05).

use serde_json::{Map, Value, json};

use crate::callers::{Admin, COLLECTIONS, Calls, collection_path, open, records};
use crate::engine::{Engine, run};
use crate::on_both_engines;
use crate::product::{Answer, Product};

on_both_engines!(
    an_export_is_a_document_without_secrets,
    an_import_happens_whole_or_not_at_all,
    every_fault_of_a_document_is_said_at_once,
    a_document_beyond_the_limit_is_refused,
    a_name_is_reserved_for_documents_too,
    accounts_come_without_passwords,
    truncation_is_one_step,
);

const IMPORT: &str = "/api/v1/collections/import?import_records=true";

async fn export(admin: &Admin<'_>, name: &str) -> Answer {
    let collection = admin.get(&format!("{COLLECTIONS}/name/{name}")).await.expect(200).json();
    admin.get(&format!("{}/export?include_data=true", collection_path(&collection))).await
}

/// Everything a record can hold, at its edges.
async fn fill(product: &Product, admin: &Admin<'_>) {
    admin.collection(&open("targets", &json!([{"name": "n", "type": "number"}]))).await;
    let mut things = open("things", &json!([
        {"name": "text", "type": "text", "validation": {"unique": true}, "label": "Text", "hint": "any"}, {"name": "editor", "type": "editor"},
        {"name": "number", "type": "number"}, {"name": "bool", "type": "bool"}, {"name": "email", "type": "email"}, {"name": "url", "type": "url"},
        {"name": "date", "type": "date"}, {"name": "datetime", "type": "datetime"}, {"name": "one", "type": "select", "select": {"values": ["a", "b"]}},
        {"name": "many", "type": "select", "select": {"values": ["a", "b"], "max_select": 2}}, {"name": "json", "type": "json"},
        {"name": "geopoint", "type": "geopoint"}, {"name": "autodate", "type": "autodate", "autodate": {"on_create": true, "on_update": false}},
        {"name": "target", "type": "relation", "relation": {"collection": "targets"}},
        {"name": "things", "type": "relation", "relation": {"collection": "things", "type": "many-to-many"}},
        {"name": "secret", "type": "text", "hidden": true, "validation": {"required": true}}, {"name": "select", "type": "number"},
    ]));
    things["update_rule"] = json!("text = @request.auth.id && number > 1.5");
    things["manage_rule"] = Value::Null;
    let things = admin.collection(&things).await;
    let path = format!("{}/indexes", collection_path(&things));
    admin.post(&path, &json!({"name": "both", "fields": [{"name": "text", "order": "desc"}, {"name": "number"}], "unique": true})).await.expect(201);
    let target = admin.make("targets", &json!({"n": 1})).await;
    let mut last = Value::Null;
    let numbers = [0.1, 1e-7, 5e-324, 1.797_693_134_862_315_7e308, -0.0, 31.245_270_191_439_438, 9_007_199_254_740_992.0, 123_456.789_012_345_67, 1.0 / 3.0];
    for (at, number) in numbers.into_iter().enumerate() {
        product.clock.advance_millis(7);
        let odd = format!("{at} \u{1F600}e\u{301}\u{7f}\u{2028}\"\\/\r\n\t<b>&amp;' \u{FFFD}\u{1}");
        let data = json!({
            "text": odd, "editor": "<p>a &amp; b</p>", "number": number, "bool": at % 2 == 0, "email": "ä@example.org", "url": "https://example.org/ä?b=%20",
            "date": "0001-01-01", "datetime": "9999-12-31T23:59:59.999Z", "one": "b", "many": ["b", "a"],
            "json": {"z": [null, 1.0, number, {"": "\u{1F600}"}], "a": -0.5, "big": 12_345_678_901_234_567_u64}, "geopoint": {"lng": 0.1, "lat": -89.999_999_999_999_99, "alt": 1},
            "target": target["id"], "things": if last.is_null() { json!([]) } else { json!([last]) }, "secret": "do not tell", "select": at,
        });
        last = admin.make("things", &data).await["id"].clone();
    }
    admin.make("things", &json!({"secret": "nothing else"})).await;
    product.clock.advance_seconds(5);
    admin.change("things", &last, &json!({"bool": null})).await.expect(200);
}

/// From one engine to the other and back: the same bytes each time.
fn there_and_back(from: Engine, to: Engine) {
    run(from, |here| {
        Box::pin(async move {
            let admin = here.admin().await;
            fill(here, &admin).await;
            let documents: [Vec<u8>; 2] = [export(&admin, "targets").await.expect(200).bytes, export(&admin, "things").await.expect(200).bytes];
            let sent = documents.clone();
            let answered = std::thread::spawn(move || {
                let (answer, received) = std::sync::mpsc::channel();
                run(to, |there| {
                    Box::pin(async move {
                        let admin = there.admin().await;
                        there.clock.advance_seconds(100);
                        for document in &sent {
                            let document: Value = serde_json::from_slice(document).unwrap();
                            admin.post(IMPORT, &document).await.expect(201);
                        }
                        let again = [export(&admin, "targets").await.expect(200).bytes, export(&admin, "things").await.expect(200).bytes];
                        answer.send((again, admin.list("things", &[("filter", "number = 0.1")]).await.expect(200).json())).unwrap();
                    })
                });
                received.recv().unwrap()
            });
            let (again, found) = answered.join().unwrap();
            for (before, after) in documents.iter().zip(&again) {
                assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after));
            }
            assert_eq!(found["items"], admin.list("things", &[("filter", "number = 0.1")]).await.expect(200).json()["items"]);
            for name in ["things", "targets"] {
                let collection = admin.get(&format!("{COLLECTIONS}/name/{name}")).await.expect(200).json();
                admin.delete(&collection_path(&collection)).await.expect(204);
            }
            for (document, name) in again.iter().zip(["targets", "things"]) {
                admin.post(IMPORT, &serde_json::from_slice(document).unwrap()).await.expect(201);
                assert_eq!(&export(&admin, name).await.expect(200).bytes, document);
            }
            admin.create("things", &json!({"secret": "s", "text": found["items"][0]["data"]["text"]})).await.refused(409, "unique_conflict");
        })
    });
}

#[test]
fn sqlite_to_postgres_and_back() {
    there_and_back(Engine::Sqlite, Engine::Postgres);
}

#[test]
fn postgres_to_sqlite_and_back() {
    there_and_back(Engine::Postgres, Engine::Sqlite);
}

async fn an_export_is_a_document_without_secrets(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("somebody").await;
    fill(product, &admin).await;
    let answer = export(&admin, "things").await.expect(200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"things_export.json\""));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    let keys: Vec<_> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "type", "schema", "rules", "indexes", "system", "records"]);
    assert_eq!(document["rules"].as_object().unwrap().len(), 6);
    assert_eq!(document["indexes"], json!([{"name": "both", "fields": [{"name": "text", "order": "desc"}, {"name": "number", "order": "asc"}], "unique": true}]));
    let first = document["records"][0].as_object().unwrap();
    assert_eq!(first.keys().collect::<Vec<_>>(), ["id", "data", "created", "updated"]);
    assert!(first["data"].get("secret").is_none() && !String::from_utf8_lossy(&answer.bytes).contains("do not tell"));
    let path = collection_path(&admin.get(&format!("{COLLECTIONS}/name/things")).await.expect(200).json());
    assert!(admin.get(&format!("{path}/export")).await.expect(200).json().get("records").is_none());
    product.guest().get(&format!("{path}/export")).await.refused(401, "authentication_required");
    user.get(&format!("{path}/export")).await.refused(403, "forbidden");
    user.post(IMPORT, &document).await.refused(403, "forbidden");
    admin.get(&format!("{COLLECTIONS}/018f0000-0000-7000-8000-000000000000/export")).await.refused(404, "not_found");
}

/// D-33: under a new name, the same records.
async fn an_import_happens_whole_or_not_at_all(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    fill(product, &admin).await;
    let mut document = export(&admin, "things").await.expect(200).json();
    admin.post(IMPORT, &document).await.refused(409, "already_exists");
    document["name"] = json!("copies");
    for field in document["schema"].as_array_mut().unwrap() {
        if field["relation"]["collection"] == "things" {
            field["relation"]["collection"] = json!("copies");
        }
    }
    let made = admin.post(IMPORT, &document).await.expect(201).json();
    assert_eq!((&made["name"], &made["update_rule"]), (&json!("copies"), &document["rules"]["update_rule"]));
    assert_eq!(export(&admin, "copies").await.expect(200).json(), document);
    assert_eq!(guest.list("copies", &[]).await.expect(200).json()["total"], 10);
    assert_eq!(admin.get(&format!("{}/indexes", collection_path(&made))).await.expect(200).json()["total"], 1);
    let record = guest.make("copies", &json!({"secret": "s", "target": null})).await;
    assert_eq!(record["data"]["text"], Value::Null);

    let before = admin.get(COLLECTIONS).await.expect(200).json();
    document["name"] = json!("broken");
    document["records"][4]["data"]["target"] = json!("018f0000-0000-7000-8000-000000000000");
    document["records"][5]["data"]["things"] = json!(["018f0000-0000-7000-8000-000000000001"]);
    let answer = admin.post(IMPORT, &document).await.refused(422, "validation_failed").json();
    assert_eq!(answer["details"].as_object().unwrap().keys().collect::<Vec<_>>(), ["records.4.data.target", "records.5.data.things"]);
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json(), before);
    guest.get(&records("broken")).await.refused(404, "not_found");
    // Without its records the same document is sound.
    admin.post("/api/v1/collections/import", &document).await.expect(201);
    assert_eq!(guest.list("broken", &[]).await.expect(200).json()["total"], 0);
}

async fn every_fault_of_a_document_is_said_at_once(product: &Product) {
    let admin = product.admin().await;
    let keys = |answer: Answer| answer.refused(422, "validation_failed").json()["details"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
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
    assert_eq!(found, [
        "records.1.id", "records.2.id", "records.3.data.n", "records.4.data.n", "records.4.data.m", "records.5.data.x", "records.6.data",
        "records.7.created", "records.8.data", "records.9.n", "records.9.data", "records.10.data.m",
    ]);
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
    let made = admin.collection(&json!({"name": "members", "type": "auth", "schema": fields, "options": {"identity_field": "nick"}})).await;
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
    admin.create("people", &json!({"email": "ann@EXAMPLE.org", "password": "correct horse battery", "nick": "two"})).await.refused(409, "email_taken");
    document["name"] = json!("others");
    document["records"][0]["data"]["password"] = json!("correct horse battery");
    super::told(admin.post(IMPORT, &document).await, "records.0.data.password");
    document["records"][0]["data"].as_object_mut().unwrap().remove("password");
    let records = document["records"].as_array_mut().unwrap();
    records.push(json!({"data": {"email": "ANN@example.org", "nick": "three"}}));
    records.push(json!({"data": {"nick": "four"}}));
    let details = admin.post(IMPORT, &document).await.refused(422, "validation_failed").json()["details"].clone();
    assert_eq!(details, json!({"records.1.data.email": "Must be unique", "records.2.data.email": "This field is required"}));
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
    assert_eq!(admin.delete(&path("Things")).await.expect(200).json(), json!({"deleted_count": 1, "collection": "things"}));
    assert_eq!(guest.list("things", &[]).await.expect(200).json()["total"], 0);
    admin.delete(&path("users")).await.refused(404, "not_found");
}

/// What makes numbers survive any number of transfers.
#[test]
fn a_number_is_read_as_what_was_written() {
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..100_000 {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let number = f64::from_bits(bits);
        if number.is_finite() {
            let read: Value = serde_json::from_str(&serde_json::to_string(&number).unwrap()).unwrap();
            assert_eq!(read.as_f64().unwrap().to_bits(), bits, "{number:e}");
        }
    }
}
