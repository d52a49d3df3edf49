//! Rows of `data_keys`: random keys of the product's own, wrapped. What wraps and opens them is not the business of this module.

use crate::{Reader, Result, Row, Tx};

/// A wrapped key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    pub id: i64,
    /// What it is for.
    pub purpose: String,
    pub wrapped: String,
    /// Taken out of use: it opens what it sealed, and seals nothing more.
    pub is_retired: bool,
}

fn read(row: &Row) -> Result<StoredKey> {
    let (purpose, wrapped) = (row.text(1)?.to_owned(), row.text(2)?.to_owned());
    Ok(StoredKey { id: row.int(0)?, purpose, wrapped, is_retired: row.opt_text(3)?.is_some() })
}

/// All keys of a purpose, the oldest first.
pub async fn of_purpose(reader: &mut Reader<'_>, purpose: &str) -> Result<Vec<StoredKey>> {
    let mut sql = reader.sql();
    sql.push("SELECT id, purpose, wrapped, retired FROM data_keys WHERE purpose = ").bind(purpose).push(" ORDER BY id");
    reader.fetch(&sql).await?.iter().map(read).collect()
}

/// The same inside a transaction.
pub async fn of_purpose_in(tx: &mut Tx<'_>, purpose: &str) -> Result<Vec<StoredKey>> {
    let mut sql = tx.sql();
    sql.push("SELECT id, purpose, wrapped, retired FROM data_keys WHERE purpose = ").bind(purpose).push(" ORDER BY id");
    tx.fetch(&sql).await?.iter().map(read).collect()
}

/// Keys of a purpose that were retired before this moment; one that waits to be taken into use is none.
pub async fn retired_before(reader: &mut Reader<'_>, purpose: &str, before: &str) -> Result<Vec<i64>> {
    let mut sql = reader.sql();
    sql.push("SELECT id FROM data_keys WHERE purpose = ").bind(purpose).push(" AND retired < ").bind(before);
    sql.push(" AND retired <> ").bind(COMING);
    reader.fetch(&sql).await?.iter().map(|row| row.int(0)).collect()
}

/// All wrapped keys of every purpose.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<StoredKey>> {
    let mut sql = reader.sql();
    sql.push("SELECT id, purpose, wrapped, retired FROM data_keys ORDER BY id");
    reader.fetch(&sql).await?.iter().map(read).collect()
}

/// Takes an id that no other key has or will have: what wraps a key may bind it to its id, so that has to be known before.
pub async fn reserve(tx: &mut Tx<'_>) -> Result<i64> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO data_keys (purpose, wrapped, created, retired) VALUES ('', '', '', '') RETURNING id");
    let id = tx.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))?;
    // Ids are given out once, whether or not what had one is there still.
    let mut sql = tx.sql();
    sql.push("DELETE FROM data_keys WHERE id = ").bind(id);
    tx.execute(&sql).await?;
    Ok(id)
}

/// A new key with the id that was reserved for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    pub id: i64,
    pub purpose: &'static str,
    pub wrapped: String,
    /// When it was made.
    pub created: String,
}

/// Stores a new key. The one in use so far must have been retired.
pub async fn insert(tx: &mut Tx<'_>, key: &NewKey) -> Result<()> {
    insert_as(tx, key, None).await
}

async fn insert_as(tx: &mut Tx<'_>, key: &NewKey, retired: Option<&str>) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO data_keys (id, purpose, wrapped, created, retired)");
    sql.pick(" VALUES (", " OVERRIDING SYSTEM VALUE VALUES (").bind(key.id).push(", ").bind(key.purpose);
    sql.push(", ").bind(key.wrapped.as_str()).push(", ").bind(key.created.as_str()).push(", ").bind(retired).push(")");
    tx.execute(&sql).await.map(drop)
}

/// Takes the key in use out of it.
pub async fn retire(tx: &mut Tx<'_>, purpose: &str, now: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE data_keys SET retired = ").bind(now);
    sql.push(" WHERE retired IS NULL AND purpose = ").bind(purpose);
    tx.execute(&sql).await.map(drop)
}

/// Puts another wrapping in the place of the one that was read.
pub async fn rewrap(tx: &mut Tx<'_>, id: i64, old: &str, new: &str) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("UPDATE data_keys SET wrapped = ").bind(new).push(" WHERE id = ").bind(id);
    sql.push(" AND wrapped = ").bind(old);
    Ok(tx.execute(&sql).await? > 0)
}

/// What stands in the place of a time while a key waits to be taken into use: every node knows it before one seals with it.
const COMING: &str = "coming";

/// Stores a new key that opens and does not seal yet.
pub async fn insert_coming(tx: &mut Tx<'_>, key: &NewKey) -> Result<()> {
    insert_as(tx, key, Some(COMING)).await
}

/// Takes a key that waits into use. The one in use so far must have been retired.
pub async fn promote(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("UPDATE data_keys SET retired = NULL WHERE id = ").bind(id).push(" AND retired = ").bind(COMING);
    Ok(tx.execute(&sql).await? > 0)
}

/// Takes a retired key away for good.
pub async fn delete_retired(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM data_keys WHERE retired IS NOT NULL AND id = ").bind(id);
    Ok(tx.execute(&sql).await? > 0)
}
