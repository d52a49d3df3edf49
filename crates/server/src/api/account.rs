//! What answers about accounts look like: users, tokens, sessions.

use axum::response::IntoResponse;
use fastcms_core::accounts::{Device, Grant, Session, User};
use fastcms_core::time::stamp;
use fastcms_secrets::Secret;
use http::header;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Answer;
use crate::extract::Client;

/// A user as its owner and admins see it (contract 5.3).
#[derive(Debug, Serialize)]
pub struct UserBody {
    id: String,
    email: String,
    verified: bool,
    name: Option<String>,
    avatar: Option<String>,
    role: String,
    two_factor_enabled: bool,
    created: String,
    updated: String,
    message: Option<&'static str>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            verified: user.verified,
            name: user.name,
            avatar: user.avatar,
            role: user.role,
            two_factor_enabled: user.two_factor_enabled,
            created: user.created,
            updated: user.updated,
            message: None,
        }
    }
}

/// A pair of tokens, for clients that keep them themselves.
#[derive(Serialize)]
pub struct TokenBody {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    expires_in: i64,
}

impl From<Grant> for TokenBody {
    fn from(grant: Grant) -> Self {
        Self {
            access_token: grant.access_token,
            refresh_token: grant.refresh_token,
            token_type: "bearer",
            expires_in: grant.expires_in,
        }
    }
}

/// The answer to a sign-in of `users`.
#[derive(Serialize)]
pub struct AuthBody {
    user: Option<UserBody>,
    token: Option<TokenBody>,
    message: Option<&'static str>,
    requires_2fa: bool,
}

impl AuthBody {
    pub fn new(user: User, grant: Grant) -> Self {
        Self { user: Some(user.into()), token: Some(grant.into()), message: None, requires_2fa: false }
    }

    /// Right so far: the same request is to be sent once more with a code of the second factor. Nothing of the account is shown.
    pub fn second_factor_wanted() -> Self {
        let token = TokenBody {
            access_token: String::new(),
            refresh_token: String::new(),
            token_type: "bearer",
            expires_in: 0,
        };
        let message = Some("Send `two_factor_code` along: a code of your authenticator app, or a backup code");
        Self { user: None, token: Some(token), message, requires_2fa: true }
    }

    /// For a browser: what it signs in with stands in a cookie, where no script can read it.
    pub fn in_cookie(user: User) -> Self {
        Self { user: Some(user.into()), token: None, message: None, requires_2fa: false }
    }
}

/// A session as its owner sees it.
#[derive(Serialize)]
pub struct SessionBody {
    id: String,
    user_agent: String,
    ip_address: String,
    created: String,
    last_seen: String,
    expires_at: String,
    current: bool,
}

/// `{sessions: […]}`.
#[derive(Serialize)]
pub struct SessionsBody {
    sessions: Vec<SessionBody>,
}

impl SessionsBody {
    pub fn new(sessions: Vec<Session>, current: &str) -> Self {
        let body = |session: Session| SessionBody {
            current: session.id == current,
            expires_at: stamp(session.expires_at.saturating_mul(1000)),
            id: session.id,
            user_agent: session.user_agent,
            ip_address: session.ip_address,
            created: session.created,
            last_seen: session.last_seen,
        };
        Self { sessions: sessions.into_iter().map(body).collect() }
    }
}

/// The device behind a request, as sessions remember it.
pub fn device(client: &Client) -> Device {
    let agent = client.user_agent.as_deref().unwrap_or_default();
    Device::new(client.address.to_string(), agent, client.device.clone())
}

/// The answer to a sign-in, with the cookie by which the browser is known from now on.
pub fn remembering(client: &Client, device: Option<&Secret<String>>, answer: impl IntoResponse) -> Answer {
    let mut answer = answer.into_response();
    if let Some(device) = device {
        answer.headers_mut().append(header::SET_COOKIE, client.remember(device)?);
    }
    Ok(answer)
}

fn text() -> Value {
    json!({"type": "string"})
}

fn optional_text() -> Value {
    json!({"type": ["string", "null"]})
}

fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn object(properties: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

/// JSON Schema of [`UserBody`].
pub fn user_schema() -> Value {
    object(&[
        ("id", json!({"type": "string", "format": "uuid"})),
        ("email", text()),
        ("verified", json!({"type": "boolean"})),
        ("name", optional_text()),
        ("avatar", optional_text()),
        ("role", json!({"type": "string", "enum": ["user", "admin"]})),
        ("two_factor_enabled", json!({"type": "boolean"})),
        ("created", instant()),
        ("updated", instant()),
        ("message", optional_text()),
    ])
}

/// JSON Schema of [`TokenBody`].
pub fn token_schema() -> Value {
    object(&[
        ("access_token", text()),
        ("refresh_token", text()),
        ("token_type", json!({"type": "string", "const": "bearer"})),
        ("expires_in", json!({"type": "integer", "description": "Seconds"})),
    ])
}

/// JSON Schema of [`AuthBody`] with tokens.
pub fn auth_schema() -> Value {
    auth_object(user_schema(), token_schema())
}

/// JSON Schema of [`AuthBody`]: `token` is null where a cookie was asked for, `user` where a second factor is wanted.
pub fn sign_in_schema() -> Value {
    let or_null = |schema: Value| json!({"anyOf": [schema, {"type": "null"}]});
    auth_object(or_null(user_schema()), or_null(token_schema()))
}

fn auth_object(user: Value, token: Value) -> Value {
    object(&[
        ("user", user),
        ("token", token),
        ("message", optional_text()),
        ("requires_2fa", json!({"type": "boolean"})),
    ])
}

/// JSON Schema of [`SessionsBody`].
pub fn sessions_schema() -> Value {
    let session = object(&[
        ("id", json!({"type": "string", "format": "uuid"})),
        ("user_agent", text()),
        ("ip_address", text()),
        ("created", instant()),
        ("last_seen", instant()),
        ("expires_at", instant()),
        ("current", json!({"type": "boolean"})),
    ]);
    object(&[("sessions", json!({"type": "array", "items": session}))])
}
