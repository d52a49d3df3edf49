//! Every operation that is no plain read leaves its event, or it was decided here why it need not. The list of operations is the product's
//! own: one that is added without a decision fails this test.

use std::collections::{BTreeMap, BTreeSet};

use fastcms_core::{Caller, audit};
use fastcms_guard::totp::STEP_SECONDS;
use http::Method;
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, User};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};
use crate::two_factor::{base32, code};

on_both_engines!(every_operation_leaves_its_event);

/// What is left out, and why.
const DECIDED: &[(&str, &str)] = &[
    ("post /api/v1/auth/resend-verification", "sends the same mail again and changes nothing"),
    ("post /api/v1/auth/verify-email", "wants the link of a mail: with the tests of those"),
    ("post /api/v1/auth/unlock", "wants the link of a mail: with the tests of those"),
    ("post /api/v1/auth/request-password-reset", "wants a mail server: with the tests of mails"),
    ("post /api/v1/auth/reset-password", "wants the link of a mail: with the tests of those"),
    ("post /api/v1/auth/request-email-change", "wants a mail server: with the tests of mails"),
    ("post /api/v1/auth/confirm-email-change", "wants the link of a mail: with the tests of those"),
    (
        "post /api/v1/collections/{collection}/auth/me/request-email-change",
        "wants a mail server: with the tests of mails",
    ),
    ("post /api/v1/collections/{collection}/auth/me/confirm-email-change", "wants the link of a mail"),
    ("post /api/v1/auth/request-otp", "wants a mail server: with the tests of second factors"),
    ("post /api/v1/auth/auth-with-otp", "wants the code of a mail: with the tests of those"),
    ("post /api/v1/collections/{collection}/auth/otp/request", "wants a mail server: with the tests of second factors"),
    ("post /api/v1/collections/{collection}/auth/otp/verify", "wants the code of a mail: with the tests of those"),
    (
        "post /api/v1/collections/{collection}/auth/request-password-reset",
        "wants a mail server: with the tests of mails",
    ),
    ("post /api/v1/collections/{collection}/auth/resend-verification", "sends the same mail again and changes nothing"),
    ("post /api/v1/admin/users/{id}/password-reset", "wants a mail server: with the tests of compromised passwords"),
    ("post /api/v1/admin/users/require-password-change", "would end the walk: with the tests of compromised passwords"),
    ("post /api/v1/admin/email/templates/{name}/preview", "changes nothing"),
    ("post /api/v1/admin/email/test", "wants a mail server, and changes nothing"),
    ("post /api/v1/auth/2fa/setup", "a secret that waits changes nothing until its first code"),
    ("post /api/v1/files", "a form: with the tests of files"),
    ("delete /api/v1/files/{id}", "with the tests of files"),
    ("patch /api/v1/files/{id}/protected", "with the tests of files"),
    ("post /api/v1/files/{id}/token", "makes a token for a read"),
    ("post /api/v1/admin/keys/rotate", "writes the settings file: with the tests of keys"),
    ("post /api/v1/admin/secrets/{name}/rotate", "writes to a manager or a file: with the tests of managers"),
    ("delete /api/v1/audit/cleanup", "takes whole segments: with the test of retention"),
    ("delete /api/v1/collections/{collection}/auth/sessions/{id}", "the same operation as that of `users`"),
    ("delete /api/v1/collections/{collection}/auth/sessions", "the same operation as that of `users`"),
    ("delete /api/v1/admin/users/{id}/sessions", "with the tests of impersonation"),
    ("delete /api/v1/admin/users/{id}/sessions/{session}", "with the tests of impersonation"),
    ("post /api/v1/admin/users/{id}/impersonate", "with the tests of impersonation"),
    ("post /api/v1/admin/users/{id}/impersonate/end", "with the tests of impersonation"),
    ("delete /api/v1/admin/collections/{id}", "the same operation as that of `collections`"),
    ("delete /api/v1/admin/impersonations/{id}", "with the tests of impersonation"),
];

/// The walk through the product: which routes were taken.
struct Walk<'p> {
    product: &'p Product,
    taken: BTreeSet<String>,
}

impl Walk<'_> {
    /// A request through `caller`, and the event that must come of it, once.
    async fn step(
        &mut self,
        caller: &impl Calls,
        (method, route): (Method, &str),
        path: &str,
        body: Option<&Value>,
        event: &str,
    ) -> Answer {
        let before = self.count(event).await;
        let answer = caller.call(method.clone(), path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
        let after = self.count(event).await;
        assert!(after > before, "{method} {route} left no `{event}`");
        self.taken.insert(format!("{} {route}", method.as_str().to_ascii_lowercase()));
        answer
    }

    /// How many events of `type/action` there are.
    async fn count(&self, event: &str) -> i64 {
        audit::flush(&Caller::operator(), &self.product.app).await.unwrap();
        let (kind, action) = event.split_once('/').unwrap();
        let kind = audit::EventType::ALL.into_iter().find(|one| one.name() == kind).unwrap();
        let action = audit::Action::ALL.iter().find(|one| one.name() == action).unwrap();
        let wanted = audit::Wanted {
            event_type: Some(kind.name()),
            event_action: Some(action.name()),
            ..audit::Wanted::default()
        };
        audit::list(&Caller::operator(), &self.product.app, wanted, 1, 0).await.unwrap().total
    }
}

async fn every_operation_leaves_its_event(product: &Product) {
    let mut walk = Walk { product, taken: BTreeSet::new() };
    let admin = product.admin().await;
    assert_eq!(walk.count("system/setup").await, 1);
    walk.taken.insert("post /api/v1/setup".to_owned());
    collections(&mut walk, &admin).await;
    members(&mut walk, &admin).await;
    people(&mut walk, &admin).await;
    own_account(&mut walk, product.user("ada").await).await;
    let json = json!({});
    walk.step(
        &admin,
        (Method::POST, "/api/v1/logs/cleanup"),
        "/api/v1/logs/cleanup?retention_days=7",
        Some(&json),
        "admin/bulk_delete",
    )
    .await;
    ip_rules(&mut walk, &admin).await;
    roles(&mut walk, &admin).await;
    settings(&mut walk, &admin).await;

    let document = fastcms::api::document(&product.app);
    let mut undecided = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods
            .as_object()
            .unwrap()
            .keys()
            .filter(|method| ["post", "put", "patch", "delete"].contains(&method.as_str()))
        {
            let route = format!("{method} {path}");
            let live = ["items", "people", "copies"].map(|name| format!("/api/v1/collections/{name}/"));
            let is_alias = live.iter().any(|live| path.starts_with(live));
            let decided = DECIDED.iter().any(|(known, _)| *known == route);
            if !walk.taken.contains(&route) && !decided && !is_alias {
                undecided.push(route);
            }
        }
    }
    assert!(undecided.is_empty(), "these change something and leave no event that is known here: {undecided:#?}");
}

async fn collections(walk: &mut Walk<'_>, admin: &Admin<'_>) {
    const ROUTE: &str = "/api/v1/collections";
    let body = json!({"name": "items", "type": "base", "schema": [{"name": "title", "type": "text"}]});
    let made = walk.step(admin, (Method::POST, ROUTE), ROUTE, Some(&body), "collection/create").await.json();
    let id = text(&made["id"]);
    let one = format!("{ROUTE}/{id}");
    let change = json!({"list_rule": ""});
    walk.step(admin, (Method::PATCH, "/api/v1/collections/{id}"), &one, Some(&change), "collection/update").await;
    let index = json!({"name": "by_title", "fields": [{"name": "title"}]});
    let (route, path) = ("/api/v1/collections/{id}/indexes", format!("{one}/indexes"));
    walk.step(admin, (Method::POST, route), &path, Some(&index), "collection/update").await;
    let (route, path) = ("/api/v1/collections/{id}/indexes/{name}", format!("{one}/indexes/by_title"));
    walk.step(admin, (Method::DELETE, route), &path, None, "collection/update").await;

    let (route, path) = ("/api/v1/collections/{name}/records", "/api/v1/collections/items/records");
    let record = json!({"data": {"title": "a"}});
    let made = walk.step(admin, (Method::POST, route), path, Some(&record), "record/create").await.json();
    let (route, path) = (format!("{route}/{{id}}"), format!("{path}/{}", text(&made["id"])));
    walk.step(admin, (Method::PATCH, &route), &path, Some(&json!({"data": {"title": "b"}})), "record/update").await;
    walk.step(admin, (Method::DELETE, &route), &path, None, "record/delete").await;
    many(walk, admin).await;

    let exported = walk.step(admin, (Method::GET, ""), &format!("{one}/export"), None, "collection/export").await;
    let mut document = exported.json();
    document["name"] = "copies".into();
    let (route, path) = ("/api/v1/collections/import", "/api/v1/collections/import");
    walk.step(admin, (Method::POST, route), path, Some(&document), "collection/import").await;
    let (route, path) = ("/api/v1/collections/name/{name}/truncate", "/api/v1/collections/name/items/truncate");
    walk.step(admin, (Method::DELETE, route), path, None, "collection/bulk_delete").await;
    walk.step(admin, (Method::DELETE, "/api/v1/collections/{id}"), &one, None, "collection/delete").await;
}

async fn many(walk: &mut Walk<'_>, admin: &Admin<'_>) {
    let (route, path) = ("/api/v1/collections/{name}/records", "/api/v1/collections/items/records");
    let records = json!({"records": [{"title": "a"}, {"title": "b"}]});
    let made = walk
        .step(
            admin,
            (Method::POST, &format!("{route}/batch")),
            &format!("{path}/batch"),
            Some(&records),
            "record/create",
        )
        .await;
    let ids: Vec<Value> = made.json()["records"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    let change = json!({"record_ids": ids, "data": {"title": "c"}});
    walk.step(
        admin,
        (Method::POST, &format!("{route}/bulk-update")),
        &format!("{path}/bulk-update"),
        Some(&change),
        "record/bulk_update",
    )
    .await;
    let upsert = json!({"records": [{"title": "d"}]});
    walk.step(
        admin,
        (Method::POST, &format!("{route}/upsert")),
        &format!("{path}/upsert"),
        Some(&upsert),
        "record/create",
    )
    .await;
    let gone = json!({"record_ids": ids});
    walk.step(
        admin,
        (Method::POST, &format!("{route}/bulk-delete")),
        &format!("{path}/bulk-delete"),
        Some(&gone),
        "record/bulk_delete",
    )
    .await;
}

/// An auth collection and one of its accounts.
async fn members(walk: &mut Walk<'_>, admin: &Admin<'_>) {
    let body = json!({"name": "people", "type": "auth", "create_rule": "", "view_rule": ""});
    admin.collection(&body).await;
    let (route, path) = ("/api/v1/collections/{collection}/auth", "/api/v1/collections/people/auth");
    let guest = walk.product.guest();
    let who = json!({"email": "m@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    walk.step(
        &guest,
        (Method::POST, &format!("{route}/register")),
        &format!("{path}/register"),
        Some(&who),
        "record/create",
    )
    .await;
    let login = json!({"email": "m@example.com", "password": PASSWORD});
    let sign_in = (Method::POST, format!("{route}/login"));
    let signed_in =
        walk.step(&guest, (sign_in.0, &sign_in.1), &format!("{path}/login"), Some(&login), "auth/login").await.json();
    let refresh = json!({"refresh_token": signed_in["token"]["refresh_token"]});
    let fresh = walk
        .step(
            &guest,
            (Method::POST, &format!("{route}/refresh")),
            &format!("{path}/refresh"),
            Some(&refresh),
            "auth/token_refresh",
        )
        .await
        .json();
    let member = crate::callers::Bearer { product: walk.product, token: text(&fresh["access_token"]) };
    let change = json!({"old_password": PASSWORD, "new_password": "another long secret 7", "new_password_confirm": "another long secret 7"});
    walk.step(
        &member,
        (Method::POST, &format!("{route}/me/change-password")),
        &format!("{path}/me/change-password"),
        Some(&change),
        "auth/password_change",
    )
    .await;
    let login = json!({"email": "m@example.com", "password": "another long secret 7"});
    let signed_in = guest.post(&format!("{path}/login"), &login).await.expect(200).json();
    let member = crate::callers::Bearer { product: walk.product, token: text(&signed_in["token"]["access_token"]) };
    walk.step(
        &member,
        (Method::POST, &format!("{route}/logout")),
        &format!("{path}/logout"),
        Some(&json!({})),
        "auth/logout",
    )
    .await;
}

/// What admins do to others.
async fn people(walk: &mut Walk<'_>, admin: &Admin<'_>) {
    const ROUTE: &str = "/api/v1/admin/users";
    let who = json!({"email": "bob@example.com", "password": PASSWORD, "password_confirm": PASSWORD});
    let made = walk.step(admin, (Method::POST, ROUTE), ROUTE, Some(&who), "user/create").await.json();
    let (route, path) = (format!("{ROUTE}/{{id}}"), format!("{ROUTE}/{}", text(&made["id"])));
    for (change, event) in [
        (json!({"name": "Bob"}), "user/update"),
        (json!({"disabled": true}), "user/disable"),
        (json!({"disabled": false}), "user/enable"),
        (json!({"password": "another long secret 7"}), "auth/password_change"),
    ] {
        walk.step(admin, (Method::PATCH, &route), &path, Some(&change), event).await;
    }
    walk.step(
        admin,
        (Method::PATCH, &format!("{route}/role")),
        &format!("{path}/role?role=admin"),
        None,
        "user/role_change",
    )
    .await;
    walk.step(
        admin,
        (Method::POST, &format!("{route}/unlock")),
        &format!("{path}/unlock"),
        Some(&json!({})),
        "security/unlock",
    )
    .await;
    let mark = (Method::POST, format!("{route}/require-password-change"));
    let mark_bob = format!("{path}/require-password-change");
    walk.step(admin, (mark.0, &mark.1), &mark_bob, Some(&json!({})), "auth/password_change").await;
    walk.step(admin, (Method::DELETE, &route), &path, None, "user/delete").await;
}

/// What people do to themselves.
async fn own_account(walk: &mut Walk<'_>, ada: User<'_>) {
    walk.taken.insert("post /api/v1/auth/register".to_owned());
    assert!(walk.count("user/create").await >= 2);
    api_keys(walk, &ada).await;
    second_factor(walk, &ada).await;
    let me = "/api/v1/auth/me";
    walk.step(&ada, (Method::PATCH, me), me, Some(&json!({"name": "Countess"})), "user/update").await;
    let guest = walk.product.guest();
    let login = "/api/v1/auth/login";
    let proof = json!({"email": "ada@example.com", "password": PASSWORD});
    let signed_in = walk.step(&guest, (Method::POST, login), login, Some(&proof), "auth/login").await.json();
    let before = walk.count("auth/login_failed").await;
    guest
        .post(login, &json!({"email": "ada@example.com", "password": "wrong"}))
        .await
        .refused(401, "invalid_credentials");
    assert_eq!(walk.count("auth/login_failed").await, before + 1);
    let refresh = json!({"refresh_token": signed_in["token"]["refresh_token"]});
    let path = "/api/v1/auth/refresh";
    walk.step(&guest, (Method::POST, path), path, Some(&refresh), "auth/token_refresh").await;
    let sessions = ada.get("/api/v1/auth/sessions").await.expect(200).json();
    let other = sessions["sessions"].as_array().unwrap().iter().find(|one| one["current"] == false).unwrap();
    let (route, path) = ("/api/v1/auth/sessions/{id}", format!("/api/v1/auth/sessions/{}", text(&other["id"])));
    walk.step(&ada, (Method::DELETE, route), &path, None, "auth/revoke").await;
    guest.post(login, &proof).await.expect(200);
    let (route, path) = ("/api/v1/auth/sessions", "/api/v1/auth/sessions?others=true");
    walk.step(&ada, (Method::DELETE, route), path, None, "auth/revoke").await;
    let path = "/api/v1/auth/change-password";
    let secret = "another long secret 7";
    let change = json!({"old_password": PASSWORD, "new_password": secret, "new_password_confirm": secret});
    walk.step(&ada, (Method::POST, path), path, Some(&change), "auth/password_change").await;
    let proof = json!({"email": "ada@example.com", "password": secret});
    for (method, path, event) in [
        (Method::POST, "/api/v1/auth/logout", "auth/logout"),
        (Method::POST, "/api/v1/auth/logout-all", "auth/revoke_all"),
        (Method::DELETE, me, "user/delete"),
    ] {
        let signed_in = guest.post(login, &proof).await.expect(200).json();
        let ada = crate::callers::Bearer { product: walk.product, token: text(&signed_in["token"]["access_token"]) };
        walk.step(&ada, (method, path), path, None, event).await;
    }
}

async fn api_keys(walk: &mut Walk<'_>, ada: &User<'_>) {
    const ROUTE: &str = "/api/v1/api-keys";
    let body = json!({"name": "robot"});
    let made = walk.step(ada, (Method::POST, ROUTE), ROUTE, Some(&body), "api_key/create").await.json();
    let (route, path) = (format!("{ROUTE}/{{id}}"), format!("{ROUTE}/{}", text(&made["id"])));
    walk.step(ada, (Method::PATCH, &route), &path, Some(&json!({"name": "android"})), "api_key/update").await;
    walk.step(
        ada,
        (Method::POST, &format!("{route}/rotate")),
        &format!("{path}/rotate"),
        Some(&json!({})),
        "api_key/update",
    )
    .await;
    walk.step(ada, (Method::DELETE, &route), &path, None, "api_key/revoke").await;
    ada.post(ROUTE, &body).await.expect(201);
    let path = format!("{ROUTE}/revoke-all");
    walk.step(ada, (Method::POST, &path), &path, Some(&json!({})), "api_key/revoke_all").await;
}

async fn second_factor(walk: &mut Walk<'_>, ada: &User<'_>) {
    let made = ada.post("/api/v1/auth/2fa/setup", &json!({})).await.expect(200).json();
    let app = base32(&text(&made["secret"]));
    for (verb, event) in [
        ("enable", "two_factor/enable"),
        ("backup-codes", "two_factor/backup_codes_regen"),
        ("disable", "two_factor/disable"),
    ] {
        walk.product.clock.advance_seconds(STEP_SECONDS);
        let path = format!("/api/v1/auth/2fa/{verb}");
        let body = json!({"code": code(&app, walk.product)});
        walk.step(ada, (Method::POST, &path), &path, Some(&body), event).await;
    }
}

async fn ip_rules(walk: &mut Walk<'_>, admin: &Admin<'_>) {
    let mut made = BTreeMap::new();
    for (route, cidr) in [("/api/v1/admin/ip-rules", "203.0.113.7/32"), ("/api/v1/ip-rules", "203.0.113.8/32")] {
        let rule = json!({"cidr": cidr, "rule_type": "block"});
        let rule = walk.step(admin, (Method::POST, route), route, Some(&rule), "security/create").await.json();
        made.insert(route, text(&rule["id"]));
    }
    for (route, id) in made {
        walk.step(
            admin,
            (Method::DELETE, &format!("{route}/{{id}}")),
            &format!("{route}/{id}"),
            None,
            "security/delete",
        )
        .await;
    }
}

async fn settings(walk: &mut Walk<'_>, admin: &Admin<'_>) {
    let (route, one) = ("/api/v1/settings", "/api/v1/settings/{name}");
    let set = json!({"key": "retention_days", "value": 9, "category": "logs"});
    walk.step(admin, (Method::POST, route), route, Some(&set), "admin/settings_change").await;
    let path = "/api/v1/settings/retention_days";
    walk.step(admin, (Method::DELETE, one), path, None, "admin/settings_change").await;
    let (route, path) = ("/api/v1/admin/email/templates/{name}", "/api/v1/admin/email/templates/test");
    let text = json!({"subject": "It works", "body": "It does"});
    walk.step(admin, (Method::PUT, route), path, Some(&text), "admin/settings_change").await;
    walk.step(admin, (Method::DELETE, route), path, None, "admin/settings_change").await;
}

/// Roles, and who holds them.
async fn roles(walk: &mut Walk<'_>, admin: &Admin<'_>) {
    const ROUTE: &str = "/api/v1/admin/roles";
    let role = json!({"name": "Auditors", "permissions": ["audit:read"]});
    let made = walk.step(admin, (Method::POST, ROUTE), ROUTE, Some(&role), "admin/create").await.json();
    let (route, path) = (format!("{ROUTE}/{{id}}"), format!("{ROUTE}/{}", text(&made["id"])));
    let change = json!({"name": "Readers of the log"});
    walk.step(admin, (Method::PATCH, &route), &path, Some(&change), "admin/update").await;
    let user = walk.product.user("grace").await;
    let given = json!({"roles": [made["id"]]});
    let (whose, of_user) = ("/api/v1/admin/users/{id}/roles", format!("/api/v1/admin/users/{}/roles", user.id));
    walk.step(admin, (Method::PUT, whose), &of_user, Some(&given), "user/role_change").await;
    walk.step(admin, (Method::DELETE, &route), &path, None, "admin/delete").await;
}
