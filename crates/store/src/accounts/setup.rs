//! The one-time links that make the first admin. Only digests are stored; a link is good once and until its time is up.

use crate::{Error, Sql, Tx};

/// Keeps the digest of a link until `expires_at` (unix seconds); links that are past theirs go.
pub async fn offer(tx: &mut Tx<'_>, digest: &[u8], expires_at: i64, now: i64) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM setup_tokens WHERE expires_at <= ").bind(now);
    tx.execute(&sql).await?;
    let mut sql = Sql::new(tx.dialect());
    sql.push("INSERT INTO setup_tokens (digest, expires_at) VALUES (")
        .bind(digest.to_vec())
        .push(", ")
        .bind(expires_at)
        .push(")");
    tx.execute(&sql).await.map(drop)
}

/// Uses a link up. False when it is unknown, used or too old.
pub async fn redeem(tx: &mut Tx<'_>, digest: &[u8], now: i64) -> Result<bool, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM setup_tokens WHERE digest = ").bind(digest.to_vec()).push(" AND expires_at > ").bind(now);
    Ok(tx.execute(&sql).await? == 1)
}

/// Setup is done: every link still out is void.
pub async fn close(tx: &mut Tx<'_>) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM setup_tokens");
    tx.execute(&sql).await.map(drop)
}
