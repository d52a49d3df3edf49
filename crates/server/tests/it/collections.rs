//! Collections from outside: who manages them, what is refused, and that a change is whole or not at all.

use serde_json::{Value, json};

use crate::callers::{Admin, Calls};
use crate::on_both_engines;
use crate::product::{Product, text};

const COLLECTIONS: &str = "/api/v1/collections";

on_both_engines!(
    only_admins_manage_collections,
    a_collection_comes_back_with_every_key,
    every_fault_of_a_schema_is_named_by_its_path,
    names_of_the_product_are_taken,
    a_deleted_collection_takes_nothing_else_along,
    a_rename_keeps_the_records_and_the_old_name_is_free,
    a_change_is_refused_when_the_records_do_not_fit,
    rules_are_checked_when_saved_and_can_be_cleared,
    a_change_in_the_midst_of_writes_breaks_none,
    a_collection_that_is_pointed_at_stays,
);

/// Makes a collection of these fields, open to everybody.
pub async fn open_collection(admin: &Admin<'_>, name: &str, fields: Value) -> Value {
    let body = json!({"name": name, "schema": fields, "list_rule": "", "view_rule": "", "create_rule": "", "update_rule": "", "delete_rule": ""});
    admin.post(COLLECTIONS, &body).await.expect(201).json()
}

/// D-04.
async fn only_admins_manage_collections(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("u").await;
    let made = open_collection(&admin, "posts", json!([{"name": "title", "type": "text"}])).await;
    let path = format!("{COLLECTIONS}/{}", text(&made["id"]));
    let body = json!({"name": "mine"});
    user.post(COLLECTIONS, &body).await.refused(403, "forbidden");
    user.get(COLLECTIONS).await.refused(403, "forbidden");
    user.patch(&path, &body).await.refused(403, "forbidden");
    user.delete(&path).await.refused(403, "forbidden");
    let guest = product.guest();
    guest.post(COLLECTIONS, &body).await.refused(401, "authentication_required");
    guest.delete(&path).await.refused(401, "authentication_required");
}

async fn a_collection_comes_back_with_every_key(product: &Product) {
    let admin = product.admin().await;
    let made = open_collection(&admin, "posts", json!([{"name": "title", "type": "text", "validation": {"required": true}}])).await;
    assert_eq!(
        made["schema"][0],
        json!({
            "name": "title", "type": "text",
            "validation": {
                "required": true, "unique": false, "min": null, "max": null, "min_length": null, "max_length": null,
                "pattern": null, "values": null,
            },
            "relation": null, "select": null, "file": null, "geopoint": null, "autodate": null, "label": null, "hint": null,
            "hidden": false, "system": false,
        })
    );
    for key in ["options", "manage_rule", "view_query", "system", "created", "updated", "message"] {
        assert!(made.get(key).is_some(), "{key}");
    }
    let id = text(&made["id"]);
    assert_eq!(admin.get(&format!("{COLLECTIONS}/{id}")).await.expect(200).json(), made);
    assert_eq!(admin.get(&format!("{COLLECTIONS}/name/POSTS")).await.expect(200).json(), made);
    let page = admin.get(COLLECTIONS).await.expect(200).json();
    assert_eq!((page["total"].clone(), page["items"][0].clone()), (json!(1), made));
    admin.get(&format!("{COLLECTIONS}/nope")).await.refused(404, "not_found");
}

async fn every_fault_of_a_schema_is_named_by_its_path(product: &Product) {
    let admin = product.admin().await;
    let body = json!({"name": "bad name", "surprise": 1, "schema": [
        {"name": "id", "type": "text"},
        {"name": "a", "type": "tixt"},
        {"name": "b", "type": "number", "validation": {"min": "x", "unknown": true}},
        {"name": "B", "type": "text", "validation": {"pattern": "("}},
        {"name": "c", "type": "select"},
        {"name": "d", "type": "relation"},
    ]});
    let details = admin.post(COLLECTIONS, &body).await.refused(422, "validation_failed").json()["details"].clone();
    for key in [
        "name", "surprise", "schema.0.name", "schema.1.type", "schema.2.validation.min", "schema.2.validation.unknown", "schema.3.name",
        "schema.3.validation.pattern", "schema.4.select.values", "schema.5.relation",
    ] {
        assert!(details.get(key).is_some(), "{key} in {details}");
    }
    let body = json!({"name": "ok", "schema": [{"name": "r", "type": "relation", "relation": {"collection": "nowhere"}}]});
    let answer = admin.post(COLLECTIONS, &body).await.refused(422, "validation_failed").json();
    assert!(answer["details"].get("schema.0.relation.collection").is_some(), "{answer}");
}

/// D-05.
async fn names_of_the_product_are_taken(product: &Product) {
    let admin = product.admin().await;
    let made = open_collection(&admin, "posts", json!([])).await;
    for name in ["users", "Users", "collections", "SYSTEM", "refresh_tokens", "settings", "search_indexes"] {
        admin.post(COLLECTIONS, &json!({"name": name})).await.refused(422, "validation_failed");
        let path = format!("{COLLECTIONS}/{}", text(&made["id"]));
        admin.patch(&path, &json!({"name": name})).await.refused(422, "validation_failed");
    }
    admin.post(COLLECTIONS, &json!({"name": "Posts"})).await.refused(409, "already_exists");
    admin.get(COLLECTIONS).await.expect(200);
    // Names of tables that the contract does not reserve are free, and reach no system table.
    open_collection(&admin, "sessions", json!([{"name": "x", "type": "text"}])).await;
    assert_eq!(product.guest().get("/api/v1/collections/sessions/records").await.expect(200).json()["total"], 0);
}

/// D-02.
async fn a_deleted_collection_takes_nothing_else_along(product: &Product) {
    let admin = product.admin().await;
    let fields = json!([{"name": "title", "type": "text"}]);
    let one = open_collection(&admin, "one", fields.clone()).await;
    open_collection(&admin, "two", fields.clone()).await;
    for name in ["one", "two"] {
        admin.post(&format!("{COLLECTIONS}/{name}/records"), &json!({"data": {"title": "x"}})).await.expect(201);
    }
    admin.delete(&format!("{COLLECTIONS}/{}", text(&one["id"]))).await.expect(204);
    admin.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(admin.get(&format!("{COLLECTIONS}/two/records")).await.expect(200).json()["total"], 1);
    admin.get(&format!("{COLLECTIONS}/one/records")).await.refused(404, "not_found");
    open_collection(&admin, "one", fields).await;
    assert_eq!(admin.get(&format!("{COLLECTIONS}/one/records")).await.expect(200).json()["total"], 0);
}

async fn a_rename_keeps_the_records_and_the_old_name_is_free(product: &Product) {
    let admin = product.admin().await;
    let posts = open_collection(&admin, "posts", json!([{"name": "title", "type": "text"}])).await;
    let relation = json!([{"name": "post", "type": "relation", "relation": {"collection": "posts"}}]);
    open_collection(&admin, "comments", relation).await;
    let post = admin.post(&format!("{COLLECTIONS}/posts/records"), &json!({"data": {"title": "x"}})).await.expect(201).json();
    admin.patch(&format!("{COLLECTIONS}/{}", text(&posts["id"])), &json!({"name": "articles"})).await.expect(200);
    assert_eq!(admin.get(&format!("{COLLECTIONS}/articles/records")).await.expect(200).json()["items"][0], post);
    let comment = json!({"data": {"post": post["id"]}});
    admin.post(&format!("{COLLECTIONS}/comments/records"), &comment).await.expect(201);
    let comments = admin.get(&format!("{COLLECTIONS}/name/comments")).await.expect(200).json();
    assert_eq!(comments["schema"][0]["relation"]["collection"], "articles");
    open_collection(&admin, "posts", json!([])).await;
    assert_eq!(admin.get(&format!("{COLLECTIONS}/posts/records")).await.expect(200).json()["total"], 0);
}

/// D-49.
async fn a_change_is_refused_when_the_records_do_not_fit(product: &Product) {
    let admin = product.admin().await;
    let posts = open_collection(&admin, "posts", json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}])).await;
    let (path, records) = (format!("{COLLECTIONS}/{}", text(&posts["id"])), format!("{COLLECTIONS}/posts/records"));
    admin.post(&records, &json!({"data": {"title": "x"}})).await.expect(201);
    admin.post(&records, &json!({"data": {"title": "x", "n": 1}})).await.expect(201);
    for (schema, status) in [
        (json!([{"name": "title", "type": "number"}, {"name": "n", "type": "number"}]), 422),
        (json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number", "validation": {"required": true}}]), 422),
        (json!([{"name": "title", "type": "text", "validation": {"unique": true}}, {"name": "n", "type": "number"}]), 409),
        (json!([{"name": "title", "type": "text"}, {"name": "new", "type": "text", "validation": {"required": true}}]), 422),
    ] {
        let answer = admin.patch(&path, &json!({"schema": schema})).await.expect(status).json();
        assert_ne!(answer["details"], json!({}), "{answer}");
        assert_eq!(admin.get(&path).await.expect(200).json(), posts, "nothing changed");
        admin.post(&records, &json!({"data": {"title": "y"}})).await.expect(201);
    }
    let schema = json!([{"name": "title", "type": "text"}, {"name": "more", "type": "json"}]);
    admin.patch(&path, &json!({"schema": schema})).await.expect(200);
    let made = admin.post(&records, &json!({"data": {"title": "z", "more": [1, {"a": null}]}})).await.expect(201).json();
    assert_eq!(made["data"], json!({"title": "z", "more": [1, {"a": null}]}));
    admin.post(&records, &json!({"data": {"n": 1}})).await.refused(422, "validation_failed");
}

/// D-62.
async fn rules_are_checked_when_saved_and_can_be_cleared(product: &Product) {
    let admin = product.admin().await;
    let body = json!({"name": "posts", "schema": [{"name": "title", "type": "text"}], "list_rule": "nope = 1", "manage_rule": "title = "});
    let details = admin.post(COLLECTIONS, &body).await.refused(422, "validation_failed").json()["details"].clone();
    assert!(details["list_rule"].as_str().is_some_and(|text| text.contains("(at character 0)")), "{details}");
    assert!(details.get("manage_rule").is_some(), "{details}");

    let body = json!({"name": "posts", "schema": [{"name": "title", "type": "text"}], "list_rule": "", "manage_rule": "@request.auth.id != ''"});
    let made = admin.post(COLLECTIONS, &body).await.expect(201).json();
    assert_eq!(made["manage_rule"], "@request.auth.id != ''");
    let (path, records) = (format!("{COLLECTIONS}/{}", text(&made["id"])), format!("{COLLECTIONS}/posts/records"));
    product.guest().get(&records).await.expect(200);
    admin.patch(&path, &json!({"list_rule": null})).await.expect(200);
    product.guest().get(&records).await.refused(401, "authentication_required");
    admin.patch(&path, &json!({"list_rule": ""})).await.expect(200);
    product.guest().get(&records).await.expect(200);

    let other = json!({"name": "other", "list_rule": "@collection.posts.title ?= 'x'"});
    admin.post(COLLECTIONS, &other).await.expect(201);
    admin.patch(&path, &json!({"schema": []})).await.refused(422, "validation_failed");
    admin.delete(&path).await.refused(409, "relation_restricted");
}

/// D-49.
async fn a_change_in_the_midst_of_writes_breaks_none(product: &Product) {
    let admin = product.admin().await;
    let posts = open_collection(&admin, "posts", json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}])).await;
    let (path, records) = (format!("{COLLECTIONS}/{}", text(&posts["id"])), format!("{COLLECTIONS}/posts/records"));
    let body = json!({"data": {"title": "x"}});
    let writes = futures_util::future::join_all((0..20).map(|_| admin.post(&records, &body)));
    let reads = futures_util::future::join_all((0..20).map(|_| admin.get(&records)));
    let schemas = [json!({"schema": [{"name": "title", "type": "text"}, {"name": "m", "type": "bool"}]}), json!({"name": "renamed"}), json!({"name": "posts"})];
    let changes = async {
        for change in &schemas {
            admin.patch(&path, change).await.expect(200);
        }
    };
    let (writes, reads, ()) = futures_util::future::join3(writes, reads, changes).await;
    for answer in writes.into_iter().chain(reads) {
        assert!(matches!(answer.status.as_u16(), 200 | 201 | 404), "{}", String::from_utf8_lossy(&answer.bytes));
    }
}

async fn a_collection_that_is_pointed_at_stays(product: &Product) {
    let admin = product.admin().await;
    let posts = open_collection(&admin, "posts", json!([])).await;
    let relation = json!([{"name": "post", "type": "relation", "relation": {"collection_id": posts["id"]}}]);
    let comments = open_collection(&admin, "comments", relation).await;
    let path = |made: &Value| format!("{COLLECTIONS}/{}", text(&made["id"]));
    admin.delete(&path(&posts)).await.refused(409, "relation_restricted");
    admin.delete(&path(&comments)).await.expect(204);
    admin.delete(&path(&posts)).await.expect(204);
    admin.delete(&path(&posts)).await.refused(404, "not_found");
}
