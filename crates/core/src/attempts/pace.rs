//! When refusals leave that are made at the same counter at about the same time: one [`FLOOR`] after another.
//!
//! A guess at a hash of the predecessor takes many times as long as one at nothing. One alone hides in the floor; several at once would
//! stand in line for the processor, come out past it, and tell that somebody is there. So the time of a refusal depends on how many
//! guesses came before it at the same name, and on nothing that was found there. A right answer waits for none of this.
//!
//! Kept in the memory of this node, as the line for its processor is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fastcms_store::attempts::CounterName;
use tokio::time::Instant;

use super::FLOOR;

/// Refusals of one counter that leave one behind another; further ones leave with the last of them. More than lock an account, unless
/// many may: what comes behind those is not looked at.
const MOST: u32 = 8;
/// Counters remembered at once. Each is over within seconds, and guesses come no faster than hashes are made: far fewer are in use.
const COUNTERS: usize = 4096;

/// When the last refusal of each counter leaves.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<CounterName, Instant>>);

impl Pace {
    /// When a guess that came at `opened` is refused, if it is.
    pub(super) fn leave(&self, counter: CounterName, opened: Instant) -> Instant {
        let mut leaving = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leaving.len() >= COUNTERS {
            leaving.retain(|_, last| *last > opened);
        }
        let before = leaving.get(&counter).copied().filter(|last| *last > opened);
        let latest = opened + FLOOR * MOST;
        let own = (before.unwrap_or(opened) + FLOOR).min(latest);
        if leaving.len() < COUNTERS || before.is_some() {
            leaving.insert(counter, own);
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LONGEST: Duration = FLOOR.saturating_mul(MOST);

    #[test]
    fn refusals_of_one_counter_leave_one_behind_another_and_those_of_others_do_not_wait() {
        let (pace, opened) = (Pace::default(), Instant::now());
        let after = |counter: u8, begun: Instant| pace.leave([counter; 32], begun) - begun;
        assert_eq!([1, 1, 1].map(|counter| after(counter, opened)), [FLOOR, FLOOR * 2, FLOOR * 3]);
        assert_eq!(after(2, opened), FLOOR);
        let later = opened + FLOOR * 2;
        assert_eq!(after(1, later), FLOOR * 2, "behind the one that is still to leave");
        let much_later = opened + FLOOR * 9;
        assert_eq!(after(1, much_later), FLOOR);
    }

    #[test]
    fn no_refusal_waits_for_more_than_a_few() {
        let (pace, opened) = (Pace::default(), Instant::now());
        let waits: Vec<Duration> = (0..100).map(|_| pace.leave([1; 32], opened) - opened).collect();
        assert_eq!(waits.iter().max(), Some(&LONGEST));
    }

    #[test]
    fn memory_is_bounded() {
        let (pace, opened) = (Pace::default(), Instant::now());
        for n in 0..u32::try_from(COUNTERS + 10).unwrap() {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&n.to_be_bytes());
            assert_eq!(pace.leave(name, opened) - opened, FLOOR);
        }
        assert_eq!(pace.0.lock().unwrap().len(), COUNTERS);
        pace.leave([9; 32], opened + LONGEST);
        assert_eq!(pace.0.lock().unwrap().len(), 1, "what is over is forgotten");
    }
}
