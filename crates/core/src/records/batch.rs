//! Many records in one request: each is decided and validated on its own, and the failure of one leaves the others.

use fastcms_expr::Context;
use futures_util::StreamExt;
use serde_json::{Map, Value as Json};

use super::create;
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
pub struct BatchFailure {
    pub index: usize,
    pub error: Error,
}

/// What became of the items.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// The records that were made, in the order of their items, as JSON.
    pub records: Vec<Vec<u8>>,
    pub failures: Vec<BatchFailure>,
}

/// Makes a record of each item. An item is an object, or fails alone.
pub async fn create_many(
    caller: &Caller,
    app: &App,
    request: RequestFacts<'_>,
    collection: &str,
    items: &[Json],
) -> Result<BatchOutcome> {
    access::require_account(caller)?;
    if items.is_empty() {
        return Err(Error::field("records", "This field is required"));
    }
    if items.len() > MAX_ITEMS {
        return Err(Error::BatchTooLarge { limit: MAX_ITEMS });
    }
    if app.schema.load().by_name(collection).is_none() {
        return Err(Error::NotFound);
    }
    let request = request.within(Context::Batch);
    let nothing = Map::new();
    let made = items.iter().map(|item| {
        let data = item.as_object().unwrap_or(&nothing);
        create(caller, app, request, collection, data)
    });
    let mut outcome = BatchOutcome::default();
    let mut answers = futures_util::stream::iter(made).buffered(AT_ONCE).enumerate();
    while let Some((index, answer)) = answers.next().await {
        match answer {
            Ok(created) => outcome.records.push(created.record),
            Err(error) => outcome.failures.push(BatchFailure { index, error }),
        }
    }
    Ok(outcome)
}
