//! Request ids: 128 random bits as 32 hex digits.

use std::{cell::RefCell, fmt};

use fastcms_guard::ids::{Rng as _, SystemRng};
use http::HeaderValue;

/// Names one request in its answer, in the log and in the audit. An incoming one is never taken over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

/// Random bytes fetched at once: a call to the system for every request would cost more than all other work of the edge.
struct Pool {
    bytes: [u8; 1024],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; 1024], used: 1024 }) };
}

/// The digit of a number below 16. By reckoning, not by a table: that is done for many at once.
fn digit(number: u8) -> u8 {
    number + if number < 10 { b'0' } else { b'a' - 10 }
}

impl RequestId {
    /// A new one.
    pub fn fresh() -> Self {
        POOL.with_borrow_mut(|pool| {
            if pool.used == pool.bytes.len() {
                SystemRng.fill(&mut pool.bytes);
                pool.used = 0;
            }
            let mut text = [0; 32];
            for (pair, byte) in text.chunks_exact_mut(2).zip(&pool.bytes[pool.used..]) {
                pair[0] = digit(byte >> 4);
                pair[1] = digit(byte & 15);
            }
            pool.used += 16;
            Self(text)
        })
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }

    /// The text, ASCII.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("hex digits are a valid header value")
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
