//! `/api/v1/admin/secrets`: which secrets the settings hold, where each comes from and how old it is, and how one is made
//! anew. No answer holds one.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use fastcms_core::secrets::{self, Item};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, get, post};
use crate::error::Answer;
use crate::extract::{Admin, Json, Path, Recent};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    vec![
        get("/api/v1/admin/secrets", list)
            .summary("Which secrets the settings hold, where each comes from and how old it is; never what it is")
            .answers(200, "In the order of the settings reference", schema()),
        post("/api/v1/admin/secrets/{name}/rotate", rotate)
            .summary(
                "Make a key anew where it is kept, in a manager or a file; it is in force once every node has seen it",
            )
            .answers(200, "The secret as it is kept now", item_schema())
            .refuses(404, "not_found")
            .refuses(409, "secret_not_writable"),
    ]
}

fn item_schema() -> Value {
    json!({
        "type": "object",
        "required": ["name", "source", "version", "age_days", "state"],
        "properties": {
            "name": {"type": "string"}, "source": {"type": "string"}, "version": {"type": ["string", "null"]},
            "age_days": {"type": ["integer", "null"]},
            "state": {"type": "string", "enum": ["fresh", "stale", "missing", "too_old"]},
        },
    })
}

fn schema() -> Value {
    let item = item_schema();
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

/// One secret.
#[derive(Serialize)]
pub struct ItemBody {
    name: &'static str,
    source: String,
    version: Option<String>,
    age_days: Option<i64>,
    state: &'static str,
}

impl SecretsBody {
    pub fn new(items: Vec<Item>) -> Self {
        let total = items.len();
        Self { items: items.into_iter().map(ItemBody::from).collect(), total }
    }
}

impl From<Item> for ItemBody {
    fn from(Item { name, source, version, age_days, state }: Item) -> Self {
        Self { name, source, version, age_days, state: state.name() }
    }
}

async fn rotate(
    caller: Recent<Admin>,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Answer<Json<ItemBody>> {
    Ok(Json(secrets::rotate(&caller, &app, &name).await?.into()))
}

async fn list(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<SecretsBody>> {
    Ok(Json(SecretsBody::new(secrets::list(&caller, &app).await?)))
}
