//! Collections from outside: made, listed, changed and deleted by admins, with the table that follows from them (contract 5.7, 7).

use serde_json::{Value, json};

use crate::callers::{COLLECTIONS, Calls, collection_path, open, records, with_query};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_collection_answers_the_documented_shape,
    a_collection_is_found_by_id_and_by_name,
    a_name_is_one_word_and_unique_in_any_case,
    reserved_names_are_refused_in_any_case,
    a_field_name_is_one_word_and_unique_in_any_case,
    a_rule_is_closed_by_null_and_opened_by_an_empty_text,
    a_rule_that_means_nothing_is_refused_by_name_and_position,
    an_unknown_option_is_named_by_its_path,
    only_admins_reach_collections,
    a_list_is_paged_newest_first,
);

pub fn notes() -> Value {
    open("notes", &json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}]))
}

async fn a_collection_answers_the_documented_shape(product: &Product) {
    let admin = product.admin().await;
    let every_option = json!({
        "name": "Posts", "type": "base",
        "schema": [
            {"name": "title", "type": "text", "label": "Title", "hint": "Shown in lists",
             "validation": {"required": true, "min_length": 2, "max_length": 80, "pattern": "[A-Z].*"}},
            {"name": "stars", "type": "number", "validation": {"min": 0, "max": 5}, "hidden": true},
            {"name": "kind", "type": "select", "select": {"values": ["a", "b"], "max_select": 2}},
            {"name": "at", "type": "geopoint", "geopoint": {"min_lat": -10}},
            {"name": "touched", "type": "autodate"},
        ],
        "list_rule": "", "view_rule": "title != null", "create_rule": "@request.auth.id != ''", "manage_rule": "@request.auth.role = 'user'",
    });
    let base = admin.collection(&every_option).await;
    let accounts = admin.collection(&json!({"name": "members", "type": "auth", "schema": []})).await;
    insta::with_settings!({snapshot_suffix => "any_engine", snapshot_path => "../snapshots"}, {
        insta::assert_json_snapshot!("base_collection", base, {".id" => "[id]", ".created" => "[time]", ".updated" => "[time]"});
        insta::assert_json_snapshot!("auth_collection", accounts, {".id" => "[id]", ".created" => "[time]", ".updated" => "[time]"});
    });
    assert_eq!(uuid::Uuid::parse_str(&text(&base["id"])).unwrap().get_version_num(), 7);
}

async fn a_collection_is_found_by_id_and_by_name(product: &Product) {
    let admin = product.admin().await;
    let made = admin.collection(&notes()).await;
    assert_eq!(admin.get(&collection_path(&made)).await.expect(200).json(), made);
    assert_eq!(admin.get(&format!("{COLLECTIONS}/name/notes")).await.expect(200).json(), made);
    for unknown in ["018f0000-0000-7000-8000-000000000000", "notes", "name/nothing", "%00", "'; DROP TABLE users"] {
        let path = format!("{COLLECTIONS}/{}", unknown.replace(' ', "%20"));
        admin.get(&path).await.refused(404, "not_found");
    }
    let unknown = format!("{COLLECTIONS}/018f0000-0000-7000-8000-000000000000");
    admin.patch(&unknown, &json!({"list_rule": ""})).await.refused(404, "not_found");
    admin.delete(&unknown).await.refused(404, "not_found");
}

async fn a_name_is_one_word_and_unique_in_any_case(product: &Product) {
    let admin = product.admin().await;
    let long = "a".repeat(100);
    for name in ["a", "Select", "order", "table_1", &long] {
        admin.collection(&json!({"name": name})).await;
    }
    let too_long = "a".repeat(101);
    for name in ["", "1a", "_a", "a b", "a-b", "a.b", "é", "a\"b", "a;--", "a\u{0}", "a\n", &too_long] {
        let answer = admin.post(COLLECTIONS, &json!({"name": name})).await.refused(422, "validation_failed");
        assert!(answer.json()["details"]["name"].is_string(), "{name:?}: {}", answer.json());
    }
    admin.post(COLLECTIONS, &json!({"type": "base"})).await.refused(422, "validation_failed");
    admin.post(COLLECTIONS, &json!({"name": 5})).await.refused(422, "validation_failed");
    admin.post(COLLECTIONS, &json!({"name": "select"})).await.refused(409, "already_exists");
    let order = admin.get(&format!("{COLLECTIONS}/name/order")).await.expect(200).json();
    admin.patch(&collection_path(&order), &json!({"name": "SELECT"})).await.refused(409, "already_exists");
    admin.patch(&collection_path(&order), &json!({"name": "no way"})).await.refused(422, "validation_failed");
    assert_eq!(admin.reshape(&order, &json!({"name": "ORDER"})).await["name"], "ORDER");
}

/// D-05: the names of contract 7.2, on creation, on import and on rename.
async fn reserved_names_are_refused_in_any_case(product: &Product) {
    let admin = product.admin().await;
    let kept = admin.collection(&notes()).await;
    for name in [
        "collections",
        "users",
        "system",
        "refresh_tokens",
        "verification_tokens",
        "password_reset_tokens",
        "api_keys",
        "oauth_accounts",
        "oauth_providers",
        "files",
        "webhooks",
        "webhook_deliveries",
        "settings",
        "plugin_settings",
        "ip_rules",
        "audit_logs",
        "request_logs",
        "backups",
        "email_templates",
        "search_indexes",
    ] {
        let capital = name[..1].to_uppercase() + &name[1..];
        for name in [name, &name.to_uppercase(), &capital] {
            for kind in ["base", "auth"] {
                let answer = admin.post(COLLECTIONS, &json!({"name": name, "type": kind, "list_rule": ""})).await;
                assert!(answer.refused(422, "validation_failed").json()["details"]["name"].is_string(), "{name}");
            }
            admin.patch(&collection_path(&kept), &json!({"name": name})).await.refused(422, "validation_failed");
            let document = json!({"name": name, "type": "base", "schema": []});
            admin.post(&format!("{COLLECTIONS}/import"), &document).await.refused(422, "validation_failed");
            product.guest().get(&records(name)).await.refused(404, "not_found");
        }
    }
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json()["items"], json!([kept]));
}

async fn a_field_name_is_one_word_and_unique_in_any_case(product: &Product) {
    let admin = product.admin().await;
    let long = "f".repeat(100);
    admin.collection(&open("words", &json!([{"name": "select", "type": "text"}, {"name": "Order", "type": "number"}, {"name": long, "type": "bool"}]))).await;
    let made = admin.make("words", &json!({"select": "from", "Order": 1})).await;
    assert_eq!(made["data"]["select"], "from");
    assert_eq!(
        admin
            .list("words", &[("filter", "select = 'from' && Order = 1"), ("sort", "-Order,select")])
            .await
            .expect(200)
            .json()["total"],
        1
    );

    let too_long = "f".repeat(101);
    for name in ["id", "ID", "created", "Updated", "", "1a", "a b", "a\"", "ü", &too_long] {
        let schema = json!([{"name": "fine", "type": "text"}, {"name": name, "type": "text"}]);
        let answer = admin.post(COLLECTIONS, &open("refused", &schema)).await.refused(422, "validation_failed");
        assert!(answer.json()["details"]["schema.1.name"].is_string(), "{name:?}: {}", answer.json());
    }
    let twice = json!([{"name": "title", "type": "text"}, {"name": "TITLE", "type": "number"}]);
    let answer = admin.post(COLLECTIONS, &open("refused", &twice)).await.refused(422, "validation_failed");
    assert!(answer.json()["details"]["schema.1.name"].is_string(), "{}", answer.json());
    for name in ["email", "password", "verified", "email_visibility", "role"] {
        let schema = json!([{"name": name, "type": "json"}]);
        let answer = admin.post(COLLECTIONS, &json!({"name": "refused", "type": "auth", "schema": schema})).await;
        answer.refused(422, "validation_failed");
    }
}

/// D-62: null is admins only, an empty text is everybody; what is not sent stays.
async fn a_rule_is_closed_by_null_and_opened_by_an_empty_text(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let rules = ["list_rule", "view_rule", "create_rule", "update_rule", "delete_rule", "manage_rule"];
    let silent = admin.collection(&json!({"name": "silent"})).await;
    for rule in rules {
        assert_eq!(silent[rule], Value::Null, "{rule} is admins only unless it is given");
        let named = admin.reshape(&silent, &json!({rule: "@request.auth.id != ''"})).await;
        assert_eq!(named[rule], "@request.auth.id != ''");
        let untouched = admin.reshape(&silent, &json!({"schema": [{"name": "title", "type": "text"}]})).await;
        assert_eq!(untouched[rule], named[rule], "{rule} was not sent and stays");
        assert_eq!(admin.reshape(&silent, &json!({rule: ""})).await[rule], "");
        assert_eq!(admin.reshape(&silent, &json!({rule: null})).await[rule], Value::Null);
    }
    let managed =
        admin.collection(&json!({"name": "managed", "type": "auth", "manage_rule": "id = @request.auth.id"})).await;
    assert_eq!(admin.get(&collection_path(&managed)).await.expect(200).json()["manage_rule"], "id = @request.auth.id");

    guest.list("silent", &[]).await.refused(401, "authentication_required");
    admin.reshape(&silent, &json!({"list_rule": ""})).await;
    guest.list("silent", &[]).await.expect(200);
    admin.reshape(&silent, &json!({"list_rule": null})).await;
    guest.list("silent", &[]).await.refused(401, "authentication_required");
}

async fn a_rule_that_means_nothing_is_refused_by_name_and_position(product: &Product) {
    let admin = product.admin().await;
    let kept = admin.collection(&notes()).await;
    for rule in ["list_rule", "view_rule", "update_rule", "delete_rule", "manage_rule"] {
        for (broken, position) in [
            ("n > 1 && nope = 1", "9"),
            ("n > 1 && title = ", ""),
            ("(n > 1", ""),
            ("n = 'text'", ""),
            ("n > 1 | title = 'x'", "6"),
            ("title = @request.auth.password", "8"),
            ("title = @nonsense", "8"),
            ("().__class__.__mro__[1].__subclasses__()", ""),
            ("__import__('os').system('id')", ""),
        ] {
            let create =
                admin.post(COLLECTIONS, &json!({"name": "refused", "schema": notes()["schema"], rule: broken})).await;
            let change = admin.patch(&collection_path(&kept), &json!({rule: broken})).await;
            for answer in [create, change] {
                let details = answer.refused(422, "validation_failed").json()["details"].clone();
                let message = details[rule].as_str().unwrap_or_else(|| panic!("{rule} {broken}: {details}"));
                let digits: Vec<&str> =
                    message.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
                assert!(!digits.is_empty(), "{rule} {broken}: no position in {message:?}");
                assert!(
                    position.is_empty() || digits.contains(&position),
                    "{rule} {broken}: not at {position} in {message:?}"
                );
            }
        }
        admin.patch(&collection_path(&kept), &json!({rule: 5})).await.refused(422, "validation_failed");
    }
    assert_eq!(admin.get(&collection_path(&kept)).await.expect(200).json(), kept);
}

async fn an_unknown_option_is_named_by_its_path(product: &Product) {
    let admin = product.admin().await;
    let kept = admin.collection(&notes()).await;
    for (schema, path) in [
        (json!([{"name": "a", "type": "text", "colour": 1}]), "schema.0.colour"),
        (json!([{"name": "a", "type": "text", "validation": {"requird": true}}]), "schema.0.validation.requird"),
        (
            json!([{"name": "a", "type": "text"}, {"name": "b", "type": "select", "select": {"values": ["x"], "nope": 1}}]),
            "schema.1.select.nope",
        ),
        (json!([{"name": "a", "type": "geopoint", "geopoint": {"altitude": true}}]), "schema.0.geopoint.altitude"),
        (
            json!([{"name": "a", "type": "relation", "relation": {"collection": "notes", "on_delete": "x"}}]),
            "schema.0.relation.on_delete",
        ),
        (json!([{"name": "a", "type": "autodate", "autodate": {"on_read": true}}]), "schema.0.autodate.on_read"),
        (json!([{"name": "a", "type": "colour"}]), "schema.0.type"),
        (json!([{"name": "a"}]), "schema.0.type"),
        (json!([{"name": "a", "type": "text", "validation": {"pattern": "("}}]), "schema.0.validation.pattern"),
        (json!([{"name": "a", "type": "text", "validation": {"required": "yes"}}]), "schema.0.validation.required"),
        (
            json!([{"name": "a", "type": "relation", "relation": {"collection": "nowhere"}}]),
            "schema.0.relation.collection",
        ),
        (json!([{"name": "a", "type": "relation"}]), "schema.0.relation"),
    ] {
        let create = admin.post(COLLECTIONS, &json!({"name": "refused", "schema": schema})).await;
        let change = admin.patch(&collection_path(&kept), &json!({"schema": schema})).await;
        for answer in [create, change] {
            let details = answer.refused(422, "validation_failed").json()["details"].clone();
            assert!(details[path].is_string(), "{schema}: no {path} in {details}");
        }
    }
    for (body, path) in [
        (json!({"name": "refused", "nonsense": 1}), "nonsense"),
        (json!({"name": "refused", "id": "018f0000-0000-7000-8000-000000000000"}), "id"),
        (json!({"name": "refused", "type": "table"}), "type"),
        (json!({"name": "refused", "schema": {}}), "schema"),
        (json!({"name": "refused", "options": []}), "options"),
        (json!({"name": "refused", "options": {"nonsense": 1}}), "options.nonsense"),
    ] {
        let details = admin.post(COLLECTIONS, &body).await.refused(422, "validation_failed").json()["details"].clone();
        assert!(details[path].is_string(), "{body}: no {path} in {details}");
    }
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json()["items"], json!([kept]));
}

/// D-04: signed in is not enough, whatever the collection.
async fn only_admins_reach_collections(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("eve").await;
    let guest = product.guest();
    let kept = admin.collection(&notes()).await;
    guest.make("notes", &json!({"title": "one"})).await;
    let own = collection_path(&kept);
    let unknown = format!("{COLLECTIONS}/018f0000-0000-7000-8000-000000000000");
    for (method, path, body) in [
        ("GET", COLLECTIONS, None),
        ("POST", COLLECTIONS, Some(json!({"name": "mine"}))),
        ("POST", COLLECTIONS, Some(json!({"nonsense": true}))),
        ("GET", &own, None),
        ("GET", &unknown, None),
        ("GET", "/api/v1/collections/name/notes", None),
        ("PATCH", &own, Some(json!({"list_rule": null}))),
        ("PATCH", &unknown, Some(json!({"list_rule": null}))),
        ("DELETE", &own, None),
        ("DELETE", &unknown, None),
        ("DELETE", "/api/v1/collections/name/notes/truncate", None),
        ("GET", &format!("{own}/export"), None),
        ("GET", &format!("{own}/export?include_data=true"), None),
        ("POST", "/api/v1/collections/import", Some(json!({"name": "mine", "schema": []}))),
        ("GET", &format!("{own}/indexes"), None),
        ("POST", &format!("{own}/indexes"), Some(json!({"name": "by_title", "fields": [{"name": "title"}]}))),
        ("DELETE", &format!("{own}/indexes/by_title"), None),
    ] {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        let refused = guest.call(method.clone(), path, body.as_ref()).await.refused(401, "authentication_required");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        user.call(method, path, body.as_ref()).await.refused(403, "forbidden");
    }
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json()["items"], json!([kept]));
    assert_eq!(guest.list("notes", &[]).await.expect(200).json()["total"], 1);
}

async fn a_list_is_paged_newest_first(product: &Product) {
    let admin = product.admin().await;
    for n in 1..=5 {
        admin.collection(&json!({"name": format!("c{n}")})).await;
        product.clock.advance_millis(1);
    }
    let page = |number: u32, size: u32| {
        let admin = &admin;
        async move { admin.get(&format!("{COLLECTIONS}?page={number}&per_page={size}")).await.expect(200).json() }
    };
    for (number, names) in [(1, vec!["c5", "c4"]), (2, vec!["c3", "c2"]), (3, vec!["c1"]), (4, vec![])] {
        let page = page(number, 2).await;
        let found: Vec<String> = page["items"].as_array().unwrap().iter().map(|item| text(&item["name"])).collect();
        assert_eq!(found, names);
        assert_eq!((&page["total"], &page["page"], &page["per_page"]), (&json!(5), &json!(number), &json!(2)));
        assert_eq!(page["message"], Value::Null);
    }
    assert_eq!(admin.get(COLLECTIONS).await.expect(200).json()["per_page"], 30);
    assert_eq!(page(1, 200).await["items"].as_array().unwrap().len(), 5);
    let all = admin.get(&format!("{COLLECTIONS}?include_system=true")).await.expect(200).json();
    assert!(all["total"].as_u64().unwrap() >= 5);
    for wrong in [
        ("page", "0"),
        ("per_page", "0"),
        ("per_page", "201"),
        ("page", "-1"),
        ("page", "x"),
        ("include_system", "maybe"),
    ] {
        let answer = admin.get(&with_query(COLLECTIONS, &[wrong])).await.refused(422, "validation_failed");
        assert!(answer.json()["details"][wrong.0].is_string(), "{}", answer.json());
    }
    let answer = admin.get(&format!("{COLLECTIONS}?sort=name")).await.refused(400, "unknown_parameter");
    assert_eq!(answer.json()["details"], json!({"name": "sort"}));
}
