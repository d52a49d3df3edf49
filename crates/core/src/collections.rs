//! Collections: what they are made of, and how they change. All of it is for admins. A change of a collection, of its table and of the
//! snapshot that requests look at is one thing: whoever saw the answer can meet the old state no more.

mod change;
mod definition;
mod export;
mod field;
mod following;
mod import;
mod indexes;
mod mentions;
mod obstacles;
mod readers;
mod retype;
mod update;
mod written;

pub use change::{Truncated, create, delete, truncate};
pub use definition::{MAX_COLLECTIONS, MAX_FIELDS, MAX_SELECT_VALUES, RESERVED_NAMES};
pub use export::{Export, export};
pub(crate) use following::{Following, follow};
pub use import::import;
pub use indexes::{MAX_INDEX_FIELDS, MAX_INDEXES, create_index, delete_index, index, index_to_json, indexes};
pub use update::update;
pub use written::to_json;

use std::sync::Arc;

use fastcms_store::schema::{Collection, Schema};
use fastcms_store::{Plan, Store};

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};

/// A page of collections, newest first.
#[derive(Debug)]
pub struct CollectionPage {
    pub items: Vec<Arc<Collection>>,
    pub total: usize,
}

/// Reads all collections. Not a scan: it may not have to wait for those of callers.
pub async fn load(store: &Store) -> Result<Schema> {
    let dialect = store.dialect();
    let stored: fastcms_store::collections::Stored =
        store.read(Plan::Bounded, |reader| Box::pin(fastcms_store::collections::load(reader))).await?;
    let schema = stored.into_schema(dialect)?;
    for broken in schema.broken() {
        tracing::error!(
            collection = broken.collection,
            rule = broken.key,
            reason = broken.reason,
            "a stored rule no longer holds: admins only"
        );
    }
    Ok(schema)
}

/// Reads all collections again; what requests look at is replaced unless it is newer.
pub async fn reload(app: &App) -> Result<()> {
    let schema = load(&app.store).await?;
    adopt(app, &Arc::new(schema));
    Ok(())
}

/// Makes `schema` what requests look at, unless they look at a newer one.
fn adopt(app: &App, schema: &Arc<Schema>) {
    app.schema.rcu(
        |current| if current.generation() < schema.generation() { Arc::clone(schema) } else { Arc::clone(current) },
    );
}

/// A page of collections.
pub fn list(caller: &Caller, app: &App, page: usize, per_page: usize, include_system: bool) -> Result<CollectionPage> {
    access::require(caller, Permission::CollectionsRead)?;
    let schema = app.schema.load();
    let shown = schema.collections().iter().filter(|collection| include_system || !collection.definition().system);
    let total = shown.clone().count();
    let items = shown.skip(page.saturating_sub(1).saturating_mul(per_page)).take(per_page).cloned().collect();
    Ok(CollectionPage { items, total })
}

/// The collection with this id.
pub fn get(caller: &Caller, app: &App, id: &str) -> Result<Arc<Collection>> {
    access::require(caller, Permission::CollectionsRead)?;
    app.schema.load().by_id(id).cloned().ok_or(Error::NotFound)
}

/// The collection of this name, whatever its case.
pub fn get_by_name(caller: &Caller, app: &App, name: &str) -> Result<Arc<Collection>> {
    access::require(caller, Permission::CollectionsRead)?;
    app.schema.load().by_name(name).cloned().ok_or(Error::NotFound)
}

/// What is to be said of an encrypted field that an expression names; the language knows it as unknown.
pub(crate) fn sealed_reason(collection: &Collection, reason: &str) -> Option<String> {
    let names = |at: usize| reason.starts_with(&format!("unknown field `{}`", collection.fields()[at].name));
    let at = collection.sealed().find(|at| names(*at))?;
    Some(format!("`{}` is encrypted: nothing can be compared with it or ordered by it", collection.fields()[at].name))
}
