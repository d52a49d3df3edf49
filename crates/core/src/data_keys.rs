//! Random keys of the product's own, kept in the store wrapped: by a key of a vault where `ENCRYPTION_TRANSIT_KEY` names one, else by the
//! ring of `ENCRYPTION_KEY` where it is set, else of `SECRET_KEY`, else by a random key in a file of the data folder. A rotation
//! re-wraps them; what they protect stays as it is.
//!
//! What a data key is for is named by its purpose. At most one of a purpose is in use; retired ones still open what they sealed. A vault
//! is asked when a key is not held yet, and never for a request or a row.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use fastcms_guard::ids::Rng;
use fastcms_guard::keys::{KeyRing, RingKey};
use fastcms_guard::sealed::{DataKey, wrapped_by};
use fastcms_secrets::Secret;
use fastcms_store::data_keys::{self as rows, NewKey, StoredKey};
use fastcms_store::{LockName, Plan, Store};

use crate::app::{App, Process};
use crate::error::{Error, Result};
use crate::time::stamp;

mod rewrapping;
mod wrapping;

pub(crate) use rewrapping::follow_ring;
pub(crate) use rewrapping::rewrap_all;
pub(crate) use wrapping::{Unopened, Wrapping, by_transit};

/// Name of the file in the data folder that holds the wrapping key while no `SECRET_KEY` is set.
pub(crate) const WRAPPING_FILE: &str = "wrapping-key";

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

/// What it takes to get at data keys.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'r> {
    pub store: &'r Store,
    pub rng: &'r dyn Rng,
    pub wrapping: &'r Wrapping,
    pub signing: &'r KeyRing,
}

/// All data keys as a start finds them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unlocked {
    pub stored: Vec<StoredKey>,
    /// Those that could be opened.
    pub opened: Vec<(i64, DataKey)>,
    /// Those that could not.
    pub closed: Vec<(i64, Unopened)>,
}

/// Opens every data key there is. A vault that does not answer is asked again until `SECRETS_BOOT_TIMEOUT` is over.
pub(crate) async fn unlock(reach: Reach<'_>) -> Result<Unlocked> {
    let stored = reach.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    let mut unlocked = Unlocked { stored, ..Unlocked::default() };
    let mut tries = 0;
    for key in &unlocked.stored {
        let outcome = loop {
            let outcome = reach.wrapping.open(reach.signing, key).await;
            let pause = match &outcome {
                Err(why) if why.is_passing() => reach.wrapping.patience(reach.rng, tries),
                _ => None,
            };
            let (Some(pause), Err(why)) = (pause, &outcome) else { break outcome };
            tracing::warn!(%why, id = key.id, purpose = key.purpose, "the start waits for a data key (SECRETS_BOOT_TIMEOUT)");
            tokio::time::sleep(pause).await;
            tries += 1;
        };
        match outcome {
            Ok(opened) => unlocked.opened.push((key.id, opened)),
            Err(why) => unlocked.closed.push((key.id, why)),
        }
    }
    Ok(unlocked)
}

/// Opens the keys of a purpose that can be made anew where none can be opened; a server re-wraps those that another key wraps.
pub(crate) async fn open(
    reach: Reach<'_>,
    now_millis: i64,
    process: Process,
    purpose: &'static str,
    held: &[(i64, DataKey)],
) -> Result<Opened> {
    let stored = stored(reach.store, purpose).await?;
    let (opened, closed) = opened(&stored, reach, held).await;
    if let Some(current) = in_use(&stored, &opened) {
        if process == Process::Server {
            rewrapping::rewrap(reach, &stored, &opened).await?;
        }
        return Ok(Opened { current, all: opened, replaced: None, is_foreign: false });
    }
    if process == Process::Command && !stored.is_empty() {
        // Whoever runs a command with other keys than the server's would take the server's from it.
        let current = (0, DataKey::generate(reach.rng));
        return Ok(Opened { current, all: opened, replaced: None, is_foreign: true });
    }
    // One that may be had again is never replaced.
    if let Some((_, why)) = closed.iter().find(|(_, why)| !why.is_lost()) {
        return Err(Error::Unavailable(why.to_string()));
    }
    let fresh = DataKey::generate(reach.rng);
    let key = new(reach, purpose, &fresh, now_millis).await?;
    let (id, seen) = (key.id, stored.iter().map(|key| key.id).max());
    let made = reach
        .store
        .write(move |tx| {
            Box::pin(async move {
                tx.lock(LockName::of("data_keys", purpose)).await?;
                if rows::of_purpose_in(tx, purpose).await?.iter().map(|key| key.id).max() != seen {
                    // Another node was first; its key is ours too.
                    return Ok(false);
                }
                rows::retire(tx, purpose, &key.created).await?;
                rows::insert(tx, &key).await?;
                Ok::<_, Error>(true)
            })
        })
        .await?;
    if !made {
        return Box::pin(open(reach, now_millis, process, purpose, held)).await;
    }
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

/// A new key of a purpose, wrapped and not stored yet.
pub(crate) async fn new(reach: Reach<'_>, purpose: &'static str, key: &DataKey, now_millis: i64) -> Result<NewKey> {
    let id = reach.store.write(|tx| Box::pin(async move { rows::reserve(tx).await })).await?;
    let wrapped = reach.wrapping.wrap(reach.rng, reach.signing, (id, purpose), key).await?;
    Ok(NewKey { id, purpose, wrapped, created: stamp(now_millis) })
}

/// Opens keys. What a vault wrapped and is held already is not asked for again: a data key never changes.
async fn opened(
    stored: &[StoredKey],
    reach: Reach<'_>,
    held: &[(i64, DataKey)],
) -> (Vec<(i64, DataKey)>, Vec<(i64, Unopened)>) {
    let (mut opened, mut closed) = (Vec::with_capacity(stored.len()), Vec::new());
    for key in stored {
        let known = held.iter().find(|(id, _)| *id == key.id && by_transit(&key.wrapped).is_some());
        let outcome = match known {
            Some((_, known)) => Ok(known.clone()),
            None => reach.wrapping.open(reach.signing, key).await,
        };
        match outcome {
            Ok(open) => opened.push((key.id, open)),
            Err(why) => closed.push((key.id, why)),
        }
    }
    (opened, closed)
}

/// The keys of a purpose as they are stored.
pub(crate) async fn stored(store: &Store, purpose: &'static str) -> Result<Vec<StoredKey>> {
    Ok(store.read(Plan::Bounded, move |reader| Box::pin(rows::of_purpose(reader, purpose))).await?)
}

/// Opens what can be opened of a purpose without asking anybody, and makes nothing. Besides that, the keys for which a vault is to be
/// asked.
pub(crate) async fn recall(
    reach: Reach<'_>,
    purpose: &'static str,
    held: &[(i64, DataKey)],
) -> Result<(crate::sealing::Keys, Vec<StoredKey>)> {
    let stored = stored(reach.store, purpose).await?;
    let (mut all, mut unknown) = (Vec::with_capacity(stored.len()), Vec::new());
    for key in &stored {
        if by_transit(&key.wrapped).is_none() {
            all.extend(reach.wrapping.open_by_ring(reach.signing, key).ok().map(|opened| (key.id, opened)));
        } else if let Some(known) = held.iter().find(|(id, _)| *id == key.id) {
            all.push(known.clone());
        } else {
            unknown.push(key.clone());
        }
    }
    Ok((crate::sealing::Keys { current: in_use(&stored, &all), stored, all }, unknown))
}

/// Tries every data key, whether it is held or not.
pub(crate) async fn openable(reach: Reach<'_>) -> Result<Vec<(StoredKey, Result<(), Unopened>)>> {
    let all = reach.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    let mut tried = Vec::with_capacity(all.len());
    for key in all {
        let outcome = reach.wrapping.open(reach.signing, &key).await.map(drop);
        tried.push((key, outcome));
    }
    Ok(tried)
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
pub(crate) fn wrapped_by_key(stored: &[StoredKey]) -> HashMap<String, i64> {
    let mut counts = HashMap::new();
    for kid in stored.iter().filter_map(|key| wrapped_by(&key.wrapped)) {
        *counts.entry(kid.to_string()).or_default() += 1;
    }
    counts
}

/// Whether this key of a ring wrapped a data key.
pub(crate) fn wraps(key: &RingKey, wrapped: &str) -> bool {
    wrapped_by(wrapped) == Some(key.kid())
}

/// What wraps a data key, for people.
pub(crate) fn wrapper(wrapped: &str) -> String {
    match (by_transit(wrapped), wrapped_by(wrapped)) {
        (Some((key, text)), _) => format!("version {} of the transit key `{key}`", text.version),
        (None, Some(kid)) => format!("key `{kid}`"),
        (None, None) => "an unknown key".to_owned(),
    }
}

/// The data keys that each version of each key of a vault wraps, by their numbers.
pub(crate) fn wrapped_by_transit(stored: &[StoredKey]) -> BTreeMap<String, BTreeMap<u32, Vec<i64>>> {
    let mut all: BTreeMap<String, BTreeMap<u32, Vec<i64>>> = BTreeMap::new();
    for key in stored {
        if let Some((by, text)) = by_transit(&key.wrapped) {
            all.entry(by.to_string()).or_default().entry(text.version).or_default().push(key.id);
        }
    }
    all
}

/// What it takes to get at the data keys of a running product.
pub(crate) fn reach<'r>(app: &'r App, signing: &'r KeyRing) -> Reach<'r> {
    Reach { store: &app.store, rng: &*app.rng, wrapping: &app.wrapping, signing }
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
