//! `/api/v1/admin`: sessions of users, and acting in a user's place.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use fastcms_core::accounts::{self, impersonation};
use fastcms_core::time::stamp;
use serde::Serialize;
use serde_json::json;

use super::account::{SessionsBody, device, sessions_schema};
use super::{Operation, delete, get, post};
use crate::error::Answer;
use crate::extract::{Admin, Client, Id, Json, NoContent, Path, Query, Recent, Within};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let begun = json!({
        "type": "object",
        "required": ["access_token", "token_type", "expires_in", "impersonated_user_id", "message"],
        "properties": {
            "access_token": {"type": "string"},
            "token_type": {"type": "string", "const": "bearer"},
            "expires_in": {"type": "integer", "description": "Seconds"},
            "impersonated_user_id": {"type": "string", "format": "uuid"},
            "message": {"type": ["string", "null"]},
        },
    });
    vec![
        get("/api/v1/admin/users/{id}/sessions", sessions)
            .summary("Live sessions of a user")
            .answers(200, "Newest first", sessions_schema())
            .refuses(404, "not_found"),
        delete("/api/v1/admin/users/{id}/sessions", end_sessions)
            .summary("End every session of a user")
            .answers_empty(204, "Ended")
            .refuses(404, "not_found"),
        delete("/api/v1/admin/users/{id}/sessions/{session}", end_session)
            .summary("End one session of a user")
            .answers_empty(204, "Ended")
            .refuses(404, "not_found"),
        post("/api/v1/admin/users/{id}/impersonate", begin)
            .summary("Act as a user who is no admin; needs a recent sign-in and a reason, and the user is told")
            .answers(200, "A token of its own kind, that cannot be refreshed", begun)
            .refuses(400, "self_action")
            .refuses(404, "not_found")
            .refuses(422, "validation_failed"),
        post("/api/v1/admin/users/{id}/impersonate/end", end_of_user)
            .summary("End every impersonation of a user")
            .answers_empty(204, "Ended")
            .refuses(404, "not_found"),
        get("/api/v1/admin/impersonations", list).summary("Live impersonations").answers(
            200,
            "Newest first",
            list_schema(),
        ),
        delete("/api/v1/admin/impersonations/{id}", end)
            .summary("End an impersonation")
            .answers_empty(204, "Ended")
            .refuses(404, "not_found"),
    ]
}

async fn sessions(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
) -> Answer<Json<SessionsBody>> {
    let sessions = accounts::sessions_by_admin(&caller, &app, &id).await?;
    let current = caller.account().map_or("", |account| account.session.as_str());
    Ok(Json(SessionsBody::new(sessions, current)))
}

async fn end_sessions(Admin(caller): Admin, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    accounts::end_sessions_by_admin(&caller, &app, &id, None).await?;
    Ok(NoContent)
}

async fn end_session(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path((Id(id), Id(session))): Path<(Id, Id)>,
) -> Answer<NoContent> {
    accounts::end_sessions_by_admin(&caller, &app, &id, Some(&session)).await?;
    Ok(NoContent)
}

crate::query! {
    struct Lasting {
        duration: Within<{ impersonation::SHORTEST_SECONDS }, { impersonation::LONGEST_SECONDS }> = Within(3600),
    }
}

crate::form! {
    struct Why {
        reason: String,
    }
}

#[derive(Serialize)]
struct BegunBody {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    impersonated_user_id: String,
    message: Option<&'static str>,
}

async fn begin(
    caller: Recent<Admin>,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Query(query): Query<Lasting>,
    client: Client,
    Json(body): Json<Why>,
) -> Answer<Json<BegunBody>> {
    let (seconds, device) = (query.duration.0, device(&client));
    let begun = impersonation::begin(&caller, &app, &id, seconds, &body.reason, &device).await?;
    Ok(Json(BegunBody {
        access_token: begun.access_token,
        token_type: "bearer",
        expires_in: begun.expires_in,
        impersonated_user_id: id,
        message: None,
    }))
}

async fn end_of_user(Admin(caller): Admin, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    impersonation::end_of_user(&caller, &app, &id).await?;
    Ok(NoContent)
}

#[derive(Serialize)]
struct ImpersonationBody {
    id: String,
    admin_id: String,
    admin_email: String,
    user_id: String,
    user_email: String,
    reason: String,
    ip_address: String,
    created: String,
    expires_at: String,
}

impl From<impersonation::Listed> for ImpersonationBody {
    fn from(listed: impersonation::Listed) -> Self {
        let row = listed.impersonation;
        Self {
            id: row.id,
            admin_id: row.admin_id,
            admin_email: listed.admin_email,
            user_id: row.user_id,
            user_email: listed.user_email,
            reason: row.reason,
            ip_address: row.ip_address,
            created: row.created,
            expires_at: stamp(row.expires_at.saturating_mul(1000)),
        }
    }
}

#[derive(Serialize)]
struct ImpersonationsBody {
    impersonations: Vec<ImpersonationBody>,
}

async fn list(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<ImpersonationsBody>> {
    let live = impersonation::list(&caller, &app).await?;
    Ok(Json(ImpersonationsBody { impersonations: live.into_iter().map(ImpersonationBody::from).collect() }))
}

async fn end(Admin(caller): Admin, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    impersonation::end(&caller, &app, &id).await?;
    Ok(NoContent)
}

fn list_schema() -> serde_json::Value {
    let text = json!({"type": "string"});
    json!({"type": "object", "required": ["impersonations"], "properties": {"impersonations": {
        "type": "array",
        "items": {"type": "object", "properties": {
            "id": text, "admin_id": text, "admin_email": text, "user_id": text, "user_email": text, "reason": text,
            "ip_address": text, "created": {"type": "string", "format": "date-time"},
            "expires_at": {"type": "string", "format": "date-time"},
        }},
    }}})
}
