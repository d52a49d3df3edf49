//! Why another value could not be put in the place of a secret, told so that an operator can put it right.

use crate::unresolved::Why;

/// What keeps a manager from taking a new version. No variant carries any part of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// The version in force is not the one that was to be replaced.
    #[error("was changed by somebody else at the same moment: theirs counts, and nothing of ours was put in force")]
    Conflict,
    /// Our identity may read it, and only read it.
    #[error("may be read by our identity, and not written: to rotate it from here, grant {0}")]
    Denied(String),
    /// The reference names one version for good.
    #[error("names one version for good: take what follows `@` away, so that a new one is followed")]
    Pinned,
    /// The manager could not be asked, or did not do it.
    #[error("{0}")]
    Failed(#[from] Why),
}
