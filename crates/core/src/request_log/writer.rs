//! The way from the queue of the request log to the store: a batch as soon as there is a full one, else whatever there is once a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastcms_guard::address::AddressText;
use fastcms_guard::clock::Clock;
use fastcms_guard::ids::Rng;
use fastcms_store::request_log::{self as rows, Insertions, Number, StoredRequest};
use fastcms_store::{Error, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::queue::{BATCH, Entry, Shared};

/// How long a request waits to be written at most, as long as the store keeps up.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the log of the process says that requests were not written.
const SAYING: Duration = Duration::from_mins(1);
/// Random bytes for a row.
const RANDOM: usize = 4;

/// What is to be written.
#[derive(Clone, Copy)]
enum Due {
    /// Batches that are full.
    Full,
    /// All there is.
    Everything,
}

impl Due {
    /// For how many requests a batch is begun.
    fn least(self) -> usize {
        match self {
            Self::Full => BATCH,
            Self::Everything => 1,
        }
    }
}

/// Writes what comes out of the queue.
pub(super) struct Writer {
    queue: mpsc::Receiver<Entry>,
    shared: Arc<Shared>,
    store: Store,
    insertions: Arc<Insertions>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    /// The number of the last row.
    last: Number,
    /// How many losses were spoken of, and when.
    said: (u64, Option<Instant>),
    /// Why the store refused, if it did since then.
    cause: Option<Error>,
}

impl Writer {
    pub(super) fn new(
        queue: mpsc::Receiver<Entry>,
        shared: Arc<Shared>,
        store: Store,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Self {
        let insertions = Arc::new(Insertions::new(store.dialect()));
        let (last, said) = (Number::new(0, 0), (0, None));
        Self { queue, shared, store, insertions, clock, rng, last, said, cause: None }
    }

    /// Writes until the log has no owner any more, and what is left then.
    pub(super) async fn run(mut self, mut flushes: mpsc::Receiver<oneshot::Sender<()>>) {
        let shared = Arc::clone(&self.shared);
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => None,
                () = shared.full.notified() => {
                    self.write_waiting(Due::Full).await;
                    continue;
                }
                asked = flushes.recv() => Some(asked),
            };
            self.write_waiting(Due::Everything).await;
            self.say_what_was_lost();
            match asked {
                None => {}
                Some(Some(done)) => drop(done.send(())),
                Some(None) => return,
            }
        }
    }

    /// Writes what waits now, and not what comes meanwhile: a commit and a flush of the disk are worth a batch, not a handful. A
    /// refusal of the store ends it: the next time is soon enough.
    async fn write_waiting(&mut self, due: Due) {
        let mut left = self.queue.len();
        while left >= due.least() {
            let mut batch = Vec::with_capacity(left.min(BATCH));
            while batch.len() < BATCH
                && let Ok(entry) = self.queue.try_recv()
            {
                batch.push(entry);
            }
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            left = left.saturating_sub(count);
            let (batch, insertions) = (self.rows(batch), Arc::clone(&self.insertions));
            let write = self.store.write(move |tx| Box::pin(async move { rows::insert(tx, &insertions, batch).await }));
            let written = write.await;
            if let Err(error) = written {
                self.shared.lost.fetch_add(count as u64, Ordering::Relaxed);
                self.cause = Some(error);
                return;
            }
        }
    }

    fn rows(&mut self, batch: Vec<Entry>) -> Vec<StoredRequest> {
        // The edge read one clock, that of durations; what time it was then follows from what time it is now.
        let (now, now_millis) = (Instant::now(), self.clock.now().as_millis());
        let mut random = vec![0; batch.len() * RANDOM];
        self.rng.fill(&mut random);
        let row = |(entry, random): (Entry, &[u8])| {
            let ago = now.saturating_duration_since(entry.started + entry.took);
            let created = now_millis - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX / 2);
            StoredRequest {
                number: self.number(created, random),
                method: entry.method.into_owned(),
                url: entry.url,
                status: entry.status.into(),
                duration: i64::try_from(entry.took.as_micros()).unwrap_or(i64::MAX),
                ip_address: AddressText::new(entry.client).as_str().to_owned(),
                user_id: entry.account.map(|account| account.id.clone()),
            }
        };
        batch.into_iter().zip(random.chunks_exact(RANDOM)).map(row).collect()
    }

    /// The next number of a millisecond; the first is anywhere in the lower half, so that several nodes hardly ever come to the same ones.
    fn number(&mut self, millis: i64, random: &[u8]) -> Number {
        let within = if self.last.unix_millis() == millis {
            self.last.within() + 1
        } else {
            let random = random.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            random % (Number::EACH_MILLISECOND / 2)
        };
        self.last = Number::new(millis, within);
        self.last
    }

    fn say_what_was_lost(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        let (spoken_of, at) = self.said;
        if lost == spoken_of || at.is_some_and(|at| at.elapsed() < SAYING) {
            return;
        }
        let count = lost - spoken_of;
        if let Some(error) = self.cause.take() {
            tracing::warn!(
                count,
                %error,
                "requests are missing in the request log: the database did not take them"
            );
        } else {
            tracing::warn!(
                count,
                "requests are missing in the request log: they came faster than they could be written"
            );
        }
        self.said = (lost, Some(Instant::now()));
    }
}
