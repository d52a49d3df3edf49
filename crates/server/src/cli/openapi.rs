//! `openapi`: the schema, whether or not a server would show it.

use std::process::ExitCode;

use fastcms_core::config::{Command, Sources};

use super::running::{block_on, open, settings};
use super::{Outcome, SchemaFormat};
use crate::api;
use crate::openapi::to_yaml;

pub fn print(format: SchemaFormat) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let document = block_on(async {
        let app = open(config).await?;
        let document = api::document(&app);
        app.store.close().await;
        Ok::<_, super::Failure>(document)
    })??;
    match format {
        SchemaFormat::Json => say!("{}", serde_json::to_string_pretty(&document)?)?,
        SchemaFormat::Yaml => super::write_out(format_args!("{}", to_yaml(&document)))?,
    }
    Ok(ExitCode::SUCCESS)
}
