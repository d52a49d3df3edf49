//! API keys: `fcms_` + 8 hex + `_` + 32 hex. The head names a key in public, the tail is its secret.
//!
//! The fixed head lets secret scanners find a key that was committed or posted by mistake. The tail holds 128 random bits, so a plain
//! SHA-256 of the text is enough to keep it by: nothing to search, and nothing that a rotation of other keys could end.

use std::fmt;

use fastcms_secrets::Secret;

use crate::ids::{self, Rng};
use crate::opaque::Digest;

/// What every key begins with.
pub const HEAD: &str = "fcms_";

const PREFIX_DIGITS: usize = 8;
const SECRET_DIGITS: usize = 32;
/// Characters of a whole key.
pub const LENGTH: usize = HEAD.len() + PREFIX_DIGITS + 1 + SECRET_DIGITS;

/// The public name of a key: its first 8 digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix([u8; PREFIX_DIGITS]);

impl Prefix {
    /// The eight digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made from hex digits only")
    }

    /// Reads eight lower-case hex digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes().try_into().ok()?;
        is_hex(text.as_bytes()).then_some(Self(digits))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A new key. The text is a secret: it is shown once and never again.
#[derive(Clone, Debug)]
pub struct ApiKeyText {
    text: Secret<String>,
    prefix: Prefix,
}

impl ApiKeyText {
    /// Makes a new key.
    pub fn generate(rng: &(impl Rng + ?Sized)) -> Self {
        let name = ids::hex::<{ PREFIX_DIGITS / 2 }>(rng);
        let secret = Secret::new(ids::hex::<{ SECRET_DIGITS / 2 }>(rng));
        let prefix = Prefix::parse(&name).expect("eight hex digits were made");
        Self { text: Secret::new(format!("{HEAD}{name}_{}", secret.expose())), prefix }
    }

    /// The whole text, for its owner.
    pub fn into_text(self) -> Secret<String> {
        self.text
    }

    /// Its public name.
    pub const fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// What to store.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.expose())
    }
}

/// A text of the form of a key, as it was presented: by which name to look for it, and what must be stored under that name.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    /// Under which name it is stored, if it is.
    pub prefix: Prefix,
    /// What is stored there, if it is good.
    pub digest: Digest,
}

impl Presented {
    /// Reads a key; `None` for a text of any other form, which need not be looked for.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let (name, secret) = text.strip_prefix(HEAD)?.split_once('_')?;
        let prefix = Prefix::parse(name)?;
        (secret.len() == SECRET_DIGITS && is_hex(secret.as_bytes())).then(|| Self { prefix, digest: Digest::of(text) })
    }
}

/// Lower case only: one key has one text.
fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SystemRng, TestRng};

    #[test]
    fn a_key_is_found_by_its_name_and_known_by_its_digest() {
        let key = ApiKeyText::generate(&SystemRng);
        let (prefix, digest) = (key.prefix(), key.digest());
        assert!(!format!("{key:?}").contains(&key.text.expose()[HEAD.len() + 9..]));
        let text = key.into_text();
        assert_eq!(text.expose().len(), LENGTH);
        let presented = Presented::parse(text.expose()).unwrap();
        assert_eq!((presented.prefix, presented.digest), (prefix, digest));
        assert!(text.expose().starts_with(&format!("fcms_{}_", prefix.as_str())));
    }

    #[test]
    fn no_two_keys_are_the_same() {
        let (first, second) = (ApiKeyText::generate(&SystemRng), ApiKeyText::generate(&SystemRng));
        assert_ne!(first.digest(), second.digest());
        assert_ne!(first.prefix(), second.prefix());
    }

    #[test]
    fn a_text_of_another_form_is_no_key() {
        let good = ApiKeyText::generate(&TestRng::new(1)).into_text().expose().clone();
        assert!(Presented::parse(&good).is_some());
        let (head, tail) = good.split_at(LENGTH - 1);
        for text in [
            String::new(),
            good.to_uppercase(),
            good.replacen("fcms_", "fcmsx", 1),
            format!("{head}g"),
            format!("{head}G"),
            head.to_owned(),
            format!("{good}0"),
            format!(" {head}"),
            good.replace('_', "-"),
            format!("{}_{tail}", &head[..LENGTH - 2]),
            format!("{}é", &good[..LENGTH - 2]),
            "fcms_________________________________________".to_owned(),
        ] {
            assert!(Presented::parse(&text).is_none(), "{text}");
        }
    }
}
