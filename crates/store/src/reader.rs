//! What a read job gets: statements that change nothing, the same on both engines.

use crate::error::Result;
use crate::sql::{Dialect, Sql};
use crate::value::{Columns, Row};
use crate::{postgres, sqlite};
use std::time::Duration;

/// How much a read may cost, which decides where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// A handful of index lookups (by id, an indexed page without a total): runs at once on the calling thread.
    Bounded,
    /// Anything that may walk a table: runs on a reader thread, with the store's time budget, on one snapshot.
    Scan,
    /// A [`Plan::Scan`] with a time budget of its own.
    Within(Duration),
}

/// A read in progress. A job must await nothing but its reader.
pub struct Reader<'c> {
    engine: Engine<'c>,
}

enum Engine<'c> {
    Sqlite(sqlite::Session<'c>),
    Postgres(postgres::Session<'c>),
}

impl<'c> Reader<'c> {
    pub(crate) fn sqlite(session: sqlite::Session<'c>) -> Self {
        Self { engine: Engine::Sqlite(session) }
    }

    pub(crate) fn postgres(session: postgres::Session<'c>) -> Self {
        Self { engine: Engine::Postgres(session) }
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

    /// Runs a statement and answers its first row, if it has one.
    pub async fn fetch_one(&mut self, sql: &Sql) -> Result<Option<Row>> {
        self.first(sql, |columns| Row::copy(columns)).await
    }

    /// Runs a statement up to its first row, and answers what `read` makes of that, if there is one.
    pub async fn first<T: Send>(
        &mut self,
        sql: &Sql,
        read: impl Fn(&dyn Columns) -> T + Send + Sync,
    ) -> Result<Option<T>> {
        if let Engine::Sqlite(session) = &mut self.engine {
            sql.check()?;
            return session.first(sql, read);
        }
        let mut first = None;
        let each = |columns: &dyn Columns| {
            first.get_or_insert_with(|| read(columns));
            Ok(())
        };
        self.for_each(sql, each).await?;
        Ok(first)
    }

    /// The whole number that a statement answers, such as `count(*)`. `SQLite` remembers it as long as nothing is committed: nothing may
    /// stand in the statement that changes from one moment to the next.
    pub async fn count(&mut self, sql: &Sql) -> Result<i64> {
        if let Engine::Sqlite(session) = &mut self.engine {
            sql.check()?;
            return session.count(sql);
        }
        self.fetch_one(sql).await?.map_or(Ok(0), |row| row.int(0))
    }

    /// Runs a statement and shows each of its rows as it is stepped; an error of `each` ends it.
    pub async fn for_each<F>(&mut self, sql: &Sql, each: F) -> Result<()>
    where
        F: FnMut(&dyn Columns) -> Result<()> + Send,
    {
        sql.check()?;
        match &mut self.engine {
            Engine::Sqlite(session) => session.for_each(sql, each),
            // On the heap: every job would have room for it, on the other engine too.
            Engine::Postgres(session) => Box::pin(session.for_each(sql, each)).await,
        }
    }
}
