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

/// All wrapped keys of every purpose.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<StoredKey>> {
    let mut sql = reader.sql();
    sql.push("SELECT id, purpose, wrapped, retired FROM data_keys ORDER BY id");
    reader.fetch(&sql).await?.iter().map(read).collect()
}

/// Stores a new key and answers its id. The one in use so far must have been retired.
pub async fn insert(tx: &mut Tx<'_>, purpose: &str, wrapped: &str, now: &str) -> Result<i64> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO data_keys (purpose, wrapped, created) VALUES (").bind(purpose).push(", ").bind(wrapped);
    sql.push(", ").bind(now).push(") RETURNING id");
    tx.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
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
