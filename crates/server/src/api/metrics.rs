//! `/api/v1/admin/metrics`: what was counted while requests were answered, as JSON and in the text format of Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fastcms_core::App;
use fastcms_core::metrics::{self, Answers, BOUNDS, Durations, Figures, SecretAge};
use http::header;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Operation, get};
use crate::error::Answer;
use crate::extract::{Admin, Json};

/// What Prometheus wants to be told of a page (version 0.0.4 of its text format).
const PROMETHEUS: &str = "text/plain; version=0.0.4";

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    vec![
        get("/api/v1/admin/metrics", as_json).summary("What this process counted since its start").answers(
            200,
            "The figures; `le` holds how many answers took at most so many milliseconds",
            schema(),
        ),
        get("/api/v1/admin/metrics/prometheus", as_text)
            .summary("The same in the text format of Prometheus")
            .answers_as(200, "The figures", PROMETHEUS),
    ]
}

fn schema() -> Value {
    let series = json!({"type": "object", "required": ["method", "status", "count"], "properties": {
        "method": {"type": "string"}, "status": {"type": "integer"}, "count": {"type": "integer"},
    }});
    let secret = json!({"type": "object", "required": ["name", "age_seconds", "stale"], "properties": {
        "name": {"type": "string"}, "age_seconds": {"type": ["integer", "null"]}, "stale": {"type": "boolean"},
    }});
    json!({"type": "object", "required": ["uptime_seconds", "requests", "durations_ms", "request_log_lost", "limits_degraded", "secrets"], "properties": {
        "uptime_seconds": {"type": "integer"},
        "requests": {"type": "array", "items": series},
        "durations_ms": {"type": "array", "items": {"type": "object", "properties": {
            "method": {"type": "string"}, "count": {"type": "integer"}, "sum": {"type": "number"},
            "le": {"type": "object", "additionalProperties": {"type": "integer"}},
        }}},
        "request_log_lost": {"type": "integer"},
        "limits_degraded": {"type": "boolean"},
        "secrets": {"type": "array", "items": secret},
    }})
}

#[derive(Serialize)]
struct FiguresBody {
    uptime_seconds: i64,
    requests: Vec<SeriesBody>,
    durations_ms: Vec<DurationsBody>,
    request_log_lost: u64,
    limits_degraded: bool,
    secrets: Vec<SecretBody>,
}

#[derive(Serialize)]
struct SecretBody {
    name: &'static str,
    age_seconds: Option<i64>,
    stale: bool,
}

impl From<SecretAge> for SecretBody {
    fn from(SecretAge { name, age_seconds, is_stale }: SecretAge) -> Self {
        Self { name, age_seconds, stale: is_stale }
    }
}

#[derive(Serialize)]
struct SeriesBody {
    method: &'static str,
    status: u16,
    count: u64,
}

#[derive(Serialize)]
struct DurationsBody {
    method: &'static str,
    count: u64,
    sum: f64,
    le: Map<String, Value>,
}

impl From<Answers> for SeriesBody {
    fn from(Answers { method, status, count }: Answers) -> Self {
        Self { method, status, count }
    }
}

impl From<Durations> for DurationsBody {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 µs, 285 years")]
    fn from(durations: Durations) -> Self {
        let le = BOUNDS.iter().zip(durations.within).map(|(bound, count)| (bound.to_string(), count.into()));
        Self {
            method: durations.method,
            count: durations.count,
            sum: durations.micros as f64 / 1000.0,
            le: le.collect(),
        }
    }
}

async fn as_json(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<FiguresBody>> {
    let Figures { uptime_seconds, answers, durations, request_log_lost, limits_degraded, secrets } =
        metrics::figures(&caller, &app).await?;
    Ok(Json(FiguresBody {
        uptime_seconds,
        requests: answers.into_iter().map(SeriesBody::from).collect(),
        durations_ms: durations.into_iter().map(DurationsBody::from).collect(),
        request_log_lost,
        limits_degraded,
        secrets: secrets.into_iter().map(SecretBody::from).collect(),
    }))
}

async fn as_text(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Response> {
    let text = metrics::prometheus(&caller, &app).await?;
    Ok(([(header::CONTENT_TYPE, PROMETHEUS)], text).into_response())
}
