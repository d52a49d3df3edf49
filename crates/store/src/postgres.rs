//! The `PostgreSQL` engine: a pool of connections, and one more that listens for the changes of other nodes. User and password may be
//! replaced while it runs: what is under way goes on with the connection that it has.

mod bind;
mod fault;
mod listener;
mod opened;
mod session;
mod tls;

pub(crate) use session::Session;

use crate::appended::{insert_alone, insertions};
use crate::audit::NewRow;
use crate::change::{Change, Feed, wire};
use crate::database_url::PostgresUrl;
use crate::engine::StoreConfig;
use crate::engine::job::{ReadJob, WriteJob, panicked};
use crate::error::{Error, Fault, Result};
use crate::outbox::{self, Waiting};
use crate::reader::{Plan, Reader};
use crate::sql::{Dialect, Sql};
use crate::transaction::{Effects, Tx};
use arc_swap::ArcSwap;
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Transaction};
use fault::{meaning, pool_meaning};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use listener::{CHANNEL, Listener};
use opened::Opened;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use tls::Tls;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long to wait for a connection of the pool, or for a new one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may be silent at a readiness check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// What each connection is told first: nothing runs, waits for a lock or idles in a transaction for ever.
/// Statements here are short and many: compiling one to machine code costs a hundred times what running it does.
const SETUP_WRITE: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s'; SET standard_conforming_strings = on; SET jit = off";
/// And those for reads besides: they change nothing.
const SETUP_READ: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s'; SET standard_conforming_strings = on; SET jit = off;
    SET default_transaction_read_only = on";
/// The most that [`Gate`] counts.
const MAX_PLACES: u32 = 1 << 24;

/// The connections to one server.
pub(crate) struct Postgres {
    link: Arc<Link>,
    listener: Listener,
    /// Where the server is, and as whom we are there now.
    place: Mutex<PostgresUrl>,
    sizes: Sizes,
    /// How new connections are made, by the listener too.
    settings: Arc<ArcSwap<tokio_postgres::Config>>,
    time_budget: Duration,
    writing: Gate,
    reading: Gate,
    /// Scans that may run at once: fewer than connections, so that quick reads always find one.
    scans: Semaphore,
    closing: AtomicBool,
}

/// What a job needs, on whichever task it runs. Reads have connections of their own, which refuse to write.
struct Link {
    reads: ArcSwap<Pool>,
    writes: ArcSwap<Pool>,
    feed: Arc<Feed>,
    /// Who this node is in the change feed.
    node: String,
    /// How many events were written.
    told: AtomicU64,
}

/// The most connections of each pool.
#[derive(Clone, Copy)]
struct Sizes {
    reads: usize,
    writes: usize,
}

/// How much work may run and wait.
struct Gate {
    places: Arc<Semaphore>,
    all: u32,
}

impl Gate {
    fn new(running: usize, waiting: usize) -> Self {
        let all = u32::try_from(running.saturating_add(waiting)).unwrap_or(u32::MAX).min(MAX_PLACES);
        Self { places: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Takes a place, or answers [`Error::Overloaded`].
    fn enter(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::Overloaded)
    }

    /// Waits until everybody has left.
    async fn empty(&self) {
        drop(self.places.acquire_many(self.all).await);
    }
}

/// What writes the rows of a write of one record: one statement, since each costs the server an answer of its own.
fn alone(event: Option<Waiting>, audited: Option<NewRow>) -> Option<Sql> {
    let mut sql = Sql::new(Dialect::Postgres);
    match (event, audited) {
        (None, None) => return None,
        (Some(event), None) => insert_alone(&mut sql, &event),
        (None, Some(audited)) => insert_alone(&mut sql, &audited),
        (Some(event), Some(audited)) => {
            // Room for the text of the usual one.
            sql.reserve(100).push("WITH told AS (");
            insert_alone(&mut sql, &event);
            sql.push(") ");
            insert_alone(&mut sql, &audited);
        }
    }
    Some(sql)
}

/// How many of so many connections scans may take.
fn scans_of(connections: usize) -> usize {
    (connections * 3 / 4).max(1)
}

impl Postgres {
    pub(crate) async fn open(url: &PostgresUrl, config: &StoreConfig, feed: &Arc<Feed>) -> Result<Self> {
        let sizes = Sizes { reads: config.reader_count() * 2, writes: config.write_connections() };
        // One connection at once: what is wrong with the address or the password is to be said at the start.
        let (reads, writes) = pools(url, sizes).await?;
        let node = uuid::Uuid::now_v7().to_string();
        let (reads, writes) = (ArcSwap::from_pointee(reads), ArcSwap::from_pointee(writes));
        let link =
            Arc::new(Link { reads, writes, feed: Arc::clone(feed), node: node.clone(), told: AtomicU64::new(0) });
        let settings = Arc::new(ArcSwap::from_pointee(settings(url)));
        let listener = Listener::start(Arc::clone(&settings), Tls::new(url)?, node, heard(&link)).await?;
        Ok(Self {
            link,
            listener,
            place: Mutex::new(url.clone()),
            sizes,
            settings,
            time_budget: config.time_budget,
            writing: Gate::new(sizes.writes, config.write_queue),
            reading: Gate::new(sizes.reads, config.read_queue),
            scans: Semaphore::new(scans_of(sizes.reads)),
            closing: AtomicBool::new(false),
        })
    }

    pub(crate) fn scans(&self) -> usize {
        scans_of(self.sizes.reads)
    }

    /// Has a job run, and answers it with its answer.
    pub(crate) fn write(
        &self,
        budget: Option<Duration>,
        mut job: Box<dyn WriteJob>,
    ) -> BoxFuture<'_, Result<Box<dyn WriteJob>>> {
        Box::pin(async move {
            self.open_still()?;
            let (link, place) = (Arc::clone(&self.link), self.writing.enter()?);
            // A task of its own: a caller that goes away cannot tear a commit from its announcement.
            let task = tokio::spawn(async move {
                let _place = place;
                if let Err(error) = link.write(budget, &mut *job).await {
                    job.fail(error);
                }
                job
            });
            task.await.map_err(|error| {
                tracing::error!(panicked = error.is_panic(), "a database job did not end and was rolled back");
                panicked()
            })
        })
    }

    /// Has a job run, and answers it with its answer.
    pub(crate) fn read(&self, plan: Plan, mut job: Box<dyn ReadJob>) -> BoxFuture<'_, Result<Box<dyn ReadJob>>> {
        Box::pin(async move {
            self.open_still()?;
            let _place = self.reading.enter()?;
            let done = match plan {
                Plan::Bounded => AssertUnwindSafe(self.link.read(&mut *job)).catch_unwind().await,
                Plan::Scan => self.scan(self.time_budget, &mut *job).await?,
                Plan::Within(budget) => self.scan(budget, &mut *job).await?,
            };
            match done {
                Ok(Ok(())) => Ok(job),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(panicked()),
            }
        })
    }

    /// Runs a scan, or answers that its time is up. The server counts each statement apart, we the whole job with its
    /// waiting, and a little longer, so that the server speaks first.
    async fn scan(&self, budget: Duration, job: &mut dyn ReadJob) -> Result<thread::Result<Result<()>>> {
        let run = async {
            let _turn = self.scans.acquire().await.map_err(|_| Error::closed())?;
            self.link.scan(budget, job).await
        };
        let ended = timeout(budget + Duration::from_millis(250), AssertUnwindSafe(run).catch_unwind()).await;
        ended.map_err(|_| Error::Timeout)
    }

    /// Connects with another user or password from now on, once that was seen to work. Whether there was anything to do: an address
    /// that differs in more is not taken up.
    pub(crate) async fn take_credentials(&self, url: &PostgresUrl) -> Result<bool> {
        let mut place = self.place.lock().await;
        if !place.is_same_place(url) || place.has_credentials_of(url) {
            return Ok(false);
        }
        let (reads, writes) = pools(url, self.sizes).await?;
        // The old pools are let go, not closed: whoever waits for a connection of theirs gets it.
        self.link.reads.store(Arc::new(reads));
        self.link.writes.store(Arc::new(writes));
        self.settings.store(Arc::new(settings(url)));
        place.clone_from(url);
        Ok(true)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.open_still()?;
        let asked = async {
            let client = self.link.writes.load_full().get().await.map_err(pool_meaning)?;
            client.simple_query("SELECT 1").await.map_err(meaning)
        };
        match timeout(PING_TIMEOUT, asked).await {
            Ok(answered) => answered.map(|_| ()),
            Err(_) => Err(Error::Unavailable(Fault::new("ping", "the server does not answer"))),
        }
    }

    pub(crate) async fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.writing.empty().await;
        self.listener.stop();
        self.link.writes.load().close();
        self.link.reads.load().close();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn open_still(&self) -> Result<()> {
        if self.is_closing() { Err(Error::closed()) } else { Ok(()) }
    }
}

impl Link {
    /// Runs a job in a transaction; an error is what became of it instead of its answer.
    async fn write(&self, budget: Option<Duration>, job: &mut dyn WriteJob) -> Result<()> {
        let opened = Opened::new(self.writes.load_full().get().await.map_err(pool_meaning)?);
        if let Some(budget) = budget {
            opened.session()?.script(&limit(budget)).await?;
        }
        let mut tx = Tx::postgres(opened.session()?);
        let is_good = job.start(&mut tx).await;
        match (is_good, tx.finish()) {
            (true, Ok(effects)) => self.commit(opened, effects).await,
            (true, Err(error)) => {
                opened.roll_back().await;
                Err(error)
            }
            (false, _) => {
                opened.roll_back().await;
                Ok(())
            }
        }
    }

    async fn commit(&self, opened: Opened, mut effects: Effects) -> Result<()> {
        let mut last = self.rows_of(&mut effects);
        // Every write of a record fills the outbox, and commits that notify queue on one lock of the whole server: nodes
        // look into the outbox by the clock, and only what corrects memory is sent.
        let sent: Vec<Change> =
            effects.changes.iter().filter(|change| change.kind.is_told_to_others()).cloned().collect();
        if !sent.is_empty() {
            let told = wire::encode(&self.node, &sent).into_iter();
            last.extend(
                told.map(|message| Sql::with(Dialect::Postgres, "SELECT pg_notify(?, ?)", [CHANNEL, message.as_str()])),
            );
        }
        if let Err((error, may_be_committed)) = opened.commit(&last).await {
            // Whether it was committed is not known when the connection broke just then: memory is to look again.
            if may_be_committed {
                self.feed.publish(&[Change::everything()]);
            }
            return Err(error);
        }
        if effects.altered {
            self.forget_statements();
        }
        self.feed.publish(&effects.changes);
        Ok(())
    }

    /// What writes the rows that go with the commit.
    fn rows_of(&self, effects: &mut Effects) -> Vec<Sql> {
        let (mut events, mut audit) = (std::mem::take(&mut effects.events), std::mem::take(&mut effects.audit));
        let trim = match events.len() {
            0 => None,
            more => outbox::trim(Dialect::Postgres, self.told.fetch_add(more as u64, Ordering::Relaxed), more),
        };
        let mut rows = if events.len() > 1 || audit.len() > 1 {
            let mut rows = insertions(Dialect::Postgres, &events);
            rows.extend(insertions(Dialect::Postgres, &audit));
            rows
        } else {
            alone(events.pop(), audit.pop()).into_iter().collect()
        };
        rows.extend(trim);
        rows
    }

    async fn read(&self, job: &mut dyn ReadJob) -> Result<()> {
        let client = self.reads.load_full().get().await.map_err(pool_meaning)?;
        job.start(&mut Reader::postgres(Session::plain(&client))).await;
        Ok(())
    }

    /// As `read`, on one snapshot and with a limit for each statement.
    async fn scan(&self, budget: Duration, job: &mut dyn ReadJob) -> Result<()> {
        let mut client = self.reads.load_full().get().await.map_err(pool_meaning)?;
        let snapshot = client.build_transaction().read_only(true);
        let snapshot = snapshot.isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
        let transaction = snapshot.start().await.map_err(meaning)?;
        transaction.batch_execute(&limit(budget)).await.map_err(meaning)?;
        job.start(&mut Reader::postgres(Session::in_transaction(&transaction))).await;
        roll_back(transaction).await;
        Ok(())
    }

    /// Gives up all prepared statements: tables have changed.
    fn forget_statements(&self) {
        for pool in [&self.reads, &self.writes] {
            pool.load().manager().statement_caches.clear();
        }
    }
}

/// Gives each statement of a transaction so long.
fn limit(budget: Duration) -> String {
    format!("SET LOCAL statement_timeout = {}", budget.as_millis().max(1))
}

async fn roll_back(transaction: Transaction<'_>) {
    if let Err(error) = transaction.rollback().await.map_err(meaning) {
        tracing::warn!(%error, "a transaction could not be rolled back, its connection is given up");
    }
}

/// What becomes of changes that other nodes announce. Tables may have changed, so prepared statements are given up.
fn heard(link: &Arc<Link>) -> listener::Heard {
    use crate::change::ChangeKind::{Collections, Everything};
    let link = Arc::clone(link);
    Arc::new(move |changes| {
        if changes.iter().any(|change| matches!(change.kind, Collections | Everything)) {
            link.forget_statements();
        }
        link.feed.publish(changes);
    })
}

fn settings(url: &PostgresUrl) -> tokio_postgres::Config {
    let mut settings = tokio_postgres::Config::new();
    settings
        .host(&url.host)
        .port(url.port)
        .user(&url.user)
        .dbname(&url.database)
        .application_name(url.application_name.as_deref().unwrap_or("fastcms"))
        .ssl_mode(tls::mode(url.tls))
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(Duration::from_secs(30))
        .tcp_user_timeout(Duration::from_mins(1));
    if let Some(password) = &url.password {
        settings.password(password.expose());
    }
    settings
}

/// A pool for reads and one for writes, of which one connection was made.
async fn pools(url: &PostgresUrl, sizes: Sizes) -> Result<(Pool, Pool)> {
    let (settings, tls) = (settings(url), Tls::new(url)?);
    let (reads, writes) =
        (pool(&settings, &tls, sizes.reads, SETUP_READ)?, pool(&settings, &tls, sizes.writes, SETUP_WRITE)?);
    drop(writes.get().await.map_err(pool_meaning)?);
    Ok((reads, writes))
}

fn pool(settings: &tokio_postgres::Config, tls: &Tls, size: usize, setup: &'static str) -> Result<Pool> {
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match tls {
        Tls::Off => Manager::from_config(settings.clone(), tokio_postgres::NoTls, config),
        Tls::On(connector) => Manager::from_config(settings.clone(), connector.clone(), config),
    };
    let set_up = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move { client.batch_execute(setup).await.map_err(HookError::Backend) })
    });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(CONNECT_TIMEOUT))
        .post_create(set_up)
        .build()
        .map_err(|error| Error::internal(error.to_string()))
}
