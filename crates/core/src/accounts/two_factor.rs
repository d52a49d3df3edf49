//! Second factors: an authenticator app (RFC 6238) and backup codes. A secret waits until a first code has shown that the app has it; a
//! step's code is taken once; a backup code is used up. Guesses count where passwords count.

use fastcms_guard::ids;
use fastcms_guard::opaque::Digest;
use fastcms_guard::totp::TotpSecret;
use fastcms_secrets::Secret;
use fastcms_store::accounts::Credentials;
use fastcms_store::accounts::second_factors::{self as rows, SecondFactor};
use fastcms_store::{Change, ChangeKind, Plan};
use tokio::time::Instant;

use super::Device;
use super::sessions::realm_text;
use crate::access::{self, Recent};
use crate::app::App;
use crate::attempts::{Attempt, Guessed};
use crate::audit::{self, Event};
use crate::caller::{Account, Caller, Realm};
use crate::error::{Error, Result};
use crate::mail::{self, Kind, Owner};
use crate::time::stamp;

/// Backup codes given out at once.
const BACKUP_CODES: usize = 10;
/// Bytes of a backup code: 112 bits (ASVS 6.5.2), so that a plain digest is enough to keep it by.
const BACKUP_BYTES: usize = 14;

/// A secret that waits for its first code.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// As people type it.
    pub secret: Secret<String>,
    /// As an app reads it.
    pub otpauth_url: Secret<String>,
}

/// What an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoFactorStatus {
    pub enabled: bool,
    pub backup_codes_remaining: i64,
}

/// The caller's account, which must be one of `users`.
fn own(caller: &Caller) -> Result<&Account> {
    let account = access::require_in_person(caller)?;
    if account.realm == Realm::Users { Ok(account) } else { Err(Error::InvalidToken) }
}

/// What the caller's account has.
pub async fn two_factor_status(caller: &Caller, app: &App) -> Result<TwoFactorStatus> {
    let id = own(caller)?.id.clone();
    app.store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move {
                Ok(TwoFactorStatus {
                    enabled: rows::is_enabled(reader, "users", &id).await?,
                    backup_codes_remaining: rows::backup_codes_left(reader, "users", &id).await?,
                })
            })
        })
        .await
}

/// Makes a secret for the caller's account. It is shown this once.
///
/// # Errors
/// [`Error::TwoFactorState`] where a factor is enabled.
pub async fn begin_enrolment(caller: &Recent, app: &App) -> Result<Enrolment> {
    let account = own(caller)?;
    let secret = TotpSecret::generate(&*app.rng);
    let sealed = app.sealing.seal(&*app.rng, &place("users", &account.id), secret.bytes().expose())?;
    let (id, now) = (account.id.clone(), stamp(app.now_millis()));
    let stored = app
        .store
        .write(move |tx| {
            Box::pin(async move { rows::enrol(tx, "users", &id, &sealed, &now).await.map_err(Error::from) })
        })
        .await?;
    if !stored {
        return Err(Error::TwoFactorState);
    }
    Ok(Enrolment {
        otpauth_url: secret.otpauth_url(&app.config.server.app_name, &account.email),
        secret: secret.base32(),
    })
}

/// Enables the secret that waits, by its first code. The backup codes, shown this once.
///
/// # Errors
/// [`Error::TwoFactorState`] where none waits, [`Error::InvalidTwoFactorCode`].
pub async fn enable_two_factor(caller: &Recent, app: &App, code: &str, device: &Device) -> Result<Vec<Secret<String>>> {
    let account = own(caller)?;
    let (attempt, factor) = guess(app, account, device, |factor| !factor.enabled).await?;
    let step = match &factor {
        Some(factor) if attempt.is_open() => step_of(caller, app, "users", &account.id, factor, code),
        _ => None,
    };
    let (Some(step), Some(factor)) = (step, factor) else { return Err(refused(attempt, caller, app).await) };
    let (codes, digests) = backup_codes(app);
    let notice = notice(app, account, Kind::TwoFactorEnabled);
    let id = account.id.clone();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            if !rows::enable(tx, "users", &id, &factor.secret, step).await? {
                return Err(Error::TwoFactorState);
            }
            rows::set_backup_codes(tx, "users", &id, &digests).await?;
            attempt.forgive_in(tx).await?;
            mail::enqueue(tx, notice).await?;
            // What the account may do depends on it where a second factor is required.
            tx.announce(Change::new(ChangeKind::Account, id.as_str()));
            Ok(trail.record(tx, Event::TwoFactorEnabled.on("user", &id)).with(()))
        })
    })
    .await?;
    Ok(codes)
}

/// Takes the second factor off the caller's account, by a code of either kind.
pub async fn disable_two_factor(caller: &Recent, app: &App, code: &str, device: &Device) -> Result<()> {
    let account = own(caller)?;
    let attempt = check(caller, app, account, code, device, true).await?;
    let notice = notice(app, account, Kind::TwoFactorDisabled);
    let id = account.id.clone();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            rows::disable(tx, "users", &id).await?;
            attempt.forgive_in(tx).await?;
            mail::enqueue(tx, notice).await?;
            tx.announce(Change::new(ChangeKind::Account, id.as_str()));
            Ok::<_, Error>(trail.record(tx, Event::TwoFactorDisabled.on("user", &id)).with(()))
        })
    })
    .await
}

/// Makes new backup codes for the caller's account, by a code of the app; the old ones are void.
pub async fn renew_backup_codes(
    caller: &Recent,
    app: &App,
    code: &str,
    device: &Device,
) -> Result<Vec<Secret<String>>> {
    let account = own(caller)?;
    let attempt = check(caller, app, account, code, device, false).await?;
    let (codes, digests) = backup_codes(app);
    let notice = notice(app, account, Kind::BackupCodesMade);
    let id = account.id.clone();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            rows::set_backup_codes(tx, "users", &id, &digests).await?;
            attempt.forgive_in(tx).await?;
            mail::enqueue(tx, notice).await?;
            Ok::<_, Error>(trail.record(tx, Event::BackupCodesRenewed.on("user", &id)).with(()))
        })
    })
    .await?;
    Ok(codes)
}

fn notice(app: &App, account: &Account, kind: Kind) -> mail::Mail {
    mail::notice(app, kind, Owner { realm: "users", id: &account.id, email: &account.email })
}

/// Counts a guess of somebody signed in, and looks their factor up: there must be one in the state that is asked for.
async fn guess(
    app: &App,
    account: &Account,
    device: &Device,
    is_fit: impl Fn(&SecondFactor) -> bool,
) -> Result<(Attempt, Option<SecondFactor>)> {
    let opened = Instant::now();
    let factor = stored(app, "users", &account.id).await?;
    let factor = factor.filter(is_fit).ok_or(Error::TwoFactorState)?;
    let guessed = Guessed::Account { realm: realm_text(&account.realm), id: &account.id, email: &account.email };
    Ok((Attempt::count(app, guessed, device, opened).await?, Some(factor)))
}

/// A code of somebody signed in whose factor is enabled; `or_backup`: a backup code will do.
async fn check(
    caller: &Caller,
    app: &App,
    account: &Account,
    code: &str,
    device: &Device,
    or_backup: bool,
) -> Result<Attempt> {
    let (attempt, factor) = guess(app, account, device, |factor| factor.enabled).await?;
    let is_right = match factor {
        Some(factor) if attempt.is_open() => {
            use_code(caller, app, "users", &account.id, &factor, code, or_backup).await?
        }
        _ => false,
    };
    if is_right { Ok(attempt) } else { Err(refused(attempt, caller, app).await) }
}

async fn refused(attempt: Attempt, caller: &Caller, app: &App) -> Error {
    match attempt.refuse(caller, app, Event::TwoFactorRefused).await {
        locked @ Error::AccountLocked { .. } => locked,
        _ => Error::InvalidTwoFactorCode,
    }
}

/// What became of the second question of a sign-in.
pub(super) enum Second {
    /// The account has no second factor.
    NotNeeded,
    /// It has one, and no code was sent along.
    Wanted,
    Right,
    Wrong,
}

/// The second question of a sign-in. Part of a guess that is counted already.
pub(super) async fn second_step(
    caller: &Caller,
    app: &App,
    realm: &str,
    credentials: &Credentials,
    code: Option<&str>,
) -> Result<Second> {
    let factor = stored(app, realm, &credentials.id).await?.filter(|factor| factor.enabled);
    let (Some(factor), code) = (factor, code.filter(|code| !code.is_empty())) else { return Ok(Second::NotNeeded) };
    let Some(code) = code else { return Ok(Second::Wanted) };
    let is_right = use_code(caller, app, realm, &credentials.id, &factor, code, true).await?;
    Ok(if is_right { Second::Right } else { Second::Wrong })
}

async fn stored(app: &App, realm: &str, id: &str) -> Result<Option<SecondFactor>> {
    let (realm, id) = (realm.to_owned(), id.to_owned());
    Ok(app
        .store
        .read(Plan::Bounded, move |reader| Box::pin(async move { rows::of_account(reader, &realm, &id).await }))
        .await?)
}

/// Looks at a code and uses it up. Of any number of callers with the same one, one is told true.
async fn use_code(
    caller: &Caller,
    app: &App,
    realm: &str,
    id: &str,
    factor: &SecondFactor,
    code: &str,
    or_backup: bool,
) -> Result<bool> {
    let step = step_of(caller, app, realm, id, factor, code);
    let backup = backup_digest(code).filter(|_| or_backup && step.is_none());
    let (realm, id) = (realm.to_owned(), id.to_owned());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            if let Some(step) = step {
                let used = rows::use_step(tx, &realm, &id, step).await?;
                let event = if used { Event::TwoFactorVerified } else { Event::TwoFactorRefused };
                return Ok(trail.record(tx, event.on("user", &id)).with(used));
            }
            let used = match &backup {
                Some(digest) => rows::use_backup_code(tx, &realm, &id, digest).await?,
                None => false,
            };
            let event = if used { Event::BackupCodeUsed } else { Event::TwoFactorRefused };
            Ok::<_, Error>(trail.record(tx, event.on("user", &id)).with(used))
        })
    })
    .await
}

/// The step whose code this is. Where the secret does not open no code is right; backup codes go on.
fn step_of(caller: &Caller, app: &App, realm: &str, id: &str, factor: &SecondFactor, code: &str) -> Option<i64> {
    let opened = app.sealing.open(&place(realm, id), &factor.secret);
    let secret = opened.inspect_err(|error| crate::sealing::note_factor(caller, app, id, *error)).ok()?;
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    TotpSecret::from_bytes(secret).step_of(&digits, app.now_seconds(), factor.last_step)
}

/// Where a sealed secret lies: it opens nowhere else.
pub(crate) fn place(realm: &str, id: &str) -> Vec<u8> {
    format!("second_factors|{realm}|{id}|secret").into_bytes()
}

/// Fresh codes, and what is kept of them.
fn backup_codes(app: &App) -> (Vec<Secret<String>>, Vec<[u8; 32]>) {
    let made = (0..BACKUP_CODES).map(|_| {
        let hex = ids::hex::<BACKUP_BYTES>(&*app.rng);
        let groups: Vec<&str> = (0..hex.len()).step_by(4).map(|at| &hex[at..at + 4]).collect();
        (Secret::new(groups.join("-")), *Digest::of(&hex).as_bytes())
    });
    made.unzip()
}

/// What a text would be stored by if it is a backup code; case, spaces and dashes do not count.
fn backup_digest(code: &str) -> Option<[u8; 32]> {
    let hex: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect::<String>().to_ascii_lowercase();
    let is_one = hex.len() == 2 * BACKUP_BYTES && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| *Digest::of(&hex).as_bytes())
}
