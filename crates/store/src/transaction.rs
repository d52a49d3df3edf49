//! The transaction a write job gets: the same on both engines.

use crate::audit::NewRow;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::outbox::Waiting;
use crate::sql::{Dialect, Sql};
use crate::value::{Columns, Row};
use crate::{postgres, sqlite};
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a write does besides its statements, kept until the commit.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// By how much each collection's number of rows moves.
    pub(crate) counts: BTreeMap<String, i64>,
    /// What to announce, in order.
    pub(crate) changes: Vec<Change>,
    /// Events for the outbox, in order.
    pub(crate) events: Vec<Waiting>,
    /// Rows of the audit log, in order.
    pub(crate) audit: Vec<NewRow>,
    /// Whether tables were changed, which makes prepared statements stale on `PostgreSQL`.
    pub(crate) altered: bool,
}

impl Effects {
    /// Takes over what another job of the same group did.
    pub(crate) fn merge(&mut self, other: Self) {
        for (collection, delta) in other.counts {
            *self.counts.entry(collection).or_default() += delta;
        }
        self.changes.extend(other.changes);
        self.events.extend(other.events);
        self.audit.extend(other.audit);
        self.altered |= other.altered;
    }
}

/// A name that only one transaction of the whole cluster holds at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockName(i64);

impl LockName {
    /// The lock of a purpose, such as `"migrations"`.
    pub fn new(purpose: &'static str) -> Self {
        Self::of(purpose, "")
    }

    /// The lock of one thing for a purpose: one account's attempts, say.
    pub fn of(purpose: &'static str, id: &str) -> Self {
        let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(id).finalize();
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        Self(i64::from_be_bytes(head))
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }
}

/// A transaction in progress.
///
/// A statement that fails ends it, whatever the job makes of the error: a job that answers `Ok` after a failed statement is
/// rolled back with [`Error::Internal`]. (`PostgreSQL` works that way, and one rule for both engines is easier to keep.)
/// To survive an expected failure use `ON CONFLICT`, or [`Tx::savepoint`].
///
/// Its futures never wait on `SQLite`. A job must await nothing but its transaction.
pub struct Tx<'c> {
    engine: Engine<'c>,
    effects: Effects,
    failed: bool,
    /// Why the transaction cannot go on, whatever its job does: a part of it could not be begun, undone or ended.
    lost: Option<Error>,
}

enum Engine<'c> {
    Sqlite(sqlite::Session<'c>),
    Postgres(postgres::Session<'c>),
}

impl<'c> Tx<'c> {
    pub(crate) fn sqlite(session: sqlite::Session<'c>) -> Self {
        Self { engine: Engine::Sqlite(session), effects: Effects::default(), failed: false, lost: None }
    }

    pub(crate) fn postgres(session: postgres::Session<'c>) -> Self {
        Self { engine: Engine::Postgres(session), effects: Effects::default(), failed: false, lost: None }
    }

    /// Which engine this runs on.
    pub fn dialect(&self) -> Dialect {
        match self.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    /// An empty statement for this engine.
    pub fn sql(&self) -> Sql {
        Sql::new(self.dialect())
    }

    /// Runs a statement and answers how many rows it changed. Rows it returns are dropped.
    pub async fn execute(&mut self, sql: &Sql) -> Result<u64> {
        let done = match (sql.check(), &mut self.engine) {
            (Err(refused), _) => Err(refused),
            (Ok(()), Engine::Sqlite(session)) => session.execute(sql),
            (Ok(()), Engine::Postgres(session)) => session.execute(sql).await,
        };
        self.noted(done)
    }

    /// Runs a statement and answers all its rows.
    pub async fn fetch(&mut self, sql: &Sql) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.for_each(sql, |columns| {
            rows.push(Row::copy(columns));
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Runs a statement to its end and answers its first row, if it has one.
    pub async fn fetch_one(&mut self, sql: &Sql) -> Result<Option<Row>> {
        let mut first = None;
        self.for_each(sql, |columns| {
            first.get_or_insert_with(|| Row::copy(columns));
            Ok(())
        })
        .await?;
        Ok(first)
    }

    /// Runs a statement and shows each of its rows as it is stepped.
    pub async fn for_each<F>(&mut self, sql: &Sql, each: F) -> Result<()>
    where
        F: FnMut(&dyn Columns) -> Result<()> + Send,
    {
        let done = match (sql.check(), &mut self.engine) {
            (Err(refused), _) => Err(refused),
            (Ok(()), Engine::Sqlite(session)) => session.for_each(sql, each),
            (Ok(()), Engine::Postgres(session)) => session.for_each(sql, each).await,
        };
        self.noted(done)
    }

    /// Runs statements that change tables, separated by `;`. They cannot have binds.
    pub async fn ddl(&mut self, sql: &Sql) -> Result<()> {
        if !sql.binds().is_empty() {
            let refused = Err(Error::internal("statements that change tables take no binds"));
            return self.noted(refused);
        }
        self.script(sql.text()).await
    }

    /// Runs the text of a migration.
    pub(crate) async fn script(&mut self, text: &str) -> Result<()> {
        self.effects.altered = true;
        let done = match &mut self.engine {
            Engine::Sqlite(session) => session.script(text),
            Engine::Postgres(session) => session.script(text).await,
        };
        self.noted(done)
    }

    /// Waits until no other transaction of the cluster holds the lock, and holds it to the end of this one. On `SQLite`
    /// there is nothing to do: writes are one after another.
    pub async fn lock(&mut self, lock: LockName) -> Result<()> {
        if let Engine::Postgres(session) = &mut self.engine {
            let sql = Sql::with(Dialect::Postgres, "SELECT pg_advisory_xact_lock(?)", [lock.number()]);
            let done = session.execute(&sql).await;
            self.noted(done)?;
        }
        Ok(())
    }

    /// Moves the number of rows kept for a collection. Written once for all jobs of a group; on `PostgreSQL` nothing is
    /// kept, rows are counted there, since one row a collection would make every insert wait for the others.
    pub fn count(&mut self, collection_id: &str, delta: i64) {
        if delta != 0 && self.dialect() == Dialect::Sqlite {
            *self.effects.counts.entry(collection_id.to_owned()).or_default() += delta;
        }
    }

    /// What is done with the commit.
    pub(crate) fn effects_mut(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// Tells the subscribers on all nodes of a change, once it is committed.
    pub fn announce(&mut self, change: Change) {
        self.effects.changes.push(change);
    }

    /// Runs a part that may fail without ending the transaction: on its error only its own doings are undone.
    pub async fn savepoint<T, E, F>(&mut self, part: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'c>) -> BoxFuture<'a, Result<T, E>> + Send,
        T: Send,
        E: From<Error> + Send,
    {
        self.script_quietly("SAVEPOINT part").await?;
        let before = std::mem::take(&mut self.effects);
        let mut done = part(self).await;
        if done.is_ok() && self.failed {
            done = Err(Self::went_on().into());
        }
        let after = std::mem::replace(&mut self.effects, before);
        if done.is_ok() {
            self.effects.merge(after);
        } else {
            self.failed = false;
            self.script_quietly("ROLLBACK TO SAVEPOINT part").await?;
        }
        self.script_quietly("RELEASE SAVEPOINT part").await?;
        done
    }

    async fn script_quietly(&mut self, text: &'static str) -> Result<()> {
        let done = match &mut self.engine {
            Engine::Sqlite(session) => session.control(text),
            Engine::Postgres(session) => session.script(text).await,
        };
        if let Err(error) = &done {
            self.lost.get_or_insert_with(|| error.clone());
        }
        self.noted(done)
    }

    /// The verdict on a job that answered: its effects, unless a statement of it failed.
    pub(crate) fn finish(self) -> Result<Effects> {
        if !self.failed {
            return Ok(self.effects);
        }
        Err(self.lost.unwrap_or_else(Self::went_on))
    }

    fn went_on() -> Error {
        Error::internal("a job answered `Ok` although one of its statements failed")
    }

    fn noted<T>(&mut self, done: Result<T>) -> Result<T> {
        self.failed |= done.is_err();
        done
    }
}
