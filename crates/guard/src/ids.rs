//! Random identifiers, from one source of randomness that a test can replace.
//!
//! Everything here is unpredictable (operating system randomness). Sortable record ids are not made
//! here.

use std::fmt::Write;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A source of cryptographically secure random bytes.
pub trait Rng: Send + Sync {
    /// Fills all of `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// The randomness of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("a running operating system gives random bytes");
    }
}

/// Repeatable bytes for tests: the same seed gives the same sequence. Never for production.
#[derive(Debug)]
pub struct TestRng(Mutex<[u8; 32]>);

impl TestRng {
    /// A source whose sequence depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Sha256::digest(seed.to_be_bytes()).into()))
    }
}

impl Rng for TestRng {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in buffer.chunks_mut(32) {
            *state = Sha256::digest(*state).into();
            // A second digest, so that no output shows the state.
            let block: [u8; 32] = Sha256::digest(*state).into();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

impl<R: Rng + ?Sized> Rng for std::sync::Arc<R> {
    fn fill(&self, buffer: &mut [u8]) {
        (**self).fill(buffer);
    }
}

/// `N` random bytes.
pub fn bytes<const N: usize>(rng: &(impl Rng + ?Sized)) -> [u8; N] {
    let mut buffer = [0; N];
    rng.fill(&mut buffer);
    buffer
}

/// A 128-bit identifier in base64url without padding (22 characters), such as a token's `jti`.
pub fn token_id(rng: &(impl Rng + ?Sized)) -> String {
    URL_SAFE_NO_PAD.encode(bytes::<16>(rng))
}

/// `N` random bytes as `2 N` lower-case hex digits.
pub fn hex<const N: usize>(rng: &(impl Rng + ?Sized)) -> String {
    let mut text = String::with_capacity(2 * N);
    for byte in bytes::<N>(rng) {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

/// `N` decimal digits, each equally likely, such as a one-time code.
pub fn digits<const N: usize>(rng: &(impl Rng + ?Sized)) -> String {
    let mut text = String::with_capacity(N);
    while text.len() < N {
        // 250 is the largest multiple of ten below 256: values past it would favour low digits.
        let unbiased = bytes::<32>(rng).into_iter().filter(|byte| *byte < 250);
        text.extend(unbiased.take(N - text.len()).map(|byte| char::from(b'0' + byte % 10)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_length_and_alphabet() {
        assert_eq!(token_id(&SystemRng).len(), 22);
        let hex = hex::<16>(&SystemRng);
        assert!(hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits::<6>(&SystemRng);
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
    }

    #[test]
    fn a_test_source_repeats_itself_and_the_system_does_not() {
        assert_eq!(bytes::<100>(&TestRng::new(7)), bytes::<100>(&TestRng::new(7)));
        assert_ne!(bytes::<32>(&TestRng::new(7)), bytes::<32>(&TestRng::new(8)));
        let source = TestRng::new(7);
        assert_ne!(bytes::<32>(&source), bytes::<32>(&source));
        assert_ne!(bytes::<32>(&SystemRng), bytes::<32>(&SystemRng));
    }

    #[test]
    fn every_digit_is_equally_likely() {
        let mut seen = [0_u32; 10];
        let source = TestRng::new(1);
        for digit in digits::<10_000>(&source).bytes() {
            seen[usize::from(digit - b'0')] += 1;
        }
        assert!(seen.iter().all(|count| (880..1120).contains(count)), "{seen:?}");
    }
}
