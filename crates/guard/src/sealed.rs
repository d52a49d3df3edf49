//! Values sealed for storage: XChaCha20-Poly1305 under a random data key, and data keys wrapped by the ring.
//!
//! What is sealed is bound to where it lies (table, row, column) by its associated data: moved elsewhere it does not open. Random nonces
//! of 192 bits need no counter, so any number of nodes may seal under one key. A wrapped key names the ring key that opens it; there is
//! no trying of others. Where sealed values are kept, and who may open them, is for the caller to know.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use fastcms_secrets::Secret;

use crate::ids::{self, Rng};
use crate::keys::{Kid, Purpose, RingKey};

/// Bytes of a nonce.
const NONCE: usize = 24;
/// How a sealed value in a text begins.
const SEALED: &str = "s1";
/// How a wrapped key begins.
const VERSION: &str = "w1";
/// What a wrapped key is bound to, before its name.
const WRAP_CONTEXT: &[u8] = b"fastcms/v1/data-key\0";

/// Why a sealed value did not open. Says nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not what sealing makes.
    #[error("not a sealed value")]
    Malformed,
    /// The key that it names is in no ring.
    #[error("sealed under a key that is not configured")]
    UnknownKey,
    /// Changed, moved, or sealed under another key.
    #[error("the sealed value was changed, moved, or sealed under another key")]
    Refused,
}

/// A random 256-bit key of the product's own. It is never derived from anything, so that no rotation changes what it protects.
#[derive(Clone)]
pub struct DataKey(Secret<[u8; 32]>);

impl DataKey {
    /// A new one.
    pub fn generate(rng: &(impl Rng + ?Sized)) -> Self {
        Self(Secret::new(ids::bytes(rng)))
    }

    /// The one that somebody kept for us; `None` where its length is another.
    pub fn kept(bytes: &Secret<Vec<u8>>) -> Option<Self> {
        bytes.expose().as_slice().try_into().ok().map(|bytes| Self(Secret::new(bytes)))
    }

    /// The key itself, for other uses than sealing.
    pub fn bytes(&self) -> &Secret<[u8; 32]> {
        &self.0
    }

    /// Seals a value, bound to `place`: the nonce, then the ciphertext with its tag.
    pub fn seal(&self, rng: &(impl Rng + ?Sized), place: &[u8], value: &[u8]) -> Vec<u8> {
        seal(&self.0, rng, place, value)
    }

    /// Opens what [`DataKey::seal`] made for the same `place`.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        open(&self.0, place, sealed)
    }

    /// The key, sealed by the wrapping key of `by`, bound to its own name: `w1.<kid>.<base64url>`.
    pub fn wrap(&self, rng: &(impl Rng + ?Sized), by: &RingKey, name: &str) -> String {
        let sealed = seal(by.sub_key(Purpose::Wrap), rng, &place(by.kid(), name), self.0.expose());
        format!("{VERSION}.{}.{}", by.kid(), URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what [`DataKey::wrap`] made under the same name, with the key that it names.
    pub fn unwrap<'k>(
        wrapped: &str,
        find: impl FnOnce(&Kid) -> Option<&'k RingKey>,
        name: &str,
    ) -> Result<Self, OpenError> {
        let (kid, sealed) = parts(wrapped)?;
        let by = find(&kid).ok_or(OpenError::UnknownKey)?;
        let bytes = open(by.sub_key(Purpose::Wrap), &place(kid, name), &sealed)?;
        Self::kept(&bytes).ok_or(OpenError::Malformed)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// A sealed value as a text: `s1.<number of its data key>.<base64url>`.
pub fn written(key_id: i64, sealed: &[u8]) -> String {
    format!("{SEALED}.{key_id}.{}", URL_SAFE_NO_PAD.encode(sealed))
}

/// Reads what [`written`] wrote: the number of the data key, and what it sealed.
///
/// # Errors
/// [`OpenError::Malformed`] for anything else.
pub fn read(text: &str) -> Result<(i64, Vec<u8>), OpenError> {
    let mut parts = text.split('.');
    let (Some(SEALED), Some(id), Some(sealed), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(OpenError::Malformed);
    };
    let id = id.parse().map_err(|_| OpenError::Malformed)?;
    Ok((id, URL_SAFE_NO_PAD.decode(sealed).map_err(|_| OpenError::Malformed)?))
}

/// How every text begins that [`written`] wrote for this data key.
pub fn prefix(key_id: i64) -> String {
    format!("{SEALED}.{key_id}.")
}

/// Which ring key a wrapped key asks for; `None` if it is none.
pub fn wrapped_by(wrapped: &str) -> Option<Kid> {
    parts(wrapped).ok().map(|(kid, _)| kid)
}

fn parts(wrapped: &str) -> Result<(Kid, Vec<u8>), OpenError> {
    let mut parts = wrapped.split('.');
    let (Some(VERSION), Some(kid), Some(sealed), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(OpenError::Malformed);
    };
    let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| OpenError::Malformed)?;
    Ok((Kid::parse(kid).ok_or(OpenError::Malformed)?, sealed))
}

fn place(kid: Kid, name: &str) -> Vec<u8> {
    [WRAP_CONTEXT, kid.as_str().as_bytes(), b"\0", name.as_bytes()].concat()
}

fn seal(key: &Secret<[u8; 32]>, rng: &(impl Rng + ?Sized), place: &[u8], value: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = ids::bytes(rng);
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), Payload { msg: value, aad: place });
    let sealed = sealed.expect("a value in memory is far below the cipher's limit of 256 GiB");
    [nonce.as_slice(), &sealed].concat()
}

fn open(key: &Secret<[u8; 32]>, place: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(OpenError::Malformed)?;
    let opened = cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: place });
    opened.map(Secret::new).map_err(|_| OpenError::Refused)
}

fn cipher(key: &Secret<[u8; 32]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TestRng;
    use crate::keys::{KeyRing, SecretKey};

    fn ring(text: &str) -> KeyRing {
        KeyRing::single(&SecretKey::parse(Secret::new(text.repeat(8))).unwrap())
    }

    #[test]
    fn a_sealed_value_opens_where_it_was_sealed_and_nowhere_else() {
        let rng = TestRng::new(1);
        let key = DataKey::generate(&rng);
        let sealed = key.seal(&rng, b"users|1|secret", b"hunter2");
        assert_eq!(key.open(b"users|1|secret", &sealed).unwrap().expose(), b"hunter2");
        assert_eq!(key.open(b"users|2|secret", &sealed).unwrap_err(), OpenError::Refused);
        assert_eq!(DataKey::generate(&rng).open(b"users|1|secret", &sealed).unwrap_err(), OpenError::Refused);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(b"users|1|secret", &changed).unwrap_err(), OpenError::Refused, "byte {at}");
        }
        assert_eq!(key.open(b"", &sealed[..10]).unwrap_err(), OpenError::Malformed);
    }

    #[test]
    fn a_sealed_value_is_written_and_read() {
        let text = written(42, &[0, 1, 255]);
        assert!(text.starts_with(&prefix(42)) && !text.starts_with(&prefix(4)), "{text}");
        assert_eq!(read(&text), Ok((42, vec![0, 1, 255])));
        for broken in ["", "s1", "s1.42", "s2.42.AAH_", "s1.x.AAH_", "s1.42.!", "s1.42.AAH_.x"] {
            assert_eq!(read(broken), Err(OpenError::Malformed), "{broken}");
        }
    }

    #[test]
    fn two_seals_of_one_value_differ() {
        let rng = TestRng::new(1);
        let key = DataKey::generate(&rng);
        assert_ne!(key.seal(&rng, b"", b"x"), key.seal(&rng, b"", b"x"));
    }

    #[test]
    fn a_wrapped_key_names_the_key_that_opens_it() {
        let (rng, one, other) = (TestRng::new(1), ring("abcdefgh"), ring("ijklmnop"));
        let key = DataKey::generate(&rng);
        let wrapped = key.wrap(&rng, one.current(), "audit/1");
        assert_eq!(wrapped_by(&wrapped), Some(one.current().kid()));
        let opened = DataKey::unwrap(&wrapped, |kid| one.get(kid), "audit/1").unwrap();
        assert_eq!(opened.bytes().expose(), key.bytes().expose());
        let unknown = DataKey::unwrap(&wrapped, |kid| other.get(kid), "audit/1");
        assert_eq!(unknown.unwrap_err(), OpenError::UnknownKey);
        let renamed = DataKey::unwrap(&wrapped, |kid| one.get(kid), "limiter/1");
        assert_eq!(renamed.unwrap_err(), OpenError::Refused);
        let forged = wrapped.replace(one.current().kid().as_str(), other.current().kid().as_str());
        assert_eq!(DataKey::unwrap(&forged, |kid| other.get(kid), "audit/1").unwrap_err(), OpenError::Refused);
        for broken in ["", "w1", "w1.x.y", "w2.aaaaaaaaaaa.AAAA", "w1.aaaaaaaaaaa.!"] {
            assert_eq!(DataKey::unwrap(broken, |kid| one.get(kid), "").unwrap_err(), OpenError::Malformed, "{broken}");
        }
    }
}
