//! What a record points at: other records, and files. Looked for in the transaction that stores the pointer, and kept from going until it
//! ends.

use std::collections::HashSet;

use fastcms_store::Tx;
use fastcms_store::files::{self, Reach};
use fastcms_store::records::{self as rows, View};
use fastcms_store::schema::Collection;

use super::Failure;
use crate::error::{Error, FieldErrors};
use crate::fields::{self, Draft};

/// Everything that the draft points at is there, and its files are within `reach` and fit their fields. `id` is that of the record that
/// is changed; what a field of it holds already stays, whoever put it there.
pub(super) async fn check(
    tx: &mut Tx<'_>,
    view: &View,
    draft: &Draft,
    reach: &Reach,
    id: Option<&str>,
) -> Result<(), Failure> {
    let mut errors = FieldErrors::default();
    check_records(tx, view, draft, &mut errors).await?;
    check_files(tx, &view.collection, draft, reach, id, &mut errors).await?;
    errors.into_result().map_err(Failure::Final)
}

async fn check_records(tx: &mut Tx<'_>, view: &View, draft: &Draft, errors: &mut FieldErrors) -> Result<(), Failure> {
    for (at, ids) in &draft.related {
        let field = &view.collection.fields()[*at];
        let exist = match view.schema.target(field) {
            Some(target) => rows::exist(tx, target, ids).await?,
            None => false,
        };
        if !exist {
            errors.add(field.name.as_str(), "The related record does not exist");
        }
    }
    Ok(())
}

async fn check_files(
    tx: &mut Tx<'_>,
    collection: &Collection,
    draft: &Draft,
    reach: &Reach,
    id: Option<&str>,
    errors: &mut FieldErrors,
) -> Result<(), Failure> {
    if draft.files.is_empty() {
        return Ok(());
    }
    let positions: Vec<usize> = draft.files.iter().map(|(at, _)| *at).collect();
    let stored = match id {
        Some(id) => rows::current(tx, collection, id, &positions).await?.ok_or(Error::NotFound)?,
        None => vec![None; positions.len()],
    };
    for ((at, ids), stored) in draft.files.iter().zip(stored) {
        let kept: HashSet<String> = stored.and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default();
        let added: Vec<&str> = ids.iter().filter(|id| !kept.contains(*id)).map(String::as_str).collect();
        let held = files::hold(tx, &added, reach).await?;
        let field = &collection.fields()[*at];
        for fault in fields::file_faults(field, &added, &held) {
            errors.add(field.name.as_str(), fault);
        }
    }
    Ok(())
}
