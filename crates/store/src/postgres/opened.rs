//! A transaction that writes, on a connection of the pool. Unlike the driver's own it lets its last statements go out together with the
//! COMMIT: what every write adds at its end (its audit rows, what other nodes are told) costs no wait of its own.

use super::fault::meaning;
use super::session::Session;
use crate::error::{Error, Result};
use crate::sql::Sql;
use deadpool_postgres::Client;

/// A connection in a transaction. One that is let go without being ended is closed, which rolls it back.
pub(super) struct Opened(Option<Client>);

impl Opened {
    pub(super) async fn begin(client: Client) -> Result<Self> {
        let opened = Self(Some(client));
        opened.session()?.script("BEGIN").await?;
        Ok(opened)
    }

    /// Statements inside it.
    pub(super) fn session(&self) -> Result<Session<'_>> {
        self.0.as_ref().map(Session::within).ok_or_else(|| Error::internal("a transaction has ended already"))
    }

    /// Runs the last statements and ends it. An error comes with whether it may be committed all the same.
    pub(super) async fn commit(mut self, last: &[Sql]) -> Result<(), (Error, bool)> {
        self.session().map_err(|error| (error, false))?.end_with(last).await?;
        drop(self.0.take());
        Ok(())
    }

    /// Undoes it.
    pub(super) async fn roll_back(mut self) {
        let Some(client) = &self.0 else { return };
        match client.batch_execute("ROLLBACK").await.map_err(meaning) {
            // Back to the pool.
            Ok(()) => drop(self.0.take()),
            Err(error) => tracing::warn!(%error, "a transaction could not be rolled back, its connection is given up"),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Client::take(client));
        }
    }
}
