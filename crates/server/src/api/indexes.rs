//! `/api/v1/collections/{id}/indexes`: what an admin wants found quickly, or only once. All for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fastcms_core::{App, FieldErrors, collections};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Operation, delete, get, post};
use crate::error::Answer;
use crate::extract::{Admin, Form, Json, NoContent, Path, Place};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let page = json!({"type": "object", "required": ["items", "total"], "properties": {
        "items": {"type": "array", "items": index_schema()}, "total": {"type": "integer"},
    }});
    vec![
        get("/api/v1/collections/{id}/indexes", list)
            .summary("The indexes of a collection, in the order in which they were made")
            .answers(200, "The indexes", page)
            .refuses(404, "not_found"),
        post("/api/v1/collections/{id}/indexes", create)
            .summary("Give a collection an index")
            .long()
            .answers(201, "The index", index_schema())
            .refuses(400, "wrong_collection_type")
            .refuses(404, "not_found")
            .refuses(409, "already_exists")
            .refuses(422, "validation_failed"),
        get("/api/v1/collections/{id}/indexes/{name}", show)
            .summary("One index")
            .answers(200, "The index", index_schema())
            .refuses(404, "not_found"),
        delete("/api/v1/collections/{id}/indexes/{name}", remove)
            .summary("Delete an index")
            .answers_empty(204, "Deleted")
            .refuses(404, "not_found"),
    ]
}

fn index_schema() -> Value {
    json!({"type": "object", "required": ["name", "fields", "unique", "created"], "properties": {
        "name": {"type": "string"}, "fields": members_schema(), "unique": {"type": "boolean"},
        "created": {"type": "string", "format": "date-time"},
    }})
}

fn members_schema() -> Value {
    let member = json!({"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
        "name": {"type": "string", "description": "A field of the collection, `id`, `created` or `updated`"},
        "order": {"enum": ["asc", "desc"], "default": "asc"},
    }});
    json!({"type": "array", "minItems": 1, "maxItems": collections::MAX_INDEX_FIELDS, "items": member})
}

/// A body that core reads itself: it knows what an index is made of.
struct NewIndex(Map<String, Value>);

impl Form for NewIndex {
    fn read(object: Map<String, Value>, _: &Place<'_>, _: &mut FieldErrors) -> Option<Self> {
        Some(Self(object))
    }

    fn schema() -> Value {
        json!({"type": "object", "required": ["name", "fields"], "additionalProperties": false, "properties": {
            "name": {"type": "string", "pattern": "^[a-zA-Z][a-zA-Z0-9_]*$", "maxLength": 100}, "fields": members_schema(),
            "unique": {"type": "boolean", "default": false, "description": "Refused while records share their values"},
        }})
    }
}

async fn list(Admin(caller): Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<Value>> {
    let indexes = collections::indexes(&caller, &app, &id)?;
    let items: Vec<_> = indexes.iter().map(collections::index_to_json).collect();
    Ok(Json(json!({"total": items.len(), "items": items})))
}

async fn create(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(body): Json<NewIndex>,
) -> Answer<Response> {
    let index = collections::create_index(&caller, &app, &id, &body.0).await?;
    Ok((StatusCode::CREATED, Json(collections::index_to_json(&index))).into_response())
}

async fn show(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path((id, name)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    Ok(Json(collections::index_to_json(&collections::index(&caller, &app, &id, &name)?)))
}

async fn remove(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path((id, name)): Path<(String, String)>,
) -> Answer<NoContent> {
    collections::delete_index(&caller, &app, &id, &name).await?;
    Ok(NoContent)
}
