//! Whose key is this, and may it be used now? Answered from memory, as for sessions: a key is read from the store once, forgotten the
//! moment anything about it or its owner changes, and read anew after [`RECHECK_MILLIS`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fastcms_guard::api_key::{Prefix, Presented};
use fastcms_guard::opaque::Digest;
use fastcms_store::accounts::{self, AccountTable, Credentials};
use fastcms_store::api_keys::{self as rows, Found};
use fastcms_store::{Change, ChangeKind, Plan};
use ipnet::IpNet;

use super::Scopes;
use crate::access::Permissions;
use crate::accounts::{must_enrol, roles_of};
use crate::app::App;
use crate::caller::{Account, ApiKey, Caller, Principal, Realm};
use crate::error::{Error, Result};
use crate::memory::{Memory, RECHECK_MILLIS};
use crate::time::{millis, stamp};

/// Texts remembered at once; past that the least used are forgotten, which costs a read and nothing else.
const REMEMBERED: usize = 10_000;

/// Milliseconds between two writes of when a key was last used.
const STORE_EVERY_MILLIS: i64 = 60_000;

/// A text of a live key, as it stood when it was read.
#[derive(Debug)]
struct Known {
    key: Arc<ApiKey>,
    digest: Digest,
    /// When the text ends, or the key, whichever is first; unix milliseconds.
    ends_at: Option<i64>,
    networks: Vec<IpNet>,
    read_at: i64,
    /// Unix milliseconds of the last use that the store was told of.
    told_at: AtomicI64,
}

impl Known {
    fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether it is this request's turn to tell the store of a use: of many at once one is told so.
    fn is_turn(&self, now: i64) -> bool {
        let told = self.told_at.load(Ordering::Relaxed);
        now - told >= STORE_EVERY_MILLIS
            && self.told_at.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Keys known to be good, by the public names of their texts.
#[derive(Debug)]
pub struct ApiKeys(Memory<Prefix, Arc<Known>>);

impl Default for ApiKeys {
    fn default() -> Self {
        Self(Memory::new(REMEMBERED))
    }
}

impl ApiKeys {
    /// Takes note of a committed change, on this node or another.
    pub fn apply(&self, change: &Change) {
        match change.kind {
            ChangeKind::ApiKey => self.0.forget(|known| known.key.id == change.id),
            ChangeKind::Account => self.0.forget(|known| known.key.owner.id == change.id),
            ChangeKind::Everything => self.0.forget(|_| true),
            _ => {}
        }
    }
}

/// Who presents this key, from this address.
///
/// # Errors
/// [`Error::InvalidToken`] for every way in which a key or its owner can be wrong, [`Error::IpBlocked`] for a good key from an address
/// outside its networks.
pub async fn authenticate(app: &App, text: &str, address: IpAddr) -> Result<Caller> {
    let presented = Presented::parse(text).ok_or(Error::InvalidToken)?;
    let now = app.now_millis();
    let remembered = app.api_keys.0.get(&presented.prefix);
    let known = match remembered.filter(|known| now - known.read_at < RECHECK_MILLIS) {
        Some(known) => known,
        None => read(app, presented.prefix, now).await?,
    };
    if known.digest != presented.digest || known.ends_at.is_some_and(|end| now >= end) {
        return Err(Error::InvalidToken);
    }
    if !known.admits(address) {
        return Err(Error::IpBlocked);
    }
    if known.is_turn(now) {
        store_use(app, known.key.id.clone(), now, address);
    }
    Ok(Principal::ApiKey(Arc::clone(&known.key)).into())
}

async fn read(app: &App, prefix: Prefix, now: i64) -> Result<Arc<Known>> {
    let began = app.api_keys.0.moment();
    let require_mfa = app.config.passwords.require_mfa;
    let found = app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move {
                let Some(found) = rows::by_prefix(reader, prefix.as_str()).await? else { return Ok(None) };
                let owner = accounts::by_id(reader, &AccountTable::Users, &found.key.user_id).await?;
                let Some(owner) = owner else { return Ok(None) };
                let must_enrol = must_enrol(reader, require_mfa, "users", &owner).await?;
                let roles = roles_of(reader, "users", &owner).await?;
                Ok::<_, Error>(Some((found, owner, must_enrol, roles)))
            })
        })
        .await?;
    let live = found.filter(|(found, owner, ..)| found.key.active && !owner.disabled);
    let Some((found, owner, must_enrol, roles)) = live else {
        app.api_keys.0.drop_one(&prefix);
        return Err(Error::InvalidToken);
    };
    let known = Arc::new(known(app, found, account(owner, must_enrol, roles), now)?);
    app.api_keys.0.remember(prefix, Arc::clone(&known), began);
    Ok(known)
}

/// The owner as the caller; the session is the key's, once that is known.
fn account(owner: Credentials, must_enrol: bool, roles: Permissions) -> Account {
    Account {
        id: owner.id,
        realm: Realm::Users,
        session: String::new(),
        email: owner.email,
        role: owner.role,
        verified: owner.verified,
        authenticated_at: 0,
        must_change_password: owner.must_change_password,
        must_enrol,
        roles,
    }
}

fn known(app: &App, found: Found, owner: Account, now: i64) -> Result<Known> {
    let Found { key, digest, ends_at } = found;
    let ends_at = [key.expires_at, ends_at].into_iter().flatten().min();
    let networks = key.allowed_cidrs.iter().map(|text| text.parse::<IpNet>()).collect::<Result<_, _>>();
    let owner = Account { session: key.id.clone(), ..owner };
    let usual = app.config.rate_limits.per_minute;
    let rate_limit_per_minute =
        key.rate_limit_per_minute.map(|limit| if owner.is_admin() { limit } else { limit.min(usual) });
    Ok(Known {
        key: Arc::new(ApiKey {
            id: key.id,
            owner: Arc::new(owner),
            scopes: Scopes::parse(&key.scopes).map_err(Error::internal)?,
            rate_limit_per_minute,
        }),
        digest: Digest::from_bytes(digest),
        ends_at,
        networks: networks.map_err(Error::internal)?,
        read_at: now,
        told_at: AtomicI64::new(key.last_used_at.as_deref().and_then(millis).unwrap_or(i64::MIN / 2)),
    })
}

/// Tells the store when a key was used, and from where, beside the request: no answer waits for it, and none fails with it.
fn store_use(app: &App, id: String, now: i64, address: IpAddr) {
    let (store, address) = (app.store.clone(), address.to_canonical().to_string());
    tokio::spawn(async move {
        let written = store
            .write(move |tx| {
                Box::pin(async move { rows::touch(tx, &id, &stamp(now), &address).await.map_err(Error::from) })
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(%error, "when an API key was last used could not be stored");
        }
    });
}
