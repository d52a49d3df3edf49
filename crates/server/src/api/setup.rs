//! `/api/v1/setup`: the first admin.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::App;
use fastcms_core::accounts;
use fastcms_core::config::Environment;
use fastcms_secrets::Secret;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use serde_json::json;

use super::account::{AuthBody, auth_schema, device, remembering};
use super::auth::confirmed;
use super::{Operation, get, post};
use crate::error::Answer;
use crate::extract::{Anyone, Client, Json};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let needs =
        json!({"type": "object", "required": ["needs_setup"], "properties": {"needs_setup": {"type": "boolean"}}});
    vec![
        get("/api/v1/setup/check", check).summary("Whether the first admin is still to be made").answers(
            200,
            "The answer",
            needs,
        ),
        post("/api/v1/setup", set_up)
            .summary("Make the first admin, with the one-time token that the server printed")
            .answers(200, "The admin and its tokens", auth_schema())
            .refuses(400, "setup_already_done")
            .refuses(403, "setup_token_invalid")
            .refuses(422, "validation_failed, password_policy"),
    ]
}

#[derive(Serialize)]
struct Check {
    needs_setup: bool,
}

async fn check(Anyone(caller): Anyone, State(app): State<Arc<App>>) -> Answer<Json<Check>> {
    Ok(Json(Check { needs_setup: accounts::needs_setup(&caller, &app).await? }))
}

crate::form! {
    struct FirstAdmin {
        email: String,
        password: Secret<String>,
        password_confirm: Secret<String>,
        name: Option<String>,
        setup_token: Option<Secret<String>>,
    }
}

async fn set_up(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
    Json(body): Json<FirstAdmin>,
) -> Answer {
    confirmed("password_confirm", &body.password, &body.password_confirm)?;
    let header = headers.get("x-setup-token").and_then(|token| token.to_str().ok());
    let token = header.or(body.setup_token.as_ref().map(|token| token.expose().as_str()));
    let new = accounts::NewUser { email: body.email, password: body.password, name: body.name };
    let (grant, user) =
        accounts::set_up(&caller, &app, token, is_local(&app, &client, &headers), new, &device(&client)).await?;
    let known = grant.device.clone();
    remembering(&client, known.as_ref(), Json(AuthBody::new(user, grant)))
}

/// Whether this is a developer on this very machine, who needs no token: development mode, a loopback peer, a loopback `Host`, and
/// no sign of a proxy in between (a page of another origin, or a rebound name, cannot look like that).
fn is_local(app: &App, client: &Client, headers: &HeaderMap) -> bool {
    let proxied = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];
    app.config.server.environment == Environment::Development
        && client.address.is_loopback()
        && !proxied.iter().any(|name| headers.contains_key(*name))
        && headers.get_all(header::ORIGIN).iter().all(|origin| is_own(origin, headers))
        && headers.get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback_host)
}

/// A page may call from its own origin only: the one that the request's `Host` names.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    match (origin.to_str().ok(), headers.get(header::HOST).and_then(|host| host.to_str().ok())) {
        (Some(origin), Some(host)) => origin.strip_prefix("http://") == Some(host),
        _ => false,
    }
}

fn is_loopback_host(host: &str) -> bool {
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    matches!(name, "localhost" | "[::1]")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "localhost:8000", "127.0.0.1:80", "127.8.8.8", "[::1]", "[::1]:8000"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "", "[::2]:80"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
