//! `/api/v1/collections/{name}/records`: records, for whoever the collection's rules admit.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fastcms_core::records::ListParameters;
use fastcms_core::{App, records};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Operation, delete, get, patch, post};
use crate::error::Answer;
use crate::extract::{Anyone, Facts, Json, JsonBytes, NoContent, Params, Path, Query, Within};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let record = record_schema();
    let page = json!({"type": "object", "required": ["items", "total", "page", "per_page", "total_pages"], "properties": {
        "items": {"type": "array", "items": record},
        "total": {"type": ["integer", "null"]}, "page": {"type": "integer"}, "per_page": {"type": "integer"},
        "total_pages": {"type": ["integer", "null"]},
    }});
    let routes = vec![
        get("/api/v1/collections/{name}/records", list)
            .summary("List the records that the list rule shows")
            .answers(200, "A page", page)
            .refuses(400, "invalid_filter, invalid_sort, invalid_fields, invalid_expand"),
        post("/api/v1/collections/{name}/records", create)
            .summary("Make a record")
            .answers(201, "The record", record.clone())
            .refuses(409, "unique_conflict, email_taken")
            .refuses(422, "validation_failed, password_policy"),
        get("/api/v1/collections/{name}/records/{id}", show)
            .summary("One record that the view rule admits")
            .answers(200, "The record", record.clone())
            .refuses(404, "not_found"),
        patch("/api/v1/collections/{name}/records/{id}", change)
            .summary("Change a record; `field+` and `field-` add to numbers")
            .answers(200, "The record", record)
            .refuses(404, "not_found")
            .refuses(409, "unique_conflict, email_taken")
            .refuses(422, "validation_failed, password_policy"),
        delete("/api/v1/collections/{name}/records/{id}", remove)
            .summary("Delete a record")
            .answers_empty(204, "Deleted")
            .refuses(404, "not_found")
            .refuses(409, "relation_restricted"),
    ];
    routes.into_iter().map(|route| route.tag("records").known_name(is_read_by_a_rule)).collect()
}

/// Query names that a rule of the collection reads are known on the routes of its records.
pub(super) fn is_read_by_a_rule(app: &Arc<App>, params: &Params<'_>, name: &str) -> bool {
    params.get(0).is_some_and(|collection| records::reads_query(app, &collection, name))
}

pub(super) fn record_schema() -> Value {
    json!({"type": "object", "required": ["id", "data", "created", "updated", "expand"], "properties": {
        "id": {"type": "string"}, "data": {"type": "object"},
        "created": {"type": "string", "format": "date-time"}, "updated": {"type": "string", "format": "date-time"},
        "expand": {"type": "object"},
    }})
}

crate::query! {
    struct ListQuery {
        page: Within<1, 10_000_000> = Within(1),
        per_page: Within<1, 100> = Within(30),
        filter: Option<String>,
        sort: Option<String>,
        expand: Option<String>,
        search: Option<String>,
        fields: Option<String>,
        skip_total as "skipTotal": bool = false,
    }
}

async fn list(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    facts: Facts,
    Query(query): Query<ListQuery>,
) -> Answer<JsonBytes> {
    let parameters = ListParameters {
        page: query.page.0.into(),
        per_page: query.per_page.0.into(),
        filter: query.filter,
        sort: query.sort,
        fields: query.fields,
        search: query.search,
        expand: query.expand,
        skip_total: query.skip_total,
    };
    let page = records::list(&caller, &app, facts.request(), &name, &parameters).await?;
    Ok(JsonBytes(page.into_json().into()))
}

crate::form! {
    struct Data {
        data: Map<String, Value>,
    }
}

async fn create(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    facts: Facts,
    Json(body): Json<Data>,
) -> Answer<Response> {
    let created = records::create(&caller, &app, facts.request(), &name, &body.data).await?;
    Ok((StatusCode::CREATED, JsonBytes(created.record.into())).into_response())
}

crate::query! {
    struct ShowQuery {
        expand: Option<String>,
    }
}

async fn show(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path((name, id)): Path<(String, String)>,
    facts: Facts,
    Query(query): Query<ShowQuery>,
) -> Answer<JsonBytes> {
    let record = records::get(&caller, &app, facts.request(), &name, &id, query.expand.as_deref()).await?;
    Ok(JsonBytes(record.into()))
}

async fn change(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path((name, id)): Path<(String, String)>,
    facts: Facts,
    Json(body): Json<Data>,
) -> Answer<JsonBytes> {
    let record = records::update(&caller, &app, facts.request(), &name, &id, &body.data).await?;
    Ok(JsonBytes(record.into()))
}

async fn remove(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path((name, id)): Path<(String, String)>,
    facts: Facts,
) -> Answer<NoContent> {
    records::delete(&caller, &app, facts.request(), &name, &id).await?;
    Ok(NoContent)
}
