//! Values that the store keeps sealed, each bound to the place where it lies: whoever has the database alone reads none of them.
//!
//! The keys are data keys of the purpose [`PURPOSE`]; a sealed value begins with the number of its key.

use fastcms_guard::sealed::DataKey;
use fastcms_secrets::Secret;

use crate::app::App;
use crate::data_keys::Opened;
use crate::error::{Error, Result};

/// What the data keys that seal values are for.
pub(crate) const PURPOSE: &str = "values";

/// The keys that seal and open.
#[derive(Debug)]
pub(crate) struct Sealing(Opened);

impl Sealing {
    pub(crate) fn new(keys: Opened) -> Self {
        Self(keys)
    }

    /// Seals a value, bound to `place`.
    pub(crate) fn seal(&self, app: &App, place: &[u8], value: &[u8]) -> Vec<u8> {
        let (id, key) = &self.0.current;
        let mut sealed = id.to_be_bytes().to_vec();
        sealed.extend(key.seal(&*app.rng, place, value));
        sealed
    }

    /// Opens what was sealed for the same place.
    ///
    /// # Errors
    /// An internal one: its key is gone, or somebody changed or moved it.
    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>> {
        let (id, sealed) = sealed.split_first_chunk::<8>().ok_or_else(|| Error::internal("not a sealed value"))?;
        let id = i64::from_be_bytes(*id);
        let key: Option<&DataKey> = self.0.all.iter().find(|(known, _)| *known == id).map(|(_, key)| key);
        let key = key.ok_or_else(|| Error::internal("a value is sealed under a data key that cannot be opened"))?;
        key.open(place, sealed).map_err(Error::internal)
    }
}
