//! Making and changing records.

use fastcms_expr::Predicate;

use super::{View, json};
use crate::error::Fault;
use crate::predicate::Trust;
use crate::schema::FieldType;
use crate::{Columns, Dialect, Error, Reader, Sql, Tx, Value};

/// An amount to add to a number field, by its position.
pub type Increment = (usize, f64);

/// A record as it stands after a write.
#[derive(Debug)]
pub struct Written {
    /// As JSON.
    pub record: Vec<u8>,
    /// The version of the collection that the row was written under: another than the caller's means that what was checked may no longer
    /// hold, and that the write has to be undone and done again.
    pub version: i64,
    /// What the increments came to.
    pub numbers: Vec<(usize, f64)>,
}

/// Stores a new record. `sets` are values by position; fields that are not among them are null.
pub async fn insert(
    tx: &mut Tx<'_>,
    view: &View,
    id: &str,
    sets: &[(usize, Value)],
    now: &str,
) -> Result<Written, Error> {
    let collection = &*view.collection;
    let automatic = autodates(view, sets, true);
    let mut sql = tx.sql();
    sql.push("INSERT INTO ").table(collection.table()).push(" (\"id\", \"created\", \"updated\"");
    for at in sets.iter().map(|(at, _)| at).chain(&automatic) {
        sql.push(", ").ident(collection.column(*at));
    }
    let folded = folded_email(view, sets);
    if folded.is_some() {
        sql.push(", \"email_folded\"");
    }
    sql.push(") VALUES (").bind(id).push(", ").bind(now).push(", ").bind(now);
    for (_, value) in sets {
        sql.push(", ").bind(value);
    }
    for _ in &automatic {
        sql.push(", ").bind(now);
    }
    if let Some(folded) = folded {
        sql.push(", ").bind(folded);
    }
    sql.push(")");
    let written = returning(tx, view, sql, &[]).await?;
    tx.count(collection.id(), 1);
    written.ok_or_else(|| Error::internal("an insert returned no row"))
}

/// Changes the record with this id if it meets `rule`; `None` when there is none that does.
pub async fn update(
    tx: &mut Tx<'_>,
    view: &View,
    id: &str,
    rule: &Predicate,
    sets: &[(usize, Value)],
    increments: &[Increment],
    now: &str,
) -> Result<Option<Written>, Error> {
    let collection = &*view.collection;
    let mut sql = tx.sql();
    sql.push("UPDATE ").table(collection.table()).push(" AS t0 SET \"updated\" = ").bind(now);
    for (at, value) in sets {
        sql.push(", ").ident(collection.column(*at)).push(" = ").bind(value);
    }
    for at in autodates(view, sets, false) {
        sql.push(", ").ident(collection.column(at)).push(" = ").bind(now);
    }
    if let Some(folded) = folded_email(view, sets) {
        sql.push(", \"email_folded\" = ").bind(folded);
    }
    for (at, amount) in increments {
        sql.push(", ").ident(collection.column(*at)).push(" = coalesce(t0.").ident(collection.column(*at));
        sql.push(", 0) + ").bind_typed(*amount);
    }
    sql.push(" WHERE t0.id = ").bind(id);
    super::push_and(&mut sql, view, rule)?;
    returning(tx, view, sql, increments).await
}

async fn returning(
    tx: &mut Tx<'_>,
    view: &View,
    mut sql: Sql,
    increments: &[Increment],
) -> Result<Option<Written>, Error> {
    sql.push(" RETURNING ");
    view.push_columns(&mut sql);
    sql.push(", (SELECT c.version FROM collections AS c WHERE c.id = ").bind(view.collection.id()).push(")");
    for (at, _) in increments {
        sql.push(", ").ident(view.collection.column(*at));
    }
    let width = view.shape.width(&view.collection);
    let mut written = None;
    tx.for_each(&sql, |row: &dyn Columns| {
        let numbers = increments.iter().enumerate();
        written = Some(Written {
            record: json::record(view, row),
            version: row.int(width).unwrap_or(-1),
            numbers: numbers.map(|(i, (at, _))| (*at, row.real(width + 1 + i).unwrap_or(f64::NAN))).collect(),
        });
        Ok(())
    })
    .await?;
    Ok(written)
}

/// Fields that set themselves at this event, but those set by the caller.
fn autodates(view: &View, sets: &[(usize, Value)], is_new: bool) -> Vec<usize> {
    let fields = view.collection.fields().iter().enumerate();
    fields
        .filter(|(at, field)| {
            let options = field.autodate.unwrap_or_default();
            field.kind == FieldType::Autodate
                && (if is_new { options.on_create } else { options.on_update })
                && !sets.iter().any(|(set, _)| set == at)
        })
        .map(|(at, _)| at)
        .collect()
}

fn folded_email(view: &View, sets: &[(usize, Value)]) -> Option<String> {
    sets.iter().find(|(at, _)| view.collection.is_account_email(*at)).and_then(|(_, value)| match value {
        Value::Text(email) => Some(crate::accounts::fold_email(email)),
        _ => None,
    })
}

/// What each of `rules` says of the record with this id, which is then locked until the transaction ends. `None` when there is no such
/// record.
///
/// # Errors
/// One that [`is_stale`](super::is_stale) knows, where the collection is no longer the one that the rules were read from.
pub async fn decide(tx: &mut Tx<'_>, view: &View, id: &str, rules: &[&Predicate]) -> Result<Option<Vec<bool>>, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT (SELECT c.version FROM collections AS c WHERE c.id = ").bind(view.collection.id()).push(")");
    for rule in rules {
        sql.push(", CASE WHEN ");
        view.push_condition(&mut sql, rule, Trust::Rule)?;
        sql.push(" THEN 1 ELSE 0 END");
    }
    sql.push(" FROM ").table(view.collection.table()).push(" AS t0 WHERE t0.id = ").bind(id);
    sql.pick("", " FOR UPDATE OF t0");
    let Some(row) = tx.fetch_one(&sql).await? else { return Ok(None) };
    if row.opt_int(0)? != Some(view.collection.version()) {
        return Err(Error::Busy(Fault::new("stale", "a collection was changed meanwhile")));
    }
    (0..rules.len()).map(|i| row.bool(i + 1)).collect::<Result<_, _>>().map(Some)
}

/// Locks these records, as far as there are any, until the transaction ends: in an order that is the same for everybody, so that nobody
/// waits for one who waits for them.
pub async fn lock(tx: &mut Tx<'_>, collection: &crate::schema::Collection, ids: &[String]) -> Result<(), Error> {
    // On the other engine writes are one after another.
    if tx.dialect() == Dialect::Postgres && !ids.is_empty() {
        let mut sql = tx.sql();
        sql.push("SELECT 1 FROM ").table(collection.table()).push(" WHERE id IN (").binds_of(ids).push(")");
        sql.push(" ORDER BY id FOR UPDATE");
        tx.fetch(&sql).await?;
    }
    Ok(())
}

/// Whether a condition over no row holds: one that only looks into collections.
pub async fn holds(tx: &mut Tx<'_>, view: &View, predicate: &Predicate) -> Result<bool, Error> {
    if let Some(decided) = predicate.decided() {
        return Ok(decided);
    }
    let mut sql = tx.sql();
    push_holds(&mut sql, view, predicate)?;
    tx.fetch_one(&sql).await?.map_or(Ok(false), |row| row.bool(0))
}

/// The same as [`holds`], to look ahead.
pub async fn would_hold(reader: &mut Reader<'_>, view: &View, predicate: &Predicate) -> Result<bool, Error> {
    if let Some(decided) = predicate.decided() {
        return Ok(decided);
    }
    let mut sql = reader.sql();
    push_holds(&mut sql, view, predicate)?;
    reader.fetch_one(&sql).await?.map_or(Ok(false), |row| row.bool(0))
}

fn push_holds(sql: &mut Sql, view: &View, predicate: &Predicate) -> Result<(), Error> {
    sql.push("SELECT CASE WHEN ");
    view.push_condition(sql, predicate, Trust::Rule)?;
    sql.push(" THEN 1 ELSE 0 END");
    Ok(())
}

/// Whether all of `ids` are records of the collection, which are then kept from being deleted until the transaction ends.
pub async fn exist(tx: &mut Tx<'_>, collection: &crate::schema::Collection, ids: &[String]) -> Result<bool, Error> {
    if ids.is_empty() {
        return Ok(true);
    }
    let mut sql = tx.sql();
    sql.push("SELECT id FROM ").table(collection.table()).push(" WHERE id IN (").binds_of(ids).push(")");
    if tx.dialect() == Dialect::Postgres {
        sql.push(" ORDER BY id FOR KEY SHARE");
    }
    Ok(tx.fetch(&sql).await?.len() == ids.len())
}

/// The texts in these columns of the record with this id, which is then locked until the transaction ends. `None` when there is no
/// such record.
pub async fn current(
    tx: &mut Tx<'_>,
    collection: &crate::schema::Collection,
    id: &str,
    fields: &[usize],
) -> Result<Option<Vec<Option<String>>>, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT 1");
    for at in fields {
        sql.push(", ").ident(collection.column(*at));
    }
    sql.push(" FROM ").table(collection.table()).push(" WHERE id = ").bind(id).pick("", " FOR UPDATE");
    let row = tx.fetch_one(&sql).await?;
    let texts = |row: crate::Row| (1..=fields.len()).map(|at| Ok(row.opt_text(at)?.map(str::to_owned))).collect();
    row.map(texts).transpose()
}
