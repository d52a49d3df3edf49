//! How often somebody may call: strict sliding windows of a minute and an hour for each identity.
//!
//! In no window of 60 s or 3600 s are more requests admitted than its limit; a refused request counts for nothing and is told
//! after how many seconds it will be admitted. [`Window`] counts, [`Limiter`] holds the windows of everybody who called lately, in
//! bounded memory, [`Shared`] lets several nodes
//! keep to one budget without asking the others for every request.
//!
//! Knows no HTTP and keeps no time of its own: every call says what time it is. What is charged for what, and what becomes of a
//! refusal, is decided elsewhere.

mod identity;
mod lease;
mod limiter;
mod window;

pub use identity::{Class, Identity, Key};
pub use lease::{Grant, LEASE_MILLIS, Settlement, Shared};
pub use limiter::{Counter, Limiter, MAX_KEYS, Offender, Outcome, Usage};
pub use window::{HOUR, MINUTE, Span, Window};

/// How many requests are admitted in any minute and in any hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// In any 60 s, at least 1.
    pub per_minute: u32,
    /// In any 3600 s, at least 1.
    pub per_hour: u32,
}

impl Budget {
    /// A budget of so many a minute and an hour.
    pub const fn new(per_minute: u32, per_hour: u32) -> Self {
        Self { per_minute, per_hour }
    }

    /// So many times as much.
    pub const fn times(self, factor: u32) -> Self {
        Self::new(self.per_minute.saturating_mul(factor), self.per_hour.saturating_mul(factor))
    }
}

/// What is left of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests admitted in any window of this length.
    pub limit: u32,
    /// Requests still admitted now.
    pub remaining: u32,
    /// Seconds until more are, rounded up; the length of the window when nothing was used.
    pub reset_seconds: u32,
}

/// What is left of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub minute: Left,
    pub hour: Left,
}

impl Standing {
    /// Nothing was used yet.
    pub fn untouched(budget: Budget) -> Self {
        let left = |limit, reset_seconds| Left { limit, remaining: limit, reset_seconds };
        Self { minute: left(budget.per_minute, 60), hour: left(budget.per_hour, 3600) }
    }

    /// The one of the two that leaves less to its holder.
    pub fn tighter(self, other: Self) -> Self {
        let left = |one: &Self| one.minute.remaining.min(one.hour.remaining);
        if left(&other) < left(&self) { other } else { self }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was counted.
    Admitted(Standing),
    /// It was not: after so many seconds, at least 1, the same request is admitted if no other was meanwhile.
    Refused { standing: Standing, retry_after_seconds: u32 },
}

impl Verdict {
    /// What is left, whatever became of the request.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Admitted(standing) | Self::Refused { standing, .. } => *standing,
        }
    }

    pub fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }
}

/// Whole seconds that hold so many milliseconds.
fn seconds(millis: i64) -> u32 {
    u32::try_from(millis.max(0).div_euclid(1000) + i64::from(millis.rem_euclid(1000) > 0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
