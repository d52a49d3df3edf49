//! What an address is good for, by the registries of IANA. `IpAddr::is_global` is not stable; the tables are written down here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The internet.
    Public,
    /// A network of the operator: private or loopback.
    Inside(&'static str),
    /// Nobody's: link-local, multicast, reserved.
    Special(&'static str),
    /// A service that gives whoever asks the credentials of the machine.
    Credentials,
}

/// Metadata services: of the big clouds, of Azure's host (which looks public), of containers and pods on AWS, of Oracle and Alibaba.
const CREDENTIALS_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// The same over IPv6: of instances and of pods on AWS.
const CREDENTIALS_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)];

/// Network, bits, what it is, whether it is the operator's own.
type Range<A> = (A, u32, &'static str, bool);

const fn v4(a: u8, b: u8, c: u8, bits: u32, what: &'static str, inside: bool) -> Range<Ipv4Addr> {
    (Ipv4Addr::new(a, b, c, 0), bits, what, inside)
}

const fn v6(a: u16, b: u16, c: u16, bits: u32, what: &'static str, inside: bool) -> Range<Ipv6Addr> {
    (Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits, what, inside)
}

/// IANA IPv4 special-purpose address registry, and multicast.
const V4: [Range<Ipv4Addr>; 16] = [
    v4(0, 0, 0, 8, "an address of this network", false),
    v4(10, 0, 0, 8, "a private address", true),
    v4(100, 64, 0, 10, "an address shared by a carrier", true),
    v4(127, 0, 0, 8, "a loopback address", true),
    v4(169, 254, 0, 16, "a link-local address", false),
    v4(172, 16, 0, 12, "a private address", true),
    v4(192, 0, 0, 24, "a reserved address", false),
    v4(192, 0, 2, 24, "an address of documentation", false),
    v4(192, 31, 196, 24, "a reserved address", false),
    v4(192, 52, 193, 24, "a reserved address", false),
    v4(192, 88, 99, 24, "a reserved address", false),
    v4(192, 168, 0, 16, "a private address", true),
    v4(198, 18, 0, 15, "an address of benchmarks", false),
    v4(198, 51, 100, 24, "an address of documentation", false),
    v4(203, 0, 113, 24, "an address of documentation", false),
    v4(224, 0, 0, 3, "a multicast or reserved address", false),
];

/// What is not public inside of `2000::/3`, and what outside of it is the operator's; all else outside is reserved.
const V6: [Range<Ipv6Addr>; 8] = [
    v6(0xfc00, 0, 0, 7, "a private address", true),
    v6(0xfe80, 0, 0, 10, "a link-local address", false),
    v6(0xff00, 0, 0, 8, "a multicast address", false),
    // Teredo among them.
    v6(0x2001, 0, 0, 23, "a reserved address", false),
    v6(0x2001, 0xdb8, 0, 32, "an address of documentation", false),
    v6(0x2620, 0x4f, 0x8000, 48, "a reserved address", false),
    v6(0x3fff, 0, 0, 20, "an address of documentation", false),
    v6(0x5f00, 0, 0, 16, "a reserved address", false),
];

/// What an address leads to. One that carries an IPv4 address in it (mapped, NAT64, 6to4) leads where that leads, and nowhere where that
/// is not public.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if CREDENTIALS_V4.contains(&address) {
        return Reach::Credentials;
    }
    let found = V4.iter().find(|(network, bits, ..)| (address.to_bits() ^ network.to_bits()) >> (32 - bits) == 0);
    found.map_or(Reach::Public, |(_, _, what, inside)| named(what, *inside))
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if CREDENTIALS_V6.contains(&address) {
        return Reach::Credentials;
    }
    if let Some(mapped) = address.to_ipv4_mapped() {
        return reach_v4(mapped);
    }
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Inside("a loopback address");
    }
    if let Some(carried) = carried(address) {
        return match reach_v4(carried) {
            Reach::Inside(what) => Reach::Special(what),
            other => other,
        };
    }
    let found = V6.iter().find(|(network, bits, ..)| (address.to_bits() ^ network.to_bits()) >> (128 - bits) == 0);
    match found {
        Some((_, _, what, inside)) => named(what, *inside),
        None if address.segments()[0] >> 13 == 1 => Reach::Public,
        None => Reach::Special("a reserved address"),
    }
}

fn named(what: &'static str, inside: bool) -> Reach {
    if inside { Reach::Inside(what) } else { Reach::Special(what) }
}

/// The IPv4 address that a gateway on the way takes out of this one: RFC 6052 (`64:ff9b::/96`), RFC 3056 (`2002::/16`).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = |first: usize| Ipv4Addr::new(octets[first], octets[first + 1], octets[first + 2], octets[first + 3]);
    if octets.starts_with(&[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) {
        Some(at(12))
    } else if octets.starts_with(&[0x20, 0x02]) {
        Some(at(2))
    } else {
        None
    }
}
