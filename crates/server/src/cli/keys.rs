//! `keys`: what depends on each key that signs tokens, new keys, and rotation. No command prints a key but `keys generate`.

use std::io::Write;
use std::process::ExitCode;

use fastcms_core::config::{Command, Sources};
use fastcms_core::keys::{self, KeyStatus};
use fastcms_core::{Caller, time::stamp};
use fastcms_guard::ids::{SystemRng, hex};
use fastcms_guard::keys::Role;

use super::running::{block_on, open, settings};
use super::{Failure, Outcome};
use crate::api::keys::{KeysBody, state};

pub fn generate() -> Outcome {
    writeln!(std::io::stdout(), "{}", hex::<32>(&SystemRng))?;
    Ok(ExitCode::SUCCESS)
}

pub fn status(as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let keys = block_on(async {
        let app = open(config).await?;
        let keys = keys::status(&Caller::operator(), &app).await;
        app.store.close().await;
        keys.map_err(Failure::from)
    })??;
    let waiting = keys.iter().any(|key| key.role == Role::Previous && !key.is_safe_to_remove());
    if as_json {
        println!("{}", serde_json::to_string_pretty(&KeysBody::new(keys))?);
    } else {
        keys.iter().for_each(print);
    }
    Ok(if waiting { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(key: &KeyStatus) {
    let at = |seconds: Option<i64>| seconds.map_or_else(|| "never".to_owned(), |at| stamp(at * 1000));
    let until =
        |seconds: Option<i64>| seconds.map_or_else(|| "none".to_owned(), |at| format!("until {}", stamp(at * 1000)));
    println!("{}  {}", key.kid, state(key.role));
    let ends = &key.outstanding;
    for (what, value) in [
        ("first seen", at(key.first_seen)),
        ("last verified", at(key.last_verified)),
        ("access tokens", until(ends.access)),
        ("refresh tokens", until(ends.refresh)),
        ("file tokens", until(ends.file)),
        ("impersonation", until(ends.impersonation)),
        ("live families", key.live_families.to_string()),
        ("sealed rows", key.wrapped.to_string()),
    ] {
        println!("  {what:<15} {value}");
    }
    if key.is_safe_to_remove() {
        println!("  SAFE to remove");
    } else {
        println!("  NOT SAFE to remove: {}", key.dependents.join("; "));
    }
}
