//! Every permission × every route that is not for admins: what is everybody's stays as it is for who holds a permission, but where records
//! and files of others are concerned. The routes are those of the list of operations, so that none can be forgotten. And every permission
//! opens something, or waits here for what it will open.

use std::collections::BTreeSet;

use fastcms::api::operations;
use fastcms_core::access::Permission;
use http::Method;
use serde_json::{Value, json};

use super::matrix::ROWS;
use super::{ROLES, give, role};
use crate::callers::{Admin, Calls};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(a_permission_changes_nothing_elsewhere_but_records_and_files_of_others);

/// Which permission changes what on which route: nothing else does.
const MEANT: &[(&str, &str, &str)] = &[
    ("records:read", "GET", "/api/v1/collections/{name}/records"),
    ("records:read", "GET", "/api/v1/collections/{name}/records/{id}"),
    ("records:write", "POST", "/api/v1/collections/{name}/records"),
    ("records:write", "PATCH", "/api/v1/collections/{name}/records/{id}"),
    ("records:write", "DELETE", "/api/v1/collections/{name}/records/{id}"),
    ("records:write", "POST", "/api/v1/collections/{name}/records/batch"),
    ("records:write", "POST", "/api/v1/collections/{name}/records/upsert"),
    ("records:write", "POST", "/api/v1/collections/{name}/records/bulk-update"),
    ("records:write", "POST", "/api/v1/collections/{name}/records/bulk-delete"),
    ("files:read", "GET", "/api/v1/files/{id}"),
    ("files:read", "GET", "/api/v1/files/{id}/download"),
    ("files:read", "POST", "/api/v1/files/{id}/token"),
    ("files:write", "DELETE", "/api/v1/files/{id}"),
    ("files:write", "PATCH", "/api/v1/files/{id}/protected"),
];

/// Permissions of the contract whose operations are not there yet: each goes from here with the first of them.
const WAITING: &[(&str, &str)] = &[
    ("webhooks:read", "webhooks"),
    ("webhooks:write", "webhooks"),
    ("oauth:read", "the registry of OAuth providers"),
    ("oauth:write", "the registry of OAuth providers"),
    ("secrets:use", "settings, webhooks and providers that a stored secret can be bound to"),
    ("secrets:write", "secret settings whose value is set at run time"),
    ("backups:read", "backups"),
    ("backups:write", "backups"),
    ("backups:download", "backups"),
    ("backups:restore", "backups"),
    ("cron:read", "scheduled tasks"),
    ("cron:run", "scheduled tasks"),
];

const NOBODY: &str = "01912345-0000-7000-8000-000000000001";

/// What a route is asked for.
fn body(path: &str, record: &str) -> Value {
    match path.rsplit('/').next().unwrap_or_default() {
        "records" | "{id}" => json!({"data": {"title": "x"}}),
        "batch" => json!({"records": [{"title": "x"}]}),
        "upsert" => json!({"records": [{"id": record, "title": "x"}]}),
        "bulk-update" => json!({"record_ids": [record], "data": {"title": "x"}}),
        "bulk-delete" => json!({"record_ids": [record]}),
        "protected" => json!({"protected": true}),
        _ => json!({"title": "x"}),
    }
}

/// What becomes of the sessions and credentials of whoever asks is about oneself: no permission is looked at.
fn is_own_account(method: &Method, path: &str) -> bool {
    *method != Method::GET && (path.contains("/auth/") || path.contains("/api-keys") || path.ends_with("/setup"))
}

/// What comes of one call, on a record and a file that are there: status, code, and whether something was done or shown.
async fn outcome(
    admin: &Admin<'_>,
    who: &impl Calls,
    (method, path): (&Method, &str),
    file: &mut String,
) -> (u16, String, bool) {
    let record = text(&admin.make("posts", &json!({"title": "t"})).await["id"]);
    if admin.get(&format!("/api/v1/files/{file}")).await.status != 200 {
        *file = text(&crate::files::protected(admin).await["id"]);
    }
    let id = match path {
        path if path.contains("/records/") => record.as_str(),
        path if path.contains("/files/") => file.as_str(),
        _ => NOBODY,
    };
    let mut concrete = path.replace("{id}", id).replace("{name}", "posts").replace("{collection}", "posts");
    if path.ends_with("/protected") {
        concrete.push_str("?protected=true");
    }
    let sent = (*method != Method::GET).then(|| body(path, &record));
    let answer = who.call(method.clone(), &concrete, sent.as_ref()).await;
    let told = serde_json::from_slice::<Value>(&answer.bytes).unwrap_or_default();
    // Where each item has an outcome of its own, that is what is opened; of a list, that there is something in it.
    let counted = ["success", "created", "updated", "total"].iter().any(|name| told[name].as_u64().unwrap_or(0) > 0);
    (answer.status.as_u16(), answer.code(), counted)
}

async fn a_permission_changes_nothing_elsewhere_but_records_and_files_of_others(product: &Product) {
    let admin = product.admin().await;
    admin.collection(&json!({"name": "posts", "schema": [{"name": "title", "type": "text"}]})).await;
    let plain = product.user("plain").await;
    let holder = product.user("holder").await;
    let id = role(&admin, "Changing", &[]).await;
    give(&admin, &holder.id, &[&id]).await;
    let mut file = NOBODY.to_owned();
    let routes: Vec<(Method, &str)> = operations()
        .iter()
        .filter(|one| !one.is_for_admins() && !is_own_account(one.method(), one.path()))
        .map(|one| (one.method().clone(), one.path()))
        .collect();
    assert!(routes.len() > 20, "{routes:?}");
    let mut before = Vec::new();
    for (method, path) in &routes {
        before.push(outcome(&admin, &plain, (method, path), &mut file).await);
    }
    let mut wrong = Vec::new();
    for permission in Permission::ALL {
        let change = json!({"permissions": [permission.name()]});
        admin.patch(&format!("{ROLES}/{id}"), &change).await.expect(200);
        for ((method, path), before) in routes.iter().zip(&before) {
            let after = outcome(&admin, &holder, (method, path), &mut file).await;
            let is_meant = MEANT.contains(&(permission.name(), method.as_str(), path));
            if (after != *before) != is_meant {
                wrong.push(format!("{} {method} {path}: {before:?}, then {after:?}", permission.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_permission_opens_something_or_waits_for_what_it_will_open() {
    let served: BTreeSet<(String, &str)> =
        operations().iter().map(|one| (one.method().to_string(), one.path())).collect();
    let serves = |method: &str, path: &str| served.contains(&(method.to_owned(), path));
    let of_admins = ROWS.iter().filter(|(method, path, ..)| serves(method, path)).filter_map(|row| row.2);
    let of_others = MEANT.iter().filter(|(_, method, path)| serves(method, path)).map(|row| row.0);
    let opens: BTreeSet<&str> = of_admins.chain(of_others).collect();
    for permission in Permission::ALL {
        let waits = WAITING.iter().any(|(name, _)| *name == permission.name());
        let name = permission.name();
        assert_ne!(opens.contains(name), waits, "{name} opens something and waits, or neither");
    }
    assert!(WAITING.iter().all(|(name, _)| Permission::of_name(name).is_some()));
}
