//! Rows of `limit_windows`: what several nodes share of the rate limit, as bytes that mean nothing here.

use crate::{Dialect, Result, Sql, Tx, Value};

/// Keys of one statement: few sizes, so that few statements are kept prepared.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// What lies under these keys (sorted, each once), held against every other transaction until this one ends; empty where nothing did.
pub async fn hold(tx: &mut Tx<'_>, keys: &[Vec<u8>], now_millis: i64) -> Result<Vec<Vec<u8>>> {
    debug_assert!(keys.is_sorted(), "in one order everywhere, or two nodes could wait for each other");
    let mut found = Vec::with_capacity(keys.len());
    for chunk in chunks(keys) {
        let mut rows = select(tx, chunk).await?;
        if rows.len() < chunk.len() {
            insert_missing(tx, chunk, now_millis).await?;
            rows = select(tx, chunk).await?;
        }
        for key in chunk {
            let at = rows.iter().position(|(stored, _)| stored == key);
            found.push(at.map(|at| std::mem::take(&mut rows[at].1)).unwrap_or_default());
        }
    }
    Ok(found)
}

async fn select(tx: &mut Tx<'_>, keys: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut sql = tx.sql();
    sql.push("SELECT key, windows FROM limit_windows WHERE key IN (").binds_of(keys.iter().cloned());
    sql.push(") ORDER BY key").pick("", " FOR UPDATE");
    tx.fetch(&sql).await?.iter().map(|row| Ok((row.bytes(0)?.to_vec(), row.bytes(1)?.to_vec()))).collect()
}

async fn insert_missing(tx: &mut Tx<'_>, keys: &[Vec<u8>], now_millis: i64) -> Result<()> {
    let rows = keys.iter().map(|key| (key.clone(), Vec::new()));
    let mut sql = insertion(tx.dialect(), rows, now_millis);
    sql.push(" ON CONFLICT (key) DO NOTHING");
    tx.execute(&sql).await?;
    Ok(())
}

/// Replaces what lies under these keys.
pub async fn put(tx: &mut Tx<'_>, rows: Vec<(Vec<u8>, Vec<u8>)>, now_millis: i64) -> Result<()> {
    for chunk in chunks(&rows) {
        let mut sql = insertion(tx.dialect(), chunk.iter().cloned(), now_millis);
        sql.push(" ON CONFLICT (key) DO UPDATE SET windows = excluded.windows, touched = excluded.touched");
        tx.execute(&sql).await?;
    }
    Ok(())
}

fn insertion(dialect: Dialect, rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>, now_millis: i64) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("INSERT INTO limit_windows (key, windows, touched) VALUES ");
    sql.comma_list(rows, |sql, (key, windows)| {
        sql.push("(").binds_of([Value::from(key), Value::from(windows), Value::from(now_millis)]).push(")");
    });
    sql
}

/// Takes away what was not touched since then, and says how much that was.
pub async fn sweep(tx: &mut Tx<'_>, before_millis: i64) -> Result<u64> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM limit_windows WHERE touched < ").bind(before_millis);
    tx.execute(&sql).await
}

fn chunks<T>(mut rest: &[T]) -> Vec<&[T]> {
    let mut chunks = Vec::new();
    for size in CHUNKS {
        while rest.len() >= size {
            let (chunk, left) = rest.split_at(size);
            chunks.push(chunk);
            rest = left;
        }
    }
    chunks
}
