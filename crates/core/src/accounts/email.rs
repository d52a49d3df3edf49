//! E-mail addresses as accounts use them.

use crate::error::{Error, Result};

/// Bytes of an address (RFC 5321 §4.5.3.1.3 leaves 254 without its brackets; the contract says 255).
const LONGEST: usize = 255;

/// The address as it is stored: trimmed, otherwise as sent.
pub(crate) fn check(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.len() <= LONGEST && crate::fields::email::is_address(text) {
        Ok(text.to_owned())
    } else {
        Err(Error::field(field, "Invalid email format"))
    }
}
