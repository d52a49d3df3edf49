//! `/api/v1/collections/{name}/records/…`: many records in one request. Each item is decided and validated on its own, and what became
//! of it is told by the stable code of its refusal.

use std::{borrow::Cow, sync::Arc};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fastcms_core::records::{self, ItemFailure, MAX_ITEMS};
use fastcms_core::{App, Error};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::records::{is_read_by_a_rule, record_schema};
use super::{Operation, post};
use crate::error::{Answer, Refusal};
use crate::extract::{Client, Facts, Json, Path, SignedIn};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let routes = vec![
        post("/api/v1/collections/{name}/records/batch", create_many).summary("Make up to 100 records").answers(
            201,
            "What became of each",
            stored_schema(&["created"]),
        ),
        post("/api/v1/collections/{name}/records/upsert", upsert)
            .summary("Change up to 100 records by their ids, or make them where there are none")
            .answers(200, "What became of each", stored_schema(&["created", "updated"])),
        post("/api/v1/collections/{name}/records/bulk-update", update_many)
            .summary("Change up to 100 records alike")
            .answers(200, "What became of each", settled_schema()),
        post("/api/v1/collections/{name}/records/bulk-delete", delete_many)
            .summary("Delete up to 100 records")
            .answers(200, "What became of each", settled_schema()),
    ];
    let common = |route: Operation| {
        route
            .tag("records")
            .known_name(is_read_by_a_rule)
            .refuses(400, "batch_too_large, wrong_collection_type")
            .refuses(404, "not_found")
            .refuses(422, "validation_failed")
    };
    routes.into_iter().map(common).collect()
}

fn stored_schema(counts: &[&str]) -> Value {
    let failed = json!({"type": "object", "required": ["index", "data", "error"], "properties": {
        "index": {"type": "integer"}, "data": {}, "error": {"type": "string"},
    }});
    let mut schema = json!({"type": "object", "properties": {}});
    for count in counts.iter().chain(&["failed"]) {
        schema["properties"][count] = json!({"type": "integer"});
    }
    schema["properties"]["records"] = json!({"type": "array", "maxItems": MAX_ITEMS, "items": record_schema()});
    schema["properties"]["errors"] = json!({"type": ["array", "null"], "items": failed});
    with_all_required(schema)
}

fn settled_schema() -> Value {
    let failed = json!({"type": "object", "required": ["record_id", "error"], "properties": {
        "record_id": {"type": "string"}, "error": {"type": "string"},
    }});
    with_all_required(json!({"type": "object", "properties": {
        "success": {"type": "integer"}, "failed": {"type": "integer"}, "errors": {"type": ["array", "null"], "items": failed},
    }}))
}

fn with_all_required(mut schema: Value) -> Value {
    let names: Vec<String> = schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
    schema["required"] = json!(names);
    schema
}

/// Records that were stored, and the items that were not.
#[derive(Serialize)]
struct StoredAnswer<'a> {
    created: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<usize>,
    failed: usize,
    records: Vec<&'a RawValue>,
    errors: Option<Vec<FailedItem<'a>>>,
}

#[derive(Serialize)]
struct FailedItem<'a> {
    index: usize,
    data: Cow<'a, Value>,
    error: &'static str,
}

/// How many of the named records were dealt with, and those that were not.
#[derive(Serialize)]
struct SettledAnswer<'a> {
    success: usize,
    failed: usize,
    errors: Option<Vec<FailedRecord<'a>>>,
}

#[derive(Serialize)]
struct FailedRecord<'a> {
    record_id: &'a str,
    error: &'static str,
}

crate::form! {
    struct Records {
        records: Vec<Value>,
    }
}

async fn create_many(
    SignedIn(caller): SignedIn,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    client: Client,
    facts: Facts,
    Json(body): Json<Records>,
) -> Answer<Response> {
    let outcome = records::create_many(&caller, &app, facts.request(), &name, &body.records).await?;
    let counts = (outcome.records.len(), None);
    let answer = stored(counts, &outcome.records, outcome.failures, &body.records, &client)?;
    Ok((StatusCode::CREATED, answer).into_response())
}

async fn upsert(
    SignedIn(caller): SignedIn,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    client: Client,
    facts: Facts,
    Json(body): Json<Records>,
) -> Answer<Response> {
    let outcome = records::upsert(&caller, &app, facts.request(), &name, &body.records).await?;
    let counts = (outcome.created, Some(outcome.updated));
    stored(counts, &outcome.records, outcome.failures, &body.records, &client)
}

crate::form! {
    struct BulkUpdate {
        record_ids: Vec<String>,
        data: Map<String, Value>,
    }
}

async fn update_many(
    SignedIn(caller): SignedIn,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    client: Client,
    facts: Facts,
    Json(body): Json<BulkUpdate>,
) -> Answer<Response> {
    let failures = records::update_many(&caller, &app, facts.request(), &name, &body.record_ids, &body.data).await?;
    Ok(settled(&body.record_ids, failures, &client))
}

crate::form! {
    struct BulkDelete {
        record_ids: Vec<String>,
    }
}

async fn delete_many(
    SignedIn(caller): SignedIn,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    client: Client,
    facts: Facts,
    Json(body): Json<BulkDelete>,
) -> Answer<Response> {
    let failures = records::delete_many(&caller, &app, facts.request(), &name, &body.record_ids).await?;
    Ok(settled(&body.record_ids, failures, &client))
}

/// What became of items that were to be stored; how many were created, and how many updated where that can be.
fn stored(
    (created, updated): (usize, Option<usize>),
    records: &[Vec<u8>],
    failures: Vec<ItemFailure>,
    items: &[Value],
    client: &Client,
) -> Answer {
    let (failed, records) = (failures.len(), raw(records)?);
    let errors = failed_items(failures, items, client);
    Ok(Json(StoredAnswer { created, updated, failed, records, errors }).into_response())
}

/// Records that are JSON already, to be copied as they are.
fn raw(records: &[Vec<u8>]) -> Answer<Vec<&RawValue>> {
    let raw: Result<_, _> = records.iter().map(|record| serde_json::from_slice(record)).collect();
    raw.map_err(|error| Error::internal(error).into())
}

fn failed_items<'a>(failures: Vec<ItemFailure>, items: &'a [Value], client: &Client) -> Option<Vec<FailedItem<'a>>> {
    let entry = |ItemFailure { index, error }| FailedItem {
        index,
        data: without_password(&items[index]),
        error: code(error, client),
    };
    (!failures.is_empty()).then(|| failures.into_iter().map(entry).collect())
}

/// An item as it was sent, but for a password: that goes in and never out.
fn without_password(item: &Value) -> Cow<'_, Value> {
    if item.get("password").is_none() {
        return Cow::Borrowed(item);
    }
    let mut shown = item.clone();
    if let Some(object) = shown.as_object_mut() {
        object.shift_remove("password");
    }
    Cow::Owned(shown)
}

fn settled(ids: &[String], failures: Vec<ItemFailure>, client: &Client) -> Response {
    let failed = failures.len();
    let entry = |ItemFailure { index, error }| FailedRecord { record_id: &ids[index], error: code(error, client) };
    let errors = (failed > 0).then(|| failures.into_iter().map(entry).collect());
    Json(SettledAnswer { success: ids.len() - failed, failed, errors }).into_response()
}

/// The code that the whole request would have been refused with, had it been about this item alone. The answer says 200, so faults of
/// ours are logged here and not by the edge.
fn code(error: Error, client: &Client) -> &'static str {
    let refusal = Refusal::from(error);
    refusal.log(&client.request_id, &client.faults);
    refusal.row().code
}
