//! How many connections one address holds.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// Connections of one address (contract 16).
const MAX_PER_ADDRESS: u32 = 1_000;

/// Connections by address.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// One connection of an address, given back when dropped.
pub(super) struct Seat {
    seats: Seats,
    address: Option<IpAddr>,
}

impl Seats {
    /// Counts one more connection from `peer`; `None` when it has all it may have. An uncounted peer is a trusted proxy.
    pub(super) fn take(&self, peer: IpAddr, counted: bool) -> Option<Seat> {
        let address = counted.then(|| subscriber(peer));
        if let Some(address) = address {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let held = held.entry(address).or_default();
            if *held == MAX_PER_ADDRESS {
                return None;
            }
            *held += 1;
        }
        Some(Seat { seats: self.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut held = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&address);
            }
        }
    }
}

/// One subscriber holds a whole /64 of IPv6.
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_thousand_and_gets_back_what_it_leaves() {
        let seats = Seats::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut taken: Vec<_> = (0..1000).map(|_| seats.take(at("2001:db8::1"), true).unwrap()).collect();
        assert!(seats.take(at("2001:db8::2"), true).is_none(), "the same /64");
        assert!(seats.take(at("2001:db8:0:1::1"), true).is_some());
        assert!(seats.take(at("2001:db8::1"), false).is_some(), "a trusted proxy is not counted");
        taken.pop();
        assert!(seats.take(at("2001:db8::2"), true).is_some());
        drop(taken);
        assert!(seats.0.lock().unwrap().is_empty(), "no address is remembered without a connection");
    }
}
