//! Many records in one request: each is decided and validated on its own, and the failure of one leaves the others.

use fastcms_expr::Context;
use serde_json::{Map, Value as Json};

use super::{Door, create};
use crate::access::{self, RequestFacts};
use crate::app::App;
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
    let creations = items.iter().map(|item| async move { create(caller, app, request, collection, object(item)?).await }).collect();
    let mut outcome = BatchOutcome::default();
    for (index, answer) in in_order(creations).await.into_iter().enumerate() {
        match answer {
            Ok(created) => outcome.records.push(created.record),
            Err(error) => outcome.failures.push(ItemFailure { index, error }),
        }
    }
    Ok(outcome)
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
