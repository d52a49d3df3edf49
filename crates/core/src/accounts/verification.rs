//! Showing that an address is one's own: a link is sent there, and whoever opens it has shown it.

use fastcms_guard::opaque::Digest;
use fastcms_store::accounts::{self as rows, fold_email};
use fastcms_store::mails::tokens;
use fastcms_store::{Change, ChangeKind};

use super::sessions::{realm_text, table_of};
use super::stored;
use crate::access;
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::mail::{self, Kind, Mail, Purpose};
use crate::time::stamp;

/// The mail that asks a new account whether its address is its own.
pub(crate) fn invitation(app: &App, realm: &str, account_id: &str, email: &str) -> Mail {
    Mail::new(app, Kind::Verification, email).about(realm, account_id)
}

/// Sends the caller's account another link.
///
/// # Errors
/// [`Error::EmailAlreadyVerified`], [`Error::MailNotConfigured`].
pub async fn resend_verification(caller: &Caller, app: &App) -> Result<()> {
    let account = access::require_account(caller)?;
    let realm = realm_text(&account.realm);
    let account = stored(app, realm, &account.id).await?.ok_or(Error::InvalidToken)?;
    if account.verified {
        return Err(Error::EmailAlreadyVerified);
    }
    mail::require_configured(app)?;
    mail::enqueue_alone(app, invitation(app, realm, &account.id, &account.email)).await
}

/// Uses a link up: the address it was sent to is verified, if it still is the account's.
///
/// # Errors
/// [`Error::InvalidVerificationToken`] for every other text, a link of another purpose included.
pub async fn verify_email(caller: &Caller, app: &App, token: &str) -> Result<()> {
    let digest = *Digest::of(token).as_bytes();
    let (now, stamped) = (app.now_seconds(), stamp(app.now_millis()));
    let schema = app.schema.load_full();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let purpose = Purpose::Verification;
            let link = tokens::redeem(tx, &digest, purpose.as_str(), now).await?;
            let link = link.ok_or(Error::InvalidVerificationToken)?;
            let table = table_of(&schema, &link.realm).ok_or(Error::InvalidVerificationToken)?;
            let account = rows::by_id_locked(tx, &table, &link.account_id).await?;
            let is_its_own = |email: &str| fold_email(email) == fold_email(&link.email);
            if account.is_none_or(|account| account.disabled || !is_its_own(&account.email)) {
                return Err(Error::InvalidVerificationToken);
            }
            rows::set_verified(tx, &table, &link.account_id, &stamped).await?;
            mail::void_links_for(tx, &link.realm, &link.account_id, purpose).await?;
            tx.announce(Change::new(ChangeKind::Account, link.account_id.as_str()));
            let event = Event::EmailVerified.of_account(Some(&link.account_id), Some(&link.email));
            Ok(trail.record(tx, event.with("realm", link.realm)).with(()))
        })
    })
    .await
}
