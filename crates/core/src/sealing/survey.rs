//! All sealed values at once: how many each data key sealed, and whether every one of them opens.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastcms_store::records::Place;
use fastcms_store::schema::{Collection, Schema};
use fastcms_store::sealed::{self as rows, SealedFactor};
use fastcms_store::{Plan, Store};

use super::{PURPOSE, reason};
use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::data_keys::{self, Unlocked, Unopened};
use crate::error::Result;

/// Rows looked at together.
pub(super) const TOGETHER: i64 = 500;
/// How many values that do not open are named, of each place.
const NAMED: usize = 10;

/// What became of trying to open everything in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// Such as `second factors` or `notes.body`.
    pub place: String,
    pub opened: u64,
    pub refused: u64,
    /// The first of those that did not open, and why.
    pub named: Vec<(String, String)>,
}

impl Examined {
    fn of(place: impl Into<String>) -> Self {
        Self { place: place.into(), ..Self::default() }
    }

    fn note(&mut self, id: &str, outcome: Result<(), impl ToString>) {
        match outcome {
            Ok(()) => self.opened += 1,
            Err(why) => {
                self.refused += 1;
                if self.named.len() < NAMED {
                    self.named.push((id.to_owned(), why.to_string()));
                }
            }
        }
    }
}

/// Tries to open every data key and every sealed value; and first of all the key of a vault that wraps data keys, where there is one.
pub async fn examine(caller: &Caller, app: &App) -> Result<Vec<Examined>> {
    access::require(caller, Permission::SecretsList)?;
    let mut all = Vec::from_iter(transit(app).await);
    all.extend([keys(app).await?, factors(app).await?]);
    let schema = app.schema.load_full();
    for (collection, at) in sealed_fields(&schema) {
        all.push(field(app, collection, at).await?);
    }
    Ok(all)
}

pub(super) fn sealed_fields(schema: &Schema) -> Vec<(&Arc<Collection>, usize)> {
    let collections = schema.collections().iter();
    collections.flat_map(|collection| collection.sealed().map(move |at| (collection, at))).collect()
}

async fn keys(app: &App) -> Result<Examined> {
    let mut found = Examined::of("data keys");
    let ring = app.keys.load_full();
    for (key, outcome) in data_keys::openable(data_keys::reach(app, &ring)).await? {
        found.note(&format!("{} {}", key.purpose, key.id), outcome);
    }
    crate::secrets::record(&Caller::background(), app).await?;
    Ok(found)
}

/// Has the key of a vault wrap and unwrap something that is no secret.
async fn transit(app: &App) -> Option<Examined> {
    let key = app.wrapping.transit()?;
    let mut found = Examined::of(format!("transit key `{key}`"));
    found.note("wrap and unwrap", app.wrapping.try_transit().await);
    Some(found)
}

async fn factors(app: &App) -> Result<Examined> {
    let mut found = Examined::of("second factors");
    let mut after = (String::new(), String::new());
    loop {
        let factors = read_factors(&app.store, &after).await?;
        let Some(last) = factors.last() else { return Ok(found) };
        after = (last.realm.clone(), last.account_id.clone());
        for factor in &factors {
            let place = crate::accounts::factor_place(&factor.realm, &factor.account_id);
            let opened = app.sealing.open(&place, &factor.secret);
            found.note(&factor.account_id, opened.map(drop).map_err(reason));
        }
    }
}

pub(super) async fn read_factors(store: &Store, after: &(String, String)) -> Result<Vec<SealedFactor>> {
    let after = after.clone();
    let read = store.read(Plan::Scan, move |reader| {
        Box::pin(async move { rows::factors(reader, (&after.0, &after.1), TOGETHER).await })
    });
    Ok(read.await?)
}

async fn field(app: &App, collection: &Arc<Collection>, at: usize) -> Result<Examined> {
    let name = collection.fields()[at].name.clone();
    let mut found = Examined::of(format!("{}.{name}", collection.name()));
    let mut after = String::new();
    loop {
        let (wanted, place_after) = (Arc::clone(collection), after.clone());
        let read = app.store.read(Plan::Scan, move |reader| {
            Box::pin(async move { rows::others(reader, &wanted, at, ("", &place_after), TOGETHER).await })
        });
        let values = read.await?;
        let Some(last) = values.last() else { return Ok(found) };
        after.clone_from(&last.record);
        for value in &values {
            let place = Place { collection: collection.id(), record: &value.record, field: &name };
            found.note(&value.record, app.sealing.open_field(place, &value.sealed).map(drop).map_err(reason));
        }
    }
}

/// How many values each data key sealed, by what they are. The key of what names none is -1.
async fn counts(store: &Store, schema: &Schema) -> Result<BTreeMap<i64, BTreeMap<String, i64>>> {
    let mut counts: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
    let mut after = (String::new(), String::new());
    loop {
        let factors = read_factors(store, &after).await?;
        let Some(last) = factors.last() else { break };
        after = (last.realm.clone(), last.account_id.clone());
        for factor in &factors {
            let id = factor.secret.first_chunk::<8>().map_or(-1, |id| i64::from_be_bytes(*id));
            *counts.entry(id).or_default().entry("second factors".to_owned()).or_default() += 1;
        }
    }
    for (collection, at) in sealed_fields(schema) {
        let what = format!("values of `{}.{}`", collection.name(), collection.fields()[at].name);
        let wanted = Arc::clone(collection);
        let read =
            store.read(Plan::Scan, move |reader| Box::pin(async move { rows::count(reader, &wanted, at).await }));
        for (id, count) in read.await? {
            *counts.entry(id.unwrap_or(-1)).or_default().entry(what.clone()).or_default() += count;
        }
    }
    Ok(counts)
}

/// How many values each data key sealed.
pub(crate) async fn in_use(store: &Store, schema: &Schema) -> Result<BTreeMap<i64, i64>> {
    let counts = counts(store, schema).await?;
    Ok(counts.into_iter().map(|(id, places)| (id, places.values().sum())).collect())
}

/// What is sealed under data keys that could not be opened, as sentences.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// What a ring key wrapped that is not configured: values, and nothing that can be made anew.
    pub by_ring: Option<String>,
    /// What a key of a vault wrapped and cannot be had as things are configured, whatever it is.
    pub by_transit: Option<String>,
    /// The same, but that waiting, or another policy, may help.
    pub away: Option<String>,
}

/// Tells of the data keys that could not be opened.
pub(crate) async fn closed(store: &Store, unlocked: &Unlocked, schema: &Schema) -> Result<Closed> {
    if unlocked.closed.is_empty() {
        return Ok(Closed::default());
    }
    let counts = counts(store, schema).await?;
    let (mut by_ring, mut by_transit, mut away) = (Vec::new(), Vec::new(), Vec::new());
    for (id, why) in &unlocked.closed {
        let Some(key) = unlocked.stored.iter().find(|key| key.id == *id) else { continue };
        let places = counts.get(id).filter(|_| key.purpose == PURPOSE);
        let what = places.map(|places| {
            let what: Vec<String> = places.iter().map(|(what, count)| format!("{count} {what}")).collect();
            what.join(", ")
        });
        let by = data_keys::wrapper(&key.wrapped);
        match (what, why) {
            (Some(what), Unopened::Ring(_)) => by_ring.push(format!("{what} (data key {id}, wrapped by {by})")),
            (None, Unopened::Ring(_)) => {}
            (what, Unopened::Transit(fault)) => {
                let what = what.unwrap_or_else(|| format!("the data key of `{}`", key.purpose));
                let parts = if why.is_lost() { &mut by_transit } else { &mut away };
                parts.push(format!("{what} (data key {id}, wrapped by {by}): {fault}"));
            }
        }
    }
    let told = |parts: Vec<String>| (!parts.is_empty()).then(|| parts.join("; "));
    Ok(Closed { by_ring: told(by_ring), by_transit: told(by_transit), away: told(away) })
}
