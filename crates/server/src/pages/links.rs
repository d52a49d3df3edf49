//! The pages that links in mails lead to. The token lies in the fragment, which no browser sends, so neither a log nor a proxy sees
//! it; and it is used by a POST that a person's click sends, so that programs that open links in mails do not use it up.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use fastcms_core::App;
use fastcms_guard::headers::{Nonce, PagePolicy};

use super::page;
use crate::api::{Operation, get};
use crate::extract::Anyone;

const TEMPLATE: &str = include_str!("../../assets/pages/link.html");
const PASSWORD_FIELDS: &str = include_str!("../../assets/pages/new_password.html");

/// What one of the pages says, and where it sends the token.
struct Words {
    title: &'static str,
    lead: &'static str,
    button: &'static str,
    /// The route that takes the token.
    action: &'static str,
    done: &'static str,
    /// What to do when the link is not taken.
    advice: &'static str,
    fields: &'static str,
}

pub fn routes() -> Vec<Operation> {
    vec![
        get("/admin/verify-email", verify_email).hidden(),
        get("/admin/confirm-email-change", confirm_email_change).hidden(),
        get("/admin/reset-password", reset_password).hidden(),
        get("/admin/unlock", unlock).hidden(),
    ]
}

async fn verify_email(_: Anyone, State(app): State<Arc<App>>) -> Response {
    show(
        &app,
        &Words {
            title: "Confirm your e-mail address",
            lead: "One click, and this address is known to be yours.",
            button: "Confirm",
            action: "/api/v1/auth/verify-email",
            done: "The address is confirmed. You can close this page.",
            advice: "Sign in and ask for another link; each works once, for 24 hours.",
            fields: "",
        },
    )
}

async fn confirm_email_change(_: Anyone, State(app): State<Arc<App>>) -> Response {
    show(
        &app,
        &Words {
            title: "Confirm your new e-mail address",
            lead: "One click, and your account uses this address from now on.",
            button: "Use this address",
            action: "/api/v1/auth/confirm-email-change",
            done: "Your account uses this address now. You can close this page.",
            advice: "Sign in and ask for the change once more; each link works once, for 24 hours.",
            fields: "",
        },
    )
}

async fn reset_password(_: Anyone, State(app): State<Arc<App>>) -> Response {
    show(
        &app,
        &Words {
            title: "Choose a new password",
            lead: "Every session of your account ends; sign in with the new password afterwards.",
            button: "Set this password",
            action: "/api/v1/auth/reset-password",
            done: "Your password is changed. Sign in with it.",
            advice: "Ask for another link; each works once, for one hour.",
            fields: PASSWORD_FIELDS,
        },
    )
}

async fn unlock(_: Anyone, State(app): State<Arc<App>>) -> Response {
    show(
        &app,
        &Words {
            title: "Unlock your account",
            lead: "One click, and you can sign in again.",
            button: "Unlock",
            action: "/api/v1/auth/unlock",
            done: "Your account is unlocked. Sign in.",
            advice: "Where the lock is over, you can sign in without it.",
            fields: "",
        },
    )
}

fn show(app: &App, words: &Words) -> Response {
    let text = TEMPLATE
        .replace("{{title}}", words.title)
        .replace("{{lead}}", words.lead)
        .replace("{{button}}", words.button)
        .replace("{{action}}", words.action)
        .replace("{{done}}", words.done)
        .replace("{{advice}}", words.advice)
        .replace("{{fields}}", words.fields);
    let nonce = Nonce::generate(&app.rng);
    let policy = PagePolicy::new(nonce.clone()).to_string();
    page(&text, &nonce, policy)
}
