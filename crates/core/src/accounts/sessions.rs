//! Is the session of this token, or of this cookie, still alive, and whose is it? Answered from memory: a session is read from the store once, and forgotten
//! the moment anything about it or its account changes.
//!
//! The change feed empties entries before the change is answered on this node. Where another process wrote (a second node whose
//! message was lost, the command line on the same file), an entry is read anew once it is [`RECHECK_MILLIS`] old: that is the bound
//! of contract 2.4.

use std::sync::{Arc, Mutex, PoisonError};

use fastcms_store::accounts::sessions::SessionKind;
use fastcms_store::accounts::{self as rows, AccountTable, Credentials};
use fastcms_store::{Change, ChangeKind, Plan, Reader};
use quick_cache::sync::Cache;

use super::cookie_sessions::Known;
use crate::access::Permissions;
use crate::app::App;
use crate::caller::{Account, Realm};
use crate::config::RequireMfa;
use crate::error::{Error, Result};

/// How old a remembered session may be before it is read anew, in milliseconds.
const RECHECK_MILLIS: i64 = 4_000;

/// Sessions remembered at once; past that the least used are forgotten, which costs a read and nothing else.
const REMEMBERED: usize = 50_000;

/// A live session as it stood when it was read.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) account: Arc<Account>,
    /// Absolute end, unix seconds.
    expires_at: i64,
    /// When the store last heard of a session that has a cookie, unix milliseconds; `None`: it has tokens.
    pub(super) last_seen_millis: Option<i64>,
    read_at_millis: i64,
}

impl Live {
    fn is_fresh(&self, now_millis: i64) -> bool {
        now_millis - self.read_at_millis < RECHECK_MILLIS
    }

    pub(super) fn is_before_end(&self, now_millis: i64) -> bool {
        now_millis / 1000 < self.expires_at
    }
}

/// What a session is asked for by.
pub(super) enum Key {
    Id(String),
    /// SHA-256 of a cookie's value.
    Cookie([u8; 32]),
}

/// Sessions known to be alive.
#[derive(Debug)]
pub struct Sessions {
    live: Cache<String, Live>,
    cookies: Cache<[u8; 32], Arc<Known>>,
    /// Counts what was forgotten. A read that began before something was forgotten may not be remembered: it could bring back the
    /// state from before the change.
    forgotten: Mutex<u64>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { live: Cache::new(REMEMBERED), cookies: Cache::new(REMEMBERED), forgotten: Mutex::new(0) }
    }
}

impl Sessions {
    /// Takes note of a committed change, on this node or another.
    pub fn apply(&self, change: &Change) {
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        *forgotten += 1;
        match change.kind {
            ChangeKind::Session => drop(self.live.remove(change.id.as_str())),
            ChangeKind::Account => self.live.retain(|_, session| session.account.id != change.id),
            ChangeKind::Everything | ChangeKind::Collections => self.live.clear(),
            _ => {}
        }
    }

    /// The session of a cookie, if memory may still speak for it.
    pub(super) fn by_cookie(&self, digest: &[u8; 32], now_millis: i64) -> Option<(Arc<Known>, Live)> {
        let known = self.cookies.get(digest)?;
        let live = self.live.get(known.session.as_str()).filter(|live| live.is_fresh(now_millis))?;
        Some((known, live))
    }

    /// What is known of a cookie; `learn` where it is new here.
    pub(super) fn know_cookie(&self, digest: [u8; 32], learn: impl FnOnce() -> Known) -> Arc<Known> {
        let learnt: Result<_, std::convert::Infallible> =
            self.cookies.get_or_insert_with(&digest, || Ok(Arc::new(learn())));
        learnt.unwrap_or_else(|never| match never {})
    }

    fn generation(&self) -> u64 {
        *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: &str, session: Live, generation: u64) {
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        if *forgotten == generation {
            self.live.insert(id.to_owned(), session);
        }
    }
}

/// The account behind session `id` of `realm`, if both are alive. A session that has a cookie is nobody's by its id: no token was
/// ever made for it.
pub(crate) async fn account_of(app: &App, id: &str, realm: &Realm) -> Result<Arc<Account>> {
    let now_millis = app.now_millis();
    let live = match app.sessions.live.get(id) {
        Some(live) if live.is_fresh(now_millis) => live,
        _ => read(app, Key::Id(id.to_owned()), now_millis).await?,
    };
    if live.last_seen_millis.is_none() && live.account.realm == *realm && live.is_before_end(now_millis) {
        Ok(live.account)
    } else {
        Err(Error::InvalidToken)
    }
}

/// The account behind session `id` of `realm`, whatever that session is presented by: for what was made inside of it.
pub(super) async fn account_behind(app: &App, id: &str, realm: &Realm) -> Result<Arc<Account>> {
    let now_millis = app.now_millis();
    let live = match app.sessions.live.get(id) {
        Some(live) if live.is_fresh(now_millis) => live,
        _ => read(app, Key::Id(id.to_owned()), now_millis).await?,
    };
    let stands = live.account.realm == *realm && live.is_before_end(now_millis);
    if stands { Ok(live.account) } else { Err(Error::InvalidToken) }
}

pub(super) async fn read(app: &App, key: Key, now_millis: i64) -> Result<Live> {
    let generation = app.sessions.generation();
    let schema = app.schema.load_full();
    let require_mfa = app.config.passwords.require_mfa;
    let found = app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move {
                let session = match &key {
                    Key::Id(id) => rows::sessions::by_id(reader, id).await?,
                    Key::Cookie(digest) => rows::sessions::by_cookie(reader, digest).await?,
                };
                let Some(session) = session else { return Ok(None) };
                let Some(table) = table_of(&schema, &session.realm) else { return Ok(None) };
                let credentials = rows::by_id(reader, &table, &session.account_id).await?;
                let Some(credentials) = credentials else { return Ok(None) };
                let must_enrol = must_enrol(reader, require_mfa, &session.realm, &credentials).await?;
                let roles = roles_of(reader, &session.realm, &credentials).await?;
                Ok::<_, Error>(Some((session, credentials, must_enrol, roles)))
            })
        })
        .await?;
    let Some((session, credentials, must_enrol, roles)) = found else { return Err(Error::InvalidToken) };
    if !session.is_live(now_millis / 1000) || credentials.disabled {
        app.sessions.live.remove(session.id.as_str());
        return Err(Error::InvalidToken);
    }
    let last_seen_millis = match session.kind {
        SessionKind::Tokens { .. } => None,
        SessionKind::Cookie { .. } => Some(crate::time::millis(&session.last_seen).ok_or(Error::InvalidToken)?),
    };
    let live = Live {
        account: Arc::new(Account {
            id: credentials.id,
            realm: realm_of(&session.realm),
            session: session.id,
            email: credentials.email,
            role: credentials.role,
            verified: credentials.verified,
            authenticated_at: session.authenticated_at,
            must_change_password: credentials.must_change_password,
            must_enrol,
            roles,
        }),
        expires_at: session.expires_at,
        last_seen_millis,
        read_at_millis: now_millis,
    };
    app.sessions.remember(&live.account.session, live.clone(), generation);
    Ok(live)
}

/// What the roles of an account give it. An admin needs none, and only `users` can have any.
pub(crate) async fn roles_of(reader: &mut Reader<'_>, realm: &str, account: &Credentials) -> Result<Permissions> {
    if realm != "users" || account.role.as_deref() == Some("admin") {
        return Ok(Permissions::NONE);
    }
    crate::roles::held(reader, &account.id).await
}

/// Whether `REQUIRE_MFA` asks this account for a second factor that it does not have. Only `users` can enrol one.
pub(crate) async fn must_enrol(
    reader: &mut Reader<'_>,
    required: Option<RequireMfa>,
    realm: &str,
    account: &Credentials,
) -> Result<bool> {
    let is_asked = match required {
        None => false,
        Some(RequireMfa::Admin) => account.role.as_deref() == Some("admin"),
        Some(RequireMfa::All) => true,
    };
    if !is_asked || realm != "users" {
        return Ok(false);
    }
    Ok(!rows::second_factors::is_enabled(reader, realm, &account.id).await?)
}

/// How a realm is written in the sessions table.
pub(crate) fn realm_text(realm: &Realm) -> &str {
    match realm {
        Realm::Users => "users",
        Realm::Collection(id) => id,
    }
}

fn realm_of(text: &str) -> Realm {
    if text == "users" { Realm::Users } else { Realm::Collection(text.into()) }
}

/// The table of a realm, if it (still) exists and holds accounts.
pub(crate) fn table_of(schema: &fastcms_store::schema::Schema, realm: &str) -> Option<AccountTable> {
    if realm == "users" {
        return Some(AccountTable::Users);
    }
    schema
        .by_id(realm)
        .filter(|collection| collection.is_auth())
        .map(|collection| AccountTable::Collection(collection.table().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CVE-2025-2559: what is remembered of credentials is bounded by a number of ours, not by what callers send.
    #[test]
    fn what_is_remembered_is_bounded() {
        let sessions = Sessions::default();
        for n in 0..2 * REMEMBERED {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            sessions.know_cookie(digest, || Known::new(n.to_string(), 0));
        }
        assert!(sessions.cookies.len() <= REMEMBERED, "{}", sessions.cookies.len());
        assert_eq!(sessions.live.capacity(), sessions.cookies.capacity());
    }
}
