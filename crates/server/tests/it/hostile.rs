//! What an attacker tries: named after the public class of it (CVE, D-id) where there is one.

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::callers::{Bearer, Calls, open, record, records, request};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

on_both_engines!(
    cve_2026_25574_nobody_chooses_the_id_of_an_account,
    cve_2026_35441_records_that_point_at_each_other_do_not_multiply,
    d_54_a_nul_in_an_address_is_a_wrong_address,
    d_54_a_sum_that_no_number_can_hold_is_refused,
    no_authorization_header_is_a_fault_of_ours,
    an_admins_change_of_a_user_is_whole_or_not_at_all,
    d_54_a_field_may_be_called_like_a_column_that_the_engine_has,
    a_cascade_clears_lists_that_point_at_many_of_the_records_that_go,
    a_filter_may_name_as_many_values_as_it_may,
    more_values_than_a_statement_takes_are_a_refusal,
    a_nul_is_refused_wherever_text_is_kept,
);

/// Rules such as `owner = @request.auth.id` know an account by its id alone: an upsert into an auth collection must not make one
/// whose id is that of a user (D-03 by another door).
async fn cve_2026_25574_nobody_chooses_the_id_of_an_account(product: &Product) {
    let admin = product.admin().await;
    let mut members = open("members", &json!([{"name": "nick", "type": "text"}]));
    members["type"] = json!("auth");
    admin.collection(&members).await;
    let mut notes = open("notes", &json!([{"name": "owner", "type": "text"}, {"name": "body", "type": "text"}]));
    notes["list_rule"] = json!("owner = @request.auth.id");
    admin.collection(&notes).await;
    let (victim, mallory) = (product.user("victim").await, product.user("mallory").await);
    victim.make("notes", &json!({"owner": victim.id, "body": "private"})).await;

    let upsert = format!("{}/upsert", records("members"));
    let chosen = json!({"records": [{"id": victim.id, "email": "evil@example.com", "password": PASSWORD}]});
    let outcome = mallory.post(&upsert, &chosen).await.expect(200).json();
    assert_eq!(outcome["created"], json!(0), "{outcome}");
    assert_eq!(outcome["errors"][0]["error"], json!("validation_failed"), "{outcome}");
    assert_eq!(
        outcome["errors"][0]["data"],
        json!({"id": victim.id, "email": "evil@example.com"}),
        "D-10: no password comes back"
    );
    let credentials = json!({"email": "evil@example.com", "password": PASSWORD});
    product
        .guest()
        .post("/api/v1/collections/members/auth/login", &credentials)
        .await
        .refused(401, "invalid_credentials");

    // Without an id the same is a registration like any other, and sees nothing of the victim's.
    let free = json!({"records": [{"email": "evil@example.com", "password": PASSWORD}]});
    assert_eq!(mallory.post(&upsert, &free).await.expect(200).json()["created"], json!(1));
    let grant = product.guest().post("/api/v1/collections/members/auth/login", &credentials).await.expect(200).json();
    let evil = Bearer { product, token: text(&grant["token"]["access_token"]) };
    assert!(evil.column("notes", &[], "body").await.is_empty());

    let by_admin = json!({"records": [{"id": "018f4e7a-0000-7000-8000-000000000001", "email": "moved@example.com", "password": PASSWORD}]});
    assert_eq!(
        admin.post(&upsert, &by_admin).await.expect(200).json()["created"],
        json!(1),
        "moving accounts in is an admin's work"
    );
}

/// Forty small records, each pointing at all forty: 150 MB two levels deep, 6 GB three levels deep, were it not for a limit.
async fn cve_2026_35441_records_that_point_at_each_other_do_not_multiply(product: &Product) {
    const MOST: usize = fastcms_store::records::MAX_EXPANDED_BYTES;
    let admin = product.admin().await;
    let links = json!({"collection": "nodes", "type": "many-to-many", "cascade_delete": "no_action"});
    let schema = json!([{"name": "links", "type": "relation", "relation": links}, {"name": "t", "type": "text"}]);
    admin.collection(&open("nodes", &schema)).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(product.guest().make("nodes", &json!({"t": "x".repeat(500)})).await["id"].clone());
    }
    for id in &ids {
        product.guest().change("nodes", id, &json!({"links": ids})).await.expect(200);
    }
    for expand in ["links.links", "links.links.links", "nodes_via_links.nodes_via_links"] {
        let answer = product.guest().list("nodes", &[("expand", expand), ("per_page", "40")]).await.expect(200);
        assert!(answer.bytes.len() < MOST + (1 << 20), "{expand}: {} bytes", answer.bytes.len());
        assert_eq!(answer.json()["items"].as_array().unwrap().len(), 40, "the page itself is whole");
    }
    let once = product.guest().list("nodes", &[("expand", "links"), ("per_page", "40")]).await.expect(200).json();
    let whole = |item: &Value| item["expand"]["links"].as_array().is_some_and(|links| links.len() == 40);
    assert!(once["items"].as_array().unwrap().iter().all(whole), "what fits is complete");
}

async fn d_54_a_nul_in_an_address_is_a_wrong_address(product: &Product) {
    let admin = product.admin().await;
    let mut members =
        open("members", &json!([{"name": "nick", "type": "text", "validation": {"required": true, "unique": true}}]));
    members["type"] = json!("auth");
    members["options"] = json!({"identity_field": "nick"});
    admin.collection(&members).await;
    let guest = product.guest();
    let body = json!({"email": "a\0b@example.com", "password": PASSWORD});
    guest.post("/api/v1/auth/login", &body).await.refused(401, "invalid_credentials");
    for name in ["nick", "email"] {
        let body = json!({name: "a\0b", "password": PASSWORD});
        let answer = guest.post("/api/v1/collections/members/auth/login", &body).await;
        assert!(answer.status.is_client_error(), "{name}: {}", answer.status);
    }
}

async fn d_54_a_sum_that_no_number_can_hold_is_refused(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&open("counters", &json!([{"name": "n", "type": "number"}]))).await;
    let record = product.guest().make("counters", &json!({"n": 1.7e308})).await;
    let answer = product
        .guest()
        .change("counters", &record["id"], &json!({"n+": 1.7e308}))
        .await
        .refused(422, "validation_failed");
    assert_eq!(answer.json()["details"]["n"], json!("Must be a number"));
    assert_eq!(product.guest().column("counters", &[], "n").await, [json!(1.7e308)]);
}

/// A refused change must not have put its password in force, nor ended a session.
/// CVE-2026-9803: what another server read past the end of.
async fn no_authorization_header_is_a_fault_of_ours(product: &Product) {
    let admin = product.admin().await;
    let token = admin.token.as_bytes();
    let with = |scheme: &str| [scheme.as_bytes(), token].concat();
    let mut sent: Vec<Vec<u8>> = [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer\t",
        "Basic",
        "Basic Og==",
        "Bearer .",
        "Bearer ..",
        "Bearer a.b",
    ]
    .iter()
    .chain(&[
        "Bearer a.b.c.d.e",
        "Bearer =",
        "Bearer \"x\"",
        "Digest username=\"x\"",
        "bEaReR",
        ",",
        "Bearer a, Bearer b",
        "%00",
    ])
    .map(|text| text.as_bytes().to_vec())
    .collect();
    sent.extend([with("Basic "), with("Token "), with("Bearer Bearer "), with("Bearer\u{a0}"), with("Bear\u{e9}r ")]);
    sent.extend([
        b"Bearer \xff\xfe.\x80.\xc0".to_vec(),
        b"\xff".to_vec(),
        [b"Bearer ", "a".repeat(20_000).as_bytes()].concat(),
    ]);
    sent.extend((0..token.len()).step_by(17).map(|end| [b"Bearer ", &token[..end]].concat()));
    for value in sent {
        let mut asked = request(None, Method::GET, "/api/v1/auth/me", None);
        asked.headers_mut().insert("authorization", HeaderValue::from_bytes(&value).unwrap());
        let answer = product.send(asked).await;
        assert!([400, 401].contains(&answer.status.as_u16()), "{value:?}: {}", answer.status);
    }
}

async fn an_admins_change_of_a_user_is_whole_or_not_at_all(product: &Product) {
    let admin = product.admin().await;
    let (user, other) = (product.user("user").await, product.user("other").await);
    let path = format!("/api/v1/admin/users/{}", user.id);
    let change = json!({"password": "quite new horses, 77 batteries", "email": "other@example.com"});
    admin.patch(&path, &change).await.refused(409, "email_taken");
    user.get("/api/v1/auth/me").await.expect(200);
    let credentials = json!({"email": "user@example.com", "password": PASSWORD});
    product.guest().post("/api/v1/auth/login", &credentials).await.expect(200);
    other.get("/api/v1/auth/me").await.expect(200);

    let change = json!({"password": "quite new horses, 77 batteries", "email": "renamed@example.com"});
    admin.patch(&path, &change).await.expect(200);
    user.get("/api/v1/auth/me").await.refused(401, "invalid_token");
    let credentials = json!({"email": "renamed@example.com", "password": "quite new horses, 77 batteries"});
    product.guest().post("/api/v1/auth/login", &credentials).await.expect(200);
}

/// `PostgreSQL` puts columns of its own into every table; a field may be called like one of them all the same.
async fn d_54_a_field_may_be_called_like_a_column_that_the_engine_has(product: &Product) {
    let admin = product.admin().await;
    for (n, name) in ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "CTID"].into_iter().enumerate() {
        let collection = format!("engine{n}");
        let field = json!([{"name": name, "type": "text", "validation": {"unique": true}}]);
        admin.collection(&open(&collection, &field)).await;
        product.guest().make(&collection, &json!({name: "a"})).await;
        let records = format!("/api/v1/collections/{collection}/records");
        let again = product.guest().post(&records, &json!({"data": {name: "a"}})).await.refused(409, "unique_conflict");
        assert!(again.json()["details"][name].is_string(), "{name}: {}", again.json());
        let sorted =
            product.guest().column(&collection, &[("sort", name), ("filter", &format!("{name} = \"a\""))], name).await;
        assert_eq!(sorted, [json!("a")]);
    }
    // These are columns of the engine only as long as nobody takes the name.
    let definition = open("things", &json!([{"name": "rowid", "type": "text"}, {"name": "oid", "type": "text"}]));
    admin.collection(&definition).await;
    product.guest().make("things", &json!({"rowid": "a", "oid": "b"})).await;
    assert_eq!(product.guest().column("things", &[("sort", "@rowid,rowid")], "rowid").await, [json!("a")]);
}

/// Records that go together are looked for together: a look through the table for each would hold all other writes up.
async fn a_cascade_clears_lists_that_point_at_many_of_the_records_that_go(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    admin.collection(&open("owners", &json!([{"name": "t", "type": "text"}]))).await;
    let owner = json!({"collection": "owners", "cascade_delete": "cascade"});
    admin.collection(&open("pets", &json!([{"name": "owner", "type": "relation", "relation": owner}]))).await;
    let pets = json!({"collection": "pets", "type": "many-to-many", "cascade_delete": "set_null"});
    admin.collection(&open("visits", &json!([{"name": "pets", "type": "relation", "relation": pets}]))).await;

    let (gone, kept) = (guest.make("owners", &json!({"t": "a"})).await, guest.make("owners", &json!({"t": "b"})).await);
    let batch = |owner: &Value, count: usize| {
        let items: Vec<_> = (0..count).map(|_| json!({"owner": owner["id"]})).collect();
        json!({"records": items})
    };
    let path = format!("{}/batch", records("pets"));
    let mut ids = Vec::new();
    for (owner, count) in [(&gone, 90), (&gone, 90), (&kept, 2)] {
        let made = admin.post(&path, &batch(owner, count)).await.expect(201).json();
        ids.push(made["records"].as_array().unwrap().iter().map(|pet| pet["id"].clone()).collect::<Vec<_>>());
    }
    let mixed = [&ids[0][..2], &ids[2][..1], &ids[1][..1], &ids[2][1..]].concat();
    let visit = guest.make("visits", &json!({"pets": mixed})).await;
    let other = guest.make("visits", &json!({"pets": ids[2]})).await;
    let last = guest.make("visits", &json!({"pets": [ids[0][5]]})).await;
    guest.delete(&record("owners", &gone["id"])).await.expect(204);

    assert_eq!(guest.list("pets", &[]).await.expect(200).json()["total"], 2);
    let after = async |visit: &Value| guest.get(&record("visits", &visit["id"])).await.expect(200).json();
    assert_eq!(after(&visit).await["data"]["pets"], json!(ids[2]), "in their order");
    assert_eq!(after(&other).await, other);
    assert_eq!(after(&last).await["data"]["pets"], json!([]));
}

/// The engine bounds how deep a condition may nest, and a long list was one level an item.
async fn a_filter_may_name_as_many_values_as_it_may(product: &Product) {
    product.admin().await.collection(&open("notes", &json!([{"name": "title", "type": "text"}]))).await;
    let guest = product.guest();
    guest.make("notes", &json!({"title": "zebra"})).await;
    let found = [("?=", 0), ("?~", 1), ("?<", 0), ("?<=", 0), ("?>", 1), ("?>=", 1), ("?!=", 1), ("?!~", 0)];
    for (operator, total) in found {
        let filter = format!("title{operator}[{}]", vec!["z"; 1000].join(","));
        let answer = guest.list("notes", &[("filter", &filter)]).await;
        assert_eq!(answer.status, 200, "{operator}: {}", answer.json());
        assert_eq!(answer.json()["total"], total, "{operator}");
    }
}

/// Rules with many values, asked for again at every step of every condition.
async fn more_values_than_a_statement_takes_are_a_refusal(product: &Product) {
    let admin = product.admin().await;
    let numbers: Vec<String> = (0..900).map(|n| n.to_string()).collect();
    let rule: Vec<String> = numbers.chunks(300).map(|some| format!("n ?= [{}]", some.join(","))).collect();
    let mut before: Option<Value> = None;
    for name in ["gc", "gb", "ga", "gh"] {
        let mut fields = vec![json!({"name": "n", "type": "number"})];
        if let Some(target) = &before {
            fields.push(json!({"name": "r", "type": "relation", "relation": {"collection_id": target["id"]}}));
        }
        let mut definition = open(name, &Value::from(fields));
        definition["list_rule"] = json!(rule.join(" || "));
        before = Some(admin.collection(&definition).await);
    }
    let filter = vec!["r.r.r.n=5"; 30].join("||");
    let answer = product.guest().list("gh", &[("filter", &filter)]).await.refused(400, "invalid_filter");
    assert!(answer.json()["details"]["reason"].is_string(), "{}", answer.json());
    product.guest().list("gh", &[("filter", "r.r.r.n=5")]).await.expect(200);
}

/// D-54, everywhere: `PostgreSQL` has no text with a NUL in it.
async fn a_nul_is_refused_wherever_text_is_kept(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("ann").await;
    let rule = json!({"cidr": "203.0.113.9", "rule_type": "block", "reason": "a\u{0}b"});
    let roles = format!("/api/v1/admin/users/{}/roles", user.id);
    for (method, path, body) in [
        (Method::POST, "/api/v1/ip-rules", &rule),
        (Method::POST, "/api/v1/admin/ip-rules", &rule),
        (Method::PUT, roles.as_str(), &json!({"roles": ["a\u{0}b"]})),
        (Method::POST, "/api/v1/admin/roles", &json!({"name": "a\u{0}b", "permissions": []})),
        (Method::PATCH, "/api/v1/auth/me", &json!({"name": "a\u{0}b"})),
        (Method::POST, "/api/v1/api-keys", &json!({"name": "a\u{0}b"})),
        (Method::POST, "/api/v1/collections", &json!({"name": "things", "schema": [], "options": {"x": "a\u{0}b"}})),
        (Method::POST, "/api/v1/auth/unlock", &json!({"token": "a\u{0}b"})),
        (Method::POST, "/api/v1/auth/login", &json!({"email": "a\u{0}b@example.com", "password": PASSWORD})),
    ] {
        let answer = admin.call(method, path, Some(body)).await;
        assert!((400..500).contains(&answer.status.as_u16()), "{path}: {} {}", answer.status, answer.json());
    }
}
