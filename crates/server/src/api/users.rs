//! `/api/v1/admin/users`: what admins do to users.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use fastcms_core::accounts::{self, AdminChange};
use fastcms_core::time::stamp;
use fastcms_core::{App, attempts};
use fastcms_secrets::Secret;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::account::{UserBody, user_schema};
use super::auth::{Register, nullable};
use super::page::{Page, page_schema};
use super::{Operation, delete, get, patch, post};
use crate::error::Answer;
use crate::extract::{Admin, Id, Json, NoContent, Patch, Path, Query, Recent, Within};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let page = page_schema(&user_schema());
    vec![
        get("/api/v1/admin/users", list).summary("List users, newest first").answers(200, "A page", page),
        post("/api/v1/admin/users", create)
            .summary("Make a user, or, after a recent sign-in, an admin")
            .answers(201, "The user", user_schema())
            .refuses(403, "forbidden, insufficient_user_authentication")
            .refuses(409, "email_taken")
            .refuses(422, "validation_failed, password_policy"),
        get("/api/v1/admin/users/{id}", show).summary("One user").answers(200, "The user", user_schema()),
        patch("/api/v1/admin/users/{id}", change)
            .summary("Change a user; a new role, address or password ends their sessions and needs a recent sign-in")
            .answers(200, "The user", user_schema())
            .refuses(400, "self_action")
            .refuses(403, "forbidden, insufficient_user_authentication")
            .refuses(409, "email_taken, last_admin")
            .refuses(422, "validation_failed, password_policy"),
        delete("/api/v1/admin/users/{id}", remove)
            .summary("Delete a user; needs a recent sign-in")
            .answers_empty(204, "Deleted")
            .refuses(400, "self_action")
            .refuses(409, "last_admin"),
        post("/api/v1/admin/users/{id}/unlock", unlock)
            .summary("End the locks of a user and forget failed attempts")
            .answers(200, "The user", user_schema()),
        get("/api/v1/admin/users/{id}/lock-status", lock_status)
            .summary("Where a user stands with failed attempts of unknown browsers")
            .answers(200, "The standing", lock_schema()),
        post("/api/v1/admin/users/{id}/password-reset", send_password_reset)
            .summary("Send a user a link to choose another password")
            .answers_empty(204, "Queued")
            .refuses(400, "mail_not_configured"),
        post("/api/v1/admin/users/{id}/require-password-change", require_password_change)
            .summary("Mark a user as compromised: every session ends, and after the next sign-in only the password can be changed")
            .answers_empty(204, "Marked"),
        post("/api/v1/admin/users/require-password-change", require_password_change_of_all)
            .summary("Mark every account as compromised, those of auth collections and the own one included; needs a recent sign-in")
            .answers(
                200,
                "How many accounts were marked",
                json!({"type": "object", "required": ["accounts"], "properties": {"accounts": {"type": "integer"}}}),
            ),
        patch("/api/v1/admin/users/{id}/role", set_role)
            .summary("Give a user another role; needs a recent sign-in")
            .answers(200, "The user", user_schema())
            .refuses(400, "self_action")
            .refuses(409, "last_admin"),
    ]
}

crate::query! {
    struct Paging {
        page: Within<1, 10_000_000> = Within(1),
        per_page: Within<1, 100> = Within(20),
    }
}

async fn list(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Paging>,
) -> Answer<Json<Page<UserBody>>> {
    let (page, per_page) = (query.page.0, query.per_page.0);
    let found = accounts::list_by_admin(&caller, &app, i64::from(page), i64::from(per_page)).await?;
    Ok(Json(Page::of(found.items, found.total, page, per_page)))
}

crate::query! {
    struct Promotion {
        role: String,
    }
}

crate::query! {
    struct Beginning {
        role: String = "user".to_owned(),
    }
}

async fn create(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Beginning>,
    Json(body): Json<Register>,
) -> Answer {
    let user = accounts::create_by_admin(&caller, &app, body.into_new_user()?, &query.role).await?;
    Ok((StatusCode::CREATED, Json(UserBody::from(user))).into_response())
}

async fn show(Admin(caller): Admin, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<Json<UserBody>> {
    Ok(Json(accounts::get_by_admin(&caller, &app, &id).await?.into()))
}

crate::form! {
    struct ChangeUser {
        name: Patch<String>,
        email: Option<String>,
        role: Option<String>,
        verified: Option<bool>,
        disabled: Option<bool>,
        password: Option<Secret<String>>,
    }
}

async fn change(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Json(body): Json<ChangeUser>,
) -> Answer<Json<UserBody>> {
    let change = AdminChange {
        name: nullable(body.name),
        email: body.email,
        role: body.role,
        verified: body.verified,
        disabled: body.disabled,
        password: body.password,
    };
    Ok(Json(accounts::update_by_admin(&caller, &app, &id, change).await?.into()))
}

async fn remove(caller: Recent<Admin>, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    accounts::delete_by_admin(&caller, &app, &id).await?;
    Ok(NoContent)
}

async fn unlock(Admin(caller): Admin, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<Json<UserBody>> {
    Ok(Json(attempts::unlock(&caller, &app, &id).await?.into()))
}

async fn send_password_reset(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
) -> Answer<NoContent> {
    accounts::send_password_reset(&caller, &app, &id).await?;
    Ok(NoContent)
}

async fn require_password_change(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
) -> Answer<NoContent> {
    accounts::require_password_change(&caller, &app, &id).await?;
    Ok(NoContent)
}

#[derive(Serialize)]
struct MarkedBody {
    accounts: u64,
}

async fn require_password_change_of_all(
    caller: Recent<Admin>,
    State(app): State<Arc<App>>,
) -> Answer<Json<MarkedBody>> {
    Ok(Json(MarkedBody { accounts: accounts::require_password_change_of_all(&caller, &app).await? }))
}

#[derive(Serialize)]
struct LockBody {
    user_id: String,
    is_locked: bool,
    failed_login_attempts: i64,
    locked_until: Option<String>,
    remaining_seconds: i64,
}

fn lock_schema() -> serde_json::Value {
    json!({"type": "object", "required": ["user_id", "is_locked", "failed_login_attempts", "locked_until", "remaining_seconds"], "properties": {
        "user_id": {"type": "string", "format": "uuid"}, "is_locked": {"type": "boolean"}, "failed_login_attempts": {"type": "integer"},
        "locked_until": {"type": ["string", "null"], "format": "date-time"}, "remaining_seconds": {"type": "integer"},
    }})
}

async fn lock_status(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
) -> Answer<Json<LockBody>> {
    let status = attempts::lock_status(&caller, &app, &id).await?;
    Ok(Json(LockBody {
        user_id: status.user_id,
        is_locked: status.is_locked,
        failed_login_attempts: status.failed_login_attempts,
        locked_until: status.locked_until.map(stamp),
        remaining_seconds: status.remaining_seconds,
    }))
}

async fn set_role(
    caller: Recent<Admin>,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Query(query): Query<Promotion>,
) -> Answer<Json<UserBody>> {
    Ok(Json(accounts::set_role(&caller, &app, &id, &query.role).await?.into()))
}
