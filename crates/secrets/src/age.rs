//! Files of age, version 1 (C2SP `age.md`): read, never written. Binary or armored, encrypted to X25519 recipients.
//!
//! The order is that of the specification: the header is read whole and refused where it is not exactly as it must be, a recipient
//! is opened with one of the [`Identities`], the header's HMAC is compared in constant time, and only then is anything of the content
//! decrypted. Content is handed out whole or not at all: what was cut off or changed anywhere gives nothing.
//!
//! Passphrases and plugins need a person or a program; SSH keys belong to somebody who logs in. None of them is read.

mod armor;
mod header;
mod identities;
mod payload;
#[cfg(test)]
mod tests;

use std::path::Path;

use zeroize::{Zeroize as _, Zeroizing};

pub use identities::{BadIdentities, Identities, MAX_IDENTITIES};

use crate::file::read_bytes;
use crate::unresolved::Why;
use crate::{Error, Secret};
use header::Header;

/// The largest file of age read, in bytes (1 MiB): as much as a `.env` may have.
pub const MAX_AGE_BYTES: usize = 1024 * 1024;

/// Why a file of age gives no text. No variant carries anything of what is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It does not begin like one.
    #[error("it is no file of age: encrypt the secrets with `age -r RECIPIENT`")]
    NotAge,
    /// It says that it is of another version.
    #[error("it is a file of age of a version that is not read: encrypt it in the format of `age-encryption.org/v1`")]
    Version,
    /// The text around it is not as it must be.
    #[error("its armor is damaged: copy it whole, or encrypt it anew")]
    Armor,
    /// The header is not as it must be.
    #[error("its header {0}: encrypt it anew")]
    Header(&'static str),
    /// It wants a passphrase.
    #[error(
        "it is encrypted with a passphrase, and nobody types one here: encrypt it to a recipient, `age -r RECIPIENT`"
    )]
    Passphrase,
    /// It was encrypted to others.
    #[error("none of the identities in SECRETS_AGE_IDENTITY is among its recipients")]
    NoMatch,
    /// The header is not the one that was written.
    #[error("its header was changed after it was encrypted: encrypt it anew, and find out who changed it")]
    Mac,
    /// The content is not the one that was written, or not all of it.
    #[error("its content was changed or cut off after it was encrypted: encrypt it anew")]
    Payload,
    /// The file is larger than [`MAX_AGE_BYTES`].
    #[error("it is larger than 1 MiB: keep secrets in it, and nothing else")]
    TooLarge,
    /// What is inside is not UTF-8.
    #[error("what it holds is not UTF-8 text: write secrets in hex or base64")]
    NotText,
}

impl From<Fault> for Why {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoMatch => Self::Denied(fault.to_string()),
            _ => Self::Unusable(fault.to_string()),
        }
    }
}

/// Decrypts the content of a file of age.
///
/// # Errors
/// Each [`Fault`] says what to do.
pub(crate) fn decrypt(file: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if file.len() > MAX_AGE_BYTES {
        return Err(Fault::TooLarge);
    }
    let armored = armor::decode(file)?;
    let file = armored.as_deref().unwrap_or(file);
    let header = Header::parse(file)?;
    let file_key = identities.unwrap(&header.recipients)?.ok_or(Fault::NoMatch)?;
    header.verify(&file_key)?;
    payload::open(&file_key, header.payload)
}

/// The text in the file of age at `path`.
///
/// # Errors
/// Why there is none.
pub fn read_text(path: &Path, identities: &Identities) -> Result<Secret<String>, Why> {
    let file = read_bytes(path, MAX_AGE_BYTES).map_err(|error| match error {
        Error::TooLarge(_) => Fault::TooLarge.into(),
        other => Why::from(other),
    })?;
    let mut content = decrypt(&file, identities)?;
    match String::from_utf8(std::mem::take(&mut *content)) {
        Ok(text) => Ok(Secret::new(text)),
        Err(fault) => {
            fault.into_bytes().zeroize();
            Err(Fault::NotText.into())
        }
    }
}
