//! Tokens that mean nothing by themselves: random text given out once, of which only a digest is
//! kept.
//!
//! For mail links, cookie sessions, device cookies and the like. A plain SHA-256 is enough to store
//! them by: 256 random bits cannot be searched, and no key has to outlive a rotation. What a token
//! is good for, and until when, is the business of whoever stores the digest.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastcms_secrets::Secret;
use sha2::{Digest as _, Sha256};

use crate::ids::{self, Rng};

/// 256 random bits as URL-safe text (43 characters). The text is a secret: it goes to its owner and
/// nowhere else.
#[derive(Clone, Debug)]
pub struct OpaqueToken(Secret<String>);

impl OpaqueToken {
    /// Makes a new token.
    pub fn generate(rng: &(impl Rng + ?Sized)) -> Self {
        let bits = Secret::new(ids::bytes::<32>(rng));
        Self(Secret::new(URL_SAFE_NO_PAD.encode(bits.expose())))
    }

    /// The text to hand out.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What to store.
    pub fn digest(&self) -> Digest {
        Digest::of(self.expose())
    }
}

/// SHA-256 of a credential, as stored. Comparison takes constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of the credential `text`, as presented.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// A digest read back from storage.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest as 64 lower-case hex digits, for storage in a text column.
    pub fn to_hex(&self) -> String {
        use fmt::Write;
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        text
    }

    /// Reads 64 hex digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        crate::equal(&self.0, &other.0)
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SystemRng, TestRng};

    #[test]
    fn a_token_is_43_url_safe_characters_and_never_the_same() {
        let token = OpaqueToken::generate(&SystemRng);
        assert_eq!(token.expose().len(), 43);
        assert!(token.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_ne!(token.expose(), OpaqueToken::generate(&SystemRng).expose());
        assert!(!format!("{token:?}{:?}", token.digest()).contains(token.expose()));
    }

    #[test]
    fn the_digest_is_sha_256_of_the_text() {
        // FIPS 180-2, appendix B.1.
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of("abc").to_hex(), hex);
        assert_eq!(Digest::from_hex(hex), Some(Digest::of("abc")));
    }

    #[test]
    fn only_the_same_token_has_the_digest() {
        let token = OpaqueToken::generate(&TestRng::new(1));
        assert_eq!(Digest::of(token.expose()), token.digest());
        assert_ne!(Digest::of(&token.expose().to_lowercase()), token.digest());
        assert_eq!(Digest::from_bytes(*token.digest().as_bytes()), token.digest());
    }

    #[test]
    fn hex_of_another_shape_is_no_digest() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"+a".repeat(32), &"é".repeat(32)] {
            assert!(Digest::from_hex(text).is_none(), "{text}");
        }
    }
}
