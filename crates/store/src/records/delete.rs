//! Taking records away, and what happens to those that point at them.

use std::collections::{BTreeMap, HashSet};

use super::{Event, announce};
use crate::schema::{Collection, OnDelete, Reference, Schema, Storage};
use crate::{Change, ChangeKind, Error, Sql, Tx, Value, accounts, files};

/// Most records that one deletion takes away or changes by its relations.
pub const MAX_AFFECTED: usize = 1_000;

/// How a deletion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    Done,
    /// Records of this collection point at it and forbid it.
    Restricted {
        collection: String,
    },
    /// More than [`MAX_AFFECTED`] records would be taken away or changed.
    TooMany,
}

/// The relation fields that point, or may point, at a collection and ask for something when one of its records goes.
pub fn relations_of<'s>(
    schema: &'s Schema,
    collection: &'s Collection,
) -> impl Iterator<Item = (Reference<'s>, OnDelete)> {
    schema.references(collection.id()).chain(schema.polymorphic()).filter_map(|reference| {
        let relation = reference.collection.fields()[reference.field].relation.as_ref()?;
        (relation.cascade_delete != OnDelete::NoAction).then_some((reference, relation.cascade_delete))
    })
}

/// Deletes a record that exists, following every relation that points at it; accounts lose their sessions with it. Goes from collection to
/// collection, each with all of its records at once. Anything but [`Deleted::Done`]
/// wants the transaction (or savepoint) undone.
pub async fn delete(
    tx: &mut Tx<'_>,
    schema: &Schema,
    collection: &Collection,
    id: &str,
    now: &str,
) -> Result<Deleted, Error> {
    let mut seen = HashSet::from([(collection.id().to_owned(), id.to_owned())]);
    let mut waiting = BTreeMap::from([(collection.id().to_owned(), vec![id.to_owned()])]);
    let mut changed = 0;
    while let Some((home, ids)) = waiting.pop_first() {
        let Some(home) = schema.by_id(&home) else { continue };
        let ids = remove(tx, home, &ids, now).await?;
        if ids.is_empty() {
            continue;
        }
        for (reference, action) in relations_of(schema, home) {
            let pointing = pointing(tx, reference, home, &ids).await?;
            let pointing: Vec<_> =
                pointing.into_iter().filter(|(other, _)| !seen.contains(&key(reference, other))).collect();
            if pointing.is_empty() {
                continue;
            }
            let is_required = reference.collection.fields()[reference.field].validation.required;
            match action {
                OnDelete::Restrict => {
                    return Ok(Deleted::Restricted { collection: reference.collection.name().to_owned() });
                }
                OnDelete::SetNull if is_required => {
                    return Ok(Deleted::Restricted { collection: reference.collection.name().to_owned() });
                }
                OnDelete::Cascade => {
                    seen.extend(pointing.iter().map(|(other, _)| key(reference, other)));
                    let next = waiting.entry(reference.collection.id().to_owned()).or_default();
                    next.extend(pointing.into_iter().map(|(other, _)| other));
                }
                OnDelete::SetNull => {
                    changed += pointing.len();
                    for (other, value) in pointing {
                        clear(tx, reference, &other, &value, &ids, now).await?;
                    }
                }
                OnDelete::NoAction => {}
            }
            if seen.len() + changed > MAX_AFFECTED {
                return Ok(Deleted::TooMany);
            }
        }
    }
    Ok(Deleted::Done)
}

fn key(reference: Reference<'_>, id: &str) -> (String, String) {
    (reference.collection.id().to_owned(), id.to_owned())
}

/// Takes rows of one collection away, with what belongs to each; answers those that there were.
async fn remove(tx: &mut Tx<'_>, home: &Collection, ids: &[String], now: &str) -> Result<Vec<String>, Error> {
    // The rows go first: their lock makes whoever is about to point at one wait for us, or us for them.
    let mut sql = tx.sql();
    sql.push("DELETE FROM ").table(home.table()).push(" WHERE id IN ");
    push_set(&mut sql, ids);
    sql.push(" RETURNING id");
    let gone = tx.fetch(&sql).await?.into_iter().map(|mut row| row.take_text(0));
    let gone = gone.collect::<Result<Vec<_>, _>>()?;
    tx.count(home.id(), -i64::try_from(gone.len()).unwrap_or(i64::MAX));
    files::detach_all(tx, home.id(), &gone).await?;
    for id in &gone {
        announce(tx, home, Event::Deleted, id, now);
        if home.is_auth() {
            accounts::forget(tx, home.id(), id).await?;
            tx.announce(Change::new(ChangeKind::Account, id.as_str()));
        }
    }
    Ok(gone)
}

/// The records whose field points at one of the records `ids` of `home`, with the field's value: one look through the table for all of them.
async fn pointing(
    tx: &mut Tx<'_>,
    reference: Reference<'_>,
    home: &Collection,
    ids: &[String],
) -> Result<Vec<(String, String)>, Error> {
    let (collection, at) = (reference.collection, reference.field);
    let column = collection.column(at);
    let mut sql = tx.sql();
    sql.push("SELECT id, ").ident(column).push(" FROM ").table(collection.table()).push(" WHERE ");
    match ids {
        _ if collection.storage(at) == Storage::Text => {
            sql.ident(column).push(" IN ");
            push_set(&mut sql, ids);
        }
        // A list of ids is canonical JSON, where the quoted id can be nothing but an item.
        [id] => {
            sql.pick("instr(", "strpos(").ident(column).push(", ").bind_typed(quoted(id)).push(") > 0");
        }
        _ => {
            sql.pick("EXISTS (SELECT 1 FROM json_each(", "EXISTS (SELECT 1 FROM jsonb_array_elements_text(");
            sql.ident(column).pick(") AS e WHERE e.value IN ", "::jsonb) AS e(value) WHERE e.value IN ");
            push_set(&mut sql, ids);
            sql.push(")");
        }
    }
    if let Some(named) = collection.polymorphic_type(at) {
        sql.push(" AND ").ident(collection.column(named)).push(" = ").bind(home.name());
    }
    let limit = i64::try_from(MAX_AFFECTED + 1).unwrap_or(i64::MAX);
    sql.push(" LIMIT ").bind(limit).pick("", " FOR UPDATE");
    tx.fetch(&sql).await?.into_iter().map(|mut row| Ok((row.take_text(0)?, row.take_text(1)?))).collect()
}

/// Writes a set of ids for `IN`: one bind, so that the statement is the same for any number of them.
fn push_set(sql: &mut Sql, ids: &[String]) {
    let list = serde_json::Value::from(ids).to_string();
    sql.pick("(SELECT value FROM json_each(", "(SELECT jsonb_array_elements_text((")
        .bind_typed(list)
        .pick("))", ")::jsonb))");
}

async fn clear(
    tx: &mut Tx<'_>,
    reference: Reference<'_>,
    other: &str,
    value: &str,
    gone: &[String],
    now: &str,
) -> Result<(), Error> {
    let (collection, at) = (reference.collection, reference.field);
    let left = if collection.storage(at) == Storage::Text {
        Value::Null
    } else {
        let ids: Vec<String> =
            serde_json::from_str(value).map_err(|_| Error::internal("a stored list of ids is bad"))?;
        let left: Vec<_> = ids.into_iter().filter(|kept| !gone.contains(kept)).collect();
        Value::Text(serde_json::Value::from(left).to_string())
    };
    let mut sql: Sql = tx.sql();
    sql.push("UPDATE ").table(collection.table()).push(" SET ").ident(collection.column(at)).push(" = ").bind(left);
    sql.push(", \"updated\" = ").bind(now).push(" WHERE id = ").bind(other);
    tx.execute(&sql).await?;
    announce(tx, collection, Event::Updated, other, now);
    Ok(())
}

fn quoted(id: &str) -> String {
    serde_json::Value::from(id).to_string()
}
