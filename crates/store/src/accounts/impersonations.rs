//! One row an impersonation: an admin who acts as a user, why, and until when.

use super::sessions::Which;
use crate::{Error, Reader, Row, Sql, Tx};

/// An impersonation as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonation {
    pub id: String,
    /// Id of the one token.
    pub jti: String,
    pub admin_id: String,
    /// The admin's session that it was begun in.
    pub session_id: String,
    pub user_id: String,
    pub reason: String,
    pub ip_address: String,
    pub created: String,
    /// Unix seconds.
    pub expires_at: i64,
    pub revoked_at: Option<i64>,
}

/// A live impersonation with the addresses of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub impersonation: Impersonation,
    pub admin_email: String,
    pub user_email: String,
}

const COLUMNS: &str =
    "i.id, i.jti, i.admin_id, i.session_id, i.user_id, i.reason, i.ip_address, i.created, i.expires_at, i.revoked_at";

impl Impersonation {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            jti: row.text(1)?.to_owned(),
            admin_id: row.text(2)?.to_owned(),
            session_id: row.text(3)?.to_owned(),
            user_id: row.text(4)?.to_owned(),
            reason: row.text(5)?.to_owned(),
            ip_address: row.text(6)?.to_owned(),
            created: row.text(7)?.to_owned(),
            expires_at: row.int(8)?,
            revoked_at: row.opt_int(9)?,
        })
    }

    /// Neither ended by hand nor over.
    pub fn is_live(&self, now: i64) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// Stores a new impersonation.
pub async fn insert(tx: &mut Tx<'_>, row: &Impersonation) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO impersonations (id, jti, admin_id, session_id, user_id, reason, ip_address, created, expires_at) VALUES (");
    let texts =
        [&row.id, &row.jti, &row.admin_id, &row.session_id, &row.user_id, &row.reason, &row.ip_address, &row.created];
    sql.binds_of(texts).push(", ").bind(row.expires_at).push(")");
    tx.execute(&sql).await.map(drop)
}

/// The impersonation of this id.
pub async fn by_id(reader: &mut Reader<'_>, id: &str) -> Result<Option<Impersonation>, Error> {
    let mut sql = Sql::new(reader.dialect());
    sql.push("SELECT ").push(COLUMNS).push(" FROM impersonations AS i WHERE i.id = ").bind(id);
    reader.fetch_one(&sql).await?.as_ref().map(Impersonation::of).transpose()
}

/// Live impersonations, newest first, at most `limit`.
pub async fn live(reader: &mut Reader<'_>, now: i64, limit: i64) -> Result<Vec<Listed>, Error> {
    let mut sql = Sql::new(reader.dialect());
    sql.push("SELECT ").push(COLUMNS).push(", a.email, u.email FROM impersonations AS i ");
    sql.push("JOIN users AS a ON a.id = i.admin_id JOIN users AS u ON u.id = i.user_id ");
    sql.push("WHERE i.revoked_at IS NULL AND i.expires_at > ").bind(now);
    sql.push(" ORDER BY i.created DESC, i.id DESC LIMIT ").bind(limit);
    let listed = |row: &Row| {
        Ok(Listed {
            impersonation: Impersonation::of(row)?,
            admin_email: row.text(10)?.to_owned(),
            user_email: row.text(11)?.to_owned(),
        })
    };
    reader.fetch(&sql).await?.iter().map(listed).collect()
}

/// Which impersonations to end by hand.
#[derive(Debug, Clone, Copy)]
pub enum Ends<'a> {
    /// The one of this id.
    One(&'a str),
    /// All of this user.
    OfUser(&'a str),
}

/// Ends live impersonations; says which those were: id and user.
pub async fn end(tx: &mut Tx<'_>, which: Ends<'_>, now: i64) -> Result<Vec<(String, String)>, Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE impersonations SET revoked_at = ").bind(now);
    sql.push(" WHERE revoked_at IS NULL AND expires_at > ").bind(now);
    match which {
        Ends::One(id) => sql.push(" AND id = ").bind(id),
        Ends::OfUser(id) => sql.push(" AND user_id = ").bind(id),
    };
    sql.push(" RETURNING id, user_id");
    tx.fetch(&sql).await?.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).collect()
}

/// Ends what hangs on sessions of `users` that end: what an admin began in them, and, where all of an account go, what others do as
/// that account.
pub(super) async fn end_with_sessions(
    tx: &mut Tx<'_>,
    account_id: &str,
    which: Which<'_>,
    now: i64,
) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE impersonations SET revoked_at = ").bind(now).push(" WHERE revoked_at IS NULL AND (admin_id = ");
    sql.bind(account_id);
    match which {
        Which::All => sql.push(" OR user_id = ").bind(account_id),
        Which::One(id) => sql.push(" AND session_id = ").bind(id),
        Which::AllBut(id) => sql.push(" AND session_id <> ").bind(id),
    };
    sql.push(")");
    tx.execute(&sql).await.map(drop)
}

/// Ends every one there is.
pub(super) async fn end_all(tx: &mut Tx<'_>, now: i64) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("UPDATE impersonations SET revoked_at = ").bind(now).push(" WHERE revoked_at IS NULL");
    tx.execute(&sql).await.map(drop)
}

/// Takes away what is kept of an account on either side.
pub(super) async fn forget(tx: &mut Tx<'_>, account_id: &str) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM impersonations WHERE admin_id = ").bind(account_id).push(" OR user_id = ").bind(account_id);
    tx.execute(&sql).await.map(drop)
}

/// Takes away impersonations that ended before `before` (unix seconds).
pub async fn sweep(tx: &mut Tx<'_>, before: i64) -> Result<u64, Error> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM impersonations WHERE expires_at < ").bind(before);
    tx.execute(&sql).await
}
