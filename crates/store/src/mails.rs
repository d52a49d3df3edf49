//! Rows of `mails`: what waits to be sent, and what was given up. What a mail says, and to whom it may go, is decided above.

pub mod templates;
pub mod tokens;

use crate::{Change, ChangeKind, Reader, Result, Row, Sql, Tx};

/// A mail that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub id: String,
    pub kind: String,
    /// `users` or the id of an auth collection, where it is about an account.
    pub realm: Option<String>,
    pub account_id: Option<String>,
    pub recipient: String,
    /// JSON object: what the template may say.
    pub data: String,
    /// When its link dies, if that is not counted from when it is sent; unix seconds.
    pub link_until: Option<i64>,
    /// How often it was tried, this time included.
    pub attempts: i64,
    pub created: String,
}

/// What the queue holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Waiting to be sent, or to be tried again.
    pub waiting: i64,
    /// Given up.
    pub failed: i64,
}

/// Queues a mail, unless `limit` of them wait already. False when it was left out for that.
pub async fn enqueue(tx: &mut Tx<'_>, mail: &Mail, due_at: i64, limit: i64) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO mails (id, kind, realm, account_id, recipient, data, due_at, link_until, created) SELECT ");
    sql.bind_typed(&mail.id).push(", ").bind_typed(&mail.kind);
    sql.push(", ").bind_typed(mail.realm.as_deref()).push(", ").bind_typed(mail.account_id.as_deref());
    sql.push(", ").bind_typed(&mail.recipient).push(", ").bind_typed(&mail.data).push(", ").bind_typed(due_at);
    match mail.link_until {
        Some(until) => sql.push(", ").bind_typed(until),
        None => sql.push(", NULL"),
    };
    sql.push(", ").bind_typed(&mail.created);
    sql.push(" WHERE (SELECT count(*) FROM (SELECT 1 FROM mails WHERE failed_at IS NULL LIMIT ").bind_typed(limit);
    sql.push(") AS waiting) < ").bind_typed(limit);
    let queued = tx.execute(&sql).await? == 1;
    if queued {
        tx.announce(Change::new(ChangeKind::Mail, ""));
    }
    Ok(queued)
}

/// Takes out the mails of the same kind, recipient and account that still wait: this newer one is about to stand for them.
pub async fn withdraw_older(tx: &mut Tx<'_>, newer: &Mail) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM mails WHERE recipient = ").bind(&newer.recipient).push(" AND kind = ").bind(&newer.kind);
    sql.push(" AND coalesce(realm, '') = ").bind(newer.realm.as_deref().unwrap_or_default());
    sql.push(" AND coalesce(account_id, '') = ").bind(newer.account_id.as_deref().unwrap_or_default());
    tx.execute(sql.push(" AND failed_at IS NULL")).await.map(drop)
}

/// Takes out the mails of these kinds that wait for an account.
pub async fn withdraw_of_account(tx: &mut Tx<'_>, realm: &str, account_id: &str, kinds: &[&str]) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM mails WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id);
    sql.push(" AND kind IN (").binds_of(kinds.iter().copied()).push(") AND failed_at IS NULL");
    tx.execute(&sql).await.map(drop)
}

/// The mail that has been due for longest, claimed until `until`: no other node gets it before. What was claimed and not settled by
/// then, because its node died, is due again.
pub async fn claim(tx: &mut Tx<'_>, now: i64, until: i64) -> Result<Option<Mail>> {
    let mut sql = tx.sql();
    sql.push("UPDATE mails SET attempts = attempts + 1, due_at = ").bind(until);
    sql.push(" WHERE id = (SELECT id FROM mails WHERE failed_at IS NULL AND due_at <= ").bind(now);
    sql.push(" ORDER BY due_at, id LIMIT 1").pick("", " FOR UPDATE SKIP LOCKED");
    sql.push(") RETURNING id, kind, realm, account_id, recipient, data, link_until, attempts, created");
    tx.fetch_one(&sql).await?.as_ref().map(Mail::of).transpose()
}

impl Mail {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            kind: row.text(1)?.to_owned(),
            realm: row.opt_text(2)?.map(str::to_owned),
            account_id: row.opt_text(3)?.map(str::to_owned),
            recipient: row.text(4)?.to_owned(),
            data: row.text(5)?.to_owned(),
            link_until: row.opt_int(6)?,
            attempts: row.int(7)?,
            created: row.text(8)?.to_owned(),
        })
    }
}

/// Takes a mail out: it was sent, or nobody is to get it.
pub async fn remove(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM mails WHERE id = ").bind(id);
    tx.execute(&sql).await.map(drop)
}

/// Has a claimed mail tried again at `due_at`. Nothing happens where another node holds the claim by now.
pub async fn put_back(tx: &mut Tx<'_>, mail: &Mail, due_at: i64, error: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE mails SET due_at = ").bind(due_at).push(", last_error = ").bind(error);
    settle(tx, sql, mail).await
}

/// Gives a claimed mail up. What it would have said is forgotten; that it failed, and why, stays.
pub async fn give_up(tx: &mut Tx<'_>, mail: &Mail, now: i64, error: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE mails SET data = '{}', failed_at = ").bind(now).push(", last_error = ").bind(error);
    settle(tx, sql, mail).await
}

async fn settle(tx: &mut Tx<'_>, mut sql: Sql, mail: &Mail) -> Result<()> {
    sql.push(" WHERE id = ").bind(&mail.id).push(" AND attempts = ").bind(mail.attempts);
    tx.execute(&sql).await.map(drop)
}

/// How many wait and how many were given up.
pub async fn standing(reader: &mut Reader<'_>) -> Result<Standing> {
    let mut sql = reader.sql();
    sql.push(
        "SELECT count(*) FILTER (WHERE failed_at IS NULL), count(*) FILTER (WHERE failed_at IS NOT NULL) FROM mails",
    );
    let Some(row) = reader.fetch_one(&sql).await? else { return Ok(Standing::default()) };
    Ok(Standing { waiting: row.int(0)?, failed: row.int(1)? })
}

/// Takes away what was given up before then (unix seconds).
pub async fn sweep(tx: &mut Tx<'_>, before: i64) -> Result<u64> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM mails WHERE failed_at < ").bind(before);
    tx.execute(&sql).await
}
