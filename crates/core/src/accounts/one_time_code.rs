//! Signing in by a code that is sent to the address of an account: six digits, ten minutes, five tries, one at a time.
//!
//! A request does the same for every address: it queues a mail. The code is made when that mail is sent, if somebody has the address.

use fastcms_guard::attempts::CounterKey;
use fastcms_guard::ids;
use fastcms_guard::limits::Class;
use fastcms_secrets::Secret;
use fastcms_store::accounts::{AccountTable, Credentials, one_time_codes as rows};

use super::first_proof::{self, Place};
use super::proof::{Guess, Proven, count};
use super::sessions::realm_text;
use crate::app::App;
use crate::audit::{self, Event, Recorded};
use crate::caller::{Caller, Realm};
use crate::error::{Error, Result};
use crate::limits;
use crate::mail::{self, Kind, Mail};

/// How long a code is good, milliseconds (contract 2.2).
const LIFETIME_MILLIS: i64 = 10 * 60 * 1000;

/// Has a code sent to this address, if an account of `realm` has it.
pub async fn request_code(caller: &Caller, app: &App, realm: &Realm, email: &str) -> Result<()> {
    let email = super::email::check("email", email)?;
    limits::charge_named(caller, app, Class::Reset, realm, &email).await?;
    let mail = Mail::new(app, Kind::OneTimeCode, email).in_realm(realm_text(realm));
    mail::enqueue_alone(app, mail).await
}

/// When a code that is made now ends, unix milliseconds.
pub(crate) fn expires_at(app: &App) -> i64 {
    app.now_millis() + LIFETIME_MILLIS
}

/// Six digits.
pub(crate) fn generate(app: &App) -> Secret<String> {
    Secret::new(ids::digits::<6>(&*app.rng))
}

/// Six digits can be searched in no time: they are stored under the key of the counters, bound to their account.
pub(crate) fn digest(key: &CounterKey, realm: &str, account_id: &str, code: &Secret<String>) -> [u8; 32] {
    key.digest("one-time code", &[realm, account_id, code.expose()])
}

/// Counts a guess at a code and looks at it. The digest of the right one, so that it can be used up.
pub(super) async fn prove(
    caller: &Caller,
    app: &App,
    guess: Guess<'_>,
    code: Secret<String>,
) -> Result<(Proven, [u8; 32])> {
    let realm = realm_text(guess.realm).to_owned();
    let (attempt, account) = count(app, guess).await?;
    let account = account.filter(|_| attempt.is_open());
    // As much work for nobody.
    let id = account.as_ref().map(|account| account.id.clone()).unwrap_or_default();
    let offered = digest(&app.attempts.key, &realm, &id, &code);
    let now = app.now_millis();
    let stored = app
        .store
        .write(move |tx| Box::pin(async move { rows::attempt(tx, &realm, &id, now).await.map_err(Error::from) }))
        .await?;
    let is_right = stored.is_some_and(|stored| fastcms_guard::equal(&stored, &offered));
    match account.filter(|account| is_right && !account.disabled) {
        Some(credentials) => Ok((Proven { credentials, attempt: Some(attempt) }, offered)),
        None => Err(attempt.refuse(caller, app, Event::SignInFailed).await),
    }
}

/// Gives the try back that a right code took, since it is to be sent once more with a second factor.
pub(super) async fn give_back(app: &App, realm: &str, account_id: &str) -> Result<()> {
    let (realm, id) = (realm.to_owned(), account_id.to_owned());
    app.store
        .write(move |tx| Box::pin(async move { rows::give_back(tx, &realm, &id).await.map_err(Error::from) }))
        .await
}

/// Uses a code up, and takes its address for verified: whoever read it there has shown so. False where somebody else was first.
pub(super) async fn use_up(
    caller: &Caller,
    app: &App,
    realm: &str,
    table: &AccountTable,
    credentials: &mut Credentials,
    digest: [u8; 32],
) -> Result<bool> {
    let (realm, table, id) = (realm.to_owned(), table.clone(), credentials.id.clone());
    let now = app.now_millis();
    let (used, is_first_proof) = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            if !rows::use_up(tx, &realm, &id, &digest).await? {
                return Ok(Recorded::nothing_happened().with((false, false)));
            }
            let place = Place { realm: &realm, table: &table, id: &id };
            match first_proof::note(tx, trail, &place, now).await? {
                Some(recorded) => Ok(recorded.with((true, true))),
                // The session that follows has an event of its own.
                None => Ok::<_, Error>(Recorded::nothing_happened().with((true, false))),
            }
        })
    })
    .await?;
    credentials.verified |= used;
    if is_first_proof {
        credentials.password = None;
        credentials.must_change_password = false;
    }
    Ok(used)
}
