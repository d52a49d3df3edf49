//! `/api/v1/settings`: what admins change while the server runs, and what the variables say.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use fastcms_core::settings::{self, NewSetting, Shown};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, delete, get, post};
use crate::error::Answer;
use crate::extract::{Admin, Json, Path};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let shown = json!({"type": "object", "required": ["value", "description"], "properties": {
        "value": {}, "description": {"type": ["string", "null"]},
    }});
    let category = json!({"type": "object", "additionalProperties": shown});
    let all = json!({"type": "object", "additionalProperties": category});
    let one = json!({"type": "object", "required": ["id", "key", "value", "category"], "properties": {
        "id": {"type": "string", "format": "uuid"}, "key": {"type": "string"}, "value": {}, "category": {"type": "string"},
    }});
    let deleted = json!({"type": "object", "required": ["deleted"], "properties": {"deleted": {"type": "boolean"}}});
    vec![
        get("/api/v1/settings", all_settings).summary("Every setting, by category and key").answers(
            200,
            "Secret values are masked",
            all,
        ),
        get("/api/v1/settings/{name}", of_category)
            .summary("The settings of one category")
            .answers(200, "By key", category)
            .refuses(404, "not_found"),
        post("/api/v1/settings", set)
            .summary("Set a setting; one that has an effect is checked, and in force everywhere at once")
            .answers(200, "As it is kept", one)
            .refuses(400, "mail_not_configured: it cannot go without mail")
            .refuses(409, "would_lock_you_out: it would leave you, or everybody, no way in")
            .refuses(422, "validation_failed"),
        delete("/api/v1/settings/{name}", reset)
            .summary("Take a setting back to its preset; `category.key` where several categories have the key")
            .answers(200, "Whether it was set", deleted)
            .refuses(422, "validation_failed"),
    ]
}

#[derive(Serialize)]
struct ShownBody {
    value: Value,
    description: Option<String>,
}

type CategoryBody = BTreeMap<String, ShownBody>;

fn body(category: BTreeMap<String, Shown>) -> CategoryBody {
    let shown = |shown: Shown| ShownBody { value: shown.value, description: shown.description };
    category.into_iter().map(|(key, setting)| (key, shown(setting))).collect()
}

async fn all_settings(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
) -> Answer<Json<BTreeMap<String, CategoryBody>>> {
    let all = settings::all(&caller, &app).await?;
    Ok(Json(all.into_iter().map(|(name, category)| (name, body(category))).collect()))
}

async fn of_category(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(category): Path<String>,
) -> Answer<Json<CategoryBody>> {
    Ok(Json(body(settings::of_category(&caller, &app, &category).await?)))
}

crate::form! {
    struct Set {
        key: String,
        value: Value,
        category: String = "app".to_owned(),
        description: Option<String>,
    }
}

#[derive(Serialize)]
struct SetBody {
    id: String,
    key: String,
    value: Value,
    category: String,
}

async fn set(Admin(caller): Admin, State(app): State<Arc<App>>, Json(sent): Json<Set>) -> Answer<Json<SetBody>> {
    let value = sent.value.clone();
    let new = NewSetting { category: sent.category, key: sent.key, value: sent.value, description: sent.description };
    let kept = settings::set(&caller, &app, new).await?;
    Ok(Json(SetBody { id: kept.id, key: kept.key, value, category: kept.category }))
}

#[derive(Serialize)]
struct DeletedBody {
    deleted: bool,
}

async fn reset(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
) -> Answer<Json<DeletedBody>> {
    Ok(Json(DeletedBody { deleted: settings::delete(&caller, &app, &key).await? }))
}
