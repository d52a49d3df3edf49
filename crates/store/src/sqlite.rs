//! The `SQLite` engine: one writer thread with group commit, readers inline and on threads of their own.

mod connection;
mod counts;
mod fault;
mod functions;
mod job;
mod readers;
mod session;
mod snapshots;
mod statistics;
mod writer;

pub(crate) use session::Session;

use crate::change::Feed;
use crate::engine::StoreConfig;
use crate::engine::job::{ReadJob, Task, WriteJob};
use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::sql::{Dialect, Sql};
use connection::TimedConnection;
use futures_util::future::BoxFuture;
use readers::Readers;
use snapshots::Snapshots;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use writer::Writer;

/// An open file.
pub(crate) struct Sqlite {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    time_budget: Duration,
    write_budget: Duration,
    scans: usize,
}

/// Fewest threads for scans, unless configured otherwise: with one of guests and one of accounts at work, one is left.
const MIN_READERS: usize = 3;

impl Sqlite {
    pub(crate) async fn open(path: &Path, config: &StoreConfig, feed: &Arc<Feed>) -> Result<Self> {
        let (path, feed, queue) = (path.to_owned(), Arc::clone(feed), config.write_queue);
        let least = if config.readers == 0 { MIN_READERS } else { 1 };
        let (read_queue, threads, time_budget) =
            (config.read_queue, config.reader_count().max(least), config.time_budget);
        let (write_budget, settles_later) = (config.write_budget, config.settles_later);
        let snapshots = Snapshots::new();
        let opened = tokio::task::spawn_blocking(move || {
            let is_new = connection::create_file(&path)?;
            let conn = TimedConnection::writer(&path, is_new)?;
            if settles_later {
                conn.unsettle()?;
            }
            if !is_new && let Err(error) = statistics::refresh(&conn.conn) {
                tracing::warn!(%error, "the planner's figures of the tables stay as they are");
            }
            let writer = Arc::new(Writer::start(conn, &path, feed, Arc::clone(&snapshots), queue, write_budget)?);
            let readers = Arc::new(Readers::new(&path, threads, read_queue, snapshots));
            Ok(Self { writer, readers, time_budget, write_budget, scans: threads })
        });
        opened.await.map_err(|_| Error::internal("opening the database panicked"))?
    }

    /// Has a job run, and answers it with its answer.
    pub(crate) fn write(
        &self,
        budget: Option<Duration>,
        job: Box<dyn WriteJob>,
    ) -> BoxFuture<'_, Result<Box<dyn WriteJob>>> {
        Box::pin(async move {
            let (job, answer) = job::Write::new(job, budget.unwrap_or(self.write_budget));
            self.writer.submit(job)?;
            answer.await.map_err(|_| Error::closed())
        })
    }

    /// Flushes what was committed, and has every commit flushed from now on.
    pub(crate) async fn settle(&self) -> Result<()> {
        self.writer.settle()?.await.map_err(|_| Error::closed())?
    }

    pub(crate) fn scans(&self) -> usize {
        self.scans
    }

    /// Runs a job on this thread.
    pub(crate) fn inline(&self, job: &mut dyn ReadJob) {
        self.readers.inline(self.time_budget, job);
    }

    /// Has a job run on a reader thread, and answers it with its answer.
    pub(crate) fn scan(
        &self,
        budget: Option<Duration>,
        job: Box<dyn ReadJob>,
    ) -> BoxFuture<'_, Result<Box<dyn ReadJob>>> {
        Box::pin(async move {
            let (job, answer) = job::Read::new(job, Instant::now() + budget.unwrap_or(self.time_budget));
            self.readers.submit(job)?;
            answer.await.map_err(|_| Error::closed())
        })
    }

    pub(crate) fn ping(&self) -> Result<()> {
        self.writer.alive()?;
        let mut asked = Task::new(look);
        self.inline(&mut asked);
        asked.done()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.readers.is_closing()
    }

    pub(crate) async fn close(&self) {
        let (readers, writer) = (Arc::clone(&self.readers), Arc::clone(&self.writer));
        let joined = tokio::task::spawn_blocking(move || {
            // Readers first: the last connection to close is then the writer's, which folds the log into the file.
            let threads = readers.stop().into_iter().chain(writer.stop());
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the database panicked");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("closing the database panicked");
        }
    }
}

/// The least that a working connection can do.
fn look<'a>(reader: &'a mut Reader<'_>) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let sql = Sql::with(Dialect::Sqlite, "SELECT count(*) FROM sqlite_schema WHERE name = ?", [""]);
        reader.fetch_one(&sql).await.map(|_| ())
    })
}
