//! Writing one record: what is asked of the body, what stays, increments, what writes at once do to each other (contract 5.9).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, open, record, records, request};
use crate::on_both_engines;
use crate::product::Product;

on_both_engines!(
    a_body_says_data_and_nothing_else,
    all_faults_are_told_at_once,
    a_change_touches_what_it_names,
    two_hundred_increments_count_two_hundred,
    an_increment_stays_within_the_field,
    one_of_twenty_takes_a_unique_value,
    totals_stay_true,
    a_record_that_others_point_at_stays,
);

fn counters() -> Value {
    open(
        "counters",
        &json!([
            {"name": "title", "type": "text", "validation": {"max_length": 10}},
            {"name": "n", "type": "number", "validation": {"min": -1000, "max": 1000}},
            {"name": "code", "type": "text", "validation": {"unique": true}},
        ]),
    )
}

async fn counting(product: &Product) -> Admin<'_> {
    let admin = product.admin().await;
    admin.collection(&counters()).await;
    admin
}

async fn a_body_says_data_and_nothing_else(product: &Product) {
    counting(product).await;
    let guest = product.guest();
    let one = guest.make("counters", &json!({"title": "one"})).await;
    let path = records("counters");
    let own = record("counters", &one["id"]);
    for (body, field) in [
        (json!({}), "data"),
        (json!({"data": {}}), "data"),
        (json!({"data": null}), "data"),
        (json!({"data": []}), "data"),
        (json!({"data": "text"}), "data"),
        (json!({"title": "bare"}), "data"),
        (json!({"data": {"title": "t"}, "id": "x"}), "id"),
        (json!({"data": {"nope": 1}}), "nope"),
        (json!({"data": {"id": "018f0000-0000-7000-8000-000000000000"}}), "id"),
        (json!({"data": {"created": "2026-01-01T00:00:00.000Z"}}), "created"),
        (json!({"data": {"Title": "case counts"}}), "Title"),
    ] {
        for answer in [guest.post(&path, &body).await, guest.patch(&own, &body).await] {
            let details = answer.refused(422, "validation_failed").json()["details"].clone();
            assert!(details[field].is_string(), "{body}: no {field} in {details}");
        }
    }
    for text in ["", "{", "{\"data\": {\"n\": NaN}}", "[1]", "5", "null", "{\"data\":{\"n\":1}} trailing", "\u{feff}{}"]
    {
        let mut sent = request(None, http::Method::POST, &path, Some(&json!({})));
        *sent.body_mut() = axum::body::Body::from(text);
        let answer = product.send(sent).await.refused(422, "validation_failed");
        assert!(answer.json()["details"]["body"].is_string(), "{text}: {}", answer.json());
    }
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonx")] {
        let mut sent = request(None, http::Method::POST, &path, Some(&json!({"data": {"n": 1}})));
        sent.headers_mut().remove("content-type");
        if let Some(kind) = kind {
            sent.headers_mut().insert("content-type", kind.parse().unwrap());
        }
        product.send(sent).await.refused(415, "unsupported_media_type");
    }
    assert_eq!(guest.list("counters", &[]).await.expect(200).json()["items"], json!([one]));
}

async fn all_faults_are_told_at_once(product: &Product) {
    counting(product).await;
    let wrong = json!({"title": "far too long for it", "n": "many", "code": 5, "nope": 1});
    let details =
        product.guest().create("counters", &wrong).await.refused(422, "validation_failed").json()["details"].clone();
    assert_eq!(
        details,
        json!({
            "title": "Maximum length is 10", "n": "Must be a number", "code": "Must be a string", "nope": "Unknown field",
        })
    );
}

async fn a_change_touches_what_it_names(product: &Product) {
    counting(product).await;
    let guest = product.guest();
    let made = guest.make("counters", &json!({"title": "one", "n": 1, "code": "c"})).await;
    assert_eq!(made["created"], made["updated"]);
    product.clock.advance_seconds(5);
    let changed = guest.change("counters", &made["id"], &json!({"n": 2})).await.expect(200).json();
    assert_eq!(changed["data"], json!({"title": "one", "n": 2, "code": "c"}));
    assert_eq!((&changed["id"], &changed["created"]), (&made["id"], &made["created"]));
    assert!(changed["updated"].as_str() > made["updated"].as_str());
    assert_eq!(guest.get(&record("counters", &made["id"])).await.expect(200).json(), changed);
    let cleared = guest.change("counters", &made["id"], &json!({"title": "", "n": null})).await.expect(200).json();
    assert_eq!(cleared["data"], json!({"title": null, "n": null, "code": "c"}));
    guest.delete(&record("counters", &made["id"])).await.expect(204);
    guest.get(&record("counters", &made["id"])).await.refused(404, "not_found");
    guest.delete(&record("counters", &made["id"])).await.refused(404, "not_found");
    guest.change("counters", &made["id"], &json!({"n": 3})).await.refused(404, "not_found");
}

/// D-29.
async fn two_hundred_increments_count_two_hundred(product: &Product) {
    counting(product).await;
    let guest = product.guest();
    let id = guest.make("counters", &json!({"n": 0})).await["id"].clone();
    let up = json!({"n+": 1});
    for answer in join_all((0..200).map(|_| guest.change("counters", &id, &up))).await {
        answer.expect(200);
    }
    assert_eq!(guest.get(&record("counters", &id)).await.expect(200).json()["data"]["n"], 200);
    let down = json!({"n-": 2});
    for answer in join_all((0..50).map(|_| guest.change("counters", &id, &down))).await {
        answer.expect(200);
    }
    assert_eq!(guest.get(&record("counters", &id)).await.expect(200).json()["data"]["n"], 100);
}

async fn an_increment_stays_within_the_field(product: &Product) {
    counting(product).await;
    let guest = product.guest();
    let made = guest.make("counters", &json!({"n": 999, "title": "t"})).await;
    let id = &made["id"];
    assert_eq!(guest.change("counters", id, &json!({"n+": 0.5})).await.expect(200).json()["data"]["n"], 999.5);
    for (change, field) in [
        (json!({"n+": 1}), "n"),
        (json!({"n-": 5000}), "n"),
        (json!({"n+": "1"}), "n+"),
        (json!({"n+": null}), "n+"),
        (json!({"n+": true}), "n+"),
        (json!({"title+": 1}), "title+"),
        (json!({"nope+": 1}), "nope+"),
        (json!({"n+": 1, "n": 5}), "n+"),
    ] {
        let details =
            guest.change("counters", id, &change).await.refused(422, "validation_failed").json()["details"].clone();
        let named = details
            .as_object()
            .unwrap()
            .keys()
            .any(|key| key.trim_end_matches('+').trim_end_matches('-') == field.trim_end_matches('+'));
        assert!(named, "{change}: {details}");
    }
    assert_eq!(guest.get(&record("counters", id)).await.expect(200).json()["data"]["n"], 999.5);
    guest.create("counters", &json!({"n+": 1})).await.refused(422, "validation_failed");
}

async fn one_of_twenty_takes_a_unique_value(product: &Product) {
    counting(product).await;
    let guest = product.guest();
    let same = json!({"code": "only"});
    let mut made = 0;
    for answer in join_all((0..20).map(|_| guest.create("counters", &same))).await {
        if answer.status == 201 {
            made += 1;
        } else {
            assert_eq!(answer.refused(409, "unique_conflict").json()["details"], json!({"code": "Must be unique"}));
        }
    }
    assert_eq!(made, 1);
    assert_eq!(guest.list("counters", &[]).await.expect(200).json()["total"], 1);
    let other = guest.make("counters", &json!({"code": "other"})).await;
    guest.change("counters", &other["id"], &same).await.refused(409, "unique_conflict");
    guest.change("counters", &other["id"], &json!({"code": "other"})).await.expect(200);
}

/// The kept counter follows every way in which records come and go.
async fn totals_stay_true(product: &Product) {
    let admin = counting(product).await;
    let total =
        || async { product.guest().list("counters", &[("per_page", "1")]).await.expect(200).json()["total"].clone() };
    assert_eq!(total().await, 0);
    let first = admin.make("counters", &json!({"code": "a"})).await;
    admin.create("counters", &json!({"code": "a"})).await.refused(409, "unique_conflict");
    admin.create("counters", &json!({"nope": 1})).await.refused(422, "validation_failed");
    assert_eq!(total().await, 1);
    let batch = json!({"records": [{"code": "b"}, {"code": "b"}, {"nope": 1}, {"code": "c"}]});
    admin.post(&format!("{}/batch", records("counters")), &batch).await.expect(201);
    assert_eq!(total().await, 3);
    admin.delete(&record("counters", &first["id"])).await.expect(204);
    admin.delete(&record("counters", &first["id"])).await.refused(404, "not_found");
    assert_eq!(total().await, 2);
    let restarted = product.with(&[]).await;
    assert_eq!(restarted.guest().list("counters", &[]).await.expect(200).json()["total"], 2);
    restarted.close().await;
}

/// D-32: each of the four words of `cascade_delete` means what it says.
async fn a_record_that_others_point_at_stays(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    admin.collection(&open("authors", &json!([{"name": "name", "type": "text"}]))).await;
    let relation = |on_delete: Value| {
        json!([
            {"name": "title", "type": "text"},
            {"name": "writer", "type": "relation", "relation": {"collection": "authors", "cascade_delete": on_delete}},
        ])
    };
    for (name, on_delete) in [
        ("unsaid", Value::Null),
        ("no", json!(false)),
        ("restrict", json!("restrict")),
        ("yes", json!(true)),
        ("cascade", json!("cascade")),
        ("set_null", json!("set_null")),
        ("no_action", json!("no_action")),
    ] {
        let collection = format!("by_{name}");
        admin.collection(&open(&collection, &relation(on_delete))).await;
        let author = guest.make("authors", &json!({"name": name})).await;
        let book = guest.make(&collection, &json!({"title": "b", "writer": author["id"]})).await;
        let deleted = guest.delete(&record("authors", &author["id"])).await;
        let left = guest.get(&record(&collection, &book["id"])).await;
        let total = guest.list(&collection, &[]).await.expect(200).json()["total"].clone();
        match name {
            "unsaid" | "no" | "restrict" => {
                deleted.refused(409, "relation_restricted");
                assert_eq!(left.expect(200).json(), book, "{name}");
                guest.get(&record("authors", &author["id"])).await.expect(200);
            }
            "yes" | "cascade" => {
                deleted.expect(204);
                left.refused(404, "not_found");
                assert_eq!(total, 0, "{name}");
            }
            "set_null" => {
                deleted.expect(204);
                assert_eq!(left.expect(200).json()["data"]["writer"], Value::Null);
            }
            _ => {
                deleted.expect(204);
                assert_eq!(left.expect(200).json()["data"]["writer"], author["id"]);
            }
        }
    }
}
