//! One budget for several nodes. The windows lie in a store that all of them reach ([`Shared`]); a node takes a few requests' worth
//! at a time ([`Lease`]) and admits them by itself.
//!
//! What was taken counts as used at the moment the lease ends, which no request under it can be later than: so whatever the nodes
//! do, the windows never hold less than was admitted, and the limit holds. Once a lease has ended the node says what became of it
//! ([`Settlement`]), and the windows hold exactly that. A lease starts at what is asked for and grows only while it is used up, so
//! that little lies idle with a node that another needs.
//!
//! The clocks of the nodes must agree; by as much as they differ a window may be shorter.

use super::window::{HOUR, MINUTE, Window};
use super::{Budget, Left, Standing, seconds};

/// How long a lease lasts, milliseconds.
pub const LEASE_MILLIS: i64 = 5_000;

/// Of what is left a lease takes at most this part beyond what is asked for.
const RESERVE: u32 = 8;

/// How long a refusal is believed without asking again, milliseconds: others may have given back what they had taken.
const REFUSAL_MILLIS: i64 = 1_000;

/// What a node did with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// When the lease was counted as used.
    pub counted_at: i64,
    pub granted: u32,
    pub used: u32,
    /// When its last request was admitted.
    pub last_used: i64,
}

/// What a node may admit by itself for one key.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    left: u32,
    granted: u32,
    /// When it ends; counted as used then.
    until: i64,
    last_used: i64,
    /// What to take beyond what is asked for, next time.
    extra: u32,
    /// What the windows had left when it was granted.
    room: (u32, u32),
    /// Refused until then without asking, and free again when.
    refused_until: i64,
    free_at: i64,
}

impl Lease {
    /// Admits a request under this lease.
    pub(super) fn take(&mut self, cost: u32, now: i64) -> bool {
        if now >= self.until || self.left < cost {
            return false;
        }
        self.left -= cost;
        self.last_used = now;
        true
    }

    /// Takes a request back that turned out not to be admitted after all.
    pub(super) fn put_back(&mut self, cost: u32, now: i64) {
        if now < self.until {
            self.left = self.left.saturating_add(cost).min(self.granted);
        }
    }

    /// Milliseconds that a request has to wait, as long as that need not be asked.
    pub(super) fn refuses(&self, now: i64) -> Option<i64> {
        (now < self.refused_until).then(|| self.free_at - now)
    }

    /// Ends the lease, and says what became of it and how much to take beyond what is asked for.
    pub(super) fn end(&mut self, now: i64) -> (Option<Settlement>, u32) {
        if self.granted == 0 {
            return (None, self.extra);
        }
        // Used up in time: the next may be larger. Half of it idle: smaller.
        if self.left == 0 && now < self.until {
            self.extra = self.extra.saturating_mul(2).max(1);
        } else if self.left > self.granted / 2 {
            self.extra /= 2;
        }
        let settled = Settlement {
            counted_at: self.until,
            granted: self.granted,
            used: self.granted - self.left,
            last_used: self.last_used,
        };
        (self.granted, self.left) = (0, 0);
        (Some(settled), self.extra)
    }

    /// Whether there is one that has ended.
    pub(super) fn is_over(&self, now: i64) -> bool {
        self.granted > 0 && now >= self.until
    }

    /// Takes note of what was granted, of which `used` are spent at once.
    pub(super) fn begin(&mut self, grant: &Grant, used: u32, now: i64) {
        self.granted = grant.granted;
        self.left = grant.granted.saturating_sub(used);
        self.until = grant.counted_at;
        self.last_used = now;
        self.room = grant.room;
        self.refused_until = 0;
    }

    /// Takes note of a refusal, and of what the windows have left: a node that never held a lease knows nothing else of them.
    pub(super) fn refuse(&mut self, grant: &Grant, now: i64) {
        self.room = grant.room;
        self.free_at = now.saturating_add(grant.wait);
        self.refused_until = now + grant.wait.min(REFUSAL_MILLIS);
    }

    /// What is left of both windows, as far as this node knows.
    pub(super) fn room(&self) -> (u32, u32) {
        (self.room.0.saturating_add(self.left), self.room.1.saturating_add(self.left))
    }
}

/// What a store granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// May be less than was asked for, down to none.
    pub granted: u32,
    /// When it is counted as used.
    pub counted_at: i64,
    /// What is left of minute and hour.
    pub room: (u32, u32),
    /// Milliseconds until one more request is admitted: of interest where not all were.
    pub wait: i64,
    pub standing: Standing,
}

/// The windows of one key, where every node reaches them.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    minute: Window,
    hour: Window,
}

impl Shared {
    /// Takes `asked` requests' worth out of the windows and, as far as there is plenty, up to `extra` more.
    pub fn reserve(&mut self, budget: Budget, asked: u32, extra: u32, now: i64) -> Grant {
        self.minute.slide_with_promises(now, LEASE_MILLIS, MINUTE);
        self.hour.slide_with_promises(now, LEASE_MILLIS, HOUR);
        let room = self.room(budget);
        let asked = asked.min(room);
        let granted = asked + extra.min((room - asked) / RESERVE);
        let counted_at = now + LEASE_MILLIS;
        self.minute.add(counted_at, granted, budget.per_minute, MINUTE);
        self.hour.add(counted_at, granted, budget.per_hour, HOUR);
        let wait = |window: &Window, limit, span| window.wait(now, 1, limit, span);
        Grant {
            granted,
            counted_at,
            room: (self.minute.room(budget.per_minute), self.hour.room(budget.per_hour)),
            wait: wait(&self.minute, budget.per_minute, MINUTE).max(wait(&self.hour, budget.per_hour, HOUR)),
            standing: standing(&self.minute, &self.hour, budget, now),
        }
    }

    /// Puts what was used in the place of what was taken.
    pub fn settle(&mut self, settled: &Settlement, budget: Budget) {
        for (window, limit, span) in
            [(&mut self.minute, budget.per_minute, MINUTE), (&mut self.hour, budget.per_hour, HOUR)]
        {
            window.take_back(settled.counted_at, settled.granted, limit, span);
            window.add(settled.last_used, settled.used, limit, span);
        }
    }

    fn room(&self, budget: Budget) -> u32 {
        self.minute.room(budget.per_minute).min(self.hour.room(budget.per_hour))
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        self.minute.write(&mut bytes);
        self.hour.write(&mut bytes);
        bytes
    }

    /// Reads what was stored; what is something else counts as nothing used.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let read = || {
            let (minute, rest) = Window::read(bytes)?;
            let (hour, rest) = Window::read(rest)?;
            rest.is_empty().then_some(Self { minute, hour })
        };
        read().unwrap_or_default()
    }
}

/// What is left of a pair of windows.
pub(super) fn standing(minute: &Window, hour: &Window, budget: Budget, now: i64) -> Standing {
    let left = |window: &Window, limit, span| Left {
        limit,
        remaining: window.room(limit),
        reset_seconds: seconds(window.until_first_leaves(now, span)),
    };
    Standing { minute: left(minute, budget.per_minute, MINUTE), hour: left(hour, budget.per_hour, HOUR) }
}
