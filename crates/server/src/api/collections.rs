//! `/api/v1/collections`: what collections there are, made of what. All for admins.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fastcms_core::{App, FieldErrors, collections};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Operation, delete, get, patch, post};
use crate::error::Answer;
use crate::extract::{Admin, Form, Json, JsonBytes, NoContent, Path, Place, Query, Within};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let page = json!({"type": "object", "required": ["items", "total", "page", "per_page", "message"], "properties": {
        "items": {"type": "array", "items": collection_schema()},
        "total": {"type": "integer"}, "page": {"type": "integer"}, "per_page": {"type": "integer"},
        "message": {"type": ["string", "null"]},
    }});
    vec![
        get("/api/v1/collections", list).summary("List collections, newest first").answers(200, "A page", page.clone()),
        post("/api/v1/collections", create)
            .summary("Make a collection with its table")
            .answers(201, "The collection", collection_schema())
            .refuses(409, "already_exists")
            .refuses(422, "validation_failed"),
        get("/api/v1/collections/{id}", show).summary("One collection").answers(
            200,
            "The collection",
            collection_schema(),
        ),
        get("/api/v1/collections/name/{name}", show_by_name).summary("One collection, by its name").answers(
            200,
            "The collection",
            collection_schema(),
        ),
        patch("/api/v1/collections/{id}", change)
            .summary("Change a collection with its table, or nothing at all; what is left out stays")
            .long()
            .answers(200, "The collection", collection_schema())
            .refuses(409, "already_exists, unique_conflict")
            .refuses(422, "validation_failed"),
        get("/api/v1/admin/collections", list)
            .tag("collections")
            .summary("List collections, newest first")
            .answers(200, "A page", page),
        delete("/api/v1/admin/collections/{id}", remove)
            .tag("collections")
            .summary("Delete a collection with exactly its table")
            .answers_empty(204, "Deleted")
            .refuses(409, "relation_restricted"),
        delete("/api/v1/collections/{id}", remove)
            .summary("Delete a collection with exactly its table")
            .answers_empty(204, "Deleted")
            .refuses(409, "relation_restricted"),
        get("/api/v1/collections/{id}/export", export)
            .summary("A collection as a document, with its records where `include_data` says so")
            .long()
            .answers(200, "The document, as an attachment, without hidden fields of records", json!({"type": "object"}))
            .refuses(400, "wrong_collection_type")
            .refuses(404, "not_found")
            .refuses(422, "validation_failed (include_data: more than MAX_FILE_SIZE)"),
        post("/api/v1/collections/import", import)
            .summary(
                "Make the collection of a document, with its records where `import_records` says so, or nothing at all",
            )
            .file_sized()
            .long()
            .answers(201, "The collection", collection_schema())
            .refuses(409, "already_exists, unique_conflict")
            .refuses(422, "validation_failed"),
        delete("/api/v1/collections/name/{name}/truncate", truncate)
            .summary("Delete all records of a collection")
            .answers(
                200,
                "How many there were",
                json!({"type": "object", "properties": {
                    "deleted_count": {"type": "integer"}, "collection": {"type": "string"},
                }}),
            )
            .refuses(400, "wrong_collection_type")
            .refuses(409, "relation_restricted"),
    ]
}

fn collection_schema() -> Value {
    let rule =
        json!({"type": ["string", "null"], "description": "null: admins only; empty: everybody; else an expression"});
    json!({"type": "object", "properties": {
        "id": {"type": "string"}, "name": {"type": "string"}, "type": {"enum": ["base", "auth", "view"]},
        "schema": {"type": "array", "items": {"type": "object"}}, "options": {"type": "object"},
        "list_rule": rule, "view_rule": rule, "create_rule": rule, "update_rule": rule, "delete_rule": rule, "manage_rule": rule,
        "view_query": {"type": ["string", "null"]}, "system": {"type": "boolean"},
        "created": {"type": "string", "format": "date-time"}, "updated": {"type": "string", "format": "date-time"},
        "message": {"type": ["string", "null"]},
    }})
}

/// A body that core reads itself: it knows what a collection is made of, and names every fault by its path.
struct Definition(Map<String, Value>);

impl Form for Definition {
    fn read(object: Map<String, Value>, _: &Place<'_>, _: &mut FieldErrors) -> Option<Self> {
        Some(Self(object))
    }

    fn schema() -> Value {
        let mut schema = collection_schema();
        if let Some(properties) = schema["properties"].as_object_mut() {
            for answered in ["id", "system", "created", "updated", "message"] {
                properties.remove(answered);
            }
        }
        let renamed_from = json!({"type": "string", "description": "In a change only: the name that the field has so far. It keeps its values, \
            its indexes, and what other collections show of it. Without this, a name that is left out is a field that goes with its values"});
        schema["properties"]["schema"]["items"] = json!({"type": "object", "required": ["name", "type"], "properties": {
            "name": {"type": "string"}, "type": {"type": "string"}, "renamed_from": renamed_from,
        }});
        schema
    }
}

crate::query! {
    struct Paging {
        page: Within<1, 10_000_000> = Within(1),
        per_page: Within<1, 200> = Within(30),
        include_system: bool = false,
    }
}

#[derive(Serialize)]
struct CollectionsBody {
    items: Vec<Value>,
    total: usize,
    page: u32,
    per_page: u32,
    message: Option<String>,
}

async fn list(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Paging>,
) -> Answer<Json<CollectionsBody>> {
    let (page, per_page) = (query.page.0, query.per_page.0);
    let found = collections::list(&caller, &app, page as usize, per_page as usize, query.include_system)?;
    let items = found.items.iter().map(|collection| collections::to_json(collection)).collect();
    Ok(Json(CollectionsBody { items, total: found.total, page, per_page, message: None }))
}

async fn create(Admin(caller): Admin, State(app): State<Arc<App>>, Json(body): Json<Definition>) -> Answer {
    let collection = collections::create(&caller, &app, &body.0).await?;
    Ok((StatusCode::CREATED, Json(collections::to_json(&collection))).into_response())
}

async fn show(Admin(caller): Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<Value>> {
    Ok(Json(collections::to_json(&*collections::get(&caller, &app, &id)?)))
}

async fn show_by_name(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Answer<Json<Value>> {
    Ok(Json(collections::to_json(&*collections::get_by_name(&caller, &app, &name)?)))
}

async fn change(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Json(body): Json<Definition>,
) -> Answer<Json<Value>> {
    Ok(Json(collections::to_json(&*collections::update(&caller, &app, &id, &body.0).await?)))
}

async fn remove(Admin(caller): Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<NoContent> {
    collections::delete(&caller, &app, &id).await?;
    Ok(NoContent)
}

async fn truncate(Admin(caller): Admin, State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<Response> {
    let truncated = collections::truncate(&caller, &app, &name).await?;
    Ok(Json(json!({"deleted_count": truncated.deleted, "collection": truncated.collection})).into_response())
}

crate::query! {
    struct ExportQuery {
        include_data: bool = false,
    }
}

async fn export(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<ExportQuery>,
) -> Answer {
    let export = collections::export(&caller, &app, &id, query.include_data).await?;
    let mut response = JsonBytes(export.document.into()).into_response();
    // A collection's name is letters, digits and underscores: nothing in it has to be quoted.
    let attachment = format!("attachment; filename=\"{}_export.json\"", export.name);
    if let Ok(attachment) = HeaderValue::from_str(&attachment) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, attachment);
    }
    Ok(response)
}

crate::query! {
    struct ImportQuery {
        import_records: bool = false,
    }
}

/// An exported document.
struct Document(Map<String, Value>);

impl Form for Document {
    fn read(object: Map<String, Value>, _: &Place<'_>, _: &mut FieldErrors) -> Option<Self> {
        Some(Self(object))
    }

    fn schema() -> Value {
        let fields = json!({"type": "array", "items": {"type": "object"}});
        let record = json!({"type": "object", "required": ["data"], "properties": {
            "id": {"type": "string", "format": "uuid", "description": "Kept; made anew where there is none"},
            "data": {"type": "object", "description": "Hidden fields may be missing; passwords are refused"},
            "created": {"type": "string", "format": "date-time"}, "updated": {"type": "string", "format": "date-time"},
        }});
        json!({"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
            "name": {"type": "string"}, "type": {"enum": ["base", "auth", "view"]}, "schema": fields, "options": {"type": "object"},
            "rules": {"type": "object"}, "indexes": fields, "records": {"type": "array", "items": record},
            "view_query": {"type": ["string", "null"]}, "system": {"type": "boolean", "description": "Read, not used"},
        }})
    }
}

async fn import(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<ImportQuery>,
    Json(body): Json<Document>,
) -> Answer {
    let collection = collections::import(&caller, &app, &body.0, query.import_records).await?;
    Ok((StatusCode::CREATED, Json(collections::to_json(&collection))).into_response())
}
