//! Each limit of contract 16 that shows in process: what lies at it passes, one more is refused.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use crate::callers::{Admin, COLLECTIONS, Calls, collection_path, open, records, request};
use crate::on_both_engines;
use crate::product::{Answer, Product};

on_both_engines!(
    a_body_holds_a_mebibyte,
    a_body_is_sixty_four_deep,
    a_body_is_not_compressed,
    an_expression_has_4096_characters_64_levels_and_100_conditions,
    a_sort_has_five_fields,
    an_expansion_has_ten_paths_and_goes_three_deep,
    a_rule_sees_a_thousand_values_of_another_collection,
    a_page_has_a_hundred_records_and_a_window,
    many_are_a_hundred_at_once,
    a_select_has_two_hundred_values,
    a_schema_has_two_hundred_fields,
    a_url_has_sixteen_kibibytes,
    a_token_has_eight_kibibytes,
    there_are_a_thousand_collections,
);

async fn things(product: &Product) -> Admin<'_> {
    let admin = product.admin().await;
    admin.collection(&open("things", &json!([{"name": "title", "type": "text"}, {"name": "n", "type": "number"}, {"name": "any", "type": "json"}]))).await;
    admin
}

async fn post_raw(product: &Product, body: String) -> Answer {
    let mut sent = request(None, Method::POST, &records("things"), Some(&json!({})));
    *sent.body_mut() = Body::from(body);
    product.send(sent).await
}

async fn a_body_holds_a_mebibyte(product: &Product) {
    things(product).await;
    let body = |size: usize| {
        let frame = "{\"data\":{\"title\":\"\"}}".len();
        format!("{{\"data\":{{\"title\":\"{}\"}}}}", "a".repeat(size - frame))
    };
    post_raw(product, body(1 << 20)).await.expect(201);
    post_raw(product, body((1 << 20) + 1)).await.refused(413, "payload_too_large");
    let small = product.with(&[("MAX_BODY_SIZE", "2048")]).await;
    post_raw(&small, body(2048)).await.expect(201);
    post_raw(&small, body(2049)).await.refused(413, "payload_too_large");
    small.close().await;
    assert_eq!(
        product.guest().list("things", &[("skipTotal", "true"), ("fields", "n")]).await.expect(200).json()["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

async fn a_body_is_sixty_four_deep(product: &Product) {
    things(product).await;
    let body = |levels: usize| {
        let inner = levels - 2;
        format!("{{\"data\":{{\"any\":{}{}}}}}", "[".repeat(inner), "]".repeat(inner))
    };
    post_raw(product, body(64)).await.expect(201);
    let answer = post_raw(product, body(65)).await.refused(422, "validation_failed");
    assert!(answer.json()["details"]["body"].is_string(), "{}", answer.json());
    post_raw(product, body(500_000)).await.refused(422, "validation_failed");
}

async fn a_body_is_not_compressed(product: &Product) {
    things(product).await;
    for (encoding, status) in [("identity", 201), ("gzip", 415), ("br", 415), ("deflate", 415), ("identity, gzip", 415)]
    {
        let mut sent = request(None, Method::POST, &records("things"), Some(&json!({"data": {"n": 1}})));
        sent.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        assert_eq!(product.send(sent).await.status, status, "{encoding}");
    }
}

/// Expressions at the limits and past them, by what they are past.
fn expressions() -> (Vec<String>, Vec<(&'static str, String)>) {
    let long = |length: usize| format!("title = '{}'", "a".repeat(length - "title = ''".len()));
    let nested = |levels: usize| format!("{}n=1{}", "(".repeat(levels), ")".repeat(levels));
    let wide = |conditions: usize| vec!["n=1"; conditions].join("||");
    let at = vec![long(4096), nested(64), wide(100)];
    let past = vec![
        ("characters", long(4097)),
        ("levels", nested(65)),
        ("conditions", wide(101)),
        ("levels", "!(".repeat(65) + "n=1" + &")".repeat(65)),
    ];
    (at, past)
}

async fn an_expression_has_4096_characters_64_levels_and_100_conditions(product: &Product) {
    let admin = things(product).await;
    let collection = admin.get(&format!("{COLLECTIONS}/name/things")).await.expect(200).json();
    let (at, past) = expressions();
    for expression in at {
        product.guest().list("things", &[("filter", &expression)]).await.expect(200);
        admin.reshape(&collection, &json!({"view_rule": expression})).await;
    }
    for (what, expression) in past {
        let answer = product.guest().list("things", &[("filter", &expression)]).await.refused(400, "invalid_filter");
        assert!(answer.json()["details"]["position"].is_u64(), "{what}: {}", answer.json());
        let answer = admin
            .patch(&collection_path(&collection), &json!({"view_rule": expression}))
            .await
            .refused(422, "validation_failed");
        assert!(answer.json()["details"]["view_rule"].is_string(), "{what}: {}", answer.json());
    }
}

async fn a_sort_has_five_fields(product: &Product) {
    let admin = product.admin().await;
    let schema: Vec<Value> =
        ["a", "b", "c", "d", "e", "f"].iter().map(|name| json!({"name": name, "type": "number"})).collect();
    admin.collection(&open("wide", &json!(schema))).await;
    product.guest().list("wide", &[("sort", "a,-b,c,-d,e")]).await.expect(200);
    product.guest().list("wide", &[("sort", "a,-b,c,-d,e,f")]).await.refused(400, "invalid_sort");
}

async fn an_expansion_has_ten_paths_and_goes_three_deep(product: &Product) {
    let admin = product.admin().await;
    let links: Vec<Value> = (0..11)
        .map(|n| json!({"name": format!("l{n}"), "type": "relation", "relation": {"collection": "chain"}}))
        .collect();
    admin.collection(&open("chain", &json!(links))).await;
    let mut last = product.guest().make("chain", &json!({"l0": null})).await;
    for _ in 0..4 {
        last = product.guest().make("chain", &json!({"l0": last["id"], "l1": last["id"]})).await;
    }
    let paths = |count: usize| (0..count).map(|n| format!("l{n}")).collect::<Vec<_>>().join(",");
    product.guest().list("chain", &[("expand", &paths(10))]).await.expect(200);
    product.guest().list("chain", &[("expand", &paths(11))]).await.refused(400, "invalid_expand");
    let path = crate::callers::record("chain", &last["id"]);
    let deep = product.guest().get(&format!("{path}?expand=l0.l0.l0")).await.expect(200).json();
    assert!(deep["expand"]["l0"]["expand"]["l0"]["expand"]["l0"]["id"].is_string(), "{deep}");
    product.guest().get(&format!("{path}?expand=l0.l0.l0.l0")).await.refused(400, "invalid_expand");
}

/// Past the limit nobody knows whether the value would have been among them: the rule refuses, also under negation.
async fn a_rule_sees_a_thousand_values_of_another_collection(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("listed").await;
    admin.collection(&json!({"name": "listed", "schema": [{"name": "account", "type": "text"}]})).await;
    let mut definition = open("things", &json!([{"name": "n", "type": "number"}]));
    definition["list_rule"] = json!("@collection.listed.account ?= @request.auth.id");
    definition["view_rule"] = json!("!(@collection.listed.account ?= @request.auth.id)");
    admin.collection(&definition).await;
    let thing = user.make("things", &json!({"n": 1})).await;
    let path = crate::callers::record("things", &thing["id"]);
    let fill = |from: usize, count: usize| {
        let rows: Vec<Value> = (from..from + count).map(|n| json!({"account": format!("a{n}")})).collect();
        json!({"records": rows})
    };
    for round in 0..9 {
        admin.post(&format!("{}/batch", records("listed")), &fill(round * 100, 100)).await.expect(201);
    }
    admin.post(&format!("{}/batch", records("listed")), &fill(900, 99)).await.expect(201);
    user.get(&path).await.expect(200);
    admin.make("listed", &json!({"account": user.id})).await;
    assert_eq!(user.list("things", &[]).await.expect(200).json()["total"], 1, "a thousand values");
    user.get(&path).await.refused(404, "not_found");
    let last = admin.make("listed", &json!({"account": "one more"})).await;
    let listed = user.list("things", &[]).await;
    assert!(listed.status == 403 || listed.json()["total"] == 0, "{}", listed.json());
    user.get(&path).await.refused(404, "not_found");
    admin.delete(&crate::callers::record("listed", &last["id"])).await.expect(204);
    assert_eq!(user.list("things", &[]).await.expect(200).json()["total"], 1);
}

async fn a_page_has_a_hundred_records_and_a_window(product: &Product) {
    let admin = things(product).await;
    let rows: Vec<Value> = (0..100).map(|n| json!({"n": n})).collect();
    admin.post(&format!("{}/batch", records("things")), &json!({"records": rows})).await.expect(201);
    admin.make("things", &json!({"n": 100})).await;
    let guest = product.guest();
    let page = guest.list("things", &[("per_page", "100")]).await.expect(200).json();
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["total"], &page["total_pages"]),
        (100, &json!(101), &json!(2))
    );
    guest.list("things", &[("per_page", "101")]).await.refused(422, "validation_failed");
    for (page, per_page, status) in [
        ("100000", "100", 200),
        ("100001", "100", 422),
        ("10000000", "1", 200),
        ("10000001", "1", 422),
        ("5000001", "2", 422),
    ] {
        let answer = guest.list("things", &[("page", page), ("per_page", per_page)]).await;
        assert_eq!(answer.status, status, "{page} × {per_page}: {}", answer.json());
    }
    admin.get(&format!("{COLLECTIONS}?per_page=200")).await.expect(200);
    admin.get(&format!("{COLLECTIONS}?per_page=201")).await.refused(422, "validation_failed");
}

async fn many_are_a_hundred_at_once(product: &Product) {
    let admin = things(product).await;
    let path = records("things");
    let records = |count: usize| json!({"records": vec![json!({"n": 1}); count]});
    for verb in ["batch", "upsert"] {
        admin.post(&format!("{path}/{verb}"), &records(0)).await.refused(422, "validation_failed");
        admin.post(&format!("{path}/{verb}"), &records(101)).await.refused(400, "batch_too_large");
        let done = admin.post(&format!("{path}/{verb}"), &records(100)).await;
        assert_eq!(done.json()["created"], 100, "{verb}");
    }
    let unknown = "018f0000-0000-7000-8000-000000000000";
    for (verb, rest) in [("bulk-update", json!({"data": {"n": 2}})), ("bulk-delete", json!({}))] {
        for (count, status) in [(0, 422), (100, 200), (101, 400)] {
            let mut body = rest.clone();
            body["record_ids"] = json!(vec![unknown; count]);
            let answer = admin.post(&format!("{path}/{verb}"), &body).await;
            assert_eq!(answer.status, status, "{verb} of {count}: {}", answer.json());
        }
    }
    assert_eq!(admin.list("things", &[]).await.expect(200).json()["total"], 200);
}

async fn a_select_has_two_hundred_values(product: &Product) {
    let admin = product.admin().await;
    let select = |count: usize| {
        let values: Vec<String> = (0..count).map(|n| format!("v{n}")).collect();
        json!([{"name": "f", "type": "select", "select": {"values": values, "max_select": 200}}])
    };
    admin.collection(&open("full", &select(200))).await;
    product.guest().make("full", &json!({"f": (0..200).map(|n| format!("v{n}")).collect::<Vec<_>>()})).await;
    let answer = admin.post(COLLECTIONS, &open("over", &select(201))).await.refused(422, "validation_failed");
    assert!(answer.json()["details"]["schema.0.select.values"].is_string(), "{}", answer.json());
}

async fn a_schema_has_two_hundred_fields(product: &Product) {
    let admin = product.admin().await;
    let schema = |count: usize| {
        Value::from((0..count).map(|n| json!({"name": format!("f{n}"), "type": "text"})).collect::<Vec<_>>())
    };
    let full = admin.collection(&open("full", &schema(200))).await;
    let made = product.guest().make("full", &json!({"f0": "first", "f199": "last"})).await;
    assert_eq!(made["data"].as_object().unwrap().len(), 200);
    assert_eq!(product.guest().list("full", &[("search", "LAST")]).await.expect(200).json()["total"], 1);
    for answer in [
        admin.post(COLLECTIONS, &open("over", &schema(201))).await,
        admin.patch(&collection_path(&full), &json!({"schema": schema(201)})).await,
    ] {
        assert!(answer.refused(422, "validation_failed").json()["details"]["schema"].is_string());
    }
}

async fn a_url_has_sixteen_kibibytes(product: &Product) {
    things(product).await;
    let path = |length: usize| {
        let start = format!("{}?search=", records("things"));
        format!("{start}{}", "a".repeat(length - start.len()))
    };
    product.guest().get(&path(16 * 1024)).await.expect(200);
    product.guest().get(&path(16 * 1024 + 1)).await.refused(414, "uri_too_long");
}

async fn a_token_has_eight_kibibytes(product: &Product) {
    things(product).await;
    for length in [8 * 1024, 8 * 1024 + 1, 20 * 1024] {
        let sent = request(Some(&"a".repeat(length)), Method::GET, &records("things"), None);
        product.send(sent).await.refused(401, "invalid_token");
    }
}

async fn there_are_a_thousand_collections(product: &Product) {
    let admin = product.admin().await;
    let bodies: Vec<Value> = (0..1000).map(|n| json!({"name": format!("c{n}")})).collect();
    for chunk in bodies.chunks(8) {
        for answer in futures_util::future::join_all(chunk.iter().map(|body| admin.post(COLLECTIONS, body))).await {
            answer.expect(201);
        }
    }
    admin.post(COLLECTIONS, &json!({"name": "over"})).await.refused(422, "validation_failed");
    assert_eq!(admin.get(&format!("{COLLECTIONS}?per_page=1")).await.expect(200).json()["total"], 1000);
}
