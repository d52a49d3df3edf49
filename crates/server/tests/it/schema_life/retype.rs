//! Fields that change their type: every value survives as it is read, or nothing changes.

use serde_json::{Value, json};

use crate::callers::{Calls, collection_path, open};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(values_survive_a_change_of_type, values_that_would_be_lost_stand_in_the_way, relations_stay_relations);

/// A field of this type, with what it needs.
fn field(kind: &str) -> Value {
    match kind {
        "one" => json!({"name": "v", "type": "select", "select": {"values": ["a", "b", "c"]}}),
        "many" => {
            json!({"name": "v", "type": "select", "select": {"values": ["a", "b", "c"], "max_select": 3}})
        }
        kind => json!({"name": "v", "type": kind}),
    }
}

/// From a type to another: a value, and how it is read afterwards.
fn lossless() -> Vec<(&'static str, &'static str, Value, Value)> {
    let day = "2026-01-31T00:00:00.000Z";
    vec![
        ("text", "editor", json!("plain"), json!("plain")),
        ("editor", "text", json!("<p>x</p>"), json!("<p>x</p>")),
        ("text", "email", json!("a@example.org"), json!("a@example.org")),
        ("email", "text", json!("a@example.org"), json!("a@example.org")),
        ("text", "url", json!("https://example.org"), json!("https://example.org")),
        ("text", "number", json!("-1.5"), json!(-1.5)),
        ("number", "text", json!(0.1), json!("0.1")),
        ("number", "text", json!(3.0), json!("3")),
        ("number", "text", json!(1e300), json!("1e+300")),
        ("bool", "number", json!(true), json!(1)),
        ("number", "bool", json!(0), json!(false)),
        ("bool", "text", json!(false), json!("false")),
        ("text", "bool", json!("true"), json!(true)),
        ("date", "datetime", json!("2026-01-31"), json!(day)),
        ("datetime", "date", json!(day), json!("2026-01-31")),
        ("datetime", "autodate", json!(day), json!(day)),
        ("text", "datetime", json!(day), json!(day)),
        ("date", "text", json!("2026-01-31"), json!("2026-01-31")),
        ("text", "one", json!("b"), json!("b")),
        ("one", "many", json!("b"), json!(["b"])),
        ("many", "one", json!(["c"]), json!("c")),
        ("many", "json", json!(["c", "a"]), json!(["c", "a"])),
        ("json", "many", json!(["c", "a"]), json!(["c", "a"])),
        ("number", "json", json!(2.5), json!(2.5)),
        ("json", "number", json!(7), json!(7)),
        ("json", "text", json!("x"), json!("x")),
        ("geopoint", "json", json!({"lat": 1, "lng": 2.5}), json!({"lat": 1, "lng": 2.5})),
        ("json", "geopoint", json!({"lng": 2.5, "lat": 1}), json!({"lat": 1, "lng": 2.5})),
    ]
}

async fn values_survive_a_change_of_type(product: &Product) {
    let admin = product.admin().await;
    for (number, (from, to, sent, shown)) in lossless().into_iter().enumerate() {
        let name = format!("c{number}");
        let collection = admin.collection(&open(&name, &json!([field(from)]))).await;
        admin.make(&name, &json!({"v": sent})).await;
        admin.make(&name, &json!({"v": null})).await;
        admin.reshape(&collection, &json!({"schema": [field(to)]})).await;
        let values = admin.column(&name, &[("sort", "@rowid")], "v").await;
        assert_eq!(values, [shown.clone(), Value::Null], "{from} to {to}");
        if to != "autodate" {
            let again = admin.make(&name, &json!({"v": shown})).await;
            assert_eq!(again["data"]["v"], shown, "{from} to {to}");
        }
    }
}

async fn values_that_would_be_lost_stand_in_the_way(product: &Product) {
    let admin = product.admin().await;
    for (number, (from, to, sent)) in [
        ("text", "number", json!("007")),
        ("text", "number", json!("1e3")),
        ("text", "number", json!("")),
        ("text", "number", json!("9007199254740993")),
        ("text", "bool", json!("True")),
        ("text", "email", json!("nobody")),
        ("text", "editor", json!("a < b")),
        ("text", "date", json!("2026-02-30")),
        ("text", "datetime", json!("2026-01-31T10:30:00+01:00")),
        ("text", "one", json!("d")),
        ("text", "json", json!(" x")),
        ("number", "bool", json!(2)),
        ("datetime", "date", json!("2026-01-31T09:30:00.000Z")),
        ("many", "one", json!(["a", "b"])),
        ("json", "text", json!(5)),
        ("json", "bool", json!("true")),
        ("text", "autodate", json!("x")),
        ("geopoint", "text", json!({"lat": 1, "lng": 2})),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("c{number}");
        let collection = admin.collection(&open(&name, &json!([field(from)]))).await;
        let made = admin.make(&name, &json!({"v": sent})).await;
        let answer = admin.patch(&collection_path(&collection), &json!({"schema": [field(to)]})).await;
        let kept = admin.column(&name, &[], "v").await;
        if made["data"]["v"].is_null() || to == "json" {
            // An empty text is no value, and every text is JSON.
            answer.expect(200);
            continue;
        }
        let key = if (from, to) == ("many", "one") { "schema.0.select.max_select" } else { "schema.0.type" };
        let message = super::told(answer, key);
        assert_eq!(message, format!("1 record has a value that does not fit: {}", text(&made["id"])), "{from} to {to}");
        assert_eq!(kept, [made["data"]["v"].clone()]);
        assert_eq!(admin.get(&collection_path(&collection)).await.expect(200).json(), collection);
    }
}

async fn relations_stay_relations(product: &Product) {
    let admin = product.admin().await;
    for name in ["here", "there"] {
        admin.collection(&open(name, &json!([{"name": "n", "type": "number"}]))).await;
    }
    let to = |target: &str, kind: &str| json!([{"name": "v", "type": "relation", "relation": {"collection": target, "type": kind}}]);
    let things = admin.collection(&open("things", &to("here", "many-to-one"))).await;
    let target = admin.make("here", &json!({"n": 1})).await;
    let thing = admin.make("things", &json!({"v": target["id"]})).await;
    let path = collection_path(&things);
    super::told(
        admin.patch(&path, &json!({"schema": to("there", "many-to-one")})).await,
        "schema.0.relation.collection",
    );
    admin.reshape(&things, &json!({"schema": to("here", "many-to-many")})).await;
    assert_eq!(admin.column("things", &[], "v").await, [json!([target["id"]])]);
    admin.reshape(&things, &json!({"schema": to("here", "one-to-one")})).await;
    assert_eq!(admin.column("things", &[], "v").await, [target["id"].clone()]);
    admin.create("things", &json!({"v": target["id"]})).await.refused(409, "unique_conflict");
    admin.reshape(&things, &json!({"schema": [{"name": "v", "type": "text"}]})).await;
    assert_eq!(admin.column("things", &[], "v").await, [target["id"].clone()]);
    super::told(admin.patch(&path, &json!({"schema": to("here", "many-to-one")})).await, "schema.0.type");
    admin.change("things", &thing["id"], &json!({"v": null})).await.expect(200);
    admin.reshape(&things, &json!({"schema": to("here", "many-to-one")})).await;
}
