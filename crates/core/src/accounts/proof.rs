//! Showing that an account is one's own: by its password or by a code sent to its address, and by its second factor where it has one.
//! Every guess is counted before it is looked at; whatever is wrong, the refusal is the same.

use fastcms_guard::password::Verdict;
use fastcms_secrets::Secret;
use fastcms_store::Plan;
use fastcms_store::accounts::{self as accounts, AccountTable, Credentials};
use tokio::time::Instant;

use super::sessions::{realm_text, table_of};
use super::two_factor::{self, Second};
use super::{Device, one_time_code, passwords};
use crate::app::App;
use crate::attempts::{Attempt, Guessed};
use crate::audit::Event;
use crate::caller::{Caller, Realm};
use crate::error::{Error, Result};
use crate::time::stamp;

/// What somebody presents to sign in.
#[derive(Debug)]
pub struct Presented<'a> {
    /// The address, or whatever identifies an account there.
    pub name: &'a str,
    pub proof: Proof,
    /// A code of an authenticator app, or a backup code.
    pub second: Option<&'a str>,
}

/// What shows, by itself or with a second factor, that an account is one's own.
#[derive(Debug, Clone)]
pub enum Proof {
    Password(Secret<String>),
    /// A code that was sent to the account's address.
    Code(Secret<String>),
}

/// What a sign-in comes to.
#[derive(Debug)]
pub enum SignIn<G> {
    Done(G),
    /// Right so far: the account has a second factor, and no code of it was sent along.
    SecondFactorWanted,
}

/// An account that somebody has shown to be theirs, and the guess that showed it: whatever is opened now forgives it.
pub(super) struct Proven {
    pub(super) credentials: Credentials,
    /// `None` where the account was made just now.
    pub(super) attempt: Option<Attempt>,
}

/// A guess about to be made: at which name, and what the name was found to be.
pub(super) struct Guess<'a> {
    pub(super) realm: &'a Realm,
    pub(super) table: &'a AccountTable,
    pub(super) name: &'a str,
    pub(super) found: Option<Credentials>,
    pub(super) device: &'a Device,
    pub(super) opened: Instant,
}

/// Shows that the account of an address is one's own. `None`: a second factor is wanted.
pub(super) async fn prove_by_email(
    caller: &Caller,
    app: &App,
    realm: &Realm,
    presented: Presented<'_>,
    device: &Device,
) -> Result<Option<Proven>> {
    let opened = Instant::now();
    let table = table_of(&app.schema.load(), realm_text(realm)).ok_or(Error::NotFound)?;
    let name = presented.name;
    let found = by_email(app, &table, name).await?;
    prove(caller, app, Guess { realm, table: &table, name, found, device, opened }, presented).await
}

/// Both factors of an account that was looked up. `None`: a second factor is wanted.
pub(super) async fn prove(
    caller: &Caller,
    app: &App,
    guess: Guess<'_>,
    presented: Presented<'_>,
) -> Result<Option<Proven>> {
    let (realm, table) = (realm_text(guess.realm).to_owned(), guess.table.clone());
    let ways = app.settings.now().clone();
    let (first, code) = match presented.proof {
        Proof::Password(_) if !ways.password_auth => return Err(Error::PasswordAuthDisabled),
        Proof::Code(_) if !ways.one_time_codes => return Err(Error::InvalidCredentials),
        Proof::Password(password) => (prove_password(caller, app, guess, password, Event::SignInFailed).await?, None),
        Proof::Code(code) => {
            let (proven, digest) = one_time_code::prove(caller, app, guess, code).await?;
            (proven, Some(digest))
        }
    };
    let Proven { mut credentials, attempt } = first;
    let attempt = attempt.expect("a proof comes with its guess");
    // A code shows that the address is one's own; a password does not. What follows would tell that it was right.
    if ways.verification_required && code.is_none() && !credentials.verified {
        return Err(attempt.refuse(caller, app, Event::SignInFailed).await);
    }
    match two_factor::second_step(caller, app, &realm, &credentials, presented.second).await? {
        Second::NotNeeded | Second::Right => {}
        Second::Wanted => {
            attempt.take_back(app).await?;
            if code.is_some() {
                one_time_code::give_back(app, &realm, &credentials.id).await?;
            }
            return Ok(None);
        }
        Second::Wrong => return Err(attempt.refuse(caller, app, Event::TwoFactorRefused).await),
    }
    if let Some(digest) = code
        && !one_time_code::use_up(caller, app, &realm, &table, &mut credentials, digest).await?
    {
        return Err(attempt.refuse(caller, app, Event::SignInFailed).await);
    }
    Ok(Some(Proven { credentials, attempt: Some(attempt) }))
}

/// Counts a guess, then holds its password against the account that was found. For a name that nobody has, and for a locked account,
/// against nothing for as long. A full pool of hashing refuses before anything is counted.
pub(super) async fn prove_password(
    caller: &Caller,
    app: &App,
    guess: Guess<'_>,
    password: Secret<String>,
    failure: Event,
) -> Result<Proven> {
    let admission = app.hasher.admit().map_err(passwords::failed)?;
    let table = guess.table.clone();
    let (attempt, account) = count(app, guess).await?;
    let account = account.filter(|_| attempt.is_open());
    let stored = account.as_ref().and_then(|account| account.password.as_ref());
    let stored = stored.map(|phc| phc.expose().as_str());
    let verdict = app.hasher.verify_admitted(admission, password.clone(), stored).await.map_err(passwords::failed)?;
    let Some(mut credentials) = account.filter(|account| verdict.is_match() && !account.disabled) else {
        return Err(attempt.refuse(caller, app, failure).await);
    };
    if verdict == (Verdict::Match { needs_rehash: true }) {
        renew_hash(app, &table, &mut credentials, password).await?;
    }
    Ok(Proven { credentials, attempt: Some(attempt) })
}

/// Counts a guess at whoever was found, or at the name.
pub(super) async fn count(app: &App, guess: Guess<'_>) -> Result<(Attempt, Option<Credentials>)> {
    let Guess { realm, name, found, device, opened, .. } = guess;
    let realm = realm_text(realm);
    let folded = accounts::fold_email(name);
    let guessed = match &found {
        Some(account) => Guessed::Account { realm, id: &account.id, email: &account.email },
        None => Guessed::Nobody { realm, name: &folded },
    };
    let attempt = Attempt::count(app, guessed, device, opened).await?;
    Ok((attempt, found))
}

pub(super) async fn by_email(app: &App, table: &AccountTable, email: &str) -> Result<Option<Credentials>> {
    let (table, email) = (table.clone(), email.to_owned());
    Ok(app
        .store
        .read(Plan::Bounded, move |reader| Box::pin(async move { accounts::by_email(reader, &table, &email).await }))
        .await?)
}

/// A hash of an older kind (bcrypt of the original, weaker parameters) is replaced while the password is at hand.
async fn renew_hash(
    app: &App,
    table: &AccountTable,
    credentials: &mut Credentials,
    password: Secret<String>,
) -> Result<()> {
    let fresh = match passwords::hash(app, password.clone()).await {
        Ok(fresh) => fresh,
        // Whoever was right is not sent away, and counted, because the pool is full: the next sign-in is soon enough.
        Err(Error::Overloaded { .. }) => return Ok(()),
        Err(other) => return Err(other),
    };
    let (table, id, old) = (table.clone(), credentials.id.clone(), credentials.password.clone());
    let (must_change, now, new) = (credentials.must_change_password, stamp(app.now_millis()), fresh.clone());
    let wanted = (table.clone(), id.clone());
    let replaced = app
        .store
        .write(move |tx| {
            Box::pin(async move {
                accounts::replace_password(tx, &table, &id, old.as_ref(), &new, must_change, &now)
                    .await
                    .map_err(Error::from)
            })
        })
        .await?;
    if replaced {
        credentials.password = Some(fresh);
        return Ok(());
    }
    // Another sign-in at the same moment was first, or the password has changed: only the first of the two is this one.
    let (table, id) = wanted;
    let read = app
        .store
        .read(Plan::Bounded, move |reader| Box::pin(async move { accounts::by_id(reader, &table, &id).await }));
    let Some(in_force) = read.await?.and_then(|account| account.password) else { return Ok(()) };
    match app.hasher.verify(password, Some(in_force.expose().as_str())).await {
        Ok(verdict) if verdict.is_match() => credentials.password = Some(in_force),
        Ok(_) => {}
        Err(error) => return Err(passwords::failed(error)),
    }
    Ok(())
}
