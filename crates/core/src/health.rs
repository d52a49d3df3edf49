//! How the product fares: whether its database answers and takes writes, and what is left of the host under it.

use std::path::PathBuf;
use std::time::Duration;

use fastcms_store::Error as StoreError;

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::config::Engine;
use crate::error::Result;

mod folders;
mod host;

pub(crate) use host::Cpu;
pub use host::Host;

/// Longest wait for the database: a probe that hangs says less than one that fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of the product and the host under it.
#[derive(Debug)]
pub struct Report {
    /// Whether the database answers.
    pub database: bool,
    /// Why writes are refused; `None`: they are not, as far as can be told without making one.
    pub read_only: Option<String>,
    /// How busy the host is.
    pub host: Host,
    /// Bytes of the database file and of the files kept on this machine; `None`: they cannot be counted, or are too many to.
    pub stored_bytes: Option<u64>,
}

/// Whether the database answers soon. For everybody: it says nothing else.
pub async fn database_answers(_: &Caller, app: &App) -> bool {
    match tokio::time::timeout(PATIENCE, app.store.ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database does not answer");
            false
        }
        Err(_) => {
            tracing::warn!("the database does not answer in time");
            false
        }
    }
}

/// All of it, for those who may read metrics.
pub async fn report(caller: &Caller, app: &App) -> Result<Report> {
    access::require(caller, Permission::MetricsRead)?;
    let database = database_answers(caller, app).await;
    let read_only = if database { refused_writes(app).await } else { None };
    let (database_file, folder) = places(app);
    let busy = app.cpu.share();
    let looked = tokio::task::spawn_blocking(move || {
        let stored = folders::size(database_file.as_deref(), &folder);
        (stored, Host::look(busy, database_file.as_deref().unwrap_or(&folder)))
    });
    let (stored_bytes, host) = looked.await.unwrap_or_default();
    Ok(Report { database, read_only, host, stored_bytes })
}

/// Why the database refuses to be written to. Nothing is written to find out.
async fn refused_writes(app: &App) -> Option<String> {
    match tokio::time::timeout(PATIENCE, app.store.try_writing()).await {
        Ok(Err(error @ StoreError::ReadOnly(_))) => {
            tracing::warn!(%error, "the database refuses to be written to");
            Some("The database refuses to be written to".to_owned())
        }
        _ => None,
    }
}

/// The database file, where there is one, and the folder of files.
fn places(app: &App) -> (Option<PathBuf>, PathBuf) {
    let file = match &app.config.database.engine {
        Engine::Sqlite { path } => Some(path.clone()),
        Engine::Postgres => None,
    };
    (file, app.config.storage.local_path.clone())
}
