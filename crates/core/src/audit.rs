//! The audit log: what was done, by whom and from where, written in the transaction of what it describes.
//!
//! An operation that changes something writes through [`write`], whose job gets a [`Trail`] beside its transaction and cannot end
//! without what [`Trail::record`] answers: an operation without an event does not compile.
//!
//! ```text
//! audit::write(caller, app, move |tx, trail| Box::pin(async move {
//!     rows::delete(tx, &id).await?;
//!     Ok(trail.record(tx, Event::UserDeleted.on("user", &id)).with(()))
//! })).await
//! ```
//!
//! What fails has no transaction: [`note`] takes such events into a bounded queue, without delaying the answer.
//!
//! An event is one of the names in [`Event`]. Nothing secret enters a row: details under a name of secrets are masked, whatever they
//! are. This module knows what a row says, not who may read it.

use std::sync::Arc;

use fastcms_guard::clock::Clock;
use fastcms_guard::ids::Rng;
use fastcms_store::Store;

use crate::app::App;
use crate::caller::Caller;

mod actor;
mod entry;
mod event;
mod queue;
mod trail;

pub use actor::Actor;
pub use entry::{Entry, MASK, MAX_DETAILS, MAX_TEXT};
pub use event::{Action, Event, EventType, Outcome, Severity};
pub use queue::ONE_BY_ONE;
pub use trail::{Audited, Recorded, Trail};
pub(crate) use trail::{write, write_within};

use queue::Queue;
use trail::Scribe;

/// The audit log of a running product.
#[derive(Debug)]
pub struct Audit {
    scribe: Arc<Scribe>,
    queue: Queue,
}

impl Audit {
    /// Starts the task that writes what has no transaction. Wants a running tokio runtime.
    pub(crate) fn start(store: Store, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        let scribe = Arc::new(Scribe { clock, rng });
        Self { queue: Queue::start(store, Arc::clone(&scribe)), scribe }
    }

    /// How many events were not written since the start: they came faster than the queue took them, or the store refused.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }
}

/// Takes note of an event that has no transaction of its own: something that was refused. Never waits; of a flood from one source
/// only [`ONE_BY_ONE`] a minute are written one by one.
pub fn note(caller: &Caller, app: &App, entry: impl Into<Entry>) {
    app.audit.queue.note(&app.audit.scribe, caller, entry.into());
}

/// Has everything written that was noted before. To be called before the store is closed.
pub async fn flush(_operator: &Caller, app: &App) {
    app.audit.queue.flush().await;
}
