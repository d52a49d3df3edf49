//! `/api/v1/logs`: the request log, for admins.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::{
    App,
    request_log::{self, Filter, LoggedRequest, Totals},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, get, post};
use crate::{
    error::Answer,
    extract::{Admin, Json, Query, Within},
};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let page = json!({"type": "object", "required": ["items", "limit", "offset"], "properties": {
        "items": {"type": "array", "items": request_schema()},
        "limit": {"type": "integer"},
        "offset": {"type": "integer"},
    }});
    let statistics = json!({"type": "object", "properties": {
        "total_requests": {"type": "integer"},
        "avg_duration_ms": {"type": "number"},
        "errors_5xx": {"type": "integer"},
        "errors_4xx": {"type": "integer"},
    }});
    let deleted = json!({"type": "object", "properties": {"deleted": {"type": "integer"}}});
    vec![
        get("/api/v1/logs", list)
            .summary("List answered requests, newest first")
            .answers(200, "A page; of a query only the names stand in `url`", page)
            .refuses(422, "validation_failed"),
        get("/api/v1/logs/statistics", statistics_of)
            .summary("Count requests and errors")
            .answers(200, "The counts", statistics)
            .refuses(422, "validation_failed"),
        post("/api/v1/logs/cleanup", cleanup)
            .summary("Delete requests older than so many days")
            .answers(200, "How many rows are gone", deleted)
            .refuses(422, "validation_failed")
            .long(),
    ]
}

fn request_schema() -> Value {
    json!({"type": "object", "properties": {
        "id": {"type": "string", "format": "uuid"},
        "method": {"type": "string"},
        "url": {"type": "string"},
        "status": {"type": "integer"},
        "duration_ms": {"type": "number"},
        "ip_address": {"type": "string"},
        "user_id": {"type": ["string", "null"]},
        "created": {"type": "string", "format": "date-time"},
    }})
}

/// Days that are looked back.
type Days = Within<1, 90>;

crate::query! {
    struct Listing {
        limit: Within<1, 1000> = Within(100),
        offset: Within<0, 10_000_000> = Within(0),
        method: Option<String>,
        status: Option<Within<100, 599>>,
        user_id: Option<String>,
        days: Days = Within(7),
    }
}

#[derive(Serialize)]
struct PageBody {
    items: Vec<RequestBody>,
    limit: u32,
    offset: u32,
}

#[derive(Serialize)]
struct RequestBody {
    id: String,
    method: String,
    url: String,
    status: i64,
    duration_ms: f64,
    ip_address: String,
    user_id: Option<String>,
    created: String,
}

impl From<LoggedRequest> for RequestBody {
    fn from(LoggedRequest { id, created, row }: LoggedRequest) -> Self {
        Self {
            id,
            method: row.method,
            url: row.url,
            status: row.status,
            duration_ms: millis(row.duration),
            ip_address: row.ip_address,
            user_id: row.user_id,
            created,
        }
    }
}

/// Milliseconds with three decimals: most answers take less than one.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 µs, 285 years")]
fn millis(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

async fn list(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Listing>,
) -> Answer<Json<PageBody>> {
    let (limit, offset) = (query.limit.0, query.offset.0);
    let filter = Filter {
        method: query.method,
        status: query.status.and_then(|status| u16::try_from(status.0).ok()),
        user_id: query.user_id,
        days: query.days.0,
    };
    let found = request_log::list(&caller, &app, filter, limit, offset).await?;
    let items = found.into_iter().map(RequestBody::from).collect();
    Ok(Json(PageBody { items, limit, offset }))
}

crate::query! {
    struct LookingBack {
        days: Days = Within(7),
    }
}

#[derive(Serialize)]
struct StatisticsBody {
    total_requests: i64,
    avg_duration_ms: f64,
    errors_5xx: i64,
    errors_4xx: i64,
}

impl From<Totals> for StatisticsBody {
    fn from(totals: Totals) -> Self {
        Self {
            total_requests: totals.requests,
            avg_duration_ms: millis(totals.duration / totals.requests.max(1)),
            errors_5xx: totals.errors_5xx,
            errors_4xx: totals.errors_4xx,
        }
    }
}

async fn statistics_of(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<LookingBack>,
) -> Answer<Json<StatisticsBody>> {
    let totals = request_log::statistics(&caller, &app, query.days.0).await?;
    Ok(Json(totals.into()))
}

crate::query! {
    struct Retention {
        retention_days: Within<1, 365> = Within(request_log::RETENTION_DAYS),
    }
}

async fn cleanup(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Retention>,
) -> Answer<Json<Value>> {
    let deleted = request_log::cleanup(&caller, &app, query.retention_days.0).await?;
    Ok(Json(json!({"deleted": deleted})))
}
