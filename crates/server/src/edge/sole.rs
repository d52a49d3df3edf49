//! Whether everybody seems to be one: when every request of a minute came from one private address and no proxy is declared, there
//! is probably one, and limits, lockouts and IP rules take all its clients for a single one.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

/// Requests of a minute below which nothing follows from where they came from.
const ENOUGH: u32 = 20;
const FORWARDING: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-real-ip"),
];

/// What was seen of the minute under way. Approximate where a minute turns: it is about a hint.
pub(super) struct Sole {
    born: Instant,
    minute: AtomicU64,
    address: AtomicU64,
    several: AtomicBool,
    count: AtomicU32,
    /// Some request said that it had been forwarded.
    forwarded: AtomicBool,
}

/// What a minute that is over says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Minute {
    /// Nothing remarkable.
    Ordinary,
    /// Every request came from the private address of the last one. `forwarded`: and some said that they had been forwarded.
    OneSender { forwarded: bool },
}

impl Default for Sole {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            minute: AtomicU64::new(0),
            address: AtomicU64::new(0),
            several: AtomicBool::new(false),
            count: AtomicU32::new(0),
            forwarded: AtomicBool::new(false),
        }
    }
}

impl Sole {
    /// Takes note of a request; answers what the minute before says, once it is over.
    pub(super) fn note(&self, client: IpAddr, headers: &HeaderMap, started: Instant) -> Option<Minute> {
        let minute = started.saturating_duration_since(self.born).as_secs() / 60;
        let current = self.minute.load(Ordering::Relaxed);
        let turned = current != minute
            && self.minute.compare_exchange(current, minute, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if turned {
            return Some(self.turn(client, minute == current + 1));
        }
        if self.several.load(Ordering::Relaxed) {
            return None;
        }
        let number = number(client);
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.address.store(number, Ordering::Relaxed);
        } else if self.address.load(Ordering::Relaxed) != number {
            self.several.store(true, Ordering::Relaxed);
        }
        if headers.keys().any(|name| FORWARDING.contains(name)) {
            self.forwarded.store(true, Ordering::Relaxed);
        }
        None
    }

    fn turn(&self, client: IpAddr, is_next: bool) -> Minute {
        let number = number(client);
        let count = self.count.swap(1, Ordering::Relaxed);
        let was_one = !self.several.swap(false, Ordering::Relaxed);
        let same = self.address.swap(number, Ordering::Relaxed) == number;
        let forwarded = self.forwarded.swap(false, Ordering::Relaxed);
        if is_next && was_one && same && count >= ENOUGH && is_private(client) {
            Minute::OneSender { forwarded }
        } else {
            Minute::Ordinary
        }
    }
}

/// What an address is told apart by. Two of IPv6 may share a number: whoever wants to hide so hides nothing but a hint.
fn number(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
            half(bits >> 64).rotate_left(23) ^ half(bits) ^ u64::MAX
        }
    }
}

/// Whether an address is of no network that clients come from over the internet.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn minute(sole: &Sole, number: u64, senders: &[(&str, usize)], headers: &HeaderMap) -> Option<Minute> {
        let mut said = None;
        let at = sole.born + Duration::from_secs(number * 60 + 1);
        for (sender, count) in senders {
            for _ in 0..*count {
                said = said.or(sole.note(sender.parse().unwrap(), headers, at));
            }
        }
        said
    }

    #[test]
    fn one_private_sender_for_a_minute_is_remarkable_and_others_are_not() {
        let (plain, one) = (HeaderMap::new(), Minute::OneSender { forwarded: false });
        for (senders, said) in [
            (&[("10.0.0.5", 30)][..], one),
            (&[("172.17.0.1", 30)], one),
            (&[("127.0.0.1", 30)], one),
            (&[("fd00::1", 30)], one),
            (&[("100.64.0.1", 30)], one),
            (&[("203.0.113.7", 30)], Minute::Ordinary),
            (&[("10.0.0.5", 19)], Minute::Ordinary),
            (&[("10.0.0.6", 1), ("10.0.0.5", 30)], Minute::Ordinary),
            (&[("10.0.0.5", 30), ("10.0.0.6", 1), ("10.0.0.5", 30)], Minute::Ordinary),
        ] {
            let sole = Sole::default();
            minute(&sole, 0, senders, &plain);
            let last = senders.last().unwrap().0;
            assert_eq!(minute(&sole, 1, &[(last, 1)], &plain), Some(said), "{senders:?}");
        }
    }

    #[test]
    fn a_forwarding_header_that_nobody_may_send_is_said_too() {
        let mut forwarded = HeaderMap::new();
        forwarded.insert("x-forwarded-for", "203.0.113.7".parse().unwrap());
        let sole = Sole::default();
        minute(&sole, 0, &[("10.0.0.5", 30)], &forwarded);
        let said = minute(&sole, 1, &[("10.0.0.5", 1)], &HeaderMap::new());
        assert_eq!(said, Some(Minute::OneSender { forwarded: true }));
    }
}
