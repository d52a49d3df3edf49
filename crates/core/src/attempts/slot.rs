//! The right of a counted guess to be looked at. There are as many as failures that lock; who finds all of them taken, and the outcome
//! of some still open, waits: one right answer forgives all, the failure of all refuses the rest.
//!
//! Those who wait at a counter wait one behind another, and the first of them looks at it every [`LOOK`]: what other nodes found out
//! is seen there as well. Nobody waits longer than [`LONGEST_WAIT`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fastcms_guard::ids;
use fastcms_store::attempts::{self as rows, Counted, CounterName, Owner, Turn};
use fastcms_store::{Plan, Store};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::app::App;
use crate::error::{Error, Result};

/// How often a counter is looked at by the first who waits there.
const LOOK: Duration = Duration::from_millis(10);
/// How long a guess waits at most. It is not counted then, and told to come again.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// A random number that tells a guess from others. Never zero, which rows of older programs have.
pub(super) fn number(app: &App) -> i64 {
    i64::from_be_bytes(ids::bytes::<8>(&*app.rng)) | 1
}

/// The right to be looked at. One that ends without an outcome, its request being gone, counts as a failure.
#[derive(Debug)]
pub(super) struct Slot(Option<Undecided>);

#[derive(Debug)]
struct Undecided {
    store: Store,
    counter: CounterName,
    generation: i64,
    settled: AtomicBool,
}

impl Slot {
    /// Where nothing is counted.
    pub(super) fn unlimited() -> Self {
        Self(None)
    }

    /// The slot that this guess was given when it was counted, if it was.
    pub(super) fn of(store: &Store, counter: CounterName, counted: Counted, guess: i64) -> Option<Self> {
        let (store, generation) = (store.clone(), counted.generation);
        counted
            .is_looked_at(guess)
            .then(|| Self(Some(Undecided { store, counter, generation, settled: AtomicBool::new(false) })))
    }

    /// The outcome is written, or is about to be.
    pub(super) fn settle(&self) {
        if let Some(undecided) = &self.0 {
            undecided.settled.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if *self.settled.get_mut() {
            return;
        }
        let (store, counter, generation) = (self.store.clone(), self.counter, self.generation);
        runtime.spawn(async move {
            let noted = store.write(move |tx| {
                Box::pin(async move { rows::fail(tx, &counter, generation).await.map_err(Error::from) })
            });
            if let Err(error) = noted.await {
                tracing::error!(%error, "a guess that nobody waited for could not be noted as failed");
            }
        });
    }
}

/// Where those wait who wait at the same counter.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<CounterName, Weak<tokio::sync::Mutex<()>>>>);

impl Gates {
    fn of(&self, counter: CounterName) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(&counter).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::default();
        gates.insert(counter, Arc::downgrade(&gate));
        gate
    }
}

/// What becomes of a guess that was counted and has no slot: it is refused where all that lock have failed, and waits otherwise.
pub(super) async fn wait(
    app: &App,
    counter: CounterName,
    owner: Option<&Owner>,
    counted: Counted,
    guess: i64,
) -> Result<(Option<Counted>, Option<Slot>)> {
    if counted.turn(guess, app.lockout(), app.now_millis()) == Turn::Refused {
        return Ok((Some(counted), None));
    }
    let until = Instant::now() + LONGEST_WAIT;
    let gate = app.attempts.gates.of(counter);
    let waiting = Waiting { app, counter, owner, guess };
    if let Ok(_first) = timeout_at(until, gate.lock()).await {
        return waiting.first(counted, until).await;
    }
    waiting.give_up(counted.generation).await
}

struct Waiting<'a> {
    app: &'a App,
    counter: CounterName,
    owner: Option<&'a Owner>,
    guess: i64,
}

impl Waiting<'_> {
    /// Looks at the counter until it says something else.
    async fn first(&self, mut counted: Counted, until: Instant) -> Result<(Option<Counted>, Option<Slot>)> {
        let (app, counter) = (self.app, self.counter);
        loop {
            let read = app
                .store
                .read(Plan::Bounded, move |reader| Box::pin(async move { rows::look(reader, &counter).await }));
            let (limits, now) = (app.lockout(), app.now_millis());
            let moved = match read.await? {
                Some(stands) if stands.generation == counted.generation => match stands.turn(self.guess, limits, now) {
                    Turn::Refused => return Ok((Some(stands), None)),
                    _ if stands.has_room(limits) => self.begin(counted.generation).await?,
                    _ => None,
                },
                // Somebody was right, or unlocked it: what was counted until then is forgotten, this guess included.
                _ => Some(self.count_anew().await?),
            };
            if let Some((moved, slot)) = moved {
                if slot.is_some() {
                    return Ok((Some(moved), slot));
                }
                counted = moved;
            }
            if Instant::now() + LOOK > until {
                return self.give_up(counted.generation).await;
            }
            sleep(LOOK).await;
        }
    }

    async fn begin(&self, generation: i64) -> Result<Option<(Counted, Option<Slot>)>> {
        let (counter, guess, store) = (self.counter, self.guess, self.app.store.clone());
        let (limits, now) = (self.app.lockout(), self.app.now_millis());
        let beginning = tokio::spawn(async move {
            let begun = store.write(move |tx| {
                Box::pin(
                    async move { rows::begin(tx, &counter, generation, guess, limits, now).await.map_err(Error::from) },
                )
            });
            let begun: Option<Counted> = begun.await?;
            Ok::<_, Error>(begun.map(|counted| (counted, Slot::of(&store, counter, counted, guess))))
        });
        beginning.await.map_err(Error::internal)?
    }

    async fn count_anew(&self) -> Result<(Counted, Option<Slot>)> {
        let (counter, guess, owner, store) = (self.counter, self.guess, self.owner.cloned(), self.app.store.clone());
        let (limits, now) = (self.app.lockout(), self.app.now_millis());
        let counting = tokio::spawn(async move {
            let counted = store.write(move |tx| {
                Box::pin(async move {
                    rows::count(tx, &counter, owner.as_ref(), guess, limits, now).await.map_err(Error::from)
                })
            });
            let counted: Counted = counted.await?;
            Ok::<_, Error>((counted, Slot::of(&store, counter, counted, guess)))
        });
        counting.await.map_err(Error::internal)?
    }

    /// Nobody looked at it: it was no guess.
    async fn give_up(&self, generation: i64) -> Result<(Option<Counted>, Option<Slot>)> {
        let (counter, limits) = (self.counter, self.app.lockout());
        let taken_back = self.app.store.write(move |tx| {
            Box::pin(async move { rows::take_back(tx, &counter, generation, false, limits).await.map_err(Error::from) })
        });
        taken_back.await?;
        Err(Error::Overloaded { retry_after_seconds: 1 })
    }
}
