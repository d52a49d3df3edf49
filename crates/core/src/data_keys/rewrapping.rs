//! Data keys wrapped anew: by another key, or by a newer version of the one in a vault. What they protect does not change.

use fastcms_guard::keys::KeyRing;
use fastcms_guard::sealed::DataKey;
use fastcms_store::data_keys::{self as rows, StoredKey};
use fastcms_store::{Change, ChangeKind, Plan};

use super::{Reach, by_transit, reach};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Wraps anew what is not wrapped by what wraps now; says how many that were.
pub(super) async fn rewrap(reach: Reach<'_>, stored: &[StoredKey], opened: &[(i64, DataKey)]) -> Result<usize> {
    let Reach { store, rng, wrapping, signing } = reach;
    let mut changes = Vec::new();
    for (id, key) in opened {
        let Some(old) = stored.iter().find(|stored| stored.id == *id) else { continue };
        if !wrapping.is_settled(signing, &old.wrapped) {
            let new = wrapping.wrap(rng, signing, (*id, &old.purpose), key).await?;
            changes.push((*id, old.wrapped.clone(), new));
        }
    }
    if changes.is_empty() {
        return Ok(0);
    }
    store
        .write(move |tx| {
            Box::pin(async move {
                let mut done = 0;
                for (id, old, new) in changes {
                    // Where another node was first, its wrapping is as good.
                    done += usize::from(rows::rewrap(tx, id, &old, &new).await?);
                }
                tx.announce(Change::new(ChangeKind::Keys, ""));
                Ok(done)
            })
        })
        .await
}

/// Wraps anew, under the ring that was just put in force, whatever another ring key wraps, be it one that only the ring before had. What a
/// key of a vault wraps is none of the ring's business.
pub(crate) async fn follow_ring(app: &App, before: &KeyRing) -> Result<()> {
    let ring = app.keys.load_full();
    let mut stored = app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    stored.retain(|key| by_transit(&key.wrapped).is_none());
    for known in [&*ring, before] {
        let opened: Vec<(i64, DataKey)> =
            stored.iter().filter_map(|key| Some((key.id, app.wrapping.open_by_ring(known, key).ok()?))).collect();
        // Where the first round has wrapped a key anew, the second finds another text in its place and leaves it.
        match rewrap(reach(app, &ring), &stored, &opened).await {
            Ok(_) => {}
            Err(Error::Unavailable(why)) if app.wrapping.transit().is_some() => {
                tracing::error!(
                    why,
                    "data keys stay wrapped by the key before: a start or `fastcms keys rewrap` wraps them anew"
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Wraps every data key anew that is not wrapped by what wraps now, in its newest version; says how many that were.
///
/// # Errors
/// [`Error::Unavailable`] where a key of a vault does not do its part; nothing has changed then.
pub(crate) async fn rewrap_all(caller: &Caller, app: &App) -> Result<usize> {
    let ring = app.keys.load_full();
    let reach = reach(app, &ring);
    let stored = app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    let mut opened = Vec::with_capacity(stored.len());
    for key in &stored {
        match app.wrapping.open(&ring, key).await {
            Ok(open) => opened.push((key.id, open)),
            Err(why) if why.is_lost() => {}
            Err(why) => return Err(Error::Unavailable(why.to_string())),
        }
    }
    let done = rewrap(reach, &stored, &opened).await?;
    crate::sealing::refresh(app).await?;
    crate::secrets::record(caller, app).await?;
    Ok(done)
}
