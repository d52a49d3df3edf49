//! Statements on a connection. Nothing here waits: what needs the disk is done when a call returns.

use super::counts::Counts;
use super::fault::meaning;
use crate::error::{Error, Fault, Result};
use crate::sql::Sql;
use crate::value::{Cell, Columns, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};
use std::time::Instant;

/// A connection lent to one job.
pub(crate) struct Session<'c> {
    // By `&mut` although statements need `&` only: a session is handed to futures that must be `Send`.
    conn: &'c mut Connection,
    /// Of a session that writes, inside a transaction: no statement begins after this.
    deadline: Option<Instant>,
    /// Of a connection that reads.
    counts: Option<&'c mut Counts>,
}

impl<'c> Session<'c> {
    /// A session whose statements are few and short.
    pub(super) fn new(conn: &'c mut Connection) -> Self {
        Self { conn, deadline: None, counts: None }
    }

    /// A session that changes nothing.
    pub(super) fn reading(conn: &'c mut Connection, counts: &'c mut Counts) -> Self {
        Self { conn, deadline: None, counts: Some(counts) }
    }

    /// A session that refuses statements after `deadline`. The connection stops those that run by then; but one that it stops
    /// while it writes costs the whole transaction, so a job of many short statements is better stopped between two.
    pub(super) fn until(conn: &'c mut Connection, deadline: Instant) -> Self {
        Self { conn, deadline: Some(deadline), counts: None }
    }

    /// Runs a statement and answers how many rows it changed.
    pub(crate) fn execute(&mut self, sql: &Sql) -> Result<u64> {
        let mut statement = self.prepare(sql)?;
        if statement.column_count() == 0 {
            return statement.raw_execute().map(|rows| rows as u64).map_err(meaning);
        }
        // A statement with RETURNING is done only when it was stepped to its end.
        let mut rows = statement.raw_query();
        while rows.next().map_err(meaning)?.is_some() {}
        drop(rows);
        drop(statement);
        Ok(self.conn.changes())
    }

    /// Runs a statement that answers no rows.
    pub(super) fn insert(&mut self, text: &str, values: &[Cell<'_>]) -> Result<()> {
        self.bound(text, values.iter().copied())?.raw_execute().map(drop).map_err(meaning)
    }

    /// Runs a statement to its end and shows each of its rows.
    pub(crate) fn for_each(&mut self, sql: &Sql, mut each: impl FnMut(&dyn Columns) -> Result<()>) -> Result<()> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(meaning)? {
            each(row)?;
        }
        Ok(())
    }

    /// Runs a statement up to its first row, and answers what `read` makes of it.
    pub(crate) fn first<T>(&mut self, sql: &Sql, read: impl FnOnce(&dyn Columns) -> T) -> Result<Option<T>> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.raw_query();
        Ok(rows.next().map_err(meaning)?.map(|row| read(row)))
    }

    /// The whole number that a statement answers; from memory where nothing was committed since it was counted here.
    pub(crate) fn count(&mut self, sql: &Sql) -> Result<i64> {
        let version =
            self.conn.prepare_cached("PRAGMA data_version").and_then(|mut asked| asked.query_row([], |row| row.get(0)));
        let version = version.map_err(meaning)?;
        if let Some(number) = self.counts.as_mut().and_then(|counts| counts.get(version, sql)) {
            return Ok(number);
        }
        let mut number = None;
        self.for_each(sql, |row| {
            number = row.int(0);
            Ok(())
        })?;
        let number = number.ok_or_else(|| Error::internal("a count answered no number"))?;
        if let Some(counts) = &mut self.counts {
            counts.put(sql, number);
        }
        Ok(number)
    }

    /// Runs statements without binds.
    pub(crate) fn script(&mut self, text: &str) -> Result<()> {
        self.check_transaction()?;
        tracing::trace!(target: "fastcms_store::sql", text);
        self.conn.execute_batch(text).map_err(meaning)
    }

    /// Runs a statement that steers the transaction.
    pub(crate) fn control(&mut self, text: &'static str) -> Result<()> {
        self.check_transaction()?;
        control(self.conn, text)
    }

    /// A disk that is full or fails makes the database roll the whole transaction back by itself. Whatever a job did after that would
    /// stand alone, committed at once: so it may do nothing more.
    fn check_transaction(&self) -> Result<()> {
        if self.deadline.is_some() && self.conn.is_autocommit() { Err(rolled_back()) } else { Ok(()) }
    }

    fn prepare(&mut self, sql: &Sql) -> Result<CachedStatement<'_>> {
        self.bound(sql.text(), sql.binds().iter().map(Value::cell))
    }

    fn bound<'v>(
        &mut self,
        text: &str,
        values: impl ExactSizeIterator<Item = Cell<'v>>,
    ) -> Result<CachedStatement<'_>> {
        self.check_transaction()?;
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Error::Timeout);
        }
        tracing::trace!(target: "fastcms_store::sql", text);
        let mut statement = self.conn.prepare_cached(text).map_err(meaning)?;
        let (wanted, given) = (statement.parameter_count(), values.len());
        if wanted != given {
            return Err(Error::internal(format!("a statement with {wanted} placeholders has {given} binds")));
        }
        for (at, value) in values.enumerate() {
            statement.raw_bind_parameter(at + 1, Bind(value)).map_err(meaning)?;
        }
        Ok(statement)
    }
}

/// What a job is told whose transaction the database has given up.
pub(super) fn rolled_back() -> Error {
    Error::Unavailable(Fault::new("rolled_back", "the database rolled a whole group of writes back"))
}

/// Runs a statement that steers the transaction: `BEGIN`, `SAVEPOINT`, `COMMIT`, ….
pub(super) fn control(conn: &Connection, text: &'static str) -> Result<()> {
    conn.prepare_cached(text).and_then(|mut statement| statement.raw_execute()).map(|_| ()).map_err(meaning)
}

struct Bind<'v>(Cell<'v>);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Bool(v) => ValueRef::Integer(v.into()),
            Cell::Int(v) => ValueRef::Integer(v),
            Cell::Real(v) => ValueRef::Real(v),
            Cell::Text(v) => ValueRef::Text(v.as_bytes()),
            Cell::Bytes(v) => ValueRef::Blob(v),
        }))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn width(&self) -> usize {
        self.as_ref().column_count()
    }

    fn name(&self, column: usize) -> &str {
        self.as_ref().column_name(column).unwrap_or_default()
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        match self.get_ref(column) {
            Err(_) | Ok(ValueRef::Null) => Cell::Null,
            Ok(ValueRef::Integer(v)) => Cell::Int(v),
            Ok(ValueRef::Real(v)) => Cell::Real(v),
            Ok(ValueRef::Text(v)) => std::str::from_utf8(v).map_or(Cell::Bytes(v), Cell::Text),
            Ok(ValueRef::Blob(v)) => Cell::Bytes(v),
        }
    }
}
