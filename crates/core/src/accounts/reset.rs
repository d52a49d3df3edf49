//! A password that was forgotten. Asking for a link does the same for every address: one insert into the mail queue. Whether the
//! address has an account is found out when the mail is sent, where nobody can watch.

use fastcms_guard::limits::Class;
use fastcms_guard::opaque::Digest;
use fastcms_secrets::Secret;
use fastcms_store::accounts::{self as rows, fold_email};
use fastcms_store::attempts;
use fastcms_store::mails::tokens::{self, MailToken};
use fastcms_store::{Plan, Tx};

use super::first_proof::{self, Place};
use super::passwords::Replaced;
use super::sessions::{realm_text, table_of};
use super::sign_in::{PasswordChange, put_password};
use super::{email, passwords, stored};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::{Caller, Realm};
use crate::error::{Error, Result};
use crate::limits;
use crate::mail::{self, Kind, Mail, Owner, Purpose};
use crate::time::stamp;

/// Sends a link to the account of this address, if there is one. The caller is told nothing either way.
pub async fn request_password_reset(caller: &Caller, app: &App, realm: &Realm, address: &str) -> Result<()> {
    limits::charge_named(caller, app, Class::Reset, realm, address).await?;
    if !app.config.mail.is_enabled() {
        tracing::warn!("a new password was asked for, and no mail is sent: SMTP_USER and SMTP_PASSWORD are not set");
    }
    // What is no address is nobody's; that says nothing about anybody.
    let Ok(address) = email::check("email", address) else { return Ok(()) };
    let realm = realm_text(realm);
    let mail = Mail::new(app, Kind::PasswordReset, fold_email(&address)).in_realm(realm);
    let event = Event::PasswordResetAsked.of_account(None, Some(&address)).with("realm", realm);
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            mail::enqueue(tx, mail).await?;
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// Uses a link up: the account has this password from now on, every session ends, and so does a lock. Nobody is signed in by it.
///
/// # Errors
/// [`Error::InvalidResetToken`] for what is no live link of this purpose; a password that is refused leaves the link as it is.
pub async fn reset_password(caller: &Caller, app: &App, token: &str, new: Secret<String>) -> Result<()> {
    let digest = *Digest::of(token).as_bytes();
    let link = look_at(app, digest)
        .await
        .inspect_err(|error| audit::note(caller, app, audit::Entry::from(Event::PasswordResetRefused).error(error)))?;
    let account = stored(app, &link.realm, &link.account_id).await?.filter(|account| !account.disabled);
    let account = account.ok_or(Error::InvalidResetToken)?;
    let (realm, id) = (link.realm.as_str(), account.id.as_str());
    let replaced = Replaced { in_force: account.password.as_ref(), must_change: account.must_change_password };
    passwords::check_new(app, "password", &new, &account.email, (realm, id), replaced).await?;
    let fresh = passwords::hash(app, new).await?;
    let owner = Owner { realm, id, email: &account.email };
    let notice = mail::password_changed(app, Kind::PasswordChanged, owner).await?;
    let table = table_of(&app.schema.load(), realm).ok_or(Error::InvalidResetToken)?;
    let mut change = PasswordChange {
        table,
        realm: realm.to_owned(),
        id: id.to_owned(),
        in_force: account.password,
        fresh,
        browser: None,
    };
    let (now, now_millis, stamped) = (app.now_seconds(), app.now_millis(), stamp(app.now_millis()));
    let event = Event::PasswordReset.of_account(Some(id), Some(&account.email)).with("realm", realm);
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            redeem(tx, digest, &change, now).await?;
            let place = Place { realm: &change.realm, table: &change.table, id: &change.id };
            if first_proof::note(tx, trail, &place, now_millis).await?.is_some() {
                change.in_force = None;
            }
            put_password(tx, &change, now, &stamped).await.map_err(|error| match error {
                // Somebody else changed it while this one was hashed: that voided the link.
                Error::InvalidCredentials => Error::InvalidResetToken,
                other => other,
            })?;
            // Whoever opens the account's mail is its owner, whatever strangers guessed.
            attempts::forget_account(tx, &change.realm, &change.id).await?;
            mail::enqueue(tx, notice).await?;
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

async fn look_at(app: &App, digest: [u8; 32]) -> Result<MailToken> {
    let now = app.now_seconds();
    app.store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move { tokens::look_at(reader, &digest, Purpose::PasswordReset.as_str(), now).await })
        })
        .await?
        .ok_or(Error::InvalidResetToken)
}

/// Uses the link up, for the account that it was looked at for, as long as that one may sign in and has the address it was sent to.
async fn redeem(tx: &mut Tx<'_>, digest: [u8; 32], change: &PasswordChange, now: i64) -> Result<()> {
    let link = tokens::redeem(tx, &digest, Purpose::PasswordReset.as_str(), now).await?;
    let link = link.ok_or(Error::InvalidResetToken)?;
    let account = rows::by_id_locked(tx, &change.table, &change.id).await?;
    let account = account.filter(|account| !account.disabled && fold_email(&account.email) == fold_email(&link.email));
    account.map(drop).ok_or(Error::InvalidResetToken)
}
