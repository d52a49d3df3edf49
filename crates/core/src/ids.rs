//! Ids of rows: `UUIDv7` (RFC 9562 section 5.7), which sort by the time they were made. What they are the ids of is not known here.
//!
//! Randomness is asked for in portions, since a call to the operating system costs more than all the rest of an id. No secret is made of
//! what is left of one.

use std::sync::{Arc, Mutex, PoisonError};

use fastcms_guard::ids::Rng;
use uuid::fmt::Hyphenated;

/// Random bytes of one id.
const RANDOM: usize = 10;
/// Ids that a portion is enough for.
const PORTION: usize = 50;

/// Makes ids.
pub struct Ids {
    rng: Arc<dyn Rng>,
    /// What is left of a portion: bytes that no id was made of yet.
    left: Mutex<Vec<[u8; RANDOM]>>,
}

impl Ids {
    /// Makes ids of this randomness.
    pub fn new(rng: Arc<dyn Rng>) -> Self {
        Self { rng, left: Mutex::default() }
    }

    /// A fresh id, made at this time: milliseconds since the Unix epoch.
    pub fn fresh(&self, unix_millis: i64) -> Hyphenated {
        let random = self.random();
        let millis = u64::try_from(unix_millis).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().hyphenated()
    }

    fn random(&self) -> [u8; RANDOM] {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.pop().unwrap_or_else(|| {
            let mut portion = [[0; RANDOM]; PORTION];
            self.rng.fill(portion.as_flattened_mut());
            let [first, rest @ ..] = portion;
            left.extend(rest);
            first
        })
    }
}

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ids").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use fastcms_guard::ids::{SystemRng, TestRng};

    use super::*;

    const NOW: i64 = 1_769_851_800_000;

    #[test]
    fn no_two_ids_are_the_same_though_threads_make_them_at_one_time() {
        let ids = Ids::new(Arc::new(SystemRng));
        let made: HashSet<String> = std::thread::scope(|threads| {
            let makers: Vec<_> = (0..4)
                .map(|_| threads.spawn(|| (0..1_000).map(|_| ids.fresh(NOW).to_string()).collect::<Vec<_>>()))
                .collect();
            makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect()
        });
        assert_eq!(made.len(), 4_000);
    }

    /// Counts how often it is asked.
    #[derive(Default)]
    struct Asked(AtomicUsize);

    impl Rng for Asked {
        fn fill(&self, buffer: &mut [u8]) {
            self.0.fetch_add(1, Ordering::Relaxed);
            SystemRng.fill(buffer);
        }
    }

    #[test]
    fn randomness_is_asked_for_once_a_portion() {
        let rng = Arc::new(Asked::default());
        let ids = Ids::new(Arc::clone(&rng) as Arc<dyn Rng>);
        let made: HashSet<String> = (0..=PORTION).map(|_| ids.fresh(NOW).to_string()).collect();
        assert_eq!((made.len(), rng.0.load(Ordering::Relaxed)), (PORTION + 1, 2));
    }

    #[test]
    fn an_id_says_its_version_and_when_it_was_made() {
        let ids = Ids::new(Arc::new(TestRng::new(7)));
        for after in 0..3 {
            let id = *ids.fresh(NOW + after).as_uuid();
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
            assert_eq!(seconds * 1_000 + u64::from(nanos) / 1_000_000, (NOW + after).unsigned_abs());
        }
    }
}
