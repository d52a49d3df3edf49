//! One limit for several nodes: the conversation of this node with the store that all of them reach.
//!
//! One task speaks for the node. Requests that no lease covers wait for it; it asks for all that wait at once, hands out what was
//! granted, and reports what became of leases that ended. Where the store fails nobody waits for it any longer: the node counts by
//! itself until the store answers again, which is tried once a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastcms_guard::clock::Clock;
use fastcms_guard::limits::{Budget, Grant, Key, LEASE_MILLIS, Limiter, Settlement, Shared, Verdict};
use fastcms_store::{Store, limits as rows};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, timeout};

use super::redis::Redis;

/// Requests that may wait; one more is decided by this node alone.
const WAITING: usize = 4_096;
/// Requests that are asked for together.
const TOGETHER: usize = 256;
/// How long the store may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at what has ended, or at whether a store that failed is back.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two sweeps of what nobody used for an hour.
const SWEEP: Duration = Duration::from_mins(10);
const HOUR_MILLIS: i64 = 3_600_000;

/// Where the shared windows lie.
pub(super) enum Place {
    Database(Store),
    Redis(Redis),
}

/// The end of the conversation that requests hold.
pub(super) struct Sharing {
    asks: mpsc::Sender<Ask>,
    pub(super) name: &'static str,
    degraded: Arc<AtomicBool>,
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sharing")
            .field("name", &self.name)
            .field("degraded", &self.is_degraded())
            .finish_non_exhaustive()
    }
}

/// A request that waits for a grant.
struct Ask {
    key: Key,
    budget: Budget,
    cost: u32,
    /// `None`: decide by yourself.
    reply: oneshot::Sender<Option<Verdict>>,
}

/// What is asked of the store for one key.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) key: Vec<u8>,
    budget: Budget,
    settled: Vec<Settlement>,
    asked: u32,
    extra: u32,
}

impl Wish {
    /// Does to the windows what is wished for.
    pub(super) fn apply(&self, stored: &[u8], now: i64) -> (Vec<u8>, Grant) {
        let mut shared = Shared::from_bytes(stored);
        for settled in &self.settled {
            shared.settle(settled, self.budget);
        }
        let grant = shared.reserve(self.budget, self.asked, self.extra, now);
        (shared.to_bytes(), grant)
    }
}

impl Sharing {
    /// Starts the task that speaks for this node; it ends with this. Wants a running tokio runtime.
    pub(super) fn start(place: Place, limiter: Arc<Limiter>, clock: Arc<dyn Clock>) -> Self {
        let (asks, waiting) = mpsc::channel(WAITING);
        let degraded = Arc::new(AtomicBool::new(false));
        let name = match place {
            Place::Database(_) => "postgresql",
            Place::Redis(_) => "redis",
        };
        let speaker = Speaker { place, limiter, clock, degraded: Arc::clone(&degraded), open: VecDeque::new(), name };
        tokio::spawn(speaker.run(waiting));
        Self { asks, name, degraded }
    }

    /// Whether the store failed and this node counts by itself.
    pub(super) fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    /// Waits for a grant; `None`: decide by yourself.
    pub(super) async fn ask(&self, key: Key, budget: Budget, cost: u32) -> Option<Verdict> {
        let (reply, answer) = oneshot::channel();
        self.asks.try_send(Ask { key, budget, cost, reply }).ok()?;
        answer.await.ok().flatten()
    }
}

/// Speaks for this node.
struct Speaker {
    place: Place,
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
    degraded: Arc<AtomicBool>,
    /// Leases by when they end, in that order.
    open: VecDeque<(i64, Key)>,
    name: &'static str,
}

impl Speaker {
    async fn run(mut self, mut waiting: mpsc::Receiver<Ask>) {
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept = tokio::time::Instant::now();
        loop {
            let mut asks = Vec::new();
            tokio::select! {
                taken = waiting.recv_many(&mut asks, TOGETHER) => if taken == 0 { return },
                _ = ticks.tick() => {}
            }
            if self.degraded.load(Ordering::Relaxed) {
                // Who asked before the store failed decides alone.
                drop(asks);
                self.look_whether_it_is_back().await;
                continue;
            }
            self.speak(asks).await;
            if swept.elapsed() > SWEEP {
                swept = tokio::time::Instant::now();
                self.sweep().await;
            }
        }
    }

    /// Asks for all that wait, and reports what has ended.
    async fn speak(&mut self, asks: Vec<Ask>) {
        let now = self.clock.now().as_millis();
        let mut wishes: BTreeMap<Vec<u8>, (Wish, Vec<Ask>)> = BTreeMap::new();
        for ask in asks {
            let (wish, waiting) = wishes.entry(ask.key.to_bytes().to_vec()).or_insert_with_key(|key| {
                let (settled, extra) = self.limiter.end_lease(ask.key, now);
                let settled = settled.into_iter().collect();
                (Wish { key: key.clone(), budget: ask.budget, settled, asked: 0, extra }, Vec::new())
            });
            wish.asked = wish.asked.saturating_add(ask.cost);
            waiting.push(ask);
        }
        self.collect_ended(&mut wishes, now);
        if wishes.is_empty() {
            return;
        }
        let (wishes, waiting): (Vec<Wish>, Vec<Vec<Ask>>) = wishes.into_values().unzip();
        match timeout(PATIENCE, self.place.fulfil(wishes, now)).await {
            Ok(Ok(grants)) => {
                for (grant, asks) in grants.iter().zip(waiting) {
                    self.hand_out(grant, asks);
                }
            }
            Ok(Err(reason)) => self.give_up(&reason),
            Err(_) => self.give_up("it does not answer in time"),
        }
    }

    /// Leases that ended by themselves since the last look.
    fn collect_ended(&mut self, wishes: &mut BTreeMap<Vec<u8>, (Wish, Vec<Ask>)>, now: i64) {
        for _ in 0..TOGETHER {
            if self.open.front().is_none_or(|(until, _)| *until > now) {
                return;
            }
            let Some((_, key)) = self.open.pop_front() else { return };
            let Some((settled, budget)) = self.limiter.lapsed(key, now) else { continue };
            let (wish, _) = wishes.entry(key.to_bytes().to_vec()).or_insert_with_key(|key| {
                (Wish { key: key.clone(), budget, settled: Vec::new(), asked: 0, extra: 0 }, Vec::new())
            });
            wish.settled.push(settled);
        }
    }

    /// Gives what was granted to those who wait, first come first served; what is left is a lease.
    fn hand_out(&mut self, grant: &Grant, asks: Vec<Ask>) {
        let Some((key, budget)) = asks.first().map(|ask| (ask.key, ask.budget)) else { return };
        let now = self.clock.now().as_millis();
        let mut left = grant.granted;
        let admitted = asks.iter().take_while(|ask| {
            let fits = ask.cost <= left;
            left = if fits { left - ask.cost } else { 0 };
            fits
        });
        let (admitted, used) = (
            admitted.count(),
            asks.iter()
                .map(|ask| ask.cost)
                .scan(grant.granted, |left, cost| {
                    *left = left.checked_sub(cost)?;
                    Some(cost)
                })
                .sum(),
        );
        if grant.granted > 0 {
            self.limiter.granted(key, budget, grant, used, now);
            self.open.push_back((grant.counted_at, key));
        }
        for (place, ask) in asks.into_iter().enumerate() {
            let verdict = if place < admitted {
                Verdict::Admitted(self.limiter.standing_shared(key, ask.budget, now))
            } else {
                self.limiter.refused(key, ask.budget, grant, now)
            };
            // Who went away does not want to know.
            let _ = ask.reply.send(Some(verdict));
        }
    }

    fn give_up(&mut self, reason: &str) {
        self.degraded.store(true, Ordering::Relaxed);
        self.open.clear();
        tracing::error!(
            backend = self.name,
            reason,
            "rate limits are counted on this node alone: the store that the nodes share them in fails"
        );
    }

    async fn look_whether_it_is_back(&mut self) {
        if matches!(timeout(PATIENCE, self.place.ping()).await, Ok(Ok(()))) {
            self.degraded.store(false, Ordering::Relaxed);
            tracing::info!(backend = self.name, "rate limits are shared between the nodes again");
        }
    }

    async fn sweep(&self) {
        let before = self.clock.now().as_millis() - 2 * HOUR_MILLIS - LEASE_MILLIS;
        if let Place::Database(store) = &self.place {
            let swept: Result<u64, fastcms_store::Error> =
                store.write(move |tx| Box::pin(rows::sweep(tx, before))).await;
            if let Err(error) = swept {
                tracing::warn!(%error, "old rate limits could not be swept");
            }
        }
    }
}

impl Place {
    /// One transaction for all of it; a grant for each wish, in their order (sorted by key).
    async fn fulfil(&mut self, wishes: Vec<Wish>, now: i64) -> Result<Vec<Grant>, String> {
        match self {
            Self::Redis(redis) => redis.fulfil(&wishes, now).await,
            Self::Database(store) => {
                let done: Result<Vec<Grant>, fastcms_store::Error> = store
                    .write(move |tx| {
                        Box::pin(async move {
                            let keys: Vec<Vec<u8>> = wishes.iter().map(|wish| wish.key.clone()).collect();
                            let stored = rows::hold(tx, &keys, now).await?;
                            let done: Vec<_> =
                                wishes.iter().zip(&stored).map(|(wish, stored)| wish.apply(stored, now)).collect();
                            let (windows, grants): (Vec<_>, Vec<_>) = done.into_iter().unzip();
                            rows::put(tx, keys.into_iter().zip(windows).collect(), now).await?;
                            Ok(grants)
                        })
                    })
                    .await;
                done.map_err(|error| error.to_string())
            }
        }
    }

    async fn ping(&mut self) -> Result<(), String> {
        match self {
            Self::Redis(redis) => redis.ping().await,
            Self::Database(store) => store.ping().await.map_err(|error| error.to_string()),
        }
    }
}
