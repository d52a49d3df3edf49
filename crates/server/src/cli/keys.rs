//! `keys`: what depends on each key that signs tokens, new keys, and rotation. No command prints a key but `keys generate`.

use std::process::ExitCode;

use fastcms_core::config::{Command, Engine, Origin, Sources, catalog};
use fastcms_core::keys::{self, KeyStatus, Wrapper, WrapperKind};
use fastcms_core::{App, Caller, access, sealing, time::stamp};
use fastcms_guard::ids::{SystemRng, hex};
use fastcms_guard::keys::Role;

use super::running::{block_on, open, settings};
use super::{Failure, Outcome, confirmed};
use crate::api::keys::{KeysBody, state};

pub fn generate() -> Outcome {
    say!("{}", hex::<32>(&SystemRng))?;
    Ok(ExitCode::SUCCESS)
}

pub fn status(as_json: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let (keys, wrappers) = block_on(async {
        let app = open(config).await?;
        let keys = keys::status(&Caller::operator(), &app).await;
        let wrappers = keys::wrappers(&Caller::operator(), &app).await;
        app.store.close().await;
        Ok::<_, Failure>((keys?, wrappers?))
    })??;
    let waiting = keys.iter().any(|key| key.role == Role::Previous && !key.is_safe_to_remove())
        || wrappers.iter().any(|key| !key.is_current && !key.is_safe_to_remove());
    if as_json {
        say!("{}", serde_json::to_string_pretty(&KeysBody::new(keys, wrappers))?)?;
    } else {
        keys.iter().try_for_each(print)?;
        wrappers.iter().try_for_each(print_wrapper)?;
    }
    Ok(if waiting { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(key: &KeyStatus) -> Result<(), Failure> {
    let at = |seconds: Option<i64>| seconds.map_or_else(|| "never".to_owned(), |at| stamp(at * 1000));
    let until =
        |seconds: Option<i64>| seconds.map_or_else(|| "none".to_owned(), |at| format!("until {}", stamp(at * 1000)));
    say!("{}  {}", key.kid, state(key.role))?;
    let ends = &key.outstanding;
    for (what, value) in [
        ("first seen", at(key.first_seen)),
        ("last verified", at(key.last_verified)),
        ("access tokens", until(ends.access)),
        ("refresh tokens", until(ends.refresh)),
        ("file tokens", until(ends.file)),
        ("impersonation", until(ends.impersonation)),
        ("live families", key.live_families.to_string()),
        ("data keys", key.wrapped.to_string()),
        ("sealed values", key.sealed.to_string()),
    ] {
        say!("  {what:<15} {value}")?;
    }
    if key.is_safe_to_remove() {
        say!("  SAFE to remove")
    } else {
        say!("  NOT SAFE to remove: {}", key.dependents.join("; "))
    }
}

fn print_wrapper(key: &Wrapper) -> Result<(), Failure> {
    let state = if key.is_current { "wraps data keys" } else { "wraps nothing more" };
    match key.kind {
        WrapperKind::EncryptionKey => say!("{}  ENCRYPTION_KEY, {state}", key.name)?,
        WrapperKind::Transit => say!("{}  transit key, {state}", key.name)?,
    }
    for (what, value) in [("data keys", key.wrapped.data_keys), ("sealed values", key.wrapped.sealed)] {
        say!("  {what:<15} {value}")?;
    }
    for (version, its) in &key.versions {
        let what = format!("version {version}");
        say!("  {what:<15} {} data keys, {} sealed values", its.data_keys, its.sealed)?;
    }
    match (key.is_safe_to_remove(), key.is_current) {
        (true, _) => say!("  SAFE to remove"),
        (false, true) => say!("  NOT SAFE to remove: it wraps every new data key"),
        (false, false) => say!("  NOT SAFE to remove: a start, or `fastcms keys rewrap`, wraps its data keys anew"),
    }
}

/// Has every data key wrapped by what wraps now.
pub fn rewrap() -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let done = block_on(async {
        let app = open(config).await?;
        let done = keys::rewrap(&Caller::operator(), &app).await;
        app.store.close().await;
        done.map_err(Failure::from)
    })??;
    let s = if done == 1 { " was" } else { "s were" };
    say!("{done} data key{s} wrapped anew")?;
    Ok(ExitCode::SUCCESS)
}

/// What is said once a key has changed places.
const TAKEN_UP: &str = "a running server takes it up within 3 times SECRETS_REFRESH_SECONDS, or at a restart";

pub fn rotate(next: bool, emergency: bool, yes: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let is_in_settings = !matches!(config.origin(&catalog::SECRET_KEY), Origin::Manager(..) | Origin::File(_));
    let question = match (emergency, next) {
        (true, _) => "End every session and every token, and replace the key?",
        (_, true) => "Put a new key into SECRET_KEY_NEXT of `.env`?",
        _ if is_in_settings && config.database.engine == Engine::Postgres && config.keys.secret_key_next.is_none() => {
            "Several nodes must know a new key before one signs with it (`--next` first). Is this the only node, and rotate its key?"
        }
        _ => "Put a new key where the old one is kept, and the old one among the previous ones?",
    };
    if !yes && !confirmed(question)? {
        return Err(Failure::new("nothing has changed"));
    }
    block_on(async {
        let app = open(config).await?;
        let outcome = rotate_in(&app, next, emergency).await;
        app.store.close().await;
        outcome
    })?
}

async fn rotate_in(app: &App, next: bool, emergency: bool) -> Outcome {
    let caller = access::recent(Caller::operator(), app)?;
    let place = match app.config.origin(&catalog::SECRET_KEY) {
        Origin::Manager(reference, _) => format!("`{reference}`"),
        Origin::File(path) => format!("`{}`", path.display()),
        _ => "`.env`".to_owned(),
    };
    if emergency {
        let done = keys::revoke_everything(&caller, app).await?;
        let told = say!("{} sessions were ended, and every token is void", done.sessions);
        return match done.replaced {
            Ok(kid) => {
                told?;
                say!("SECRET_KEY in {place} is `{kid}` now; {TAKEN_UP}: restart at once")?;
                Ok(ExitCode::SUCCESS)
            }
            Err(why) => Err(Failure::new(format!("error: the key is still in force: {why}"))),
        };
    }
    if next {
        let kid = keys::stage(&caller, app).await?;
        say!("SECRET_KEY_NEXT in `.env` is `{kid}` now: once every node has it, run `fastcms keys rotate` on each")?;
    } else {
        let kid = keys::rotate(&caller, app).await?;
        say!("SECRET_KEY in {place} is `{kid}` now; {TAKEN_UP}")?;
        say!("`fastcms keys status` says when the key before it may leave SECRET_KEY_PREVIOUS")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Another data key for sealed values, and all of them under it.
pub fn reseal(yes: bool) -> Outcome {
    let config = settings(&Sources::from_process(), Command::Other)?;
    let question =
        "Make another data key, and seal every value anew under it? It goes on in the background if it is broken off";
    if !yes && !confirmed(question)? {
        return Err(Failure::new("nothing has changed"));
    }
    block_on(async {
        let app = open(config).await?;
        let outcome = reseal_in(&app).await;
        app.store.close().await;
        outcome
    })?
}

async fn reseal_in(app: &App) -> Outcome {
    let caller = access::recent(Caller::operator(), app)?;
    let id = sealing::renew(&caller, app, sealing::SETTLING).await?;
    // The work goes on where nobody hears of it.
    let mut told = say!("data key {id} seals from now on");
    let mut all = 0;
    loop {
        let moved = sealing::reseal(&caller, app).await?;
        if moved == 0 {
            break;
        }
        all += moved;
        told = told.and(say!("{all} values are sealed under it"));
    }
    told?;
    Ok(ExitCode::SUCCESS)
}
