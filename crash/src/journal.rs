//! What was asked of the server and what it answered: all that a harness may hold against it afterwards.
//!
//! An answer below 300 is a promise. An answer of 4xx, or a 503 that says so, means that nothing was done. Whatever else happens to a request (a
//! connection that breaks, another 5xx) leaves both outcomes open.

use std::collections::HashMap;

/// A record as it stands, or should: its number, or gone.
pub type State = Option<i64>;

/// What is known of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As answered last.
    pub answered: State,
    /// As asked since then, without an answer.
    pub open: Vec<State>,
}

impl Entry {
    /// Whether a state may be seen.
    pub fn allows(&self, seen: State) -> bool {
        self.answered == seen || self.open.contains(&seen)
    }
}

/// All that one harness run has asked.
#[derive(Debug, Default)]
pub struct Journal {
    /// Records by id.
    pub records: HashMap<String, Entry>,
    /// Those touched since the last look at all of them.
    pub touched: Vec<String>,
    /// Groups of records made by one request: whether it was answered.
    pub groups: HashMap<String, bool>,
    /// Increments of the one counter: answered, and sent without an answer.
    pub increments: u64,
    pub open_increments: u64,
    /// Answers below 300, and requests that had none.
    pub answered: u64,
    pub broken: u64,
    /// Answers of 503.
    pub refused: u64,
    /// Answers nobody should give: the status and the body.
    pub surprises: Vec<String>,
}

impl Journal {
    /// Forgets what is gone with the collection; the sums stay.
    pub fn start_over(&mut self) {
        self.records.clear();
        self.touched.clear();
        (self.increments, self.open_increments) = (0, 0);
    }

    /// Adds what another writer has noted.
    pub fn absorb(&mut self, other: Self) {
        self.records.extend(other.records);
        self.touched.extend(other.touched);
        self.groups.extend(other.groups);
        self.increments += other.increments;
        self.open_increments += other.open_increments;
        self.answered += other.answered;
        self.broken += other.broken;
        self.refused += other.refused;
        self.surprises.extend(other.surprises);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_or_is_open_may_be_seen() {
        let entry = Entry { answered: Some(1), open: vec![Some(2), None] };
        assert!(entry.allows(Some(1)) && entry.allows(Some(2)) && entry.allows(None));
        assert!(!entry.allows(Some(3)));
    }
}
