//! The same change, or the deletion, of many records: each item is decided by its own rule, in one transaction with a savepoint each. An
//! item that is refused leaves the others; all that were admitted are there at once, or none after a fault of the database.
//!
//! There are [`MAX_ITEMS`](super::MAX_ITEMS) of them at most, and all of them together have the time of one write.

use std::sync::Arc;

use fastcms_store::records as rows;
use fastcms_store::schema::Collection;
use fastcms_store::{BoxFuture, Tx};
use serde_json::{Map, Value as Json};

use super::batch::{ItemFailure, begin, in_order, unless_stale};
use super::delete::{self, Removal};
use super::update::{self, Replace};
use super::{Door, Failure, MAX_ATTEMPTS, never_settled, settled};
use crate::access::RequestFacts;
use crate::app::App;
use crate::audit::{self, Audited, Entry, Event, Recorded, Trail};
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Changes each of the records in the same way, and answers what could not be changed. An id that is named twice is changed twice.
pub async fn update_many(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    ids: &[String],
    data: &Map<String, Json>,
) -> Result<Vec<ItemFailure>> {
    let request = begin(caller, app, request, collection, "record_ids", ids.len())?;
    if data.is_empty() {
        return Err(Error::field("data", "This field is required"));
    }
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?.with_data(data);
        if door.collection.is_auth() && data.contains_key("password") {
            // What an account's password was is looked up before its change, and hashing is what such a request waits for.
            let changes = ids.iter().map(|id| super::update(caller, app, request, collection, id, data)).collect();
            return Ok(failures(in_order(changes).await));
        }
        let attempt = update_attempt(&door, ids, data).await;
        if let Some(failures) = settled(app, attempt).await? {
            return Ok(failures);
        }
    }
    Err(never_settled())
}

/// Deletes each of the records, and answers what could not be deleted. An id that is named twice is unknown the second time.
pub async fn delete_many(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    ids: &[String],
) -> Result<Vec<ItemFailure>> {
    let request = begin(caller, app, request, collection, "record_ids", ids.len())?;
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?;
        let removals = ids.iter().map(|id| known(id).and_then(|id| delete::prepare(&door, id))).collect();
        let attempt = run(&door, Event::RecordsDeleted, ids, removals).await;
        if let Some(failures) = settled(app, attempt).await? {
            return Ok(failures);
        }
    }
    Err(never_settled())
}

async fn update_attempt(
    door: &Door<'_>,
    ids: &[String],
    data: &Map<String, Json>,
) -> Result<Vec<ItemFailure>, Failure> {
    let mut changes = Vec::with_capacity(ids.len());
    for id in ids {
        changes.push(match known(id) {
            Ok(id) => unless_stale(update::prepare(door, id, data).await)?,
            Err(error) => Err(error),
        });
    }
    run(door, Event::RecordsUpdated, ids, changes).await
}

/// No record has an id with a NUL in it, and `PostgreSQL` takes no such text.
fn known(id: &str) -> Result<&str> {
    if id.contains('\0') { Err(Error::NotFound) } else { Ok(id) }
}

/// Something that is done to one record.
trait Item: Send + 'static {
    fn event(&self) -> Entry;
    fn run<'a>(self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), Failure>>;
}

impl Item for Replace {
    fn event(&self) -> Entry {
        self.event()
    }

    fn run<'a>(self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), Failure>> {
        let change = self.run(tx);
        Box::pin(async move { change.await.map(|_| ()) })
    }
}

impl Item for Removal {
    fn event(&self) -> Entry {
        self.event()
    }

    fn run<'a>(self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), Failure>> {
        self.run(tx)
    }
}

/// Runs what was prepared for each id in one transaction, in the order of the ids.
async fn run<I: Item>(
    door: &Door<'_>,
    event: Event,
    ids: &[String],
    items: Vec<Result<I>>,
) -> Result<Vec<ItemFailure>, Failure> {
    let collection = Arc::clone(&door.collection);
    let mut locked: Vec<String> = ids.iter().filter(|id| known(id).is_ok()).cloned().collect();
    locked.sort_unstable();
    locked.dedup();
    audit::write(door.caller, door.app, move |tx, trail| Box::pin(run_all(tx, trail, event, collection, locked, items)))
        .await
}

async fn run_all<I: Item>(
    tx: &mut Tx<'_>,
    trail: &Trail,
    event: Event,
    collection: Arc<Collection>,
    locked: Vec<String>,
    items: Vec<Result<I>>,
) -> Result<Audited<Vec<ItemFailure>>, Failure> {
    // Two requests that name the same records in another order would each wait for what the other holds.
    rows::lock(tx, &collection, &locked).await?;
    let all = items.len();
    let mut failures = Vec::new();
    for (index, ready) in items.into_iter().enumerate() {
        let done = match ready {
            Ok(item) => {
                let event = item.event();
                unless_stale(tx.savepoint(|tx| item.run(tx)).await)?.map(|()| event)
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(event) => drop(trail.record(tx, event)),
            Err(error) => failures.push(ItemFailure { index, error }),
        }
    }
    let done = all - failures.len();
    let recorded = if done == 0 {
        Recorded::nothing_happened()
    } else {
        let event = event.with("collection", collection.name()).with("records", done).with("refused", failures.len());
        trail.record(tx, event)
    };
    Ok(recorded.with(failures))
}

fn failures<T>(answers: Vec<Result<T>>) -> Vec<ItemFailure> {
    let failed = answers.into_iter().enumerate();
    failed.filter_map(|(index, answer)| answer.err().map(|error| ItemFailure { index, error })).collect()
}
