//! The keys that sign tokens, as an installation lives with them: which are in force, since when, who still depends on each, and how one
//! takes the place of another without anybody noticing.
//!
//! The ring in [`App::keys`] is replaced whole and read without a lock: a request works with the one it found. What is remembered of a
//! key (when it was first a previous one, whether it was revoked) lies in the store, the same for every node, under the key's id.
//!
//! What a token says and how it is checked is `fastcms_guard::token`; where a secret comes from is configuration.

use std::collections::HashMap;
use std::sync::Arc;

use fastcms_guard::clock::Timestamp;
use fastcms_guard::keys::{KeyRing, PreviousKey, Role, SecretKey, Standing, WeakKey};
use fastcms_guard::token::{self, Claims, Kind};
use fastcms_store::signing_keys::{self as rows, Held, SigningKey};
use fastcms_store::{Plan, Store};

use crate::access::{self, Permission};
use crate::app::{App, Process};
use crate::caller::Caller;
use crate::config::Keys;
use crate::error::{Error, Result};

mod ledger;
pub(crate) mod private_file;
mod rotation;
mod settings_file;
mod status;
mod watch;
mod wrappers;

pub(crate) use rotation::rotate_in_settings;
pub use rotation::{Emergency, revoke_everything, rotate, stage};
pub(crate) use status::dependents_of_all;
pub use status::{KeyStatus, Outstanding, SIGNING_WINDOW_SECONDS, status};
pub use watch::Watch;
pub use wrappers::{Wrapped, Wrapper, WrapperKind, wrappers};

/// The secrets of a ring.
#[derive(Debug, Clone)]
pub struct Material {
    /// Signs and verifies.
    pub current: SecretKey,
    /// Verify what they signed before they were retired.
    pub previous: Vec<SecretKey>,
    /// Verify what other nodes sign already.
    pub next: Vec<SecretKey>,
}

impl Material {
    /// A ring of one key.
    pub const fn only(current: SecretKey) -> Self {
        Self { current, previous: Vec::new(), next: Vec::new() }
    }

    /// What the settings say; `None` where they name no secret.
    ///
    /// # Errors
    /// A text that cannot be a key.
    pub fn configured(keys: &Keys) -> Result<Option<Self>, WeakKey> {
        let parse = |text: &fastcms_secrets::Secret<String>| SecretKey::parse(text.clone());
        let Some(current) = &keys.secret_key else { return Ok(None) };
        Ok(Some(Self {
            current: parse(current)?,
            previous: keys.secret_key_previous.iter().map(parse).collect::<Result<_, _>>()?,
            next: keys.secret_key_next.iter().map(parse).collect::<Result<_, _>>()?,
        }))
    }

    /// The ring without what is remembered of its keys.
    fn ring(&self) -> KeyRing {
        let previous = self.previous.iter().cloned().map(|key| PreviousKey { key, seen_previous_at: None });
        KeyRing::new(&self.current, previous, self.next.iter().cloned())
    }
}

/// Makes the ring of `material` with what is remembered of its keys. A server writes down that it holds them, which gives previous keys
/// their cut-off, and says in the log how many live sessions were signed by a key that is in the ring no more.
pub(crate) async fn ring(store: &Store, material: &Material, now: i64, process: Process) -> Result<KeyRing> {
    let ring = material.ring();
    if process == Process::Command {
        return Ok(with_memory(&ring, &remembered(store).await?));
    }
    let held: Vec<(String, Held)> = ring.keys().map(|key| (key.kid().to_string(), held_as(key.role()))).collect();
    let known = store
        .write(move |tx| {
            Box::pin(async move {
                for (kid, held) in held {
                    rows::note(tx, &kid, held, now).await?;
                }
                Ok::<_, Error>(rows::all_in(tx).await?)
            })
        })
        .await?;
    let kids: Vec<String> = ring.keys().map(|key| key.kid().to_string()).collect();
    // Whatever was signed was signed by a key that is remembered.
    let are_all_here = known.iter().all(|key| kids.contains(&key.kid));
    let lost = if are_all_here {
        0
    } else {
        store
            .read(Plan::Scan, move |reader| Box::pin(async move { rows::signed_by_others(reader, &kids, now).await }))
            .await?
    };
    if lost > 0 {
        tracing::warn!(
            sessions = lost,
            "live sessions were signed by a key that is no longer configured: they must sign in again"
        );
    }
    Ok(with_memory(&ring, &known))
}

const fn held_as(role: Role) -> Held {
    match role {
        Role::Current => Held::Current,
        Role::Previous => Held::Previous,
        Role::Next => Held::Next,
    }
}

/// The ids of keys that were revoked.
pub(crate) async fn revoked(store: &Store) -> Result<Vec<String>> {
    let known = remembered(store).await?;
    Ok(known.into_iter().filter(|key| key.revoked_at.is_some()).map(|key| key.kid).collect())
}

async fn remembered(store: &Store) -> Result<Vec<SigningKey>> {
    Ok(store.read(Plan::Bounded, |reader| Box::pin(async move { rows::all(reader).await })).await?)
}

fn with_memory(ring: &KeyRing, known: &[SigningKey]) -> KeyRing {
    let standings: HashMap<&str, Standing> = known.iter().map(|key| (key.kid.as_str(), standing(key))).collect();
    ring.with_standings(|kid| standings.get(kid.as_str()).copied().unwrap_or_default())
}

fn standing(key: &SigningKey) -> Standing {
    Standing {
        seen_previous_at: key.previous_since.map(Timestamp::from_seconds),
        revoked_at: key.revoked_at.map(Timestamp::from_seconds),
    }
}

impl App {
    /// Puts other keys in force, at once and for every request that begins from now on. No request is lost by it: one that is under way
    /// goes on with the ring it found. To rotate, name the key in force among the previous ones; where other nodes share the database,
    /// let every node know the new key as a next one first.
    ///
    /// # Errors
    /// Those of the store; the ring in force stays then.
    pub async fn replace_keys(&self, material: Material) -> Result<()> {
        let mut in_force = self.key_material.lock().await;
        let ring = ring(&self.store, &material, self.now_seconds(), self.process).await?;
        let before = self.keys.load_full();
        self.keys.store(Arc::new(ring.sharing_usage(&before)));
        *in_force = material;
        crate::data_keys::follow_ring(self, &before).await?;
        crate::sealing::refresh(self).await
    }
}

/// Signs a token with the current key of `ring`, once it is written down that such a token may live this long.
pub(crate) async fn issue<K: Kind>(app: &App, ring: &KeyRing, claims: &Claims<K>) -> Result<String> {
    ledger::record(app, ring.current(), K::PURPOSE, claims.exp).await?;
    Ok(token::sign(ring, claims))
}

/// How long to wait before reading again what could not be read.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Has the ring corrected whenever another node, or a command, changed what is remembered of the keys.
pub(crate) fn follow_changes(app: &Arc<App>) {
    let (weak, changed) = (Arc::downgrade(app), Arc::clone(&app.keys_changed));
    tokio::spawn(async move {
        loop {
            changed.notified().await;
            let Some(app) = weak.upgrade() else { return };
            if let Err(error) = recheck(&Caller::background(), &app).await {
                tracing::error!(%error, "what is remembered of the keys could not be read again after a change; trying on");
                // A key that was revoked is not to be good here until the next change.
                tokio::time::sleep(AGAIN).await;
                changed.notify_one();
            }
        }
    });
}

/// Wraps every data key anew that is not wrapped by what wraps now, a key of a vault in its newest version; says how many that were.
///
/// # Errors
/// [`Error::Unavailable`] where a key of a vault does not do its part; nothing has changed then.
pub async fn rewrap(caller: &Caller, app: &App) -> Result<usize> {
    access::require(caller, Permission::KeysRotate)?;
    crate::data_keys::rewrap_all(caller, app).await
}

/// Reads anew what is remembered of the keys: revocations by another process count from then on.
pub async fn recheck(_operator: &Caller, app: &App) -> Result<()> {
    // The lock keeps a ring that is being replaced from coming back.
    let in_force = app.key_material.lock().await;
    let known = remembered(&app.store).await?;
    let ring = app.keys.load_full();
    let fresh = with_memory(&ring, &known);
    if ring.keys().zip(fresh.keys()).any(|(old, new)| old.standing() != new.standing()) {
        app.keys.store(Arc::new(fresh));
    }
    drop(in_force);
    crate::sealing::refresh(app).await
}

/// Writes down that this node still signs with its current key, and when tokens of each key were last verified. To be called more often
/// than every [`SIGNING_WINDOW_SECONDS`] while the server runs.
pub async fn report_use(_operator: &Caller, app: &App) -> Result<()> {
    let ring = app.keys.load_full();
    let now = app.now_seconds();
    let used: Vec<(String, Option<i64>, Option<i64>)> = ring
        .keys()
        .map(|key| {
            let current_at = (key.role() == Role::Current).then_some(now);
            (key.kid().to_string(), current_at, key.usage().last_verified())
        })
        .collect();
    app.store
        .write(move |tx| {
            Box::pin(async move {
                for (kid, current_at, verified_at) in used {
                    rows::renew(tx, &kid, current_at, verified_at).await?;
                }
                Ok(())
            })
        })
        .await
}
