//! Events that wait until others are told of them: rows of `outbox`, written with the commit of what they tell, or not at all.
//!
//! While nobody takes them out, the oldest make room.

use crate::appended::{Appended, Bound};
use crate::{Dialect, Sql, Tx};

/// How many events may wait.
const MAX_WAITING: i64 = 100_000;
/// After so many more the oldest go: most writes pay nothing for that.
const TRIM: u64 = 1_000;

/// One event.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) topic: &'static str,
    /// JSON object.
    pub(crate) payload: String,
    pub(crate) created: String,
}

impl Appended for Waiting {
    /// The topic.
    const COMMON: &'static [usize] = &[0];

    fn begin(sql: &mut Sql) {
        sql.push("INSERT INTO outbox (topic, payload, created) VALUES ");
    }

    fn values(&self) -> impl Iterator<Item = Bound<'_>> {
        [Bound::Program(self.topic), self.payload.as_str().into(), self.created.as_str().into()].into_iter()
    }

    fn is_alike(&self, other: &Self) -> bool {
        self.topic == other.topic
    }
}

impl Tx<'_> {
    /// Has an event written with the commit of this transaction.
    pub(crate) fn tell(&mut self, event: Waiting) {
        self.effects_mut().events.push(event);
    }
}

/// What makes room, where it is due: this process had written `before` events, and writes so many `more` now.
pub(crate) fn trim(dialect: Dialect, before: u64, more: usize) -> Option<Sql> {
    let after = before.wrapping_add(more as u64);
    (before / TRIM != after / TRIM).then(|| {
        let text = "DELETE FROM outbox WHERE id <= (SELECT max(id) FROM outbox) - ?";
        Sql::with(dialect, text, [MAX_WAITING])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_once_in_a_thousand_events_however_they_are_grouped() {
        for group in [1_usize, 7, 999, 1_000] {
            let trims = (0..20_000_u64).step_by(group).filter(|at| trim(Dialect::Sqlite, *at, group).is_some()).count();
            assert_eq!(trims, 20, "groups of {group}");
        }
        assert!(trim(Dialect::Sqlite, 5, 5_000).is_some());
        assert!(trim(Dialect::Sqlite, 0, 0).is_none());
    }
}
