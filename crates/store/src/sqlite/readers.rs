//! Reads: inline over a connection of the calling thread, or on reader threads where a slow one stalls nobody.

use super::connection::TimedConnection;
use super::job::{self, Read};
use super::session::control;
use super::snapshots::{Slot, Snapshots};
use crate::engine::job::ReadJob;
use crate::error::{Error, Fault, Result};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

thread_local! {
    /// The connections of this thread, by the store they belong to.
    static SLOTS: RefCell<Vec<(Weak<Shared>, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}

/// What the readers of one store share.
struct Shared {
    path: PathBuf,
    /// How many connections there are once all are in use: a thread each, and one for each worker of the runtime.
    connections: usize,
    closing: Arc<AtomicBool>,
    snapshots: Arc<Snapshots>,
    /// Jobs that wait for a reader thread or run on one.
    under_way: AtomicUsize,
}

/// All readers of one store.
pub(super) struct Readers {
    shared: Arc<Shared>,
    queue: Sender<Message>,
    /// `None` once the store closes.
    crew: Mutex<Option<Crew>>,
    /// How many threads there may be. A thread comes when there is a job for it: each has a connection, which knows all tables by heart.
    most: usize,
}

/// The threads that were started so far, and where they take their jobs from.
struct Crew {
    jobs: Receiver<Message>,
    threads: Vec<JoinHandle<()>>,
}

enum Message {
    Job(Read),
    Stop,
}

impl Readers {
    pub(super) fn new(path: &Path, threads: usize, queue: usize, snapshots: Arc<Snapshots>) -> Self {
        let closing = Arc::new(AtomicBool::new(false));
        let connections = threads + thread::available_parallelism().map_or(1, usize::from);
        let (path, under_way) = (path.to_owned(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { path, connections, closing, snapshots, under_way });
        let (queue, jobs) = bounded(queue);
        let crew = Mutex::new(Some(Crew { jobs, threads: Vec::new() }));
        Self { shared, queue, crew, most: threads }
    }

    /// Starts threads until there is one for each of so many jobs, or as many as there may be.
    fn have_threads_for(&self, jobs: usize) -> Result<()> {
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Crew { jobs: queue, threads }) = &mut *crew else { return Err(Error::closed()) };
        while threads.len() < jobs.min(self.most) {
            let (shared, jobs) = (Arc::clone(&self.shared), queue.clone());
            let thread = thread::Builder::new().name(format!("store-read-{}", threads.len()));
            match thread.spawn(move || serve(&shared, &jobs)) {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => {
                    return Err(Error::Unavailable(Fault::new("thread", error.to_string())));
                }
                Err(error) => {
                    tracing::warn!(%error, "no further thread for reads: those that there are do them all");
                    break;
                }
            }
        }
        Ok(())
    }

    /// Runs a job at once, on this thread.
    pub(super) fn inline(&self, budget: Duration, job: &mut dyn ReadJob) {
        let now = Instant::now();
        let deadline = now + budget;
        let lent = self.lend(now, &mut |conn| conn.until(deadline, |conn, counts| job::read(job, conn, counts)));
        if let Err(error) = lent {
            job.fail(error);
        }
    }

    /// Hands a job to the reader threads.
    pub(super) fn submit(&self, job: Read) -> Result<()> {
        if self.is_closing() {
            return Err(Error::closed());
        }
        let jobs = self.shared.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        let queued = if jobs <= self.most { self.have_threads_for(jobs) } else { Ok(()) };
        let queued = queued.and_then(|()| {
            self.queue.try_send(Message::Job(job)).map_err(|error| match error {
                TrySendError::Full(_) => Error::Overloaded,
                TrySendError::Disconnected(_) => Error::closed(),
            })
        });
        if queued.is_err() {
            self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        queued
    }

    /// Whether they were told to end: the first thing that closing the database does.
    pub(super) fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Relaxed)
    }

    /// Ends the threads and closes the connections of all others; what runs is interrupted.
    pub(super) fn stop(&self) -> Vec<JoinHandle<()>> {
        self.shared.closing.store(true, Ordering::Relaxed);
        // The queue's other end goes with its last thread: what comes too late is refused.
        let crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = crew.map_or_else(Vec::new, |crew| crew.threads);
        // A full queue drains by itself: each waiting job is refused without being run.
        for _ in &threads {
            let _ = self.queue.send(Message::Stop);
        }
        self.shared.snapshots.close();
        threads
    }

    /// Lends this thread's connection to `read`, opening it at first use.
    fn lend(&self, now: Instant, read: &mut dyn FnMut(&mut TimedConnection)) -> Result<()> {
        let slot = self.slot();
        let Some(_reading) = slot.begin() else {
            // A read inside a read: it gets a connection for itself.
            read(&mut self.shared.connect()?);
            return Ok(());
        };
        let mut lent = slot.lock();
        if lent.conn.is_some() && self.shared.closing.load(Ordering::Relaxed) {
            return Err(Error::closed());
        }
        self.shared.snapshots.ready(&mut lent, now)?;
        let conn = match &mut lent.conn {
            Some(conn) => conn,
            empty => empty.insert(self.shared.connect()?),
        };
        read(conn);
        Ok(())
    }

    fn slot(&self) -> Arc<Slot> {
        SLOTS.with_borrow_mut(|slots| {
            let here = Arc::as_ptr(&self.shared);
            if let Some((_, slot)) = slots.iter().find(|(store, _)| std::ptr::eq(store.as_ptr(), here)) {
                return Arc::clone(slot);
            }
            slots.retain(|(store, _)| store.strong_count() > 0);
            let slot = Arc::new(Slot::default());
            slots.push((Arc::downgrade(&self.shared), Arc::clone(&slot)));
            self.shared.snapshots.add(&slot);
            slot
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.snapshots.close();
    }
}

impl Shared {
    fn connect(&self) -> Result<TimedConnection> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(Error::closed());
        }
        TimedConnection::reader(&self.path, self.connections, &self.closing)
    }
}

/// A reader thread. Its connection is opened at its first job, and again after it failed to open.
fn serve(shared: &Shared, jobs: &Receiver<Message>) {
    let mut opened = None;
    while let Ok(Message::Job(job)) = jobs.recv() {
        shared.read(job, &mut opened);
        shared.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Runs a job on the connection of a reader thread, unless nobody waits for it any more.
    fn read(&self, job: Read, opened: &mut Option<TimedConnection>) {
        if !job.is_wanted() {
            return;
        }
        if self.closing.load(Ordering::Relaxed) {
            return job.fail(Error::closed());
        }
        let deadline = job.deadline();
        if deadline <= Instant::now() {
            return job.fail(Error::Timeout);
        }
        let conn = match opened.take().map_or_else(|| self.connect(), Ok) {
            Ok(conn) => opened.insert(conn),
            Err(error) => return job.fail(error),
        };
        conn.until(deadline, |conn, counts| {
            // One snapshot for all statements of the job: a page and its total belong together.
            match control(conn, "BEGIN DEFERRED") {
                Ok(()) => job.run(conn, counts),
                Err(error) => job.fail(error),
            }
        });
        if !conn.end() {
            *opened = None;
        }
    }
}
