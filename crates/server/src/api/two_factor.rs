//! `/api/v1/auth/2fa`: the second factor of the own account.

mod qr;

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::{App, accounts};
use fastcms_secrets::Secret;
use serde::Serialize;
use serde_json::{Value, json};

use super::account::device;
use super::{Operation, get, post};
use crate::error::Answer;
use crate::extract::{Client, InPerson, Json, Recent, UsersAccount};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let flag = json!({"type": "boolean"});
    let text = json!({"type": ["string", "null"]});
    let codes = json!({"type": "array", "items": {"type": "string"}});
    let object = |properties: Value| {
        let required: Vec<String> =
            properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        json!({"type": "object", "required": required, "properties": properties})
    };
    vec![
        get("/api/v1/auth/2fa/status", status)
            .summary("Whether the account has a second factor, and how many backup codes are left")
            .answers(200, "The standing", object(json!({"enabled": flag, "backup_codes_remaining": {"type": "integer"}})))
            .before_enrolment(),
        post("/api/v1/auth/2fa/setup", set_up)
            .summary("Make a secret for an authenticator app; it waits for its first code. Needs a recent sign-in")
            .answers(
                200,
                "The secret, shown this once",
                object(json!({"secret": {"type": "string"}, "qr_code": {"type": "string"}, "otpauth_url": {"type": "string"}})),
            )
            .refuses(400, "two_factor_state")
            .before_enrolment(),
        post("/api/v1/auth/2fa/enable", enable)
            .summary("Turn the second factor on by its first code. Needs a recent sign-in")
            .answers(
                200,
                "The backup codes, shown this once",
                object(json!({"enabled": flag, "backup_codes": codes, "message": text})),
            )
            .refuses(400, "invalid_two_factor_code, two_factor_state")
            .before_enrolment(),
        post("/api/v1/auth/2fa/disable", disable)
            .summary("Turn the second factor off by a code of the app or a backup code. Needs a recent sign-in")
            .answers(200, "Off", object(json!({"enabled": flag, "message": text})))
            .refuses(400, "invalid_two_factor_code, two_factor_state"),
        post("/api/v1/auth/2fa/backup-codes", renew)
            .summary("Make new backup codes by a code of the app; the old ones are void. Needs a recent sign-in")
            .answers(200, "The backup codes, shown this once", object(json!({"backup_codes": codes, "message": text})))
            .refuses(400, "invalid_two_factor_code, two_factor_state"),
    ]
}

#[derive(Serialize)]
struct StatusBody {
    enabled: bool,
    backup_codes_remaining: i64,
}

async fn status(InPerson(caller): InPerson, State(app): State<Arc<App>>) -> Answer<Json<StatusBody>> {
    let status = accounts::two_factor_status(&caller, &app).await?;
    Ok(Json(StatusBody { enabled: status.enabled, backup_codes_remaining: status.backup_codes_remaining }))
}

#[derive(Serialize)]
struct SetupBody {
    secret: String,
    qr_code: String,
    otpauth_url: String,
}

async fn set_up(caller: Recent<UsersAccount>, State(app): State<Arc<App>>) -> Answer<Json<SetupBody>> {
    let made = accounts::begin_enrolment(&caller, &app).await?;
    let qr_code = qr::data_url(made.otpauth_url.expose())
        .ok_or_else(|| fastcms_core::Error::field("email", "Too long for a QR code"))?;
    Ok(Json(SetupBody {
        secret: made.secret.expose().clone(),
        qr_code,
        otpauth_url: made.otpauth_url.expose().clone(),
    }))
}

crate::form! {
    struct Code {
        code: String,
    }
}

#[derive(Serialize)]
struct EnabledBody {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_codes: Option<Vec<String>>,
    message: Option<&'static str>,
}

fn shown(codes: &[Secret<String>]) -> Vec<String> {
    codes.iter().map(|code| code.expose().clone()).collect()
}

async fn enable(
    caller: Recent<UsersAccount>,
    State(app): State<Arc<App>>,
    client: Client,
    Json(body): Json<Code>,
) -> Answer<Json<EnabledBody>> {
    let codes = accounts::enable_two_factor(&caller, &app, &body.code, &device(&client)).await?;
    let message = Some("Keep the backup codes where only you find them: they are not shown again");
    Ok(Json(EnabledBody { enabled: true, backup_codes: Some(shown(&codes)), message }))
}

async fn disable(
    caller: Recent<UsersAccount>,
    State(app): State<Arc<App>>,
    client: Client,
    Json(body): Json<Code>,
) -> Answer<Json<EnabledBody>> {
    accounts::disable_two_factor(&caller, &app, &body.code, &device(&client)).await?;
    Ok(Json(EnabledBody { enabled: false, backup_codes: None, message: None }))
}

#[derive(Serialize)]
struct CodesBody {
    backup_codes: Vec<String>,
    message: Option<&'static str>,
}

async fn renew(
    caller: Recent<UsersAccount>,
    State(app): State<Arc<App>>,
    client: Client,
    Json(body): Json<Code>,
) -> Answer<Json<CodesBody>> {
    let codes = accounts::renew_backup_codes(&caller, &app, &body.code, &device(&client)).await?;
    Ok(Json(CodesBody { backup_codes: shown(&codes), message: Some("The codes before these are void") }))
}
