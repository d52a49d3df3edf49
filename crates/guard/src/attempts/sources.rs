//! Where failures come from. A source that fails again and again waits longer for each refusal; one that tries many accounts is
//! spraying passwords, and says so. No account is locked by what a source does, and nobody who signs in waits.
//!
//! Kept in the memory of this node: [`MAX_SOURCES`] networks, forgotten by age. A source is an IPv4 /24 or an IPv6 /64.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Networks remembered at once.
pub const MAX_SOURCES: usize = 16_384;

/// So many accounts failed from one source within [`SPRAY_MILLIS`] are more than people behind one address mistype.
pub const SPRAY_ACCOUNTS: usize = 10;

/// How long an account counts for its source: an hour, milliseconds.
pub const SPRAY_MILLIS: i64 = 3_600_000;

/// Failures that wait for nothing.
const FREE: u32 = 3;
/// What the first failure past them waits; each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// No refusal waits longer.
const LONGEST_WAIT: Duration = Duration::from_millis(400);
/// After so many milliseconds one failure is forgotten.
const FORGET_ONE_MILLIS: i64 = 20_000;
/// Failures past this are not counted: they would only take longer to be forgotten.
const MAX_LEVEL: u32 = 30;

/// A network that failures are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The /24 of an IPv4 address, the /64 of an IPv6 one.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self(IpAddr::V4(Ipv4Addr::new(a, b, c, 0)))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
        }
    }
}

/// What is remembered of one network.
#[derive(Debug, Default)]
struct Source {
    level: u32,
    /// Unix milliseconds up to which forgetting is accounted for.
    settled_at: i64,
    last_at: i64,
    /// Accounts that failed, by the head of their counter's name, and when last.
    accounts: Vec<(u64, i64)>,
}

impl Source {
    fn settle(&mut self, now: i64) {
        let forgotten = (now - self.settled_at).max(0) / FORGET_ONE_MILLIS;
        self.level = self.level.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        self.settled_at += forgotten * FORGET_ONE_MILLIS;
        self.accounts.retain(|(_, at)| now - at < SPRAY_MILLIS);
    }

    fn note_account(&mut self, account: u64, now: i64) {
        let is_full = self.accounts.len() >= SPRAY_ACCOUNTS;
        if let Some((_, at)) = self.accounts.iter_mut().find(|(known, _)| *known == account) {
            *at = now;
        } else if !is_full {
            self.accounts.push((account, now));
        } else if let Some(oldest) = self.accounts.iter_mut().min_by_key(|(_, at)| *at) {
            // Enough are known; a source that goes on stays known.
            *oldest = (account, now);
        }
    }

    fn is_over(&self, now: i64) -> bool {
        now - self.last_at >= SPRAY_MILLIS
    }

    fn is_spraying(&self) -> bool {
        self.accounts.len() >= SPRAY_ACCOUNTS
    }
}

/// All sources that failed lately.
#[derive(Debug, Default)]
pub struct Sources(Mutex<HashMap<Network, Source>>);

impl Sources {
    /// Notes a failure at the account whose counter has this name. How much longer than others this refusal waits, and whether the
    /// source has just turned out to be spraying.
    pub fn note_failure(&self, network: Network, counter: &[u8; 32], now: i64) -> (Duration, bool) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MAX_SOURCES && !sources.contains_key(&network) {
            make_room(&mut sources, now);
        }
        let source = sources.entry(network).or_insert_with(|| Source { settled_at: now, ..Source::default() });
        source.settle(now);
        source.last_at = now;
        source.level = (source.level + 1).min(MAX_LEVEL);
        let was_spraying = source.is_spraying();
        let head = u64::from_be_bytes(counter[..8].try_into().expect("a name has 32 bytes"));
        source.note_account(head, now);
        (wait(source.level), source.is_spraying() && !was_spraying)
    }

    /// Whether many accounts failed from this source within the last hour.
    pub fn is_spraying(&self, network: Network, now: i64) -> bool {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get_mut(&network).is_some_and(|source| {
            source.settle(now);
            source.is_spraying()
        })
    }
}

fn wait(level: u32) -> Duration {
    match level.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(past) => FIRST_WAIT.saturating_mul(1 << past.min(8)).min(LONGEST_WAIT),
    }
}

/// Forgets what is over, and where nothing is, whoever was quiet longest.
fn make_room(sources: &mut HashMap<Network, Source>, now: i64) {
    sources.retain(|_, source| !source.is_over(now));
    if sources.len() >= MAX_SOURCES
        && let Some(quietest) = sources.iter().min_by_key(|(_, source)| source.last_at).map(|(network, _)| *network)
    {
        sources.remove(&quietest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    fn counter(n: u64) -> [u8; 32] {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&n.to_be_bytes());
        name
    }

    #[test]
    fn a_source_is_a_24_or_a_64() {
        assert_eq!(network("192.0.2.1"), network("192.0.2.254"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.9"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }

    #[test]
    fn each_failure_waits_longer_up_to_a_bound_and_time_heals() {
        let sources = Sources::default();
        let from = network("192.0.2.1");
        let fail = |now| u64::try_from(sources.note_failure(from, &counter(1), now).0.as_millis()).unwrap();
        let waits: Vec<u64> = (0..9).map(|_| fail(0)).collect();
        assert_eq!(waits, [0, 0, 0, 50, 100, 200, 400, 400, 400]);
        assert_eq!(sources.note_failure(network("198.51.100.1"), &counter(1), 0).0, Duration::ZERO);
        assert_eq!(fail(FORGET_ONE_MILLIS * 7), 0, "seven of nine are forgotten, this is the third");
        assert_eq!(fail(FORGET_ONE_MILLIS * 7), 50);
    }

    /// R44.
    #[test]
    fn one_account_is_no_spray_and_ten_are_for_an_hour() {
        let sources = Sources::default();
        let from = network("192.0.2.1");
        for _ in 0..100 {
            assert!(!sources.note_failure(from, &counter(1), 0).1);
        }
        assert!(!sources.is_spraying(from, 0));
        let told: Vec<u64> = (2..=30).filter(|n| sources.note_failure(from, &counter(*n), 0).1).collect();
        assert_eq!(told, [10], "it is told once");
        assert!(sources.is_spraying(from, SPRAY_MILLIS - 1));
        assert!(!sources.is_spraying(from, SPRAY_MILLIS));
    }

    #[test]
    fn memory_is_bounded_and_the_quietest_is_forgotten_first() {
        let sources = Sources::default();
        for n in 0..u32::try_from(MAX_SOURCES + 100).unwrap() {
            let from = Network::of(IpAddr::V4(Ipv4Addr::from_bits(n << 8)));
            sources.note_failure(from, &counter(1), i64::from(n));
        }
        let known = sources.0.lock().unwrap();
        assert_eq!(known.len(), MAX_SOURCES);
        assert!(!known.contains_key(&Network::of(IpAddr::V4(Ipv4Addr::from_bits(0)))));
    }
}
