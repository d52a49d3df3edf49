//! Counters of guesses at credentials, as rows. A guess is counted by one statement, before anybody looks whether it is right, so that
//! any number of guesses at once count as many. What a counter is for, and what follows from its number, is decided above.

use crate::{Error, Reader, Row, Sql, Tx};

/// Name of a counter: an HMAC, so that what was guessed at cannot be read back.
pub type CounterName = [u8; 32];

/// Whose counter it is, where it is somebody's: the realm and the id of the account.
pub type Owner = (String, String);

/// When a counter locks, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The failure that locks.
    pub attempts: i64,
    /// How long a lock lasts, and after how long without a guess failures are forgotten; milliseconds.
    pub duration_millis: i64,
}

/// Where a counter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Guesses counted since the last success, unlock, or end of a lock.
    pub failures: i64,
    /// End of the lock, unix milliseconds.
    pub locked_until: Option<i64>,
}

impl Standing {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self { failures: row.int(0)?, locked_until: Some(row.int(1)?).filter(|until| *until > 0) })
    }
}

/// Counts one guess and says what its number is, in one statement.
///
/// A lock that is over, or failures that are old, begin anew at one. A guess past the limit counts on and moves no lock.
pub async fn count(
    tx: &mut Tx<'_>,
    counter: &CounterName,
    owner: Option<&Owner>,
    limits: Limits,
    now: i64,
) -> Result<Standing, Error> {
    let until = now.saturating_add(limits.duration_millis);
    let forgotten = now.saturating_sub(limits.duration_millis);
    let first_locks = limits.attempts <= 1;
    let mut sql = Sql::new(tx.dialect());
    sql.push("INSERT INTO attempts (counter, realm, account_id, failures, last_at, locked_until) VALUES (");
    sql.bind(counter.as_slice()).push(", ").bind(owner.map(|owner| owner.0.as_str()));
    sql.push(", ").bind(owner.map(|owner| owner.1.as_str())).push(", 1, ").bind(now).push(", ");
    sql.bind(if first_locks { until } else { 0 })
        .push(") ON CONFLICT (counter) DO UPDATE SET last_at = ")
        .bind_typed(now);
    sql.push(", failures = CASE WHEN ");
    push_over(&mut sql, now, forgotten);
    sql.push(" THEN 1 ELSE attempts.failures + 1 END, locked_until = CASE WHEN ");
    push_over(&mut sql, now, forgotten);
    sql.push(" THEN ").bind_typed(if first_locks { until } else { 0 });
    sql.push(" WHEN attempts.failures + 1 < ").bind_typed(limits.attempts).push(" THEN 0");
    sql.push(" WHEN attempts.locked_until > 0 THEN attempts.locked_until ELSE ").bind_typed(until);
    sql.push(" END RETURNING failures, locked_until");
    let row = tx.fetch_one(&sql).await?;
    row.as_ref().map_or_else(|| Err(Error::internal("an upsert of a counter returned no row")), Standing::of)
}

/// Whether what the row says is over.
fn push_over(sql: &mut Sql, now: i64, forgotten: i64) {
    sql.push("(attempts.locked_until > 0 AND attempts.locked_until <= ").bind_typed(now);
    sql.push(" OR attempts.locked_until = 0 AND attempts.last_at <= ").bind_typed(forgotten).push(")");
}

/// Takes one guess back that turned out to be none: everything about it was right but there is a further question to answer.
pub async fn take_back(tx: &mut Tx<'_>, counter: &CounterName, limits: Limits) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE attempts SET failures = failures - 1, locked_until = CASE WHEN failures - 1 < ");
    sql.bind_typed(limits.attempts).push(" THEN 0 ELSE locked_until END WHERE failures > 0 AND counter = ");
    sql.bind(counter.as_slice());
    tx.execute(&sql).await.map(drop)
}

/// Forgets a counter: somebody proved to be who they say.
pub async fn forget(tx: &mut Tx<'_>, counter: &CounterName) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM attempts WHERE counter = ").bind(counter.as_slice());
    tx.execute(&sql).await.map(drop)
}

/// Forgets all counters of an account.
pub async fn forget_account(tx: &mut Tx<'_>, realm: &str, account_id: &str) -> Result<u64, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM attempts WHERE realm = ").bind(realm).push(" AND account_id = ").bind(account_id);
    tx.execute(&sql).await
}

/// Where a counter stands now: nothing counted, or what is counted is over, is `None`.
pub async fn standing(
    reader: &mut Reader<'_>,
    counter: &CounterName,
    limits: Limits,
    now: i64,
) -> Result<Option<Standing>, Error> {
    let mut sql = Sql::new(reader.dialect());
    sql.push("SELECT failures, locked_until FROM attempts WHERE counter = ").bind(counter.as_slice());
    sql.push(" AND NOT ");
    push_over(&mut sql, now, now.saturating_sub(limits.duration_millis));
    reader.fetch_one(&sql).await?.as_ref().map(Standing::of).transpose()
}

/// Takes away counters that are over.
pub async fn sweep(tx: &mut Tx<'_>, limits: Limits, now: i64) -> Result<u64, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("DELETE FROM attempts WHERE ");
    push_over(&mut sql, now, now.saturating_sub(limits.duration_millis));
    tx.execute(&sql).await
}

/// The key of counters' names: `proposed`, unless another node was first.
pub async fn key(tx: &mut Tx<'_>, proposed: &[u8; 32]) -> Result<[u8; 32], Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("INSERT INTO attempts_key (id, bytes) VALUES (1, ").bind(proposed.as_slice());
    sql.push(") ON CONFLICT (id) DO NOTHING");
    tx.execute(&sql).await?;
    let sql = Sql::with(tx.dialect(), "SELECT bytes FROM attempts_key WHERE id = ?", [1_i64]);
    let row = tx.fetch_one(&sql).await?;
    let bytes = row.as_ref().map(|row| row.opt_bytes(0)).transpose()?.flatten();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| Error::internal("the key of counters is no key"))
}
