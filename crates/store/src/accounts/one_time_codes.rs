//! The one code that an account may sign in with for a few minutes, by its digest.

use crate::{Error, Sql, Tx};

/// Guesses at one code.
pub const TRIES: i64 = 5;

/// Makes this the code of an account; one before it is void.
pub async fn put(
    tx: &mut Tx<'_>,
    realm: &str,
    account_id: &str,
    digest: &[u8; 32],
    expires_at: i64,
) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO one_time_codes (realm, account_id, digest, tries_left, expires_at) VALUES (").bind(realm);
    sql.push(", ").bind(account_id).push(", ").bind(digest.as_slice()).push(", ").bind(TRIES).push(", ");
    sql.bind(expires_at).push(") ON CONFLICT (realm, account_id) DO UPDATE SET digest = excluded.digest, ");
    sql.push("tries_left = excluded.tries_left, expires_at = excluded.expires_at");
    tx.execute(&sql).await.map(drop)
}

/// Takes one try at the code of an account: its digest, while it has tries and time left.
pub async fn attempt(tx: &mut Tx<'_>, realm: &str, account_id: &str, now: i64) -> Result<Option<[u8; 32]>, Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE one_time_codes SET tries_left = tries_left - 1");
    key(&mut sql, realm, account_id);
    sql.push(" AND tries_left > 0 AND expires_at > ").bind(now).push(" RETURNING digest");
    let row = tx.fetch_one(&sql).await?;
    let digest = row.as_ref().map(|row| row.bytes(0)).transpose()?;
    Ok(digest.and_then(|digest| digest.try_into().ok()))
}

/// Gives a try back that was right, where there is a further question to answer.
pub async fn give_back(tx: &mut Tx<'_>, realm: &str, account_id: &str) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE one_time_codes SET tries_left = tries_left + 1");
    key(&mut sql, realm, account_id);
    tx.execute(&sql).await.map(drop)
}

/// Uses a code up. Of any number of callers at once one is told true.
pub async fn use_up(tx: &mut Tx<'_>, realm: &str, account_id: &str, digest: &[u8; 32]) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM one_time_codes");
    key(&mut sql, realm, account_id);
    sql.push(" AND digest = ").bind(digest.as_slice());
    Ok(tx.execute(&sql).await? == 1)
}

/// Voids the code of an account.
pub async fn void(tx: &mut Tx<'_>, realm: &str, account_id: &str) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM one_time_codes");
    key(&mut sql, realm, account_id);
    tx.execute(&sql).await.map(drop)
}

/// Takes away codes whose time is up (unix milliseconds).
pub async fn sweep(tx: &mut Tx<'_>, now: i64) -> Result<u64, Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM one_time_codes WHERE expires_at <= ").bind(now);
    tx.execute(&sql).await
}

fn key(sql: &mut Sql, realm: &str, account_id: &str) {
    sql.push(" WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id);
}
