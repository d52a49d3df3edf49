//! The keys in use at one time.

use std::sync::Arc;

use fastcms_secrets::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Kid, Purpose, SecretKey, Usage};
use crate::clock::Timestamp;

/// How long after a key was first seen as previous the tokens issued with it still count, in
/// seconds (1 h).
///
/// Long enough for nodes restarting one by one; a later `iat` under a retired key is somebody
/// else's doing.
pub const PREVIOUS_KEY_CUT_OFF_SECONDS: i64 = 3600;

/// What a key of the ring does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Signs and verifies.
    Current,
    /// Verifies what was issued before it was retired.
    Previous,
    /// Verifies what other nodes already sign.
    Next,
}

/// A key being retired.
#[derive(Clone, Debug)]
pub struct PreviousKey {
    /// The key.
    pub key: SecretKey,
    /// When a ring of this installation first held the key as previous; `None` if that is not known
    /// (no cut-off).
    pub seen_previous_at: Option<Timestamp>,
}

/// What an installation remembers of a key beyond its secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When a ring of this installation first held the key as previous; `None` if it never did.
    pub seen_previous_at: Option<Timestamp>,
    /// When everything signed until then was declared void; `None` if it never was.
    pub revoked_at: Option<Timestamp>,
}

/// The keys that sign and verify now. Cheap to clone; a rotation makes a new one.
#[derive(Clone, Debug)]
pub struct KeyRing {
    /// The current key first; no two with the same id.
    keys: Arc<[RingKey]>,
}

impl KeyRing {
    /// A ring of one current key, those being retired and those about to be promoted.
    ///
    /// Every sub-key is derived here, once. A key given twice counts in its first role (current,
    /// previous, next): whether that is a fault of configuration is for the caller to say.
    pub fn new(
        current: &SecretKey,
        previous: impl IntoIterator<Item = PreviousKey>,
        next: impl IntoIterator<Item = SecretKey>,
    ) -> Self {
        let mut keys = vec![RingKey::new(current, Role::Current, None)];
        let previous = previous.into_iter().map(|retired| (retired.key, Role::Previous, retired.seen_previous_at));
        let next = next.into_iter().map(|key| (key, Role::Next, None));
        for (key, role, seen_previous_at) in previous.chain(next) {
            if keys.iter().all(|known| known.kid != key.kid()) {
                keys.push(RingKey::new(&key, role, seen_previous_at));
            }
        }
        Self { keys: keys.into() }
    }

    /// A ring of one key, when nothing is being rotated.
    pub fn single(current: &SecretKey) -> Self {
        Self::new(current, [], [])
    }

    /// The same keys with what `of` says of each.
    #[must_use]
    pub fn with_standings(&self, of: impl Fn(&Kid) -> Standing) -> Self {
        let keys = self.keys.iter().map(|key| RingKey { standing: of(&key.kid), ..key.clone() });
        Self { keys: keys.collect() }
    }

    /// The same keys; of those that `earlier` holds too, what is known of their use is shared with it.
    #[must_use]
    pub fn sharing_usage(&self, earlier: &Self) -> Self {
        let keys = self.keys.iter().map(|key| match earlier.get(&key.kid) {
            Some(known) => RingKey { usage: Arc::clone(&known.usage), ..key.clone() },
            None => key.clone(),
        });
        Self { keys: keys.collect() }
    }

    /// The key that signs.
    pub fn current(&self) -> &RingKey {
        self.keys.first().expect("a ring is made with a current key")
    }

    /// The key with this id, if it is in the ring.
    pub fn get(&self, kid: &Kid) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// Every key, the current one first.
    pub fn keys(&self) -> impl Iterator<Item = &RingKey> {
        self.keys.iter()
    }
}

/// One key of a ring with its sub-keys.
#[derive(Clone)]
pub struct RingKey {
    kid: Kid,
    role: Role,
    standing: Standing,
    usage: Arc<Usage>,
    /// In the order of [`Purpose::ALL`].
    sub_keys: [SubKey; Purpose::ALL.len()],
}

/// A derived key, and the same as a keyed MAC: keying costs two compressions, cloning the state
/// costs a copy.
#[derive(Clone)]
struct SubKey {
    bytes: Secret<[u8; 32]>,
    mac: Hmac<Sha256>,
}

impl RingKey {
    fn new(key: &SecretKey, role: Role, seen_previous_at: Option<Timestamp>) -> Self {
        let sub_keys = key.derive_all(Purpose::ALL).map(|bytes| {
            let mac = Hmac::new_from_slice(bytes.expose()).expect("HMAC takes a key of any length");
            SubKey { bytes, mac }
        });
        let standing = Standing { seen_previous_at, revoked_at: None };
        Self { kid: key.kid(), role, standing, usage: Arc::default(), sub_keys }
    }

    /// The id of this key.
    pub const fn kid(&self) -> Kid {
        self.kid
    }

    /// What this key does.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// When this key was first seen as previous, where it is and that is known.
    pub const fn seen_previous_at(&self) -> Option<Timestamp> {
        self.standing.seen_previous_at
    }

    /// What is remembered of this key.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// What this process knows of the key's use.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The sub-key for `purpose`, for ciphers. To sign or verify, [`RingKey::mac`] has it prepared.
    pub const fn sub_key(&self, purpose: Purpose) -> &Secret<[u8; 32]> {
        &self.sub_keys[purpose as usize].bytes
    }

    /// HMAC-SHA256 under the sub-key for `purpose`, of `message`.
    pub fn mac(&self, purpose: Purpose, message: &[u8]) -> [u8; 32] {
        self.keyed(purpose, message).finalize().into_bytes().into()
    }

    /// Whether `tag` is the MAC of `message` under the sub-key for `purpose`; takes constant time.
    pub fn verify_mac(&self, purpose: Purpose, message: &[u8], tag: &[u8]) -> bool {
        self.keyed(purpose, message).verify_slice(tag).is_ok()
    }

    fn keyed(&self, purpose: Purpose, message: &[u8]) -> Hmac<Sha256> {
        self.sub_keys[purpose as usize].mac.clone().chain_update(message)
    }

    /// Whether a token issued at `iat` (seconds) is too late to be an honest one of this key.
    pub(crate) fn is_cut_off(&self, iat: i64) -> bool {
        let last = |seen: Timestamp| seen.as_seconds().saturating_add(PREVIOUS_KEY_CUT_OFF_SECONDS);
        self.role == Role::Previous && self.standing.seen_previous_at.is_some_and(|seen| iat > last(seen))
    }

    /// Whether a token issued at `iat` (seconds) was declared void. Of a previous key all are: what it signed later, a thief did.
    pub(crate) fn is_void(&self, iat: i64) -> bool {
        self.standing.revoked_at.is_some_and(|at| self.role == Role::Previous || iat <= at.as_seconds())
    }

    /// The `iat` to write for a token made at `now`: of the second in which everything was declared void, the next one, so that who
    /// signs in again at once need not do it twice. Well within what clocks may differ.
    pub(crate) fn iat_for(&self, now: i64) -> i64 {
        now + i64::from(self.standing.revoked_at.is_some_and(|at| now == at.as_seconds()))
    }
}

impl std::fmt::Debug for RingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingKey")
            .field("kid", &self.kid)
            .field("role", &self.role)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}
