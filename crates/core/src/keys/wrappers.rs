//! What wraps data keys besides the keys that sign: `ENCRYPTION_KEY` with the ones before it, and the keys of a vault. What depends on each,
//! and whether it may go.

use fastcms_store::Plan;

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::data_keys;
use crate::error::Result;

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapperKind {
    /// `ENCRYPTION_KEY`, or one before it.
    EncryptionKey,
    /// A key of a transit engine.
    Transit,
}

/// What depends on a key that wraps data keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapper {
    pub kind: WrapperKind,
    /// Its key id, or its name in the vault.
    pub name: String,
    /// Whether it wraps from now on.
    pub is_current: bool,
    /// Data keys it wraps, and values sealed under those.
    pub wrapped: Wrapped,
    /// The same by its versions, the oldest first, where it has any.
    pub versions: Vec<(u32, Wrapped)>,
}

/// How much a key wraps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wrapped {
    pub data_keys: i64,
    pub sealed: i64,
}

impl Wrapper {
    /// Whether nothing is lost without it.
    pub const fn is_safe_to_remove(&self) -> bool {
        !self.is_current && self.wrapped.data_keys == 0
    }
}

/// All of them, the one that wraps from now on first; none where the key that signs wraps, and always did.
pub async fn wrappers(caller: &Caller, app: &App) -> Result<Vec<Wrapper>> {
    access::require(caller, Permission::KeysRead)?;
    let stored = app.store.read(Plan::Bounded, |reader| Box::pin(fastcms_store::data_keys::all(reader))).await?;
    let sealed = crate::sealing::in_use(&app.store, &app.schema.load()).await?;
    let count = |ids: &[i64]| Wrapped {
        data_keys: i64::try_from(ids.len()).unwrap_or(i64::MAX),
        sealed: ids.iter().filter_map(|id| sealed.get(id)).sum(),
    };
    let mut all = Vec::new();
    let mut by_transit = data_keys::wrapped_by_transit(&stored);
    let current = app.wrapping.transit().map(ToString::to_string);
    if let Some(current) = &current {
        by_transit.entry(current.clone()).or_default();
    }
    for (name, versions) in by_transit {
        let ids: Vec<i64> = versions.values().flatten().copied().collect();
        let versions = versions.iter().map(|(version, ids)| (*version, count(ids))).collect();
        let is_current = current.as_ref() == Some(&name);
        all.push(Wrapper { kind: WrapperKind::Transit, name, is_current, wrapped: count(&ids), versions });
    }
    for (key, is_current) in app.wrapping.encryption() {
        let its = stored.iter().filter(|stored| data_keys::wraps(key, &stored.wrapped));
        let ids: Vec<i64> = its.map(|stored| stored.id).collect();
        let (kind, name) = (WrapperKind::EncryptionKey, key.kid().to_string());
        all.push(Wrapper { kind, name, is_current, wrapped: count(&ids), versions: Vec::new() });
    }
    all.sort_by_key(|wrapper| !wrapper.is_current);
    Ok(all)
}
