//! Values that the store keeps sealed, each bound to the place where it lies: whoever has the database alone reads none of them.
//!
//! The keys are data keys of the purpose [`PURPOSE`], few and wrapped by the ring; a sealed value names the one that opens it. What is
//! sealed: second factors, and the fields of collections that are marked `encrypted`. A value that does not open reads as missing, and
//! that is an event. [`survey`] counts and tries them all, [`renewal`] puts them under another key.

use std::sync::Arc;

use arc_swap::ArcSwap;
use fastcms_guard::ids::Rng;
use fastcms_guard::sealed::{self, DataKey, OpenError};
use fastcms_secrets::Secret;
use fastcms_store::Value;
use fastcms_store::records::{Place, Unseal, shown};
use fastcms_store::schema::Collection;
use tokio::sync::mpsc;

use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::Result;
use crate::fields::Draft;

mod keeping;
mod renewal;
mod survey;

use keeping::Vault;
pub(crate) use keeping::{Keys, refresh};
pub use renewal::{SETTLING, renew, reseal};
pub(crate) use survey::{Closed, closed, in_use};
pub use survey::{Examined, examine};

/// What the data keys that seal values are for.
pub(crate) const PURPOSE: &str = "values";

/// Values that did not open and wait to be told to the audit log.
const TOLD: usize = 256;

/// A value that did not open.
#[derive(Debug)]
struct Unopened {
    collection: String,
    record: String,
    field: String,
    why: &'static str,
}

#[derive(Debug)]
struct Shared {
    keys: ArcSwap<Keys>,
    vault: Vault,
    unopened: mpsc::Sender<Unopened>,
}

/// Seals and opens.
#[derive(Debug, Clone)]
pub(crate) struct Sealing(Arc<Shared>);

/// Where [`watch`] hears of values that did not open.
pub(crate) struct Reports(mpsc::Receiver<Unopened>);

impl Sealing {
    /// With the keys as they were found, and all that were opened.
    pub(crate) fn new(keys: Keys, opened: Vec<(i64, DataKey)>) -> (Self, Reports) {
        let (unopened, reports) = mpsc::channel(TOLD);
        (
            Self(Arc::new(Shared { keys: ArcSwap::from_pointee(keys), vault: Vault::new(opened), unopened })),
            Reports(reports),
        )
    }

    fn keys(&self) -> Arc<Keys> {
        self.0.keys.load_full()
    }

    /// Seals a value, bound to `place`: the number of its key, then what the key sealed.
    ///
    /// # Errors
    /// An internal one where the key in use cannot be opened.
    pub(crate) fn seal(&self, rng: &dyn Rng, place: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        let keys = self.keys();
        let (id, key) = keys.current.as_ref().ok_or_else(|| keys.missing())?;
        let mut sealed = id.to_be_bytes().to_vec();
        sealed.extend(key.seal(rng, place, value));
        Ok(sealed)
    }

    /// Opens what was sealed for the same place.
    ///
    /// # Errors
    /// Its key is gone, or somebody changed or moved it.
    pub(crate) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let (id, sealed) = sealed.split_first_chunk::<8>().ok_or(OpenError::Malformed)?;
        self.keys().get(i64::from_be_bytes(*id)).ok_or(OpenError::UnknownKey)?.open(place, sealed)
    }

    /// Seals a value of a field, given as JSON.
    fn seal_field(&self, rng: &dyn Rng, place: Place<'_>, json: &[u8]) -> Result<String> {
        let keys = self.keys();
        let (id, key) = keys.current.as_ref().ok_or_else(|| keys.missing())?;
        Ok(sealed::written(*id, &key.seal(rng, &bound(place, *id), json)))
    }

    fn open_field(&self, place: Place<'_>, text: &str) -> Result<Secret<Vec<u8>>, OpenError> {
        let (id, sealed) = sealed::read(text)?;
        self.keys().get(id).ok_or(OpenError::UnknownKey)?.open(&bound(place, id), &sealed)
    }

    /// What opens values of this collection while its rows are read; nothing where none of its fields is encrypted.
    pub(crate) fn opener(&self, collection: &Collection) -> Option<Arc<dyn Unseal>> {
        collection.has_sealed().then(|| Arc::new(Opener(self.clone())) as Arc<dyn Unseal>)
    }
}

/// The place that a value of a field is bound to.
fn bound(place: Place<'_>, key_id: i64) -> Vec<u8> {
    let Place { collection, record, field } = place;
    format!("records|{collection}|{record}|{field}|s1|{key_id}").into_bytes()
}

/// Seals what is to be stored in encrypted fields.
pub(crate) fn seal_draft(app: &App, collection: &Collection, record: &str, draft: &mut Draft) -> Result<()> {
    if !collection.has_sealed() {
        return Ok(());
    }
    for (at, value) in &mut draft.sets {
        seal_value(app, collection, record, *at, value)?;
    }
    Ok(())
}

/// Seals one value that is to be stored, if its field is encrypted.
pub(crate) fn seal_value(app: &App, collection: &Collection, record: &str, at: usize, value: &mut Value) -> Result<()> {
    let field = &collection.fields()[at];
    if field.encrypted && !value.is_null() {
        let place = Place { collection: collection.id(), record, field: &field.name };
        let json = Secret::new(shown(field, value));
        *value = app.sealing.seal_field(&*app.rng, place, json.expose())?.into();
    }
    Ok(())
}

#[derive(Debug)]
struct Opener(Sealing);

impl Unseal for Opener {
    fn open(&self, place: Place<'_>, sealed: &str) -> Option<Vec<u8>> {
        match self.0.open_field(place, sealed) {
            Ok(json) => Some(json.expose().clone()),
            Err(error) => {
                let why = reason(error);
                let Place { collection, record, field } = place;
                tracing::error!(collection, record, field, why, "a sealed value could not be opened");
                // Where nobody can be told any more, the log has it.
                let _ = self.0.0.unopened.try_send(Unopened {
                    collection: collection.to_owned(),
                    record: record.to_owned(),
                    field: field.to_owned(),
                    why,
                });
                None
            }
        }
    }
}

/// Why a value did not open, for people.
const fn reason(error: OpenError) -> &'static str {
    match error {
        OpenError::Malformed => "it is not a sealed value",
        OpenError::UnknownKey => "it is sealed under a data key that cannot be opened",
        OpenError::Refused => "it was changed or moved",
    }
}

/// Says in the audit log that a second factor did not open.
pub(crate) fn note_factor(caller: &Caller, app: &App, id: &str, error: OpenError) {
    let why = reason(error);
    tracing::error!(account = id, why, "a sealed second factor could not be opened");
    let event = Event::SecretUnsealFailed.on("user", id).with("what", "second_factor").with("why", why);
    audit::note(caller, app, event);
}

/// Has the audit log say which values did not open, as long as the product runs.
pub(crate) fn watch(app: &Arc<App>, reports: Reports) {
    let (weak, Reports(mut reports)) = (Arc::downgrade(app), reports);
    tokio::spawn(async move {
        while let Some(Unopened { collection, record, field, why }) = reports.recv().await {
            let Some(app) = weak.upgrade() else { return };
            let event = Event::SecretUnsealFailed.on("record", record).with("collection", collection);
            audit::note(&Caller::background(), &app, event.with("field", field).with("why", why));
        }
    });
}
