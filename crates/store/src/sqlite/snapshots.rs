//! Snapshots that serve one read after another. To begin one costs two calls of the system and a look at the log's index, as much as
//! all the rest of a read by its key: reads that come close together share it.
//!
//! A read sees every write of this process that was answered before it began, and whatever other processes committed more than
//! [`SHARED`] ago. No snapshot outlives its last read by much: the write-ahead log cannot begin anew while one is open.

use super::connection::TimedConnection;
use super::session::control;
use crate::error::Result;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long reads share a snapshot, and how close to each other they must come for the first.
const SHARED: Duration = Duration::from_micros(250);
/// How often snapshots are looked for that nobody reads from any more.
const SWEPT: Duration = Duration::from_millis(20);
/// How long a read is waited for whose snapshot keeps the log from beginning anew.
const PATIENCE: Duration = Duration::from_millis(1);

/// The place of a thread's connection to one store. Locked by its thread, by the sweep, and by the store that closes.
#[derive(Default)]
pub(super) struct Slot {
    lent: Mutex<Lent>,
    /// Its thread is at a read.
    reading: AtomicBool,
}

/// What lies in a slot.
#[derive(Default)]
pub(super) struct Lent {
    pub(super) conn: Option<TimedConnection>,
    snapshot: Option<Snapshot>,
    /// When the last read began.
    last: Option<Instant>,
}

struct Snapshot {
    since: Instant,
    /// How many commits there had been before it.
    commits: u64,
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a read of this slot's thread until the answer is dropped; `None` inside another one.
    pub(super) fn begin(&self) -> Option<Reading<'_>> {
        (!self.reading.swap(true, Ordering::Relaxed)).then_some(Reading(self))
    }
}

pub(super) struct Reading<'s>(&'s Slot);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reading.store(false, Ordering::Relaxed);
    }
}

/// What the connections of one store know of each other's snapshots.
#[derive(Default)]
pub(super) struct Snapshots {
    /// Commits of this process.
    commits: AtomicU64,
    /// Reads have snapshots of their own for now.
    paused: AtomicBool,
    /// The sweep knows that there are some.
    told: AtomicBool,
    sweep: Arc<Notify>,
    slots: Mutex<Vec<Weak<Slot>>>,
}

impl Snapshots {
    pub(super) fn new() -> Arc<Self> {
        let all = Arc::new(Self::default());
        tokio::spawn(sweep(Arc::downgrade(&all), Arc::clone(&all.sweep)));
        all
    }

    /// To be called after each commit, before anybody hears of it.
    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Release);
    }

    /// Makes a slot known.
    pub(super) fn add(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots();
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(slot));
    }

    /// Readies a connection for a read that begins now: ends a snapshot that is too old for it, and begins one where reads come close
    /// together.
    pub(super) fn ready(&self, lent: &mut Lent, now: Instant) -> Result<()> {
        let commits = self.commits.load(Ordering::Acquire);
        let close = lent.last.replace(now).is_some_and(|last| now < last + SHARED);
        match &lent.snapshot {
            Some(snapshot) if snapshot.commits == commits && now < snapshot.since + SHARED => return Ok(()),
            _ => lent.end(),
        }
        if close
            && !self.paused.load(Ordering::Relaxed)
            && let Some(conn) = &lent.conn
        {
            control(&conn.conn, "BEGIN DEFERRED")?;
            lent.snapshot = Some(Snapshot { since: now, commits });
            if !self.told.swap(true, Ordering::Relaxed) {
                self.sweep.notify_one();
            }
        }
        Ok(())
    }

    /// Ends all snapshots that nobody is reading from, and has no other begin until [`Snapshots::resume`]: a log that has grown long is
    /// folded into the file as far as no snapshot needs it, and begins anew where none needs any of it.
    pub(super) fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        // Those that are being read from are over in a moment, mostly.
        while self.end(|_| true) && begun.elapsed() < PATIENCE {
            std::thread::sleep(PATIENCE / 20);
        }
    }

    pub(super) fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
    }

    /// Ends snapshots that nobody reads from any more; says whether there are others.
    fn sweep(&self) -> bool {
        self.told.store(false, Ordering::Relaxed);
        let now = Instant::now();
        self.end(|snapshot| now >= snapshot.since + SHARED)
    }

    /// Ends those that are `over`, but for any that is being read from; says whether there are others.
    fn end(&self, over: impl Fn(&Snapshot) -> bool) -> bool {
        let slots = self.slots().clone();
        let mut others = false;
        for slot in slots.iter().filter_map(Weak::upgrade) {
            if slot.reading.load(Ordering::Relaxed) {
                others = true;
                continue;
            }
            let mut lent = slot.lock();
            match &lent.snapshot {
                Some(snapshot) if !over(snapshot) => others = true,
                _ => lent.end(),
            }
        }
        others
    }

    /// Closes the connections of all threads; reads that run are waited for.
    pub(super) fn close(&self) {
        let slots = std::mem::take(&mut *self.slots());
        for slot in slots.iter().filter_map(Weak::upgrade) {
            *slot.lock() = Lent::default();
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Weak<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.sweep.notify_one();
    }
}

impl Lent {
    /// Ends the snapshot, if there is one. A connection that cannot is closed.
    fn end(&mut self) {
        if self.snapshot.take().is_some() && self.conn.as_mut().is_some_and(|conn| !conn.end()) {
            self.conn = None;
        }
    }
}

/// Sweeps as long as the store is there.
async fn sweep(snapshots: Weak<Snapshots>, due: Arc<Notify>) {
    loop {
        due.notified().await;
        tokio::time::sleep(SWEPT).await;
        let Some(snapshots) = snapshots.upgrade() else { return };
        if snapshots.sweep() {
            due.notify_one();
        }
    }
}
