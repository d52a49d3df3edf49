//! The key of a vault's transit engine that wraps data keys: tried before anything opens and at every look, asked to wrap and unwrap in
//! between. Each such use is an event.
//!
//! Which data keys there are, and what they are bound to, is for `data_keys` to know.

use std::time::Duration;

use fastcms_guard::ids::Rng;
use fastcms_secrets::{Secret, TransitFault, TransitKey, TransitWhy, TransitWrapped, Why};
use tokio::time::Instant;

use super::{Custody, FIRST_PAUSE, LONGEST_PAUSE, jittered};
use crate::audit::{Entry, Event};
use crate::config::{Managed, Resolved, catalog};

/// A data key as it is told of.
pub(crate) struct Named<'n> {
    pub purpose: &'n str,
    pub id: i64,
}

/// Tries the key that is to wrap data keys; with what it was tried before, if it was. A vault that has just kept us waiting for a secret
/// is not asked as well.
pub(super) async fn attempt(
    managers: &fastcms_secrets::Managers,
    wants: &Managed,
    found: &Resolved,
    tried: Option<&TransitWrapped>,
) -> Option<Result<TransitWrapped, TransitFault>> {
    let key = wants.transit.as_ref().filter(|_| wants.managers.vault.is_some())?;
    let silent = found.iter().find_map(|(reference, found)| {
        let fault = found.as_ref().err().filter(|fault| matches!(fault.why, Why::Silent(_)))?;
        matches!(reference, fastcms_secrets::Reference::Vault { .. }).then(|| fault.why.clone())
    });
    if let Some(why) = silent {
        return Some(Err(TransitFault { key: key.clone(), why: TransitWhy::Away(why) }));
    }
    if let Some(tried) = tried {
        match managers.try_again(key, tried).await {
            Ok(()) => return Some(Ok(tried.clone())),
            Err(fault) if fault.why.is_passing() => return Some(Err(fault)),
            // The version that it was tried with may be too old by now, and the key be well.
            Err(_) => {}
        }
    }
    Some(managers.try_transit_key(key).await)
}

impl Custody {
    /// The newest version of the key that wraps data keys, as far as it is known.
    pub(crate) fn newest_transit_version(&self) -> Option<u32> {
        self.transit.load().as_ref().map(|tried| tried.version)
    }

    /// Has a key wrap a data key.
    pub(crate) async fn wrap(
        &self,
        key: &TransitKey,
        named: Named<'_>,
        (secret, bound): (&Secret<Vec<u8>>, &[u8]),
    ) -> Result<TransitWrapped, TransitFault> {
        let wrapped = self.managers.wrap(key, secret, bound).await?;
        self.note(vec![used(key, "wrap", &named, wrapped.version)]);
        Ok(wrapped)
    }

    /// Has a key unwrap a data key.
    pub(crate) async fn unwrap(
        &self,
        key: &TransitKey,
        named: Named<'_>,
        (wrapped, bound): (&TransitWrapped, &[u8]),
    ) -> Result<Secret<Vec<u8>>, TransitFault> {
        let secret = self.managers.unwrap(key, wrapped, bound).await?;
        self.note(vec![used(key, "unwrap", &named, wrapped.version)]);
        Ok(secret)
    }

    /// Has a key wrap and unwrap something that is no secret.
    pub(crate) async fn try_out(&self, key: &TransitKey) -> Result<(), TransitFault> {
        self.managers.wrap(key, &Secret::new(b"doctor".to_vec()), b"doctor").await.map(drop)
    }

    /// How long to wait before a vault that did not answer is asked again while we start; nothing where the time for that is over.
    pub(crate) fn patience(&self, rng: &dyn Rng, tries: u32) -> Option<Duration> {
        let pause = jittered((FIRST_PAUSE * 2_u32.saturating_pow(tries.min(8))).min(LONGEST_PAUSE), rng);
        let left = self.deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(pause.min(left))
    }
}

/// The event of a use; it is the key that is used, whichever data key it was used for.
fn used(key: &TransitKey, what: &'static str, named: &Named<'_>, version: u32) -> Entry {
    let event = Event::SecretUsed.on("secret", catalog::ENCRYPTION_TRANSIT_KEY.name);
    let event = event.with("for", format!("{what} data key {} ({})", named.id, named.purpose));
    event.with("source", source(key)).with("version", version.to_string())
}

/// Where the key lies, for people.
pub(super) fn source(key: &TransitKey) -> String {
    format!("vault:{key}")
}
