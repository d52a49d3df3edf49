//! Who may do what: every kind of caller at every kind of rule, and what a rule sees of a request (contract 7.4).

use serde_json::{Value, json};

use crate::callers::{Admin, Bearer, COLLECTIONS, Calls, Guest, User, collection_path, record, records, with_query};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

pub mod meaning;

on_both_engines!(
    every_caller_meets_the_rules_of_a_base_collection,
    every_caller_meets_the_rules_of_an_auth_collection,
    a_closed_collection_says_nothing_about_what_is_in_it,
    a_viewable_record_refuses_openly_and_another_is_not_found,
    rows_totals_and_pages_follow_the_list_rule,
    owner_rules_work_as_documented,
    nobody_has_no_role,
);

const OWN: &str = "owner = @request.auth.id";
const UNKNOWN: &str = "018f0000-0000-7000-8000-000000000000";

/// Everybody who may call, and who they are in the tests.
struct Cast<'p> {
    guest: Guest<'p>,
    other: User<'p>,
    owner: User<'p>,
    member: Bearer<'p>,
    member_id: String,
    admin: Admin<'p>,
}

async fn cast(product: &Product) -> Cast<'_> {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
    let body = json!({"email": "member@example.com", "password": PASSWORD});
    let member = product.guest().post(&format!("{COLLECTIONS}/members/auth/register"), &body).await.expect(201).json();
    Cast {
        guest: product.guest(),
        other: product.user("other").await,
        owner: product.user("owner").await,
        member_id: text(&member["user"]["id"]),
        member: Bearer { product, token: text(&member["token"]["access_token"]) },
        admin,
    }
}

/// What one caller gets under one rule: list (how many of the two records, or a refusal), then the statuses of get, create, update
/// and delete. The record asked for is the owner's; the other of the two is the member's.
type Row = (&'static str, Result<u64, u16>, u16, u16, u16, u16);

const NULL: [Row; 5] = [
    ("guest", Err(401), 401, 401, 401, 401),
    ("other", Err(403), 403, 403, 403, 403),
    ("owner", Err(403), 403, 403, 403, 403),
    ("member", Err(403), 403, 403, 403, 403),
    ("admin", Ok(2), 200, 201, 200, 204),
];
const EMPTY: [Row; 5] = [
    ("guest", Ok(2), 200, 201, 200, 204),
    ("other", Ok(2), 200, 201, 200, 204),
    ("owner", Ok(2), 200, 201, 200, 204),
    ("member", Ok(2), 200, 201, 200, 204),
    ("admin", Ok(2), 200, 201, 200, 204),
];
const OWNED: [Row; 6] = [
    ("guest", Ok(0), 404, 401, 404, 404),
    ("other", Ok(0), 404, 403, 404, 404),
    ("owner", Ok(1), 200, 201, 200, 204),
    ("member", Ok(1), 404, 403, 404, 404),
    ("member at home", Ok(1), 200, 201, 200, 204),
    ("admin", Ok(2), 200, 201, 200, 204),
];

async fn every_caller_meets_the_rules_of_a_base_collection(product: &Product) {
    every_caller_meets_the_rules(product, "base").await;
}

async fn every_caller_meets_the_rules_of_an_auth_collection(product: &Product) {
    every_caller_meets_the_rules(product, "auth").await;
}

async fn every_caller_meets_the_rules(product: &Product, kind: &str) {
    let cast = cast(product).await;
    let made = cast
        .admin
        .collection(&json!({"name": "things", "type": kind, "schema": [
            {"name": "owner", "type": "text"}, {"name": "title", "type": "text"},
        ]}))
        .await;
    let owned_create = "@request.data.owner = @request.auth.id";
    for (rule, create, table) in [
        (Value::Null, Value::Null, &NULL[..]),
        (json!(""), json!(""), &EMPTY[..]),
        (json!(OWN), json!(owned_create), &OWNED[..]),
    ] {
        let rules = json!({"list_rule": rule, "view_rule": rule, "create_rule": create, "update_rule": rule, "delete_rule": rule});
        cast.admin.reshape(&made, &rules).await;
        for row in table {
            let at = format!("{kind}, rule {rule}, {}", row.0);
            match row.0 {
                "guest" => check(&cast, kind, &cast.guest, &cast.owner.id, row, &at).await,
                "other" => check(&cast, kind, &cast.other, &cast.owner.id, row, &at).await,
                "owner" => check(&cast, kind, &cast.owner, &cast.owner.id, row, &at).await,
                "member" => check(&cast, kind, &cast.member, &cast.owner.id, row, &at).await,
                "member at home" => check(&cast, kind, &cast.member, &cast.member_id, row, &at).await,
                _ => check(&cast, kind, &cast.admin, &cast.owner.id, row, &at).await,
            }
        }
    }
}

/// New data of a record of `things` that belongs to `owner`.
fn thing(kind: &str, owner: &str) -> Value {
    let mut data = json!({"owner": owner, "title": "before"});
    if kind == "auth" {
        data["email"] = json!(format!("{}@example.com", uuid::Uuid::now_v7().simple()));
        data["password"] = json!(PASSWORD);
    }
    data
}

/// One caller at fresh records: one of the owner's, one of the member's, of which it asks for that of `of`.
async fn check(cast: &Cast<'_>, kind: &str, caller: &impl Calls, of: &str, row: &Row, at: &str) {
    let (_, list, get, create, update, delete) = *row;
    let mut asked = Value::Null;
    for owner in [&cast.owner.id, &cast.member_id] {
        let made = cast.admin.make("things", &thing(kind, owner)).await;
        if owner == of {
            asked = made["id"].clone();
        }
    }
    let listed = caller.list("things", &[]).await;
    match list {
        Ok(count) => {
            let page = listed.expect(200).json();
            assert_eq!(page["total"], count, "{at}: total");
            assert_eq!(page["items"].as_array().unwrap().len() as u64, count, "{at}: rows");
        }
        Err(status) => refused(&listed, status, &format!("{at}: list")),
    }
    let path = record("things", &asked);
    let change = json!({"title": "after"});
    refused(&caller.get(&path).await, get, &format!("{at}: get"));
    refused(&caller.create("things", &thing(kind, of)).await, create, &format!("{at}: create"));
    refused(&caller.change("things", &asked, &change).await, update, &format!("{at}: update"));
    let stored = cast.admin.get(&path).await.expect(200).json()["data"]["title"].clone();
    assert_eq!(stored, if update == 200 { "after" } else { "before" }, "{at}: what is stored");
    refused(&caller.delete(&path).await, delete, &format!("{at}: delete"));
    cast.admin.get(&path).await.expect(if delete == 204 { 404 } else { 200 });
    cast.admin.delete("/api/v1/collections/name/things/truncate").await.expect(200);
}

/// The status, and with a refusal the code that belongs to it.
#[track_caller]
fn refused(answer: &Answer, status: u16, at: &str) {
    let body = String::from_utf8_lossy(&answer.bytes);
    assert_eq!(answer.status.as_u16(), status, "{at}: {body}");
    let code = match status {
        401 => "authentication_required",
        403 => "forbidden",
        404 => "not_found",
        _ => return,
    };
    assert_eq!(answer.code(), code, "{at}: {body}");
}

async fn a_closed_collection_says_nothing_about_what_is_in_it(product: &Product) {
    let cast = cast(product).await;
    cast.admin.collection(&json!({"name": "vault", "schema": [{"name": "title", "type": "text"}]})).await;
    let inside = cast.admin.make("vault", &json!({"title": "secret"})).await;
    let change = json!({"title": "x"});
    let unknown = json!(UNKNOWN);
    for (caller, status) in [(None, 401), (Some(cast.other.token.clone()), 403), (Some(cast.member.token.clone()), 403)]
    {
        let mut answers = Vec::new();
        for id in [&inside["id"], &unknown, &json!("nonsense")] {
            let path = record("vault", id);
            let call = |method, body: Option<Value>| {
                let (caller, path) = (caller.clone(), path.clone());
                async move { crate::callers::call(product, caller.as_deref(), method, &path, body.as_ref()).await }
            };
            let mut of_this = Vec::new();
            for (method, body) in [
                (http::Method::GET, None),
                (http::Method::PATCH, Some(json!({"data": change}))),
                (http::Method::DELETE, None),
            ] {
                let answer = call(method, body).await;
                refused(&answer, status, &path);
                let mut body = answer.json();
                body["request_id"] = Value::Null;
                of_this.push((body, answer.header("www-authenticate").map(str::to_owned)));
            }
            answers.push(of_this);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }
    for parameters in
        [("filter", "title ~ 's'"), ("filter", "nope = 1"), ("sort", "nope"), ("search", "s"), ("fields", "nope")]
    {
        refused(&cast.guest.list("vault", &[parameters]).await, 401, parameters.1);
        refused(&cast.other.list("vault", &[parameters]).await, 403, parameters.1);
    }
    let wrong = json!({"data": {"nope": 1}});
    refused(&cast.guest.post(&records("vault"), &wrong).await, 401, "a body that is wrong");
    refused(&cast.other.post(&records("vault"), &wrong).await, 403, "a body that is wrong");
}

async fn a_viewable_record_refuses_openly_and_another_is_not_found(product: &Product) {
    let cast = cast(product).await;
    let posts = cast
        .admin
        .collection(&json!({
            "name": "posts", "schema": [{"name": "owner", "type": "text"}, {"name": "title", "type": "text"}],
            "list_rule": "", "view_rule": "", "create_rule": null, "update_rule": OWN, "delete_rule": OWN,
        }))
        .await;
    let post = cast.admin.make("posts", &json!({"owner": cast.owner.id, "title": "t"})).await;
    let change = json!({"title": "changed"});
    for (view, guest, other) in [("", 401, 403), (OWN, 404, 404)] {
        cast.admin.reshape(&posts, &json!({"view_rule": view})).await;
        refused(&cast.guest.change("posts", &post["id"], &change).await, guest, "guest updates");
        refused(&cast.other.change("posts", &post["id"], &change).await, other, "other updates");
        refused(&cast.member.change("posts", &post["id"], &change).await, other, "member updates");
        refused(&cast.guest.delete(&record("posts", &post["id"])).await, guest, "guest deletes");
        refused(&cast.other.delete(&record("posts", &post["id"])).await, other, "other deletes");
        refused(&cast.other.change("posts", &json!(UNKNOWN), &change).await, 404, "an unknown id");
        refused(&cast.guest.delete(&record("posts", &json!(UNKNOWN))).await, 404, "an unknown id");
    }
    assert_eq!(cast.admin.get(&record("posts", &post["id"])).await.expect(200).json(), post);
    cast.owner.change("posts", &post["id"], &change).await.expect(200);
    cast.owner.delete(&record("posts", &post["id"])).await.expect(204);
}

/// D-16, as far as lists go: items, totals, filters, search and skipped totals show own rows only.
async fn rows_totals_and_pages_follow_the_list_rule(product: &Product) {
    let cast = cast(product).await;
    let third = product.user("third").await;
    cast.admin.collection(&json!({
        "name": "notes", "schema": [{"name": "owner", "type": "text"}, {"name": "title", "type": "text"}], "list_rule": OWN, "view_rule": OWN,
    })).await;
    for (owner, count) in [(&cast.owner.id, 5), (&cast.other.id, 3), (&third.id, 1)] {
        for n in 0..count {
            cast.admin.make("notes", &json!({"owner": owner, "title": format!("note {n}")})).await;
        }
    }
    for (caller, count) in [(&cast.owner, 5_usize), (&cast.other, 3), (&third, 1)] {
        for parameters in [
            &[][..],
            &[("filter", "title ~ 'note'")],
            &[("search", "NOTE")],
            &[("filter", "title != 'x' || owner != 'y'")],
            &[("sort", "-title")],
        ] {
            let page = caller.list("notes", parameters).await.expect(200).json();
            assert_eq!(page["total"], count, "{parameters:?}");
            let items = page["items"].as_array().unwrap();
            assert_eq!(items.len(), count, "{parameters:?}");
            assert!(items.iter().all(|item| item["data"]["owner"] == json!(caller.id)), "{parameters:?}");
        }
        let page = caller.list("notes", &[("per_page", "2")]).await.expect(200).json();
        assert_eq!(page["total_pages"], count.div_ceil(2));
        let page = caller.list("notes", &[("skipTotal", "true")]).await.expect(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), count);
    }
    assert_eq!(cast.guest.list("notes", &[]).await.expect(200).json()["total"], 0);
    assert_eq!(cast.member.list("notes", &[]).await.expect(200).json()["total"], 0);
    assert_eq!(cast.admin.list("notes", &[]).await.expect(200).json()["total"], 9);
}

/// D-13.
async fn owner_rules_work_as_documented(product: &Product) {
    let cast = cast(product).await;
    cast.admin
        .collection(&json!({
            "name": "posts", "schema": [{"name": "owner", "type": "text"}],
            "list_rule": "@request.auth.id != ''", "view_rule": OWN, "create_rule": "@request.auth.id != ''",
        }))
        .await;
    let post = cast.owner.make("posts", &json!({"owner": cast.owner.id})).await;
    let path = record("posts", &post["id"]);
    cast.owner.get(&path).await.expect(200);
    refused(&cast.other.get(&path).await, 404, "another user");
    refused(&cast.guest.get(&path).await, 404, "nobody");
    cast.member.create("posts", &json!({"owner": "x"})).await.expect(201);
    refused(&cast.guest.create("posts", &json!({"owner": "x"})).await, 401, "nobody creates");
    assert_eq!(cast.other.list("posts", &[]).await.expect(200).json()["total"], 2);
    assert_eq!(cast.guest.list("posts", &[]).await.expect(200).json()["total"], 0);
    let emptied = cast.admin.make("posts", &json!({"owner": ""})).await;
    refused(&cast.guest.get(&record("posts", &emptied["id"])).await, 404, "nobody owns what nobody owns");
}

/// D-15.
async fn nobody_has_no_role(product: &Product) {
    let cast = cast(product).await;
    let posts = cast
        .admin
        .collection(&json!({
            "name": "posts", "schema": [{"name": "title", "type": "text"}], "list_rule": "@request.auth.role = 'user'",
        }))
        .await;
    cast.admin.make("posts", &json!({"title": "t"})).await;
    for (rule, guest, user) in [
        ("@request.auth.role = 'user'", 0, 1),
        ("@request.auth.role = ''", 0, 0),
        ("@request.auth.role = null", 1, 0),
        ("@request.auth.role != 'admin'", 1, 1),
        ("@request.auth.role ?= ['user', 'editor']", 0, 1),
        ("@request.auth.verified = true", 0, 0),
        ("@request.auth.collection = 'users'", 0, 1),
        ("@request.auth.email = 'other@example.com'", 0, 1),
    ] {
        cast.admin.reshape(&posts, &json!({"list_rule": rule})).await;
        assert_eq!(cast.guest.list("posts", &[]).await.expect(200).json()["total"], guest, "a guest under {rule}");
        assert_eq!(cast.other.list("posts", &[]).await.expect(200).json()["total"], user, "a user under {rule}");
    }
    cast.admin.reshape(&posts, &json!({"list_rule": "@request.auth.collection = 'members'"})).await;
    assert_eq!(cast.member.list("posts", &[]).await.expect(200).json()["total"], 1);
    assert_eq!(cast.other.list("posts", &[]).await.expect(200).json()["total"], 0);
    assert!(collection_path(&posts).ends_with(&text(&posts["id"])));
    let asked = with_query(&records("posts"), &[("page", "1")]);
    cast.member.get(&asked).await.expect(200);
}
