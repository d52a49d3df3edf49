//! Names that users give to collections and fields, checked once so that they can be written into SQL.
//!
//! A [`Name`] is the only run-time text that [`crate::Sql`] accepts as an identifier. Whether a name is taken or reserved is
//! not known here.

use std::fmt;
use std::str::FromStr;

/// The longest name, in characters (all of them ASCII).
pub const MAX_NAME_CHARS: usize = 100;

/// An identifier of the form `^[a-zA-Z][a-zA-Z0-9_]*$`, 1 to [`MAX_NAME_CHARS`] characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Box<str>);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No character at all.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`MAX_NAME_CHARS`] characters.
    #[error("a name must have at most {MAX_NAME_CHARS} characters")]
    TooLong,
    /// Something else than a letter in front, or than letters, digits and underscores after it.
    #[error("a name must start with a letter and hold only letters, digits and underscores")]
    Malformed,
}

impl Name {
    /// Checks a name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let bytes = name.as_bytes();
        let first = bytes.first().ok_or(NameError::Empty)?;
        if !first.is_ascii_alphabetic() || !bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            return Err(NameError::Malformed);
        }
        if bytes.len() > MAX_NAME_CHARS {
            return Err(NameError::TooLong);
        }
        Ok(Self(name.into_boxed_str()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two names are the same without regard to case, as SQL sees them.
    pub fn matches(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.into_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ascii_identifiers_up_to_the_limit_are_names() {
        for good in ["a", "A_1", "select", &"x".repeat(100)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("1a", NameError::Malformed),
            ("_a", NameError::Malformed),
            ("a-b", NameError::Malformed),
            ("a\"b", NameError::Malformed),
            ("a\0", NameError::Malformed),
            ("é", NameError::Malformed),
            ("a\n", NameError::Malformed),
            (&"x".repeat(101), NameError::TooLong),
        ] {
            assert_eq!(Name::new(bad), Err(why), "{bad:?}");
        }
    }
}
