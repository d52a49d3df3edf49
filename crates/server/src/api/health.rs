//! Whether the process lives and can serve. These answers wait for nothing that may be busy, and say little to strangers.

use std::{
    future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fastcms_core::{
    App, Caller,
    access::Permission,
    api_keys::{Action, Area, Need},
    audit,
    config::{Engine, Environment},
    files, health as core_health,
    time::stamp,
};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, get};
use crate::error::Answer;
use crate::extract::{Admin, Anyone, Json, JsonBytes};

/// Longest wait for the storage: a probe that hangs says less than one that fails.
const PING: Duration = Duration::from_secs(2);

pub fn routes() -> Vec<Operation> {
    let state = || json!({"type": "object", "properties": {"status": {"type": "string"}}});
    let health = |path| {
        let told = Told::default();
        let handler =
            move |Anyone(caller): Anyone, State(app): State<Arc<App>>| future::ready(health(&caller, &app, &told));
        get(path, handler).tag("health").summary("Whether the server answers").answers(200, "It does", state())
    };
    vec![
        health("/health"),
        health("/api/v1/health"),
        get("/health/live", live).tag("health").summary("Whether the process lives").answers(200, "It does", state()),
        get("/health/ready", ready)
            .tag("health")
            .summary("Whether requests can be served")
            .answers(200, "They can", state())
            .answers(503, "They cannot", state()),
        get("/health/detailed", detailed)
            .tag("health")
            .summary("How the server and the machine under it fare")
            .answers(200, "The database answers", detailed_schema())
            .answers(503, "The database does not answer", detailed_schema()),
    ]
}

fn detailed_schema() -> Value {
    let share = json!({"type": ["number", "null"]});
    json!({"type": "object", "required": ["status", "timestamp", "service", "readonly", "database", "system", "storage"], "properties": {
        "status": {"enum": ["healthy", "unhealthy"]},
        "timestamp": {"type": "string", "format": "date-time"},
        "service": {"type": "object", "properties": {
            "name": {"type": "string"}, "version": {"type": "string"}, "environment": {"type": "string"},
        }},
        "readonly": {"type": "object", "properties": {"enabled": {"type": "boolean"}, "reason": {"type": ["string", "null"]}}},
        "database": {"type": "object", "properties": {
            "status": {"enum": ["connected", "disconnected"]}, "type": {"enum": ["sqlite", "postgresql"]},
        }},
        "system": {"type": "object", "properties": {"cpu_percent": share, "memory_percent": share, "disk_percent": share}},
        "storage": {"type": "object", "properties": {
            "data_dir_size_mb": {"type": ["number", "null"], "description": "Null: more files than are counted"},
            "type": {"enum": ["local", "s3", "azure"]},
        }},
    }})
}

/// What `/health` says; more than the first line only to those who may know what runs here.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    service: &'a str,
    version: &'a str,
    environment: &'static str,
}

/// The same in JSON, once it was asked for: nothing of it changes while a product runs.
type Told = Arc<OnceLock<Bytes>>;

fn health(caller: &Caller, app: &App, told: &OnceLock<Bytes>) -> JsonBytes {
    let server = &app.config.server;
    if !(may_look(caller) || server.environment == Environment::Development) {
        return JsonBytes(Bytes::from_static(br#"{"status":"healthy"}"#));
    }
    let told = told.get_or_init(|| {
        let (service, version) = (&server.app_name, &server.app_version);
        let health = Health { status: "healthy", service, version, environment: server.environment.as_str() };
        serde_json::to_vec(&health).expect("texts are written to memory").into()
    });
    JsonBytes(told.clone())
}

/// Whether the caller is told more than strangers.
fn may_look(caller: &Caller) -> bool {
    caller.holds(Permission::MetricsRead) && caller.covers(Need::new(Area::Admin, Action::Read))
}

async fn live(_: Anyone) -> Json<Value> {
    Json(json!({"status": "alive"}))
}

async fn ready(Anyone(caller): Anyone, State(app): State<Arc<App>>) -> Response {
    let database = core_health::database_answers(&caller, &app).await;
    let mut answer = json!({"status": if database { "ready" } else { "unavailable" }});
    if may_look(&caller) {
        let storage = storage_answers(&app).await;
        let said = |works| if works { "ok" } else { "failed" };
        let secrets = if app.custody.as_ref().is_some_and(|custody| custody.is_stale()) { "stale" } else { "fresh" };
        answer["checks"] = json!({"database": said(database), "storage": said(storage), "secrets": secrets});
        for sink in audit::sink_status(&Caller::background(), &app).await.unwrap_or_default() {
            let name = format!("audit_{}", sink.name);
            answer["checks"][name] = said(sink.failing.is_none()).into();
        }
    }
    let status = if database { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer)).into_response()
}

/// Whether a file could be uploaded now. Records are served without that, so it decides nothing.
async fn storage_answers(app: &App) -> bool {
    match tokio::time::timeout(PING, files::check(&Caller::background(), app)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the file storage cannot be written to");
            false
        }
        Err(_) => {
            tracing::warn!("the file storage does not answer in time");
            false
        }
    }
}

#[derive(Serialize)]
struct Detailed<'a> {
    status: &'static str,
    timestamp: String,
    service: Service<'a>,
    readonly: ReadOnly,
    database: Database,
    system: System,
    storage: Storage,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    version: &'a str,
    environment: &'static str,
}

#[derive(Serialize)]
struct ReadOnly {
    enabled: bool,
    reason: Option<String>,
}

#[derive(Serialize)]
struct Database {
    status: &'static str,
    r#type: &'static str,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "as the contract names them")]
struct System {
    cpu_percent: Option<f64>,
    memory_percent: Option<f64>,
    disk_percent: Option<f64>,
}

#[derive(Serialize)]
struct Storage {
    data_dir_size_mb: Option<f64>,
    r#type: &'static str,
}

async fn detailed(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Response> {
    let report = core_health::report(&caller, &app).await?;
    let (server, host) = (&app.config.server, report.host);
    let engine = match app.config.database.engine {
        Engine::Sqlite { .. } => "sqlite",
        Engine::Postgres => "postgresql",
    };
    let answer = Detailed {
        status: if report.database { "healthy" } else { "unhealthy" },
        timestamp: stamp(app.now_millis()),
        service: Service {
            name: &server.app_name,
            version: &server.app_version,
            environment: server.environment.as_str(),
        },
        readonly: ReadOnly { enabled: report.read_only.is_some(), reason: report.read_only },
        database: Database { status: if report.database { "connected" } else { "disconnected" }, r#type: engine },
        system: System {
            cpu_percent: host.cpu_percent,
            memory_percent: host.memory_percent,
            disk_percent: host.disk_percent,
        },
        storage: Storage {
            data_dir_size_mb: report.stored_bytes.map(megabytes),
            r#type: app.config.storage.kind.as_str(),
        },
    };
    let status = if report.database { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(answer)).into_response())
}

/// Of 1024 × 1024 bytes, with two decimals.
#[expect(clippy::cast_precision_loss, reason = "a size with two decimals is exact enough")]
fn megabytes(bytes: u64) -> f64 {
    (bytes as f64 / 1024.0 / 1024.0 * 100.0).round() / 100.0
}
