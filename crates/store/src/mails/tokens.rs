//! Rows of `mail_tokens`: links in mails, by the digests of their tokens. Each is good for one purpose, until its time is up, once.

use crate::{Reader, Result, Row, Sql, Tx};

/// Whose a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailToken {
    /// `users` or the id of an auth collection.
    pub realm: String,
    pub account_id: String,
    /// The address that the link was sent to.
    pub email: String,
}

impl MailToken {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self { realm: row.text(0)?.to_owned(), account_id: row.text(1)?.to_owned(), email: row.text(2)?.to_owned() })
    }
}

/// Keeps the digest of a link until `expires_at` (unix seconds).
pub async fn insert(
    tx: &mut Tx<'_>,
    digest: &[u8; 32],
    purpose: &str,
    owner: &MailToken,
    expires_at: i64,
) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO mail_tokens (digest, purpose, realm, account_id, email, expires_at) VALUES (");
    sql.bind(digest.as_slice()).push(", ").bind(purpose).push(", ").bind(&owner.realm).push(", ");
    sql.bind(&owner.account_id).push(", ").bind(&owner.email).push(", ").bind(expires_at).push(")");
    tx.execute(&sql).await.map(drop)
}

/// Whose link this is, if it is still good. It stays so.
pub async fn look_at(reader: &mut Reader<'_>, digest: &[u8; 32], purpose: &str, now: i64) -> Result<Option<MailToken>> {
    let mut sql = reader.sql();
    sql.push("SELECT realm, account_id, email FROM mail_tokens");
    good(&mut sql, digest, purpose, now);
    reader.fetch_one(&sql).await?.as_ref().map(MailToken::of).transpose()
}

/// Uses a link up. Of any number of callers at once one gets its owner.
pub async fn redeem(tx: &mut Tx<'_>, digest: &[u8; 32], purpose: &str, now: i64) -> Result<Option<MailToken>> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM mail_tokens");
    good(&mut sql, digest, purpose, now);
    sql.push(" RETURNING realm, account_id, email");
    tx.fetch_one(&sql).await?.as_ref().map(MailToken::of).transpose()
}

fn good(sql: &mut Sql, digest: &[u8; 32], purpose: &str, now: i64) {
    sql.push(" WHERE digest = ").bind(digest.as_slice()).push(" AND purpose = ").bind(purpose);
    sql.push(" AND expires_at > ").bind(now);
}

/// Voids an account's links, all of them or those for one purpose.
pub async fn void(tx: &mut Tx<'_>, realm: &str, account_id: &str, purpose: Option<&str>) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM mail_tokens WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id);
    if let Some(purpose) = purpose {
        sql.push(" AND purpose = ").bind(purpose);
    }
    tx.execute(&sql).await.map(drop)
}

/// Takes away links whose time is up.
pub async fn sweep(tx: &mut Tx<'_>, now: i64) -> Result<u64> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM mail_tokens WHERE expires_at <= ").bind(now);
    tx.execute(&sql).await
}
