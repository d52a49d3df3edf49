//! `secrets`: which secrets the settings hold, and how they stand. No command prints one.

use std::process::ExitCode;

use fastcms_core::Caller;
use fastcms_core::config::{Command, Sources};
use fastcms_core::secrets::{self, State};

use super::running::{block_on, open, settings};
use super::{Failure, Outcome};
use crate::api::secrets::SecretsBody;

/// Follows every reference and says what came of it; exit code 1 when a secret is not as it should be.
pub fn list(as_json: bool) -> Outcome {
    let settings = settings(&Sources::from_process(), Command::Other)?;
    let items = block_on(async {
        let app = open(settings).await?;
        let items = secrets::list(&Caller::operator(), &app).await;
        app.store.close().await;
        items.map_err(Failure::from)
    })??;
    let is_sound = items.iter().all(|item| item.state == State::Fresh);
    if as_json {
        println!("{}", serde_json::to_string_pretty(&SecretsBody::new(items))?);
    } else {
        let width = items.iter().map(|item| item.name.len()).max().unwrap_or(0);
        for item in &items {
            let age = item.age_days.map_or_else(|| "age unknown".to_owned(), |days| format!("{days} days old"));
            let version = item.version.as_ref().map_or_else(String::new, |version| format!(" version {version}"));
            println!("{:<width$}  {:<8}  {age}  {}{version}", item.name, item.state.name(), item.source);
        }
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
