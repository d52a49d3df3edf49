//! Records from outside: values, rules, queries, many at once.

use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, User};
use crate::collections::open_collection;
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

pub mod many;
pub mod reading;
pub mod related;
pub mod writing;

on_both_engines!(
    a_value_of_each_type_comes_back,
    every_fault_of_a_record_is_said_at_once,
    rules_decide_for_each_caller,
    who_may_write_but_not_see_learns_nothing,
    a_rule_is_no_text_that_data_could_change,
    rows_are_filtered_by_the_rule_and_counted_after_it,
    queries_are_parsed_and_their_faults_have_a_position,
    parallel_increments_all_count,
    a_batch_decides_each_item_on_its_own,
    an_upsert_never_makes_a_copy,
    relations_hold,
    relations_are_expanded_in_the_eyes_of_the_caller,
    accounts_of_an_auth_collection_keep_their_password_to_themselves,
    nothing_sent_makes_a_fault_of_ours,
);

fn records(collection: &str) -> String {
    format!("/api/v1/collections/{collection}/records")
}

fn query(collection: &str, pairs: &[(&str, &str)]) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{}?{query}", records(collection))
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
}

/// D-32, D-64.
async fn a_value_of_each_type_comes_back(product: &Product) {
    let admin = product.admin().await;
    open_collection(&admin, "targets", json!([])).await;
    let target = admin.post(&records("targets"), &json!({"data": {}})).await;
    target.refused(422, "validation_failed");
    open_collection(&admin, "things", json!([
        {"name": "text", "type": "text"}, {"name": "editor", "type": "editor"}, {"name": "number", "type": "number"},
        {"name": "bool", "type": "bool"}, {"name": "email", "type": "email"}, {"name": "url", "type": "url"},
        {"name": "date", "type": "date"}, {"name": "datetime", "type": "datetime"},
        {"name": "select", "type": "select", "select": {"values": ["a", "b"]}},
        {"name": "many", "type": "select", "select": {"values": ["a", "b"], "max_select": 2}},
        {"name": "json", "type": "json"}, {"name": "geopoint", "type": "geopoint"}, {"name": "autodate", "type": "autodate"},
    ])).await;
    let data = json!({
        "text": "é\u{1F600}", "editor": "<p>hi</p><script>alert(1)</script>", "number": -2.5, "bool": false, "email": "a@example.org",
        "url": "https://example.org/", "date": "2024-02-29", "datetime": "2026-01-31T10:30:00+01:00", "select": "a", "many": ["b", "a"],
        "json": {"z": 1, "a": [null, 1.5]}, "geopoint": {"lng": 13.4, "lat": 52.5}, "autodate": "ignored",
    });
    let made = admin.post(&records("things"), &json!({"data": data})).await.expect(201).json();
    let mut wanted = data;
    wanted["editor"] = "<p>hi</p>".into();
    wanted["datetime"] = "2026-01-31T09:30:00.000Z".into();
    wanted["geopoint"] = json!({"lat": 52.5, "lng": 13.4});
    wanted["autodate"] = made["created"].clone();
    assert_eq!(made["data"], wanted);
    let form = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$").unwrap();
    assert!(form.is_match(made["created"].as_str().unwrap()) && form.is_match(made["updated"].as_str().unwrap()));
    let path = format!("{}/{}", records("things"), text(&made["id"]));
    assert_eq!(admin.get(&path).await.expect(200).json(), made);
    let cleared =
        admin.patch(&path, &json!({"data": {"text": "", "number": null, "many": []}})).await.expect(200).json();
    assert_eq!(
        (&cleared["data"]["text"], &cleared["data"]["number"], &cleared["data"]["many"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
}

/// D-32.
async fn every_fault_of_a_record_is_said_at_once(product: &Product) {
    let admin = product.admin().await;
    open_collection(
        &admin,
        "things",
        json!([
            {"name": "title", "type": "text", "validation": {"required": true}},
            {"name": "code", "type": "text", "validation": {"unique": true, "pattern": "[a-z]+", "max_length": 3}},
            {"name": "n", "type": "number", "validation": {"min": 0, "max": 10}},
            {"name": "s", "type": "select", "select": {"values": ["a", "b"]}},
            {"name": "mail", "type": "email"},
        ]),
    )
    .await;
    let body = json!({"data": {"code": "A1", "n": true, "s": "c", "mail": "x.y@", "id": "x", "what": 1}});
    let details =
        admin.post(&records("things"), &body).await.refused(422, "validation_failed").json()["details"].clone();
    assert_eq!(
        details,
        json!({
            "code": "Does not match required pattern", "n": "Must be a number", "s": "Must be one of: a, b", "mail": "Invalid email format",
            "id": "Unknown field", "what": "Unknown field", "title": "This field is required",
        })
    );
    admin.post(&records("things"), &json!({"data": {"title": "t", "code": "abc", "n": 10}})).await.expect(201);
    let twice = admin
        .post(&records("things"), &json!({"data": {"title": "t", "code": "abc"}}))
        .await
        .refused(409, "unique_conflict");
    assert_eq!(twice.json()["details"], json!({"code": "Must be unique"}));
    let over = admin
        .post(&records("things"), &json!({"data": {"title": "t", "n": 11}}))
        .await
        .refused(422, "validation_failed");
    assert_eq!(over.json()["details"], json!({"n": "Maximum value is 10"}));
    admin.post(&records("things"), &json!({"data": {}})).await.refused(422, "validation_failed");
    admin.post(&records("things"), &json!({"data": {"title": null}})).await.refused(422, "validation_failed");
}

async fn owned(product: &Product, rules: Value) -> (crate::callers::Admin<'_>, User<'_>, User<'_>, String) {
    let admin = product.admin().await;
    let owner = product.user("owner").await;
    let other = product.user("other").await;
    let mut body = json!({"name": "notes", "schema": [{"name": "owner", "type": "text"}, {"name": "n", "type": "number"}, {"name": "kind", "type": "text"}]});
    for (key, rule) in rules.as_object().unwrap() {
        body[key] = rule.clone();
    }
    admin.post("/api/v1/collections", &body).await.expect(201);
    let note = admin.post(&records("notes"), &json!({"data": {"owner": owner.id, "n": 1}})).await.expect(201).json();
    let path = format!("{}/{}", records("notes"), text(&note["id"]));
    (admin, owner, other, path)
}

/// D-13, D-15: every rule, every caller.
async fn rules_decide_for_each_caller(product: &Product) {
    let mine = "owner = @request.auth.id";
    let rules = json!({"list_rule": mine, "view_rule": mine, "update_rule": mine, "delete_rule": null, "create_rule": "@request.auth.id != ''"});
    let (admin, owner, other, path) = owned(product, rules).await;
    let guest = product.guest();
    let change = json!({"data": {"n": 2}});
    let unknown = format!("{}/018f0000-0000-7000-8000-000000000000", records("notes"));

    owner.get(&path).await.expect(200);
    other.get(&path).await.refused(404, "not_found");
    guest.get(&path).await.refused(404, "not_found");
    admin.get(&path).await.expect(200);
    owner.patch(&path, &change).await.expect(200);
    other.patch(&path, &change).await.refused(404, "not_found");
    guest.patch(&path, &change).await.refused(404, "not_found");
    other.patch(&unknown, &change).await.refused(404, "not_found");
    for at in [&path, &unknown] {
        owner.delete(at).await.refused(403, "forbidden");
        guest.delete(at).await.refused(401, "authentication_required");
    }
    let new = json!({"data": {"owner": other.id}});
    guest.post(&records("notes"), &new).await.refused(401, "authentication_required");
    other.post(&records("notes"), &new).await.expect(201);
    for (caller, count) in [
        (owner.get(&records("notes")).await, 1),
        (other.get(&records("notes")).await, 1),
        (guest.get(&records("notes")).await, 0),
    ] {
        assert_eq!(caller.expect(200).json()["total"], count);
    }

    let id = text(&admin.get("/api/v1/collections/name/notes").await.expect(200).json()["id"]);
    let rules = json!({"view_rule": "", "list_rule": "@request.auth.role = 'user'"});
    admin.patch(&format!("/api/v1/collections/{id}"), &rules).await.expect(200);
    other.patch(&path, &change).await.refused(403, "forbidden");
    guest.patch(&path, &change).await.refused(401, "authentication_required");
    assert_eq!(guest.get(&records("notes")).await.expect(200).json()["total"], 0);
    assert_eq!(other.get(&records("notes")).await.expect(200).json()["total"], 2);
    admin.delete(&path).await.expect(204);
    admin.delete(&path).await.refused(404, "not_found");
}

async fn who_may_write_but_not_see_learns_nothing(product: &Product) {
    let (_, _, other, path) = owned(product, json!({"update_rule": "", "view_rule": null})).await;
    let answer = other.patch(&path, &json!({"data": {"kind": "x"}})).await.expect(200).json();
    assert_eq!(answer["data"], json!({"kind": "x"}));
    other.get(&path).await.refused(403, "forbidden");
}

/// D-12.
async fn a_rule_is_no_text_that_data_could_change(product: &Product) {
    let rules = json!({"create_rule": "@request.data.kind = 'public'", "view_rule": "", "update_rule": "kind = 'x'"});
    let (admin, _, other, _) = owned(product, rules).await;
    other.post(&records("notes"), &json!({"data": {"kind": "x' or 'a"}})).await.refused(403, "forbidden");
    other.post(&records("notes"), &json!({"data": {"kind": "public"}})).await.expect(201);
    let note = admin.post(&records("notes"), &json!({"data": {"kind": "x' or 'z"}})).await.expect(201).json();
    let path = format!("{}/{}", records("notes"), text(&note["id"]));
    other.patch(&path, &json!({"data": {"n": 3}})).await.refused(403, "forbidden");
}

/// D-16.
async fn rows_are_filtered_by_the_rule_and_counted_after_it(product: &Product) {
    let (admin, owner, other, _) =
        owned(product, json!({"list_rule": "owner = @request.auth.id", "create_rule": ""})).await;
    for n in 0..5 {
        let whose = if n < 3 { &owner.id } else { &other.id };
        admin.post(&records("notes"), &json!({"data": {"owner": whose, "n": n, "kind": "Kind%"}})).await.expect(201);
    }
    let page = owner.get(&query("notes", &[("per_page", "2"), ("sort", "n")])).await.expect(200).json();
    assert_eq!((&page["total"], &page["total_pages"], ids(&page).len()), (&json!(4), &json!(2), 2));
    let page = owner.get(&query("notes", &[("page", "9"), ("per_page", "2")])).await.expect(200).json();
    assert_eq!((&page["total"], ids(&page).len()), (&json!(4), 0));
    let page = owner.get(&query("notes", &[("search", "kIND%")])).await.expect(200).json();
    assert_eq!(page["total"], 3);
    let page = owner.get(&query("notes", &[("skipTotal", "true"), ("fields", "n")])).await.expect(200).json();
    assert_eq!((&page["total"], &page["total_pages"]), (&Value::Null, &Value::Null));
    assert_eq!(page["items"][0]["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["n"]);
    assert_eq!(admin.get(&records("notes")).await.expect(200).json()["total"], 6);
}

/// D-07, D-61.
async fn queries_are_parsed_and_their_faults_have_a_position(product: &Product) {
    let admin = product.admin().await;
    open_collection(&admin, "notes", json!([
        {"name": "t", "type": "text"}, {"name": "a", "type": "number"}, {"name": "h", "type": "text", "hidden": true},
        {"name": "users", "type": "text"},
    ])).await;
    for (t, a) in [("x && y", 1), ("50%", 1), ("X", 2)] {
        admin.post(&records("notes"), &json!({"data": {"t": t, "a": a, "h": "secret"}})).await.expect(201);
    }
    let guest = product.guest();
    for (filter, total) in [
        ("(a=1 && (t=\"50%\" || a=3))", 1),
        ("t=\"x && y\"", 1),
        ("t~\"50%\"", 1),
        ("t~\"%\"", 1),
        ("t:lower=\"x\"", 1),
        ("a=1", 2),
        ("!(a=1)", 1),
    ] {
        assert_eq!(
            guest.get(&query("notes", &[("filter", filter)])).await.expect(200).json()["total"],
            total,
            "{filter}"
        );
    }
    for filter in ["nope=1", "h=\"secret\"", "a=", "a=\"x\"", "users.password_hash~\"a\"", "(a=1", "@request.auth.id=1"]
    {
        let answer = guest.get(&query("notes", &[("filter", filter)])).await.refused(400, "invalid_filter").json();
        assert!(answer["details"]["position"].is_u64(), "{filter}: {answer}");
    }
    for sort in ["nope", "h", "author.(CASE WHEN 1=1 THEN 1 END)", "t;drop", "a,a,a,a,a,a"] {
        guest.get(&query("notes", &[("sort", sort)])).await.refused(400, "invalid_sort");
    }
    guest.get(&query("notes", &[("fields", "nope")])).await.refused(400, "invalid_fields");
    guest.get(&query("notes", &[("expand", "nope")])).await.refused(400, "invalid_expand");
    guest.get(&query("notes", &[("nope", "1")])).await.refused(400, "unknown_parameter");
    for pairs in [
        [("page", "0"), ("per_page", "1")],
        [("page", "1"), ("per_page", "101")],
        [("page", "1000000"), ("per_page", "100")],
    ] {
        guest.get(&query("notes", &pairs)).await.refused(422, "validation_failed");
    }
    let sorted = guest.get(&query("notes", &[("sort", "-a,t"), ("fields", "t:lower")])).await.expect(200).json();
    let texts: Vec<_> = sorted["items"].as_array().unwrap().iter().map(|item| text(&item["data"]["t"])).collect();
    assert_eq!(texts, ["x", "50%", "x && y"]);
}

/// D-29.
async fn parallel_increments_all_count(product: &Product) {
    let admin = product.admin().await;
    open_collection(&admin, "counters", json!([{"name": "n", "type": "number", "validation": {"max": 20}}])).await;
    let made = admin.post(&records("counters"), &json!({"data": {"n": 0}})).await.expect(201).json();
    let path = format!("{}/{}", records("counters"), text(&made["id"]));
    let body = json!({"data": {"n+": 1}});
    for answer in futures_util::future::join_all((0..20).map(|_| admin.patch(&path, &body))).await {
        answer.expect(200);
    }
    assert_eq!(admin.get(&path).await.expect(200).json()["data"]["n"], 20);
    admin.patch(&path, &body).await.refused(422, "validation_failed");
    assert_eq!(admin.patch(&path, &json!({"data": {"n-": 0.5}})).await.expect(200).json()["data"]["n"], 19.5);
    admin.patch(&path, &json!({"data": {"n+": "1"}})).await.refused(422, "validation_failed");
    admin.patch(&path, &json!({"data": {"n+": 1, "n": 1}})).await.refused(422, "validation_failed");
}

/// D-28.
async fn a_batch_decides_each_item_on_its_own(product: &Product) {
    let (admin, owner, _, path) =
        owned(product, json!({"create_rule": "owner = @request.auth.id", "list_rule": "", "update_rule": "n > 5"}))
            .await;
    let items: Vec<_> = (0..60).map(|n| json!({"owner": owner.id, "n": n})).collect();
    let (records_body, traffic) = (json!({"records": items}), json!({"data": {"n": 0}}));
    let batch_path = format!("{}/batch", records("notes"));
    let others =
        futures_util::future::join_all((0..20).map(|_| admin.post("/api/v1/collections/notes/records", &traffic)));
    let (batch, others) = futures_util::future::join(owner.post(&batch_path, &records_body), others).await;
    let batch = batch.expect(201).json();
    assert_eq!((&batch["created"], &batch["failed"], &batch["errors"]), (&json!(60), &json!(0), &Value::Null));
    assert!(others.iter().all(|answer| answer.status == 201));
    let filter = format!("owner = \"{}\" && n >= 0", owner.id);
    assert_eq!(owner.get(&query("notes", &[("filter", &filter)])).await.expect(200).json()["total"], 61);

    let mixed = json!({"records": [{"owner": owner.id}, {"owner": "else"}, {"owner": owner.id, "n": "x"}, 7]});
    let batch = owner.post(&batch_path, &mixed).await.expect(201).json();
    assert_eq!((&batch["created"], &batch["failed"]), (&json!(1), &json!(3)));
    assert_eq!(batch["errors"][0], json!({"index": 1, "data": {"owner": "else"}, "error": "forbidden"}));
    assert_eq!(batch["errors"][1]["error"], "validation_failed");
    product.guest().post(&batch_path, &mixed).await.refused(401, "authentication_required");
    owner.post(&batch_path, &json!({"records": []})).await.refused(422, "validation_failed");
    let many: Vec<_> = (0..101).map(|_| json!({})).collect();
    owner.post(&batch_path, &json!({"records": many})).await.refused(400, "batch_too_large");

    let id = path.rsplit('/').next().unwrap();
    let bulk = json!({"record_ids": [id, "nope"], "data": {"n": 9}});
    let done = owner.post(&format!("{}/bulk-update", records("notes")), &bulk).await.expect(200).json();
    assert_eq!((&done["success"], &done["failed"]), (&json!(0), &json!(2)));
    let done = admin.post(&format!("{}/bulk-update", records("notes")), &bulk).await.expect(200).json();
    assert_eq!((&done["success"], &done["errors"]), (&json!(1), &json!([{"record_id": "nope", "error": "not_found"}])));
    let done =
        admin.post(&format!("{}/bulk-delete", records("notes")), &json!({"record_ids": [id]})).await.expect(200).json();
    assert_eq!(done, json!({"success": 1, "failed": 0, "errors": null}));
}

/// D-60.
async fn an_upsert_never_makes_a_copy(product: &Product) {
    let mine = "owner = @request.auth.id";
    let (admin, owner, other, path) =
        owned(product, json!({"list_rule": mine, "view_rule": mine, "update_rule": mine, "create_rule": ""})).await;
    let id = path.rsplit('/').next().unwrap();
    let upsert = format!("{}/upsert", records("notes"));
    let done = other.post(&upsert, &json!({"records": [{"id": id, "n": 5}]})).await.expect(200).json();
    assert_eq!((&done["created"], &done["updated"], &done["failed"]), (&json!(0), &json!(0), &json!(1)));
    assert_eq!(admin.get(&records("notes")).await.expect(200).json()["total"], 1);
    let fresh = "018f0000-0000-7000-8000-00000000abcd";
    let body = json!({"records": [{"id": id, "n": 5}, {"id": fresh, "owner": owner.id}, {"n": 1}, {"id": "x"}]});
    let done = owner.post(&upsert, &body).await.expect(200).json();
    assert_eq!((&done["created"], &done["updated"], &done["failed"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(done["records"][0]["data"]["n"], 5);
    assert_eq!(done["records"][1]["id"], fresh);
}

async fn relations_hold(product: &Product) {
    let admin = product.admin().await;
    open_collection(&admin, "people", json!([{"name": "name", "type": "text"}])).await;
    let to = |action: Value| json!({"collection": "people", "cascade_delete": action});
    open_collection(
        &admin,
        "posts",
        json!([
            {"name": "writer", "type": "relation", "relation": to(json!("restrict"))},
            {"name": "editor", "type": "relation", "relation": to(json!("set_null"))},
            {"name": "owner", "type": "relation", "relation": to(json!(true))},
        ]),
    )
    .await;
    let person = |name: &str| {
        let (admin, body) = (admin.clone(), json!({"data": {"name": name}}));
        async move { text(&admin.post(&records("people"), &body).await.expect(201).json()["id"]) }
    };
    let (ann, bob, cid) = (person("Ann").await, person("Bob").await, person("Cid").await);
    let unknown = json!({"data": {"writer": "018f0000-0000-7000-8000-00000000abcd"}});
    admin.post(&records("posts"), &unknown).await.refused(422, "validation_failed");
    let body = json!({"data": {"writer": ann, "editor": bob, "owner": cid}});
    let post = admin.post(&records("posts"), &body).await.expect(201).json();
    admin.delete(&format!("{}/{ann}", records("people"))).await.refused(409, "relation_restricted");
    admin.delete(&format!("{}/{bob}", records("people"))).await.expect(204);
    let path = format!("{}/{}", records("posts"), text(&post["id"]));
    assert_eq!(admin.get(&path).await.expect(200).json()["data"]["editor"], Value::Null);
    admin.delete(&format!("{}/{cid}", records("people"))).await.expect(204);
    admin.get(&path).await.refused(404, "not_found");
    admin.delete(&format!("{}/{ann}", records("people"))).await.expect(204);
    assert_eq!(admin.get(&records("people")).await.expect(200).json()["total"], 0);
}

/// D-16: what the caller may not view is not beside a record either.
async fn relations_are_expanded_in_the_eyes_of_the_caller(product: &Product) {
    let admin = product.admin().await;
    let people = json!({"name": "people", "schema": [{"name": "name", "type": "text"}, {"name": "h", "type": "text", "hidden": true}], "view_rule": "name != 'Bob'", "list_rule": "name != 'Bob'"});
    admin.post("/api/v1/collections", &people).await.expect(201);
    open_collection(
        &admin,
        "posts",
        json!([
            {"name": "writer", "type": "relation", "relation": {"collection": "people"}},
            {"name": "readers", "type": "relation", "relation": {"collection": "people", "type": "many-to-many"}},
        ]),
    )
    .await;
    let make = |collection: &'static str, data: Value| {
        let admin = admin.clone();
        async move { admin.post(&records(collection), &json!({"data": data})).await.expect(201).json() }
    };
    let ann = make("people", json!({"name": "Ann", "h": "secret"})).await;
    let bob = make("people", json!({"name": "Bob"})).await;
    let post = make("posts", json!({"writer": ann["id"], "readers": [bob["id"], ann["id"]]})).await;
    let guest = product.guest();
    let path = format!("{}/{}", records("posts"), text(&post["id"]));
    let seen = guest.get(&format!("{path}?expand=writer,readers")).await.expect(200).json();
    assert_eq!(seen["expand"], json!({"writer": ann, "readers": [ann]}));
    let seen = admin.get(&format!("{path}?expand=readers")).await.expect(200).json();
    assert_eq!(seen["expand"], json!({"readers": [bob, ann]}));
    let back = guest
        .get(&query("people", &[("expand", "posts_via_writer.readers"), ("sort", "name")]))
        .await
        .expect(200)
        .json();
    assert_eq!(back["total"], 1);
    let nested = &back["items"][0]["expand"]["posts_via_writer"][0];
    assert_eq!((&nested["id"], &nested["expand"]), (&post["id"], &json!({"readers": [ann]})));
    for bad in ["nope", "writer.nope", "posts_via_nope", "writer.posts_via_writer.writer.posts_via_writer"] {
        guest.get(&query("posts", &[("expand", bad)])).await.refused(400, "invalid_expand");
    }
    let by_bob = guest.get(&query("posts", &[("filter", "readers.name = \"Bob\"")])).await.expect(200).json();
    assert_eq!(by_bob["total"], 0, "a filter sees no more than its caller");
}

/// D-10, D-14.
async fn accounts_of_an_auth_collection_keep_their_password_to_themselves(product: &Product) {
    let admin = product.admin().await;
    let own = "id = @request.auth.id";
    let body = json!({"name": "members", "type": "auth", "schema": [{"name": "nick", "type": "text"}], "list_rule": "", "view_rule": "", "create_rule": "", "update_rule": own});
    let made = admin.post("/api/v1/collections", &body).await.expect(201).json();
    let guest = product.guest();
    let weak = json!({"data": {"email": "m@example.com", "password": "password"}});
    guest.post(&records("members"), &weak).await.refused(422, "password_policy");
    let missing =
        guest.post(&records("members"), &json!({"data": {"nick": "m"}})).await.refused(422, "validation_failed").json();
    assert_eq!(missing["details"], json!({"email": "This field is required", "password": "This field is required"}));
    for forbidden in [json!({"role": "admin"}), json!({"verified": true})] {
        let mut data = json!({"email": "m@example.com", "password": PASSWORD});
        data.as_object_mut().unwrap().extend(forbidden.as_object().unwrap().clone());
        guest.post(&records("members"), &json!({"data": data})).await.refused(422, "validation_failed");
    }
    let good = json!({"data": {"email": "m@example.com", "password": PASSWORD, "nick": "m"}});
    let member = guest.post(&records("members"), &good).await.expect(201);
    assert!(!String::from_utf8_lossy(&member.bytes).contains("argon2"));
    let member = member.json();
    assert_eq!(
        member["data"],
        json!({"nick": "m", "email": "hidden", "verified": false, "email_visibility": false, "role": null})
    );
    let shouted = json!({"data": {"email": "M@example.com", "password": PASSWORD}});
    guest.post(&records("members"), &shouted).await.refused(409, "email_taken");
    for filter in ["password ~ \"a\"", "password != null"] {
        guest.get(&query("members", &[("filter", filter)])).await.refused(400, "invalid_filter");
    }
    guest.get(&query("members", &[("sort", "password")])).await.refused(400, "invalid_sort");
    for hidden in [("filter", "email ~ \"m@\""), ("search", "m@example")] {
        assert_eq!(guest.get(&query("members", &[hidden])).await.expect(200).json()["total"], 0);
        assert_eq!(admin.get(&query("members", &[hidden])).await.expect(200).json()["total"], 1);
    }
    let login = json!({"email": "m@example.com", "password": PASSWORD});
    let signed_in = guest.post("/api/v1/collections/members/auth/login", &login).await.expect(200).json();
    let me = Bearer { product, token: text(&signed_in["token"]["access_token"]) };
    let path = format!("{}/{}", records("members"), text(&member["id"]));
    assert_eq!(me.get(&path).await.expect(200).json()["data"]["email"], "m@example.com");
    me.patch(&path, &json!({"data": {"nick": "n"}})).await.expect(200);
    for forbidden in [
        json!({"role": "admin"}),
        json!({"verified": true}),
        json!({"email": "x@example.com"}),
        json!({"password": PASSWORD}),
    ] {
        me.patch(&path, &json!({"data": forbidden})).await.refused(422, "validation_failed");
    }
    assert_eq!(
        admin.patch(&path, &json!({"data": {"role": "chief", "verified": true}})).await.expect(200).json()["data"]["role"],
        "chief"
    );
    me.get("/api/v1/auth/me").await.refused(401, "invalid_token");
    assert!(made["schema"].as_array().is_some_and(|fields| fields.len() == 1));

    let signed_in = guest.post("/api/v1/collections/members/auth/login", &login).await.expect(200).json();
    let me = Bearer { product, token: text(&signed_in["token"]["access_token"]) };
    me.get(&path).await.expect(200);
    let fresh = "another long Passphrase 7";
    let changed = admin.patch(&path, &json!({"data": {"password": fresh}})).await.expect(200);
    assert!(!String::from_utf8_lossy(&changed.bytes).contains("argon2"));
    me.get(&path).await.refused(401, "invalid_token");
    guest.post("/api/v1/collections/members/auth/login", &login).await.refused(401, "invalid_credentials");
    let login = json!({"email": "m@example.com", "password": fresh});
    guest.post("/api/v1/collections/members/auth/login", &login).await.expect(200);
}

/// D-54.
async fn nothing_sent_makes_a_fault_of_ours(product: &Product) {
    let admin = product.admin().await;
    open_collection(&admin, "things", json!([{"name": "t", "type": "text", "validation": {"unique": true}}, {"name": "j", "type": "json"}, {"name": "n", "type": "number"}])).await;
    let guest = product.guest();
    guest.get(&query("things", &[("page", "100000000000000000000")])).await.refused(422, "validation_failed");
    guest.get(&query("things", &[("page", "1000000000000000000")])).await.refused(422, "validation_failed");
    guest.get(&records("nope")).await.refused(404, "not_found");
    guest.get(&format!("{}/x", records("nope"))).await.refused(404, "not_found");
    guest.get(&format!("{}/%00", records("things"))).await.refused(404, "not_found");
    for data in [
        json!({"t": "a\u{0}"}),
        json!({"j": {"a": "\u{0}"}}),
        json!({"n": 9_007_199_254_740_993_i64}),
        json!({"t": "x".repeat(3000)}),
        json!({"": 1}),
        json!({"n+": 1}),
    ] {
        guest.post(&records("things"), &json!({"data": data})).await.refused(422, "validation_failed");
    }
    guest.get(&query("things", &[("search", "\u{0}")])).await.refused(422, "validation_failed");
    for filter in ["t = \"\u{0}\"", "t ~ \"\u{0}\""] {
        let answer = guest.get(&query("things", &[("filter", filter)])).await;
        assert!(answer.status.is_client_error() || answer.status == 200, "{}", answer.status);
    }
}
