//! Statements on a connection of the pool.

use super::bind::{Bind, Stepped};
use super::fault::meaning;
use crate::error::{Error, Fault, Result};
use crate::sql::Sql;
use crate::value::Columns;
use deadpool_postgres::{Client, StatementCache, Transaction};
use futures_util::{FutureExt, TryStreamExt};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_postgres::error::SqlState;
use tokio_postgres::{RowStream, Statement};

/// Statements kept prepared on each connection; at the limit all are given up, since the pool knows no order of use.
const STATEMENT_CACHE: usize = 256;

/// A connection lent to one job.
pub(crate) struct Session<'c>(Link<'c>);

enum Link<'c> {
    Plain(&'c Client),
    Transaction(&'c Transaction<'c>),
    /// In a transaction that begins with the first statement and that somebody else ends: whether it has begun.
    Within(&'c Client, &'c AtomicBool),
}

impl<'c> Session<'c> {
    /// Statements each on its own.
    pub(super) fn plain(client: &'c Client) -> Self {
        Self(Link::Plain(client))
    }

    /// Statements inside a transaction.
    pub(super) fn in_transaction(transaction: &'c Transaction<'c>) -> Self {
        Self(Link::Transaction(transaction))
    }

    /// Statements inside a transaction of this connection, which the first of them begins.
    pub(super) fn within(client: &'c Client, has_begun: &'c AtomicBool) -> Self {
        Self(Link::Within(client, has_begun))
    }

    /// Runs a statement and answers how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &Sql) -> Result<u64> {
        let mut rows = pin!(self.start(sql).await?);
        while rows.try_next().await.map_err(meaning)?.is_some() {}
        Ok(rows.rows_affected().unwrap_or(0))
    }

    /// Runs a statement to its end and shows each of its rows.
    pub(crate) async fn for_each<F>(&mut self, sql: &Sql, mut each: F) -> Result<()>
    where
        F: FnMut(&dyn Columns) -> Result<()> + Send,
    {
        let mut rows = pin!(self.start(sql).await?);
        while let Some(row) = rows.try_next().await.map_err(meaning)? {
            each(&Stepped::new(&row)?)?;
        }
        Ok(())
    }

    /// Runs statements without binds.
    pub(crate) async fn script(&mut self, text: &str) -> Result<()> {
        self.begin().await?;
        tracing::trace!(target: "fastcms_store::sql", text);
        self.batch(text).await.map_err(meaning)
    }

    async fn begin(&self) -> Result<()> {
        if let Link::Within(client, has_begun) = &self.0
            && !has_begun.load(Ordering::Relaxed)
        {
            client.batch_execute("BEGIN").await.map_err(meaning)?;
            has_begun.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn batch(&self, text: &str) -> Result<(), tokio_postgres::Error> {
        match &self.0 {
            Link::Plain(client) | Link::Within(client, _) => client.batch_execute(text).await,
            Link::Transaction(transaction) => transaction.batch_execute(text).await,
        }
    }

    async fn start(&self, sql: &Sql) -> Result<RowStream> {
        self.begin().await?;
        tracing::trace!(target: "fastcms_store::sql", text = sql.text());
        let statement = self.prepare(sql).await?;
        match self.query(sql, &statement).await {
            Ok(rows) => Ok(rows),
            // Outside a transaction it is simply prepared again.
            Err(error) if is_stale(&error) && matches!(self.0, Link::Plain(_)) => {
                self.cache().remove(sql.text(), &[]);
                let statement = self.prepare(sql).await?;
                self.query(sql, &statement).await.map_err(meaning)
            }
            Err(error) => Err(self.fault(sql, error)),
        }
    }

    /// Runs a statement that is a transaction by itself, where none has begun: the server needs no BEGIN and no COMMIT to keep it.
    pub(super) async fn end_alone(&self, sql: &Sql) -> Result<(), (Error, bool)> {
        tracing::trace!(target: "fastcms_store::sql", text = sql.text());
        let statement = self.prepare(sql).await.map_err(|error| (error, false))?;
        self.ask(sql, &statement).await.map_err(|error| (error, true))
    }

    /// Runs statements, and the COMMIT after them, without waiting for the server in between: they are on their way together. Where one
    /// of them fails the server rolls back, whatever follows it. An error with `false` came before the COMMIT was sent.
    pub(super) async fn end_with(&mut self, statements: &[Sql]) -> Result<(), (Error, bool)> {
        self.begin().await.map_err(|error| (error, false))?;
        let mut prepared = Vec::with_capacity(statements.len());
        for sql in statements {
            tracing::trace!(target: "fastcms_store::sql", text = sql.text());
            prepared.push((sql, self.prepare(sql).await.map_err(|error| (error, false))?));
        }
        let mut sent = Vec::with_capacity(prepared.len());
        for (sql, statement) in &prepared {
            let mut asked = Box::pin(self.ask(sql, statement));
            // What is polled is sent; what cannot be sent must not be followed by a COMMIT.
            match (&mut asked).now_or_never() {
                Some(done) => done.map_err(|error| (error, false))?,
                None => sent.push(asked),
            }
        }
        let mut commit = pin!(self.batch("COMMIT"));
        let committed = commit.as_mut().now_or_never();
        for asked in sent {
            asked.await.map_err(|error| (error, true))?;
        }
        let committed = match committed {
            Some(done) => done,
            None => commit.await,
        };
        committed.map_err(|error| (meaning(error), true))
    }

    async fn ask(&self, sql: &Sql, statement: &Statement) -> Result<()> {
        let mut rows = pin!(self.query(sql, statement).await.map_err(|error| self.fault(sql, error))?);
        while rows.try_next().await.map_err(meaning)?.is_some() {}
        Ok(())
    }

    /// What an error of a statement in a transaction means. The table may have changed since the statement was prepared: the transaction
    /// is lost with it, but the same job will succeed when tried again.
    fn fault(&self, sql: &Sql, error: tokio_postgres::Error) -> Error {
        if !is_stale(&error) {
            return meaning(error);
        }
        self.cache().remove(sql.text(), &[]);
        Error::Busy(Fault::new("stale", "a table was changed meanwhile"))
    }

    fn cache(&self) -> &StatementCache {
        match &self.0 {
            Link::Plain(client) | Link::Within(client, _) => &client.statement_cache,
            Link::Transaction(transaction) => &transaction.statement_cache,
        }
    }

    async fn query(&self, sql: &Sql, statement: &Statement) -> Result<RowStream, tokio_postgres::Error> {
        let binds = sql.binds().iter().map(Bind);
        match &self.0 {
            Link::Plain(client) | Link::Within(client, _) => client.query_raw(statement, binds).await,
            Link::Transaction(transaction) => transaction.query_raw(statement, binds).await,
        }
    }

    async fn prepare(&self, sql: &Sql) -> Result<Statement> {
        if self.cache().size() >= STATEMENT_CACHE {
            self.cache().clear();
        }
        let prepared = match &self.0 {
            Link::Plain(client) | Link::Within(client, _) => client.prepare_cached(sql.text()).await,
            Link::Transaction(transaction) => transaction.prepare_cached(sql.text()).await,
        };
        let statement = prepared.map_err(meaning)?;
        let (wanted, given) = (statement.params().len(), sql.binds().len());
        if wanted == given {
            Ok(statement)
        } else {
            Err(Error::internal(format!("a statement with {wanted} placeholders has {given} binds")))
        }
    }
}

/// Whether the server will not run a statement it prepared itself: the result's columns changed, or it is forgotten.
fn is_stale(error: &tokio_postgres::Error) -> bool {
    let Some(said) = error.as_db_error() else {
        return false;
    };
    match *said.code() {
        SqlState::INVALID_SQL_STATEMENT_NAME => true,
        SqlState::FEATURE_NOT_SUPPORTED => said.routine() == Some("RevalidateCachedQuery"),
        _ => false,
    }
}
