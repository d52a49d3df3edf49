//! Many records at once: batch, upsert, bulk change and deletion decide each item on its own (contract 5.9).

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, open, record, records};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_batch_of_sixty_is_kept_under_traffic,
    a_batch_tells_what_became_of_each,
    a_batch_is_for_people_who_signed_in,
    a_bulk_change_tells_what_became_of_each,
    a_bulk_deletion_tells_what_became_of_each,
    an_upsert_makes_what_is_not_there,
    an_upsert_that_is_refused_makes_no_copy,
);

const OWN: &str = "owner = @request.auth.id";

fn tasks() -> Value {
    json!({
        "name": "tasks",
        "schema": [
            {"name": "title", "type": "text", "validation": {"required": true}},
            {"name": "owner", "type": "text"},
            {"name": "code", "type": "text", "validation": {"unique": true}},
        ],
        "list_rule": "", "view_rule": "", "create_rule": "@request.data.owner = @request.auth.id", "update_rule": OWN, "delete_rule": OWN,
    })
}

async fn working(product: &Product) -> Admin<'_> {
    let admin = product.admin().await;
    admin.collection(&tasks()).await;
    admin
}

fn at(verb: &str) -> String {
    format!("{}/{verb}", records("tasks"))
}

/// D-28.
async fn a_batch_of_sixty_is_kept_under_traffic(product: &Product) {
    let admin = working(product).await;
    let user = product.user("worker").await;
    let batch: Vec<Value> = (0..60).map(|n| json!({"title": format!("batch {n}"), "owner": user.id})).collect();
    let batch = json!({"records": batch});
    let bodies: Vec<Value> = (0..40).map(|n| json!({"title": format!("single {n}")})).collect();
    let failing = json!({"title": null});
    let path = at("batch");
    let traffic = join(
        join_all(bodies.iter().map(|body| admin.create("tasks", body))),
        join_all((0..40).map(|_| admin.create("tasks", &failing))),
    );
    let (outcome, (singles, failures)) = join(user.post(&path, &batch), traffic).await;
    let outcome = outcome.expect(201).json();
    assert_eq!((&outcome["created"], &outcome["failed"], &outcome["errors"]), (&json!(60), &json!(0), &Value::Null));
    for single in singles {
        single.expect(201);
    }
    for failure in failures {
        failure.refused(422, "validation_failed");
    }
    for made in outcome["records"].as_array().unwrap() {
        assert_eq!(user.get(&record("tasks", &made["id"])).await.expect(200).json(), *made);
    }
    assert_eq!(user.list("tasks", &[("filter", "title ~ 'batch'")]).await.expect(200).json()["total"], 60);
    assert_eq!(user.list("tasks", &[]).await.expect(200).json()["total"], 100);
}

async fn a_batch_tells_what_became_of_each(product: &Product) {
    let admin = working(product).await;
    let user = product.user("worker").await;
    admin.make("tasks", &json!({"title": "zero", "code": "c"})).await;
    let foreign = json!({"title": "not mine", "owner": "somebody"});
    let nameless = json!({"owner": user.id});
    let taken = json!({"title": "second", "owner": user.id, "code": "c"});
    let items =
        json!([{"title": "first", "owner": user.id}, foreign, nameless, taken, 5, {"title": "last", "owner": user.id}]);
    let outcome = user.post(&at("batch"), &json!({"records": items})).await.expect(201).json();
    assert_eq!((&outcome["created"], &outcome["failed"]), (&json!(2), &json!(4)));
    assert_eq!(
        outcome["errors"],
        json!([
            {"index": 1, "data": foreign, "error": "forbidden"},
            {"index": 2, "data": nameless, "error": "validation_failed"},
            {"index": 3, "data": taken, "error": "unique_conflict"},
            {"index": 4, "data": 5, "error": "validation_failed"},
        ])
    );
    let made: Vec<&Value> =
        outcome["records"].as_array().unwrap().iter().map(|record| &record["data"]["title"]).collect();
    assert_eq!(made, ["first", "last"]);
    assert_eq!(user.list("tasks", &[]).await.expect(200).json()["total"], 3);
}

async fn a_batch_is_for_people_who_signed_in(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    admin.collection(&open("public", &json!([{"name": "title", "type": "text"}]))).await;
    let made = guest.make("public", &json!({"title": "t"})).await;
    let path = records("public");
    for (verb, body) in [
        ("batch", json!({"records": [{"title": "t"}]})),
        ("upsert", json!({"records": [{"title": "t"}]})),
        ("bulk-update", json!({"record_ids": [made["id"]], "data": {"title": "u"}})),
        ("bulk-delete", json!({"record_ids": [made["id"]]})),
    ] {
        guest.post(&format!("{path}/{verb}"), &body).await.refused(401, "authentication_required");
        for (empty, field) in [(json!({}), if verb.starts_with("bulk") { "record_ids" } else { "records" })] {
            let details = admin.post(&format!("{path}/{verb}"), &empty).await.refused(422, "validation_failed").json()
                ["details"]
                .clone();
            assert!(details[field].is_string(), "{verb}: {details}");
        }
        admin.post(&format!("{}/{verb}", records("nothing")), &body).await.refused(404, "not_found");
    }
    assert_eq!(guest.list("public", &[]).await.expect(200).json()["items"], json!([made]));
}

async fn a_bulk_change_tells_what_became_of_each(product: &Product) {
    let admin = working(product).await;
    let user = product.user("worker").await;
    let mine = user.make("tasks", &json!({"title": "mine", "owner": user.id})).await;
    let foreign = admin.make("tasks", &json!({"title": "foreign", "owner": "x"})).await;
    let unknown = "018f0000-0000-7000-8000-000000000000";
    let body = json!({"record_ids": [mine["id"], foreign["id"], unknown, "nonsense"], "data": {"title": "changed"}});
    let outcome = user.post(&at("bulk-update"), &body).await.expect(200).json();
    assert_eq!(
        outcome,
        json!({"success": 1, "failed": 3, "errors": [
            {"record_id": foreign["id"], "error": "forbidden"},
            {"record_id": unknown, "error": "not_found"},
            {"record_id": "nonsense", "error": "not_found"},
        ]})
    );
    assert_eq!(user.get(&record("tasks", &mine["id"])).await.expect(200).json()["data"]["title"], "changed");
    assert_eq!(user.get(&record("tasks", &foreign["id"])).await.expect(200).json(), foreign);
    let all = admin
        .post(&at("bulk-update"), &json!({"record_ids": [mine["id"], foreign["id"]], "data": {"title": "all"}}))
        .await
        .expect(200);
    assert_eq!(all.json(), json!({"success": 2, "failed": 0, "errors": null}));
    let twice = json!({"record_ids": [mine["id"], foreign["id"]], "data": {"code": "same"}});
    let outcome = admin.post(&at("bulk-update"), &twice).await.expect(200).json();
    assert_eq!(
        (&outcome["success"], &outcome["failed"]),
        (&json!(1), &json!(1)),
        "one of the two, whichever came first"
    );
    assert_eq!(outcome["errors"][0]["error"], "unique_conflict");
    admin
        .post(&at("bulk-update"), &json!({"record_ids": [mine["id"]], "data": {}}))
        .await
        .refused(422, "validation_failed");
}

async fn a_bulk_deletion_tells_what_became_of_each(product: &Product) {
    let admin = working(product).await;
    let user = product.user("worker").await;
    let mine = user.make("tasks", &json!({"title": "mine", "owner": user.id})).await;
    let also = user.make("tasks", &json!({"title": "also", "owner": user.id})).await;
    let foreign = admin.make("tasks", &json!({"title": "foreign", "owner": "x"})).await;
    let body = json!({"record_ids": [mine["id"], foreign["id"], mine["id"], also["id"]]});
    let outcome = user.post(&at("bulk-delete"), &body).await.expect(200).json();
    assert_eq!((&outcome["success"], &outcome["failed"]), (&json!(2), &json!(2)));
    let errors = outcome["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    for error in [
        json!({"record_id": foreign["id"], "error": "forbidden"}),
        json!({"record_id": mine["id"], "error": "not_found"}),
    ] {
        assert!(errors.contains(&error), "{outcome}");
    }
    assert_eq!(user.list("tasks", &[]).await.expect(200).json()["items"], json!([foreign]));
}

async fn an_upsert_makes_what_is_not_there(product: &Product) {
    let admin = working(product).await;
    let there = admin.make("tasks", &json!({"title": "there"})).await;
    let chosen = "018f3f6e-1111-7abc-8def-0123456789ab";
    let body = json!({"records": [
        {"id": there["id"], "title": "changed"},
        {"id": chosen, "title": "chosen"},
        {"title": "new"},
        {"id": "not a uuid", "title": "bad"},
        {"id": there["id"], "nope": 1},
    ]});
    let outcome = admin.post(&at("upsert"), &body).await.expect(200).json();
    assert_eq!((&outcome["created"], &outcome["updated"], &outcome["failed"]), (&json!(2), &json!(1), &json!(2)));
    let errors = outcome["errors"].as_array().unwrap();
    assert_eq!(
        errors.iter().map(|error| (&error["index"], &error["error"])).collect::<Vec<_>>(),
        [(&json!(3), &json!("validation_failed")), (&json!(4), &json!("validation_failed")),]
    );
    assert_eq!(errors[0]["data"], body["records"][3]);
    assert_eq!(admin.get(&record("tasks", &json!(chosen))).await.expect(200).json()["data"]["title"], "chosen");
    assert_eq!(admin.get(&record("tasks", &there["id"])).await.expect(200).json()["data"]["title"], "changed");
    assert_eq!(admin.list("tasks", &[]).await.expect(200).json()["total"], 3);
    let again =
        admin.post(&at("upsert"), &json!({"records": [{"id": chosen, "title": "again"}]})).await.expect(200).json();
    assert_eq!((&again["created"], &again["updated"], &again["errors"]), (&json!(0), &json!(1), &Value::Null));
}

/// D-60.
async fn an_upsert_that_is_refused_makes_no_copy(product: &Product) {
    let admin = working(product).await;
    let user = product.user("worker").await;
    let foreign = admin.make("tasks", &json!({"title": "foreign", "owner": "x"})).await;
    let body = json!({"records": [{"id": foreign["id"], "title": "stolen", "owner": user.id}]});
    let outcome = user.post(&at("upsert"), &body).await.expect(200).json();
    assert_eq!((&outcome["created"], &outcome["updated"], &outcome["failed"]), (&json!(0), &json!(0), &json!(1)));
    assert_eq!(outcome["errors"][0]["error"], "forbidden");
    assert_eq!(user.list("tasks", &[]).await.expect(200).json()["items"], json!([foreign]));
    assert_eq!(text(&foreign["data"]["title"]), "foreign");
}
