//! Relations whose records say into which collection they point (contract 7.3, type polymorphic).

use serde_json::{Value, json};

use crate::callers::{Admin, COLLECTIONS, Calls, collection_path, open, record, with_query};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_definition_names_the_field_that_names_the_collection,
    a_pointer_and_its_collection_are_held_together,
    a_choice_names_the_collection_too,
    batches_hold_their_pairs_as_well,
    a_deletion_asks_the_records_that_point_at_it,
    a_collection_that_is_pointed_into_stays_under_its_name,
    nothing_is_followed_through_a_polymorphic_relation,
    values_stay_with_the_field_that_names_their_collection,
    documents_hold_pairs,
);

const NOT_THERE: &str = "The related record does not exist";
const NO_TARGET: &str = "Must be the name of a collection";
const UNKNOWN: &str = "018f0000-0000-7000-8000-000000000000";

/// Fields of a note about anything.
fn about(cascade_delete: &str) -> Value {
    json!([
        {"name": "kind", "type": "text"},
        {"name": "about", "type": "relation", "relation": {
            "type": "polymorphic", "polymorphic_type_field": "kind", "cascade_delete": cascade_delete,
        }},
        {"name": "body", "type": "text"},
    ])
}

/// Two collections with a record each, and their ids.
async fn targets(admin: &Admin<'_>) -> [Value; 2] {
    let mut ids = [Value::Null, Value::Null];
    for (name, id) in ["posts", "people"].into_iter().zip(&mut ids) {
        admin.collection(&open(name, &json!([{"name": "title", "type": "text"}]))).await;
        *id = admin.make(name, &json!({"title": name})).await["id"].clone();
    }
    ids
}

async fn a_definition_names_the_field_that_names_the_collection(product: &Product) {
    let admin = product.admin().await;
    let made = admin.collection(&open("notes", &about("restrict"))).await;
    let expected = json!({
        "collection": null, "collection_id": null, "type": "polymorphic", "cascade_delete": "restrict", "display_fields": ["id"],
        "max_depth": 1, "junction_table": null, "junction_field": null, "target_field": null, "polymorphic_type_field": "kind",
    });
    assert_eq!(made["schema"][1]["relation"], expected);
    for (other, named) in [
        (json!({"name": "kind", "type": "text"}), Value::Null),
        (json!({"name": "kind", "type": "text"}), json!("nope")),
        (json!({"name": "kind", "type": "text"}), json!("about")),
        (json!({"name": "kind", "type": "number"}), json!("kind")),
        (json!({"name": "kind", "type": "select", "select": {"values": ["a", "b"], "max_select": 2}}), json!("kind")),
    ] {
        let field = json!({"name": "about", "type": "relation", "relation": {"type": "polymorphic", "polymorphic_type_field": named}});
        let answer = admin.post(COLLECTIONS, &open("bad", &json!([other, field]))).await;
        let details = answer.refused(422, "validation_failed").json()["details"].clone();
        let keys: Vec<_> = details.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["schema.1.relation.polymorphic_type_field"], "{named}: {details}");
    }
    let mut without = about("restrict");
    without.as_array_mut().unwrap().remove(0);
    admin.patch(&collection_path(&made), &json!({"schema": without})).await.refused(422, "validation_failed");
    let system = json!([{"name": "about", "type": "relation", "relation": {"type": "polymorphic", "polymorphic_type_field": "password"}}]);
    admin
        .post(COLLECTIONS, &json!({"name": "members", "type": "auth", "schema": system}))
        .await
        .refused(422, "validation_failed");
}

async fn a_pointer_and_its_collection_are_held_together(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let [post, person] = targets(&admin).await;
    admin.collection(&open("notes", &about("restrict"))).await;
    let made = guest.make("notes", &json!({"kind": "posts", "about": post})).await;
    assert_eq!(made["data"], json!({"kind": "posts", "about": post, "body": null}));
    guest.make("notes", &json!({"kind": "people", "about": person})).await;
    guest.make("notes", &json!({"kind": "not looked at without a pointer"})).await;
    let there = json!({"about": NOT_THERE});
    let target = json!({"kind": NO_TARGET});
    for (data, details) in [
        (json!({"kind": "people", "about": post}), &there),
        (json!({"kind": "posts", "about": UNKNOWN}), &there),
        (json!({"kind": "nowhere", "about": post}), &target),
        (json!({"kind": "Posts", "about": post}), &target),
        (json!({"kind": "users", "about": admin.id}), &target),
        (json!({"kind": null, "about": post}), &target),
    ] {
        for answer in [guest.create("notes", &data).await, guest.change("notes", &made["id"], &data).await] {
            assert_eq!(answer.refused(422, "validation_failed").json()["details"], *details, "{data}");
        }
    }
    guest.create("notes", &json!({"about": post})).await.refused(422, "validation_failed");
    guest.create("notes", &json!({"kind": "posts", "about": [post]})).await.refused(422, "validation_failed");
    // One of the two alone: what stands afterwards counts.
    for (data, details) in [
        (json!({"about": person}), &there),
        (json!({"kind": "people"}), &there),
        (json!({"kind": null}), &target),
        (json!({"kind": "nowhere"}), &target),
    ] {
        let answer = guest.change("notes", &made["id"], &data).await.refused(422, "validation_failed");
        assert_eq!(answer.json()["details"], *details, "{data}");
    }
    assert_eq!(guest.get(&record("notes", &made["id"])).await.expect(200).json(), made, "nothing was changed");
    for data in [
        json!({"body": "b"}),
        json!({"about": post}),
        json!({"kind": "posts"}),
        json!({"kind": "people", "about": person}),
        json!({"about": null}),
        json!({"kind": "posts"}),
        json!({"about": post}),
    ] {
        guest.change("notes", &made["id"], &data).await.expect(200);
    }
    guest.change("notes", &json!(UNKNOWN), &json!({"about": post})).await.refused(404, "not_found");
}

async fn a_choice_names_the_collection_too(product: &Product) {
    let admin = product.admin().await;
    let [post, person] = targets(&admin).await;
    let mut fields = about("restrict");
    fields[0] = json!({"name": "kind", "type": "select", "select": {"values": ["posts", "gone"]}});
    admin.collection(&open("notes", &fields)).await;
    let guest = product.guest();
    guest.make("notes", &json!({"kind": "posts", "about": post})).await;
    let answer = guest.create("notes", &json!({"kind": "people", "about": person})).await;
    assert_eq!(
        answer.refused(422, "validation_failed").json()["details"],
        json!({"kind": "Must be one of: posts, gone"})
    );
    let answer = guest.create("notes", &json!({"kind": "gone", "about": post})).await;
    assert_eq!(answer.refused(422, "validation_failed").json()["details"], json!({"kind": NO_TARGET}));
}

async fn batches_hold_their_pairs_as_well(product: &Product) {
    let admin = product.admin().await;
    let [post, person] = targets(&admin).await;
    admin.collection(&open("notes", &about("restrict"))).await;
    let items = json!({"records": [{"kind": "posts", "about": post}, {"kind": "posts", "about": person}]});
    let answer = admin.post("/api/v1/collections/notes/records/batch", &items).await.expect(201).json();
    assert_eq!((&answer["created"], &answer["failed"]), (&json!(1), &json!(1)), "{answer}");
}

async fn a_deletion_asks_the_records_that_point_at_it(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    targets(&admin).await;
    for action in ["restrict", "cascade", "set_null", "no_action"] {
        admin.collection(&open(action, &about(action))).await;
        let post = admin.make("posts", &json!({"title": "t"})).await["id"].clone();
        let person = admin.make("people", &json!({"title": "p"})).await["id"].clone();
        let note = guest.make(action, &json!({"kind": "posts", "about": post})).await;
        let other = guest.make(action, &json!({"kind": "people", "about": person})).await;
        let deleted = guest.delete(&record("posts", &post)).await;
        let left = guest.get(&record(action, &note["id"])).await;
        match action {
            "restrict" => {
                deleted.refused(409, "relation_restricted");
                assert_eq!(left.expect(200).json(), note);
            }
            "cascade" => {
                deleted.expect(204);
                left.refused(404, "not_found");
            }
            "set_null" => {
                deleted.expect(204);
                assert_eq!(left.expect(200).json()["data"], json!({"kind": "posts", "about": null, "body": null}));
            }
            _ => {
                deleted.expect(204);
                assert_eq!(left.expect(200).json(), note);
            }
        }
        assert_eq!(guest.get(&record(action, &other["id"])).await.expect(200).json(), other, "{action}");
    }
    // The same id in another collection is another record.
    let twin = json!({"records": [{"id": UNKNOWN, "title": "twin"}]});
    for name in ["posts", "people"] {
        admin.post(&format!("/api/v1/collections/{name}/records/upsert"), &twin).await.expect(200);
    }
    guest.make("restrict", &json!({"kind": "people", "about": UNKNOWN})).await;
    guest.delete(&record("posts", &json!(UNKNOWN))).await.expect(204);
    guest.delete(&record("people", &json!(UNKNOWN))).await.refused(409, "relation_restricted");
}

async fn a_collection_that_is_pointed_into_stays_under_its_name(product: &Product) {
    let admin = product.admin().await;
    let [post, _] = targets(&admin).await;
    let by_name = |name: &str| format!("{COLLECTIONS}/name/{name}");
    let posts = admin.get(&by_name("posts")).await.expect(200).json();
    let people = admin.get(&by_name("people")).await.expect(200).json();
    admin.collection(&open("notes", &about("restrict"))).await;
    let note = admin.make("notes", &json!({"kind": "posts", "about": post})).await;

    let renamed = admin.patch(&collection_path(&posts), &json!({"name": "articles"})).await;
    assert_eq!(
        renamed.refused(422, "validation_failed").json()["details"],
        json!({"name": "Records of `notes` point at its records by this name"})
    );
    admin.delete(&collection_path(&posts)).await.refused(409, "relation_restricted");
    assert_eq!(admin.get(&by_name("posts")).await.expect(200).json(), posts);
    assert_eq!(admin.list("posts", &[]).await.expect(200).json()["total"], 1);
    admin.reshape(&people, &json!({"name": "persons"})).await;
    admin.delete(&collection_path(&people)).await.expect(204);

    admin.change("notes", &note["id"], &json!({"about": null})).await.expect(200);
    admin.reshape(&posts, &json!({"name": "articles"})).await;
    admin.change("notes", &note["id"], &json!({"about": post})).await.refused(422, "validation_failed");
    admin.change("notes", &note["id"], &json!({"about": post, "kind": "articles"})).await.expect(200);
}

async fn nothing_is_followed_through_a_polymorphic_relation(product: &Product) {
    let admin = product.admin().await;
    let [post, _] = targets(&admin).await;
    let notes = admin.collection(&open("notes", &about("restrict"))).await;
    let note = admin.make("notes", &json!({"kind": "posts", "about": post})).await;
    for (path, name) in [(record("notes", &note["id"]), "about"), (record("posts", &post), "notes_via_about")] {
        let answer = admin.get(&with_query(&path, &[("expand", name)])).await.refused(400, "invalid_expand").json();
        let reason = format!("`{name}` is a polymorphic relation, which cannot be expanded");
        assert_eq!(answer["details"]["reason"], reason, "{answer}");
    }
    let answer = admin.list("notes", &[("filter", "about.title = 'x'")]).await.refused(400, "invalid_filter").json();
    assert_eq!(
        answer["details"]["reason"],
        "`about` is not a relation to one collection, so nothing can follow its dot"
    );
    admin.list("notes", &[("sort", "about.title")]).await.refused(400, "invalid_sort");
    admin
        .patch(&collection_path(&notes), &json!({"list_rule": "about.title = 'x'"}))
        .await
        .refused(422, "validation_failed");
    let filter = format!("kind = 'posts' && about = '{}'", text(&post));
    assert_eq!(admin.list("notes", &[("filter", &filter)]).await.expect(200).json()["items"], json!([note]));
}

async fn values_stay_with_the_field_that_names_their_collection(product: &Product) {
    let admin = product.admin().await;
    let [post, _] = targets(&admin).await;
    let mut fields = about("restrict");
    let notes = admin.collection(&open("notes", &fields)).await;
    let note = admin.make("notes", &json!({"kind": "posts", "about": post})).await;
    let path = collection_path(&notes);
    let key = "schema.1.relation.collection";
    let mut other = fields.clone();
    other[1]["relation"]["polymorphic_type_field"] = json!("body");
    let mut fixed = fields.clone();
    fixed[1]["relation"] = json!({"collection": "posts"});
    for sent in [&other, &fixed] {
        let answer = admin.patch(&path, &json!({"schema": sent})).await.refused(422, "validation_failed").json();
        assert!(answer["details"][key].is_string(), "{answer}");
    }
    fields[0] = json!({"name": "sort", "renamed_from": "kind", "type": "select", "select": {"values": ["posts"]}});
    fields[1]["relation"]["polymorphic_type_field"] = json!("sort");
    admin.reshape(&notes, &json!({"schema": fields})).await;
    let got = admin.get(&record("notes", &note["id"])).await.expect(200).json();
    assert_eq!(got["data"], json!({"sort": "posts", "about": post, "body": null}));
    admin.delete(&record("posts", &post)).await.refused(409, "relation_restricted");
    admin.change("notes", &note["id"], &json!({"about": null})).await.expect(200);
    admin.reshape(&notes, &json!({"schema": fixed})).await;
}

async fn documents_hold_pairs(product: &Product) {
    let admin = product.admin().await;
    let [post, person] = targets(&admin).await;
    admin.collection(&open("notes", &about("restrict"))).await;
    let own = admin.make("notes", &json!({"kind": "posts", "about": post})).await["id"].clone();
    for data in [json!({"kind": "people", "about": person}), json!({"kind": "notes", "about": own})] {
        product.clock.advance_millis(1);
        admin.make("notes", &data).await;
    }
    let mut document = crate::schema_life::export(&admin, "notes").await.expect(200).json();
    document["name"] = json!("copies");
    document["records"][2]["data"]["kind"] = json!("copies");
    let import = "/api/v1/collections/import?import_records=true";
    admin.post(import, &document).await.expect(201);
    assert_eq!(admin.list("copies", &[]).await.expect(200).json()["total"], 3);
    document["name"] = json!("more");
    document["records"][0]["data"]["about"] = person;
    document["records"][1]["data"]["kind"] = Value::Null;
    document["records"][2]["data"] = json!({"kind": "more", "about": UNKNOWN});
    let answer = admin.post(import, &document).await.refused(422, "validation_failed").json();
    let expected = json!({
        "records.0.data.about": NOT_THERE, "records.1.data.kind": NO_TARGET, "records.2.data.about": NOT_THERE,
    });
    assert_eq!(answer["details"], expected);
}
