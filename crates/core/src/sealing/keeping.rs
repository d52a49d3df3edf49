//! The data keys of sealed values as this process holds them, kept up with the store.
//!
//! What a vault wrapped is unwrapped there once, by a task of its own: however long the vault takes, nobody waits for it, and which key is in
//! use is known in time. What was unwrapped is held until the process ends; a data key never changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastcms_guard::keys::KeyRing;
use fastcms_guard::sealed::DataKey;
use fastcms_store::data_keys::StoredKey;

use super::PURPOSE;
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::data_keys::{self, Unopened};
use crate::error::{Error, Result};

const KEY_MISSING: &str = "the data key that seals values cannot be opened";

/// The keys that seal and open.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// As they are stored.
    pub stored: Vec<StoredKey>,
    /// The one that seals; `None` where it cannot be opened, and only a server makes another.
    pub current: Option<(i64, DataKey)>,
    /// All that could be opened.
    pub all: Vec<(i64, DataKey)>,
}

/// What a vault unwrapped for us, and what it did not.
#[derive(Debug, Default)]
pub(super) struct Vault {
    held: Mutex<Vec<(i64, DataKey)>>,
    /// Why it did not, and whether that was told.
    refused: Mutex<BTreeMap<i64, (Unopened, bool)>>,
    /// Whoever asks it holds this.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Keys {
    pub(super) fn get(&self, id: i64) -> Option<&DataKey> {
        self.all.iter().find(|(known, _)| *known == id).map(|(_, key)| key)
    }

    /// Why nothing can be sealed. A vault is asked for its part again and again.
    pub(super) fn missing(&self) -> Error {
        let in_use = self.stored.iter().find(|key| !key.is_retired);
        if in_use.is_some_and(|key| data_keys::by_transit(&key.wrapped).is_some()) {
            Error::Unavailable(KEY_MISSING.to_owned())
        } else {
            Error::internal(KEY_MISSING)
        }
    }
}

impl Vault {
    pub(super) fn new(held: Vec<(i64, DataKey)>) -> Self {
        Self { held: Mutex::new(held), ..Self::default() }
    }

    /// Holds a key that need not be asked for.
    pub(super) fn hold(&self, id: i64, key: DataKey) {
        locked(&self.held).push((id, key));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the data keys anew where another process made or changed some.
pub(crate) async fn refresh(app: &App) -> Result<()> {
    let ring = app.keys.load_full();
    let vault = &app.sealing.0.vault;
    let known = locked(&vault.held).clone();
    let (fresh, unknown) = data_keys::recall(data_keys::reach(app, &ring), PURPOSE, &known).await?;
    let held = app.sealing.keys();
    if fresh.stored != held.stored || fresh.all.len() != held.all.len() {
        app.sealing.0.keys.store(Arc::new(fresh));
        crate::secrets::record(&Caller::background(), app).await?;
    }
    tell(app, vault);
    if !unknown.is_empty() {
        ask(app, ring, unknown);
    }
    Ok(())
}

/// Has a vault unwrap keys, unless it is being asked already; whoever waits for the keys is woken once one is there.
fn ask(app: &App, ring: Arc<KeyRing>, unknown: Vec<StoredKey>) {
    let (sealing, wrapping, changed) = (app.sealing.clone(), app.wrapping.clone(), Arc::clone(&app.keys_changed));
    let Ok(turn) = Arc::clone(&sealing.0.vault.asking).try_lock_owned() else { return };
    tokio::spawn(async move {
        let vault = &sealing.0.vault;
        for key in unknown {
            // Whoever had the turn before may have asked for it.
            if locked(&vault.held).iter().any(|(id, _)| *id == key.id) {
                continue;
            }
            match wrapping.open(&ring, &key).await {
                Ok(opened) => {
                    vault.hold(key.id, opened);
                    locked(&vault.refused).remove(&key.id);
                    changed.notify_one();
                }
                Err(why) => {
                    locked(&vault.refused).entry(key.id).or_insert((why, false));
                }
            }
        }
        drop(turn);
    });
}

/// Says of keys that a vault did not unwrap, once of each.
fn tell(app: &App, vault: &Vault) {
    for (id, (why, told)) in locked(&vault.refused).iter_mut().filter(|(_, (_, told))| !told) {
        *told = true;
        let message = "a data key cannot be unwrapped: what it seals reads as missing, and where it is the one in use nothing is sealed; \
                       trying on";
        tracing::error!(id, %why, "{message}");
        let event = Event::SecretUnsealFailed.on("data_key", id.to_string());
        audit::note(&Caller::background(), app, event.with("why", why.to_string()));
    }
}
