//! Browsers that an account signed in from before: what lets its owner in while strangers have locked it.

use crate::{Dialect, Error, Sql, Tx};

/// Browsers remembered of one account; past that the oldest are forgotten.
pub const MAX_OF_ACCOUNT: i64 = 100;

/// Whether the browser with this digest signed in to the account before, and may still be remembered.
pub async fn is_known(
    tx: &mut Tx<'_>,
    digest: &[u8; 32],
    realm: &str,
    account_id: &str,
    now: i64,
) -> Result<bool, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("SELECT 1 FROM devices WHERE digest = ").bind(digest.as_slice()).push(" AND realm = ").bind(realm);
    sql.push(" AND account_id = ").bind(account_id).push(" AND expires_at > ").bind(now);
    Ok(tx.fetch_one(&sql).await?.is_some())
}

/// Remembers a browser of an account. What it was known by before becomes `digest` too: whoever gave a browser its earlier cookie does
/// not learn the new one.
pub async fn remember(
    tx: &mut Tx<'_>,
    digest: &[u8; 32],
    before: Option<&[u8; 32]>,
    account: (&str, &str),
    now: i64,
    expires_at: i64,
) -> Result<(), Error> {
    if let Some(before) = before {
        let mut sql = Sql::new(tx.dialect());
        sql.push("UPDATE devices SET digest = ").bind(digest.as_slice());
        sql.push(" WHERE digest = ").bind(before.as_slice());
        tx.execute(&sql).await?;
    }
    let mut sql = Sql::new(tx.dialect());
    sql.push("INSERT INTO devices (digest, realm, account_id, created, expires_at) VALUES (").bind(digest.as_slice());
    sql.push(", ").bind(account.0).push(", ").bind(account.1).push(", ").bind(now).push(", ").bind(expires_at);
    sql.push(") ON CONFLICT (digest, realm, account_id) DO UPDATE SET expires_at = excluded.expires_at");
    tx.execute(&sql).await?;
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM devices WHERE realm = ").bind(account.0).push(" AND account_id = ").bind(account.1);
    sql.push(" AND digest IN (SELECT digest FROM devices WHERE realm = ").bind(account.0);
    sql.push(" AND account_id = ").bind(account.1).push(" ORDER BY created DESC, digest LIMIT ");
    if tx.dialect() == Dialect::Sqlite {
        sql.push("-1");
    } else {
        sql.push("ALL");
    }
    sql.push(" OFFSET ").bind(MAX_OF_ACCOUNT).push(")");
    tx.execute(&sql).await.map(drop)
}

/// Forgets the browsers of an account, all but `keep`: one of them may be whose guesses a new password is to end.
pub async fn forget(tx: &mut Tx<'_>, realm: &str, account_id: &str, keep: Option<&[u8; 32]>) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM devices WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id);
    if let Some(digest) = keep {
        sql.push(" AND digest <> ").bind(digest.as_slice());
    }
    tx.execute(&sql).await.map(drop)
}

/// Takes away browsers whose year is over.
pub async fn sweep(tx: &mut Tx<'_>, now: i64) -> Result<u64, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM devices WHERE expires_at <= ").bind(now);
    tx.execute(&sql).await
}
