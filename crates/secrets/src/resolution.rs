//! What a reference led to: the version in force, and the ones beside it while a rotation is under way.

use crate::Secret;

/// One version of a secret.
#[derive(Debug, Clone)]
pub struct Version {
    /// The secret.
    pub value: Secret<String>,
    /// What its manager calls this version; empty where there are none.
    pub label: String,
    /// When it was written, unix seconds, where that is known.
    pub created: Option<i64>,
}

/// What a reference led to.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The version in force.
    pub current: Version,
    /// The one that it took the place of.
    pub previous: Option<Version>,
    /// The one that is to take its place.
    pub next: Option<Version>,
}

impl Version {
    /// Whether both are the same secret. Both sides come from the operator: time tells nobody anything.
    pub fn is_same_secret(&self, other: &Self) -> bool {
        self.value.expose() == other.value.expose()
    }
}

impl Resolution {
    /// A secret with one version.
    pub const fn only(current: Version) -> Self {
        Self { current, previous: None, next: None }
    }
}
