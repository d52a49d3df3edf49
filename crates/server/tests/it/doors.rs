//! Every route and every kind of caller: who comes in, and what the others are told. The rows are written by hand and compared with the
//! list of operations, so that a new route without a row fails.

use axum::body::Body;
use fastcms::api::operations;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::callers::{Calls, open, request};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Answer, Product, text};

on_both_engines!(every_route_admits_whom_its_row_says, every_sensitive_route_wants_a_recent_sign_in);

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Everybody, whatever a key is good for.
    Open,
    /// Everybody as far as rules go; a key within its scopes.
    Rules,
    /// Whoever is signed in.
    SignedIn,
    /// An account of `users`, by whatever credential.
    User,
    /// An account of `users` by a session of its own.
    Person,
    /// The same after a recent sign-in.
    Sensitive,
    Admin,
    /// An admin by a session of their own, after a recent sign-in.
    AdminSensitive,
    /// An account of the collection in the path.
    Member,
    MemberSensitive,
}

use Door::{Admin, AdminSensitive, Member, MemberSensitive, Open, Person, Rules, Sensitive, SignedIn, User};

const ROWS: &[(&str, &str, Door)] = &[
    ("GET", "/", Open),
    ("GET", "/setup", Open),
    ("GET", "/admin/setup", Open),
    ("GET", "/admin/verify-email", Open),
    ("GET", "/admin/confirm-email-change", Open),
    ("GET", "/admin/reset-password", Open),
    ("GET", "/admin/unlock", Open),
    ("GET", "/health", Open),
    ("GET", "/health/live", Open),
    ("GET", "/health/ready", Open),
    ("GET", "/api/v1/health", Open),
    ("GET", "/health/detailed", Admin),
    ("GET", "/api/v1/setup/check", Open),
    ("POST", "/api/v1/setup", Open),
    ("POST", "/api/v1/auth/register", Open),
    ("POST", "/api/v1/auth/login", Open),
    ("POST", "/api/v1/auth/refresh", Open),
    ("POST", "/api/v1/auth/logout", Open),
    ("POST", "/api/v1/auth/verify-email", Open),
    ("POST", "/api/v1/auth/unlock", Open),
    ("POST", "/api/v1/auth/request-password-reset", Open),
    ("POST", "/api/v1/auth/reset-password", Open),
    ("POST", "/api/v1/auth/confirm-email-change", Open),
    ("POST", "/api/v1/auth/resend-verification", User),
    ("POST", "/api/v1/auth/request-email-change", Sensitive),
    ("POST", "/api/v1/auth/request-otp", Open),
    ("POST", "/api/v1/auth/auth-with-otp", Open),
    ("GET", "/api/v1/auth/2fa/status", Person),
    ("POST", "/api/v1/auth/2fa/setup", Sensitive),
    ("POST", "/api/v1/auth/2fa/enable", Sensitive),
    ("POST", "/api/v1/auth/2fa/disable", Sensitive),
    ("POST", "/api/v1/auth/2fa/backup-codes", Sensitive),
    ("POST", "/api/v1/auth/logout-all", Person),
    ("GET", "/api/v1/auth/me", User),
    ("PATCH", "/api/v1/auth/me", User),
    ("DELETE", "/api/v1/auth/me", Sensitive),
    ("POST", "/api/v1/auth/change-password", Sensitive),
    ("GET", "/api/v1/auth/sessions", Person),
    ("DELETE", "/api/v1/auth/sessions/{id}", Person),
    ("DELETE", "/api/v1/auth/sessions", Person),
    ("POST", "/api/v1/api-keys", Sensitive),
    ("GET", "/api/v1/api-keys", Person),
    ("GET", "/api/v1/api-keys/{id}", Person),
    ("PATCH", "/api/v1/api-keys/{id}", Person),
    ("DELETE", "/api/v1/api-keys/{id}", Person),
    ("POST", "/api/v1/api-keys/{id}/rotate", Sensitive),
    ("POST", "/api/v1/api-keys/revoke-all", Person),
    ("GET", "/api/v1/admin/users", Admin),
    ("POST", "/api/v1/admin/users", Admin),
    ("GET", "/api/v1/admin/users/{id}", Admin),
    ("PATCH", "/api/v1/admin/users/{id}", Admin),
    ("DELETE", "/api/v1/admin/users/{id}", AdminSensitive),
    ("PATCH", "/api/v1/admin/users/{id}/role", AdminSensitive),
    ("POST", "/api/v1/admin/users/{id}/unlock", Admin),
    ("POST", "/api/v1/admin/users/{id}/password-reset", Admin),
    ("GET", "/api/v1/admin/users/{id}/lock-status", Admin),
    ("GET", "/api/v1/admin/users/{id}/sessions", Admin),
    ("DELETE", "/api/v1/admin/users/{id}/sessions", Admin),
    ("DELETE", "/api/v1/admin/users/{id}/sessions/{session}", Admin),
    ("POST", "/api/v1/admin/users/{id}/impersonate", AdminSensitive),
    ("POST", "/api/v1/admin/users/{id}/impersonate/end", Admin),
    ("GET", "/api/v1/admin/impersonations", Admin),
    ("DELETE", "/api/v1/admin/impersonations/{id}", Admin),
    ("GET", "/api/v1/admin/roles", Admin),
    ("POST", "/api/v1/admin/roles", AdminSensitive),
    ("PATCH", "/api/v1/admin/roles/{id}", AdminSensitive),
    ("DELETE", "/api/v1/admin/roles/{id}", AdminSensitive),
    ("PUT", "/api/v1/admin/users/{id}/roles", AdminSensitive),
    ("GET", "/api/v1/admin/keys", Admin),
    ("GET", "/api/v1/admin/secrets", Admin),
    ("POST", "/api/v1/admin/secrets/{name}/rotate", AdminSensitive),
    ("POST", "/api/v1/admin/keys/rotate", AdminSensitive),
    ("GET", "/api/v1/admin/limits", Admin),
    ("GET", "/api/v1/admin/metrics", Admin),
    ("GET", "/api/v1/admin/metrics/prometheus", Admin),
    ("GET", "/api/v1/admin/collections", Admin),
    ("DELETE", "/api/v1/admin/collections/{id}", Admin),
    ("GET", "/api/v1/admin/ip-rules", Admin),
    ("POST", "/api/v1/admin/ip-rules", Admin),
    ("DELETE", "/api/v1/admin/ip-rules/{id}", Admin),
    ("GET", "/api/v1/ip-rules", Admin),
    ("POST", "/api/v1/ip-rules", Admin),
    ("DELETE", "/api/v1/ip-rules/{id}", Admin),
    ("POST", "/api/v1/admin/users/{id}/password-reset", Admin),
    ("POST", "/api/v1/admin/users/{id}/require-password-change", Admin),
    ("POST", "/api/v1/admin/users/require-password-change", AdminSensitive),
    ("GET", "/api/v1/admin/email/templates", Admin),
    ("GET", "/api/v1/admin/email/templates/{name}", Admin),
    ("PUT", "/api/v1/admin/email/templates/{name}", Admin),
    ("DELETE", "/api/v1/admin/email/templates/{name}", Admin),
    ("POST", "/api/v1/admin/email/templates/{name}/preview", Admin),
    ("GET", "/api/v1/admin/email/status", Admin),
    ("POST", "/api/v1/admin/email/test", Admin),
    ("GET", "/api/v1/settings", Admin),
    ("POST", "/api/v1/settings", Admin),
    ("GET", "/api/v1/settings/{name}", Admin),
    ("DELETE", "/api/v1/settings/{name}", Admin),
    ("GET", "/api/v1/audit", Admin),
    ("GET", "/api/v1/audit/security", Admin),
    ("GET", "/api/v1/audit/failed-logins", Admin),
    ("GET", "/api/v1/audit/user/{id}", Admin),
    ("GET", "/api/v1/audit/statistics", Admin),
    ("DELETE", "/api/v1/audit/cleanup", Admin),
    ("POST", "/api/v1/files", SignedIn),
    ("GET", "/api/v1/files", Admin),
    ("GET", "/api/v1/files/{id}", Rules),
    ("POST", "/api/v1/files/{id}/token", SignedIn),
    ("PATCH", "/api/v1/files/{id}/protected", SignedIn),
    ("DELETE", "/api/v1/files/{id}", SignedIn),
    ("GET", "/api/v1/files/{id}/download", Rules),
    ("GET", "/api/v1/logs", Admin),
    ("GET", "/api/v1/logs/statistics", Admin),
    ("POST", "/api/v1/logs/cleanup", Admin),
    ("GET", "/api/v1/collections", Admin),
    ("POST", "/api/v1/collections", Admin),
    ("POST", "/api/v1/collections/import", Admin),
    ("GET", "/api/v1/collections/{id}", Admin),
    ("PATCH", "/api/v1/collections/{id}", Admin),
    ("DELETE", "/api/v1/collections/{id}", Admin),
    ("GET", "/api/v1/collections/{id}/export", Admin),
    ("GET", "/api/v1/collections/name/{name}", Admin),
    ("DELETE", "/api/v1/collections/name/{name}/truncate", Admin),
    ("GET", "/api/v1/collections/{id}/indexes", Admin),
    ("POST", "/api/v1/collections/{id}/indexes", Admin),
    ("GET", "/api/v1/collections/{id}/indexes/{name}", Admin),
    ("DELETE", "/api/v1/collections/{id}/indexes/{name}", Admin),
    ("GET", "/api/v1/collections/{name}/records", Rules),
    ("POST", "/api/v1/collections/{name}/records", Rules),
    ("GET", "/api/v1/collections/{name}/records/{id}", Rules),
    ("PATCH", "/api/v1/collections/{name}/records/{id}", Rules),
    ("DELETE", "/api/v1/collections/{name}/records/{id}", Rules),
    ("POST", "/api/v1/collections/{name}/records/batch", SignedIn),
    ("POST", "/api/v1/collections/{name}/records/upsert", SignedIn),
    ("POST", "/api/v1/collections/{name}/records/bulk-update", SignedIn),
    ("POST", "/api/v1/collections/{name}/records/bulk-delete", SignedIn),
    ("POST", "/api/v1/collections/{collection}/auth/register", Open),
    ("POST", "/api/v1/collections/{collection}/auth/login", Open),
    ("POST", "/api/v1/collections/{collection}/auth/otp/request", Open),
    ("POST", "/api/v1/collections/{collection}/auth/otp/verify", Open),
    ("POST", "/api/v1/collections/{collection}/auth/request-password-reset", Open),
    ("POST", "/api/v1/collections/{collection}/auth/resend-verification", Member),
    ("POST", "/api/v1/collections/{collection}/auth/refresh", Open),
    ("POST", "/api/v1/collections/{collection}/auth/logout", Open),
    ("GET", "/api/v1/collections/{collection}/auth/me", Member),
    ("GET", "/api/v1/collections/{collection}/auth/sessions", Member),
    ("DELETE", "/api/v1/collections/{collection}/auth/sessions/{id}", Member),
    ("DELETE", "/api/v1/collections/{collection}/auth/sessions", Member),
    ("POST", "/api/v1/collections/{collection}/auth/me/change-password", MemberSensitive),
    ("POST", "/api/v1/collections/{collection}/auth/me/request-email-change", MemberSensitive),
    ("POST", "/api/v1/collections/{collection}/auth/me/confirm-email-change", Open),
];

/// Where coming in would end or delete something that the next caller needs: there only refusals are looked at.
const TELLING: [(&str, &str); 7] = [
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/auth/logout-all"),
    ("DELETE", "/api/v1/auth/me"),
    ("POST", "/api/v1/api-keys/revoke-all"),
    ("POST", "/api/v1/collections/{collection}/auth/logout"),
    ("POST", "/api/v1/logs/cleanup"),
    ("POST", "/api/v1/admin/users/require-password-change"),
];

const GATE: [&str; 5] =
    ["authentication_required", "invalid_token", "forbidden", "insufficient_scope", "insufficient_user_authentication"];

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Guest,
    User,
    /// By the cookie of a browser.
    Browser,
    Admin,
    Member,
    Acting,
    /// A key of the user, good for everything; one for something else; an admin's, good for everything.
    Key,
    NarrowKey,
    AdminKey,
}

const ALL: [Who; 9] = [
    Who::Guest,
    Who::User,
    Who::Browser,
    Who::Admin,
    Who::Member,
    Who::Acting,
    Who::Key,
    Who::NarrowKey,
    Who::AdminKey,
];

/// The refusal, or nothing where the caller comes in.
fn expected(door: Door, who: Who) -> Option<(u16, &'static str)> {
    let sign_in = Some((401, "authentication_required"));
    let stranger = Some((401, "invalid_token"));
    let forbidden = Some((403, "forbidden"));
    let is_key = matches!(who, Who::Key | Who::NarrowKey | Who::AdminKey);
    match (door, who) {
        (_, Who::Guest) if !matches!(door, Open | Rules) => sign_in,
        (Rules | SignedIn | User | Admin, Who::NarrowKey) => Some((403, "insufficient_scope")),
        (Open | Rules | SignedIn, _) | (Member | MemberSensitive, Who::Member) | (AdminSensitive, Who::Admin) => None,
        (MemberSensitive, Who::Acting) => forbidden,
        (MemberSensitive, _) if is_key => forbidden,
        (Member | MemberSensitive, _) | (_, Who::Member) => stranger,
        (User, _) | (Admin, Who::Admin | Who::AdminKey) => None,
        (Person | Sensitive, _) if !is_key && who != Who::Acting => None,
        _ => forbidden,
    }
}

/// What each caller presents.
struct Cast<'p> {
    product: &'p Product,
    credentials: Vec<(Who, &'static str, String)>,
}

impl<'p> Cast<'p> {
    async fn assemble(product: &'p Product) -> Self {
        let admin = product.admin().await;
        let user = product.user("anna").await;
        admin.collection(&open("posts", &json!([{"name": "title", "type": "text"}]))).await;
        admin.collection(&json!({"name": "members", "type": "auth", "create_rule": ""})).await;
        let body = json!({"email": "m@example.com", "password": PASSWORD});
        let member = product.guest().post("/api/v1/collections/members/auth/register", &body).await.expect(201).json();
        let login = json!({"email": "anna@example.com", "password": PASSWORD, "cookie": true});
        let signed_in = product.guest().post("/api/v1/auth/login", &login).await.expect(200);
        let cookies = signed_in.headers.get_all("set-cookie").iter().filter_map(|set| set.to_str().ok());
        let cookie = cookies.filter(|set| set.starts_with("fastcms_session=")).find_map(|set| set.split(';').next());
        let act = format!("/api/v1/admin/users/{}/impersonate", user.id);
        let acting = admin.post(&act, &json!({"reason": "r"})).await.expect(200).json();
        let key = crate::api_keys::make(&user, &json!({"name": "k"})).await;
        let narrow = crate::api_keys::make(&user, &json!({"name": "k", "scopes": "realtime:read"})).await;
        let wide = crate::api_keys::make(&admin, &json!({"name": "k"})).await;
        let bearer = |token: &str| format!("Bearer {token}");
        let credentials = vec![
            (Who::User, "authorization", bearer(&user.token)),
            (Who::Browser, "cookie", cookie.unwrap().to_owned()),
            (Who::Admin, "authorization", bearer(&admin.token)),
            (Who::Member, "authorization", bearer(&text(&member["token"]["access_token"]))),
            (Who::Acting, "authorization", bearer(&text(&acting["access_token"]))),
            (Who::Key, "x-api-key", text(&key["key"])),
            (Who::NarrowKey, "x-api-key", text(&narrow["key"])),
            (Who::AdminKey, "x-api-key", text(&wide["key"])),
        ];
        Self { product, credentials }
    }

    async fn call(&self, who: Who, method: &str, path: &str) -> Answer {
        let body = matches!(method, "POST" | "PUT" | "PATCH").then(|| sent(path));
        let concrete = path
            .replace("/name/{name}", "/name/nothing")
            .replace("{name}/records", "posts/records")
            .replace("{collection}", "members")
            .replace("{name}", "nothing")
            .replace("{id}", "01912345-0000-7000-8000-000000000001")
            .replace("{session}", "01912345-0000-7000-8000-000000000001");
        let concrete = if concrete.ends_with("/role") { format!("{concrete}?role=user") } else { concrete };
        let others = method == "DELETE" && path.ends_with("{collection}/auth/sessions");
        let concrete = if others { format!("{concrete}?others=true") } else { concrete };
        let method: Method = method.parse().unwrap();
        let mut request: Request<Body> = request(None, method, &concrete, body.as_ref());
        if let Some((_, name, value)) = self.credentials.iter().find(|(known, ..)| *known == who) {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        if who == Who::Browser {
            request.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
        }
        self.product.send(request).await
    }
}

/// An array is a body that no handler takes. Whose account it is, members' routes ask after they read the body.
fn sent(path: &str) -> Value {
    let new = "Another-Horse8-staple";
    if path.ends_with("auth/me/change-password") {
        return json!({"old_password": "wrong-horse-1", "new_password": new, "new_password_confirm": new});
    }
    if path.ends_with("auth/me/request-email-change") {
        return json!({"new_email": "n@example.com", "password": "wrong-horse-1"});
    }
    json!([])
}

async fn every_route_admits_whom_its_row_says(product: &Product) {
    let served: Vec<(String, &str)> =
        operations().iter().map(|operation| (operation.method().to_string(), operation.path())).collect();
    let has_row = |method: &str, path: &str| ROWS.iter().any(|(known, at, _)| *known == method && *at == path);
    let missing: Vec<_> = served.iter().filter(|(method, path)| !has_row(method, path)).collect();
    assert!(missing.is_empty(), "routes without a row: {missing:?}");

    let cast = Cast::assemble(product).await;
    let mut wrong = Vec::new();
    for (method, path, door) in ROWS.iter().filter(|(known, at, _)| served.iter().any(|(m, p)| m == known && p == at)) {
        for who in ALL {
            let expected = expected(*door, who);
            if expected.is_none() && TELLING.contains(&(method, path)) {
                continue;
            }
            let answer = cast.call(who, method, path).await;
            let (status, code) = (answer.status.as_u16(), answer.code());
            let fits = match expected {
                Some((wanted, word)) => status == wanted && code == word,
                None => !GATE.contains(&code.as_str()) && status < 500,
            };
            if !fits {
                wrong.push(format!("{method} {path} {who:?}: {status} {code}, wanted {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// R37: whatever is sensitive, whoever would come in, by a session that is older than a quarter of an hour.
async fn every_sensitive_route_wants_a_recent_sign_in(product: &Product) {
    let cast = Cast::assemble(product).await;
    product.clock.advance_seconds(15 * 60 + 1);
    let mut wrong = Vec::new();
    for (method, path, door) in ROWS {
        let callers: &[Who] = match door {
            Sensitive => &[Who::User, Who::Browser, Who::Admin],
            AdminSensitive => &[Who::Admin],
            MemberSensitive => &[Who::Member],
            _ => continue,
        };
        for who in callers {
            let answer = cast.call(*who, method, path).await;
            let (status, code) = (answer.status.as_u16(), answer.code());
            if (status, code.as_str()) != (403, "insufficient_user_authentication") {
                wrong.push(format!("{method} {path} {who:?}: {status} {code}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
