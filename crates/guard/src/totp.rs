//! Time-based one-time passwords (RFC 6238): HMAC-SHA-1, steps of 30 seconds, six digits, one step of tolerance either way. These are
//! the parameters that every authenticator app knows.
//!
//! A step's code is good once: whoever checks one stores its step and refuses that step and earlier ones afterwards.

use std::fmt::Write as _;

use fastcms_secrets::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::ids::{self, Rng};

/// Seconds of a step.
pub const STEP_SECONDS: i64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Steps before and after the current one whose codes are taken.
const TOLERANCE: i64 = 1;
/// Bytes of a secret: 160 bits (RFC 4226 section 4), 32 characters of base32.
const SECRET_BYTES: usize = 20;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What an authenticator app and we both know.
#[derive(Debug, Clone)]
pub struct TotpSecret(Secret<Vec<u8>>);

impl TotpSecret {
    /// A new one.
    pub fn generate(rng: &(impl Rng + ?Sized)) -> Self {
        Self(Secret::new(ids::bytes::<SECRET_BYTES>(rng).to_vec()))
    }

    /// One read back from storage.
    pub fn from_bytes(bytes: Secret<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be sealed.
    pub fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.0
    }

    /// As people type it into an app.
    pub fn base32(&self) -> Secret<String> {
        let mut text = String::with_capacity(SECRET_BYTES * 8 / 5 + 1);
        for chunk in self.0.expose().chunks(5) {
            let mut bits = [0; 8];
            bits[3..3 + chunk.len()].copy_from_slice(chunk);
            let bits = u64::from_be_bytes(bits);
            for at in 0..(chunk.len() * 8).div_ceil(5) {
                let index = (bits >> (35 - 5 * at)) & 31;
                text.push(char::from(BASE32[usize::try_from(index).expect("five bits")]));
            }
        }
        Secret::new(text)
    }

    /// The address that an app reads from a QR code.
    pub fn otpauth_url(&self, issuer: &str, account: &str) -> Secret<String> {
        let (issuer, account) = (encoded(issuer), encoded(account));
        let secret = self.base32();
        Secret::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
            secret.expose()
        ))
    }

    /// The code of a step, as an app shows it.
    pub fn code(&self, step: i64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.0.expose()).expect("HMAC takes a key of any length");
        mac.update(&step.to_be_bytes());
        let hash: [u8; 20] = mac.finalize().into_bytes().into();
        // RFC 4226 section 5.3.
        let offset = usize::from(hash[19] & 15);
        let word = u32::from_be_bytes([hash[offset] & 0x7f, hash[offset + 1], hash[offset + 2], hash[offset + 3]]);
        format!("{:0DIGITS$}", word % 1_000_000)
    }

    /// The step whose code this is, if it is one of now and later than `used`, the last one that was taken. All steps that could be it
    /// are compared, in constant time.
    pub fn step_of(&self, code: &str, now_seconds: i64, used: Option<i64>) -> Option<i64> {
        let current = now_seconds.div_euclid(STEP_SECONDS);
        let mut found = None;
        for step in current - TOLERANCE..=current + TOLERANCE {
            if crate::equal(self.code(step).as_bytes(), code.as_bytes()) && used.is_none_or(|used| step > used) {
                found = Some(step);
            }
        }
        found
    }
}

/// Percent-encoded, but for what RFC 3986 leaves alone.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SystemRng;

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(Secret::new(b"12345678901234567890".to_vec()))
    }

    /// RFC 6238, appendix B: the SHA-1 rows, cut to six digits.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().code(seconds / STEP_SECONDS), code);
            assert_eq!(secret().step_of(code, seconds, None), Some(seconds / STEP_SECONDS));
        }
    }

    /// R60.
    #[test]
    fn a_code_is_good_for_one_step_before_and_after_and_once() {
        let at = |seconds: i64, used| secret().step_of("081804", seconds, used);
        let step = 1_111_111_109 / STEP_SECONDS;
        let begin = step * STEP_SECONDS;
        assert_eq!(at(begin - STEP_SECONDS - 1, None), None);
        assert_eq!(at(begin - STEP_SECONDS, None), Some(step));
        assert_eq!(at(begin + 2 * STEP_SECONDS - 1, None), Some(step));
        assert_eq!(at(begin + 2 * STEP_SECONDS, None), None);
        assert_eq!(at(begin, Some(step)), None);
        assert_eq!(at(begin, Some(step - 1)), Some(step));
        for wrong in ["", "81804", "0081804", "081804 ", "08180４"] {
            assert_eq!(secret().step_of(wrong, begin, None), None, "{wrong}");
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        let base32 =
            |text: &str| TotpSecret::from_bytes(Secret::new(text.as_bytes().to_vec())).base32().expose().clone();
        for (plain, text) in [
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(plain), text);
        }
        assert_eq!(TotpSecret::generate(&SystemRng).base32().expose().len(), 32);
    }

    #[test]
    fn the_address_escapes_what_it_says() {
        let url = secret().otpauth_url("Ann & Co", "a+b@example.com");
        assert_eq!(
            url.expose(),
            "otpauth://totp/Ann%20%26%20Co:a%2Bb%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ann%20%26%20Co&algorithm=SHA1&digits=6&period=30"
        );
    }
}
