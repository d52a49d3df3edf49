//! What is counted while requests are answered: how many, how they ended, how long they took. Since the start of this process, in memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;
use crate::secrets;

mod prometheus;

/// The methods that are told apart; all others are `OTHER`, or whoever calls could invent as many series as they like.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"];
/// Upper ends of the classes of durations, ms; what takes longer is in a last one.
pub const BOUNDS: [u32; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

const STATUSES: std::ops::Range<u16> = 100..600;
const STATUS_COUNT: usize = 500;

/// The counters of one process. Counting takes three additions and no lock.
#[derive(Debug)]
pub struct Metrics {
    /// When counting began, ms since the Unix epoch.
    since: i64,
    methods: Box<[Counters]>,
}

#[derive(Debug)]
struct Counters {
    /// Answers by status.
    answers: Box<[AtomicU64]>,
    /// Answers by class of their duration.
    classes: [AtomicU64; BOUNDS.len() + 1],
    /// All durations together, µs.
    micros: AtomicU64,
}

impl Counters {
    fn new() -> Self {
        Self {
            answers: (0..STATUS_COUNT).map(|_| AtomicU64::new(0)).collect(),
            classes: Default::default(),
            micros: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    pub(crate) fn new(now_millis: i64) -> Self {
        Self { since: now_millis, methods: METHODS.iter().map(|_| Counters::new()).collect() }
    }

    /// Counts an answer. Never waits.
    pub fn count(&self, method: &str, status: u16, took: Duration) {
        let at = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let counters = &self.methods[at];
        let status = status.clamp(STATUSES.start, STATUSES.end - 1) - STATUSES.start;
        let class = BOUNDS.iter().position(|bound| took <= Duration::from_millis(u64::from(*bound)));
        counters.answers[usize::from(status)].fetch_add(1, Ordering::Relaxed);
        counters.classes[class.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        counters.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The counters at one moment.
#[derive(Debug)]
pub struct Figures {
    /// Since the start of this process, s.
    pub uptime_seconds: i64,
    /// How many answers there were, by method and status; those that there were none of are left out.
    pub answers: Vec<Answers>,
    /// How long answers took, by method; methods without answers are left out.
    pub durations: Vec<Durations>,
    /// Requests that the request log lost.
    pub request_log_lost: u64,
    /// Whether the limits that nodes share are counted on this node alone, because their backend does not answer.
    pub limits_degraded: bool,
    /// The secrets that the settings hold.
    pub secrets: Vec<SecretAge>,
}

/// How it stands with a secret of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretAge {
    /// The setting.
    pub name: &'static str,
    /// Since the version in force was written, s, where its source says when that was.
    pub age_seconds: Option<i64>,
    /// Whether its manager did not answer for it at the last look.
    pub is_stale: bool,
}

/// Answers with one status to one method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    pub method: &'static str,
    pub status: u16,
    pub count: u64,
}

/// How long answers to one method took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations {
    pub method: &'static str,
    pub count: u64,
    /// All of them together, µs.
    pub micros: u64,
    /// How many took at most so long, for each of [`BOUNDS`]; each class contains those before it.
    pub within: [u64; BOUNDS.len()],
}

/// The figures of this process.
pub async fn figures(caller: &Caller, app: &App) -> Result<Figures> {
    access::require(caller, Permission::MetricsRead)?;
    Ok(read(app).await)
}

/// The same in the text format of Prometheus (version 0.0.4).
pub async fn prometheus(caller: &Caller, app: &App) -> Result<String> {
    access::require(caller, Permission::MetricsRead)?;
    Ok(prometheus::text(&read(app).await))
}

async fn read(app: &App) -> Figures {
    let metrics = &app.metrics;
    let mut answers = Vec::new();
    let mut durations = Vec::new();
    for (method, counters) in METHODS.into_iter().zip(&metrics.methods) {
        for (status, count) in STATUSES.zip(&counters.answers) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                answers.push(Answers { method, status, count });
            }
        }
        let mut within = [0; BOUNDS.len()];
        let mut count = 0;
        for (class, counter) in counters.classes.iter().enumerate() {
            count += counter.load(Ordering::Relaxed);
            if let Some(so_far) = within.get_mut(class) {
                *so_far = count;
            }
        }
        if count > 0 {
            durations.push(Durations { method, count, micros: counters.micros.load(Ordering::Relaxed), within });
        }
    }
    Figures {
        uptime_seconds: (app.now_millis() - metrics.since).max(0) / 1000,
        answers,
        durations,
        request_log_lost: app.request_log.lost(),
        limits_degraded: app.limits.is_degraded(),
        secrets: secrets::figures(app).await,
    }
}
