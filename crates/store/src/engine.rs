//! The store: one door to either engine.
//!
//! A caller hands in a job, one body for both engines. Write jobs run one after another on the writer thread of `SQLite`
//! (committed in groups) or each in a transaction of `PostgreSQL`; read jobs where their [`Plan`] says. An answer to a write
//! means that it is on disk and that the subscribers of this node know of it.

pub(crate) mod job;

use crate::change::{Change, Feed, Subscriber};
use crate::database_url::{DatabaseUrl, Target};
use crate::error::{Error, Result};
use crate::postgres::Postgres;
use crate::reader::{Plan, Reader};
use crate::sql::{Dialect, Sql};
use crate::sqlite::Sqlite;
use crate::transaction::Tx;
use futures_util::future::BoxFuture;
use job::{Answer, ReadJob, Task, WriteJob};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Writes that may wait, unless configured otherwise.
pub const WRITE_QUEUE: usize = 10_000;
/// Writes committed together at most.
pub const WRITE_GROUP: usize = 256;
/// Scans that may wait.
pub const READ_QUEUE: usize = 1_000;
/// Connections for writes on `PostgreSQL` at least: a commit waits for the disk, not for a core, and those that wait at the same time
/// share a flush.
const MIN_WRITE_CONNECTIONS: usize = 16;
/// How long a read may take, waiting included, unless configured otherwise.
pub const TIME_BUDGET: Duration = Duration::from_secs(10);
/// How long a write may run on `SQLite`, where all others wait for it, unless configured otherwise. On `PostgreSQL` each of
/// its statements has 30 s.
pub const WRITE_BUDGET: Duration = Duration::from_secs(10);
/// How long a write may run that goes through a whole table: changes of collections, imports, migrations.
pub const LONG_WRITE_BUDGET: Duration = Duration::from_mins(10);

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where the database is.
    pub url: DatabaseUrl,
    /// How long a read may take, waiting included.
    pub time_budget: Duration,
    /// How long a write may run on `SQLite`, from when its turn has come.
    pub write_budget: Duration,
    /// Writes that may wait before [`Error::Overloaded`] is answered.
    pub write_queue: usize,
    /// Scans that may wait before [`Error::Overloaded`] is answered.
    pub read_queue: usize,
    /// Whether commits on `SQLite` wait for no flush until [`Store::settle`]: for a start, of which nobody was promised anything yet.
    pub settles_later: bool,
    /// Threads for scans on `SQLite`; on `PostgreSQL` twice as many connections for reads, and as many again for writes. 0: as many as
    /// cores, at least 3 and 2, with at least 16 connections for writes.
    pub readers: usize,
}

impl StoreConfig {
    /// The defaults, for one database.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            time_budget: TIME_BUDGET,
            write_budget: WRITE_BUDGET,
            write_queue: WRITE_QUEUE,
            read_queue: READ_QUEUE,
            settles_later: false,
            readers: 0,
        }
    }

    pub(crate) fn reader_count(&self) -> usize {
        match self.readers {
            0 => std::thread::available_parallelism().map_or(2, usize::from).max(2),
            chosen => chosen,
        }
    }

    /// Connections of `PostgreSQL` for writes.
    pub(crate) fn write_connections(&self) -> usize {
        let least = if self.readers == 0 { MIN_WRITE_CONNECTIONS } else { 1 };
        (self.reader_count() * 2).max(least)
    }
}

/// An open database. Clones share it; it closes with [`Store::close`], or when the last clone is dropped.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Engine,
    feed: Arc<Feed>,
}

enum Engine {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.dialect())
    }
}

impl Store {
    /// Opens the database; a `SQLite` file and its folder are created where they do not exist, for this user alone.
    ///
    /// No migration is applied: see [`crate::migrations`]. Wants a running tokio runtime.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::ReadOnly`], [`Error::Corrupt`] or [`Error::Tls`].
    pub async fn open(config: StoreConfig) -> Result<Self> {
        let feed = Arc::new(Feed::default());
        let engine = match config.url.target() {
            Target::Sqlite(path) => Engine::Sqlite(Sqlite::open(path, &config, &feed).await?),
            Target::Postgres(url) => Engine::Postgres(Box::new(Postgres::open(url, &config, &feed).await?)),
        };
        Ok(Self(Arc::new(Inner { engine, feed })))
    }

    /// Connects as another user, or with another password, from now on: what is under way goes on with the connection that it has, and
    /// nothing changes before the new ones were seen to work. Answers whether there was anything to do; an address that leads to another
    /// database counts from the next start only.
    ///
    /// # Errors
    /// Why nobody can connect with them; those in force stay then.
    pub async fn take_credentials(&self, url: &DatabaseUrl) -> Result<bool> {
        match (&self.0.engine, url.target()) {
            (Engine::Postgres(postgres), Target::Postgres(url)) => postgres.take_credentials(url).await,
            _ => Ok(false),
        }
    }

    /// Which engine this is.
    pub fn dialect(&self) -> Dialect {
        match self.0.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    /// How many scans run at once.
    pub fn scans(&self) -> usize {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.scans(),
            Engine::Postgres(engine) => engine.scans(),
        }
    }

    /// Whether several nodes may work on this database at once.
    pub fn serves_several(&self) -> bool {
        matches!(self.0.engine, Engine::Postgres(_))
    }

    /// An empty statement for this engine.
    pub fn sql(&self) -> Sql {
        Sql::new(self.dialect())
    }

    /// Runs a job in a transaction of its own: `Ok` is committed when this answers, `Err` is rolled back.
    ///
    /// Once handed in, a job runs whether or not its answer is waited for; one that nobody waits for any more may be
    /// passed over before it starts. One whose time is up is rolled back and answers [`Error::Timeout`].
    pub fn write<T, E, F>(&self, job: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        Answer::Running(self.submit(None, Box::new(Task::new(job))), PhantomData)
    }

    /// As [`Store::write`], for a job that may take longer than others: on `SQLite` the whole of it, on `PostgreSQL` each of
    /// its statements. It is not committed together with others.
    pub fn write_within<T, E, F>(&self, budget: Duration, job: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        Answer::Running(self.submit(Some(budget), Box::new(Task::new(job))), PhantomData)
    }

    fn submit(&self, budget: Option<Duration>, job: Box<dyn WriteJob>) -> BoxFuture<'_, Result<Box<dyn WriteJob>>> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.write(budget, job),
            Engine::Postgres(engine) => engine.write(budget, job),
        }
    }

    /// Runs a job that only reads. A bounded one has run on `SQLite` when this returns: there is nothing to wait for.
    pub fn read<T, E, F>(&self, plan: Plan, job: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: for<'a> FnOnce(&'a mut Reader<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let mut task = Task::new(job);
        match (&self.0.engine, plan) {
            (Engine::Sqlite(engine), Plan::Bounded) => {
                engine.inline(&mut task);
                Answer::Done(Some(task.done()))
            }
            _ => Answer::Running(self.ask(plan, Box::new(task)), PhantomData),
        }
    }

    fn ask(&self, plan: Plan, job: Box<dyn ReadJob>) -> BoxFuture<'_, Result<Box<dyn ReadJob>>> {
        match &self.0.engine {
            Engine::Sqlite(engine) => match plan {
                Plan::Bounded | Plan::Scan => engine.scan(None, job),
                Plan::Within(budget) => engine.scan(Some(budget), job),
            },
            Engine::Postgres(engine) => engine.read(plan, job),
        }
    }

    /// Has `subscriber` told of every change from now on: after its commit and, for writes of this store, before their
    /// answer. After a gap it is told [`Change::everything`].
    pub fn on_change(&self, subscriber: &Subscriber) {
        self.0.feed.subscribe(subscriber);
    }

    /// Tells the subscribers of this node alone, without a write.
    pub fn announce_here(&self, change: &Change) {
        self.0.feed.publish(std::slice::from_ref(change));
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.ping(),
            Engine::Postgres(engine) => engine.ping().await,
        }
    }

    /// Whether the database takes writes, as far as that shows before a commit. Changes nothing.
    pub async fn try_writing(&self) -> Result<()> {
        self.write(|tx| {
            Box::pin(async move {
                let sql = Sql::with(tx.dialect(), "DELETE FROM request_logs WHERE number = ?", [0_i64]);
                tx.execute(&sql).await.map(|_| ())
            })
        })
        .await
    }

    /// Flushes what was committed, and has every commit flushed from now on. To be called before anything outside is done or said that
    /// depends on a write, where [`StoreConfig::settles_later`] was chosen; nothing is to do otherwise.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::ReadOnly`]: what was committed may not survive a loss of power.
    pub async fn settle(&self) -> Result<()> {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.settle().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Whether [`Store::close`] was called: who goes on by the clock ends then.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.is_closing(),
            Engine::Postgres(engine) => engine.is_closing(),
        }
    }

    /// Finishes the writes that are queued, then closes; whatever comes later is answered [`Error::Unavailable`].
    pub async fn close(&self) {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
        }
    }
}
