//! Collections out of one product and into another, on whichever engine (D-33, D-05).

use serde_json::{Value, json};

use crate::callers::{Admin, COLLECTIONS, Calls, collection_path, open, records};
use crate::engine::{Engine, run};
use crate::on_both_engines;
use crate::product::{Answer, Product};

on_both_engines!(an_export_is_a_document_without_secrets, an_import_happens_whole_or_not_at_all,);

pub const IMPORT: &str = "/api/v1/collections/import?import_records=true";

pub async fn export(admin: &Admin<'_>, name: &str) -> Answer {
    let collection = admin.get(&format!("{COLLECTIONS}/name/{name}")).await.expect(200).json();
    admin.get(&format!("{}/export?include_data=true", collection_path(&collection))).await
}

/// Everything a record can hold, at its edges.
async fn fill(product: &Product, admin: &Admin<'_>) {
    admin.collection(&open("targets", &json!([{"name": "n", "type": "number"}]))).await;
    let mut things = open(
        "things",
        &json!([
            {"name": "text", "type": "text", "validation": {"unique": true}, "label": "Text", "hint": "any"}, {"name": "editor", "type": "editor"},
            {"name": "number", "type": "number"}, {"name": "bool", "type": "bool"}, {"name": "email", "type": "email"}, {"name": "url", "type": "url"},
            {"name": "date", "type": "date"}, {"name": "datetime", "type": "datetime"}, {"name": "one", "type": "select", "select": {"values": ["a", "b"]}},
            {"name": "many", "type": "select", "select": {"values": ["a", "b"], "max_select": 2}}, {"name": "json", "type": "json"},
            {"name": "geopoint", "type": "geopoint"}, {"name": "autodate", "type": "autodate", "autodate": {"on_create": true, "on_update": false}},
            {"name": "target", "type": "relation", "relation": {"collection": "targets"}},
            {"name": "things", "type": "relation", "relation": {"collection": "things", "type": "many-to-many"}},
            {"name": "secret", "type": "text", "hidden": true, "validation": {"required": true}}, {"name": "select", "type": "number"},
        ]),
    );
    things["update_rule"] = json!("text = @request.auth.id && number > 1.5");
    things["manage_rule"] = Value::Null;
    let things = admin.collection(&things).await;
    let path = format!("{}/indexes", collection_path(&things));
    admin
        .post(
            &path,
            &json!({"name": "both", "fields": [{"name": "text", "order": "desc"}, {"name": "number"}], "unique": true}),
        )
        .await
        .expect(201);
    let target = admin.make("targets", &json!({"n": 1})).await;
    let mut last = Value::Null;
    let numbers = [
        0.1,
        1e-7,
        5e-324,
        1.797_693_134_862_315_7e308,
        -0.0,
        31.245_270_191_439_438,
        9_007_199_254_740_992.0,
        123_456.789_012_345_67,
        1.0 / 3.0,
    ];
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

/// The collections that [`fill`] makes, as documents.
async fn documents(admin: &Admin<'_>) -> [Vec<u8>; 2] {
    let targets = export(admin, "targets").await.expect(200).bytes;
    [targets, export(admin, "things").await.expect(200).bytes]
}

/// The records that a filter finds.
async fn found(admin: &Admin<'_>) -> Value {
    let page = admin.list("things", &[("filter", "number = 0.1")]).await;
    page.expect(200).json()["items"].clone()
}

/// What these documents are after a way through a product on this engine, and what is found there.
fn elsewhere(engine: Engine, sent: [Vec<u8>; 2]) -> ([Vec<u8>; 2], Value) {
    // A thread of its own: each product has its runtime.
    let through = std::thread::spawn(move || {
        let (answer, received) = std::sync::mpsc::channel();
        run(engine, |there| {
            Box::pin(async move {
                let admin = there.admin().await;
                there.clock.advance_seconds(100);
                for document in &sent {
                    let document: Value = serde_json::from_slice(document).unwrap();
                    admin.post(IMPORT, &document).await.expect(201);
                }
                answer.send((documents(&admin).await, found(&admin).await)).unwrap();
            })
        });
        received.recv().unwrap()
    });
    through.join().unwrap()
}

/// From one engine to the other and back: the same bytes each time.
fn there_and_back(from: Engine, to: Engine) {
    run(from, |here| {
        Box::pin(async move {
            let admin = here.admin().await;
            fill(here, &admin).await;
            let before = documents(&admin).await;
            let (again, items) = elsewhere(to, before.clone());
            for (before, after) in before.iter().zip(&again) {
                assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after));
            }
            assert_eq!(items, found(&admin).await);
            for name in ["things", "targets"] {
                let collection = admin.get(&format!("{COLLECTIONS}/name/{name}")).await.expect(200).json();
                admin.delete(&collection_path(&collection)).await.expect(204);
            }
            for document in &again {
                admin.post(IMPORT, &serde_json::from_slice(document).unwrap()).await.expect(201);
            }
            assert!(documents(&admin).await == again, "the same bytes once more");
            let twin = json!({"secret": "s", "text": items[0]["data"]["text"]});
            admin.create("things", &twin).await.refused(409, "unique_conflict");
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
    assert_eq!(
        document["indexes"],
        json!([{"name": "both", "fields": [{"name": "text", "order": "desc"}, {"name": "number", "order": "asc"}], "unique": true}])
    );
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
    assert_eq!(
        answer["details"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["records.4.data.target", "records.5.data.things"]
    );
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json(), before);
    guest.get(&records("broken")).await.refused(404, "not_found");
    // Without its records the same document is sound.
    admin.post("/api/v1/collections/import", &document).await.expect(201);
    assert_eq!(guest.list("broken", &[]).await.expect(200).json()["total"], 0);
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
