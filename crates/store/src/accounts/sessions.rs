//! One row a sign-in: what access tokens and session cookies are checked against, and what refresh tokens rotate in.

use crate::{Dialect, Error, Reader, Row, Sql, Tx};

/// A session as stored. Times are unix seconds unless they are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: String,
    /// `users` or the id of an auth collection.
    pub realm: String,
    pub account_id: String,
    pub user_agent: String,
    pub ip_address: String,
    pub created: String,
    pub last_seen: String,
    pub authenticated_at: i64,
    pub expires_at: i64,
    pub revoked_at: Option<i64>,
    pub kind: SessionKind,
}

/// What a session is presented by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionKind {
    /// Signed tokens, which end with the key that signed them.
    Tokens {
        /// The refresh token that is current.
        current: RefreshMark,
        /// Id of the one it superseded, and when that was.
        previous: Option<(String, i64)>,
    },
    /// A cookie whose value has this SHA-256. Nothing about it is signed.
    Cookie { digest: [u8; 32] },
}

/// What is kept of a refresh token, its id, when it was made, and by which key: enough to make the same text again, not enough to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshMark {
    pub jti: String,
    pub iat: i64,
    pub kid: String,
}

impl Session {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            realm: row.text(1)?.to_owned(),
            account_id: row.text(2)?.to_owned(),
            user_agent: row.text(3)?.to_owned(),
            ip_address: row.text(4)?.to_owned(),
            created: row.text(5)?.to_owned(),
            last_seen: row.text(6)?.to_owned(),
            authenticated_at: row.int(7)?,
            expires_at: row.int(8)?,
            revoked_at: row.opt_int(9)?,
            kind: SessionKind::of(row)?,
        })
    }

    fn select(dialect: Dialect) -> Sql {
        let mut sql = Sql::new(dialect);
        sql.push(
            "SELECT id, realm, account_id, user_agent, ip_address, created, last_seen, authenticated_at, expires_at, ",
        );
        sql.push("revoked_at, current_jti, current_iat, current_kid, previous_jti, previous_used_at, cookie_digest ");
        sql.push("FROM sessions");
        sql
    }

    /// Live, and, where it has a cookie, seen after `idle_since`.
    pub fn stands(&self, now: i64, idle_since: &str) -> bool {
        let is_idle = matches!(self.kind, SessionKind::Cookie { .. }) && self.last_seen.as_str() <= idle_since;
        self.is_live(now) && !is_idle
    }

    /// Neither ended by hand nor past its absolute end.
    pub fn is_live(&self, now: i64) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

impl SessionKind {
    fn of(row: &Row) -> Result<Self, Error> {
        if let Some(digest) = row.opt_bytes(15)? {
            let digest =
                digest.try_into().map_err(|_| Error::internal("the digest of a session's cookie is no SHA-256"))?;
            return Ok(Self::Cookie { digest });
        }
        let previous = match (row.opt_text(13)?, row.opt_int(14)?) {
            (Some(jti), Some(used_at)) => Some((jti.to_owned(), used_at)),
            _ => None,
        };
        let current = RefreshMark { jti: row.text(10)?.to_owned(), iat: row.int(11)?, kid: row.text(12)?.to_owned() };
        Ok(Self::Tokens { current, previous })
    }
}

/// Stores a new session.
pub async fn insert(tx: &mut Tx<'_>, session: &Session) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push(
        "INSERT INTO sessions (id, realm, account_id, user_agent, ip_address, created, last_seen, authenticated_at, ",
    );
    sql.push("expires_at, current_jti, current_iat, current_kid, cookie_digest) VALUES (");
    sql.bind(session.id.as_str()).push(", ").bind(session.realm.as_str()).push(", ").bind(session.account_id.as_str());
    sql.push(", ").bind(session.user_agent.as_str()).push(", ").bind(session.ip_address.as_str());
    sql.push(", ").bind(session.created.as_str()).push(", ").bind(session.last_seen.as_str());
    sql.push(", ").bind(session.authenticated_at).push(", ").bind(session.expires_at);
    match &session.kind {
        SessionKind::Tokens { current, .. } => {
            sql.push(", ").bind(current.jti.as_str()).push(", ").bind(current.iat);
            sql.push(", ").bind(current.kid.as_str()).push(", NULL)");
        }
        SessionKind::Cookie { digest } => {
            sql.push(", NULL, NULL, NULL, ").bind(digest.as_slice()).push(")");
        }
    }
    tx.execute(&sql).await.map(drop)
}

/// The session of this id, for reading.
pub async fn by_id(reader: &mut Reader<'_>, id: &str) -> Result<Option<Session>, Error> {
    let mut sql = Session::select(reader.dialect());
    sql.push(" WHERE id = ").bind(id);
    reader.fetch_one(&sql).await?.as_ref().map(Session::of).transpose()
}

/// The session whose cookie has this digest.
pub async fn by_cookie(reader: &mut Reader<'_>, digest: &[u8; 32]) -> Result<Option<Session>, Error> {
    let mut sql = Session::select(reader.dialect());
    sql.push(" WHERE cookie_digest = ").bind(digest.as_slice());
    reader.fetch_one(&sql).await?.as_ref().map(Session::of).transpose()
}

/// The session of this id, locked against every other rotation until the transaction ends.
pub async fn by_id_locked(tx: &mut Tx<'_>, id: &str) -> Result<Option<Session>, Error> {
    let mut sql = Session::select(tx.dialect());
    sql.push(" WHERE id = ").bind(id);
    if tx.dialect() == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    tx.fetch_one(&sql).await?.as_ref().map(Session::of).transpose()
}

/// Whether an account signed in before, but never from such a place: another address, or another program.
pub async fn is_new_place(
    tx: &mut Tx<'_>,
    realm: &str,
    account_id: &str,
    ip_address: &str,
    user_agent: &str,
) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT count(*), count(*) FILTER (WHERE ip_address = ").bind(ip_address);
    sql.push(" AND user_agent = ").bind(user_agent).push(") FROM sessions WHERE realm = ").bind(realm);
    sql.push(" AND account_id = ").bind(account_id);
    let Some(row) = tx.fetch_one(&sql).await? else { return Ok(false) };
    Ok(row.int(0)? > 0 && row.int(1)? == 0)
}

/// Live sessions of an account, newest first. One with a cookie must have been seen after `idle_since`.
pub async fn of_account(
    reader: &mut Reader<'_>,
    realm: &str,
    account_id: &str,
    now: i64,
    idle_since: &str,
) -> Result<Vec<Session>, Error> {
    let mut sql = Session::select(reader.dialect());
    sql.push(" WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id);
    sql.push(" AND revoked_at IS NULL AND expires_at > ").bind(now);
    sql.push(" AND (cookie_digest IS NULL OR last_seen > ")
        .bind(idle_since)
        .push(") ORDER BY created DESC, id DESC LIMIT 1000");
    reader.fetch(&sql).await?.iter().map(Session::of).collect()
}

/// Whose refresh token is exchanged, and which one.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    pub session_id: &'a str,
    pub realm: &'a str,
    pub account_id: &'a str,
    /// The token's own id.
    pub jti: &'a str,
}

/// Puts `next` in the place of the session's current refresh token, provided that is the one presented and the session lives; says when
/// the session ends for good (unix seconds). `None`: nothing was changed. One statement, so that of any number at the same time one
/// succeeds.
pub async fn rotate(
    tx: &mut Tx<'_>,
    presented: Presented<'_>,
    next: &RefreshMark,
    now: i64,
    last_seen: &str,
) -> Result<Option<i64>, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE sessions SET previous_kid = current_kid, previous_jti = current_jti, previous_used_at = ")
        .bind(now);
    sql.push(", current_jti = ").bind(next.jti.as_str()).push(", current_iat = ").bind(next.iat);
    sql.push(", current_kid = ").bind(next.kid.as_str()).push(", last_seen = ").bind(last_seen);
    sql.push(" WHERE id = ").bind(presented.session_id).push(" AND current_jti = ").bind(presented.jti);
    sql.push(" AND realm = ").bind(presented.realm).push(" AND account_id = ").bind(presented.account_id);
    sql.push(" AND revoked_at IS NULL AND expires_at > ").bind(now).push(" RETURNING expires_at");
    tx.fetch_one(&sql).await?.map(|row| row.int(0)).transpose()
}

/// Notes that a session was used. The latest time stays, whatever order nodes write in.
pub async fn touch(tx: &mut Tx<'_>, id: &str, last_seen: &str) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE sessions SET last_seen = ").bind(last_seen);
    sql.push(" WHERE id = ").bind(id).push(" AND revoked_at IS NULL AND last_seen < ").bind(last_seen);
    tx.execute(&sql).await.map(drop)
}

/// Which sessions of an account to end.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    All,
    One(&'a str),
    AllBut(&'a str),
}

/// Ends sessions of an account, and the impersonations that hang on them; says how many sessions were live until now.
pub async fn revoke(tx: &mut Tx<'_>, realm: &str, account_id: &str, which: Which<'_>, now: i64) -> Result<u64, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE sessions SET revoked_at = ").bind(now);
    sql.push(" WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id).push(" AND revoked_at IS NULL");
    match which {
        Which::All => {}
        Which::One(id) => {
            sql.push(" AND id = ").bind(id);
        }
        Which::AllBut(id) => {
            sql.push(" AND id <> ").bind(id);
        }
    }
    let ended = tx.execute(&sql).await?;
    if realm == "users" {
        super::impersonations::end_with_sessions(tx, account_id, which, now).await?;
    }
    Ok(ended)
}

/// Ends every live session of every account, those of browsers included, and every impersonation; says how many sessions there were.
pub async fn revoke_everything(tx: &mut Tx<'_>, now: i64) -> Result<u64, Error> {
    super::impersonations::end_all(tx, now).await?;
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE sessions SET revoked_at = ").bind(now).push(" WHERE revoked_at IS NULL");
    tx.execute(&sql).await
}

/// Takes away sessions that ended before `before` (unix seconds).
pub async fn sweep(tx: &mut Tx<'_>, before: i64) -> Result<u64, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM sessions WHERE expires_at < ").bind(before);
    tx.execute(&sql).await
}
