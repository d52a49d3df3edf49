//! The first admin: made once, by whoever holds the one-time link that the server printed at its start.

use fastcms_guard::opaque::{Digest, OpaqueToken};
use fastcms_secrets::Secret;
use fastcms_store::accounts::{setup as rows, users};
use fastcms_store::{LockName, Plan};

use super::Device;
use super::proof::Proven;
use super::tokens::{Grant, open_session};
use super::users::{NewUser, draft};
use crate::app::App;
use crate::audit::{self, Entry, Event};
use crate::caller::{Caller, Realm};
use crate::error::{Error, Result};

/// How long a link is good, seconds (contract 5.2).
const LIFETIME_SECONDS: i64 = 30 * 60;

/// A printed link. Its token lies in the fragment, which no browser sends and no log sees.
pub struct SetupLink(pub Secret<String>);

/// True while no admin exists. Once false it stays false: the last admin cannot be taken away.
pub async fn needs_setup(_caller: &Caller, app: &App) -> Result<bool> {
    if app.is_set_up() {
        return Ok(false);
    }
    let admins = app.store.read(Plan::Bounded, |reader| Box::pin(async move { users::admins(reader).await })).await?;
    if admins > 0 {
        app.note_set_up();
    }
    Ok(admins == 0)
}

/// A fresh link for the operator's eyes.
pub async fn offer_setup_link(caller: &Caller, app: &App) -> Result<SetupLink> {
    crate::access::require_admin(caller)?;
    let token = OpaqueToken::generate(&*app.rng);
    let (digest, now) = (token.digest(), app.now_seconds());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            rows::offer(tx, digest.as_bytes(), now + LIFETIME_SECONDS, now).await?;
            Ok::<_, Error>(trail.record(tx, Event::SetupLinkOffered).with(()))
        })
    })
    .await?;
    Ok(SetupLink(Secret::new(format!("{}/admin/setup#{}", app.issuer, token.expose()))))
}

/// Makes the first admin and signs them in. Of any number of callers at once exactly one succeeds.
///
/// `token` is `None` only for a caller whom the edge found to be on this very machine, in development.
pub async fn set_up(
    caller: &Caller,
    app: &App,
    token: Option<&str>,
    is_local: bool,
    new: NewUser,
    device: &Device,
) -> Result<(Grant, users::User)> {
    if !needs_setup(&Caller::guest(), app).await? {
        return Err(Error::SetupAlreadyDone);
    }
    if token.is_none() && !is_local {
        return Err(refused(caller, app, Error::SetupTokenInvalid));
    }
    let digest = token.map(Digest::of);
    let (user, password) = draft(app, new, "admin", true).await?;
    let (row, phc, now) = (user.clone(), password.clone(), app.now_seconds());
    let made = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("setup")).await?;
            if users::other_admins(tx, "").await? > 0 {
                return Err(Error::SetupAlreadyDone);
            }
            if let Some(digest) = digest
                && !rows::redeem(tx, digest.as_bytes(), now).await?
            {
                return Err(Error::SetupTokenInvalid);
            }
            users::insert(tx, &row, Some(&phc)).await?;
            rows::close(tx).await?;
            let event = Event::SetUp.of_account(Some(&row.id), Some(&row.email)).on("user", row.id.as_str());
            Ok(trail.record(tx, event).with(()))
        })
    });
    made.await.map_err(|error| refused(caller, app, email_taken(error)))?;
    app.note_set_up();
    let proven = Proven { credentials: super::users::credentials(&user, password), attempt: None };
    let grant = open_session(caller, app, &Realm::Users, proven, device).await?;
    Ok((grant, user))
}

/// Whoever tries for the first admin without its token is noted.
fn refused(caller: &Caller, app: &App, error: Error) -> Error {
    if matches!(error, Error::SetupTokenInvalid) {
        audit::note(caller, app, Entry::from(Event::SetupRefused).error(&error));
    }
    error
}

/// The only thing unique about a user is the address.
pub(crate) fn email_taken(error: Error) -> Error {
    match error {
        Error::UniqueConflict(_) => Error::EmailTaken,
        other => other,
    }
}
