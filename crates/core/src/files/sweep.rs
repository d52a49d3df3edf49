//! The chores of the storage: ready at the start, tidy while it runs.

use fastcms_store::files as rows;
use fastcms_store::{Plan, Store};

use super::storage::fault;
use crate::access;
use crate::app::App;
use crate::caller::Caller;
use crate::error::Result;

/// Makes the place for files, so that a fault of it shows at the start. A server that only reads goes on without.
pub async fn prepare(caller: &Caller, app: &App) -> Result<()> {
    check(caller, app).await
}

/// Whether a file could be stored now.
pub async fn check(caller: &Caller, app: &App) -> Result<()> {
    access::require_admin(caller)?;
    app.files.storage.check().await.map_err(|error| fault(&error))
}

/// Takes away what uploads have left behind that were cut off by the end of a process, and bytes whose row is gone. What other
/// processes are at work on stays. How much it was.
pub async fn sweep(caller: &Caller, app: &App) -> Result<usize> {
    access::require_admin(caller)?;
    let store = app.store.clone();
    let known =
        move |ids: Vec<String>| -> futures_util::future::BoxFuture<'_, _> { Box::pin(known(store.clone(), ids)) };
    app.files.storage.sweep(&known).await
}

async fn known(store: Store, ids: Vec<String>) -> Result<std::collections::HashSet<String>> {
    Ok(store.read(Plan::Scan, move |reader| Box::pin(async move { rows::known(reader, &ids).await })).await?)
}
