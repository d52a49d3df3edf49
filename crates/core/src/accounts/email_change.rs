//! Another address for an account: asked for with the password, agreed to from the new address, told to the old one.

use fastcms_guard::opaque::Digest;
use fastcms_secrets::Secret;
use fastcms_store::accounts::{self as rows, fold_email};
use fastcms_store::mails::tokens;
use tokio::time::Instant;

use super::proof::{Guess, Proven, by_email, prove_password};
use super::sessions::{realm_text, table_of};
use super::setup::email_taken;
use super::sign_in::{End, end_in};
use super::{Device, email, stored};
use crate::access::{self, Recent};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::{Caller, Realm};
use crate::error::{Error, Result};
use crate::mail::{self, Kind, Mail, Owner, Purpose};
use crate::time::stamp;

/// Sends a link to the address that the caller's account is to have, and a notice to the one it has. An earlier link is void.
///
/// # Errors
/// [`Error::InvalidCredentials`] for a wrong password, [`Error::SameEmail`], [`Error::EmailTaken`], [`Error::MailNotConfigured`].
pub async fn request_email_change(
    caller: &Recent,
    app: &App,
    new_email: &str,
    password: Secret<String>,
    device: &Device,
) -> Result<()> {
    let opened = Instant::now();
    let account = access::require_account(caller)?;
    let realm_of = account.realm.clone();
    let new_email = email::check("new_email", new_email)?;
    let realm = realm_text(&account.realm).to_owned();
    let account = stored(app, &realm, &account.id).await?.ok_or(Error::InvalidToken)?;
    if fold_email(&account.email) == fold_email(&new_email) {
        return Err(Error::SameEmail);
    }
    mail::require_configured(app)?;
    let table = table_of(&app.schema.load(), &realm).ok_or(Error::InvalidToken)?;
    let name = account.email.clone();
    let guess = Guess { realm: &realm_of, table: &table, name: &name, found: Some(account), device, opened };
    let Proven { credentials: account, attempt } =
        prove_password(caller, app, guess, password, Event::EmailChangeRefused).await?;
    if let Some(attempt) = attempt {
        attempt.forgive(app).await?;
    }
    // Only who knows the password learns that an address is taken.
    if by_email(app, &table, &new_email).await?.is_some() {
        return Err(Error::EmailTaken);
    }
    let link = Mail::new(app, Kind::EmailChange, new_email.as_str()).about(&realm, &account.id);
    let owner = Owner { realm: &realm, id: &account.id, email: &account.email };
    let event = Event::EmailChangeAsked.on("user", account.id.as_str()).with("new_email", new_email.as_str());
    let notice = mail::notice(app, Kind::EmailChangeRequested, owner).saying("new_email", new_email);
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            mail::void_links_for(tx, &realm, &account.id, Purpose::EmailChange).await?;
            mail::enqueue(tx, link).await?;
            mail::enqueue(tx, notice).await?;
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// Uses a link up: the account has the address that the link was sent to, and has shown it to be its own. Links that were sent to the
/// old address are void, and every session ends: whoever sat in one may be whom the old address belongs to. With `realm`, links of other
/// realms are no links.
///
/// # Errors
/// [`Error::InvalidVerificationToken`], and [`Error::EmailTaken`] where somebody else got the address meanwhile.
pub async fn confirm_email_change(caller: &Caller, app: &App, realm: Option<&Realm>, token: &str) -> Result<()> {
    let digest = *Digest::of(token).as_bytes();
    let realm = realm.map(|realm| realm_text(realm).to_owned());
    let (now, stamped) = (app.now_seconds(), stamp(app.now_millis()));
    let notice = mail::notice(app, Kind::EmailChanged, Owner { realm: "", id: "", email: "" });
    let schema = app.schema.load_full();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let link = tokens::redeem(tx, &digest, Purpose::EmailChange.as_str(), now).await?;
            let link = link.filter(|link| realm.is_none_or(|realm| realm == link.realm));
            let link = link.ok_or(Error::InvalidVerificationToken)?;
            let table = table_of(&schema, &link.realm).ok_or(Error::InvalidVerificationToken)?;
            let account = rows::by_id_locked(tx, &table, &link.account_id).await?;
            let account = account.filter(|account| !account.disabled).ok_or(Error::InvalidVerificationToken)?;
            rows::set_email(tx, &table, &account.id, &link.email, &stamped).await?;
            mail::void_links(tx, &link.realm, &account.id).await?;
            let notice = notice.about(&link.realm, &account.id).addressed_to(account.email.as_str());
            mail::enqueue(tx, notice.saying("new_email", link.email.as_str())).await?;
            end_in(tx, &link.realm, &account.id, End::All, now).await?;
            let event = Event::EmailChanged.of_account(Some(&account.id), Some(&link.email));
            let event = event.with("realm", link.realm).with("old_email", account.email);
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
    .map_err(email_taken)
}
