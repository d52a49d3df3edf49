//! What a process knows of a key's use: counters that cost a request a few nanoseconds and no lock. Where they are written down, and how
//! often, is for the caller to know.

use std::sync::atomic::{AtomicI64, Ordering};

use super::Purpose;

/// Use of one key by this process. Times are unix seconds; 0 stands for never.
#[derive(Debug, Default)]
pub struct Usage {
    last_verified: AtomicI64,
    /// By purpose, the latest end of a token that is known to be written down.
    recorded: [AtomicI64; Purpose::ALL.len()],
}

impl Usage {
    /// Notes that a token was verified.
    pub(crate) fn note_verified(&self, now: i64) {
        // A load costs less than a store that other cores must hear of: at most one store a second.
        if self.last_verified.load(Ordering::Relaxed) < now {
            self.last_verified.store(now, Ordering::Relaxed);
        }
    }

    /// When a token was last verified.
    pub fn last_verified(&self) -> Option<i64> {
        Some(self.last_verified.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// Whether it is written down that tokens for `purpose` may live until `exp`: then one may be given out without a further write.
    pub fn is_recorded(&self, purpose: Purpose, exp: i64) -> bool {
        self.recorded[purpose as usize].load(Ordering::Relaxed) >= exp
    }

    /// Notes that it has been written down that tokens for `purpose` may live until `exp`.
    pub fn note_recorded(&self, purpose: Purpose, exp: i64) {
        self.recorded[purpose as usize].fetch_max(exp, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_end_of_the_same_purpose_has_to_be_written_down() {
        let usage = Usage::default();
        assert!(!usage.is_recorded(Purpose::Access, 10));
        usage.note_recorded(Purpose::Access, 10);
        usage.note_recorded(Purpose::Access, 7);
        assert!(usage.is_recorded(Purpose::Access, 10) && !usage.is_recorded(Purpose::Access, 11));
        assert!(!usage.is_recorded(Purpose::File, 1));
    }

    #[test]
    fn the_last_verification_never_moves_back() {
        let usage = Usage::default();
        assert_eq!(usage.last_verified(), None);
        usage.note_verified(5);
        usage.note_verified(3);
        assert_eq!(usage.last_verified(), Some(5));
    }
}
