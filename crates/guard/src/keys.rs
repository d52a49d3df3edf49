//! One secret text becomes one key per purpose, and several such secrets form a ring that can be
//! rotated.
//!
//! A [`SecretKey`] is input keying material only (RFC 5869, HKDF-SHA256): it never signs anything
//! itself. PRK = Extract(salt `fastcms/v1`, the bytes of the text as given); a purpose's key =
//! Expand(PRK, label, 32); the key id = base64url of Expand(PRK, `fastcms/v1/kid`, 8), the same on
//! every node and telling nothing of the key.
//!
//! A [`KeyRing`] holds the current key (signs and verifies), previous ones (verify) and coming ones
//! (verify only, so that every node knows a key before the first of them signs with it). A token
//! names its key; there is no trying of others.
//!
//! Where the secret comes from, and since when a key is previous, is for the caller to know.

mod ring;
mod strength;
mod usage;

pub use ring::{KeyRing, PREVIOUS_KEY_CUT_OFF_SECONDS, PreviousKey, RingKey, Role, Standing};
pub use strength::WeakKey;
pub use usage::Usage;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastcms_secrets::Secret;
use hkdf::Hkdf;
use sha2::Sha256;

const SALT: &[u8] = b"fastcms/v1";
const KID_LABEL: &[u8] = b"fastcms/v1/kid";

/// What a derived key is for. Two purposes never share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Signs access tokens.
    Access,
    /// Signs refresh tokens.
    Refresh,
    /// Signs file tokens.
    File,
    /// Signs impersonation tokens.
    Impersonation,
    /// Encrypts the state of a running OAuth flow.
    OAuthState,
    /// Reserved for signed mail links.
    EmailAction,
    /// Wraps data keys.
    Wrap,
}

impl Purpose {
    /// Every purpose, in the order of their declaration.
    pub const ALL: [Self; 7] =
        [Self::Access, Self::Refresh, Self::File, Self::Impersonation, Self::OAuthState, Self::EmailAction, Self::Wrap];

    /// One word for this purpose, as it is written down and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::File => "file",
            Self::Impersonation => "impersonation",
            Self::OAuthState => "oauth_state",
            Self::EmailAction => "email_action",
            Self::Wrap => "wrap",
        }
    }

    /// The HKDF `info` of this purpose. Part of the contract: another byte here ends every token.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Access => "fastcms/v1/jwt-access",
            Self::Refresh => "fastcms/v1/jwt-refresh",
            Self::File => "fastcms/v1/jwt-file",
            Self::Impersonation => "fastcms/v1/jwt-impersonation",
            Self::OAuthState => "fastcms/v1/oauth-state",
            Self::EmailAction => "fastcms/v1/email-action",
            Self::Wrap => "fastcms/v1/wrap",
        }
    }
}

/// The id of a key: 11 characters of base64url. No secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; Self::LENGTH]);

impl Kid {
    /// Characters of a key id.
    pub const LENGTH: usize = 11;

    /// Reads a key id back from storage or a token; `None` unless it is 11 characters of base64url.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::LENGTH] = text.as_bytes().try_into().ok()?;
        let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
        bytes.iter().all(alphabet).then_some(Self(bytes))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a key id is ASCII by construction")
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kid({self})")
    }
}

/// Input keying material with its key id.
#[derive(Clone, Debug)]
pub struct SecretKey {
    text: Secret<String>,
    kid: Kid,
}

impl SecretKey {
    /// Takes a key of sound format: not empty, no comma, no white space at either end.
    ///
    /// A sound format is always needed (a comma would make two keys of one in a list, white space
    /// is a copying fault). Strength is another matter, asked by [`SecretKey::check_strength`]
    /// where the caller wants it.
    pub fn parse(text: Secret<String>) -> Result<Self, WeakKey> {
        Self::check_format(text.expose())?;
        let mut id = [0; 8];
        expand(&extract(text.expose()), KID_LABEL, &mut id);
        let mut kid = [0; Kid::LENGTH];
        let written = URL_SAFE_NO_PAD.encode_slice(id, &mut kid).expect("8 bytes are 11 characters of base64");
        debug_assert_eq!(written, Kid::LENGTH);
        Ok(Self { text, kid: Kid(kid) })
    }

    /// Reads a comma-separated list of keys; blanks around a comma and empty items are dropped.
    pub fn parse_list(text: &Secret<String>) -> Result<Vec<Self>, WeakKey> {
        let items = text.expose().split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| Self::parse(Secret::new(item.to_owned()))).collect()
    }

    /// Whether `text` can be a key at all.
    pub fn check_format(text: &str) -> Result<(), WeakKey> {
        strength::check_format(text)
    }

    /// Whether the key is one to protect something with: at least 32 bytes, at least 10 distinct
    /// characters, no known placeholder.
    pub fn check_strength(&self) -> Result<(), WeakKey> {
        strength::check_strength(self.text.expose())
    }

    /// The id of this key. Equal ids mean equal keys.
    pub const fn kid(&self) -> Kid {
        self.kid
    }

    /// The key for `purpose`.
    pub fn derive(&self, purpose: Purpose) -> Secret<[u8; 32]> {
        self.derive_all([purpose]).into_iter().next().expect("one purpose in, one key out")
    }

    fn derive_all<const N: usize>(&self, purposes: [Purpose; N]) -> [Secret<[u8; 32]>; N] {
        let prk = extract(self.text.expose());
        purposes.map(|purpose| {
            let mut key = [0; 32];
            expand(&prk, purpose.label().as_bytes(), &mut key);
            Secret::new(key)
        })
    }
}

fn extract(text: &str) -> Hkdf<Sha256> {
    Hkdf::<Sha256>::new(Some(SALT), text.as_bytes())
}

fn expand(prk: &Hkdf<Sha256>, label: &[u8], key: &mut [u8]) {
    prk.expand(label, key).expect("HKDF-SHA256 gives up to 8160 bytes");
}

#[cfg(test)]
mod tests;
