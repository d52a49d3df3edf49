//! `config`: every setting, its value in force (secrets masked), its default, and where it came from.

use std::process::ExitCode;

use fastcms_core::config::{self, Command, Sources};

use super::Outcome;
use super::running::settings;

pub fn print(as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let rows = config::table(&config);
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "name": row.name, "value": row.value, "default": row.default,
                    "source": row.source.to_string(), "is_secret": row.is_secret,
                })
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let widest = |text: fn(&config::Effective) -> usize| rows.iter().map(text).max().unwrap_or(0);
    let name = widest(|row| row.name.chars().count());
    let value = widest(|row| row.value.chars().count()).min(60);
    for row in &rows {
        say!("{:<name$}  {:<value$}  {}", row.name, row.value, row.source)?;
    }
    for refusal in &config.refusals {
        complain!("would not serve: {refusal}");
    }
    for warning in &config.warnings {
        complain!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
