//! Which passwords are taken, and how they are kept.
//!
//! [`Policy`] judges a password at every door that sets one. [`Hasher`] turns it into an Argon2id
//! string in a bounded pool and checks it against one, a string of the predecessor's bcrypt
//! included.
//!
//! A password is brought to Unicode normalisation form C before it is counted or hashed (as RFC
//! 8265 `OpaqueString` has it), so that an `é` is the same from every keyboard. Not form KC: that
//! would make different characters equal (`ﬁ` and `fi`, `²` and `2`), which only the comparison
//! with the blocklist wants. Old bcrypt strings were made without any normalisation and are checked
//! so.
//!
//! Who may try how often, and whose password it is, is unknown here.

mod blocklist;
mod breach;
mod hasher;
mod policy;
mod stored;

pub use breach::{BREACH_PREFIX, breach_digest};
pub use hasher::{Admission, Cost, DEFAULT_QUEUE, HashError, Hasher, Verdict};
pub use policy::{MAX_LENGTH, MIN_CONTEXT_LENGTH, MIN_LENGTH, Policy, TOO_COMMON, host_labels, local_part};

/// Texts longer than this many bytes are never a password of ours: 128 code points have at most a
/// fraction of it in any spelling. They are refused before anything expensive is done with them.
const MAX_BYTES: usize = 4096;
