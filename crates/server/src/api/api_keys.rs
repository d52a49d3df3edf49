//! `/api/v1/api-keys`: the keys that users give to their programs. For people alone: no key manages keys.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fastcms_core::App;
use fastcms_core::api_keys::{self, ApiKey, FreshKey, KeyChange, NewKey};
use fastcms_core::time::stamp;
use fastcms_guard::api_key::HEAD;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, delete, get, patch, post};
use crate::error::Answer;
use crate::extract::{Id, InPerson, Json, NoContent, Path, Recent, Within};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    vec![
        post("/api/v1/api-keys", create)
            .summary("Make an API key; its text is shown this once. Needs a recent sign-in")
            .answers(201, "The key", fresh_schema())
            .refuses(422, "validation_failed"),
        get("/api/v1/api-keys", list).summary("The own API keys").answers(
            200,
            "Newest first",
            json!({"type": "array", "items": key_schema()}),
        ),
        get("/api/v1/api-keys/{id}", show)
            .summary("One of the own API keys")
            .answers(200, "The key", key_schema())
            .refuses(404, "not_found"),
        patch("/api/v1/api-keys/{id}", change)
            .summary("Change what one of the own API keys is good for")
            .answers(200, "The key", key_schema())
            .refuses(404, "not_found")
            .refuses(422, "validation_failed"),
        delete("/api/v1/api-keys/{id}", remove)
            .summary("Revoke one of the own API keys")
            .answers_empty(204, "Revoked")
            .refuses(404, "not_found"),
        post("/api/v1/api-keys/{id}/rotate", rotate)
            .summary("Give an API key a new text; the old one works until the overlap ends. Needs a recent sign-in")
            .answers(200, "The key with its new text", fresh_schema())
            .refuses(404, "not_found")
            .refuses(422, "validation_failed"),
        post("/api/v1/api-keys/revoke-all", revoke_all).summary("Revoke all own API keys").answers(
            200,
            "How many those were",
            json!({"type": "object", "required": ["revoked", "message"], "properties": {
                "revoked": {"type": "integer"}, "message": {"type": ["string", "null"]},
            }}),
        ),
    ]
}

/// A key whose text was just made.
#[derive(Serialize)]
struct FreshBody {
    id: String,
    name: String,
    key: String,
    key_prefix: String,
    scopes: String,
    expires_at: Option<String>,
    allowed_cidrs: Vec<String>,
    rate_limit_per_minute: Option<u32>,
    created: String,
    message: &'static str,
}

impl From<FreshKey> for FreshBody {
    fn from(FreshKey { key, text }: FreshKey) -> Self {
        Self {
            key_prefix: shown_prefix(&key),
            id: key.id,
            name: key.name,
            key: text.expose().clone(),
            scopes: key.scopes,
            expires_at: key.expires_at.map(stamp),
            allowed_cidrs: key.allowed_cidrs,
            rate_limit_per_minute: key.rate_limit_per_minute,
            created: key.created,
            message: "Keep this key safe: it is not shown again",
        }
    }
}

/// A key as its owner finds it again.
#[derive(Serialize)]
struct KeyBody {
    id: String,
    name: String,
    key_prefix: String,
    scopes: String,
    active: bool,
    expires_at: Option<String>,
    allowed_cidrs: Vec<String>,
    rate_limit_per_minute: Option<u32>,
    last_used_at: Option<String>,
    last_used_ip: Option<String>,
    created: String,
}

impl From<ApiKey> for KeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            key_prefix: shown_prefix(&key),
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            active: key.active,
            expires_at: key.expires_at.map(stamp),
            allowed_cidrs: key.allowed_cidrs,
            rate_limit_per_minute: key.rate_limit_per_minute,
            last_used_at: key.last_used_at,
            last_used_ip: key.last_used_ip,
            created: key.created,
        }
    }
}

fn shown_prefix(key: &ApiKey) -> String {
    format!("{HEAD}{}_****", key.prefix)
}

crate::form! {
    struct Create {
        name: String,
        scopes: String = "*".to_owned(),
        expires_at: Option<String>,
        allowed_cidrs: Vec<String> = Vec::new(),
        rate_limit_per_minute: Option<i64>,
    }
}

async fn create(caller: Recent<InPerson>, State(app): State<Arc<App>>, Json(body): Json<Create>) -> Answer<Response> {
    let new = NewKey {
        name: body.name,
        scopes: body.scopes,
        expires_at: body.expires_at,
        allowed_cidrs: body.allowed_cidrs,
        rate_limit_per_minute: body.rate_limit_per_minute,
    };
    let fresh = api_keys::create(&caller, &app, new).await?;
    Ok((StatusCode::CREATED, Json(FreshBody::from(fresh))).into_response())
}

async fn list(InPerson(caller): InPerson, State(app): State<Arc<App>>) -> Answer<Json<Vec<KeyBody>>> {
    Ok(Json(api_keys::list(&caller, &app).await?.into_iter().map(KeyBody::from).collect()))
}

async fn show(
    InPerson(caller): InPerson,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
) -> Answer<Json<KeyBody>> {
    Ok(Json(api_keys::get(&caller, &app, &id).await?.into()))
}

crate::form! {
    struct Change {
        name: Option<String>,
        scopes: Option<String>,
        active: Option<bool>,
        expires_at: Option<String>,
        allowed_cidrs: Option<Vec<String>>,
        rate_limit_per_minute: Option<i64>,
    }
}

async fn change(
    InPerson(caller): InPerson,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    Json(body): Json<Change>,
) -> Answer<Json<KeyBody>> {
    let change = KeyChange {
        name: body.name,
        scopes: body.scopes,
        active: body.active,
        expires_at: body.expires_at,
        allowed_cidrs: body.allowed_cidrs,
        rate_limit_per_minute: body.rate_limit_per_minute,
    };
    Ok(Json(api_keys::change(&caller, &app, &id, change).await?.into()))
}

async fn remove(InPerson(caller): InPerson, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    api_keys::delete(&caller, &app, &id).await?;
    Ok(NoContent)
}

crate::form! {
    struct Rotate {
        overlap_seconds: Within<0, { api_keys::MAX_OVERLAP_SECONDS }> = Within(3600),
    }
}

async fn rotate(
    caller: Recent<InPerson>,
    State(app): State<Arc<App>>,
    Path(Id(id)): Path<Id>,
    body: Option<Json<Rotate>>,
) -> Answer<Json<FreshBody>> {
    let overlap = body.map_or(3600, |Json(body)| body.overlap_seconds.0);
    Ok(Json(api_keys::rotate(&caller, &app, &id, overlap).await?.into()))
}

async fn revoke_all(InPerson(caller): InPerson, State(app): State<Arc<App>>) -> Answer<Json<Value>> {
    let revoked = api_keys::revoke_all(&caller, &app).await?;
    Ok(Json(json!({"revoked": revoked, "message": null})))
}

fn properties() -> Value {
    let instant = json!({"type": ["string", "null"], "format": "date-time"});
    json!({
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string"},
        "key_prefix": {"type": "string"},
        "scopes": {"type": "string"},
        "expires_at": instant,
        "allowed_cidrs": {"type": "array", "items": {"type": "string"}},
        "rate_limit_per_minute": {"type": ["integer", "null"]},
        "created": {"type": "string", "format": "date-time"},
    })
}

fn key_schema() -> Value {
    let mut properties = properties();
    properties["active"] = json!({"type": "boolean"});
    properties["last_used_at"] = json!({"type": ["string", "null"], "format": "date-time"});
    properties["last_used_ip"] = json!({"type": ["string", "null"]});
    all_required(&properties)
}

fn fresh_schema() -> Value {
    let mut properties = properties();
    properties["key"] = json!({"type": "string", "description": "Shown this once"});
    properties["message"] = json!({"type": ["string", "null"]});
    all_required(&properties)
}

fn all_required(properties: &Value) -> Value {
    let names: Vec<&String> = properties.as_object().into_iter().flat_map(|object| object.keys()).collect();
    json!({"type": "object", "required": names, "properties": properties})
}
