//! What a record points at: other records, and files. Looked for in the transaction that stores the pointer, and kept from going until it
//! ends.

use std::collections::HashSet;

use fastcms_store::collections::is_called;
use fastcms_store::files::{self, Place, Reach};
use fastcms_store::records::{self as rows, View};
use fastcms_store::schema::Collection;
use fastcms_store::{Tx, Value};

use super::Failure;
use crate::error::{Error, FieldErrors};
use crate::fields::{self, Draft};

/// What a field is told that points at no record.
pub(crate) const NOT_THERE: &str = "The related record does not exist";
/// What the type field of a polymorphic relation is told that names no collection.
pub(crate) const NO_TARGET: &str = "Must be the name of a collection";

/// Everything that the draft points at is there, and its files are within `reach` and fit their fields; what a field holds already
/// stays, whoever put it there. Files that belong to nothing yet belong to the record from then on, and those given up no longer do.
pub(super) async fn check(
    tx: &mut Tx<'_>,
    view: &View,
    draft: &Draft,
    reach: &Reach,
    holder: Holder<'_>,
) -> Result<(), Failure> {
    let mut errors = FieldErrors::default();
    check_records(tx, view, draft, &mut errors).await?;
    check_pairs(tx, view, draft, holder.stored(), &mut errors).await?;
    check_files(tx, &view.collection, draft, reach, holder, &mut errors).await?;
    errors.into_result().map_err(Failure::Final)
}

/// The record that points, by its id.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    /// Not stored yet.
    New(&'a str),
    Stored(&'a str),
}

impl<'a> Holder<'a> {
    fn stored(self) -> Option<&'a str> {
        match self {
            Self::New(_) => None,
            Self::Stored(id) => Some(id),
        }
    }

    fn id(self) -> &'a str {
        let (Self::New(id) | Self::Stored(id)) = self;
        id
    }
}

async fn check_records(tx: &mut Tx<'_>, view: &View, draft: &Draft, errors: &mut FieldErrors) -> Result<(), Failure> {
    for (at, ids) in &draft.related {
        let field = &view.collection.fields()[*at];
        if field.polymorphic_type_field().is_some() {
            continue;
        }
        let exist = match view.schema.target(field) {
            Some(target) => rows::exist(tx, target, ids).await?,
            None => false,
        };
        if !exist {
            errors.add(field.name.as_str(), NOT_THERE);
        }
    }
    Ok(())
}

/// Polymorphic relations of which the draft sets the pointer, or the name of the collection, or both: the two as they will stand.
async fn check_pairs(
    tx: &mut Tx<'_>,
    view: &View,
    draft: &Draft,
    id: Option<&str>,
    errors: &mut FieldErrors,
) -> Result<(), Failure> {
    let collection = &*view.collection;
    let sent = |at: usize| draft.sets.iter().find(|(set, _)| *set == at).map(|(_, value)| value);
    let pairs = (0..collection.fields().len()).filter_map(|at| Some([at, collection.polymorphic_type(at)?]));
    for pair in pairs.filter(|pair| pair.iter().any(|at| sent(*at).is_some())) {
        let mut values = match id {
            Some(id) if pair.iter().any(|at| sent(*at).is_none()) => {
                rows::current(tx, collection, id, &pair).await?.ok_or(Error::NotFound)?
            }
            _ => vec![None, None],
        };
        for (value, at) in values.iter_mut().zip(pair) {
            match sent(at) {
                Some(Value::Text(text)) => *value = Some(text.clone()),
                Some(_) => *value = None,
                None => {}
            }
        }
        let [at, named] = pair.map(|at| collection.fields()[at].name.as_str());
        let [Some(pointer), name] = &values[..] else { continue };
        let Some(target) = name.as_deref().and_then(|name| view.schema.polymorphic_target(name)) else {
            errors.add(named, NO_TARGET);
            continue;
        };
        if !rows::exist(tx, target, std::slice::from_ref(pointer)).await? {
            errors.add(at, NOT_THERE);
        } else if !is_called(tx, target).await? {
            return Err(Failure::Stale);
        }
    }
    Ok(())
}

async fn check_files(
    tx: &mut Tx<'_>,
    collection: &Collection,
    draft: &Draft,
    reach: &Reach,
    holder: Holder<'_>,
    errors: &mut FieldErrors,
) -> Result<(), Failure> {
    if draft.files.is_empty() {
        return Ok(());
    }
    let positions: Vec<usize> = draft.files.iter().map(|(at, _)| *at).collect();
    let stored = match holder.stored() {
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
        let place = Place { collection: collection.id(), record: holder.id(), field: &field.name };
        let given_up: Vec<&str> = kept.iter().filter(|id| !ids.contains(*id)).map(String::as_str).collect();
        files::detach(tx, &given_up, place).await?;
        files::attach(tx, &added, place).await?;
    }
    Ok(())
}
