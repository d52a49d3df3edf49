//! Taking records away, and what happens to those that point at them.

use std::collections::HashSet;

use super::{Event, announce};
use crate::schema::{Collection, OnDelete, Reference, Schema, Storage};
use crate::{Change, ChangeKind, Error, Sql, Tx, Value, accounts};

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

/// The relation fields that point at a collection and ask for something when one of its records goes.
pub fn relations_of<'s>(
    schema: &'s Schema,
    collection: &'s Collection,
) -> impl Iterator<Item = (Reference<'s>, OnDelete)> {
    schema.references(collection.id()).filter_map(|reference| {
        let relation = reference.collection.fields()[reference.field].relation.as_ref()?;
        (relation.cascade_delete != OnDelete::NoAction).then_some((reference, relation.cascade_delete))
    })
}

/// Deletes a record that exists, following every relation that points at it; accounts lose their sessions with it. Anything but [`Deleted::Done`] wants the transaction (or
/// savepoint) undone.
pub async fn delete(
    tx: &mut Tx<'_>,
    schema: &Schema,
    collection: &Collection,
    id: &str,
    now: &str,
) -> Result<Deleted, Error> {
    let mut seen = HashSet::from([(collection.id().to_owned(), id.to_owned())]);
    let mut waiting = vec![(collection.id().to_owned(), id.to_owned())];
    let mut changed = 0;
    while let Some((home, id)) = waiting.pop() {
        let Some(home) = schema.by_id(&home) else { continue };
        // The row goes first: its lock makes whoever is about to point at it wait for us, or us for them.
        let mut sql = tx.sql();
        sql.push("DELETE FROM ").table(home.table()).push(" WHERE id = ").bind(&id);
        if tx.execute(&sql).await? == 0 {
            continue;
        }
        tx.count(home.id(), -1);
        announce(tx, home, Event::Deleted, &id, now).await?;
        if home.is_auth() {
            accounts::forget(tx, home.id(), &id).await?;
            tx.announce(Change::new(ChangeKind::Account, id.as_str()));
        }
        for (reference, action) in relations_of(schema, home) {
            let pointing = pointing(tx, reference, &id).await?;
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
                    for (other, _) in pointing {
                        seen.insert(key(reference, &other));
                        waiting.push(key(reference, &other));
                    }
                }
                OnDelete::SetNull => {
                    changed += pointing.len();
                    for (other, value) in pointing {
                        clear(tx, reference, &other, &value, &id, now).await?;
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

/// The records whose field points at `id`, with the field's value.
async fn pointing(tx: &mut Tx<'_>, reference: Reference<'_>, id: &str) -> Result<Vec<(String, String)>, Error> {
    let (collection, at) = (reference.collection, reference.field);
    let mut sql = tx.sql();
    sql.push("SELECT id, ").ident(collection.column(at)).push(" FROM ").table(collection.table()).push(" WHERE ");
    if collection.storage(at) == Storage::Text {
        sql.ident(collection.column(at)).push(" = ").bind(id);
    } else {
        // A list of ids is canonical JSON, where the quoted id can be nothing but an item.
        sql.pick("instr(", "strpos(").ident(collection.column(at)).push(", ").bind_typed(quoted(id)).push(") > 0");
    }
    let limit = i64::try_from(MAX_AFFECTED + 1).unwrap_or(i64::MAX);
    sql.push(" LIMIT ").bind(limit).pick("", " FOR UPDATE");
    tx.fetch(&sql).await?.into_iter().map(|mut row| Ok((row.take_text(0)?, row.take_text(1)?))).collect()
}

async fn clear(
    tx: &mut Tx<'_>,
    reference: Reference<'_>,
    other: &str,
    value: &str,
    id: &str,
    now: &str,
) -> Result<(), Error> {
    let (collection, at) = (reference.collection, reference.field);
    let left = if collection.storage(at) == Storage::Text {
        Value::Null
    } else {
        let ids: Vec<String> =
            serde_json::from_str(value).map_err(|_| Error::internal("a stored list of ids is bad"))?;
        let left: Vec<_> = ids.into_iter().filter(|kept| kept != id).collect();
        Value::Text(serde_json::Value::from(left).to_string())
    };
    let mut sql: Sql = tx.sql();
    sql.push("UPDATE ").table(collection.table()).push(" SET ").ident(collection.column(at)).push(" = ").bind(left);
    sql.push(", \"updated\" = ").bind(now).push(" WHERE id = ").bind(other);
    tx.execute(&sql).await?;
    announce(tx, collection, Event::Updated, other, now).await
}

fn quoted(id: &str) -> String {
    serde_json::Value::from(id).to_string()
}
