//! Records that stand in the way of a change, put into words.

use fastcms_store::Tx;
use fastcms_store::collections::{self as rows, MAX_NAMED, Obstacles};
use fastcms_store::schema::{Field, FieldType};

use super::retype::{self, Converter};
use super::update::Change;
use crate::error::{Error, FieldErrors, Result};

/// "2 records have no value: a, b".
pub(super) fn told(found: &Obstacles, one: &str, many: &str) -> String {
    let ids = found.ids.join(", ");
    let more = if found.count > MAX_NAMED as u64 { ", …" } else { "" };
    match found.count {
        1 => format!("1 record {one}: {ids}"),
        count => format!("{count} records {many}: {ids}{more}"),
    }
}

/// Refuses a change that records stand in the way of; all of them are said at once. Wants the table locked.
pub(super) async fn check(tx: &mut Tx<'_>, change: &Change<'_>, converter: &Converter) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (at, field) in change.new.definition().fields.iter().enumerate() {
        let now = change.new.position(&field.name).ok_or(Error::NotFound)?;
        if change.new.fields()[now].system {
            continue;
        }
        let mut faults = FieldErrors::default();
        match change.origins.of(now) {
            Some(was) => check_kept(tx, change, converter, (was, now), &mut faults).await?,
            None => check_new(tx, change, field, &mut faults).await?,
        }
        errors.nest(&format!("schema.{at}"), faults);
    }
    errors.into_result()
}

async fn check_new(tx: &mut Tx<'_>, change: &Change<'_>, field: &Field, faults: &mut FieldErrors) -> Result<()> {
    if field.validation.required && field.kind != FieldType::Autodate {
        let found = rows::all(tx, change.old).await?;
        note(faults, "validation.required", &found, "has no value yet", "have no value yet");
    }
    Ok(())
}

async fn check_kept(
    tx: &mut Tx<'_>,
    change: &Change<'_>,
    converter: &Converter,
    (was, now): (usize, usize),
    faults: &mut FieldErrors,
) -> Result<()> {
    let (old, new) = (&change.old.fields()[was], &change.new.fields()[now]);
    if retype::is_needed(old, new) {
        let found = rows::unfit(tx, change.old, was, &|json| converter.convert(now, json).is_some()).await?;
        let key = retype::narrower(old, new).unwrap_or("type");
        note(faults, key, &found, "has a value that does not fit", "have values that do not fit");
    }
    let target =
        |schema: &fastcms_store::schema::Schema, field| schema.target(field).map(|target| target.id().to_owned());
    let is_named_elsewhere =
        change.new.polymorphic_type(now).and_then(|named| change.origins.of(named)) != change.old.polymorphic_type(was);
    if old.kind == FieldType::Relation
        && new.kind == FieldType::Relation
        && (is_named_elsewhere || target(change.before, old) != target(change.after, new))
    {
        let found = rows::with_value(tx, change.old, was).await?;
        note(
            faults,
            "relation.collection",
            &found,
            "points into the collection before",
            "point into the collection before",
        );
    }
    if new.validation.required && !old.validation.required {
        let found = rows::without_value(tx, change.old, was).await?;
        note(faults, "validation.required", &found, "has no value", "have no value");
    }
    if new.validation.unique && !old.validation.unique {
        let found = rows::colliding(tx, change.old, &[&old.name]).await?;
        note(faults, "validation.unique", &found, "shares its value", "share a value with another");
    }
    if let Some(limit) = change.new.byte_limit(now)
        && change.old.byte_limit(was).is_none_or(|before| before > limit)
    {
        let found = rows::longer_than(tx, change.old, was, limit).await?;
        let (one, many) = (format!("has more than {limit} bytes"), format!("have more than {limit} bytes"));
        note(faults, "validation.unique", &found, &one, &many);
    }
    Ok(())
}

fn note(faults: &mut FieldErrors, key: &str, found: &Obstacles, one: &str, many: &str) {
    if !found.is_empty() {
        faults.add(key, told(found, one, many));
    }
}
