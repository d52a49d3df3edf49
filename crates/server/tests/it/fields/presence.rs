//! Values that must be there, that are no values, that are there once, and that look like something else (contract 7.3).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::callers::{Calls, open, record};
use crate::file_fields::stored;
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    required_is_asked_on_creation_and_against_null,
    an_empty_text_is_no_value,
    unique_is_a_conflict_that_names_its_field,
    strange_text_is_text,
);

async fn required_is_asked_on_creation_and_against_null(product: &Product) {
    let admin = product.admin().await;
    let target = admin.collection(&open("targets", &json!([{"name": "n", "type": "number"}]))).await;
    let one = admin.make("targets", &json!({"n": 1})).await["id"].clone();
    let kinds = [
        (json!({"type": "text"}), json!("a")),
        (json!({"type": "editor"}), json!("a")),
        (json!({"type": "number"}), json!(0)),
        (json!({"type": "bool"}), json!(false)),
        (json!({"type": "email"}), json!("a@example.com")),
        (json!({"type": "url"}), json!("https://example.com")),
        (json!({"type": "date"}), json!("2026-01-31")),
        (json!({"type": "datetime"}), json!("2026-01-31T09:30:00.000Z")),
        (json!({"type": "select", "select": {"values": ["a"]}}), json!("a")),
        (json!({"type": "relation", "relation": {"collection_id": target["id"]}}), one),
        (json!({"type": "file"}), json!([stored(product, None).await])),
        (json!({"type": "json"}), json!({})),
        (json!({"type": "geopoint"}), json!({"lat": 0, "lng": 0})),
    ];
    for (at, (mut field, value)) in kinds.into_iter().enumerate() {
        let name = format!("required{at}");
        field["name"] = json!("f");
        field["validation"] = json!({"required": true});
        admin.collection(&open(&name, &json!([field, {"name": "other", "type": "text"}]))).await;
        let expected = json!({"f": "This field is required"});
        for data in [json!({"other": "x"}), json!({"f": null}), json!({"f": null, "other": "x"})] {
            let answer = admin.create(&name, &data).await.refused(422, "validation_failed");
            assert_eq!(answer.json()["details"], expected, "{field}: {data}");
        }
        let made = admin.make(&name, &json!({"f": value})).await;
        assert_eq!(made["data"]["f"], value, "{field}");
        let answer = admin.change(&name, &made["id"], &json!({"f": null})).await.refused(422, "validation_failed");
        assert_eq!(answer.json()["details"], expected, "{field}");
        admin.change(&name, &made["id"], &json!({"other": "x"})).await.expect(200);
    }
}

async fn an_empty_text_is_no_value(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    for kind in ["text", "editor", "email", "url"] {
        let field = json!([{"name": "f", "type": kind, "validation": {"min_length": 3}}, {"name": "g", "type": kind, "validation": {"unique": true}}]);
        admin.collection(&open(kind, &field)).await;
        let made = guest.make(kind, &json!({"f": "", "g": ""})).await;
        assert_eq!(made["data"], json!({"f": null, "g": null}), "{kind}");
        guest.make(kind, &json!({"f": "", "g": ""})).await;
        assert_eq!(guest.list(kind, &[("filter", "f = null")]).await.expect(200).json()["total"], 2);
    }
    for (kind, extra) in [
        ("number", Value::Null),
        ("bool", Value::Null),
        ("date", Value::Null),
        ("datetime", Value::Null),
        ("select", json!({"values": ["a"]})),
    ] {
        admin.collection(&open(kind, &json!([{"name": "f", "type": kind, "select": extra}]))).await;
        guest.create(kind, &json!({"f": ""})).await.refused(422, "validation_failed");
    }
}

async fn unique_is_a_conflict_that_names_its_field(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    for (kind, value, other) in [
        ("text", json!("a"), json!("A")),
        ("number", json!(1), json!(1.5)),
        ("email", json!("a@example.com"), json!("b@example.com")),
        ("url", json!("https://example.com/a"), json!("https://example.com/b")),
        ("date", json!("2026-01-31"), json!("2026-02-01")),
        ("datetime", json!("2026-01-31T09:30:00.000Z"), json!("2026-01-31T09:30:00.001Z")),
    ] {
        let name = format!("unique_{kind}");
        admin.collection(&open(&name, &json!([{"name": "first", "type": "text"}, {"name": "f", "type": kind, "validation": {"unique": true}}]))).await;
        let one = guest.make(&name, &json!({"f": value})).await;
        let two = guest.make(&name, &json!({"f": other})).await;
        for answer in [
            guest.create(&name, &json!({"f": value})).await,
            guest.change(&name, &two["id"], &json!({"f": value})).await,
        ] {
            let body = answer.refused(409, "unique_conflict").json();
            assert_eq!(body["details"], json!({"f": "Must be unique"}), "{kind}");
        }
        guest.make(&name, &json!({"f": null})).await;
        guest.make(&name, &json!({"first": "null never conflicts"})).await;
        guest.delete(&record(&name, &one["id"])).await.expect(204);
        guest.make(&name, &json!({"f": value})).await;
    }
    let same = json!({"f": "raced"});
    let answers = join_all((0..20).map(|_| guest.create("unique_text", &same))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "unique_conflict"));
}

async fn strange_text_is_text(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("things", &json!([{"name": "f", "type": "text"}]))).await;
    for strange in [
        "'; DROP TABLE users; --",
        "\\",
        "\\\\'\"",
        "%_",
        "$1 ? :a @b",
        "{\"a\": 1}",
        "\u{202e}rtl",
        "a\u{300}",
        "\u{feff}bom",
        "\u{10ffff}",
        "null",
        "<script>",
    ] {
        let made = product.guest().make("things", &json!({"f": strange})).await;
        assert_eq!(made["data"]["f"], strange);
        let quoted = strange.replace('\\', "\\\\").replace('\'', "\\'");
        for filter in [format!("f = '{quoted}'"), format!("f ~ '{quoted}'")] {
            let found = product.guest().list("things", &[("filter", &filter)]).await.expect(200).json();
            assert!(found["items"].as_array().unwrap().contains(&made), "{filter}: {found}");
        }
        let found = product.guest().list("things", &[("search", strange)]).await.expect(200).json();
        assert!(found["items"].as_array().unwrap().contains(&made), "search {strange}");
    }
}
