//! Whether the process lives and can serve. These answers wait for nothing that may be busy, and say little to strangers.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use fastcms_core::{
    App, Caller,
    access::Permission,
    api_keys::{Action, Area, Need},
    audit,
    config::Environment,
    files,
};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, get};
use crate::extract::{Anyone, Json};

/// Longest wait for the database: a probe that hangs says less than one that fails.
const PING: Duration = Duration::from_secs(2);

pub fn routes() -> Vec<Operation> {
    let state = || json!({"type": "object", "properties": {"status": {"type": "string"}}});
    let health =
        |path| get(path, health).tag("health").summary("Whether the server answers").answers(200, "It does", state());
    vec![
        health("/health"),
        health("/api/v1/health"),
        get("/health/live", live).tag("health").summary("Whether the process lives").answers(200, "It does", state()),
        get("/health/ready", ready)
            .tag("health")
            .summary("Whether requests can be served")
            .answers(200, "They can", state())
            .answers(503, "They cannot", state()),
    ]
}

/// What `/health` says; more than the first line only to those who may know what runs here.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    #[serde(flatten)]
    about: Option<About<'a>>,
}

#[derive(Serialize)]
struct About<'a> {
    service: &'a str,
    version: &'a str,
    environment: &'static str,
}

async fn health(Anyone(caller): Anyone, State(app): State<Arc<App>>) -> Response {
    let server = &app.config.server;
    let may_know = may_look(&caller) || server.environment == Environment::Development;
    let about = may_know.then(|| About {
        service: &server.app_name,
        version: &server.app_version,
        environment: server.environment.as_str(),
    });
    Json(Health { status: "healthy", about }).into_response()
}

/// Whether the caller is told more than strangers.
fn may_look(caller: &Caller) -> bool {
    caller.holds(Permission::MetricsRead) && caller.covers(Need::new(Area::Admin, Action::Read))
}

async fn live(_: Anyone) -> Json<Value> {
    Json(json!({"status": "alive"}))
}

async fn ready(Anyone(caller): Anyone, State(app): State<Arc<App>>) -> Response {
    let database = match tokio::time::timeout(PING, app.store.ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database does not answer");
            false
        }
        Err(_) => {
            tracing::warn!("the database does not answer in time");
            false
        }
    };
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
