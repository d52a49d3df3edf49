//! `migrate status` and `migrate up`.

use std::process::ExitCode;

use fastcms_core::config::{Command, Sources};
use fastcms_store::migrations::{self, Migration};
use fastcms_store::{Store, StoreConfig};
use serde_json::json;

use super::running::{block_on, settings};
use super::{Failure, Outcome};

async fn open() -> Result<Store, Failure> {
    let config = settings(&Sources::from_process(), Command::Other)?;
    Ok(Store::open(StoreConfig::new(config.database.url.clone())).await?)
}

pub fn status(as_json: bool) -> Outcome {
    let status = block_on(async {
        let store = open().await?;
        let status = migrations::status(&store).await;
        store.close().await;
        status.map_err(Failure::from)
    })??;
    if as_json {
        let row = |migration: &Migration, applied: bool| json!({"version": migration.version, "name": migration.name, "applied": applied});
        let applied = status.applied.iter().map(|migration| row(migration, true));
        let rows: Vec<_> = applied.chain(status.pending.iter().map(|migration| row(migration, false))).collect();
        say!("{}", serde_json::to_string_pretty(&rows)?)?;
    } else {
        for (state, migrations) in [("applied", &status.applied), ("pending", &status.pending)] {
            for migration in migrations {
                say!("{state}  {:04}  {}", migration.version, migration.name)?;
            }
        }
        if status.applied.is_empty() {
            say!("the database is empty: whatever needs it first makes the schema")?;
        }
    }
    let is_older = !status.applied.is_empty() && !status.pending.is_empty();
    Ok(if is_older { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub fn up() -> Outcome {
    let applied = block_on(async {
        let store = open().await?;
        let applied = migrations::apply(&store).await;
        store.close().await;
        applied.map_err(Failure::from)
    })??;
    for migration in &applied {
        say!("applied {:04}  {}", migration.version, migration.name)?;
    }
    if applied.is_empty() {
        say!("nothing is pending")?;
    }
    Ok(ExitCode::SUCCESS)
}
