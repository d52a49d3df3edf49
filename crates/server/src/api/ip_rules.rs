//! `/api/v1/admin/ip-rules`, and the same at `/api/v1/ip-rules`: which client addresses may come in.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use fastcms_core::App;
use fastcms_core::ip_rules::{self, NewRule};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::page::{Page, page_schema};
use super::{Operation, delete, get, post};
use crate::error::Answer;
use crate::extract::{Admin, Id, Json, NoContent, Path, Query, Within};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let page = page_schema(&rule_schema());
    [("/api/v1/admin/ip-rules", "/api/v1/admin/ip-rules/{id}"), ("/api/v1/ip-rules", "/api/v1/ip-rules/{id}")]
        .into_iter()
        .flat_map(|(all, one)| {
            [
                get(all, list)
                    .summary("List the rules about client addresses, newest first")
                    .answers(200, "A page", page.clone())
                    .refuses(422, "validation_failed"),
                post(all, create)
                    .summary(
                        "Allow or block a network; blocking wins, and with one allowing rule only the allowed come in",
                    )
                    .answers(201, "The rule, in force on every node", rule_schema())
                    .refuses(409, "would_lock_you_out: it covers your own address; send `force` if you mean it")
                    .refuses(422, "validation_failed"),
                delete(one, remove).summary("Take a rule away").answers_empty(204, "It no longer holds"),
            ]
        })
        .collect()
}

fn rule_schema() -> Value {
    json!({"type": "object", "properties": {
        "id": {"type": "string", "format": "uuid"},
        "cidr": {"type": "string"},
        "rule_type": {"type": "string", "enum": ["allow", "block"]},
        "reason": {"type": ["string", "null"]},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "created_by": {"type": ["string", "null"]},
        "created": {"type": "string", "format": "date-time"},
    }})
}

crate::query! {
    struct Listing {
        page: Within<1, 10_000_000> = Within(1),
        per_page: Within<1, 200> = Within(50),
        rule_type: Option<String>,
    }
}

crate::form! {
    struct Create {
        cidr: String,
        rule_type: String,
        reason: Option<String>,
        expires_at: Option<String>,
        force: bool = false,
    }
}

#[derive(Serialize)]
struct RuleBody {
    id: String,
    cidr: String,
    rule_type: String,
    reason: Option<String>,
    expires_at: Option<String>,
    created_by: Option<String>,
    created: String,
}

impl From<ip_rules::IpRule> for RuleBody {
    fn from(rule: ip_rules::IpRule) -> Self {
        Self {
            id: rule.id,
            cidr: rule.cidr,
            rule_type: rule.rule_type,
            reason: rule.reason,
            expires_at: rule.expires_at,
            created_by: rule.created_by,
            created: rule.created,
        }
    }
}

async fn list(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Query(query): Query<Listing>,
) -> Answer<Json<Page<RuleBody>>> {
    let (page, per_page) = (query.page.0, query.per_page.0);
    let (found, total) = ip_rules::list(&caller, &app, query.rule_type.as_deref(), page, per_page).await?;
    Ok(Json(Page::of(found, total, page, per_page)))
}

async fn create(Admin(caller): Admin, State(app): State<Arc<App>>, Json(body): Json<Create>) -> Answer {
    let new = NewRule {
        cidr: body.cidr,
        rule_type: body.rule_type,
        reason: body.reason,
        expires_at: body.expires_at,
        force: body.force,
    };
    let made = ip_rules::create(&caller, &app, new).await?;
    Ok((StatusCode::CREATED, Json(RuleBody::from(made))).into_response())
}

async fn remove(Admin(caller): Admin, State(app): State<Arc<App>>, Path(Id(id)): Path<Id>) -> Answer<NoContent> {
    ip_rules::delete(&caller, &app, &id).await?;
    Ok(NoContent)
}
