//! The windows of everybody who called lately, in bounded memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lease::{Grant, LEASE_MILLIS, Lease, Settlement, standing};
use super::window::{HOUR, MINUTE, Span, Window};
use super::{Budget, Identity, Key, Left, Standing, Verdict, seconds};

/// Keys held at once, of which each takes a few hundred bytes and 2 KB at most. Past that the idle and the least used make room; who
/// has used half of a budget stays, and if all have, whoever is new shares one budget with the others who are.
pub const MAX_KEYS: usize = 65_536;

/// Parts that are locked apart.
const SHARDS: usize = 64;

/// Entries that are looked at to find one that can go.
const LOOKED_AT: usize = 32;

/// Refusals of the last hour, in five-minute steps.
const REFUSALS: Span = Span { millis: 3_600_000, runs: 12 };

/// What becomes of a request as far as this node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(Verdict),
    /// The shared windows must be asked; nothing is counted yet.
    Ask,
}

/// One key's usage, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    pub key: Key,
    pub minute: Usage,
    pub hour: Usage,
}

/// What was used of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub used: u32,
    pub limit: u32,
    pub reset_seconds: u32,
}

/// Who was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    pub key: Key,
    pub refused_last_hour: u32,
    /// Unix milliseconds of the last request, refused or not.
    pub last_seen: i64,
}

#[derive(Default)]
struct Entry {
    minute: Window,
    hour: Window,
    refused: Window,
    last_seen: i64,
    budget: Option<Budget>,
    lease: Lease,
}

impl Entry {
    /// Whether it can be forgotten without anybody noticing.
    fn is_idle(&self, now: i64) -> bool {
        now - self.last_seen >= HOUR.millis
    }

    /// Whether its holder must not get a fresh start.
    fn is_active(&self) -> bool {
        self.budget.is_some_and(|budget| {
            self.minute.used() >= budget.per_minute.div_ceil(2) || self.hour.used() >= budget.per_hour.div_ceil(2)
        })
    }

    /// Whether there is room, and what time to count by.
    fn admit(&mut self, budget: Budget, cost: u32, now: i64) -> Result<i64, Verdict> {
        let now = self.begin(budget, now);
        let minute = self.minute.wait(now, cost, budget.per_minute, MINUTE);
        let wait = minute.max(self.hour.wait(now, cost, budget.per_hour, HOUR));
        if wait > 0 { Err(self.refuse(wait, budget, now, false)) } else { Ok(now) }
    }

    /// A request has come; what time to count by.
    fn begin(&mut self, budget: Budget, now: i64) -> i64 {
        let now = self.slide(now);
        self.last_seen = now;
        self.budget = Some(budget);
        now
    }

    fn slide(&mut self, now: i64) -> i64 {
        self.hour.slide(self.minute.slide(now, MINUTE), HOUR)
    }

    fn standing(&self, budget: Budget, now: i64, shared: bool) -> Standing {
        let mut standing = standing(&self.minute, &self.hour, budget, now);
        if shared {
            let (minute, hour) = self.lease.room();
            standing.minute.remaining = standing.minute.remaining.min(minute);
            standing.hour.remaining = standing.hour.remaining.min(hour);
        }
        standing
    }

    fn add(&mut self, now: i64, cost: u32, budget: Budget) {
        self.minute.add(now, cost, budget.per_minute, MINUTE);
        self.hour.add(now, cost, budget.per_hour, HOUR);
    }

    fn take_back(&mut self, at: i64, cost: u32) {
        if let Some(budget) = self.budget {
            self.minute.take_back(at, cost, budget.per_minute, MINUTE);
            self.hour.take_back(at, cost, budget.per_hour, HOUR);
        }
    }

    fn refuse(&mut self, wait: i64, budget: Budget, now: i64, shared: bool) -> Verdict {
        let at = self.refused.slide(now, REFUSALS);
        self.refused.add(at, 1, u32::MAX, REFUSALS);
        let mut standing = self.standing(budget, now, shared);
        if shared && standing.minute.remaining > 0 && standing.hour.remaining > 0 {
            // Too little for this request. What is taken counts when its lease ends: a minute may take so much longer to be free.
            let is_hour = wait > MINUTE.millis + LEASE_MILLIS;
            let spent: &mut Left = if is_hour { &mut standing.hour } else { &mut standing.minute };
            spent.remaining = 0;
        }
        Verdict::Refused { standing, retry_after_seconds: seconds(wait).max(1) }
    }
}

#[derive(Default)]
struct Shard {
    places: HashMap<Key, usize>,
    entries: Vec<(Key, Entry)>,
    /// Where to look for an entry that can go.
    hand: usize,
}

impl Shard {
    fn push(&mut self, key: Key) -> usize {
        self.entries.push((key, Entry::default()));
        self.places.insert(key, self.entries.len() - 1);
        self.entries.len() - 1
    }

    /// Forgets one entry; where none may go, the place that newcomers share.
    fn make_room(&mut self, key: Key, now: i64, number: u8) -> Result<(), usize> {
        let mut least: Option<(u32, usize)> = None;
        for _ in 0..LOOKED_AT.min(self.entries.len()) {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &mut self.entries[self.hand].1;
            if entry.is_idle(now) {
                least = Some((0, self.hand));
                break;
            }
            let used = entry.hour.used();
            if !entry.is_active() && least.is_none_or(|(lowest, _)| used < lowest) {
                least = Some((used, self.hand));
            }
        }
        if let Some((_, place)) = least {
            self.forget(place);
            return Ok(());
        }
        let everybody = Key { class: key.class, identity: Identity::Everybody(number) };
        Err(self.places.get(&everybody).copied().unwrap_or_else(|| self.push(everybody)))
    }

    fn forget(&mut self, place: usize) {
        let (key, _) = self.entries.swap_remove(place);
        self.places.remove(&key);
        if let Some((moved, _)) = self.entries.get(place) {
            self.places.insert(*moved, place);
        }
    }
}

/// Who called lately, and how often.
pub struct Limiter {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// Keys of one shard.
    capacity: usize,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(MAX_KEYS)
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("keys", &self.len()).finish_non_exhaustive()
    }
}

impl Limiter {
    /// Holds at most so many keys, and one more for each shard and class when all of those are held back.
    pub fn new(keys: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            capacity: keys.div_ceil(SHARDS).max(1),
        }
    }

    /// Counts a request if there is room for it, by what this node knows alone.
    pub fn charge(&self, key: Key, budget: Budget, cost: u32, now: i64) -> Verdict {
        let mut shard = self.shard(key);
        let entry = shard.entry(key, now);
        match entry.admit(budget, cost, now) {
            Ok(now) => {
                entry.add(now, cost, budget);
                Verdict::Admitted(entry.standing(budget, now, false))
            }
            Err(refused) => refused,
        }
    }

    /// The same under a lease of the shared windows, if there is one that has room. Only they refuse: this node knows less.
    pub fn charge_shared(&self, key: Key, budget: Budget, cost: u32, now: i64) -> Outcome {
        let mut shard = self.shard(key);
        let entry = shard.entry(key, now);
        let now = entry.begin(budget, now);
        if let Some(wait) = entry.lease.refuses(now) {
            return Outcome::Done(entry.refuse(wait, budget, now, true));
        }
        if !entry.lease.take(cost, now) {
            return Outcome::Ask;
        }
        entry.add(now, cost, budget);
        Outcome::Done(Verdict::Admitted(entry.standing(budget, now, true)))
    }

    /// Takes a request back that was counted at `now` and then refused elsewhere.
    pub fn take_back(&self, key: Key, cost: u32, now: i64) {
        let mut shard = self.shard(key);
        let entry = shard.entry(key, now);
        entry.take_back(now, cost);
        entry.lease.put_back(cost, now);
    }

    /// Ends the lease of a key before another is asked for: what became of it, and how much to take beyond what is asked for.
    pub fn end_lease(&self, key: Key, now: i64) -> (Option<Settlement>, u32) {
        self.shard(key).entry(key, now).lease.end(now)
    }

    /// As [`Limiter::end_lease`], if the lease has ended by itself.
    pub fn lapsed(&self, key: Key, now: i64) -> Option<(Settlement, Budget)> {
        let mut shard = self.shard(key);
        let entry = shard.known(key)?;
        let budget = entry.budget?;
        if !entry.lease.is_over(now) {
            return None;
        }
        entry.lease.end(now).0.map(|settled| (settled, budget))
    }

    /// Takes note of a grant, of which `used` were spent on requests that waited for it.
    pub fn granted(&self, key: Key, budget: Budget, grant: &Grant, used: u32, now: i64) {
        let mut shard = self.shard(key);
        let entry = shard.entry(key, now);
        let at = entry.begin(budget, now);
        entry.add(at, used, budget);
        entry.lease.begin(grant, used, now);
    }

    /// Refuses a request that waited for a grant, and remembers that for the next ones.
    pub fn refused(&self, key: Key, budget: Budget, grant: &Grant, now: i64) -> Verdict {
        let mut shard = self.shard(key);
        let entry = shard.entry(key, now);
        entry.lease.refuse(grant, now);
        entry.refuse(grant.wait, budget, now, true)
    }

    /// What is left of a key's windows as this node sees them.
    pub fn standing(&self, key: Key, budget: Budget, now: i64) -> Standing {
        let mut shard = self.shard(key);
        let entry = shard.entry(key, now);
        let now = entry.slide(now);
        entry.standing(budget, now, false)
    }

    /// The same, as far as this node knows what the others used.
    pub fn standing_shared(&self, key: Key, budget: Budget, now: i64) -> Standing {
        let mut shard = self.shard(key);
        let entry = shard.entry(key, now);
        let now = entry.slide(now);
        entry.standing(budget, now, true)
    }

    /// The keys that have used most of a window, most first.
    pub fn busiest(&self, most: usize, now: i64) -> Vec<Counter> {
        let mut found = self.each(|key, entry| {
            let now = entry.slide(now);
            let budget = entry.budget?;
            let usage = |window: &Window, limit, span| Usage {
                used: window.used(),
                limit,
                reset_seconds: seconds(window.until_first_leaves(now, span)),
            };
            let minute = usage(&entry.minute, budget.per_minute, MINUTE);
            let hour = usage(&entry.hour, budget.per_hour, HOUR);
            (hour.used > 0).then_some(Counter { key, minute, hour })
        });
        let share = |usage: &Usage| u64::from(usage.used) * 1_000_000 / u64::from(usage.limit.max(1));
        found.sort_by_key(|counter| std::cmp::Reverse(share(&counter.minute).max(share(&counter.hour))));
        found.truncate(most);
        found
    }

    /// The keys that were refused most often within the hour, most first.
    pub fn offenders(&self, most: usize, now: i64) -> Vec<Offender> {
        let mut found = self.each(|key, entry| {
            entry.refused.slide(now, REFUSALS);
            let refused_last_hour = entry.refused.used();
            (refused_last_hour > 0).then_some(Offender { key, refused_last_hour, last_seen: entry.last_seen })
        });
        found.sort_by_key(|offender| std::cmp::Reverse(offender.refused_last_hour));
        found.truncate(most);
        found
    }

    fn each<T>(&self, mut of: impl FnMut(Key, &mut Entry) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            found.extend(shard.entries.iter_mut().filter_map(|(key, entry)| of(*key, entry)));
        }
        found
    }

    /// Keys held now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// Whether nobody called lately.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: Key) -> Locked<'_> {
        let number = u8::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default();
        Locked { shard: lock(&self.shards[usize::from(number)]), capacity: self.capacity, number }
    }
}

/// One shard, locked.
struct Locked<'l> {
    shard: MutexGuard<'l, Shard>,
    capacity: usize,
    number: u8,
}

impl Locked<'_> {
    fn entry(&mut self, key: Key, now: i64) -> &mut Entry {
        let place = match self.shard.places.get(&key) {
            Some(place) => *place,
            None => self.make(key, now),
        };
        &mut self.shard.entries[place].1
    }

    fn make(&mut self, key: Key, now: i64) -> usize {
        if self.shard.entries.len() >= self.capacity
            && let Err(shared) = self.shard.make_room(key, now, self.number)
        {
            return shared;
        }
        self.shard.push(key)
    }

    fn known(&mut self, key: Key) -> Option<&mut Entry> {
        let place = *self.shard.places.get(&key)?;
        Some(&mut self.shard.entries[place].1)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
