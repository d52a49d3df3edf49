//! The one thread that writes.
//!
//! Jobs that wait are run in one transaction, each inside a savepoint, and committed together: one flush of the disk for
//! up to [`WRITE_GROUP`] answers. A job that fails or panics undoes itself alone, and so does one whose time is up: only
//! when that happens in the middle of a statement that writes, `SQLite` throws the transaction away, and what was done
//! before in it fails too. So a job that may take long has a transaction to itself. Answers are given after the commit.

use super::connection::TimedConnection;
use super::job::Write;
use super::session::{Session, control, rolled_back};
use super::snapshots::Snapshots;
use crate::appended::Insertions;
use crate::audit::NewRow;
use crate::change::Feed;
use crate::engine::WRITE_GROUP;
use crate::error::{Error, Fault, Result};
use crate::outbox::{self, Waiting};
use crate::sql::Dialect;
use crate::transaction::Effects;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Pages in the log from which it is folded into the file: 4 MiB.
const LONG_LOG: u32 = 1_000;

type Jobs = VecDeque<Write>;

/// The way to the writer thread.
pub(super) struct Writer {
    queue: Sender<Message>,
    /// How many jobs may wait.
    most: usize,
    closing: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Job(Write),
    Settle(oneshot::Sender<Result<()>>),
    Stop,
}

impl Writer {
    /// Starts the thread. Jobs that may run longer than `grouped` are run alone.
    pub(super) fn start(
        conn: TimedConnection,
        path: &Path,
        feed: Arc<Feed>,
        snapshots: Arc<Snapshots>,
        queue: usize,
        grouped: Duration,
    ) -> Result<Self> {
        // A bounded channel makes room for the most there may be at once: half a megabyte that hardly any server ever needs.
        let (sender, receiver) = unbounded();
        let work = Work {
            conn,
            path: path.to_owned(),
            feed,
            snapshots,
            grouped,
            events: Insertions::default(),
            told: 0,
            audit: Insertions::default(),
        };
        let thread = thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || work.serve(&receiver))
            .map_err(|error| Error::Unavailable(Fault::new("thread", error.to_string())))?;
        Ok(Self { queue: sender, most: queue, closing: AtomicBool::new(false), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a job, or answers [`Error::Overloaded`] at once.
    pub(super) fn submit(&self, job: Write) -> Result<()> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(Error::closed());
        }
        // Those that come at the same moment may be a few more.
        if self.queue.len() >= self.most {
            return Err(Error::Overloaded);
        }
        self.queue.send(Message::Job(job)).map_err(|_| Error::closed())
    }

    /// Has the thread flush what it committed, and every commit from then on; what was queued before is among it.
    pub(super) fn settle(&self) -> Result<oneshot::Receiver<Result<()>>> {
        let (sender, answer) = oneshot::channel();
        self.queue.send(Message::Settle(sender)).map_err(|_| Error::closed())?;
        Ok(answer)
    }

    /// Whether the thread can take work.
    pub(super) fn alive(&self) -> Result<()> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match thread.as_ref() {
            Some(thread) if !thread.is_finished() => Ok(()),
            _ => Err(Error::closed()),
        }
    }

    /// Has the thread finish what is queued and end.
    pub(super) fn stop(&self) -> Option<JoinHandle<()>> {
        self.closing.store(true, Ordering::Relaxed);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some() {
            let _ = self.queue.send(Message::Stop);
        }
        thread
    }
}

/// What the thread owns.
struct Work {
    conn: TimedConnection,
    path: PathBuf,
    feed: Arc<Feed>,
    snapshots: Arc<Snapshots>,
    grouped: Duration,
    events: Insertions<Waiting>,
    /// How many events were written.
    told: u64,
    audit: Insertions<NewRow>,
}

impl Work {
    fn serve(mut self, queue: &Receiver<Message>) {
        let mut stopping = false;
        while !stopping {
            let Ok(first) = queue.recv() else { break };
            let (mut jobs, mut settling) = (Jobs::new(), Vec::new());
            stopping = take(first, &mut jobs, &mut settling);
            while jobs.len() < WRITE_GROUP
                && let Ok(next) = queue.try_recv()
            {
                stopping |= take(next, &mut jobs, &mut settling);
            }
            self.run(jobs);
            for answer in settling {
                // Nobody waits any more: it is done all the same.
                let _ = answer.send(self.conn.settle());
            }
        }
        // What was queued beside the request to stop.
        let mut rest: Jobs = queue.try_iter().filter_map(Message::job).collect();
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(WRITE_GROUP));
            self.run(std::mem::replace(&mut rest, later));
        }
        self.close();
    }

    /// Runs jobs in as few transactions as it takes: one, unless a job wants one to itself or the engine throws one away.
    fn run(&mut self, mut jobs: Jobs) {
        while !jobs.is_empty() {
            let together = jobs.iter().take_while(|job| job.budget() <= self.grouped).count().max(1);
            let later = jobs.split_off(together);
            while !jobs.is_empty() {
                self.transaction(&mut jobs);
            }
            jobs = later;
        }
    }

    fn transaction(&mut self, jobs: &mut Jobs) {
        if let Err(error) = control(&self.conn.conn, "BEGIN IMMEDIATE") {
            log(&error, jobs.len());
            refuse(jobs.drain(..), &error);
            return self.recover();
        }
        let alone = jobs.len() == 1;
        let mut done = Vec::with_capacity(jobs.len());
        let mut effects = None;
        while let Some(mut job) = jobs.pop_front() {
            match self.step(&mut job, alone) {
                Ok(Some(more)) => effects.get_or_insert_with(Effects::default).merge(more),
                Ok(None) => {}
                Err(error) => {
                    // The transaction is gone, and with it what the jobs before did. The jobs behind get a new one.
                    log(&error, done.len());
                    job.answer();
                    refuse(done, &error);
                    return self.recover();
                }
            }
            done.push(job);
        }
        let ended = match &mut effects {
            Some(effects) => self.commit(effects),
            None => control(&self.conn.conn, "ROLLBACK"),
        };
        if let Err(error) = ended {
            log(&error, done.len());
            refuse(done, &error);
            return self.recover();
        }
        self.snapshots.committed();
        self.feed.publish(&effects.unwrap_or_default().changes);
        for job in done {
            job.answer();
        }
        self.fold();
    }

    /// Folds a log that has grown long into the file, so that it begins anew with the next commit. Whoever waited has been answered.
    fn fold(&self) {
        if self.conn.log_pages() < LONG_LOG {
            return self.snapshots.resume();
        }
        self.snapshots.pause();
        // As far as it goes: reads that run may need a part of it, and a full disk is told to whoever writes next.
        if let Err(error) = self.conn.conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
            tracing::debug!(%error, "the write-ahead log could not be folded into the database file");
        }
    }

    /// Runs one job inside its savepoint. An error means that the whole transaction is lost.
    fn step(&mut self, job: &mut Write, alone: bool) -> Result<Option<Effects>> {
        if !job.is_wanted() {
            return Ok(None);
        }
        if !alone && let Err(error) = control(&self.conn.conn, "SAVEPOINT job") {
            job.fail(error.clone());
            return Err(error);
        }
        let deadline = Instant::now() + job.budget();
        let effects = self.conn.until(deadline, |conn, _| job.run(conn, deadline));
        if self.conn.conn.is_autocommit() {
            let error = rolled_back();
            if effects.is_some() {
                job.fail(error.clone());
            }
            return Err(error);
        }
        if alone {
            return Ok(effects);
        }
        let undone = if effects.is_some() { Ok(()) } else { control(&self.conn.conn, "ROLLBACK TO SAVEPOINT job") };
        if let Err(error) = undone.and_then(|()| control(&self.conn.conn, "RELEASE SAVEPOINT job")) {
            job.fail(error.clone());
            return Err(error);
        }
        Ok(effects)
    }

    fn commit(&mut self, effects: &mut Effects) -> Result<()> {
        write_counts(&self.conn.conn, &effects.counts)?;
        let mut session = Session::new(&mut self.conn.conn);
        let events = std::mem::take(&mut effects.events);
        if let Some(trim) = outbox::trim(Dialect::Sqlite, self.told, events.len()) {
            session.execute(&trim)?;
        }
        self.told += events.len() as u64;
        self.events.each(&events, |text, values| session.insert(text, values))?;
        self.audit.each(&effects.audit, |text, values| session.insert(text, values))?;
        control(&self.conn.conn, "COMMIT")
    }

    /// Brings the connection back to where a transaction can begin; a new one if the old cannot.
    fn recover(&mut self) {
        if !self.conn.end() {
            match TimedConnection::writer(&self.path, false) {
                Ok(conn) => self.conn = conn,
                Err(error) => {
                    tracing::error!(%error, "the database cannot be opened again, writes fail until it can");
                }
            }
        }
    }

    fn close(self) {
        if let Err(error) = self.conn.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);") {
            tracing::warn!(%error, "the write-ahead log could not be folded into the database file");
        }
        if let Err((_, error)) = self.conn.conn.close() {
            tracing::warn!(%error, "the database file could not be closed");
        }
    }
}

/// Puts a message's job into the group, or who is to be told that all is flushed beside it; true for the request to stop.
fn take(message: Message, jobs: &mut Jobs, settling: &mut Vec<oneshot::Sender<Result<()>>>) -> bool {
    match message {
        Message::Job(job) => jobs.push_back(job),
        Message::Settle(answer) => settling.push(answer),
        Message::Stop => return true,
    }
    false
}

impl Message {
    fn job(self) -> Option<Write> {
        match self {
            Self::Job(job) => Some(job),
            Self::Settle(_) | Self::Stop => None,
        }
    }
}

/// Writes each collection's number of rows once for the whole group.
fn write_counts(conn: &rusqlite::Connection, counts: &BTreeMap<String, i64>) -> Result<()> {
    const UPSERT: &str = "INSERT INTO record_counts (collection_id, n) VALUES (?1, ?2)
        ON CONFLICT (collection_id) DO UPDATE SET n = n + ?2";
    for (collection, delta) in counts.iter().filter(|(_, delta)| **delta != 0) {
        conn.prepare_cached(UPSERT)
            .and_then(|mut statement| statement.execute((collection, delta)))
            .map_err(super::fault::meaning)?;
    }
    Ok(())
}

fn refuse(jobs: impl IntoIterator<Item = Write>, error: &Error) {
    for mut job in jobs {
        job.fail(error.clone());
        job.answer();
    }
}

/// For whoever looks closely: what failed is said by whoever asked for it.
fn log(error: &Error, lost: usize) {
    tracing::debug!(%error, lost, "a group of writes failed");
}
