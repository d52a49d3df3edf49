//! Many records in one request: each is decided and validated on its own, and the failure of one leaves the others.

use fastcms_expr::{Context, Predicate};
use fastcms_store::{BoxFuture, Plan, records as rows};
use futures_util::StreamExt;
use serde_json::{Map, Value as Json};

use super::create::create_with_id;
use super::{Door, Failure, create, delete, update};
use crate::access::{self, RequestFacts};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// Most items of one request (contract 16).
pub const MAX_ITEMS: usize = 100;
/// How many items are on their way at once: enough to share a commit, too few to crowd out other requests.
const AT_ONCE: usize = 16;

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

/// What became of the items of an upsert.
#[derive(Debug, Default)]
pub struct UpsertOutcome {
    pub created: usize,
    pub updated: usize,
    /// The records as they stand, in the order of their items, as JSON.
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
    let mut made: Vec<BoxFuture<'_, _>> = Vec::with_capacity(items.len());
    for item in items {
        made.push(Box::pin(async move { create(caller, app, request, collection, object(item)?).await }));
    }
    let mut outcome = BatchOutcome::default();
    for (index, answer) in settle(made).await.into_iter().enumerate() {
        match answer {
            Ok(created) => outcome.records.push(created.record),
            Err(error) => outcome.failures.push(ItemFailure { index, error }),
        }
    }
    Ok(outcome)
}

/// Changes the record that each item names by `id`; makes it under that id where there is none, and under a new one without `id`.
pub async fn upsert(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    items: &[Json],
) -> Result<UpsertOutcome> {
    let request = begin(caller, app, request, collection, "records", items.len())?;
    let mut outcome = UpsertOutcome::default();
    // One after another: two items may name the same record.
    for (index, item) in items.iter().enumerate() {
        match upsert_one(caller, app, request, collection, item).await {
            Ok((record, true)) => {
                outcome.created += 1;
                outcome.records.push(record);
            }
            Ok((record, false)) => {
                outcome.updated += 1;
                outcome.records.push(record);
            }
            Err(error) => outcome.failures.push(ItemFailure { index, error }),
        }
    }
    Ok(outcome)
}

/// Answers the record, and whether it is new.
async fn upsert_one(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    item: &Json,
) -> Result<(Vec<u8>, bool)> {
    let mut data = object(item)?.clone();
    let id = match data.shift_remove("id") {
        None | Some(Json::Null) => None,
        Some(Json::String(id)) if is_uuid(&id) => Some(id),
        Some(_) => return Err(Error::field("id", "Must be a UUID")),
    };
    let Some(id) = id else {
        return create(caller, app, request, collection, &data).await.map(|created| (created.record, true));
    };
    if !exists(caller, app, request, collection, &id).await? {
        match create_with_id(caller, app, request, collection, &data, Some(&id)).await {
            // Made by somebody else meanwhile.
            Err(Error::AlreadyExists(_)) => {}
            made => return made.map(|created| (created.record, true)),
        }
    }
    update(caller, app, request, collection, &id, &data).await.map(|record| (record, false))
}

async fn exists(caller: &Caller, app: &App, request: RequestFacts<'_>, collection: &str, id: &str) -> Result<bool> {
    let door = Door::open(caller, app, request, collection)?;
    let (view, id) = (door.view(), id.to_owned());
    let read = app.store.read(Plan::Bounded, move |reader| {
        Box::pin(async move { Ok(rows::get(reader, &view, &id, &Predicate::True, &[]).await?.is_some()) })
    });
    let found: Result<bool, Failure> = read.await;
    Ok(super::settled(app, found).await?.unwrap_or(false))
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|uuid| uuid.hyphenated().to_string() == text)
}

/// Changes each of the records in the same way.
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
    let mut changed: Vec<BoxFuture<'_, _>> = Vec::with_capacity(ids.len());
    for id in ids {
        changed.push(Box::pin(update(caller, app, request, collection, id, data)));
    }
    Ok(failures(settle(changed).await))
}

/// Deletes each of the records.
pub async fn delete_many(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    ids: &[String],
) -> Result<Vec<ItemFailure>> {
    let request = begin(caller, app, request, collection, "record_ids", ids.len())?;
    let mut deleted: Vec<BoxFuture<'_, _>> = Vec::with_capacity(ids.len());
    for id in ids {
        deleted.push(Box::pin(delete(caller, app, request, collection, id)));
    }
    Ok(failures(settle(deleted).await))
}

/// What all of these ask for before any item is looked at.
fn begin<'a>(
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
    app.schema.load().by_name(collection).ok_or(Error::NotFound)?;
    Ok(request.within(Context::Batch))
}

async fn settle<T: Send>(items: Vec<BoxFuture<'_, Result<T>>>) -> Vec<Result<T>> {
    futures_util::stream::iter(items).buffered(AT_ONCE).collect().await
}

fn failures<T>(answers: Vec<Result<T>>) -> Vec<ItemFailure> {
    answers.into_iter().enumerate().filter_map(|(index, answer)| answer.err().map(|error| ItemFailure { index, error })).collect()
}

fn object(item: &Json) -> Result<&Map<String, Json>> {
    item.as_object().ok_or_else(|| Error::field("records", "Must be an object"))
}
