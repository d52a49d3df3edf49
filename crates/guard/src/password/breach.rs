//! By what lists of breached passwords know a password: an unsalted SHA-1, of which only the head is ever shown to anybody.

use std::fmt::Write as _;

use fastcms_secrets::Secret;
use sha1::{Digest, Sha1};

/// Hex digits that a service is told: a million passwords have them in common.
pub const BREACH_PREFIX: usize = 5;

/// The SHA-1 of a password as it was typed, 40 digits in upper case. A password could be searched by it: it is a secret.
pub fn breach_digest(password: &str) -> Secret<String> {
    let mut text = String::with_capacity(40);
    for byte in Sha1::digest(password) {
        write!(text, "{byte:02X}").expect("a text takes whatever is written");
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_published_lists() {
        assert_eq!(breach_digest("password").expose(), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        assert_eq!(breach_digest("").expose(), "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709");
    }
}
