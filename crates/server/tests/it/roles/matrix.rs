//! Every route of admins × every permission. The rows are written by hand and compared with the list of operations, so that a new route
//! without a row fails; each is called with what it wants, so that the operation itself decides, not a fault of the request.

use fastcms::api::operations;
use fastcms_core::access::Permission;
use http::Method;
use serde_json::{Value, json};

use super::{ROLES, give, role};
use crate::callers::{Admin, Calls};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

on_both_engines!(a_permission_opens_its_operations_and_no_others, who_may_list_secrets_may_neither_use_nor_rotate_them);

/// Method, path, the permission that opens it (none: admins alone), and the statuses of one who comes in.
pub type Row = (&'static str, &'static str, Option<&'static str>, &'static [u16]);

/// In `{id}` stands an id that is nobody's, in `{user}` that of a user.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/admin/users", Some("users:read"), &[200]),
    ("GET", "/api/v1/admin/users/{id}", Some("users:read"), &[200]),
    ("GET", "/api/v1/admin/users/{id}/lock-status", Some("users:read"), &[200]),
    ("GET", "/api/v1/admin/users/{id}/sessions", Some("users:read"), &[200]),
    ("POST", "/api/v1/admin/users", Some("users:write"), &[201]),
    ("PATCH", "/api/v1/admin/users/{id}", Some("users:write"), &[200]),
    ("POST", "/api/v1/admin/users/{id}/unlock", Some("users:write"), &[200]),
    ("POST", "/api/v1/admin/users/{id}/password-reset", Some("users:write"), &[204, 400]),
    ("DELETE", "/api/v1/admin/users/{id}/sessions/{session}", Some("users:write"), &[404]),
    ("DELETE", "/api/v1/admin/users/{id}/sessions", Some("users:write"), &[204]),
    ("PATCH", "/api/v1/admin/users/{id}/role", None, &[200]),
    ("POST", "/api/v1/admin/users/{id}/impersonate", Some("users:impersonate"), &[200]),
    ("GET", "/api/v1/admin/impersonations", Some("users:impersonate"), &[200]),
    ("DELETE", "/api/v1/admin/impersonations/{id}", Some("users:impersonate"), &[404]),
    ("POST", "/api/v1/admin/users/{id}/impersonate/end", Some("users:impersonate"), &[204]),
    ("DELETE", "/api/v1/admin/users/{id}", Some("users:write"), &[204, 404]),
    ("GET", "/api/v1/admin/roles", Some("roles:read"), &[200]),
    ("POST", "/api/v1/admin/roles", Some("roles:write"), &[201]),
    ("PATCH", "/api/v1/admin/roles/{id}", Some("roles:write"), &[404]),
    ("DELETE", "/api/v1/admin/roles/{id}", Some("roles:write"), &[404]),
    ("PUT", "/api/v1/admin/users/{id}/roles", Some("roles:write"), &[200, 404]),
    ("GET", "/api/v1/admin/keys", Some("keys:read"), &[200]),
    ("POST", "/api/v1/admin/keys/rotate", Some("keys:rotate"), &[409]),
    ("GET", "/api/v1/admin/secrets", Some("secrets:list"), &[200]),
    ("POST", "/api/v1/admin/secrets/{name}/rotate", Some("secrets:rotate"), &[404, 409]),
    ("GET", "/api/v1/admin/limits", Some("limits:read"), &[200]),
    ("GET", "/api/v1/admin/metrics", Some("metrics:read"), &[200]),
    ("GET", "/api/v1/admin/metrics/prometheus", Some("metrics:read"), &[200]),
    ("GET", "/health/detailed", Some("metrics:read"), &[200]),
    ("GET", "/api/v1/admin/collections", Some("collections:read"), &[200]),
    ("DELETE", "/api/v1/admin/collections/{id}", Some("collections:write"), &[404]),
    ("GET", "/api/v1/admin/ip-rules", Some("ip_rules:read"), &[200]),
    ("POST", "/api/v1/admin/ip-rules", Some("ip_rules:write"), &[201]),
    ("DELETE", "/api/v1/admin/ip-rules/{id}", Some("ip_rules:write"), &[404]),
    ("GET", "/api/v1/ip-rules", Some("ip_rules:read"), &[200]),
    ("POST", "/api/v1/ip-rules", Some("ip_rules:write"), &[201]),
    ("DELETE", "/api/v1/ip-rules/{id}", Some("ip_rules:write"), &[404]),
    ("POST", "/api/v1/admin/users/{id}/password-reset", Some("users:write"), &[400]),
    ("POST", "/api/v1/admin/users/{id}/require-password-change", Some("users:write"), &[204, 404]),
    ("POST", "/api/v1/admin/users/require-password-change", None, &[]),
    ("GET", "/api/v1/admin/email/templates", Some("settings:read"), &[200]),
    ("GET", "/api/v1/admin/email/templates/{name}", Some("settings:read"), &[404]),
    ("PUT", "/api/v1/admin/email/templates/{name}", Some("settings:write"), &[404]),
    ("DELETE", "/api/v1/admin/email/templates/{name}", Some("settings:write"), &[404]),
    ("POST", "/api/v1/admin/email/templates/{name}/preview", Some("settings:write"), &[404]),
    ("GET", "/api/v1/admin/email/status", Some("settings:read"), &[200]),
    ("POST", "/api/v1/admin/email/test", Some("settings:write"), &[400]),
    ("GET", "/api/v1/settings", Some("settings:read"), &[200]),
    ("POST", "/api/v1/settings", Some("settings:write"), &[200]),
    ("GET", "/api/v1/settings/{name}", Some("settings:read"), &[404]),
    ("DELETE", "/api/v1/settings/{name}", Some("settings:write"), &[200]),
    ("GET", "/api/v1/audit", Some("audit:read"), &[200]),
    ("GET", "/api/v1/audit/security", Some("audit:read"), &[200]),
    ("GET", "/api/v1/audit/failed-logins", Some("audit:read"), &[200]),
    ("GET", "/api/v1/audit/user/{id}", Some("audit:read"), &[200]),
    ("GET", "/api/v1/audit/statistics", Some("audit:read"), &[200]),
    ("DELETE", "/api/v1/audit/cleanup", Some("audit:write"), &[200]),
    ("GET", "/api/v1/files", Some("files:read"), &[200]),
    ("GET", "/api/v1/logs", Some("logs:read"), &[200]),
    ("GET", "/api/v1/logs/statistics", Some("logs:read"), &[200]),
    ("POST", "/api/v1/logs/cleanup", Some("logs:write"), &[200]),
    ("GET", "/api/v1/collections", Some("collections:read"), &[200]),
    ("GET", "/api/v1/collections/{id}", Some("collections:read"), &[404]),
    ("GET", "/api/v1/collections/{id}/export", Some("collections:read"), &[404]),
    ("GET", "/api/v1/collections/name/{name}", Some("collections:read"), &[200]),
    ("GET", "/api/v1/collections/{id}/indexes", Some("collections:read"), &[404]),
    ("GET", "/api/v1/collections/{id}/indexes/{name}", Some("collections:read"), &[404]),
    ("POST", "/api/v1/collections", Some("collections:write"), &[201]),
    ("POST", "/api/v1/collections/import", Some("collections:write"), &[201]),
    ("PATCH", "/api/v1/collections/{id}", Some("collections:write"), &[404]),
    ("DELETE", "/api/v1/collections/{id}", Some("collections:write"), &[404]),
    ("DELETE", "/api/v1/collections/name/{name}/truncate", Some("collections:write"), &[200]),
    ("POST", "/api/v1/collections/{id}/indexes", Some("collections:write"), &[404]),
    ("DELETE", "/api/v1/collections/{id}/indexes/{name}", Some("collections:write"), &[404]),
];

const NOBODY: &str = "01912345-0000-7000-8000-000000000001";

/// What a route wants.
fn body(path: &str, unique: usize) -> Value {
    match path.strip_prefix("/api/v1/").unwrap_or(path) {
        "admin/users" => {
            json!({"email": format!("n{unique}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD})
        }
        "admin/users/{id}" | "admin/roles/{id}" => json!({"name": "Another"}),
        "admin/users/{id}/impersonate" => json!({"reason": "a look"}),
        "admin/users/{id}/roles" => json!({"roles": []}),
        "admin/roles" => json!({"name": format!("role {unique}"), "permissions": []}),
        "admin/ip-rules" | "ip-rules" => {
            json!({"cidr": format!("10.{}.{}.0/24", unique / 256, unique % 256), "rule_type": "block"})
        }
        "admin/email/templates/{name}" => json!({"subject": "s", "body": "b"}),
        "settings" => json!({"key": "colour", "value": unique}),
        "admin/email/test" => json!({"to_email": "a@example.com"}),
        "collections" => json!({"name": format!("made{unique}"), "type": "base"}),
        "collections/import" => {
            json!({"name": format!("copy{unique}"), "type": "base", "schema": [], "rules": {}, "indexes": [], "system": false})
        }
        "collections/{id}" => json!({"list_rule": ""}),
        "collections/{id}/indexes" => json!({"name": "i", "fields": [{"name": "title"}]}),
        _ => json!({}),
    }
}

async fn a_permission_opens_its_operations_and_no_others(product: &Product) {
    let served: Vec<(String, &str, bool)> =
        operations().iter().map(|one| (one.method().to_string(), one.path(), one.is_for_admins())).collect();
    let has_row = |method: &str, path: &str| ROWS.iter().any(|(known, at, ..)| *known == method && *at == path);
    let missing: Vec<_> =
        served.iter().filter(|(method, path, for_admins)| *for_admins && !has_row(method, path)).collect();
    assert!(missing.is_empty(), "routes of admins without a row: {missing:?}");

    let admin = product.admin().await;
    admin.collection(&json!({"name": "posts", "schema": [{"name": "title", "type": "text"}]})).await;
    let holder = product.user("holder").await;
    let id = role(&admin, "Changing", &[]).await;
    give(&admin, &holder.id, &[&id]).await;
    let mut wrong = Vec::new();
    for (unique, permission) in Permission::ALL.iter().enumerate() {
        let path = format!("{ROLES}/{id}");
        admin.patch(&path, &json!({"permissions": [permission.name()]})).await.expect(200);
        let target = target(&admin, unique).await;
        for (at, (method, path, opened_by, statuses)) in ROWS.iter().enumerate() {
            if !served.iter().any(|(served, route, _)| served == method && route == path) {
                continue;
            }
            let user = path.starts_with("/api/v1/admin/users/") || path.starts_with("/api/v1/audit/user/");
            let mut concrete = path.replace("{id}", if user { &target } else { NOBODY });
            concrete = concrete.replace("{session}", NOBODY).replace("{name}", "posts");
            if concrete.ends_with("/role") {
                concrete.push_str("?role=user");
            }
            let method: Method = method.parse().unwrap();
            let sent = (method != Method::GET).then(|| body(path, unique * ROWS.len() + at));
            let answer = holder.call(method.clone(), &concrete, sent.as_ref()).await;
            let (status, code) = (answer.status.as_u16(), answer.code());
            let fits = if *opened_by == Some(permission.name()) {
                statuses.contains(&status)
            } else {
                (status, code.as_str()) == (403, "forbidden")
            };
            if !fits {
                wrong.push(format!("{} {method} {path}: {status} {code}", permission.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Somebody to do things to, made by a hash that costs nothing.
async fn target(admin: &Admin<'_>, unique: usize) -> String {
    let body = json!({"email": format!("t{unique}@example.com"), "password": PASSWORD, "password_confirm": PASSWORD});
    text(&admin.post("/api/v1/admin/users", &body).await.expect(201).json()["id"])
}

async fn who_may_list_secrets_may_neither_use_nor_rotate_them(product: &Product) {
    let admin = product.admin().await;
    let lister = super::holder(product, &admin, "lister", &["secrets:list"]).await;
    let caller = fastcms_core::accounts::authenticate(&product.app, &lister.token).await.unwrap();
    for permission in Permission::ALL {
        assert_eq!(caller.holds(*permission), *permission == Permission::SecretsList, "{permission:?}");
    }
    let refused = fastcms_core::access::require(&caller, Permission::SecretsUse);
    assert!(matches!(refused, Err(fastcms_core::Error::Forbidden)));
    for (path, body) in
        [("/api/v1/admin/keys/rotate", json!({})), ("/api/v1/admin/keys/rotate", json!({"emergency": true}))]
    {
        lister.post(path, &body).await.refused(403, "forbidden");
    }
    lister.get("/api/v1/admin/keys").await.refused(403, "forbidden");
}
