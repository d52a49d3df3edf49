//! Keys of a vault's transit engine: they wrap what we hold, and never leave the vault. What is asked of the vault is `vault`'s matter.

use std::fmt;

use crate::unresolved::Why;

/// Longest name of a key, its mount included, in bytes.
const MAX_NAME: usize = 256;

/// A key of a transit engine, written `mount/key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransitKey {
    mount: String,
    name: String,
}

/// What such a key made of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitWrapped {
    /// As the vault wants it back: `vault:v<version>:<base64>`.
    pub ciphertext: String,
    /// The version of the key that wrapped it.
    pub version: u32,
}

/// A key that did not do what it was asked for, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {why}")]
pub struct TransitFault {
    /// The key.
    pub key: TransitKey,
    /// What is wrong.
    pub why: TransitWhy,
}

/// What keeps a key from wrapping, or from unwrapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitWhy {
    /// There is no such key, or no such engine.
    #[error("is not there ({0}): make it in the vault, or correct its name")]
    Missing(&'static str),
    /// The vault knows us, or does not, and refuses.
    #[error("is denied ({0}): let our policy update `encrypt` and `decrypt` of this key, and nothing else")]
    Denied(String),
    /// The version that wrapped something is to be used no longer.
    #[error(
        "opens nothing any more that its version {0} wrapped: lower its min_decryption_version to {0}, have everything wrapped anew by \
         a start of the server or `fastcms keys rewrap`, and raise it again"
    )]
    TooOld(u32),
    /// Changed, moved, or wrapped by a key that only has the same name.
    #[error("did not wrap this for this place: it was changed or moved, or another key has that name now")]
    Refused,
    /// The key, or what is mounted there, cannot do it.
    #[error("cannot be used: {0}")]
    Unusable(String),
    /// The vault could not be asked.
    #[error("{0}")]
    Away(Why),
}

impl TransitKey {
    /// Reads `mount/key`; the mount may have several parts.
    ///
    /// # Errors
    /// What is wrong with the text, to go on after its name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "is not `mount/key`, such as `transit/fastcms`";
        let is_part = |part: &str| {
            let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            part.bytes().all(|byte| is_good(byte) || byte == b'-' || byte == b'.')
                && part.bytes().next().is_some_and(is_good)
                && part.bytes().last().is_some_and(is_good)
        };
        let (mount, name) = text.rsplit_once('/').ok_or(FORM)?;
        if text.len() > MAX_NAME || !text.split('/').all(is_part) {
            return Err(FORM);
        }
        Ok(Self { mount: mount.to_owned(), name: name.to_owned() })
    }

    /// The path of one of its operations.
    pub(crate) fn path(&self, operation: &str) -> String {
        format!("{}/{operation}/{}", self.mount, self.name)
    }

    /// The same about this key.
    pub(crate) fn fault(&self, why: TransitWhy) -> TransitFault {
        TransitFault { key: self.clone(), why }
    }
}

impl TransitWrapped {
    /// What the vault wrapped before; `None` for anything else.
    pub fn parse(ciphertext: &str) -> Option<Self> {
        let (version, sealed) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        let is_whole = !sealed.is_empty() && sealed.bytes().all(is_base64);
        let version = version.parse().ok().filter(|_| is_whole)?;
        Some(Self { ciphertext: ciphertext.to_owned(), version })
    }
}

impl TransitWhy {
    /// Whether waiting may help.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Away(why) if why.is_passing())
    }

    /// Whether neither waiting nor a policy brings back what was wrapped: the key, or the way to it, is gone.
    pub const fn is_lost(&self) -> bool {
        match self {
            Self::Missing(_) | Self::TooOld(_) | Self::Refused | Self::Unusable(_) => true,
            Self::Away(why) => matches!(why, Why::NotConfigured(_)),
            Self::Denied(_) => false,
        }
    }

    /// Whether this is the same turn of events.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Away(one), Self::Away(other)) => one.is_like(other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for TransitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mount, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_mount_and_itself() {
        for good in ["transit/fastcms", "teams/cms/transit/data-key.1", "t/k"] {
            assert_eq!(TransitKey::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(TransitKey::parse("teams/t/k").unwrap().path("encrypt"), "teams/t/encrypt/k");
        let long = format!("transit/{}", "k".repeat(MAX_NAME));
        for bad in
            ["", "fastcms", "/fastcms", "transit/", "a//b", "a/../b", "a/b?c", "vault:a/b", "a/b c", "a/-b", &long]
        {
            assert!(TransitKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_vault_wrapped_says_by_which_version() {
        assert_eq!(TransitWrapped::parse("vault:v12:AAb+/c==").unwrap().version, 12);
        for bad in ["", "vault:v1:", "vault:vx:AA", "vault:1:AA", "vault:v1:a b", "vault:v1:a.b", "vault:v1:a:b"] {
            assert_eq!(TransitWrapped::parse(bad), None, "{bad}");
        }
    }
}
