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
//! Where the event is known before the job runs, [`write_of`] takes both, and writes both or neither.
//!
//! What fails has no transaction: [`note`] takes such events into a bounded queue, without delaying the answer.
//!
//! An event is one of the names in [`Event`]. Nothing secret enters a row: details under a name of secrets are masked, whatever they
//! are. This module knows what a row says, not who may read it.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use fastcms_guard::clock::Clock;
use fastcms_store::audit::chain as rows;
use fastcms_store::{Error as StoreError, Plan, Store};
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::{App, Process};
use crate::caller::Caller;
use crate::config;
use crate::data_keys::Opened;
use crate::error::{Error, Result};
use crate::ids::Ids;

mod actor;
mod body;
mod chain;
mod checkpoints;
mod entry;
mod event;
mod queue;
mod reading;
mod signer;
mod sinks;
mod trail;
mod verify;

pub use actor::Actor;
pub use body::EventBody;
pub use checkpoints::{CHECKPOINTS, Checkpoint, HEAD};
pub use entry::{Entry, MASK, MAX_DETAILS, MAX_TEXT};
pub use event::{Action, Event, EventType, Outcome, Severity};
pub use fastcms_store::audit::chain::PlacedRow;
pub use fastcms_store::audit::{AuditRow, Tally, Wanted};
pub use queue::ONE_BY_ONE;
pub use reading::{AuditPage, RETENTION_DAYS, cleanup, following, latest, list, note_export, standing, statistics};
pub use sinks::{
    Batch, PAUSE_AFTER_REFUSAL, Sink, SinkStatus, WebhookSettings, append, note_signed, ship, sink_status,
};
pub use trail::{Audited, Recorded, Trail};
pub(crate) use trail::{write, write_of, write_within};
pub use verify::{Finding, Report, verify};

use chain::Chainer;
use queue::Queue;
use signer::Signer;
use sinks::Uses;
use trail::Scribe;

/// What the key of the audit log is called among the data keys.
pub(crate) const PURPOSE: &str = "audit";

/// The audit log of a running product.
pub struct Audit {
    scribe: Arc<Scribe>,
    queue: Queue,
    chainer: Arc<Chainer>,
    /// One for each key that could be opened.
    signers: Vec<Signer>,
    webhook: ArcSwap<WebhookSettings>,
    signing: Uses,
    /// The key in use could not be opened, and this process made no other: it writes nothing.
    is_foreign: bool,
}

/// Why a command whose keys are not the server's writes nothing.
const FOREIGN: &str = "the key of the audit log cannot be opened with the keys given, so that nothing can be changed: \
    run the command with the SECRET_KEY (or ENCRYPTION_KEY) that the server has";

/// What the audit log of a product is made of.
pub(crate) struct Parts {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<Ids>,
    pub keys: Opened,
    /// Where checkpoints are written.
    pub folder: PathBuf,
    pub process: Process,
    pub settings: config::Audit,
}

impl Audit {
    /// Starts the tasks that write what has no transaction and that link what is committed. Wants a running tokio runtime.
    pub(crate) async fn start(parts: Parts) -> Result<Self> {
        let Parts { store, clock, ids, keys, folder, process, settings } = parts;
        let shift = shift(&store).await?;
        let signers: Vec<Signer> = keys.all.iter().map(|(id, key)| Signer::new(*id, key, shift)).collect();
        let (id, key) = &keys.current;
        let is_foreign = keys.is_foreign;
        let signer = Signer::new(*id, key, shift);
        let scribe = Arc::new(Scribe {
            clock,
            ids,
            signer: signer.clone(),
            #[cfg(feature = "measuring")]
            silent: std::sync::atomic::AtomicBool::new(false),
        });
        let chainer = Arc::new(Chainer::new(store.clone(), signer, signers.clone(), folder));
        if process == Process::Server {
            spawn(&chainer, &scribe);
        }
        let webhook = ArcSwap::from_pointee(WebhookSettings::from(settings));
        Ok(Self {
            queue: Queue::start(store, Arc::clone(&scribe)),
            scribe,
            chainer,
            signers,
            webhook,
            signing: Uses::default(),
            is_foreign,
        })
    }

    /// How many events were not written since the start: they came faster than the queue took them, or the store refused.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Where every event is posted to, now.
    pub fn webhook(&self) -> Arc<WebhookSettings> {
        self.webhook.load_full()
    }

    /// Posts with what these settings say from now on; whether that is anything new. An address elsewhere is not taken up, nor one where
    /// there was none.
    pub(crate) fn take_webhook(&self, settings: config::Audit) -> bool {
        let (fresh, held) = (WebhookSettings::from(settings), self.webhook.load());
        let is_taken = fresh.is_at(&held) && fresh != **held;
        if is_taken {
            self.webhook.store(Arc::new(fresh));
            self.signing.begin_anew();
        }
        is_taken
    }

    /// Whether this process may write into the log at all.
    fn is_ours(&self) -> Result<(), StoreError> {
        if self.is_foreign { Err(StoreError::internal(FOREIGN)) } else { Ok(()) }
    }

    /// Has nothing recorded of what succeeds from now on: for measuring what that costs, and for nothing else.
    #[cfg(feature = "measuring")]
    pub fn silence(&self) {
        self.scribe.silent.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

/// Transaction numbers begin anew in the cluster that a dump was restored into: positions go on where they were.
async fn shift(store: &Store) -> Result<i64> {
    let (segment, block) = store
        .read(Plan::Bounded, |reader| {
            Box::pin(
                async move { Ok::<_, Error>((rows::last_segment(reader).await?, rows::last_block(reader).await?)) },
            )
        })
        .await?;
    let Some(segment) = segment else { return Ok(0) };
    let linked = block.map_or(segment.first_position, |block| block.last_position.max(segment.first_position));
    let shift = segment.shift;
    let lag = store.read(Plan::Bounded, move |reader| Box::pin(rows::lag(reader, linked, shift))).await?;
    Ok(shift + lag.max(0))
}

/// Links until the log has no owner any more.
fn spawn(chainer: &Arc<Chainer>, scribe: &Arc<Scribe>) {
    let (chainer, scribe) = (Arc::downgrade(chainer), Arc::downgrade(scribe));
    tokio::spawn(async move {
        // What a start records is linked as everything else is; nothing is before the start is over.
        let mut ticks = tokio::time::interval_at(Instant::now() + chain::PAUSE, chain::PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let (Some(chainer), Some(scribe)) = (chainer.upgrade(), scribe.upgrade()) else { return };
            match chainer.run(&scribe).await {
                Ok(_) => failing = false,
                // What is not linked yet is by the next start.
                Err(_) if chainer.is_closing() => return,
                Err(error) if !failing => {
                    tracing::error!(%error, "the audit log could not be linked: it is tried again");
                    failing = true;
                }
                Err(_) => {}
            }
        }
    });
}

/// Writes an event that is all there is to write: somebody took something out, say.
pub(crate) async fn record(caller: &Caller, app: &App, entry: impl Into<Entry>) -> Result<()> {
    let entry = entry.into();
    write(caller, app, move |tx, trail| Box::pin(async move { Ok::<_, Error>(trail.record(tx, entry).with(())) })).await
}

/// Takes note of an event that has no transaction of its own: something that was refused. Never waits; of a flood from one source
/// only [`ONE_BY_ONE`] a minute are written one by one.
pub fn note(caller: &Caller, app: &App, entry: impl Into<Entry>) {
    if app.audit.is_ours().is_ok() {
        app.audit.queue.note(&app.audit.scribe, caller, entry.into());
    }
}

/// Has everything written that was noted before, and linked what is committed; a checkpoint says how far that is. To be called before
/// the store is closed.
pub async fn flush(_operator: &Caller, app: &App) -> Result<()> {
    app.audit.queue.flush().await;
    if app.audit.is_foreign {
        return Ok(());
    }
    app.audit.chainer.run(&app.audit.scribe).await?;
    app.audit.chainer.checkpoint_now(&app.audit.scribe).await
}
