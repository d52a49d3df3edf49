//! Upserts: what is stored once, whose record it is, and what a refusal gives away (contract 5.9).

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{FREE, OWN, at, codes, count, counts, each, notes, open_notes, upsert};
use crate::callers::{Calls, open, record, records};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::Product;

on_both_engines!(
    what_is_sent_twice_is_stored_once,
    a_record_is_made_by_one_of_many_callers,
    an_item_may_name_the_record_of_one_before_it,
    an_id_is_a_uuid_in_whatever_case,
    a_refused_upsert_tells_nothing_of_hidden_records,
    an_id_that_is_taken_shows_only_to_who_may_create,
    accounts_are_kept_to_their_rules,
);

async fn what_is_sent_twice_is_stored_once(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let items: Vec<Value> =
        (0..40).map(|n| json!({"id": format!("{}{n:03}", &FREE[..33]), "code": format!("c{n}")})).collect();
    let first = upsert(&admin, json!(items)).await;
    counts(&first, 40, 0, 0);
    let second = upsert(&admin, json!(items)).await;
    counts(&second, 0, 40, 0);
    for key in ["id", "data", "created"] {
        assert_eq!(each(&first, "records", key), each(&second, "records", key), "{key}");
    }
    let sent: Vec<Value> = items.iter().map(|item| item["id"].clone()).collect();
    assert_eq!(each(&first, "records", "id"), sent);
    assert_eq!(count(&admin).await, 40);
}

async fn a_record_is_made_by_one_of_many_callers(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let (path, body) = (at("upsert"), json!({"records": [{"id": FREE, "title": "t"}]}));
    let mut made = 0;
    for answer in join_all((0..16).map(|_| admin.post(&path, &body))).await {
        let outcome = answer.expect(200).json();
        let created = usize::from(outcome["created"] == 1);
        counts(&outcome, created, 1 - created, 0);
        made += created;
    }
    assert_eq!(made, 1);
    assert_eq!(count(&admin).await, 1);
}

async fn an_item_may_name_the_record_of_one_before_it(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let outcome = upsert(
        &admin,
        json!([{"id": FREE, "n": 1}, {"id": FREE, "n+": 2}, {"id": FREE, "n": "x"}, {"id": FREE, "n+": 4}]),
    )
    .await;
    counts(&outcome, 1, 2, 1);
    let seen = each(&outcome, "records", "data");
    assert_eq!(seen.iter().map(|data| &data["n"]).collect::<Vec<_>>(), [&json!(1), &json!(3), &json!(7)]);
    assert_eq!(count(&admin).await, 1);
}

async fn an_id_is_a_uuid_in_whatever_case(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open_notes()).await;
    let outcome = upsert(&admin, json!([{"id": FREE.to_uppercase(), "n": 1}, {"id": FREE, "n": 2}, {"id": FREE.to_uppercase(), "n": 3}, {"id": null, "n": 4}])).await;
    counts(&outcome, 2, 2, 0);
    assert_eq!(outcome["records"][0]["id"], FREE);
    let compact = FREE.replace('-', "");
    let odd = [
        json!(compact),
        json!(format!("{{{FREE}}}")),
        json!(format!("urn:uuid:{FREE}")),
        json!("x"),
        json!(""),
        json!("a\u{0}"),
        json!(7),
        json!([FREE]),
    ];
    let items: Vec<Value> = odd.iter().map(|id| json!({"id": id, "n": 5})).collect();
    let outcome = upsert(&admin, json!(items)).await;
    assert_eq!(codes(&outcome), vec!["validation_failed"; 8]);
    assert_eq!(count(&admin).await, 2);
}

async fn a_refused_upsert_tells_nothing_of_hidden_records(product: &Product) {
    let admin = product.admin().await;
    let (owner, other) = (product.user("owner").await, product.user("other").await);
    let collection = admin.collection(&notes(&[("view", OWN), ("update", OWN)])).await;
    let mine = admin.make("notes", &json!({"owner": owner.id, "title": "mine"})).await;
    let probe = json!([{"id": mine["id"], "title": "x"}, {"id": FREE, "title": "x"}, {"id": mine["id"], "nope": 1}, {"id": FREE, "nope": 1}]);
    // Nobody but admins may create, then those who are named may, then nobody by an expression: the taken id answers as the free one.
    for create in
        [json!(null), json!("@request.data.title = 'y'"), json!("@collection.notes.title ?= @request.data.owner")]
    {
        admin.reshape(&collection, &json!({"create_rule": create})).await;
        let outcome = upsert(&other, probe.clone()).await;
        counts(&outcome, 0, 0, 4);
        let codes = codes(&outcome);
        assert_eq!((&codes[0], &codes[2]), (&codes[1], &codes[3]), "{create}");
        assert_eq!(codes[0], "forbidden");
    }
    admin.reshape(&collection, &json!({"update_rule": null})).await;
    assert_eq!(codes(&upsert(&other, probe.clone()).await), codes(&upsert(&other, probe).await));
    assert_eq!(codes(&upsert(&owner, json!([{"id": mine["id"], "title": "x"}])).await), ["forbidden"]);
    assert_eq!(count(&admin).await, 1);
    assert_eq!(admin.get(&record("notes", &mine["id"])).await.expect(200).json(), mine);
}

async fn an_id_that_is_taken_shows_only_to_who_may_create(product: &Product) {
    let admin = product.admin().await;
    let (owner, other) = (product.user("owner").await, product.user("other").await);
    let collection = admin.collection(&notes(&[("view", OWN), ("update", OWN), ("create", "")])).await;
    let mine = owner.make("notes", &json!({"owner": owner.id, "title": "mine"})).await;
    let steal = json!([{"id": mine["id"], "owner": other.id, "title": "stolen"}]);
    assert_eq!(codes(&upsert(&other, steal.clone()).await), ["already_exists"]);
    admin.reshape(&collection, &json!({"view_rule": ""})).await;
    assert_eq!(codes(&upsert(&other, steal).await), ["forbidden"]);
    assert_eq!(admin.list("notes", &[]).await.expect(200).json()["items"], json!([mine]));
    counts(&upsert(&owner, json!([{"id": mine["id"], "title": "own"}])).await, 0, 1, 0);
}

async fn accounts_are_kept_to_their_rules(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("user").await;
    let mut members = open("members", &json!([{"name": "nick", "type": "text"}]));
    members["type"] = json!("auth");
    admin.collection(&members).await;
    let at = |verb: &str| format!("{}/{verb}", records("members"));
    let member = |id: &str, email: &str| json!({"id": id, "email": email, "password": PASSWORD});
    let other_id = format!("{}999", &FREE[..33]);
    let items = json!({"records": [member(FREE, "a@example.com"), member(&other_id, "A@example.com"), member(&other_id, "b@example.com")]});
    let chosen = user.post(&at("upsert"), &items).await.expect(200).json();
    assert_eq!(codes(&chosen), vec!["validation_failed"; 3], "whose id an account has is not for its maker to choose");
    let outcome = admin.post(&at("upsert"), &items).await.expect(200);
    assert!(!String::from_utf8_lossy(&outcome.bytes).contains("argon2"));
    let outcome = outcome.json();
    counts(&outcome, 2, 0, 1);
    assert_eq!(codes(&outcome), ["email_taken"]);
    for (data, success) in [
        (json!({"verified": true}), 0),
        (json!({"role": "admin"}), 0),
        (json!({"password": PASSWORD}), 0),
        (json!({"nick": "n"}), 2),
    ] {
        let body = json!({"record_ids": [FREE, other_id], "data": data});
        assert_eq!(user.post(&at("bulk-update"), &body).await.expect(200).json()["success"], success, "{data}");
    }
    let body = json!({"record_ids": [FREE, other_id], "data": {"verified": true}});
    assert_eq!(admin.post(&at("bulk-update"), &body).await.expect(200).json()["success"], 2);
    let login = json!({"email": "b@example.com", "password": PASSWORD});
    let path = "/api/v1/collections/members/auth/login";
    product.guest().post(path, &login).await.expect(200);
    assert_eq!(
        user.post(&at("bulk-delete"), &json!({"record_ids": [other_id]})).await.expect(200).json()["success"],
        1
    );
    product.guest().post(path, &login).await.refused(401, "invalid_credentials");
}
