//! `/api/v1/admin/email/templates`: the texts of mails.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use fastcms_core::mail::{self, ShownTemplate, Template};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Operation, delete, get, post, put};
use crate::error::{Answer, Refusal};
use crate::extract::{Admin, Json, NoContent, Path};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let list = json!({"type": "object", "required": ["items", "total"], "properties": {
        "items": {"type": "array", "items": template_schema()}, "total": {"type": "integer"},
    }});
    let rendered = json!({"type": "object", "required": ["subject", "text", "html"], "properties": {
        "subject": {"type": "string"}, "text": {"type": "string"}, "html": {"type": "string"},
    }});
    vec![
        get("/api/v1/admin/email/templates", list_all)
            .summary("The texts of all mails, and what each may name")
            .answers(200, "By kind", list),
        get("/api/v1/admin/email/templates/{name}", show)
            .summary("The text of one kind of mail")
            .answers(200, "The text", template_schema())
            .refuses(404, "not_found"),
        put("/api/v1/admin/email/templates/{name}", set)
            .summary(
                "Write a text in the place of the delivered one: names in braces, and `if` with names, nothing else",
            )
            .answers(200, "In force for the next mail", template_schema())
            .refuses(404, "not_found")
            .refuses(422, "validation_failed"),
        delete("/api/v1/admin/email/templates/{name}", reset)
            .summary("Go back to the delivered text")
            .answers_empty(204, "In force for the next mail")
            .refuses(404, "not_found"),
        post("/api/v1/admin/email/templates/{name}/preview", preview)
            .summary("Show a mail with values made up: of the text that is sent, or of the one in force")
            .answers(200, "The mail", rendered)
            .refuses(404, "not_found")
            .refuses(422, "validation_failed"),
    ]
}

fn template_schema() -> Value {
    let text = json!({"type": "string"});
    let perhaps = json!({"type": ["string", "null"]});
    json!({"type": "object", "required": ["name", "subject", "body", "edited", "variables", "updated", "fault"], "properties": {
        "name": text, "subject": text, "body": text, "edited": {"type": "boolean"},
        "variables": {"type": "array", "items": {"type": "string"}},
        "updated": {"type": ["string", "null"], "format": "date-time"}, "fault": perhaps,
    }})
}

#[derive(Serialize)]
struct TemplateBody {
    name: &'static str,
    subject: String,
    body: String,
    edited: bool,
    variables: Vec<&'static str>,
    updated: Option<String>,
    fault: Option<String>,
}

impl From<ShownTemplate> for TemplateBody {
    fn from(shown: ShownTemplate) -> Self {
        let ShownTemplate { kind, subject, body, edited, variables, updated, fault } = shown;
        Self { name: kind, subject, body, edited, variables, updated, fault }
    }
}

#[derive(Serialize)]
struct ListBody {
    items: Vec<TemplateBody>,
    total: usize,
}

async fn list_all(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Json<ListBody>> {
    let items: Vec<TemplateBody> = mail::templates(&caller, &app).await?.into_iter().map(TemplateBody::from).collect();
    Ok(Json(ListBody { total: items.len(), items }))
}

async fn show(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Answer<Json<TemplateBody>> {
    Ok(Json(mail::template(&caller, &app, &name).await?.into()))
}

crate::form! {
    struct SetTemplate {
        subject: String,
        body: String,
    }
}

async fn set(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(sent): Json<SetTemplate>,
) -> Answer<Json<TemplateBody>> {
    let text = Template { subject: sent.subject, text: sent.body };
    Ok(Json(mail::set_template(&caller, &app, &name, text).await?.into()))
}

async fn reset(Admin(caller): Admin, State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<NoContent> {
    mail::reset_template(&caller, &app, &name).await?;
    Ok(NoContent)
}

crate::form! {
    struct Preview {
        subject: Option<String>,
        body: Option<String>,
    }
}

#[derive(Serialize)]
struct RenderedBody {
    subject: String,
    text: String,
    html: String,
}

async fn preview(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Json(sent): Json<Preview>,
) -> Answer<Json<RenderedBody>> {
    let text = match (sent.subject, sent.body) {
        (Some(subject), Some(body)) => Some(Template { subject, text: body }),
        (None, None) => None,
        (Some(_), None) => return Err(Refusal::field("body", "This field is required")),
        (None, Some(_)) => return Err(Refusal::field("subject", "This field is required")),
    };
    let mail::Rendered { subject, text, html } = mail::preview(&caller, &app, &name, text).await?;
    Ok(Json(RenderedBody { subject, text, html }))
}
