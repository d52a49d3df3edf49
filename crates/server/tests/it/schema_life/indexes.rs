//! Indexes of a collection (contract 5.7, D-33).

use serde_json::{Value, json};

use crate::callers::{Calls, collection_path, open};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    an_index_is_made_listed_and_deleted,
    an_index_is_made_of_fields_of_the_schema,
    an_index_tells_nothing_of_a_password,
    a_unique_index_holds_from_the_first_record_on,
    what_an_index_cannot_hold_is_refused_before_it_is_stored,
    indexes_are_for_admins,
);

fn things() -> Value {
    open(
        "things",
        &json!([
            {"name": "title", "type": "text"}, {"name": "n", "type": "number"}, {"name": "order", "type": "bool"}, {"name": "data", "type": "json"},
        ]),
    )
}

async fn an_index_is_made_listed_and_deleted(product: &Product) {
    let admin = product.admin().await;
    let path = format!("{}/indexes", collection_path(&admin.collection(&things()).await));
    assert_eq!(admin.get(&path).await.expect(200).json(), json!({"items": [], "total": 0}));
    let body = json!({"name": "By_Title", "fields": [{"name": "title", "order": "asc"}, {"name": "created", "order": "desc"}], "unique": false});
    let made = admin.post(&path, &body).await.expect(201).json();
    let mut wanted = body.clone();
    wanted["created"] = made["created"].clone();
    assert_eq!(made, wanted);
    assert!(text(&made["created"]).ends_with('Z'));
    // A name that one of the table's own indexes goes by inside is free.
    let second = admin
        .post(&path, &json!({"name": "created", "fields": [{"name": "order"}, {"name": "id"}, {"name": "updated"}]}))
        .await
        .expect(201)
        .json();
    assert_eq!(second["unique"], false);
    assert_eq!(admin.get(&path).await.expect(200).json(), json!({"items": [made, second], "total": 2}));
    assert_eq!(admin.get(&format!("{path}/by_title")).await.expect(200).json(), made);
    admin.post(&path, &json!({"name": "BY_TITLE", "fields": [{"name": "n"}]})).await.refused(409, "already_exists");
    admin.make("things", &json!({"title": "x", "n": 1, "order": true})).await;
    admin.delete(&format!("{path}/By_Title")).await.expect(204);
    admin.delete(&format!("{path}/By_Title")).await.refused(404, "not_found");
    admin.get(&format!("{path}/By_Title")).await.refused(404, "not_found");
    admin.post(&path, &body).await.expect(201);
    let unknown = "/api/v1/collections/018f0000-0000-7000-8000-000000000000/indexes";
    admin.get(unknown).await.refused(404, "not_found");
    admin.post(unknown, &body).await.refused(404, "not_found");
}

async fn an_index_is_made_of_fields_of_the_schema(product: &Product) {
    let admin = product.admin().await;
    let collection = admin.collection(&things()).await;
    let path = format!("{}/indexes", collection_path(&collection));
    for (body, key) in [
        (json!({"fields": [{"name": "n"}]}), "name"),
        (json!({"name": "x"}), "fields"),
        (json!({"name": "a b", "fields": [{"name": "n"}]}), "name"),
        (json!({"name": "x\"; DROP TABLE users; --", "fields": [{"name": "n"}]}), "name"),
        (json!({"name": "x", "fields": []}), "fields"),
        (json!({"name": "x", "fields": ["n"]}), "fields.0"),
        (json!({"name": "x", "fields": [{"name": "nothing"}]}), "fields.0.name"),
        (json!({"name": "x", "fields": [{"name": "Title"}]}), "fields.0.name"),
        (json!({"name": "x", "fields": [{"name": "n\" DESC); --"}]}), "fields.0.name"),
        (json!({"name": "x", "fields": [{"name": "_seq"}]}), "fields.0.name"),
        (json!({"name": "x", "fields": [{"name": "n"}, {"name": "n"}]}), "fields.1.name"),
        (json!({"name": "x", "fields": [{"name": "data"}]}), "fields.0.name"),
        (json!({"name": "x", "fields": [{"name": "n", "order": "up"}]}), "fields.0.order"),
        (json!({"name": "x", "fields": [{"name": "n", "where": 1}]}), "fields.0.where"),
        (json!({"name": "x", "fields": [{"name": "n"}], "unique": 1}), "unique"),
        (json!({"name": "x", "fields": [{"name": "n"}], "method": "gin"}), "method"),
        (
            json!({"name": "x", "fields": [{"name": "id"}, {"name": "n"}, {"name": "title"}, {"name": "order"}, {"name": "created"}, {"name": "updated"}]}),
            "fields",
        ),
    ] {
        super::told(admin.post(&path, &body).await, key);
    }
    assert_eq!(admin.get(&collection_path(&collection)).await.expect(200).json(), collection);
}

async fn an_index_tells_nothing_of_a_password(product: &Product) {
    let admin = product.admin().await;
    let members = admin.collection(&json!({"name": "members", "type": "auth"})).await;
    let path = format!("{}/indexes", collection_path(&members));
    for hidden in ["password", "email_folded", "disabled"] {
        super::told(admin.post(&path, &json!({"name": "x", "fields": [{"name": hidden}]})).await, "fields.0.name");
    }
    admin.post(&path, &json!({"name": "x", "fields": [{"name": "role"}, {"name": "email"}]})).await.expect(201);
}

async fn a_unique_index_holds_from_the_first_record_on(product: &Product) {
    let admin = product.admin().await;
    let collection = admin.collection(&things()).await;
    let path = format!("{}/indexes", collection_path(&collection));
    let one = admin.make("things", &json!({"title": "a", "n": 1})).await;
    let two = admin.make("things", &json!({"title": "a", "n": 1})).await;
    let pair = json!({"name": "pair", "fields": [{"name": "title"}, {"name": "n"}], "unique": true});
    let mut ids = [text(&one["id"]), text(&two["id"])];
    ids.sort();
    let message = super::told(admin.post(&path, &pair).await, "unique");
    assert_eq!(message, format!("2 records share their values with another: {}", ids.join(", ")));
    assert_eq!(admin.get(&path).await.expect(200).json()["total"], 0);
    admin.change("things", &two["id"], &json!({"n": 2})).await.expect(200);
    admin.make("things", &json!({"title": "a"})).await;
    admin.make("things", &json!({"title": "a"})).await;
    admin.post(&path, &pair).await.expect(201);
    let refused = admin.create("things", &json!({"title": "a", "n": 2})).await.refused(409, "unique_conflict").json();
    assert_eq!(refused["details"], json!({"title": "Must be unique"}));
    admin.make("things", &json!({"title": "b", "n": 2})).await;
    // It goes on holding after its field was renamed, and after it was given another type.
    let fields = json!([
        {"name": "title", "type": "text"}, {"name": "count", "type": "text", "renamed_from": "n"}, {"name": "order", "type": "bool"}, {"name": "data", "type": "json"},
    ]);
    admin.reshape(&collection, &json!({"schema": fields})).await;
    admin.create("things", &json!({"title": "a", "count": "2"})).await.refused(409, "unique_conflict");
    admin.delete(&format!("{path}/pair")).await.expect(204);
    admin.make("things", &json!({"title": "a", "count": "2"})).await;
}

async fn what_an_index_cannot_hold_is_refused_before_it_is_stored(product: &Product) {
    let admin = product.admin().await;
    let path = format!("{}/indexes", collection_path(&admin.collection(&things()).await));
    // Text that does not shrink: an index entry has 2 704 bytes on PostgreSQL.
    let long =
        |count: u32| (0..count).map(|n| char::from_u32(0x4e00 + (n * 7919) % 20_000).unwrap()).collect::<String>();
    let made = admin.make("things", &json!({"title": long(900)})).await;
    let index = json!({"name": "by_title", "fields": [{"name": "title"}]});
    let message = super::told(admin.post(&path, &index).await, "fields.0.name");
    assert_eq!(message, format!("1 record has more than 2600 bytes: {}", text(&made["id"])));
    admin.change("things", &made["id"], &json!({"title": long(866)})).await.expect(200);
    admin.post(&path, &index).await.expect(201);
    let refused = admin.create("things", &json!({"title": long(867)})).await.refused(422, "validation_failed").json();
    assert_eq!(refused["details"], json!({"title": "Must be at most 2600 bytes"}));
    admin.make("things", &json!({"title": long(866)})).await;
}

async fn indexes_are_for_admins(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("somebody").await;
    let path = format!("{}/indexes", collection_path(&admin.collection(&things()).await));
    let body = json!({"name": "x", "fields": [{"name": "n"}]});
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("POST", path.clone(), Some(&body)),
        ("GET", format!("{path}/x"), None),
        ("DELETE", format!("{path}/x"), None),
    ] {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        product.guest().call(method.clone(), &path, body).await.refused(401, "authentication_required");
        user.call(method, &path, body).await.refused(403, "forbidden");
    }
}
