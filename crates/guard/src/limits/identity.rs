//! Who is counted, and for what.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Budget;

/// What a request is counted as. Each class has windows of its own: other traffic does not eat them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Whatever is none of the others.
    General,
    /// Attempts to sign in.
    Login,
    /// New accounts.
    Register,
    /// Mails with a way in: password reset, one-time codes.
    Reset,
    /// New tokens for old ones.
    Refresh,
    /// Files coming in.
    Upload,
    /// Much going out at once: exports, downloads of backups.
    Export,
}

impl Class {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Login => "login",
            Self::Register => "register",
            Self::Reset => "reset",
            Self::Refresh => "refresh",
            Self::Upload => "upload",
            Self::Export => "export",
        }
    }

    /// The stricter budget of a class that has one of its own, per address and per account.
    pub const fn own_budget(self) -> Option<Budget> {
        match self {
            Self::General => None,
            Self::Login => Some(Budget::new(10, 50)),
            Self::Register => Some(Budget::new(5, 20)),
            Self::Reset => Some(Budget::new(3, 10)),
            Self::Refresh | Self::Upload => Some(Budget::new(30, 300)),
            Self::Export => Some(Budget::new(5, 60)),
        }
    }
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// An IPv4 address.
    V4(u32),
    /// The /24 around one.
    V4Network(u32),
    /// The /64 of an IPv6 address: one subscriber has them all.
    V6(u64),
    /// The /48 around one: one site may have them all.
    V6Site(u64),
    /// A verified account, by the number in its id.
    Account(u128),
    /// A verified API key, by the number in its id.
    ApiKey(u128),
    /// An account that somebody named without proof, by a digest of the name.
    Named(u128),
    /// Everybody who came when all places were taken by others who are being held back.
    Everybody(u8),
}

impl Identity {
    /// An address by itself (IPv4) or by its subscriber (IPv6). IPv4-mapped addresses are IPv4.
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6(high(v6)),
        }
    }

    /// What holds many subscribers at once: the /48 of an IPv6 address.
    pub fn site_of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(Self::V6Site(high(v6) >> 16)),
        }
    }

    /// The network that counts as one source of attempts: the /24 of IPv4, the /64 of IPv6.
    pub fn source_of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4Network(v4.to_bits() >> 8),
            IpAddr::V6(v6) => Self::V6(high(v6)),
        }
    }

    /// What it is, in a byte, and its number: for whoever stores it.
    pub fn parts(self) -> (u8, u128) {
        match self {
            Self::V4(bits) => (1, bits.into()),
            Self::V4Network(bits) => (2, bits.into()),
            Self::V6(bits) => (3, bits.into()),
            Self::V6Site(bits) => (4, bits.into()),
            Self::Account(number) => (5, number),
            Self::ApiKey(number) => (6, number),
            Self::Named(number) => (7, number),
            Self::Everybody(number) => (8, number.into()),
        }
    }
}

/// The first 64 bits of an address.
fn high(address: Ipv6Addr) -> u64 {
    u64::try_from(address.to_bits() >> 64).expect("what is left of 128 bits without 64 of them fits into 64")
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v6 = |bits: u64, left: u32| Ipv6Addr::from_bits(u128::from(bits) << left);
        match self {
            Self::V4(bits) => Ipv4Addr::from_bits(*bits).fmt(f),
            Self::V4Network(bits) => write!(f, "{}/24", Ipv4Addr::from_bits(bits << 8)),
            Self::V6(bits) => write!(f, "{}/64", v6(*bits, 64)),
            Self::V6Site(bits) => write!(f, "{}/48", v6(*bits, 80)),
            Self::Account(number) => write!(f, "user:{}", Hyphenated(*number)),
            Self::ApiKey(number) => write!(f, "api_key:{}", Hyphenated(*number)),
            Self::Named(number) => write!(f, "account:{number:032x}"),
            Self::Everybody(_) => f.write_str("everybody else"),
        }
    }
}

/// A number as a UUID is written.
struct Hyphenated(u128);

impl fmt::Display for Hyphenated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
    }
}

/// Whose windows, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub class: Class,
    pub identity: Identity,
}

impl Key {
    /// The bytes that the windows of this key are stored under: the same on every node.
    pub fn to_bytes(self) -> [u8; 18] {
        let (kind, number) = self.identity.parts();
        let mut bytes = [0; 18];
        bytes[0] = self.class as u8;
        bytes[1] = kind;
        bytes[2..].copy_from_slice(&number.to_be_bytes());
        bytes
    }
}
