//! The private keys that open files of age, as `age-keygen` writes them.

use std::fmt;

use bech32::Bech32;
use bech32::primitives::decode::CheckedHrpstring;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::Fault;
use super::header::{FileKey, Recipient, derive};

/// How many identities there may be: each costs a multiplication on the curve for every recipient of a file.
pub const MAX_IDENTITIES: usize = 20;

const LABEL: &[u8] = b"age-encryption.org/v1/X25519";

/// Private keys that files of age may be encrypted to.
pub struct Identities(Vec<(StaticSecret, PublicKey)>);

/// Why a text gives no identities. Nothing of the text is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentities {
    /// There is none.
    #[error("holds no identity: write into it what `age-keygen` prints")]
    None,
    /// There are more than [`MAX_IDENTITIES`].
    #[error("holds more than {MAX_IDENTITIES} identities: keep those that are in use")]
    TooMany,
    /// A line is none.
    #[error("line {0} is no identity (`AGE-SECRET-KEY-1…`) and no comment (`#`): write what `age-keygen` prints")]
    Malformed(usize),
    /// One of a plugin.
    #[error("line {0} is an identity of a plugin, and plugins are not run here: make one with `age-keygen`")]
    Plugin(usize),
    /// One of another kind than X25519.
    #[error("line {0} is an identity of another kind than X25519, which is not read: make one with `age-keygen`")]
    Kind(usize),
    /// A key of SSH.
    #[error("line {0} begins a key of SSH, which is not read: make an identity with `age-keygen`")]
    Ssh(usize),
    /// It is itself encrypted.
    #[error(
        "is itself encrypted, and nobody types a passphrase here: keep it in plain text, readable by its owner only"
    )]
    Encrypted,
}

impl Identities {
    /// Reads a text of one identity a line, with blank lines and comments.
    ///
    /// # Errors
    /// The first line that is something else.
    pub fn parse(text: &str) -> Result<Self, BadIdentities> {
        if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE") {
            return Err(BadIdentities::Encrypted);
        }
        let mut all = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let secret = identity(line).ok_or_else(|| misfit(line, number))?;
            let public = PublicKey::from(&secret);
            all.push((secret, public));
            if all.len() > MAX_IDENTITIES {
                return Err(BadIdentities::TooMany);
            }
        }
        if all.is_empty() { Err(BadIdentities::None) } else { Ok(Self(all)) }
    }

    /// The file key out of the first recipient that an identity opens.
    pub(super) fn unwrap(&self, recipients: &[Recipient]) -> Result<Option<FileKey>, Fault> {
        for recipient in recipients {
            for (secret, public) in &self.0 {
                if let Some(file_key) = open(recipient, secret, public)? {
                    return Ok(Some(file_key));
                }
            }
        }
        Ok(None)
    }
}

fn open(recipient: &Recipient, secret: &StaticSecret, public: &PublicKey) -> Result<Option<FileKey>, Fault> {
    let shared = secret.diffie_hellman(&PublicKey::from(recipient.share));
    if !shared.was_contributory() {
        return Err(Fault::Header("holds an X25519 recipient that anybody could open"));
    }
    let mut salt = [0; 64];
    salt[..32].copy_from_slice(&recipient.share);
    salt[32..].copy_from_slice(public.as_bytes());
    let mut key = Zeroizing::new([0; 32]);
    derive(shared.as_bytes(), &salt, LABEL, &mut key);
    let (wrapped, tag) = recipient.body.split_at(16);
    let mut file_key = Zeroizing::new([0; 16]);
    file_key.copy_from_slice(wrapped);
    let tag = Tag::try_from(tag).expect("16 bytes of 32 are left");
    let cipher = ChaCha20Poly1305::new((&*key).into());
    // The key is of this one message, so the nonce may be zero.
    let opened = cipher.decrypt_inout_detached(&Nonce::default(), &[], file_key.as_mut_slice().into(), &tag);
    Ok(opened.is_ok().then_some(file_key))
}

/// The private key in a line; `None`: there is none in it.
fn identity(line: &str) -> Option<StaticSecret> {
    // In capitals alone, which bech32 then asks of the rest.
    if !line.starts_with("AGE-SECRET-KEY-1") {
        return None;
    }
    let checked = CheckedHrpstring::new::<Bech32>(line).ok()?;
    checked.validate_segwit_padding().ok()?;
    let mut bytes = checked.byte_iter();
    let mut key = Zeroizing::new([0; 32]);
    for place in key.iter_mut() {
        *place = bytes.next()?;
    }
    let is_whole = bytes.next().is_none() && checked.hrp().as_bytes().eq_ignore_ascii_case(b"AGE-SECRET-KEY-");
    is_whole.then(|| StaticSecret::from(*key))
}

/// What a line is that is no identity of ours.
fn misfit(line: &str, number: usize) -> BadIdentities {
    if line.starts_with("AGE-PLUGIN-") {
        BadIdentities::Plugin(number)
    } else if line.starts_with("AGE-SECRET-KEY-") && !line.starts_with("AGE-SECRET-KEY-1") {
        BadIdentities::Kind(number)
    } else if line.starts_with("-----BEGIN") {
        BadIdentities::Ssh(number)
    } else {
        BadIdentities::Malformed(number)
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [secret]", self.0.len())
    }
}
