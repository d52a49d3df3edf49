//! Which texts are too weak to be a key.

/// Why a text is refused as a key. The text itself is in none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// Nothing there.
    #[error("the key is empty: make one with `openssl rand -hex 32`")]
    Empty,
    /// A comma would make two keys of one in a list.
    #[error("the key contains a comma, which separates keys in a list: make one with `openssl rand -hex 32`")]
    Comma,
    /// A copying fault.
    #[error("the key begins or ends with white space: remove it")]
    OuterWhiteSpace,
    /// Under 32 bytes.
    #[error("the key is shorter than 32 bytes: make one with `openssl rand -hex 32`")]
    TooShort,
    /// Under 10 distinct characters.
    #[error("the key has fewer than 10 distinct characters: make one with `openssl rand -hex 32`")]
    TooUniform,
    /// From documentation or an example file.
    #[error("the key is a known placeholder: make one with `openssl rand -hex 32`")]
    Placeholder,
}

/// Fewest bytes of a strong key (256 bits if every bit were random).
const MIN_BYTES: usize = 32;

/// Fewest distinct characters of a strong key. 64 random hex digits have fewer once in far more
/// than a million keys.
const MIN_DISTINCT: usize = 10;

/// Words of examples, compared with the key's letters and digits in lower case. None is likely in a
/// random key.
const PLACEHOLDERS: [&str; 8] = [
    "changeme",
    "changethis",
    "changeinproduction",
    "replaceme",
    "replacethis",
    "yournewsecretkey",
    "yoursecretkey",
    "secretkeyhere",
];

pub(super) fn check_format(text: &str) -> Result<(), WeakKey> {
    if text.is_empty() {
        Err(WeakKey::Empty)
    } else if text.trim() != text {
        Err(WeakKey::OuterWhiteSpace)
    } else if text.contains(',') {
        Err(WeakKey::Comma)
    } else {
        Ok(())
    }
}

pub(super) fn check_strength(text: &str) -> Result<(), WeakKey> {
    check_format(text)?;
    // First, so that the message for `changeme` is the one that helps.
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if PLACEHOLDERS.iter().any(|placeholder| letters.contains(placeholder)) {
        return Err(WeakKey::Placeholder);
    }
    if text.len() < MIN_BYTES {
        return Err(WeakKey::TooShort);
    }
    let distinct: std::collections::BTreeSet<char> = text.chars().collect();
    if distinct.len() < MIN_DISTINCT { Err(WeakKey::TooUniform) } else { Ok(()) }
}
