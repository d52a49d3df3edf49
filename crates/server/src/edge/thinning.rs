//! Lines about a fault that every request meets: a full disk is not to be filled by saying so.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// At most one line in so long.
const EVERY: Duration = Duration::from_secs(1);

/// Which lines of a kind are written.
#[derive(Debug, Default)]
pub(crate) struct Thinning(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    written: Option<Instant>,
    left_out: u64,
}

impl Thinning {
    /// Whether a line may be written now, and then how many were left out before it.
    pub(crate) fn turn(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.written.is_some_and(|written| now.duration_since(written) < EVERY) {
            state.left_out += 1;
            return None;
        }
        state.written = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_many_failures_one_a_second_is_told_and_the_others_are_counted() {
        let thinning = Thinning::default();
        let mut told = Vec::new();
        for _ in 0..25 {
            told.extend(thinning.turn());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(told, [0, 9, 9]);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(thinning.turn(), Some(4));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(thinning.turn(), Some(0));
    }
}
