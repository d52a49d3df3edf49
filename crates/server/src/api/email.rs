//! `/api/v1/admin/email`: how mail is set up, and whether it works.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::{App, mail};
use serde::Serialize;
use serde_json::json;

use super::{Operation, get, post};
use crate::error::Answer;
use crate::extract::{Admin, Json};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let text = json!({"type": "string"});
    let flag = json!({"type": "boolean"});
    let status = json!({"type": "object", "properties": {
        "smtp_enabled": flag, "smtp_host": text, "smtp_port": {"type": "integer"},
        "smtp_user": {"type": "string", "description": "Masked"}, "smtp_from_email": text, "smtp_from_name": text,
        "security_notifications_enabled": flag, "security_login_notifications": flag,
    }, "required": ["smtp_enabled", "smtp_host", "smtp_port", "smtp_user", "smtp_from_email", "smtp_from_name",
        "security_notifications_enabled", "security_login_notifications"]});
    let sent =
        json!({"type": "object", "required": ["success", "message"], "properties": {"success": flag, "message": text}});
    vec![
        get("/api/v1/admin/email/status", status_of_mail).summary("How mail is set up").answers(
            200,
            "The settings, without the password",
            status,
        ),
        post("/api/v1/admin/email/test", send_test)
            .summary("Send a test mail now")
            .answers(200, "Taken over by the mail server", sent)
            .refuses(400, "mail_not_configured")
            .refuses(502, "mail_failed"),
    ]
}

#[derive(Serialize)]
struct StatusBody {
    smtp_enabled: bool,
    smtp_host: String,
    smtp_port: u16,
    smtp_user: String,
    smtp_from_email: String,
    smtp_from_name: String,
    security_notifications_enabled: bool,
    security_login_notifications: bool,
}

async fn status_of_mail(_: Admin, State(app): State<Arc<App>>) -> Json<StatusBody> {
    let mail = &app.config.mail;
    Json(StatusBody {
        smtp_enabled: mail.is_enabled(),
        smtp_host: mail.host.clone(),
        smtp_port: mail.port,
        smtp_user: mail.user.as_deref().map(masked).unwrap_or_default(),
        smtp_from_email: mail.from_email.clone(),
        smtp_from_name: mail.from_name.clone(),
        security_notifications_enabled: mail.security_notifications,
        security_login_notifications: mail.login_notifications,
    })
}

/// Enough to tell one account from another, not enough to use it.
fn masked(user: &str) -> String {
    let shown = if user.chars().count() > 4 { 2 } else { 0 };
    let head: String = user.chars().take(shown).collect();
    format!("{head}****")
}

crate::form! {
    struct TestMail {
        to_email: String,
    }
}

#[derive(Serialize)]
struct SentBody {
    success: bool,
    message: &'static str,
}

async fn send_test(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Json(body): Json<TestMail>,
) -> Answer<Json<SentBody>> {
    let server = mail::server(&app)?;
    mail::send_test(&caller, &app, &server, &body.to_email).await?;
    Ok(Json(SentBody { success: true, message: "The mail server took the test mail over" }))
}
