//! What wraps data keys: a key of a ring, or one that never leaves its vault. What a data key is for is not known here.
//!
//! The text of a wrapped key says what unwraps it: `w1.<kid>.…` a key of a ring, `t1.<mount/key>.vault:v<version>:…` one of a vault. So
//! what one of them wrapped is found whichever of them wraps from now on.

use std::sync::Arc;

use fastcms_guard::ids::Rng;
use fastcms_guard::keys::{KeyRing, Kid, PreviousKey, RingKey, Role, SecretKey, WeakKey};
use fastcms_guard::sealed::{DataKey, OpenError, wrapped_by};
use fastcms_secrets::{Secret, TransitFault, TransitKey, TransitWhy, TransitWrapped, Why};
use fastcms_store::data_keys::StoredKey;

use crate::config::Keys;
use crate::error::{Error, Result};
use crate::secrets::{Custody, Named};

/// How a text begins that a key of a vault wrapped.
const BY_TRANSIT: &str = "t1.";
/// What such a key binds to, before the data key's number and purpose.
const TRANSIT_CONTEXT: &str = "fastcms/v1/data-key";

/// What data keys are wrapped by.
#[derive(Debug, Clone)]
pub(crate) struct Wrapping {
    /// `ENCRYPTION_KEY` and the ones before it, or those alone.
    encryption: Option<KeyRing>,
    /// Whether there is an `ENCRYPTION_KEY`.
    by_encryption: bool,
    /// The key of the data folder, where there is one.
    pub(super) file: Option<KeyRing>,
    /// Whether the file's key wraps: there is no other.
    pub(super) by_file: bool,
    /// The key of a vault that wraps instead of any of them.
    transit: Option<TransitKey>,
    /// The way to it.
    custody: Option<Arc<Custody>>,
}

/// What keeps a data key from being opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unopened {
    #[error("{}", match .0 {
        OpenError::UnknownKey => "its wrapping key is not configured",
        OpenError::Malformed => "it is no wrapped key",
        OpenError::Refused => "it was changed or moved",
    })]
    Ring(OpenError),
    #[error("{0}")]
    Transit(TransitFault),
}

impl Unopened {
    /// Whether waiting may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Transit(fault) if fault.why.is_passing())
    }

    /// Whether it is certain that the key cannot be had as things are configured.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Ring(_) => true,
            Self::Transit(fault) => fault.why.is_lost(),
        }
    }
}

/// What a key of a vault made of a data key.
pub(crate) fn by_transit(wrapped: &str) -> Option<(TransitKey, TransitWrapped)> {
    // Neither the version nor base64 has a dot in it.
    let (key, wrapped) = wrapped.strip_prefix(BY_TRANSIT)?.rsplit_once('.')?;
    Some((TransitKey::parse(key).ok()?, TransitWrapped::parse(wrapped)?))
}

/// The place that a data key is bound to by a ring.
fn place(purpose: &str) -> String {
    format!("data_keys|{purpose}|wrapped")
}

/// The place that it is bound to by a key of a vault.
fn transit_place(id: i64, purpose: &str) -> Vec<u8> {
    format!("{TRANSIT_CONTEXT}|{id}|{purpose}").into_bytes()
}

impl Wrapping {
    /// What the settings and the data folder say.
    pub fn new(keys: &Keys, file: Option<&SecretKey>, custody: Option<Arc<Custody>>) -> Result<Self, WeakKey> {
        let parse = |text: &Secret<String>| SecretKey::parse(text.clone());
        let encryption = keys.encryption_key.as_ref().map(parse).transpose()?;
        let by_encryption = encryption.is_some();
        let mut all = encryption.into_iter().map(Ok).chain(keys.encryption_key_previous.iter().map(parse));
        let first = all.next().transpose()?;
        let others = all.collect::<Result<Vec<_>, _>>()?.into_iter();
        let others = others.map(|key| PreviousKey { key, seen_previous_at: None });
        Ok(Self {
            by_file: !by_encryption && keys.secret_key.is_none() && file.is_some(),
            by_encryption,
            encryption: first.map(|key| KeyRing::new(&key, others, [])),
            file: file.map(KeyRing::single),
            transit: keys.transit_key.clone(),
            custody,
        })
    }

    /// The key of a vault that wraps from now on.
    pub fn transit(&self) -> Option<&TransitKey> {
        self.transit.as_ref()
    }

    /// The keys of `ENCRYPTION_KEY` and `ENCRYPTION_KEY_PREVIOUS`, and whether each wraps from now on.
    pub fn encryption(&self) -> impl Iterator<Item = (&RingKey, bool)> {
        let wraps = self.by_encryption && self.transit.is_none();
        let keys = self.encryption.iter().flat_map(KeyRing::keys);
        keys.enumerate().map(move |(at, key)| (key, wraps && at == 0))
    }

    /// The key of a ring that wraps from now on, unless one of a vault does.
    fn current<'k>(&'k self, signing: &'k KeyRing) -> &'k RingKey {
        let file = self.file.as_ref().filter(|_| self.by_file);
        let encryption = self.encryption.as_ref().filter(|_| self.by_encryption);
        encryption.or(file).unwrap_or(signing).current()
    }

    fn find<'k>(&'k self, signing: &'k KeyRing, kid: &Kid) -> Option<&'k RingKey> {
        let rings = [self.encryption.as_ref(), Some(signing), self.file.as_ref()];
        rings.into_iter().flatten().find_map(|ring| ring.get(kid))
    }

    /// Whether a wrapped key is to stay as it is: what wraps now wrapped it, in its newest version as far as that is known; or a ring key that
    /// is to come did, which is left to the nodes that have it as theirs already.
    pub(super) fn is_settled(&self, signing: &KeyRing, wrapped: &str) -> bool {
        match (&self.transit, by_transit(wrapped), wrapped_by(wrapped)) {
            (Some(wraps), Some((by, text)), _) => {
                let newest = self.custody.as_ref().and_then(|custody| custody.newest_transit_version());
                by == *wraps && newest.is_none_or(|newest| text.version >= newest)
            }
            (None, None, Some(kid)) => {
                let is_coming = self.find(signing, &kid).is_some_and(|by| by.role() == Role::Next);
                kid == self.current(signing).kid() || is_coming
            }
            (Some(_), None, Some(_)) | (None, Some(_), _) => false,
            // What nothing wrapped is nothing to wrap anew.
            (_, None, None) => true,
        }
    }

    /// Opens what a key of a ring wrapped.
    pub(super) fn open_by_ring(&self, signing: &KeyRing, key: &StoredKey) -> Result<DataKey, OpenError> {
        DataKey::unwrap(&key.wrapped, |kid| self.find(signing, kid), &place(&key.purpose))
    }

    /// Opens a data key with whatever wrapped it.
    pub async fn open(&self, signing: &KeyRing, key: &StoredKey) -> Result<DataKey, Unopened> {
        let Some((by, wrapped)) = by_transit(&key.wrapped) else {
            return self.open_by_ring(signing, key).map_err(Unopened::Ring);
        };
        let fault = |why| Unopened::Transit(TransitFault { key: by.clone(), why });
        let bound = transit_place(key.id, &key.purpose);
        let named = Named { purpose: &key.purpose, id: key.id };
        let custody = self.custody.as_ref().ok_or_else(|| fault(unreachable()))?;
        let bytes = custody.unwrap(&by, named, (&wrapped, &bound)).await.map_err(Unopened::Transit)?;
        DataKey::kept(&bytes).ok_or_else(|| fault(TransitWhy::Refused))
    }

    /// Wraps a data key by what wraps now, bound to its purpose, and by a vault to its number too.
    pub async fn wrap(
        &self,
        rng: &dyn Rng,
        signing: &KeyRing,
        (id, purpose): (i64, &str),
        key: &DataKey,
    ) -> Result<String> {
        let Some(by) = &self.transit else { return Ok(key.wrap(rng, self.current(signing), &place(purpose))) };
        let (secret, bound) = (Secret::new(key.bytes().expose().to_vec()), transit_place(id, purpose));
        let wrapped = match &self.custody {
            Some(custody) => custody.wrap(by, Named { purpose, id }, (&secret, &bound)).await,
            None => Err(TransitFault { key: by.clone(), why: unreachable() }),
        };
        let wrapped = wrapped.map_err(|fault| Error::Unavailable(fault.to_string()))?;
        Ok(format!("{BY_TRANSIT}{by}.{}", wrapped.ciphertext))
    }

    /// Has the key of a vault that wraps wrap and unwrap something that is no secret.
    pub async fn try_transit(&self) -> Result<(), TransitFault> {
        match (&self.transit, &self.custody) {
            (Some(key), Some(custody)) => custody.try_out(key).await,
            (Some(key), None) => Err(TransitFault { key: key.clone(), why: unreachable() }),
            (None, _) => Ok(()),
        }
    }

    /// How long to wait before a vault is asked again that did not answer so many times, while we start.
    pub(super) fn patience(&self, rng: &dyn Rng, tries: u32) -> Option<std::time::Duration> {
        self.custody.as_ref()?.patience(rng, tries)
    }
}

fn unreachable() -> TransitWhy {
    TransitWhy::Away(Why::NotConfigured("VAULT_ADDR and a way to log in are not set".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_says_what_unwraps_it() {
        let (key, wrapped) = by_transit("t1.teams/cms.eu/transit/key.1.vault:v3:AAb+/c==").unwrap();
        assert_eq!((key.to_string().as_str(), wrapped.version), ("teams/cms.eu/transit/key.1", 3));
        assert_eq!(wrapped.ciphertext, "vault:v3:AAb+/c==");
        for other in ["", "t1.", "t1.transit/k", "w1.aaaaaaaaaaa.AAAA", "t1.k.vault:v1:AA", "t1.transit/k.vault:AA"] {
            assert_eq!(by_transit(other), None, "{other}");
        }
    }
}
