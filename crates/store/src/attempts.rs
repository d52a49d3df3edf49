//! Counters of guesses at credentials, as rows. A guess is counted by one statement, before anybody looks whether it is right, so that
//! any number of guesses at once count as many. The same statement says whether it may be looked at: as many may as lock, and where
//! some of those have no outcome yet, a further one [waits](Turn::Wait) for it. What a counter is for is decided above.

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

/// After how long without an outcome a guess holds nobody up any more, milliseconds: the process that looked at it is gone.
pub const UNDECIDED_MILLIS: i64 = 10_000;

/// What a counter says to a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may be looked at.
    Look,
    /// Others are being looked at, and their outcome decides.
    Wait,
    /// As many as lock have failed.
    Refused,
}

/// A guess that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub standing: Standing,
    /// Since when the counter counts: another one after every success, unlock, or end of a lock.
    pub generation: i64,
    looked_at: i64,
    undecided: i64,
    begun_at: i64,
    last_guess: i64,
}

impl Counted {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            standing: Standing::of(row)?,
            generation: row.int(2)?,
            looked_at: row.int(3)?,
            undecided: row.int(4)?,
            begun_at: row.int(5)?,
            last_guess: row.int(6)?,
        })
    }

    /// Whether it was this guess that was given a place last.
    pub fn is_looked_at(&self, guess: i64) -> bool {
        self.last_guess == guess
    }

    /// What the counter says to this guess.
    pub fn turn(&self, guess: i64, limits: Limits, now: i64) -> Turn {
        let is_awaited = self.undecided > 0 && self.begun_at > now.saturating_sub(UNDECIDED_MILLIS);
        match self.is_looked_at(guess) {
            true => Turn::Look,
            false if is_awaited || self.looked_at < limits.attempts => Turn::Wait,
            false => Turn::Refused,
        }
    }

    /// Whether a further guess may be looked at.
    pub fn has_room(&self, limits: Limits) -> bool {
        self.looked_at < limits.attempts
    }

    /// Whether all guesses that lock have failed.
    pub fn is_spent(&self, limits: Limits) -> bool {
        !self.has_room(limits) && self.undecided == 0
    }
}

const COUNTED: &str = "failures, locked_until, generation, looked_at, undecided, begun_at, last_guess";

/// Counts one guess and says what its number is and whether it may be looked at, in one statement. `guess` is a random number that
/// tells it from others.
///
/// A lock that is over, or failures that are old, begin anew at one. A guess past the limit counts on and moves no lock.
pub async fn count(
    tx: &mut Tx<'_>,
    counter: &CounterName,
    owner: Option<&Owner>,
    guess: i64,
    limits: Limits,
    now: i64,
) -> Result<Counted, Error> {
    let until = now.saturating_add(limits.duration_millis);
    let forgotten = now.saturating_sub(limits.duration_millis);
    let first_locks = limits.attempts <= 1;
    let mut sql = Sql::new(tx.dialect());
    sql.push("INSERT INTO attempts (counter, realm, account_id, last_at, ").push(COUNTED).push(") VALUES (");
    sql.bind(counter.as_slice()).push(", ").bind(owner.map(|owner| owner.0.as_str()));
    sql.push(", ").bind(owner.map(|owner| owner.1.as_str())).push(", ").bind(now).push(", 1, ");
    sql.bind(if first_locks { until } else { 0 }).push(", ").bind(guess).push(", 1, 1, ").bind(now);
    sql.push(", ").bind(guess).push(") ON CONFLICT (counter) DO UPDATE SET last_at = ").bind_typed(now);
    sql.push(", failures = CASE WHEN ");
    push_over(&mut sql, now, forgotten);
    sql.push(" THEN 1 ELSE attempts.failures + 1 END, locked_until = CASE WHEN ");
    push_over(&mut sql, now, forgotten);
    sql.push(" THEN ").bind_typed(if first_locks { until } else { 0 });
    sql.push(" WHEN attempts.failures + 1 < ").bind_typed(limits.attempts).push(" THEN 0");
    sql.push(" WHEN attempts.locked_until > 0 THEN attempts.locked_until ELSE ").bind_typed(until);
    sql.push(" END, generation = CASE WHEN ");
    push_over(&mut sql, now, forgotten);
    sql.push(" THEN ").bind_typed(guess).push(" ELSE attempts.generation END, looked_at = CASE WHEN ");
    push_over(&mut sql, now, forgotten);
    sql.push(" THEN 1 WHEN attempts.looked_at < ").bind_typed(limits.attempts);
    sql.push(" THEN attempts.looked_at + 1 ELSE attempts.looked_at END, undecided = CASE WHEN ");
    push_over(&mut sql, now, forgotten);
    sql.push(" THEN 1 WHEN attempts.looked_at >= ").bind_typed(limits.attempts).push(" THEN attempts.undecided");
    push_one_more(&mut sql, now);
    for (head, value, tail) in [
        (", begun_at = CASE WHEN ", now, " ELSE attempts.begun_at END"),
        (", last_guess = CASE WHEN ", guess, " ELSE attempts.last_guess END"),
    ] {
        sql.push(head);
        push_over(&mut sql, now, forgotten);
        sql.push(" OR attempts.looked_at < ").bind_typed(limits.attempts).push(" THEN ").bind_typed(value).push(tail);
    }
    sql.push(" RETURNING ").push(COUNTED);
    let row = tx.fetch_one(&sql).await?;
    row.as_ref().map_or_else(|| Err(Error::internal("an upsert of a counter returned no row")), Counted::of)
}

/// The rest of a CASE for one more guess that is looked at: those that nobody decided in time are not waited for.
fn push_one_more(sql: &mut Sql, now: i64) {
    sql.push(" WHEN attempts.begun_at <= ").bind_typed(now.saturating_sub(UNDECIDED_MILLIS));
    sql.push(" THEN 1 ELSE attempts.undecided + 1 END");
}

/// Lets a guess that is counted already be looked at, if there is room by now.
pub async fn begin(
    tx: &mut Tx<'_>,
    counter: &CounterName,
    generation: i64,
    guess: i64,
    limits: Limits,
    now: i64,
) -> Result<Option<Counted>, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE attempts SET looked_at = looked_at + 1, begun_at = ").bind(now);
    sql.push(", last_guess = ").bind(guess).push(", undecided = CASE");
    push_one_more(&mut sql, now);
    sql.push(" WHERE counter = ").bind(counter.as_slice()).push(" AND generation = ").bind(generation);
    sql.push(" AND looked_at < ").bind(limits.attempts).push(" RETURNING ").push(COUNTED);
    tx.fetch_one(&sql).await?.as_ref().map(Counted::of).transpose()
}

/// Notes that a guess that was looked at has failed. `None`: the counter has begun anew since.
pub async fn fail(tx: &mut Tx<'_>, counter: &CounterName, generation: i64) -> Result<Option<Counted>, Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE attempts SET undecided = undecided - 1 WHERE undecided > 0 AND counter = ");
    sql.bind(counter.as_slice()).push(" AND generation = ").bind(generation).push(" RETURNING ").push(COUNTED);
    tx.fetch_one(&sql).await?.as_ref().map(Counted::of).transpose()
}

/// How a counter stands for those who wait at it.
pub async fn look(reader: &mut Reader<'_>, counter: &CounterName) -> Result<Option<Counted>, Error> {
    let mut sql = Sql::new(reader.dialect());
    sql.push("SELECT ").push(COUNTED).push(" FROM attempts WHERE counter = ").bind(counter.as_slice());
    reader.fetch_one(&sql).await?.as_ref().map(Counted::of).transpose()
}

/// Whether what the row says is over.
fn push_over(sql: &mut Sql, now: i64, forgotten: i64) {
    sql.push("(attempts.locked_until > 0 AND attempts.locked_until <= ").bind_typed(now);
    sql.push(" OR attempts.locked_until = 0 AND attempts.last_at <= ").bind_typed(forgotten).push(")");
}

/// Takes one guess back that turned out to be none: everything about it was right but there is a further question to answer, or
/// (`was_looked_at` false) nobody came to look at it.
pub async fn take_back(
    tx: &mut Tx<'_>,
    counter: &CounterName,
    generation: i64,
    was_looked_at: bool,
    limits: Limits,
) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect());
    sql.push("UPDATE attempts SET failures = failures - 1");
    if was_looked_at {
        sql.push(", looked_at = looked_at - 1, undecided = CASE WHEN undecided > 0 THEN undecided - 1 ELSE 0 END");
    }
    sql.push(", locked_until = CASE WHEN failures - 1 < ").bind_typed(limits.attempts);
    sql.push(" THEN 0 ELSE locked_until END WHERE failures > 0 AND counter = ").bind(counter.as_slice());
    sql.push(" AND generation = ").bind(generation);
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
