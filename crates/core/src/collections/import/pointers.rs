//! What the records of a document point at: records and files that are there, or records that are among them.

use std::collections::{BTreeMap, HashSet};

use fastcms_store::collections as rows;
use fastcms_store::files::{self, Reach};
use fastcms_store::schema::{Collection, Field, OnDelete, Schema};
use fastcms_store::{Tx, Value};

use super::{Checked, MAX_DESCRIBED};
use crate::error::{FieldErrors, Result};
use crate::fields;
use crate::records::pointers::{NO_TARGET, NOT_THERE};

/// Everything that the records point at is there, or is among them. Where a deletion leaves a pointer as it is, it may point nowhere.
pub(super) async fn check(
    tx: &mut Tx<'_>,
    schema: &Schema,
    collection: &Collection,
    checked: &[Checked],
    reach: &Reach,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    let own: HashSet<&str> = checked.iter().map(|checked| checked.record.id.as_str()).collect();
    for (at, field) in collection.fields().iter().enumerate() {
        check_files(tx, field, &pointers(checked, at, |checked| &checked.files), reach, &mut errors).await?;
        if field.relation.as_ref().is_none_or(|relation| relation.cascade_delete == OnDelete::NoAction) {
            continue;
        }
        for (target, pointers) in by_target(schema, collection, at, checked, &mut errors) {
            let found = match target {
                Some(target) if target.id() == collection.id() => None,
                Some(target) => Some(rows::existing(tx, target, &asked(&pointers)).await?),
                None => Some(HashSet::new()),
            };
            let is_there =
                |id: &String| found.as_ref().map_or_else(|| own.contains(id.as_str()), |found| found.contains(id));
            let lost = pointers.iter().filter(|(_, ids)| !ids.iter().all(is_there));
            for (number, _) in lost.take(MAX_DESCRIBED) {
                errors.add(format!("records.{number}.data.{}", field.name), NOT_THERE);
            }
        }
    }
    errors.into_result()
}

type Pointers<'c> = Vec<(usize, &'c Vec<String>)>;

/// The pointers in one relation field by the collection that they point into. Of a polymorphic one each record says which; a record
/// that does not is a fault of its own.
fn by_target<'c>(
    schema: &'c Schema,
    collection: &'c Collection,
    at: usize,
    checked: &'c [Checked],
    errors: &mut FieldErrors,
) -> Vec<(Option<&'c Collection>, Pointers<'c>)> {
    let pointers = pointers(checked, at, |checked| &checked.related);
    let Some(named) = collection.polymorphic_type(at) else {
        return vec![(schema.target(&collection.fields()[at]).map(AsRef::as_ref), pointers)];
    };
    let mut groups: BTreeMap<&str, (Option<&Collection>, Pointers<'_>)> = BTreeMap::new();
    let mut nameless = 0;
    for (number, ids) in pointers {
        let target = match &checked[number].record.values[named] {
            Value::Text(name) => schema.polymorphic_target(name),
            _ => None,
        };
        if let Some(target) = target {
            groups.entry(target.id()).or_insert_with(|| (Some(target), Vec::new())).1.push((number, ids));
        } else if nameless < MAX_DESCRIBED {
            nameless += 1;
            errors.add(format!("records.{number}.data.{}", collection.fields()[named].name), NO_TARGET);
        }
    }
    groups.into_values().collect()
}

async fn check_files(
    tx: &mut Tx<'_>,
    field: &Field,
    pointers: &[(usize, &Vec<String>)],
    reach: &Reach,
    errors: &mut FieldErrors,
) -> Result<()> {
    if pointers.is_empty() {
        return Ok(());
    }
    let held = files::hold(tx, &asked(pointers), reach).await?;
    let faulty = pointers.iter().filter_map(|(number, ids)| {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let faults = fields::file_faults(field, &ids, &held);
        (!faults.is_empty()).then_some((number, faults))
    });
    for (number, faults) in faulty.take(MAX_DESCRIBED) {
        errors.add(format!("records.{number}.data.{}", field.name), faults.join("; "));
    }
    Ok(())
}

/// The pointers in one field: the number of the record, and the ids.
fn pointers(checked: &[Checked], at: usize, kind: impl Fn(&Checked) -> &Vec<(usize, Vec<String>)>) -> Pointers<'_> {
    let records = checked.iter().enumerate();
    records
        .flat_map(|(number, checked)| {
            kind(checked).iter().filter(move |(of, _)| *of == at).map(move |(_, ids)| (number, ids))
        })
        .collect()
}

/// Each id once.
fn asked<'i>(pointers: &[(usize, &'i Vec<String>)]) -> Vec<&'i str> {
    let mut asked: Vec<&str> = pointers.iter().flat_map(|(_, ids)| ids.iter()).map(String::as_str).collect();
    asked.sort_unstable();
    asked.dedup();
    asked
}
