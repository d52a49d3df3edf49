//! What admins see and end of other people's sessions (R33).

use fastcms_store::Plan;
use fastcms_store::accounts::sessions::{self as rows, Session};

use super::sign_in::{End, end_in};
use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::time::stamp;

/// Live sessions of a user, newest first.
pub async fn sessions_by_admin(caller: &Caller, app: &App, user_id: &str) -> Result<Vec<Session>> {
    access::require(caller, Permission::UsersRead)?;
    super::get_by_admin(caller, app, user_id).await?;
    let (id, now) = (user_id.to_owned(), app.now_seconds());
    let idle_since = stamp(app.now_millis() - app.idle_millis());
    Ok(app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move { rows::of_account(reader, "users", &id, now, &idle_since).await })
        })
        .await?)
}

/// Ends one session of a user, or all of them with every impersonation of theirs.
///
/// # Errors
/// [`Error::NotFound`] for an unknown user, and for an id that is no live session of this one.
pub async fn end_sessions_by_admin(caller: &Caller, app: &App, user_id: &str, only: Option<&str>) -> Result<()> {
    access::require(caller, Permission::UsersWrite)?;
    let (id, only, now) = (user_id.to_owned(), only.map(str::to_owned), app.now_seconds());
    let asking = caller.clone();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            access::require_over(tx, &asking, &id).await?;
            let which = only.clone().map_or(End::All, End::One);
            let ended = end_in(tx, "users", &id, which, now).await?;
            let event = match only {
                Some(_) if ended == 0 => return Err(Error::NotFound),
                Some(session) => Event::SessionEnded.on("user", id).with("session", session),
                None => Event::SignedOutEverywhere.on("user", id),
            };
            Ok(trail.record(tx, event.with("sessions", ended)).with(()))
        })
    })
    .await
}
