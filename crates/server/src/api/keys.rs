//! `/api/v1/admin/keys`: what still depends on each key that signs tokens. No answer holds a key, only key ids.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use fastcms_core::keys::{self, KeyStatus};
use fastcms_core::{App, Error, time::stamp};
use fastcms_guard::keys::Role;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, get, post};
use crate::error::Answer;
use crate::extract::{Admin, Json, NoContent, Recent};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    vec![
        get("/api/v1/admin/keys", list).summary("What still depends on each key that signs tokens").answers(
            200,
            "The current key first",
            keys_schema(),
        ),
        post("/api/v1/admin/keys/rotate", rotate)
            .summary("Put a new key in force and into the settings file; in an emergency end every session and token")
            .answers(200, "The keys as they stand now, the new one first", keys_schema())
            .answers_empty(204, "In an emergency: every session and token has ended, the calling one included")
            .refuses(409, "secret_not_writable"),
    ]
}

fn keys_schema() -> Value {
    let at = json!({"type": ["string", "null"], "format": "date-time"});
    let key = json!({
        "type": "object",
        "required": ["kid", "state", "first_seen", "last_verified", "outstanding", "live_families", "wrapped", "safe_to_remove"],
        "properties": {
            "kid": {"type": "string"},
            "state": {"type": "string", "enum": ["current", "next", "previous"]},
            "first_seen": at, "last_verified": at,
            "outstanding": {
                "type": "object",
                "required": ["access", "refresh", "file", "impersonation"],
                "properties": {"access": at, "refresh": at, "file": at, "impersonation": at},
            },
            "live_families": {"type": "integer"}, "wrapped": {"type": "integer"}, "safe_to_remove": {"type": "boolean"},
        },
    });
    json!({"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": key}}})
}

/// The keys of the ring, as the API and the command line show them.
#[derive(Serialize)]
pub struct KeysBody {
    keys: Vec<KeyBody>,
}

#[derive(Serialize)]
struct KeyBody {
    kid: String,
    state: &'static str,
    first_seen: Option<String>,
    last_verified: Option<String>,
    outstanding: OutstandingBody,
    live_families: i64,
    wrapped: i64,
    safe_to_remove: bool,
}

#[derive(Serialize)]
struct OutstandingBody {
    access: Option<String>,
    refresh: Option<String>,
    file: Option<String>,
    impersonation: Option<String>,
}

impl KeysBody {
    pub fn new(keys: Vec<KeyStatus>) -> Self {
        Self { keys: keys.into_iter().map(KeyBody::from).collect() }
    }
}

impl From<KeyStatus> for KeyBody {
    fn from(key: KeyStatus) -> Self {
        let at = |seconds: Option<i64>| seconds.map(|seconds| stamp(seconds * 1000));
        let ends = &key.outstanding;
        Self {
            state: state(key.role),
            first_seen: at(key.first_seen),
            last_verified: at(key.last_verified),
            outstanding: OutstandingBody {
                access: at(ends.access),
                refresh: at(ends.refresh),
                file: at(ends.file),
                impersonation: at(ends.impersonation),
            },
            live_families: key.live_families,
            wrapped: key.wrapped,
            safe_to_remove: key.is_safe_to_remove(),
            kid: key.kid,
        }
    }
}

/// The word for what a key does.
pub const fn state(role: Role) -> &'static str {
    match role {
        Role::Current => "current",
        Role::Previous => "previous",
        Role::Next => "next",
    }
}

crate::form! {
    struct Rotate {
        emergency: bool = false,
    }
}

async fn rotate(caller: Recent<Admin>, State(app): State<Arc<App>>, body: Option<Json<Rotate>>) -> Answer {
    if body.is_some_and(|Json(body)| body.emergency) {
        keys::revoke_everything(&caller, &app).await?;
        return Ok(NoContent.into_response());
    }
    if let Err(error) = keys::rotate(&caller, &app).await {
        if let Error::SecretNotWritable(why) = &error {
            tracing::warn!(why, "a rotation was asked for and is not possible");
        }
        return Err(error.into());
    }
    Ok(Json(KeysBody::new(keys::status(&caller, &app).await?)).into_response())
}

async fn list(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<KeysBody>> {
    Ok(Json(KeysBody::new(keys::status(&caller, &app).await?)))
}
