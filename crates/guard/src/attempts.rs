//! Guesses at credentials: what a counter of them is called, and what a source of many failures has to put up with.
//!
//! Counters are kept by whoever uses this, under names that only the holder of a random key can compute: a name shows nothing of the
//! account, or of what somebody typed in the place of one. Where nobody has the name that was typed, the guess counts in one of
//! [`PLACES`] places: a stranger can lock them as he can lock accounts, and cannot fill a table.

mod sources;

pub use sources::{MAX_SOURCES, Network, SPRAY_ACCOUNTS, SPRAY_MILLIS, Sources};

use fastcms_secrets::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Counters kept for names that nobody has.
pub const PLACES: u32 = 1 << 18;

/// What is guessed at.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// An account, whichever of its names was typed.
    Account { realm: &'a str, id: &'a str },
    /// An account as a browser reaches it that signed in there before: what strangers do does not count here.
    KnownDevice { realm: &'a str, id: &'a str, device: &'a [u8; 32] },
    /// A name that nobody has, in the form by which names are compared.
    Nobody { realm: &'a str, name: &'a str },
}

/// The key of counters' names. The same on every node and after every restart: a data key, not one that is rotated.
#[derive(Debug)]
pub struct CounterKey(Secret<[u8; 32]>);

impl CounterKey {
    pub fn new(bytes: Secret<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The name of a target's counter.
    pub fn name(&self, target: Target<'_>) -> [u8; 32] {
        match target {
            Target::Account { realm, id } => self.mac(&[b"account", realm.as_bytes(), id.as_bytes()]),
            Target::KnownDevice { realm, id, device } => {
                self.mac(&[b"device", realm.as_bytes(), id.as_bytes(), device])
            }
            Target::Nobody { realm, name } => {
                let spread = self.mac(&[b"name", realm.as_bytes(), name.as_bytes()]);
                let place = u32::from_be_bytes([spread[0], spread[1], spread[2], spread[3]]) % PLACES;
                self.mac(&[b"place", &place.to_be_bytes()])
            }
        }
    }

    /// HMAC-SHA-256 of a short text, for a purpose: how codes too short to be stored by a plain digest are stored.
    pub fn digest(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        let mut all: Vec<&[u8]> = vec![b"digest", purpose.as_bytes()];
        all.extend(parts.iter().map(|part| part.as_bytes()));
        self.mac(&all)
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(byte: u8) -> CounterKey {
        CounterKey::new(Secret::new([byte; 32]))
    }

    #[test]
    fn each_target_has_a_counter_of_its_own() {
        let device = [1; 32];
        let targets = [
            Target::Account { realm: "users", id: "a" },
            Target::Account { realm: "users", id: "b" },
            Target::Account { realm: "other", id: "a" },
            Target::Account { realm: "usersa", id: "" },
            Target::KnownDevice { realm: "users", id: "a", device: &device },
            Target::KnownDevice { realm: "users", id: "a", device: &[2; 32] },
            Target::KnownDevice { realm: "users", id: "b", device: &device },
            Target::Nobody { realm: "users", name: "a" },
            Target::Nobody { realm: "other", name: "a" },
        ];
        let names: HashSet<[u8; 32]> = targets.iter().map(|target| key(1).name(*target)).collect();
        assert_eq!(names.len(), targets.len());
        let others: HashSet<[u8; 32]> = targets.iter().map(|target| key(2).name(*target)).collect();
        assert!(names.is_disjoint(&others), "a name depends on the key");
    }

    #[test]
    fn names_that_nobody_has_share_a_bounded_number_of_counters() {
        let key = key(1);
        let name = |n: u32| key.name(Target::Nobody { realm: "users", name: &n.to_string() });
        let few: HashSet<[u8; 32]> = (0..1_000).map(name).collect();
        assert!(few.len() > 950, "{}", few.len());
        let many: HashSet<[u8; 32]> = (0..600_000).map(name).collect();
        assert!(many.len() <= PLACES as usize, "{}", many.len());
    }
}
