//! `/api/v1/admin/secrets`: which secrets the settings hold, where each comes from and how old it is. No answer holds one.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use fastcms_core::secrets::{self, Item};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, get};
use crate::error::Answer;
use crate::extract::{Admin, Json};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    vec![
        get("/api/v1/admin/secrets", list)
            .summary("Which secrets the settings hold, where each comes from and how old it is; never what it is")
            .answers(200, "In the order of the settings reference", schema()),
    ]
}

fn schema() -> Value {
    let item = json!({
        "type": "object",
        "required": ["name", "source", "version", "age_days", "state"],
        "properties": {
            "name": {"type": "string"}, "source": {"type": "string"}, "version": {"type": ["string", "null"]},
            "age_days": {"type": ["integer", "null"]},
            "state": {"type": "string", "enum": ["fresh", "stale", "missing", "too_old"]},
        },
    });
    json!({
        "type": "object", "required": ["items", "total"],
        "properties": {"items": {"type": "array", "items": item}, "total": {"type": "integer"}},
    })
}

/// Secrets as the API and the command line show them.
#[derive(Serialize)]
pub struct SecretsBody {
    items: Vec<ItemBody>,
    total: usize,
}

#[derive(Serialize)]
struct ItemBody {
    name: &'static str,
    source: String,
    version: Option<String>,
    age_days: Option<i64>,
    state: &'static str,
}

impl SecretsBody {
    pub fn new(items: Vec<Item>) -> Self {
        let total = items.len();
        let body = |Item { name, source, version, age_days, state }| ItemBody {
            name,
            source,
            version,
            age_days,
            state: state.name(),
        };
        Self { items: items.into_iter().map(body).collect(), total }
    }
}

async fn list(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<SecretsBody>> {
    Ok(Json(SecretsBody::new(secrets::list(&caller, &app).await?)))
}
