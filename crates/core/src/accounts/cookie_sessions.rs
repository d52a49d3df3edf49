//! Sessions of browsers: a random id in a cookie, of which only the SHA-256 is stored. They are rows like all other sessions and end
//! the same ways, and two more: after `SESSION_IDLE_MINUTES` without a request, and `SESSION_ABSOLUTE_HOURS` after the sign-in.
//! Nothing here depends on `SECRET_KEY`: there is no signature to outlive.
//!
//! Idle time is counted exactly in the memory of this node and to the minute in the store, which is written to at most once a minute
//! and session: a session that moves to another node, or meets a restart, may end up to a minute early, never late.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fastcms_guard::opaque::{Digest, OpaqueToken};
use fastcms_secrets::Secret;
use fastcms_store::accounts::sessions::{self as rows, SessionKind};

use super::Device;
use super::proof::{Presented, SignIn, prove_by_email};
use super::sessions::{Key, Live};
use super::sign_in::{End, charge_account, end};
use super::tokens::{begin_session, store_session};
use crate::app::App;
use crate::audit::Event;
use crate::caller::{Account, Caller, Principal, Realm};
use crate::error::{Error, Result};
use crate::time::stamp;

/// Length of what [`OpaqueToken`] makes: anything else is not looked up.
const VALUE_LENGTH: usize = 43;

/// Milliseconds between two writes of when a session was last used.
const STORE_EVERY_MILLIS: i64 = 60_000;

/// What a browser gets for signing in.
#[derive(Debug, Clone)]
pub struct CookieGrant {
    /// Whose it is.
    pub account_id: String,
    /// The value of the cookie, fresh at every sign-in.
    pub value: OpaqueToken,
    /// Absolute life, seconds.
    pub max_age_seconds: u32,
    /// The cookie by which the browser is known from now on.
    pub device: Secret<String>,
}

/// A session as its cookie is known on this node. Which session a cookie belongs to never changes, so this is never forgotten for
/// being out of date.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) session: String,
    /// Unix milliseconds of the last request here, and of what the store is known to say.
    used_at: AtomicI64,
    stored_at: AtomicI64,
}

impl Known {
    pub(super) fn new(session: String, last_seen_millis: i64) -> Self {
        Self { session, used_at: AtomicI64::new(last_seen_millis), stored_at: AtomicI64::new(last_seen_millis) }
    }

    /// Notes a request. True when it is this request's turn to tell the store: of many at once one is told so.
    fn note_use(&self, now: i64, last_seen: i64, every: i64) -> bool {
        self.used_at.fetch_max(now, Ordering::Relaxed);
        let stored = self.stored_at.fetch_max(last_seen, Ordering::Relaxed).max(last_seen);
        now - stored >= every
            && self.stored_at.compare_exchange(stored, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn is_idle(&self, now: i64, last_seen: i64, idle: i64) -> bool {
        now - self.used_at.load(Ordering::Relaxed).max(last_seen) >= idle
    }
}

impl App {
    /// How long a cookie session lives without a request, milliseconds.
    pub(crate) fn idle_millis(&self) -> i64 {
        i64::from(self.config.tokens.session_idle_minutes) * 60_000
    }

    /// Absolute life of a cookie session, seconds.
    fn cookie_seconds(&self) -> u32 {
        self.config.tokens.session_absolute_hours.saturating_mul(3600)
    }
}

/// Signs an account of `users` in for a browser. What the browser presented before as a session cookie is never adopted: a session
/// behind it ends.
pub async fn sign_in_with_cookie(
    caller: &Caller,
    app: &App,
    presented: Presented<'_>,
    before: Option<&str>,
    device: &Device,
) -> Result<SignIn<CookieGrant>> {
    let realm = Realm::Users;
    charge_account(caller, app, &realm, presented.name, device).await?;
    let Some(proven) = prove_by_email(caller, app, &realm, presented, device).await? else {
        return Ok(SignIn::SecondFactorWanted);
    };
    let value = OpaqueToken::generate(&*app.rng);
    let kind = SessionKind::Cookie { digest: *value.digest().as_bytes() };
    let max_age_seconds = app.cookie_seconds();
    let session = begin_session(app, &realm, &proven.credentials, device, kind, i64::from(max_age_seconds));
    let account_id = session.account_id.clone();
    let device = store_session(caller, app, session, proven, device).await?;
    sign_out_cookie(caller, app, before).await?;
    Ok(SignIn::Done(CookieGrant { account_id, value, max_age_seconds, device }))
}

/// Who presents this cookie.
///
/// # Errors
/// [`Error::InvalidToken`] for every way in which a cookie, its session or its account can be wrong; a store that cannot be asked is
/// another error.
pub async fn authenticate_cookie(app: &App, value: &str) -> Result<Caller> {
    account_of(app, value).await.map(|account| Principal::Account(account).into())
}

async fn account_of(app: &App, value: &str) -> Result<Arc<Account>> {
    if value.len() != VALUE_LENGTH {
        return Err(Error::InvalidToken);
    }
    let digest = *Digest::of(value).as_bytes();
    let now = app.now_millis();
    let idle = app.idle_millis();
    let alive = |(known, live): &(Arc<Known>, Live)| {
        live.last_seen_millis.is_some_and(|last_seen| !known.is_idle(now, last_seen, idle)) && live.is_before_end(now)
    };
    // What memory takes for idle, another node may have seen.
    let (known, live) = match app.sessions.by_cookie(&digest, now).filter(alive) {
        Some(found) => found,
        None => read(app, digest, now).await.map(|found| Some(found).filter(alive))?.ok_or(Error::InvalidToken)?,
    };
    let last_seen = live.last_seen_millis.unwrap_or(now);
    if known.note_use(now, last_seen, STORE_EVERY_MILLIS.min(idle / 4)) {
        store_use(app, known.session.clone(), now);
    }
    Ok(live.account)
}

async fn read(app: &App, digest: [u8; 32], now: i64) -> Result<(Arc<Known>, Live)> {
    let live = super::sessions::read(app, Key::Cookie(digest), now).await?;
    let last_seen = live.last_seen_millis.ok_or(Error::InvalidToken)?;
    let known = app.sessions.know_cookie(digest, || Known::new(live.account.session.clone(), last_seen));
    Ok((known, live))
}

/// Tells the store when a session was used, beside the request: no answer waits for it, and none fails with it.
fn store_use(app: &App, session: String, now: i64) {
    let store = app.store.clone();
    tokio::spawn(async move {
        let written = store
            .write(move |tx| Box::pin(async move { rows::touch(tx, &session, &stamp(now)).await.map_err(Error::from) }))
            .await;
        if let Err(error) = written {
            tracing::warn!(%error, "when a session was last used could not be stored");
        }
    });
}

/// Ends the session behind a cookie. Never fails for a bad one: signing out always works.
pub async fn sign_out_cookie(caller: &Caller, app: &App, value: Option<&str>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    match account_of(app, value).await {
        Ok(account) => {
            let which = End::One(account.session.clone());
            end(caller, app, &account.realm, &account.id, which, Event::SignedOut).await.map(drop)
        }
        Err(Error::InvalidToken) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn a_session_is_idle_from_the_last_use_that_anybody_saw() {
        let known = Known::new("s".to_owned(), 1_000);
        assert!(!known.is_idle(60_999, 1_000, 60_000));
        assert!(known.is_idle(61_000, 1_000, 60_000));
        assert!(!known.is_idle(61_000, 30_000, 60_000));
        known.note_use(50_000, 1_000, 60_000);
        assert!(!known.is_idle(109_999, 1_000, 60_000));
        assert!(known.is_idle(110_000, 1_000, 60_000));
    }

    #[test]
    fn the_store_is_told_once_a_minute() {
        let known = Known::new("s".to_owned(), 0);
        let told: Vec<i64> = (0..=180_000).step_by(1_000).filter(|now| known.note_use(*now, 0, 60_000)).collect();
        assert_eq!(told, [60_000, 120_000, 180_000]);
        // Another node has told it meanwhile.
        assert!(!known.note_use(250_000, 240_000, 60_000));
        assert!(known.note_use(300_000, 240_000, 60_000));
        // The clock went back: nothing is to be told.
        assert!(!known.note_use(200_000, 240_000, 60_000));
    }
}
