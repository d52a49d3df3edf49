//! The hardening of an HTTP service: keys and tokens, passwords, client addresses, response
//! headers, CORS, cookies.
//!
//! Nothing here knows collections, SQL or a web framework: every module takes plain values and
//! returns plain values, so any service can use it as it is. What must outlive the process (when a
//! key was first seen as previous, which sessions live) is given by the caller.
//!
//! | Module | Concern |
//! |---|---|
//! | [`clock`], [`ids`] | time and randomness, replaceable in tests |
//! | [`keys`] | one secret becomes one key per purpose; a ring of them makes rotation possible |
//! | [`token`] | signed tokens whose purpose is part of their type |
//! | [`opaque`], [`api_key`] | random tokens of which only a digest is kept |
//! | [`sealed`] | values sealed for storage, and the wrapping of the keys that seal them |
//! | [`chain`] | a log that shows when somebody has touched it |
//! | [`password`] | which passwords are taken, and how they are stored |
//! | [`attempts`] | how guesses at credentials are named and slowed down |
//! | [`address`] | whose request it is, behind proxies or not |
//! | [`limits`], [`ip_rules`] | how often somebody may call, and which addresses may at all |
//! | [`headers`], [`cors`] | what every answer carries, and which other origins may read it |
//! | [`webhook`], [`egress`] | how a request that we send is signed, and where it may go |
//! | [`cookie`], [`csrf`] | how cookies are written and read, and when one may speak for a request |

pub mod address;
pub mod api_key;
pub mod attempts;
pub mod chain;
pub mod clock;
pub mod cookie;
pub mod cors;
pub mod csrf;
pub mod egress;
pub mod headers;
pub mod ids;
pub mod ip_rules;
pub mod keys;
pub mod limits;
pub mod opaque;
pub mod password;
pub mod sealed;
pub mod token;
pub mod totp;
pub mod webhook;

use subtle::ConstantTimeEq;

/// Whether two byte strings are equal, in time that depends on their lengths alone.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
