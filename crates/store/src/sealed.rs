//! Where sealed values lie: fields of collections, and second factors. They are counted by the data key they name, listed, and replaced
//! by what another data key sealed. What is in them is not known here.

use crate::schema::Collection;
use crate::{Dialect, Reader, Result, Row, Tx, Value};

/// A sealed value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedText {
    /// Id of the record.
    pub record: String,
    pub sealed: String,
}

/// How many values of a field each data key sealed, by the number that they name; what names none is `None`.
pub async fn count(reader: &mut Reader<'_>, collection: &Collection, at: usize) -> Result<Vec<(Option<i64>, i64)>> {
    let mut sql = reader.sql();
    let column = collection.column(at);
    sql.push("SELECT ");
    sql.pick("substr(", "split_part(").ident(column);
    if reader.dialect() == Dialect::Sqlite {
        sql.push(", 4, instr(substr(").ident(column).push(", 4), '.') - 1)");
    } else {
        sql.push(", '.', 2)");
    }
    sql.push(" AS key_id, count(*) FROM ").table(collection.table()).push(" WHERE ").ident(column);
    sql.push(" IS NOT NULL GROUP BY 1 ORDER BY 1");
    reader
        .fetch(&sql)
        .await?
        .iter()
        .map(|row| Ok((row.opt_text(0)?.and_then(|id| id.parse().ok()), row.int(1)?)))
        .collect()
}

/// Values of a field that do not begin with `prefix`, behind the record `after`, in the order of the records' ids. An empty prefix asks
/// for all of them.
pub async fn others(
    reader: &mut Reader<'_>,
    collection: &Collection,
    at: usize,
    (prefix, after): (&str, &str),
    limit: i64,
) -> Result<Vec<SealedText>> {
    let mut sql = reader.sql();
    let column = collection.column(at);
    sql.push("SELECT \"id\", ").ident(column).push(" FROM ").table(collection.table()).push(" WHERE ").ident(column);
    sql.push(" IS NOT NULL AND \"id\" > ").bind(after);
    if !prefix.is_empty() {
        let length = i64::try_from(prefix.len()).unwrap_or(i64::MAX);
        sql.push(" AND substr(").ident(column).push(", 1, ").bind_typed(length).pick(")", "::int)");
        sql.push(" <> ").bind_typed(prefix);
    }
    sql.push(" ORDER BY \"id\" LIMIT ").bind(limit);
    let read = |row: &Row| Ok(SealedText { record: row.text(0)?.to_owned(), sealed: row.text(1)?.to_owned() });
    reader.fetch(&sql).await?.iter().map(read).collect()
}

/// What is to lie in the place of a sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Id of the record.
    pub record: String,
    pub old: String,
    pub new: String,
}

/// Values of one UPDATE: few sizes, so that few statements are kept prepared.
const CHUNKS: [usize; 3] = [100, 10, 1];

/// Puts new values in the place of old ones, unless those have changed since they were read; says how many that were. A record that
/// somebody else is writing at the moment is passed over, so that nobody waits for two of us in a circle.
pub async fn replace(tx: &mut Tx<'_>, collection: &Collection, at: usize, replacements: &[Replacement]) -> Result<u64> {
    let (mut left, mut replaced) = (replacements, 0);
    for size in CHUNKS {
        while left.len() >= size {
            let (chunk, rest) = left.split_at(size);
            replaced += replace_chunk(tx, collection, at, chunk).await?;
            left = rest;
        }
    }
    Ok(replaced)
}

async fn replace_chunk(
    tx: &mut Tx<'_>,
    collection: &Collection,
    at: usize,
    replacements: &[Replacement],
) -> Result<u64> {
    let column = collection.column(at);
    let mut sql = tx.sql();
    sql.push("UPDATE ").table(collection.table()).push(" AS t SET ").ident(column).push(" = v.column3 FROM (VALUES ");
    sql.comma_list(replacements, |sql, one| {
        sql.push("(").bind_typed(one.record.as_str()).push(", ").bind_typed(one.old.as_str()).push(", ");
        sql.bind_typed(one.new.as_str()).push(")");
    });
    sql.push(") AS v WHERE t.\"id\" = v.column1 AND t.").ident(column).push(" = v.column2");
    if tx.dialect() == Dialect::Postgres {
        sql.push(" AND t.\"id\" IN (SELECT \"id\" FROM ").table(collection.table()).push(" WHERE \"id\" IN (");
        sql.comma_list(replacements, |sql, one| {
            sql.bind(one.record.as_str());
        });
        sql.push(") FOR UPDATE SKIP LOCKED)");
    }
    tx.execute(&sql).await
}

/// A sealed second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFactor {
    pub realm: String,
    pub account_id: String,
    pub secret: Vec<u8>,
}

/// Second factors behind this account, in order.
pub async fn factors(reader: &mut Reader<'_>, after: (&str, &str), limit: i64) -> Result<Vec<SealedFactor>> {
    let mut sql = reader.sql();
    sql.push("SELECT realm, account_id, secret FROM second_factors WHERE (realm, account_id) > (").bind_typed(after.0);
    sql.push(", ").bind_typed(after.1).push(") ORDER BY realm, account_id LIMIT ").bind(limit);
    let read = |row: &Row| {
        Ok(SealedFactor {
            realm: row.text(0)?.to_owned(),
            account_id: row.text(1)?.to_owned(),
            secret: row.bytes(2)?.to_vec(),
        })
    };
    reader.fetch(&sql).await?.iter().map(read).collect()
}

/// Puts `new` in the place of a second factor's secret, unless that has changed since it was read.
pub async fn replace_factor(tx: &mut Tx<'_>, factor: &SealedFactor, new: Vec<u8>) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("UPDATE second_factors SET secret = ").bind(Value::from(new)).push(" WHERE realm = ");
    sql.bind(factor.realm.as_str()).push(" AND account_id = ").bind(factor.account_id.as_str());
    sql.push(" AND secret = ").bind(factor.secret.as_slice());
    Ok(tx.execute(&sql).await? > 0)
}
