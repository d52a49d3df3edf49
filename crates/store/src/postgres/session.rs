//! Statements on a connection of the pool.

use super::bind::{Bind, Stepped};
use super::fault::meaning;
use crate::error::{Error, Fault, Result};
use crate::sql::Sql;
use crate::value::Columns;
use deadpool_postgres::{Client, StatementCache, Transaction};
use futures_util::TryStreamExt;
use std::pin::pin;
use tokio_postgres::error::SqlState;
use tokio_postgres::{RowStream, Statement};

/// Statements kept prepared on each connection; at the limit all are given up, since the pool knows no order of use.
const STATEMENT_CACHE: usize = 256;

/// A connection lent to one job.
pub(crate) struct Session<'c>(Link<'c>);

enum Link<'c> {
    Plain(&'c Client),
    Transaction(&'c Transaction<'c>),
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
        tracing::trace!(target: "fastcms_store::sql", text);
        let done = match &self.0 {
            Link::Plain(client) => client.batch_execute(text).await,
            Link::Transaction(transaction) => transaction.batch_execute(text).await,
        };
        done.map_err(meaning)
    }

    async fn start(&self, sql: &Sql) -> Result<RowStream> {
        tracing::trace!(target: "fastcms_store::sql", text = sql.text());
        let statement = self.prepare(sql).await?;
        let (wanted, given) = (statement.params().len(), sql.binds().len());
        if wanted != given {
            return Err(Error::internal(format!("a statement with {wanted} placeholders has {given} binds")));
        }
        let done = self.query(sql, &statement).await;
        let Err(error) = &done else {
            return done.map_err(meaning);
        };
        if !is_stale(error) {
            return done.map_err(meaning);
        }
        // The table changed since the statement was prepared. Outside a transaction it is simply prepared again; a
        // transaction is lost with it, but the same job will succeed when tried again.
        self.cache().remove(sql.text(), &[]);
        match &self.0 {
            Link::Plain(_) => {
                let statement = self.prepare(sql).await?;
                self.query(sql, &statement).await.map_err(meaning)
            }
            Link::Transaction(_) => Err(Error::Busy(Fault::new("stale", "a table was changed meanwhile"))),
        }
    }

    fn cache(&self) -> &StatementCache {
        match &self.0 {
            Link::Plain(client) => &client.statement_cache,
            Link::Transaction(transaction) => &transaction.statement_cache,
        }
    }

    async fn query(&self, sql: &Sql, statement: &Statement) -> Result<RowStream, tokio_postgres::Error> {
        let binds = sql.binds().iter().map(Bind);
        match &self.0 {
            Link::Plain(client) => client.query_raw(statement, binds).await,
            Link::Transaction(transaction) => transaction.query_raw(statement, binds).await,
        }
    }

    async fn prepare(&self, sql: &Sql) -> Result<Statement> {
        if self.cache().size() >= STATEMENT_CACHE {
            self.cache().clear();
        }
        let prepared = match &self.0 {
            Link::Plain(client) => client.prepare_cached(sql.text()).await,
            Link::Transaction(transaction) => transaction.prepare_cached(sql.text()).await,
        };
        prepared.map_err(meaning)
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
