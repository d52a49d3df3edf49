//! Why a reference leads to no secret, told so that an operator can put it right. No variant carries any part of a secret.

use crate::{Error, Reference};

/// A reference that leads to no secret, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{reference}` {why}")]
pub struct Unresolved {
    /// Where the secret should be.
    pub reference: Reference,
    /// What is wrong.
    pub why: Why,
}

/// What keeps a reference from its secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing is there.
    #[error("is not there ({0}): write the secret, or correct the reference")]
    NotFound(String),
    /// What is there is not the text of a secret.
    #[error("cannot be used: {0}")]
    Unusable(String),
    /// The manager knows us, or does not, and refuses.
    #[error("is denied ({0}): let our identity read this secret, and only read it")]
    Denied(String),
    /// The manager holds its secrets sealed.
    #[error("is sealed: unseal the vault")]
    Sealed,
    /// Nobody answered, or nobody who could.
    #[error("cannot be reached ({0}): check the manager, its address and the network")]
    Unreachable(String),
    /// Nobody answered for as long as we wait: whoever asks again at once waits as long.
    #[error("cannot be reached ({0}): check the manager, its address and the network")]
    Silent(String),
    /// Somebody answered who is not the manager, or asks for what is not his.
    #[error("is not asked for: {0}")]
    Untrusted(String),
    /// Settings that it takes to ask the manager are missing.
    #[error("cannot be asked for: {0}")]
    NotConfigured(String),
}

impl Why {
    /// Whether waiting may help.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Sealed | Self::Unreachable(_) | Self::Silent(_))
    }

    /// Whether this is the same turn of events: in how many ways a manager is away tells nobody anything.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_away = |why: &Self| matches!(why, Self::Unreachable(_) | Self::Silent(_));
        std::mem::discriminant(self) == std::mem::discriminant(other) || (is_away(self) && is_away(other))
    }

    /// The same about this reference.
    pub fn of(self, reference: &Reference) -> Unresolved {
        Unresolved { reference: reference.clone(), why: self }
    }
}

impl From<Error> for Why {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(_) => Self::NotFound("no such file".to_owned()),
            Error::PermissionDenied(_) => Self::Denied("the file may not be read by this process".to_owned()),
            Error::IsFolder(_) => Self::Unusable("it is a folder, name the file inside it".to_owned()),
            Error::Empty(_) => Self::Unusable("the file is empty, write the secret into it".to_owned()),
            Error::TooLarge(_) => {
                Self::Unusable("the file is larger than 64 KiB, it must hold one secret and nothing else".to_owned())
            }
            Error::NotText(_) => {
                Self::Unusable("the file is not UTF-8 text, write the secret in hex or base64".to_owned())
            }
            Error::Unreadable { source, .. } => Self::Unusable(format!("the file cannot be read: {source}")),
        }
    }
}
