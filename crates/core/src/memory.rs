//! What was read from the store and may be answered from memory: until a change says otherwise, and for [`RECHECK_MILLIS`] at most, in
//! case another process changed it and its message was lost.

use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use quick_cache::sync::Cache;

/// How old something may be before it is read anew, in milliseconds (contract 2.4: 5 s as bound).
pub(crate) const RECHECK_MILLIS: i64 = 4_000;

/// A bounded memory; past its capacity the least used is forgotten, which costs a read and nothing else.
#[derive(Debug)]
pub(crate) struct Memory<K, V> {
    known: Cache<K, V>,
    /// Counts what was forgotten. A read that began before something was forgotten may not be remembered: it could bring back the
    /// state from before the change.
    forgotten: Mutex<u64>,
}

/// The moment at which a read began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl<K: Hash + Eq, V: Clone> Memory<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { known: Cache::new(capacity), forgotten: Mutex::new(0) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.known.get(key)
    }

    /// To be asked before a read whose result is to be remembered.
    pub(crate) fn moment(&self) -> Moment {
        Moment(*self.forgotten.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what was read, unless something was forgotten since that read began.
    pub(crate) fn remember(&self, key: K, value: V, began: Moment) {
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        if *forgotten == began.0 {
            self.known.insert(key, value);
        }
    }

    /// Forgets what a change is about.
    pub(crate) fn forget(&self, is_about: impl Fn(&V) -> bool) {
        *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.known.retain(|_, value| !is_about(value));
    }

    /// Forgets one thing that is not so any more.
    pub(crate) fn drop_one(&self, key: &K) {
        self.known.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let memory = Memory::new(10);
        let before = memory.moment();
        memory.forget(|value: &&str| *value == "anything");
        memory.remember(1, "old", before);
        assert_eq!(memory.get(&1), None);
        memory.remember(1, "new", memory.moment());
        assert_eq!(memory.get(&1), Some("new"));
        memory.forget(|value| *value == "other");
        assert_eq!(memory.get(&1), Some("new"));
        memory.forget(|value| *value == "new");
        assert_eq!(memory.get(&1), None);
    }
}
