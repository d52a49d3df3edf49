//! Random keys of the product's own, kept in the store wrapped by the ring: of `ENCRYPTION_KEY` where it is set, else of `SECRET_KEY`,
//! else of a random key in a file of the data folder. A rotation re-wraps them; what they protect stays as it is.
//!
//! What a data key is for is named by its purpose. At most one of a purpose is in use; retired ones still open what they sealed.

use std::path::{Path, PathBuf};

use fastcms_guard::ids::Rng;
use fastcms_guard::keys::{KeyRing, Kid, PreviousKey, RingKey, Role, SecretKey, WeakKey};
use fastcms_guard::sealed::{DataKey, OpenError, wrapped_by};
use fastcms_secrets::Secret;
use fastcms_store::data_keys::{self as rows, StoredKey};
use fastcms_store::{LockName, Plan, Store};

use crate::app::App;
use crate::config::Keys;
use crate::error::{Error, Result};
use crate::time::stamp;

/// Name of the file in the data folder that holds the wrapping key while no `SECRET_KEY` is set.
pub(crate) const WRAPPING_FILE: &str = "wrapping-key";

/// What data keys are wrapped by.
#[derive(Debug, Clone)]
pub(crate) struct Wrapping {
    /// `ENCRYPTION_KEY` and the ones before it.
    encryption: Option<KeyRing>,
    /// The key of the data folder, where there is one.
    file: Option<KeyRing>,
    /// Whether the file's key wraps: there is no other.
    by_file: bool,
}

impl Wrapping {
    /// What the settings and the data folder say.
    pub(crate) fn new(keys: &Keys, file: Option<&SecretKey>) -> Result<Self, WeakKey> {
        let parse = |text: &Secret<String>| SecretKey::parse(text.clone());
        let encryption = keys.encryption_key.as_ref().map(parse).transpose()?;
        let retired = keys.encryption_key_previous.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let retired = retired.into_iter().map(|key| PreviousKey { key, seen_previous_at: None });
        Ok(Self {
            by_file: encryption.is_none() && keys.secret_key.is_none() && file.is_some(),
            encryption: encryption.map(|key| KeyRing::new(&key, retired, [])),
            file: file.map(KeyRing::single),
        })
    }

    /// The key that wraps from now on.
    fn current<'k>(&'k self, signing: &'k KeyRing) -> &'k RingKey {
        let file = self.file.as_ref().filter(|_| self.by_file);
        self.encryption.as_ref().or(file).unwrap_or(signing).current()
    }

    fn find<'k>(&'k self, signing: &'k KeyRing, kid: &Kid) -> Option<&'k RingKey> {
        let rings = [self.encryption.as_ref(), Some(signing), self.file.as_ref()];
        rings.into_iter().flatten().find_map(|ring| ring.get(kid))
    }
}

/// The data keys of one purpose, opened.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// The one in use.
    pub current: (i64, DataKey),
    /// All that could be opened, the one in use among them.
    pub all: Vec<(i64, DataKey)>,
    /// The one in use was made now, although there had been another: that one could not be opened.
    pub replaced: Option<i64>,
    /// The one in use cannot be opened, and this process has no business to make another: what it has as current is nothing that is
    /// stored.
    pub is_foreign: bool,
}

/// The name that a data key is bound to.
fn name(purpose: &str) -> String {
    format!("data_keys|{purpose}|wrapped")
}

/// Opens the keys of a purpose that can be made anew where none can be opened; re-wraps those that another key wraps.
pub(crate) async fn open(
    store: &Store,
    rng: &dyn Rng,
    now_millis: i64,
    wrapping: &Wrapping,
    signing: &KeyRing,
    purpose: &'static str,
) -> Result<Opened> {
    let stored: Vec<StoredKey> =
        store.read(Plan::Bounded, move |reader| Box::pin(rows::of_purpose(reader, purpose))).await?;
    let opened = opened(&stored, wrapping, signing);
    if let Some(current) = in_use(&stored, &opened) {
        rewrap(store, rng, wrapping, signing, &stored, &opened).await?;
        return Ok(Opened { current, all: opened, replaced: None, is_foreign: false });
    }
    let fresh = DataKey::generate(rng);
    let (wrapped, now) = (fresh.wrap(rng, wrapping.current(signing), &name(purpose)), stamp(now_millis));
    let seen = stored.iter().map(|key| key.id).max();
    let made = store
        .write(move |tx| {
            Box::pin(async move {
                tx.lock(LockName::of("data_keys", purpose)).await?;
                if rows::of_purpose_in(tx, purpose).await?.iter().map(|key| key.id).max() != seen {
                    // Another node was first; its key is ours too.
                    return Ok(None);
                }
                rows::retire(tx, purpose, &now).await?;
                Ok::<_, Error>(Some(rows::insert(tx, purpose, &wrapped, &now).await?))
            })
        })
        .await?;
    let Some(id) = made else {
        return Box::pin(open(store, rng, now_millis, wrapping, signing, purpose)).await;
    };
    let mut all = opened;
    all.push((id, fresh.clone()));
    let replaced = stored.iter().find(|key| !key.is_retired).map(|key| key.id);
    if let Some(lost) = replaced {
        tracing::warn!(
            purpose,
            lost,
            made = id,
            "a data key cannot be opened with any key configured: a new one was made"
        );
    }
    Ok(Opened { current: (id, fresh), all, replaced, is_foreign: false })
}

/// Opens what can be opened of a purpose, for a process that only looks: where there are keys, but the one in use does not open, none is
/// made. Whoever runs a command with other keys than the server's would take the server's from it. `None`: it opens, or nothing is stored
/// yet.
pub(crate) async fn foreign(
    store: &Store,
    rng: &dyn Rng,
    wrapping: &Wrapping,
    signing: &KeyRing,
    purpose: &'static str,
) -> Result<Option<Opened>> {
    let stored = stored(store, purpose).await?;
    let all = opened(&stored, wrapping, signing);
    let is_foreign = !stored.is_empty() && in_use(&stored, &all).is_none();
    Ok(is_foreign.then(|| Opened { current: (0, DataKey::generate(rng)), all, replaced: None, is_foreign }))
}

fn opened(stored: &[StoredKey], wrapping: &Wrapping, signing: &KeyRing) -> Vec<(i64, DataKey)> {
    let open = |key: &StoredKey| -> Result<DataKey, OpenError> {
        DataKey::unwrap(&key.wrapped, |kid| wrapping.find(signing, kid), &name(&key.purpose))
    };
    stored.iter().filter_map(|key| open(key).ok().map(|opened| (key.id, opened))).collect()
}

/// The keys of a purpose as they are stored.
pub(crate) async fn stored(store: &Store, purpose: &'static str) -> Result<Vec<StoredKey>> {
    Ok(store.read(Plan::Bounded, move |reader| Box::pin(rows::of_purpose(reader, purpose))).await?)
}

/// Opens what can be opened of a purpose, and makes nothing.
pub(crate) async fn look(
    store: &Store,
    wrapping: &Wrapping,
    signing: &KeyRing,
    purpose: &'static str,
) -> Result<crate::sealing::Keys> {
    let stored = stored(store, purpose).await?;
    let all = opened(&stored, wrapping, signing);
    Ok(crate::sealing::Keys { current: in_use(&stored, &all), stored, all })
}

/// Every data key with its purpose, and whether it can be opened.
pub(crate) async fn openable(
    store: &Store,
    wrapping: &Wrapping,
    signing: &KeyRing,
) -> Result<Vec<(i64, String, bool)>> {
    let all = store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    let opens = |key: StoredKey| {
        let opens = !opened(std::slice::from_ref(&key), wrapping, signing).is_empty();
        (key.id, key.purpose, opens)
    };
    Ok(all.into_iter().map(opens).collect())
}

/// A new key of a purpose, wrapped by the key that wraps now.
pub(crate) fn wrapped(app: &App, key: &DataKey, purpose: &str) -> String {
    key.wrap(&*app.rng, app.wrapping.current(&app.keys.load()), &name(purpose))
}

/// Keys of a purpose that were retired before this moment.
pub(crate) async fn retired_before(store: &Store, purpose: &'static str, before: String) -> Result<Vec<i64>> {
    let read = store.read(Plan::Bounded, move |reader| {
        Box::pin(async move { rows::retired_before(reader, purpose, &before).await })
    });
    Ok(read.await?)
}

fn in_use(stored: &[StoredKey], opened: &[(i64, DataKey)]) -> Option<(i64, DataKey)> {
    let id = stored.iter().find(|key| !key.is_retired)?.id;
    opened.iter().find(|(opened, _)| *opened == id).cloned()
}

/// Wraps anew what another key wraps. What a coming key wraps is left to the nodes that have it as theirs already.
async fn rewrap(
    store: &Store,
    rng: &dyn Rng,
    wrapping: &Wrapping,
    signing: &KeyRing,
    stored: &[StoredKey],
    opened: &[(i64, DataKey)],
) -> Result<()> {
    let current = wrapping.current(signing);
    let mut changes = Vec::new();
    for (id, key) in opened {
        let Some(old) = stored.iter().find(|stored| stored.id == *id) else { continue };
        let Some(by) = wrapped_by(&old.wrapped) else { continue };
        let is_coming = wrapping.find(signing, &by).is_some_and(|by| by.role() == Role::Next);
        if by != current.kid() && !is_coming {
            changes.push((*id, old.wrapped.clone(), key.wrap(rng, current, &name(&old.purpose))));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    store
        .write(move |tx| {
            Box::pin(async move {
                for (id, old, new) in changes {
                    // Where another node was first, its wrapping is as good.
                    rows::rewrap(tx, id, &old, &new).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Wraps anew, under the ring that was just put in force, whatever another key wraps, be it one that only the ring before had.
pub(crate) async fn follow_ring(app: &App, before: &KeyRing) -> Result<()> {
    let ring = app.keys.load_full();
    let stored = app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    for known in [&*ring, before] {
        let opened = opened(&stored, &app.wrapping, known);
        // Where the first round has wrapped a key anew, the second finds another text in its place and leaves it.
        rewrap(&app.store, &*app.rng, &app.wrapping, &ring, &stored, &opened).await?;
    }
    Ok(())
}

/// Takes the file of the data folder away once nothing is wrapped by it and another key wraps.
pub(crate) async fn drop_file(store: &Store, wrapping: &Wrapping, folder: &Path) -> Result<()> {
    let Some(file) = wrapping.file.as_ref().filter(|_| !wrapping.by_file) else { return Ok(()) };
    let stored = store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    if wrapped_by_key(&stored).contains_key(file.current().kid().as_str()) {
        return Ok(());
    }
    std::fs::remove_file(folder.join(WRAPPING_FILE)).map_err(Error::internal)
}

/// How many data keys each ring key wraps.
pub(crate) fn wrapped_by_key(stored: &[StoredKey]) -> std::collections::HashMap<String, i64> {
    let mut counts = std::collections::HashMap::new();
    for kid in stored.iter().filter_map(|key| wrapped_by(&key.wrapped)) {
        *counts.entry(kid.to_string()).or_default() += 1;
    }
    counts
}

/// The key of the data folder: made where it is needed, read where it is there, `None` where it is neither.
pub(crate) fn wrapping_file(
    folder: &Path,
    is_needed: bool,
    rng: &dyn Rng,
) -> Result<Option<Secret<String>>, (PathBuf, std::io::Error)> {
    let path = folder.join(WRAPPING_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Secret::new(text.trim_end().to_owned()))),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound && !is_needed => Ok(None),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
            let text = Secret::new(fastcms_guard::ids::hex::<32>(rng));
            crate::app::write_private(&path, text.expose()).map_err(|error| (path, error))?;
            Ok(Some(text))
        }
        Err(error) => Err((path, error)),
    }
}
