//! Another data key in the place of the one that seals, and every sealed value under it. It can be broken off at any time and goes on
//! from where it was: what names the new key is done. Values that change meanwhile are sealed under the new key by whoever changes them.

use std::sync::Arc;
use std::time::Duration;

use fastcms_guard::sealed::{DataKey, prefix};
use fastcms_store::records::Place;
use fastcms_store::schema::Collection;
use fastcms_store::sealed::{self as rows, Replacement, SealedText};
use fastcms_store::{Change, ChangeKind, Error as StoreError, LockName, Plan};

use super::survey::{TOGETHER, in_use, read_factors, sealed_fields};
use super::{PURPOSE, refresh};
use crate::access::{self, Permission, Recent};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::data_keys;
use crate::error::{Error, Result};
use crate::time::stamp;

/// How long every node has to hear of a new data key before one seals with it: longer than what was read is remembered anywhere.
pub const SETTLING: Duration = Duration::from_secs(10);

/// Makes another data key, waits for `settling` until every node knows it, and has it seal from then on. What was sealed stays as it is:
/// see [`reseal`]. Answers the number of the new key.
pub async fn renew(caller: &Recent, app: &App, settling: Duration) -> Result<i64> {
    access::require(caller, Permission::SecretsRotate)?;
    let fresh = DataKey::generate(&*app.rng);
    let ring = app.keys.load_full();
    let key = data_keys::new(data_keys::reach(app, &ring), PURPOSE, &fresh, app.now_millis()).await?;
    let id = key.id;
    app.store
        .write(move |tx| {
            Box::pin(async move {
                fastcms_store::data_keys::insert_coming(tx, &key).await?;
                tx.announce(Change::new(ChangeKind::Keys, ""));
                Ok::<_, StoreError>(())
            })
        })
        .await?;
    app.sealing.0.vault.hold(id, fresh);
    crate::secrets::record(caller, app).await?;
    refresh(app).await?;
    tokio::time::sleep(settling).await;
    let now = stamp(app.now_millis());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::of("data_keys", PURPOSE)).await?;
            fastcms_store::data_keys::retire(tx, PURPOSE, &now).await?;
            if !fastcms_store::data_keys::promote(tx, id).await? {
                return Err(Error::internal("the new data key went before it was taken into use"));
            }
            tx.announce(Change::new(ChangeKind::Keys, ""));
            let event = Event::SecretRotated.on("data_key", id.to_string()).with("purpose", PURPOSE);
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await?;
    refresh(app).await?;
    Ok(id)
}

/// Puts every sealed value under the data key in use, a few at a time; says how many that were. Once nothing is left under a retired
/// one it is taken away.
pub async fn reseal(caller: &Caller, app: &App) -> Result<u64> {
    access::require(caller, Permission::SecretsRotate)?;
    refresh(app).await?;
    let keys = app.sealing.keys();
    let Some((current, _)) = &keys.current else { return Ok(0) };
    if keys.stored.len() <= 1 {
        return Ok(0);
    }
    let mut moved = factors(app, *current).await?;
    let schema = app.schema.load_full();
    for (collection, at) in sealed_fields(&schema) {
        moved += field(app, collection, at, &prefix(*current)).await?;
    }
    if moved == 0 {
        drop_unused(app).await?;
    }
    Ok(moved)
}

async fn factors(app: &App, current: i64) -> Result<u64> {
    let (mut moved, mut after) = (0, (String::new(), String::new()));
    loop {
        let factors = read_factors(&app.store, &after).await?;
        let Some(last) = factors.last() else { return Ok(moved) };
        after = (last.realm.clone(), last.account_id.clone());
        for factor in factors {
            if factor.secret.first_chunk::<8>() == Some(&current.to_be_bytes()) {
                continue;
            }
            let place = crate::accounts::factor_place(&factor.realm, &factor.account_id);
            // What does not open is named by `doctor secrets`, and stays for whoever has its key.
            let Ok(secret) = app.sealing.open(&place, &factor.secret) else { continue };
            let new = app.sealing.seal(&*app.rng, &place, secret.expose())?;
            let replace =
                app.store.write(move |tx| Box::pin(async move { rows::replace_factor(tx, &factor, new).await }));
            moved += u64::from(replace.await?);
        }
    }
}

async fn field(app: &App, collection: &Arc<Collection>, at: usize, current: &str) -> Result<u64> {
    let (mut moved, mut after) = (0, String::new());
    loop {
        let (wanted, begins, behind) = (Arc::clone(collection), current.to_owned(), after.clone());
        let read = app.store.read(Plan::Scan, move |reader| {
            Box::pin(async move { rows::others(reader, &wanted, at, (&begins, &behind), TOGETHER).await })
        });
        let values = read.await?;
        let Some(last) = values.last() else { return Ok(moved) };
        after.clone_from(&last.record);
        moved += replace(app, collection, at, values).await?;
    }
}

async fn replace(app: &App, collection: &Arc<Collection>, at: usize, values: Vec<SealedText>) -> Result<u64> {
    let name = collection.fields()[at].name.clone();
    let mut changes = Vec::with_capacity(values.len());
    for SealedText { record, sealed } in values {
        let place = Place { collection: collection.id(), record: &record, field: &name };
        let Ok(json) = app.sealing.open_field(place, &sealed) else { continue };
        let new = app.sealing.seal_field(&*app.rng, place, json.expose())?;
        changes.push(Replacement { record, old: sealed, new });
    }
    let collection = Arc::clone(collection);
    // One that was changed meanwhile was sealed by whoever changed it.
    let write = app.store.write(move |tx| Box::pin(async move { rows::replace(tx, &collection, at, &changes).await }));
    Ok(write.await?)
}

/// Takes retired keys away that nothing is sealed under. Nobody has sealed with one since it was retired by more than [`SETTLING`].
async fn drop_unused(app: &App) -> Result<()> {
    let schema = app.schema.load_full();
    let used = in_use(&app.store, &schema).await?;
    let before = stamp(app.now_millis() - i64::try_from(SETTLING.as_millis()).unwrap_or(i64::MAX));
    let unused: Vec<i64> = data_keys::retired_before(&app.store, PURPOSE, before)
        .await?
        .into_iter()
        .filter(|id| !used.contains_key(id))
        .collect();
    if unused.is_empty() {
        return Ok(());
    }
    app.store
        .write(move |tx| {
            Box::pin(async move {
                for id in unused {
                    fastcms_store::data_keys::delete_retired(tx, id).await?;
                }
                tx.announce(Change::new(ChangeKind::Keys, ""));
                Ok::<_, StoreError>(())
            })
        })
        .await?;
    refresh(app).await
}
