//! Many records in one request: each is decided and validated on its own, and the failure of one leaves the others.

use fastcms_expr::Context;
use fastcms_store::Tx;
use serde_json::{Map, Value as Json};

use super::create::{Insert, charge_registration, prepare};
use super::{Door, Failure, MAX_ATTEMPTS, never_settled, settled};
use crate::access::{self, RequestFacts};
use crate::app::App;
use crate::audit::{self, Audited, Recorded, Trail};
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Most items of one request (contract 16).
pub const MAX_ITEMS: usize = 100;

/// An item that failed.
#[derive(Debug)]
pub struct ItemFailure {
    pub index: usize,
    pub error: Error,
}

/// What became of the items of a batch.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// The records that were made, in the order of their items, as JSON.
    pub records: Vec<Vec<u8>>,
    pub failures: Vec<ItemFailure>,
}

/// Makes a record of each item. An item that is no object fails alone.
pub async fn create_many(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    items: &[Json],
) -> Result<BatchOutcome> {
    let request = begin(caller, app, request, collection, "records", items.len())?;
    for _ in 0..MAX_ATTEMPTS {
        let door = Door::open(caller, app, request, collection)?;
        let attempt = attempt(&door, items).await;
        if let Some(outcome) = settled(app, attempt).await? {
            return Ok(outcome);
        }
    }
    Err(never_settled())
}

/// One transaction for all of them, a savepoint each: an item that fails leaves the others, and the disk is waited for once.
async fn attempt(door: &Door<'_>, items: &[Json]) -> Result<BatchOutcome, Failure> {
    let mut prepared = Vec::with_capacity(items.len());
    for item in items {
        prepared.push(match object(item) {
            Ok(data) => match charge_registration(door.caller, door.app, door.collection.name()).await {
                Ok(()) => unless_stale(prepare(&door.clone().with_data(data), data, None).await)?,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        });
    }
    audit::write(door.caller, door.app, move |tx, trail| Box::pin(store_all(tx, trail, prepared))).await
}

async fn store_all(
    tx: &mut Tx<'_>,
    trail: &Trail,
    prepared: Vec<Result<Insert>>,
) -> Result<Audited<BatchOutcome>, Failure> {
    let mut recorded = Recorded::nothing_happened();
    let mut outcome = BatchOutcome::default();
    for (index, ready) in prepared.into_iter().enumerate() {
        let answer = match ready {
            Ok(insert) => {
                let event = insert.event();
                unless_stale(tx.savepoint(|tx| insert.run(tx)).await)?.map(|created| (created, event))
            }
            Err(error) => Err(error),
        };
        match answer {
            Ok((created, event)) => {
                recorded = trail.record(tx, event);
                outcome.records.push(created.record);
            }
            Err(error) => outcome.failures.push(ItemFailure { index, error }),
        }
    }
    Ok(recorded.with(outcome))
}

/// An item's own outcome; a collection that changed meanwhile concerns them all.
pub(super) fn unless_stale<T>(answer: Result<T, Failure>) -> Result<Result<T>, Failure> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(Failure::Final(error)) => Ok(Err(error)),
        Err(Failure::Stale) => Err(Failure::Stale),
    }
}

/// What all of these ask for before any item is looked at.
pub(super) fn begin<'a>(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'a>,
    collection: &str,
    field: &str,
    items: usize,
) -> Result<RequestFacts<'a>> {
    access::require_account(caller)?;
    if items == 0 {
        return Err(Error::field(field, "This field is required"));
    }
    if items > MAX_ITEMS {
        return Err(Error::BatchTooLarge { limit: MAX_ITEMS });
    }
    Door::open(caller, app, request, collection)?;
    Ok(request.within(Context::Batch))
}

/// Works the items off one after another: what one does may decide about those behind it, by a unique value, a relation or a rule. And
/// however many items a request has, it takes up one connection and one place in the queue for hashing.
pub(super) async fn in_order<T>(items: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut answers = Vec::with_capacity(items.len());
    for item in items {
        answers.push(item.await);
    }
    answers
}

pub(super) fn object(item: &Json) -> Result<&Map<String, Json>> {
    item.as_object().ok_or_else(|| Error::field("records", "Must be an object"))
}
