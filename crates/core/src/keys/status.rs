//! What still depends on each key of the ring, and whether it may go.

use std::collections::{BTreeMap, HashMap};

use fastcms_guard::keys::{Purpose, RingKey, Role};
use fastcms_guard::token::LEEWAY_SECONDS;
use fastcms_store::data_keys::StoredKey;
use fastcms_store::signing_keys::{self as rows, End, Families, SigningKey};
use fastcms_store::{Plan, Reader};

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::data_keys;
use crate::error::{Error, Result};
use crate::time::stamp;

/// For how long after its last word a node counts as still signing with a key, in seconds.
pub const SIGNING_WINDOW_SECONDS: i64 = 90;

/// The latest end of a token, by kind (unix seconds); `None` where none can be alive. Late by a minute at most, never early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outstanding {
    pub access: Option<i64>,
    pub refresh: Option<i64>,
    pub file: Option<i64>,
    pub impersonation: Option<i64>,
}

/// What depends on one key. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    pub kid: String,
    pub role: Role,
    /// When a server first held it; `None` if none has yet.
    pub first_seen: Option<i64>,
    pub last_verified: Option<i64>,
    pub outstanding: Outstanding,
    /// Sessions whose refresh token it signed.
    pub live_families: i64,
    /// Data keys it wraps.
    pub wrapped: i64,
    /// Values sealed under those.
    pub sealed: i64,
    /// Why it must not go yet, as sentences for people. Empty: it may.
    pub dependents: Vec<String>,
}

impl KeyStatus {
    /// Whether nothing is lost when the key leaves the configuration.
    pub fn is_safe_to_remove(&self) -> bool {
        self.dependents.is_empty()
    }
}

/// Every key of the ring, the current one first.
pub async fn status(caller: &Caller, app: &App) -> Result<Vec<KeyStatus>> {
    access::require(caller, Permission::KeysRead)?;
    dependents_of_all(app).await
}

/// The same for whoever was let in otherwise.
pub(crate) async fn dependents_of_all(app: &App) -> Result<Vec<KeyStatus>> {
    let now = app.now_seconds();
    let superseded_since = now - i64::from(app.config.tokens.refresh_grace_seconds);
    let found = app
        .store
        .read(Plan::Scan, move |reader| Box::pin(async move { Found::read(reader, now, superseded_since).await }))
        .await?;
    let sealed = crate::sealing::in_use(&app.store, &app.schema.load()).await?;
    let ring = app.keys.load_full();
    Ok(ring.keys().map(|key| found.of(key, now, found.sealed_by(key, &sealed))).collect())
}

/// What the store says of all keys.
struct Found {
    keys: HashMap<String, SigningKey>,
    ends: Vec<End>,
    families: HashMap<String, Families>,
    data_keys: Vec<StoredKey>,
    wrapped: HashMap<String, i64>,
}

impl Found {
    async fn read(reader: &mut Reader<'_>, now: i64, superseded_since: i64) -> Result<Self, Error> {
        let data_keys = fastcms_store::data_keys::all(reader).await?;
        Ok(Self {
            keys: rows::all(reader).await?.into_iter().map(|key| (key.kid.clone(), key)).collect(),
            ends: rows::ends(reader).await?,
            families: rows::families(reader, now, superseded_since)
                .await?
                .into_iter()
                .map(|families| (families.kid.clone(), families))
                .collect(),
            wrapped: data_keys::wrapped_by_key(&data_keys),
            data_keys,
        })
    }

    /// How many values depend on a key by way of the data keys that it wraps.
    fn sealed_by(&self, key: &RingKey, sealed: &BTreeMap<i64, i64>) -> i64 {
        let its = self.data_keys.iter().filter(|stored| data_keys::wraps(key, &stored.wrapped));
        its.filter_map(|key| sealed.get(&key.id)).sum()
    }

    fn of(&self, key: &RingKey, now: i64, sealed: i64) -> KeyStatus {
        let kid = key.kid().to_string();
        let seen = self.keys.get(&kid);
        // Nothing that a revoked key signed is accepted once it is a previous one.
        let is_dead = key.role() == Role::Previous && key.standing().revoked_at.is_some();
        let families = self.families.get(&kid).filter(|_| !is_dead);
        let alive = |purpose: Purpose| self.end(&kid, purpose.as_str(), now).filter(|_| !is_dead);
        let flows = alive(Purpose::OAuthState);
        let mut status = KeyStatus {
            kid: kid.clone(),
            role: key.role(),
            first_seen: seen.map(|seen| seen.first_seen),
            last_verified: seen.and_then(|seen| seen.last_verified).max(key.usage().last_verified()),
            outstanding: Outstanding {
                access: alive(Purpose::Access),
                refresh: families.map(|families| families.latest_exp),
                file: alive(Purpose::File),
                impersonation: alive(Purpose::Impersonation),
            },
            live_families: families.map_or(0, |families| families.live),
            wrapped: self.wrapped.get(&kid).copied().unwrap_or_default(),
            sealed,
            dependents: Vec::new(),
        };
        let signs = seen.and_then(|seen| seen.last_current).is_some_and(|at| now - at < SIGNING_WINDOW_SECONDS);
        status.dependents = dependents(&status, signs && !is_dead, flows);
        status
    }

    /// The latest end of a token that may still be accepted.
    fn end(&self, kid: &str, purpose: &str, now: i64) -> Option<i64> {
        let end = self.ends.iter().find(|end| end.kid == kid && end.purpose == purpose)?;
        Some(end.latest_exp).filter(|latest| latest + LEEWAY_SECONDS > now)
    }
}

fn dependents(status: &KeyStatus, signs: bool, flows: Option<i64>) -> Vec<String> {
    let mut all = Vec::new();
    if status.role == Role::Current {
        all.push("it signs every new token".to_owned());
    } else if signs {
        all.push("a node signed with it a moment ago".to_owned());
    }
    if status.live_families > 0 {
        let (s, those) = if status.live_families == 1 { ("", "has its") } else { ("s", "have their") };
        all.push(format!("{} live session{s} {those} refresh token from it", status.live_families));
    }
    let outstanding = &status.outstanding;
    for (what, end) in [
        ("access tokens", outstanding.access),
        ("file tokens", outstanding.file),
        ("impersonation tokens", outstanding.impersonation),
        ("OAuth sign-ins under way", flows),
    ] {
        if let Some(end) = end {
            all.push(format!("{what} may live until {}", stamp((end + LEEWAY_SECONDS) * 1000)));
        }
    }
    if status.wrapped > 0 {
        let s = if status.wrapped == 1 { "" } else { "s" };
        let values = if status.sealed == 1 { "value is" } else { "values are" };
        all.push(format!("it wraps {} data key{s}, under which {} {values} sealed", status.wrapped, status.sealed));
    }
    all
}
