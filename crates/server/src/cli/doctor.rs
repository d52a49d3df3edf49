//! `doctor`: looks that nothing is wrong with what is stored.

use std::process::ExitCode;

use fastcms_core::Caller;
use fastcms_core::config::{Command, Sources};
use fastcms_core::sealing::{self, Examined};

use super::running::{block_on, open, settings};
use super::{Failure, Outcome};

/// Tries to open everything that is sealed. Exit code 0 only where all of it opens.
pub fn secrets(as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let examined = block_on(async {
        let app = open(config).await?;
        let examined = sealing::examine(&Caller::operator(), &app).await;
        app.store.close().await;
        examined.map_err(Failure::from)
    })??;
    if as_json {
        let places: Vec<_> = examined.iter().map(json).collect();
        say!("{}", serde_json::to_string_pretty(&serde_json::json!({"places": places}))?)?;
    } else {
        examined.iter().try_for_each(print)?;
    }
    let all_open = examined.iter().all(|place| place.refused == 0);
    Ok(if all_open { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json(place: &Examined) -> serde_json::Value {
    let named: Vec<_> = place.named.iter().map(|(id, why)| serde_json::json!({"id": id, "why": why})).collect();
    serde_json::json!({"place": place.place, "opened": place.opened, "refused": place.refused, "first": named})
}

fn print(place: &Examined) -> Result<(), Failure> {
    let Examined { place, opened, refused, named } = place;
    if *refused == 0 {
        return say!("{place}: {opened} open");
    }
    say!("{place}: {opened} open, {refused} DO NOT OPEN")?;
    for (id, why) in named {
        say!("  {id}: {why}")?;
    }
    Ok(())
}
