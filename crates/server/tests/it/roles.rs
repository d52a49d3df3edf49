//! Roles: a permission opens its operations and no others, nobody gives what they do not hold, and what a role gives ends with it.

mod matrix;
mod others;

use http::Method;
use serde_json::{Value, json};

use crate::callers::{Admin, Bearer, Calls, User};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_role_counts_from_the_next_request_and_ends_with_it,
    nobody_gives_or_takes_what_they_do_not_hold,
    who_holds_less_does_nothing_to_who_holds_more,
    a_role_makes_no_admin,
    records_and_files_of_others_open_with_their_permission_alone,
    a_key_carries_its_owners_roles_and_somebody_in_their_place_does_not,
    roles_are_held_against_their_rules,
);

const ROLES: &str = "/api/v1/admin/roles";

/// Makes a role of these permissions; its id.
pub async fn role(admin: &Admin<'_>, name: &str, permissions: &[&str]) -> String {
    let made = admin.post(ROLES, &json!({"name": name, "permissions": permissions})).await.expect(201).json();
    text(&made["id"])
}

/// Gives a user exactly these roles.
pub async fn give(admin: &Admin<'_>, user: &str, roles: &[&str]) {
    let path = format!("/api/v1/admin/users/{user}/roles");
    admin.call(Method::PUT, &path, Some(&json!({"roles": roles}))).await.expect(200);
}

/// A user who holds these permissions by a role of their own.
pub async fn holder<'p>(product: &'p Product, admin: &Admin<'_>, name: &str, permissions: &[&str]) -> User<'p> {
    let user = product.user(name).await;
    let id = role(admin, name, permissions).await;
    give(admin, &user.id, &[&id]).await;
    user
}

async fn put(caller: &impl Calls, path: &str, body: &Value) -> crate::product::Answer {
    caller.call(Method::PUT, path, Some(body)).await
}

async fn a_role_counts_from_the_next_request_and_ends_with_it(product: &Product) {
    let admin = product.admin().await;
    let anna = product.user("anna").await;
    let node = product.with(&[]).await;
    let elsewhere = Bearer { product: &node, token: anna.token.clone() };
    anna.get("/api/v1/audit").await.refused(403, "forbidden");
    elsewhere.get("/api/v1/audit").await.refused(403, "forbidden");

    let auditor = role(&admin, "Auditor", &["audit:read"]).await;
    give(&admin, &anna.id, &[&auditor]).await;
    anna.get("/api/v1/audit").await.expect(200);
    product.clock.advance_seconds(5);
    elsewhere.get("/api/v1/audit").await.expect(200);

    // Another set of permissions in the same role.
    let path = format!("{ROLES}/{auditor}");
    admin.patch(&path, &json!({"permissions": ["logs:read"]})).await.expect(200);
    anna.get("/api/v1/audit").await.refused(403, "forbidden");
    anna.get("/api/v1/logs").await.expect(200);
    let listed = admin.get(ROLES).await.expect(200).json();
    assert_eq!((&listed["total"], &listed["items"][0]["users"]), (&json!(1), &json!(1)));
    assert_eq!(listed["items"][0]["permissions"], json!(["logs:read"]));

    admin.delete(&path).await.expect(204);
    anna.get("/api/v1/logs").await.refused(403, "forbidden");
    admin.delete(&path).await.refused(404, "not_found");
    node.close().await;
}

async fn nobody_gives_or_takes_what_they_do_not_hold(product: &Product) {
    let admin = product.admin().await;
    let clerk = holder(product, &admin, "clerk", &["roles:read", "roles:write", "users:read"]).await;
    let anna = product.user("anna").await;
    let of_anna = format!("/api/v1/admin/users/{}/roles", anna.id);

    let more = json!({"name": "More", "permissions": ["users:read", "keys:rotate"]});
    clerk.post(ROLES, &more).await.refused(403, "forbidden");
    let readers =
        clerk.post(ROLES, &json!({"name": "Readers", "permissions": ["users:read"]})).await.expect(201).json();
    let readers = text(&readers["id"]);
    let grown = json!({"permissions": ["users:read", "audit:read"]});
    clerk.patch(&format!("{ROLES}/{readers}"), &grown).await.refused(403, "forbidden");

    let keepers = role(&admin, "Keepers", &["keys:read"]).await;
    clerk.patch(&format!("{ROLES}/{keepers}"), &json!({"permissions": []})).await.refused(403, "forbidden");
    clerk.delete(&format!("{ROLES}/{keepers}")).await.refused(403, "forbidden");
    put(&clerk, &of_anna, &json!({"roles": [keepers]})).await.refused(403, "forbidden");
    put(&clerk, &of_anna, &json!({"roles": [readers]})).await.expect(200);
    anna.get("/api/v1/admin/users").await.expect(200);

    // Nor from somebody who holds more, nor to oneself.
    give(&admin, &anna.id, &[&keepers]).await;
    put(&clerk, &of_anna, &json!({"roles": []})).await.refused(403, "forbidden");
    let of_clerk = format!("/api/v1/admin/users/{}/roles", clerk.id);
    put(&clerk, &of_clerk, &json!({"roles": [readers]})).await.refused(400, "self_action");
}

async fn who_holds_less_does_nothing_to_who_holds_more(product: &Product) {
    let admin = product.admin().await;
    let all = ["users:read", "users:write", "users:impersonate"];
    let clerk = holder(product, &admin, "clerk", &all).await;
    let anna = product.user("anna").await;
    let peer = holder(product, &admin, "peer", &["users:read"]).await;
    let above = holder(product, &admin, "above", &["users:read", "audit:read"]).await;
    let reason = json!({"reason": "a look"});
    for target in [&admin.id, &above.id] {
        let user = format!("/api/v1/admin/users/{target}");
        for (method, path, body) in [
            (Method::PATCH, user.clone(), Some(json!({"name": "x"}))),
            (Method::PATCH, user.clone(), Some(json!({"password": "Another-Horse8-staple"}))),
            (Method::PATCH, user.clone(), Some(json!({"disabled": true}))),
            (Method::POST, format!("{user}/unlock"), None),
            (Method::DELETE, format!("{user}/sessions"), None),
            (Method::POST, format!("{user}/impersonate"), Some(reason.clone())),
            (Method::DELETE, user.clone(), None),
        ] {
            let answer = clerk.call(method.clone(), &path, body.as_ref()).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden"), "{method} {path}");
        }
        clerk.get(&user).await.expect(200);
    }
    for target in [&anna.id, &peer.id] {
        let user = format!("/api/v1/admin/users/{target}");
        clerk.patch(&user, &json!({"name": "x"})).await.expect(200);
        clerk.delete(&format!("{user}/sessions")).await.expect(204);
        clerk.post(&format!("{user}/impersonate"), &reason).await.expect(200);
        clerk.delete(&user).await.expect(204);
    }
}

async fn a_role_makes_no_admin(product: &Product) {
    let admin = product.admin().await;
    let every: Vec<&str> = fastcms_core::access::Permission::ALL.iter().map(|one| one.name()).collect();
    let mighty = holder(product, &admin, "mighty", &every).await;
    let anna = product.user("anna").await;
    let user = format!("/api/v1/admin/users/{}", anna.id);
    mighty.patch(&format!("{user}/role?role=admin"), &json!({})).await.refused(403, "forbidden");
    mighty.patch(&user, &json!({"role": "admin"})).await.refused(403, "forbidden");
    let second = json!({"email": "s@example.com", "password": crate::process::PASSWORD, "password_confirm": crate::process::PASSWORD});
    mighty.post("/api/v1/admin/users?role=admin", &second).await.refused(403, "forbidden");
    mighty.post("/api/v1/admin/users", &second).await.expect(201);
    assert_eq!(mighty.get("/api/v1/auth/me").await.expect(200).json()["role"], "user");
}

async fn records_and_files_of_others_open_with_their_permission_alone(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "closed", "schema": [{"name": "title", "type": "text"}]})).await;
    let made = admin.make("closed", &json!({"title": "a"})).await;
    let reader = holder(product, &admin, "reader", &["records:read"]).await;
    let writer = holder(product, &admin, "writer", &["records:write"]).await;
    let nobody = product.user("nobody").await;

    reader.get("/api/v1/collections/closed/records?filter=title%20%3D%20%22a%22").await.expect(200);
    reader.create("closed", &json!({"title": "b"})).await.refused(403, "forbidden");
    reader.change("closed", &made["id"], &json!({"title": "b"})).await.refused(403, "forbidden");
    writer.get("/api/v1/collections/closed/records").await.refused(403, "forbidden");
    writer.change("closed", &made["id"], &json!({"title": "b"})).await.expect(200);
    writer.create("closed", &json!({"title": "c"})).await.expect(201);
    for path in ["/api/v1/collections/closed/records", "/api/v1/collections", "/api/v1/files"] {
        nobody.get(path).await.refused(403, "forbidden");
    }
    reader.get("/api/v1/collections").await.refused(403, "forbidden");

    // A document with records wants both.
    let id = text(&admin.get("/api/v1/collections/name/closed").await.expect(200).json()["id"]);
    let schemes = holder(product, &admin, "schemes", &["collections:read"]).await;
    schemes.get(&format!("/api/v1/collections/{id}/export")).await.expect(200);
    schemes.get(&format!("/api/v1/collections/{id}/export?include_data=true")).await.refused(403, "forbidden");
}

async fn a_key_carries_its_owners_roles_and_somebody_in_their_place_does_not(product: &Product) {
    let admin = product.admin().await;
    let auditor = holder(product, &admin, "auditor", &["audit:read"]).await;
    let key = crate::api_keys::make(&auditor, &json!({"name": "k"})).await;
    let program = crate::callers::Program { product, key: text(&key["key"]) };
    program.get("/api/v1/audit").await.expect(200);
    program.get("/api/v1/logs").await.refused(403, "forbidden");
    let narrow = crate::api_keys::make(&auditor, &json!({"name": "k", "scopes": "records:read"})).await;
    let narrow = crate::callers::Program { product, key: text(&narrow["key"]) };
    narrow.get("/api/v1/audit").await.refused(403, "insufficient_scope");

    let act = format!("/api/v1/admin/users/{}/impersonate", auditor.id);
    let acting = admin.post(&act, &json!({"reason": "r"})).await.expect(200).json();
    let acting = Bearer { product, token: text(&acting["access_token"]) };
    acting.get("/api/v1/audit").await.refused(403, "forbidden");

    give(&admin, &auditor.id, &[]).await;
    program.get("/api/v1/audit").await.refused(403, "forbidden");
}

async fn roles_are_held_against_their_rules(product: &Product) {
    let admin = product.admin().await;
    let one = role(&admin, "Editors", &["collections:read", "collections:read"]).await;
    admin.post(ROLES, &json!({"name": "editorS", "permissions": []})).await.refused(409, "already_exists");
    for wrong in [
        json!({"name": "", "permissions": []}),
        json!({"name": "  ", "permissions": []}),
        json!({"name": "x".repeat(101), "permissions": []}),
        json!({"name": "x", "permissions": ["users:everything"]}),
        json!({"name": "x"}),
    ] {
        admin.post(ROLES, &wrong).await.refused(422, "validation_failed");
    }
    let second = role(&admin, &"x".repeat(100), &[]).await;
    admin.patch(&format!("{ROLES}/{second}"), &json!({"name": "EDITORS"})).await.refused(409, "already_exists");
    admin.patch(&format!("{ROLES}/{one}"), &json!({"name": "Editors"})).await.expect(200);
    let anna = product.user("anna").await;
    let of_anna = format!("/api/v1/admin/users/{}/roles", anna.id);
    put(&admin, &of_anna, &json!({"roles": ["nobody-knows-it"]})).await.refused(422, "validation_failed");
    let nobody = "/api/v1/admin/users/01912345-0000-7000-8000-000000000001/roles";
    put(&admin, nobody, &json!({"roles": [one]})).await.refused(404, "not_found");
    let given = put(&admin, &of_anna, &json!({"roles": [one, one]})).await.expect(200).json();
    assert_eq!(given, json!({"roles": [{"id": one, "name": "Editors"}]}));
    let own = format!("/api/v1/admin/users/{}/roles", admin.id);
    put(&admin, &own, &json!({"roles": []})).await.refused(400, "self_action");
    // What a user held goes with the user.
    admin.delete(&format!("/api/v1/admin/users/{}", anna.id)).await.expect(204);
    assert_eq!(admin.get(ROLES).await.expect(200).json()["items"][0]["users"], 0);
    product.clock.advance_seconds(15 * 60 + 1);
    let late = json!({"name": "Late", "permissions": []});
    admin.post(ROLES, &late).await.refused(403, "insufficient_user_authentication");
}
