//! The same change, or the deletion, of many records: each item is decided by its own rule.

use serde_json::{Map, Value as Json};

use super::batch::{ItemFailure, begin, in_order};
use super::{delete, update};
use crate::access::RequestFacts;
use crate::app::App;
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
    let changes = ids.iter().map(|id| update(caller, app, request, collection, id, data)).collect();
    Ok(failures(in_order(changes).await))
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
    let deletions = ids.iter().map(|id| delete(caller, app, request, collection, id)).collect();
    Ok(failures(in_order(deletions).await))
}

fn failures<T>(answers: Vec<Result<T>>) -> Vec<ItemFailure> {
    let failed = answers.into_iter().enumerate();
    failed.filter_map(|(index, answer)| answer.err().map(|error| ItemFailure { index, error })).collect()
}
