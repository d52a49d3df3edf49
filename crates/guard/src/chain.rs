//! A log that shows when somebody has touched it: each row is signed when it is written, and each is linked to the one before.
//!
//! The signature of a row does not depend on its neighbours, so that rows can be written at once by many; linking is done afterwards, by
//! one. Who has no key can neither write a row, nor change one, nor take one out of the middle, nor bring them into another order. What
//! is taken from the end shows against a checkpoint kept elsewhere.
//!
//! Nothing here knows what a row says or where it is kept.

use std::fmt;

use fastcms_secrets::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a signature, and of the hash of a link.
pub const LENGTH: usize = 32;

/// A signature, or the hash of a link.
pub type Hash = [u8; LENGTH];

/// Bytes signed of a usual row, with the lengths of its parts.
const USUAL: usize = 768;

/// What the first link goes on from.
pub const START: Hash = [0; LENGTH];

/// The key of a chain, prepared.
#[derive(Clone)]
pub struct ChainKey(Hmac<Sha256>);

/// What is signed: two kinds never have the same signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A row.
    Row,
    /// A link of the chain.
    Link,
    /// The end of a segment.
    Closing,
    /// Leave to take a segment's rows away.
    Pruning,
    /// A checkpoint.
    Checkpoint,
}

impl ChainKey {
    /// The chain of this key.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(Hmac::new_from_slice(key.expose()).expect("HMAC takes a key of any length"))
    }

    /// Signs a list of parts. Each is preceded by its length, and absence is no empty part: no two lists are written the same.
    pub fn sign<'p>(&self, kind: Kind, parts: impl IntoIterator<Item = Option<&'p [u8]>>) -> Hash {
        // Put together first: few parts are as long as a block of the hash.
        let mut text = Vec::with_capacity(USUAL);
        text.push(kind as u8);
        for part in parts {
            match part {
                None => text.extend_from_slice(&[0xff; 8]),
                Some(part) => {
                    text.extend_from_slice(&(part.len() as u64).to_be_bytes());
                    text.extend_from_slice(part);
                }
            }
        }
        self.0.clone().chain_update(text).finalize().into_bytes().into()
    }

    /// The hash of the link of this number: over the hash before it, and the place and signature of its row.
    pub fn link(&self, before: &Hash, number: i64, place: i64, signature: &[u8]) -> Hash {
        let parts: [&[u8]; 4] = [before, &number.to_be_bytes(), &place.to_be_bytes(), signature];
        self.sign(Kind::Link, parts.map(Some))
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lists_of_parts_have_one_signature() {
        let key = ChainKey::new(&Secret::new([7; 32]));
        let lists: [&[Option<&[u8]>]; 7] = [
            &[],
            &[None],
            &[Some(b"")],
            &[Some(b"ab")],
            &[Some(b"a"), Some(b"b")],
            &[Some(b"ab"), None],
            &[Some(b"ab"), Some(b"")],
        ];
        let mut seen: Vec<Hash> = lists.iter().map(|list| key.sign(Kind::Row, list.iter().copied())).collect();
        seen.push(key.sign(Kind::Link, [Some(b"ab".as_slice())]));
        seen.push(ChainKey::new(&Secret::new([8; 32])).sign(Kind::Row, [Some(b"ab".as_slice())]));
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn a_link_depends_on_all_that_came_before() {
        let key = ChainKey::new(&Secret::new([7; 32]));
        let one = key.link(&START, 1, 10, b"row");
        for other in [
            key.link(&one, 1, 10, b"row"),
            key.link(&START, 2, 10, b"row"),
            key.link(&START, 1, 11, b"row"),
            key.link(&START, 1, 10, b"wor"),
        ] {
            assert_ne!(one, other);
        }
    }
}
