//! What links in mails lead to, and how they are asked for: verification, password reset, change of
//! address, unlocking. A link is good for one
//! purpose and one use; its token says whose it is, in `users` or in an auth collection.

use std::sync::Arc;

use axum::extract::State;
use fastcms_core::accounts::{self, AuthCollection};
use fastcms_core::{App, Realm, attempts};
use fastcms_secrets::Secret;

use super::account::device;
use super::auth::confirmed;
use super::collection_accounts::member;
use super::{Operation, post};
use crate::error::Answer;
use crate::extract::{Anyone, Client, Json, NoContent, Path, Recent, SignedIn, UsersAccount};

/// The routes of this noun.
pub fn routes() -> Vec<Operation> {
    let mut routes = for_users();
    routes.extend(for_collections());
    routes
}

fn for_users() -> Vec<Operation> {
    vec![
        post("/api/v1/auth/verify-email", verify_email)
            .summary("Verify the address that a link was sent to")
            .answers_empty(204, "Verified")
            .refuses(400, "invalid_verification_token"),
        post("/api/v1/auth/unlock", unlock)
            .summary("End the lock of the account that a link was sent to, in `users` or in an auth collection")
            .answers_empty(204, "Unlocked")
            .refuses(400, "invalid_unlock_token"),
        post("/api/v1/auth/resend-verification", resend_verification)
            .summary("Send another link to the own address")
            .answers_empty(204, "Queued")
            .refuses(400, "email_already_verified, mail_not_configured"),
        post("/api/v1/auth/request-password-reset", request_password_reset)
            .summary("Send a link for a new password, if the address has an account; the answer is the same either way")
            .answers_empty(204, "Noted"),
        post("/api/v1/auth/reset-password", reset_password)
            .summary("Choose a new password by a link; every session ends, and nobody is signed in")
            .answers_empty(204, "Changed")
            .refuses(400, "invalid_reset_token")
            .refuses(422, "validation_failed, password_policy"),
        post("/api/v1/auth/request-email-change", request_email_change)
            .summary("Send a link to another address for the own account, and a notice to the old one. Needs a recent sign-in")
            .answers_empty(204, "Queued")
            .refuses(400, "same_email, mail_not_configured")
            .refuses(401, "invalid_credentials")
            .refuses(409, "email_taken"),
        post("/api/v1/auth/confirm-email-change", confirm_email_change)
            .summary("Take the address that a link was sent to; every session ends")
            .answers_empty(204, "Changed and verified")
            .refuses(400, "invalid_verification_token")
            .refuses(409, "email_taken"),
    ]
}

fn for_collections() -> Vec<Operation> {
    vec![
        post("/api/v1/collections/{collection}/auth/request-password-reset", member_requests_password_reset)
            .summary("Send a link for a new password, if the address has an account; the answer is the same either way")
            .answers_empty(204, "Noted")
            .refuses(400, "wrong_collection_type"),
        post("/api/v1/collections/{collection}/auth/resend-verification", member_resends_verification)
            .summary("Send another link to the own address")
            .answers_empty(204, "Queued")
            .refuses(400, "email_already_verified, mail_not_configured, wrong_collection_type"),
        post("/api/v1/collections/{collection}/auth/me/request-email-change", member_requests_email_change)
            .summary("Send a link to another address for the own account, and a notice to the old one. Needs a recent sign-in")
            .answers_empty(204, "Queued")
            .refuses(400, "same_email, mail_not_configured, wrong_collection_type")
            .refuses(401, "invalid_credentials")
            .refuses(409, "email_taken"),
        post("/api/v1/collections/{collection}/auth/me/confirm-email-change", member_confirms_email_change)
            .summary("Take the address that a link was sent to; every session ends")
            .answers_empty(204, "Changed and verified")
            .refuses(400, "invalid_verification_token, wrong_collection_type")
            .refuses(409, "email_taken"),
    ]
}

crate::form! {
    /// The token of a link.
    pub struct LinkToken {
        pub token: Secret<String>,
    }
}

crate::form! {
    struct Address {
        email: String,
    }
}

crate::form! {
    struct NewPassword {
        token: Secret<String>,
        password: Secret<String>,
        password_confirm: Secret<String>,
    }
}

crate::form! {
    struct NewAddress {
        new_email: String,
        password: Secret<String>,
    }
}

async fn verify_email(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Json(body): Json<LinkToken>,
) -> Answer<NoContent> {
    accounts::verify_email(&caller, &app, body.token.expose()).await?;
    Ok(NoContent)
}

async fn unlock(Anyone(caller): Anyone, State(app): State<Arc<App>>, Json(body): Json<LinkToken>) -> Answer<NoContent> {
    attempts::unlock_by_link(&caller, &app, body.token.expose()).await?;
    Ok(NoContent)
}

async fn resend_verification(UsersAccount(caller): UsersAccount, State(app): State<Arc<App>>) -> Answer<NoContent> {
    accounts::resend_verification(&caller, &app).await?;
    Ok(NoContent)
}

async fn request_password_reset(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Json(body): Json<Address>,
) -> Answer<NoContent> {
    accounts::request_password_reset(&caller, &app, &Realm::Users, &body.email).await?;
    Ok(NoContent)
}

async fn reset_password(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Json(body): Json<NewPassword>,
) -> Answer<NoContent> {
    confirmed("password_confirm", &body.password, &body.password_confirm)?;
    accounts::reset_password(&caller, &app, body.token.expose(), body.password).await?;
    Ok(NoContent)
}

async fn request_email_change(
    caller: Recent<UsersAccount>,
    State(app): State<Arc<App>>,
    client: Client,
    Json(body): Json<NewAddress>,
) -> Answer<NoContent> {
    accounts::request_email_change(&caller, &app, &body.new_email, body.password, &device(&client)).await?;
    Ok(NoContent)
}

/// The page that a link opens does not know the realm; the token does.
async fn confirm_email_change(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Json(body): Json<LinkToken>,
) -> Answer<NoContent> {
    accounts::confirm_email_change(&caller, &app, None, body.token.expose()).await?;
    Ok(NoContent)
}

async fn member_requests_email_change(
    signed_in: Recent<SignedIn>,
    State(app): State<Arc<App>>,
    client: Client,
    Path(collection): Path<String>,
    Json(body): Json<NewAddress>,
) -> Answer<NoContent> {
    member(signed_in.account(), &app, &collection)?;
    accounts::request_email_change(&signed_in, &app, &body.new_email, body.password, &device(&client)).await?;
    Ok(NoContent)
}

async fn member_confirms_email_change(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    Json(body): Json<LinkToken>,
) -> Answer<NoContent> {
    let realm = AuthCollection::named(&app, &collection)?.realm();
    accounts::confirm_email_change(&caller, &app, Some(&realm), body.token.expose()).await?;
    Ok(NoContent)
}

async fn member_requests_password_reset(
    Anyone(caller): Anyone,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    Json(body): Json<Address>,
) -> Answer<NoContent> {
    let realm = AuthCollection::named(&app, &collection)?.realm();
    accounts::request_password_reset(&caller, &app, &realm, &body.email).await?;
    Ok(NoContent)
}

async fn member_resends_verification(
    signed_in: SignedIn,
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
) -> Answer<NoContent> {
    member(signed_in.account(), &app, &collection)?;
    accounts::resend_verification(&signed_in.0, &app).await?;
    Ok(NoContent)
}
