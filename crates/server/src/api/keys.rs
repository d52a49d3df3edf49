//! `/api/v1/admin/keys`: what still depends on each key that signs tokens. No answer holds a key, only key ids.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use fastcms_core::keys::{self, KeyStatus, Wrapped, Wrapper, WrapperKind};
use fastcms_core::{App, Caller, Error, time::stamp};
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
    let count = || json!({"type": "integer"});
    let version = json!({
        "type": "object", "required": ["version", "data_keys", "sealed"],
        "properties": {"version": count(), "data_keys": count(), "sealed": count()},
    });
    let wrapper = json!({
        "type": "object",
        "required": ["kind", "name", "state", "data_keys", "sealed", "safe_to_remove"],
        "properties": {
            "kind": {"type": "string", "enum": ["encryption_key", "transit"]},
            "name": {"type": "string"},
            "state": {"type": "string", "enum": ["current", "previous"]},
            "data_keys": count(), "sealed": count(), "safe_to_remove": {"type": "boolean"},
            "versions": {"type": "array", "items": version},
        },
    });
    let wrappers = json!({
        "type": "array", "items": wrapper,
        "description": "What wraps data keys besides the keys that sign; absent where nothing does",
    });
    json!({
        "type": "object", "required": ["keys"],
        "properties": {"keys": {"type": "array", "items": key}, "wrappers": wrappers},
    })
}

/// The keys of the ring, as the API and the command line show them.
#[derive(Serialize)]
pub struct KeysBody {
    keys: Vec<KeyBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wrappers: Vec<WrapperBody>,
}

#[derive(Serialize)]
struct WrapperBody {
    kind: &'static str,
    name: String,
    state: &'static str,
    data_keys: i64,
    sealed: i64,
    safe_to_remove: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    versions: Vec<VersionBody>,
}

#[derive(Serialize)]
struct VersionBody {
    version: u32,
    data_keys: i64,
    sealed: i64,
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
    pub fn new(keys: Vec<KeyStatus>, wrappers: Vec<Wrapper>) -> Self {
        Self {
            keys: keys.into_iter().map(KeyBody::from).collect(),
            wrappers: wrappers.into_iter().map(WrapperBody::from).collect(),
        }
    }

    /// As they stand now.
    async fn now(caller: &Caller, app: &App) -> Answer<Self> {
        Ok(Self::new(keys::status(caller, app).await?, keys::wrappers(caller, app).await?))
    }
}

impl From<Wrapper> for WrapperBody {
    fn from(wrapper: Wrapper) -> Self {
        let kind = match wrapper.kind {
            WrapperKind::EncryptionKey => "encryption_key",
            WrapperKind::Transit => "transit",
        };
        let Wrapped { data_keys, sealed } = wrapper.wrapped;
        let version = |(version, its): &(u32, Wrapped)| VersionBody {
            version: *version,
            data_keys: its.data_keys,
            sealed: its.sealed,
        };
        Self {
            kind,
            state: state(if wrapper.is_current { Role::Current } else { Role::Previous }),
            data_keys,
            sealed,
            safe_to_remove: wrapper.is_safe_to_remove(),
            versions: wrapper.versions.iter().map(version).collect(),
            name: wrapper.name,
        }
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
    Ok(Json(KeysBody::now(&caller, &app).await?).into_response())
}

async fn list(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<KeysBody>> {
    Ok(Json(KeysBody::now(&caller, &app).await?))
}
