//! What a rule reads of a request and of the stored record, and what it does when it cannot be evaluated (contract 7.4).

use serde_json::{Value, json};

use crate::callers::{Admin, Bearer, COLLECTIONS, Calls, collection_path, open, record, records, request};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

on_both_engines!(
    data_cannot_change_what_a_rule_means,
    a_create_rule_sees_the_data_alone,
    an_update_rule_sees_both_sides,
    a_rule_sees_the_request,
    a_rule_sees_the_values_of_another_collection,
    a_rule_that_cannot_be_evaluated_refuses_also_under_negation,
    a_manage_rule_opens_all_system_fields_but_the_role,
);

/// A collection of one text field `kind` and one number `n` under the given rules, open where nothing is said.
async fn under(admin: &Admin<'_>, name: &str, rules: &Value) -> Value {
    let mut definition = open(name, &json!([{"name": "kind", "type": "text"}, {"name": "n", "type": "number"}]));
    for (rule, text) in rules.as_object().unwrap() {
        definition[rule] = text.clone();
    }
    admin.collection(&definition).await
}

/// D-12.
async fn data_cannot_change_what_a_rule_means(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let rules = json!({"create_rule": "@request.data.kind = 'public'", "update_rule": "kind = 'open'", "list_rule": "kind = 'x'"});
    under(&admin, "things", &rules).await;
    guest.make("things", &json!({"kind": "public"})).await;
    for kind in [
        "x' or 'a",
        "public' || 'a' = 'a",
        "x\" || \"\" = \"",
        "' OR 1=1 --",
        "\\' || true || \\'",
        "@request.data.kind",
        "%",
        "PUBLIC",
        "public\u{200b}",
    ] {
        guest.create("things", &json!({"kind": kind})).await.refused(401, "authentication_required");
        let stored = admin.make("things", &json!({"kind": kind})).await;
        guest.change("things", &stored["id"], &json!({"n": 1})).await.refused(401, "authentication_required");
        assert_eq!(stored["data"]["kind"], kind);
        assert_eq!(
            guest
                .list("things", &[("filter", &format!("kind = \"{}\"", kind.replace(['\\', '"'], "")))])
                .await
                .expect(200)
                .json()["total"],
            0
        );
    }
    for id in ["x' or 'z", "' || ''='"] {
        let path = format!(
            "{}/{}",
            records("things"),
            url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>()
        );
        guest.get(&path).await.refused(404, "not_found");
    }
    let open = admin.make("things", &json!({"kind": "open"})).await;
    guest.change("things", &open["id"], &json!({"n": 1})).await.expect(200);
    assert_eq!(guest.list("things", &[]).await.expect(200).json()["total"], 0);
}

async fn a_create_rule_sees_the_data_alone(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let things =
        under(&admin, "things", &json!({"create_rule": "@request.data.n > 5 && @request.data.kind:isset = true"}))
            .await;
    guest.make("things", &json!({"n": 6, "kind": "k"})).await;
    for data in [json!({"n": 5, "kind": "k"}), json!({"n": 6}), json!({"kind": "k"}), json!({"n": null, "kind": "k"})] {
        guest.create("things", &data).await.refused(401, "authentication_required");
    }
    // There is no stored record: a field is what is sent for it, and nothing can have changed.
    guest.make("things", &json!({"n": 9, "kind": "public"})).await;
    for rule in ["kind = 'public'", "@record.kind = 'public'"] {
        admin.reshape(&things, &json!({"create_rule": rule})).await;
        guest.make("things", &json!({"kind": "public"})).await;
        for data in [json!({"kind": "private"}), json!({"kind": null}), json!({"n": 9})] {
            guest.create("things", &data).await.refused(401, "authentication_required");
        }
    }
    for rule in ["kind:changed = true", "@record.kind:changed = true"] {
        let answer = admin.patch(&collection_path(&things), &json!({"create_rule": rule})).await;
        let details = answer.refused(422, "validation_failed").json()["details"].clone();
        assert!(details["create_rule"].is_string(), "{rule}: {details}");
    }
    for rule in ["@request.data.kind = 'x'", "@request.data.kind:isset = true"] {
        let answer = admin.patch(&collection_path(&things), &json!({"list_rule": rule})).await;
        assert!(
            answer.status == 422 || guest.list("things", &[]).await.expect(200).json()["total"] == 0,
            "there is no data in a list: {rule}"
        );
    }
}

async fn an_update_rule_sees_both_sides(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    for (rule, change, allowed) in [
        ("kind = 'draft'", json!({"kind": "final"}), true),
        ("@record.kind = 'draft'", json!({"kind": "final"}), true),
        ("kind = 'final'", json!({"kind": "final"}), false),
        ("@request.data.kind = 'final'", json!({"kind": "final"}), true),
        ("@request.data.kind = 'draft'", json!({"kind": "final"}), false),
        ("kind:changed = false", json!({"n": 2}), true),
        ("kind:changed = false", json!({"kind": "draft"}), true),
        ("kind:changed = false", json!({"kind": "final"}), false),
        ("@record.n:changed = true", json!({"n": 2}), true),
        ("@request.data.kind:isset = false", json!({"n": 2}), true),
        ("@request.data.kind:isset = false", json!({"kind": "draft"}), false),
        ("@request.data.n > n", json!({"n": 2}), true),
        ("@request.data.n > n", json!({"n": 0}), false),
    ] {
        let things = under(&admin, "things", &json!({"update_rule": rule})).await;
        let made = guest.make("things", &json!({"kind": "draft", "n": 1})).await;
        let answer = guest.change("things", &made["id"], &change).await;
        let expected = if allowed { 200 } else { 401 };
        assert_eq!(answer.status.as_u16(), expected, "{rule} with {change}: {}", answer.json());
        admin.delete(&collection_path(&things)).await.expect(204);
    }
}

async fn a_rule_sees_the_request(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let things = under(&admin, "things", &json!({})).await;
    let rule = |text: &'static str| {
        let (admin, things) = (&admin, &things);
        async move { admin.reshape(things, &json!({"list_rule": text})).await }
    };
    guest.make("things", &json!({"kind": "a"})).await;
    let total = |answer: crate::product::Answer| answer.expect(200).json()["total"].clone();

    guest.list("things", &[("key", "open")]).await.refused(400, "unknown_parameter");
    rule("@request.query.key = 'open'").await;
    assert_eq!(total(guest.list("things", &[("key", "open")]).await), 1, "a name that a rule reads is known");
    assert_eq!(total(guest.list("things", &[("key", "shut")]).await), 0);
    assert_eq!(total(guest.list("things", &[]).await), 0);
    guest.list("things", &[("other", "open")]).await.refused(400, "unknown_parameter");

    rule("@request.headers.x-shop = 'berlin'").await;
    let mut sent = request(None, http::Method::GET, &records("things"), None);
    sent.headers_mut().insert("X-Shop", "berlin".parse().unwrap());
    assert_eq!(total(product.send(sent).await), 1);
    assert_eq!(total(guest.list("things", &[]).await), 0);

    rule("@request.method = 'GET' && @request.context = 'default'").await;
    assert_eq!(total(guest.list("things", &[]).await), 1);
    rule("@request.method = 'POST'").await;
    assert_eq!(total(guest.list("things", &[]).await), 0);
    rule("created <= @now && kind ~ 'A'").await;
    assert_eq!(total(guest.list("things", &[]).await), 1);
    for secret in ["@request.headers.authorization = 'x'", "@request.headers.cookie = 'x'"] {
        let answer = admin.patch(&collection_path(&things), &json!({"list_rule": secret})).await;
        if answer.status == 200 {
            let bearer = product.user(if secret.contains("cookie") { "a" } else { "b" }).await;
            assert_eq!(total(bearer.list("things", &[]).await), 0);
        }
    }
}

async fn a_rule_sees_the_values_of_another_collection(product: &Product) {
    let admin = product.admin().await;
    let user = product.user("editor").await;
    let other = product.user("reader").await;
    admin.collection(&json!({"name": "editors", "schema": [{"name": "account", "type": "text"}]})).await;
    under(&admin, "things", &json!({"create_rule": "@request.auth.id ?= @collection.editors.account", "list_rule": "@collection.editors.account ?= @request.auth.id"})).await;
    user.create("things", &json!({"kind": "a"})).await.refused(403, "forbidden");
    admin.make("editors", &json!({"account": user.id})).await;
    user.make("things", &json!({"kind": "a"})).await;
    other.create("things", &json!({"kind": "a"})).await.refused(403, "forbidden");
    assert_eq!(user.list("things", &[]).await.expect(200).json()["total"], 1);
    assert_eq!(other.list("things", &[]).await.expect(200).json()["total"], 0);
    for rule in
        ["@collection.nowhere.account = 'x'", "@collection.editors.nope = 'x'", "@collection.users.password = 'x'"]
    {
        let things = admin.get(&format!("{COLLECTIONS}/name/things")).await.expect(200).json();
        admin.patch(&collection_path(&things), &json!({"view_rule": rule})).await.refused(422, "validation_failed");
    }
}

async fn a_rule_that_cannot_be_evaluated_refuses_also_under_negation(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    for rule in [
        "@request.data.extra > 5",
        "!(@request.data.extra > 5)",
        "@request.data.extra > 5 || kind = 'a'",
        "!(@request.data.extra > 5) || 1 = 1",
    ] {
        let schema = json!([{"name": "kind", "type": "text"}, {"name": "extra", "type": "json"}]);
        let mut definition = open("things", &schema);
        definition["update_rule"] = json!(rule);
        let things = admin.collection(&definition).await;
        let made = guest.make("things", &json!({"kind": "a"})).await;
        for extra in [json!("text"), json!([1]), json!({"a": 1}), json!(true)] {
            let answer = guest.change("things", &made["id"], &json!({"extra": extra})).await;
            assert_eq!(answer.status.as_u16(), 401, "{rule} with {extra}: {}", answer.json());
        }
        admin.delete(&collection_path(&things)).await.expect(204);
    }
}

async fn a_manage_rule_opens_all_system_fields_but_the_role(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let members = admin.collection(&json!({
        "name": "members", "type": "auth", "schema": [{"name": "nick", "type": "text"}],
        "list_rule": "", "view_rule": "", "create_rule": "", "update_rule": "id = @request.auth.id || @request.auth.collection = 'users'",
        "manage_rule": "@request.auth.collection = 'users'",
    })).await;
    let body = json!({"email": "m@example.com", "password": PASSWORD});
    let joined = guest.post(&format!("{COLLECTIONS}/members/auth/register"), &body).await.expect(201).json();
    let member = Bearer { product, token: text(&joined["token"]["access_token"]) };
    let id = &joined["user"]["id"];
    let manager = product.user("manager").await;

    member.change("members", id, &json!({"nick": "m"})).await.expect(200);
    for own in [
        json!({"email": "n@example.com"}),
        json!({"verified": true}),
        json!({"password": "Another-Horse8-staple"}),
        json!({"role": "admin"}),
    ] {
        let answer = member.change("members", id, &own).await;
        assert!([403, 422].contains(&answer.status.as_u16()), "{own}: {}", answer.json());
    }
    for managed in
        [json!({"email": "n@example.com"}), json!({"verified": true}), json!({"password": "Another-Horse8-staple"})]
    {
        manager.change("members", id, &managed).await.expect(200);
    }
    let refused = manager.change("members", id, &json!({"role": "admin"})).await;
    assert!([403, 422].contains(&refused.status.as_u16()), "{}", refused.json());
    let stored = admin.get(&record("members", id)).await.expect(200).json();
    assert_eq!(
        (&stored["data"]["email"], &stored["data"]["verified"], &stored["data"]["role"]),
        (&json!("n@example.com"), &json!(true), &Value::Null)
    );
    let login = json!({"email": "n@example.com", "password": "Another-Horse8-staple"});
    guest.post(&format!("{COLLECTIONS}/members/auth/login"), &login).await.expect(200);
    assert_eq!(
        admin.change("members", id, &json!({"role": "editor"})).await.expect(200).json()["data"]["role"],
        "editor"
    );
    assert_eq!(members["type"], "auth");
}
