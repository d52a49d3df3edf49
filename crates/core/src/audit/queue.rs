//! Events that have no transaction of their own: a sign-in that failed, a credential that was refused, a request over the limit.
//!
//! They go into a bounded queue that is never waited for, and from there to the store in batches. What finds the queue full is
//! counted. So that a flood does not become a flood of rows, of each kind of event and each source only so many a minute are
//! written one by one; the rest become one row that says how many there were.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastcms_store::audit::NewRow;
use fastcms_store::{Error, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::actor::Actor;
use super::entry::Entry;
use super::event::Event;
use super::trail::Scribe;
use crate::caller::{Caller, Channel};

/// Events that may wait to be written.
pub(super) const CAPACITY: usize = 4_096;
/// Rows written together at most.
const BATCH: usize = 500;
/// How long an event waits to be written at most, as long as the store keeps up.
const PAUSE: Duration = Duration::from_millis(500);
/// Events of one kind from one source that are written one by one in a [`WINDOW`].
pub const ONE_BY_ONE: u32 = 60;
const WINDOW: Duration = Duration::from_mins(1);
/// Sources told apart at once; past that an event of a new one is written without being counted.
const SOURCES: usize = 10_000;

/// Where an event came from, as far as thinning is concerned: an address, of IPv6 its /64.
type Source = (Event, Option<IpAddr>);

/// What one source did in its window.
struct Seen {
    since: Instant,
    count: u32,
    /// The first one that was not written by itself, and how many there were.
    thinned: Option<(Box<(Actor<'static>, Entry)>, u32)>,
}

#[derive(Default)]
struct Shared {
    sources: Mutex<HashMap<Source, Seen>>,
    /// Events that were not written: the queue was full, or the store refused.
    lost: AtomicU64,
}

/// The way in for events without a transaction.
pub(super) struct Queue {
    rows: mpsc::Sender<NewRow>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    shared: Arc<Shared>,
}

impl Queue {
    /// Starts the task that writes; it ends with the last owner of the queue. Wants a running tokio runtime.
    pub(super) fn start(store: Store, scribe: Arc<Scribe>) -> Self {
        let (queue, rows, flushes) = Self::of_capacity(CAPACITY);
        let shared = Arc::clone(&queue.shared);
        tokio::spawn(Writer { rows, shared, store, scribe, said: (0, None) }.run(flushes));
        queue
    }

    fn of_capacity(capacity: usize) -> (Self, mpsc::Receiver<NewRow>, mpsc::Receiver<oneshot::Sender<()>>) {
        let (rows, taken) = mpsc::channel(capacity);
        let (flushes, asked) = mpsc::channel(1);
        (Self { rows, flushes, shared: Arc::default() }, taken, asked)
    }

    /// Takes note of an event. Never waits.
    pub(super) fn note(&self, scribe: &Scribe, caller: &Caller, entry: Entry) {
        let source = (entry.event(), source(caller));
        let mut sources = self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = sources.get_mut(&source) {
            seen.count = seen.count.saturating_add(1);
            if seen.count > ONE_BY_ONE {
                match &mut seen.thinned {
                    Some((_, count)) => *count = count.saturating_add(1),
                    // Only the first is kept whole: a flood costs a count each.
                    none => *none = Some((Box::new((Actor::from(caller).into_owned(), entry)), 1)),
                }
                return;
            }
        } else if sources.len() < SOURCES {
            sources.insert(source, Seen { since: Instant::now(), count: 1, thinned: None });
        }
        drop(sources);
        match self.rows.try_reserve() {
            Ok(place) => place.send(scribe.row(&Actor::from(caller), entry)),
            Err(_) => {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many events were not written since the start.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything noted before is written, or lost.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        // Where the writer has ended there is nothing left to write.
        if self.flushes.send(done).await.is_ok() {
            let _ = written.await;
        }
    }
}

fn source(caller: &Caller) -> Option<IpAddr> {
    match &caller.channel {
        Channel::Network(client) => Some(match client.address {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            address @ IpAddr::V4(_) => address,
        }),
        Channel::CommandLine | Channel::Background => None,
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

struct Writer {
    rows: mpsc::Receiver<NewRow>,
    shared: Arc<Shared>,
    store: Store,
    scribe: Arc<Scribe>,
    /// How many losses were spoken of, and when.
    said: (u64, Option<Instant>),
}

impl Writer {
    async fn run(mut self, mut flushes: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => None,
                asked = flushes.recv() => Some(asked),
            };
            self.write_waiting(asked.is_some()).await;
            self.say_what_was_lost();
            match asked {
                None => {}
                Some(Some(done)) => drop(done.send(())),
                Some(None) => return,
            }
        }
    }

    async fn write_waiting(&mut self, all: bool) {
        let mut rows = self.thinned(all);
        loop {
            while rows.len() < BATCH
                && let Ok(row) = self.rows.try_recv()
            {
                rows.push(row);
            }
            if rows.is_empty() {
                return;
            }
            let count = rows.len();
            let batch = std::mem::take(&mut rows);
            let written: Result<(), Error> = self
                .store
                .write(move |tx| {
                    Box::pin(async move {
                        for row in batch {
                            tx.append_audit(row);
                        }
                        Ok(())
                    })
                })
                .await;
            if let Err(error) = written {
                self.shared.lost.fetch_add(count as u64, Ordering::Relaxed);
                tracing::error!(count, %error, "events are missing in the audit log: the database did not take them");
                return;
            }
        }
    }

    /// One row for each source whose window has ended with more than was written one by one.
    fn thinned(&self, all: bool) -> Vec<NewRow> {
        let mut rows = Vec::new();
        let mut sources = self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|_, seen| {
            let stays = !all && seen.since.elapsed() < WINDOW;
            if !stays && let Some((first, count)) = seen.thinned.take() {
                let (actor, entry) = *first;
                rows.push(self.scribe.row(&actor, entry.with("further_events", count)));
            }
            stays
        });
        rows
    }

    fn say_what_was_lost(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        let (spoken_of, at) = self.said;
        if lost == spoken_of || at.is_some_and(|at| at.elapsed() < WINDOW) {
            return;
        }
        tracing::error!(
            count = lost - spoken_of,
            "events are missing in the audit log: they came faster than they could be written"
        );
        self.said = (lost, Some(Instant::now()));
    }
}
