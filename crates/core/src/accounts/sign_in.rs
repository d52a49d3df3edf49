//! Signing in with a password, ending sessions, changing the password.

use fastcms_guard::limits::Class;
use fastcms_secrets::Secret;
use fastcms_store::accounts::sessions::{self as rows, Session, Which};
use fastcms_store::accounts::{self as accounts, AccountTable};
use fastcms_store::{Change, ChangeKind, Plan, Tx};
use tokio::time::Instant;

use super::passwords::Replaced;
use super::proof::{Guess, Presented, Proven, SignIn, prove_by_email, prove_password};
use super::sessions::{realm_text, table_of};
use super::tokens::{Grant, open_session, session_of_refresh};
use super::{Device, passwords};
use crate::access::{self, Recent};
use crate::app::App;
use crate::audit::{self, Event, Recorded};
use crate::caller::{Account, Caller, Principal, Realm};
use crate::error::{Error, Result};
use crate::limits;
use crate::mail::{self, Kind, Owner};
use crate::time::stamp;

/// Signs an account of `realm` in. Every way to fail gives the same [`Error::InvalidCredentials`] after the same work: an unknown
/// address costs a hash as well.
pub async fn sign_in(
    caller: &Caller,
    app: &App,
    realm: &Realm,
    presented: Presented<'_>,
    device: &Device,
) -> Result<SignIn<Grant>> {
    charge_account(caller, app, realm, presented.name, device).await?;
    match prove_by_email(caller, app, realm, presented, device).await? {
        Some(proven) => open_session(caller, app, realm, proven, device).await.map(SignIn::Done),
        None => Ok(SignIn::SecondFactorWanted),
    }
}

/// Charges a sign-in to the account that is named, beside the address it comes from. A browser that may be a known one is left to the
/// lockout, which counts it apart: strangers must not use up what the owner needs.
pub(super) async fn charge_account(
    caller: &Caller,
    app: &App,
    realm: &Realm,
    name: &str,
    device: &Device,
) -> Result<()> {
    if app.config.lockout.enabled && device.cookie.is_some() {
        return Ok(());
    }
    limits::charge_named(caller, app, Class::Login, realm, name).await
}

/// Ends the caller's session or impersonation, and the session that a refresh token belongs to. Never fails for a bad token: signing out always works.
pub async fn sign_out(caller: &Caller, app: &App, refresh_token: Option<&str>) -> Result<()> {
    let mut ends: Vec<(Realm, String, String)> = Vec::new();
    match &caller.principal {
        Principal::Account(account) => {
            ends.push((account.realm.clone(), account.id.clone(), account.session.clone()));
        }
        Principal::Acting(acting) => super::impersonation::end_own(caller, app, acting).await?,
        Principal::Guest | Principal::ApiKey(_) | Principal::Operator => {}
    }
    ends.extend(refresh_token.and_then(|token| session_of_refresh(app, token)));
    for (realm, account, session) in ends {
        end(caller, app, &realm, &account, End::One(session), Event::SignedOut).await?;
    }
    Ok(())
}

/// Ends every session of the caller's account, this one included.
pub async fn sign_out_everywhere(caller: &Caller, app: &App) -> Result<()> {
    let account = access::require_in_person(caller)?;
    end(caller, app, &account.realm, &account.id, End::All, Event::SignedOutEverywhere).await.map(drop)
}

/// Live sessions of the caller's account, newest first.
pub async fn sessions_of(caller: &Caller, app: &App) -> Result<Vec<Session>> {
    let account = access::require_in_person(caller)?;
    let (realm, id, now) = (realm_text(&account.realm).to_owned(), account.id.clone(), app.now_seconds());
    let idle_since = stamp(app.now_millis() - app.idle_millis());
    Ok(app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move { rows::of_account(reader, &realm, &id, now, &idle_since).await })
        })
        .await?)
}

/// Ends one of the caller's own sessions, or all but the calling one.
///
/// # Errors
/// [`Error::NotFound`] for an id that is no live session of this account, other people's included.
pub async fn end_session(caller: &Caller, app: &App, id: Option<&str>) -> Result<()> {
    let account = access::require_in_person(caller)?;
    let which = id.map_or_else(|| End::AllBut(account.session.clone()), |id| End::One(id.to_owned()));
    let ended = end(caller, app, &account.realm, &account.id, which, Event::SessionEnded).await?;
    if id.is_some() && ended == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Which sessions to end, owned so that it can go to the writer.
pub(crate) enum End {
    All,
    One(String),
    AllBut(String),
}

/// Ends sessions of an account; on every node the next request sees it.
pub(crate) async fn end(
    caller: &Caller,
    app: &App,
    realm: &Realm,
    account_id: &str,
    which: End,
    event: Event,
) -> Result<u64> {
    let (realm, account_id, now) = (realm_text(realm).to_owned(), account_id.to_owned(), app.now_seconds());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let ended = end_in(tx, &realm, &account_id, which, now).await?;
            let recorded = if ended == 0 {
                Recorded::nothing_happened()
            } else {
                let event = event.on("account", account_id.as_str()).of_account(Some(&account_id), None);
                trail.record(tx, event.with("realm", realm.as_str()).with("sessions", ended))
            };
            Ok(recorded.with(ended))
        })
    })
    .await
}

/// The same inside a larger transaction.
pub(crate) async fn end_in(tx: &mut Tx<'_>, realm: &str, account_id: &str, which: End, now: i64) -> Result<u64> {
    let rows_which = match &which {
        End::All => Which::All,
        End::One(id) => Which::One(id),
        End::AllBut(id) => Which::AllBut(id),
    };
    let ended = rows::revoke(tx, realm, account_id, rows_which, now).await?;
    tx.announce(match which {
        End::One(id) => Change::new(ChangeKind::Session, id),
        End::All | End::AllBut(_) => Change::new(ChangeKind::Account, account_id),
    });
    Ok(ended)
}

/// Changes the caller's own password. Every session ends, the calling one included.
pub async fn change_password(
    caller: &Recent,
    app: &App,
    old: Secret<String>,
    new: Secret<String>,
    device: &Device,
) -> Result<()> {
    let opened = Instant::now();
    let account: &Account = access::require_in_person(caller)?;
    let realm = realm_text(&account.realm).to_owned();
    let table = table_of(&app.schema.load(), &realm).ok_or(Error::InvalidToken)?;
    let (wanted, id) = (table.clone(), account.id.clone());
    let stored = app
        .store
        .read(Plan::Bounded, move |reader| Box::pin(async move { accounts::by_id(reader, &wanted, &id).await }))
        .await?
        .ok_or(Error::InvalidToken)?;
    let guess =
        Guess { realm: &account.realm, table: &table, name: &account.email, found: Some(stored), device, opened };
    let Proven { credentials, attempt } = prove_password(caller, app, guess, old, Event::PasswordChangeRefused).await?;
    if let Some(attempt) = attempt {
        attempt.forgive(app).await?;
    }
    let in_force = credentials.password.clone();
    let replaced = Replaced { in_force: in_force.as_ref(), must_change: credentials.must_change_password };
    passwords::check_new(app, "new_password", &new, &account.email, (&realm, &account.id), replaced).await?;
    let fresh = passwords::hash(app, new).await?;
    let owner = Owner { realm: &realm, id: &account.id, email: &credentials.email };
    let notice = mail::password_changed(app, Kind::PasswordChanged, owner).await?;
    let browser = device.cookie_digest();
    let change = PasswordChange { table, realm: realm.clone(), id: account.id.clone(), in_force, fresh, browser };
    let (now, stamped) = (app.now_seconds(), stamp(app.now_millis()));
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            put_password(tx, &change, now, &stamped).await?;
            mail::enqueue(tx, notice).await?;
            let event = Event::PasswordChanged.on("account", change.id.as_str()).with("realm", change.realm.as_str());
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// A password that its owner chose, checked and hashed.
pub(crate) struct PasswordChange {
    pub table: AccountTable,
    /// As it is written in the store.
    pub realm: String,
    pub id: String,
    /// The hash that the change was decided upon.
    pub in_force: Option<Secret<String>>,
    pub fresh: Secret<String>,
    /// Digest of the cookie by which the browser is known that it comes from.
    pub browser: Option<[u8; 32]>,
}

/// Stores a new password, remembers the old one, ends every session, voids every link in a mail, and forgets every browser but the
/// one that it comes from.
pub(crate) async fn put_password(tx: &mut Tx<'_>, change: &PasswordChange, now: i64, stamped: &str) -> Result<()> {
    let PasswordChange { table, realm, id, in_force, fresh, browser } = change;
    if !accounts::replace_password(tx, table, id, in_force.as_ref(), fresh, false, stamped).await? {
        return Err(Error::InvalidCredentials);
    }
    if let Some(old) = in_force {
        accounts::remember_password(tx, realm, id, old, stamped).await?;
    }
    mail::void_links(tx, realm, id).await?;
    accounts::devices::forget(tx, realm, id, browser.as_ref()).await?;
    end_in(tx, realm, id, End::All, now).await.map(drop)
}

/// Takes the caller's own account away, with its sessions.
pub async fn delete_own(caller: &Recent, app: &App) -> Result<()> {
    let account = access::require_in_person(caller)?;
    if account.realm != Realm::Users {
        return Err(Error::InvalidToken);
    }
    super::users::remove(caller, app, &account.id).await
}

/// Takes away sessions whose absolute end lies a day back: nothing can refer to them any more.
pub async fn sweep_sessions(_operator: &Caller, app: &App) -> Result<u64> {
    let before = app.now_seconds() - 24 * 3600;
    let swept = app.store.write(move |tx| {
        Box::pin(async move {
            accounts::impersonations::sweep(tx, before).await?;
            rows::sweep(tx, before).await
        })
    });
    Ok(swept.await?)
}
