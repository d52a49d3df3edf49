//! Where an account stands with failed guesses, and how somebody with the right to it ends a lock.

use fastcms_guard::attempts::Target;
use fastcms_guard::opaque::Digest;
use fastcms_store::Plan;
use fastcms_store::accounts::users::{self, User};
use fastcms_store::accounts::{self, AccountTable, devices, one_time_codes};
use fastcms_store::attempts as rows;
use fastcms_store::mails::tokens;

use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::mail::{self, Purpose};

/// Where a user stands with failed guesses of strangers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockStatus {
    pub user_id: String,
    pub is_locked: bool,
    pub failed_login_attempts: i64,
    /// Unix milliseconds.
    pub locked_until: Option<i64>,
    pub remaining_seconds: i64,
}

/// Where a user stands.
pub async fn lock_status(caller: &Caller, app: &App, id: &str) -> Result<LockStatus> {
    access::require(caller, Permission::UsersRead)?;
    let counter = app.attempts.key.name(Target::Account { realm: "users", id });
    let (wanted, limits, now) = (id.to_owned(), app.lockout(), app.now_millis());
    let standing = app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move {
                users::by_id(reader, &wanted).await?.ok_or(Error::NotFound)?;
                Ok::<_, Error>(rows::standing(reader, &counter, limits, now).await?)
            })
        })
        .await?;
    let locked_until = standing.and_then(|standing| standing.locked_until);
    Ok(LockStatus {
        user_id: id.to_owned(),
        is_locked: locked_until.is_some(),
        failed_login_attempts: standing.map_or(0, |standing| standing.failures),
        locked_until,
        remaining_seconds: locked_until.map_or(0, |until| (until - now + 999) / 1000),
    })
}

/// Ends every lock of a user and forgets what was counted, at known browsers too.
pub async fn unlock(caller: &Caller, app: &App, id: &str) -> Result<User> {
    access::require(caller, Permission::UsersWrite)?;
    let (asking, id) = (caller.clone(), id.to_owned());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let user = access::require_over(tx, &asking, &id).await?;
            rows::forget_account(tx, "users", &id).await?;
            let event = Event::AccountUnlocked.on("user", &id).of_account(Some(&id), Some(&user.email));
            Ok(trail.record(tx, event).with(user))
        })
    })
    .await
}

/// The same for the user of this address.
pub async fn unlock_by_email(caller: &Caller, app: &App, email: &str) -> Result<User> {
    access::require(caller, Permission::UsersWrite)?;
    let email = email.to_owned();
    let found = app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move { accounts::by_email(reader, &AccountTable::Users, &email).await })
        })
        .await?;
    unlock(caller, app, &found.ok_or(Error::NotFound)?.id).await
}

/// Uses up the link of a mail about a lock: every lock of its account ends, in `users` or in an auth collection.
///
/// # Errors
/// [`Error::InvalidUnlockToken`] for what is no live link of this purpose.
pub async fn unlock_by_link(caller: &Caller, app: &App, token: &str) -> Result<()> {
    let (digest, now) = (*Digest::of(token).as_bytes(), app.now_seconds());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let link = tokens::redeem(tx, &digest, Purpose::Unlock.as_str(), now).await?;
            let link = link.ok_or(Error::InvalidUnlockToken)?;
            rows::forget_account(tx, &link.realm, &link.account_id).await?;
            mail::void_links_for(tx, &link.realm, &link.account_id, Purpose::Unlock).await?;
            let event = Event::AccountUnlocked.of_account(Some(&link.account_id), Some(&link.email));
            Ok(trail.record(tx, event.with("realm", link.realm)).with(()))
        })
    })
    .await
}

/// Takes away counters that are over, and browsers not seen for a year.
pub async fn sweep(_operator: &Caller, app: &App) -> Result<u64> {
    let (limits, now) = (app.lockout(), app.now_millis());
    app.store
        .write(move |tx| {
            Box::pin(async move {
                let counters = rows::sweep(tx, limits, now).await?;
                one_time_codes::sweep(tx, now).await?;
                Ok(counters + devices::sweep(tx, now / 1000).await?)
            })
        })
        .await
}
