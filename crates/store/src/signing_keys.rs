//! What is remembered of the keys that sign tokens: when each was seen in which role, until when tokens of it may live, who still depends
//! on it. Keys are known by their id alone; their secrets never come here. What follows from it is decided above.

use crate::{Error, Reader, Row, Sql, Tx};

/// One key as it was seen. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub kid: String,
    pub first_seen: i64,
    /// Since when it is a previous key, if it is one.
    pub previous_since: Option<i64>,
    /// When a node last had it as its current key.
    pub last_current: Option<i64>,
    pub last_verified: Option<i64>,
    /// Until when everything it signed was declared void.
    pub revoked_at: Option<i64>,
}

/// Until when tokens of a key and purpose may live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub kid: String,
    pub purpose: String,
    /// Unix seconds.
    pub latest_exp: i64,
}

/// Live sessions whose refresh token is signed by one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Families {
    pub kid: String,
    pub live: i64,
    /// The latest absolute end among them, unix seconds.
    pub latest_exp: i64,
}

/// In what way a node holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Current,
    Previous,
    Next,
}

impl SigningKey {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            kid: row.text(0)?.to_owned(),
            first_seen: row.int(1)?,
            previous_since: row.opt_int(2)?,
            last_current: row.opt_int(3)?,
            last_verified: row.opt_int(4)?,
            revoked_at: row.opt_int(5)?,
        })
    }
}

/// Notes that a node holds a key in a role. The first moments stay; a key that is current again is no longer previous.
pub async fn note(tx: &mut Tx<'_>, kid: &str, held: Held, now: i64) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO signing_keys (kid, first_seen) VALUES (").bind(kid).push(", ").bind(now);
    sql.push(") ON CONFLICT (kid) DO NOTHING");
    tx.execute(&sql).await?;
    let mut sql = tx.sql();
    match held {
        Held::Current => sql.push("UPDATE signing_keys SET previous_since = NULL, last_current = ").bind(now),
        Held::Previous => {
            sql.push("UPDATE signing_keys SET previous_since = coalesce(previous_since, ").bind(now).push(")")
        }
        Held::Next => return Ok(()),
    };
    sql.push(" WHERE kid = ").bind(kid);
    tx.execute(&sql).await.map(drop)
}

/// Renews what a running node says of a key: that it is its current one, and when a token of it was last verified.
pub async fn renew(tx: &mut Tx<'_>, kid: &str, current_at: Option<i64>, verified_at: Option<i64>) -> Result<(), Error> {
    for (column, at) in [("last_current", current_at), ("last_verified", verified_at)] {
        let Some(at) = at else { continue };
        let mut sql = tx.sql();
        sql.push("UPDATE signing_keys SET ").push(column).push(" = ").bind(at);
        sql.push(" WHERE kid = ").bind(kid).push(" AND coalesce(").push(column).push(", 0) < ").bind(at);
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// Writes down that tokens of a key and purpose may live until `latest_exp`; the latest end stays.
pub async fn record_end(tx: &mut Tx<'_>, kid: &str, purpose: &str, latest_exp: i64) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO signing_key_ends (kid, purpose, latest_exp) VALUES (").bind(kid).push(", ").bind(purpose);
    sql.push(", ")
        .bind(latest_exp)
        .push(") ON CONFLICT (kid, purpose) DO UPDATE SET latest_exp = excluded.latest_exp ");
    sql.push("WHERE signing_key_ends.latest_exp < excluded.latest_exp");
    tx.execute(&sql).await.map(drop)
}

/// Declares void what any key has signed until `now`.
pub async fn revoke_all(tx: &mut Tx<'_>, now: i64) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE signing_keys SET revoked_at = ").bind(now);
    tx.execute(&sql).await.map(drop)
}

/// Every key that was ever seen.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<SigningKey>, Error> {
    reader.fetch(&select(reader.sql())).await?.iter().map(SigningKey::of).collect()
}

/// The same, inside a transaction.
pub async fn all_in(tx: &mut Tx<'_>) -> Result<Vec<SigningKey>, Error> {
    tx.fetch(&select(tx.sql())).await?.iter().map(SigningKey::of).collect()
}

fn select(mut sql: Sql) -> Sql {
    sql.push("SELECT kid, first_seen, previous_since, last_current, last_verified, revoked_at FROM signing_keys");
    sql
}

/// Until when tokens may live, by key and purpose.
pub async fn ends(reader: &mut Reader<'_>) -> Result<Vec<End>, Error> {
    let mut sql = reader.sql();
    sql.push("SELECT kid, purpose, latest_exp FROM signing_key_ends");
    let end =
        |row: &Row| Ok(End { kid: row.text(0)?.to_owned(), purpose: row.text(1)?.to_owned(), latest_exp: row.int(2)? });
    reader.fetch(&sql).await?.iter().map(end).collect()
}

/// Live sessions by the key of their refresh token. One whose refresh token was superseded after `superseded_since` depends on the key
/// of that one too: it still answers.
pub async fn families(reader: &mut Reader<'_>, now: i64, superseded_since: i64) -> Result<Vec<Families>, Error> {
    let mut sql = reader.sql();
    sql.push("SELECT kid, count(*), max(expires_at) FROM (");
    sql.push("SELECT current_kid AS kid, expires_at FROM sessions WHERE revoked_at IS NULL AND expires_at > ")
        .bind(now);
    sql.push(" AND current_kid IS NOT NULL UNION ALL ");
    sql.push("SELECT previous_kid AS kid, expires_at FROM sessions WHERE revoked_at IS NULL AND expires_at > ")
        .bind(now);
    sql.push(" AND previous_kid IS NOT NULL AND previous_kid <> current_kid AND previous_used_at >= ")
        .bind(superseded_since);
    sql.push(") AS dependents GROUP BY kid");
    let families =
        |row: &Row| Ok(Families { kid: row.text(0)?.to_owned(), live: row.int(1)?, latest_exp: row.int(2)? });
    reader.fetch(&sql).await?.iter().map(families).collect()
}

/// Live sessions whose refresh token was signed by none of `kids`: who will have to sign in again. Those with a cookie are not signed.
pub async fn signed_by_others(reader: &mut Reader<'_>, kids: &[String], now: i64) -> Result<i64, Error> {
    let mut sql = reader.sql();
    sql.push("SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND expires_at > ").bind(now);
    sql.push(" AND current_kid IS NOT NULL AND current_kid NOT IN (")
        .binds_of(kids.iter().map(String::as_str))
        .push(")");
    reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}
