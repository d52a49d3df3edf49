//! `GET /`: what answers here.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use serde_json::{Value, json};

use super::{Operation, get};
use crate::extract::{Anyone, Json};

pub fn routes() -> Vec<Operation> {
    let schema = json!({
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "version": {"type": ["string", "null"]},
            "docs": {"type": ["string", "null"]},
        },
    });
    vec![get("/", root).summary("What answers here").answers(
        200,
        "The name; version and docs where they are shown",
        schema,
    )]
}

/// Says its version and where its documentation is only where that documentation is served (contract 5.1).
async fn root(_: Anyone, State(app): State<Arc<App>>) -> Json<Value> {
    let server = &app.config.server;
    let open = server.has_docs();
    Json(json!({
        "message": server.app_name,
        "version": open.then_some(&server.app_version),
        "docs": open.then_some("/docs"),
    }))
}
