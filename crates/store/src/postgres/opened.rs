//! A transaction that writes, on a connection of the pool. Unlike the driver's own it lets its last statements go out together with the
//! COMMIT: what every write adds at its end (its audit rows, what other nodes are told) costs no wait of its own.

use super::fault::meaning;
use super::session::Session;
use crate::error::{Error, Result};
use crate::sql::Sql;
use deadpool_postgres::Client;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connection in a transaction, which begins with the first statement of its job. One that is let go without being ended is closed,
/// which rolls it back.
pub(super) struct Opened {
    client: Option<Client>,
    has_begun: AtomicBool,
}

impl Opened {
    pub(super) fn new(client: Client) -> Self {
        Self { client: Some(client), has_begun: AtomicBool::new(false) }
    }

    /// Statements inside it.
    pub(super) fn session(&self) -> Result<Session<'_>> {
        let client = self.client.as_ref().ok_or_else(|| Error::internal("a transaction has ended already"))?;
        Ok(Session::within(client, &self.has_begun))
    }

    fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Runs the last statements and ends it. An error comes with whether it may be committed all the same.
    pub(super) async fn commit(mut self, last: &[Sql]) -> Result<(), (Error, bool)> {
        let mut session = self.session().map_err(|error| (error, false))?;
        match last {
            [] if !self.has_begun() => {}
            // A job without statements of its own: all that there is to be kept is in this one.
            [only] if !self.has_begun() => session.end_alone(only).await?,
            last => session.end_with(last).await?,
        }
        drop(self.client.take());
        Ok(())
    }

    /// Undoes it.
    pub(super) async fn roll_back(mut self) {
        let Some(client) = &self.client else { return };
        let undone = if self.has_begun() { client.batch_execute("ROLLBACK").await.map_err(meaning) } else { Ok(()) };
        match undone {
            // Back to the pool.
            Ok(()) => drop(self.client.take()),
            Err(error) => tracing::warn!(%error, "a transaction could not be rolled back, its connection is given up"),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Client::take(client));
        }
    }
}
