//! `secrets`: which secrets the settings hold, what becomes of each, and another in the place of one. No command prints one.

use std::process::ExitCode;

use fastcms_core::config::{Command, Sources};
use fastcms_core::secrets::{self, Checked, State};
use fastcms_core::{Caller, access};
use fastcms_guard::clock::{Clock, SystemClock};
use serde::Serialize;

use super::running::{block_on, open, settings};
use super::{Failure, Outcome};
use crate::api::secrets::{ItemBody, SecretsBody};

/// What is added to a secret where it is asked what would come of it.
#[derive(Serialize)]
struct CheckedBody {
    #[serde(flatten)]
    item: ItemBody,
    fault: Option<String>,
    then: String,
}

/// Follows every reference once, and says what came of it; exit code 1 when a secret is not as it should be.
pub fn list(as_json: bool) -> Outcome {
    let all = look()?;
    let is_sound = all.iter().all(|one| one.item.state == State::Fresh);
    if as_json {
        let items = all.into_iter().map(|one| one.item).collect();
        say!("{}", serde_json::to_string_pretty(&SecretsBody::new(items))?)?;
    } else {
        print(&all, |_| Vec::new())?;
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does the same, and says what would come of it; exit code 1 when a server would not start for the want of a secret.
pub fn check(as_json: bool) -> Outcome {
    let all = look()?;
    let starts = all.iter().all(|one| one.fault.is_none());
    if as_json {
        let total = all.len();
        let body = |Checked { item, fault, then }| CheckedBody { item: item.into(), fault, then };
        let items: Vec<CheckedBody> = all.into_iter().map(body).collect();
        say!("{}", serde_json::to_string_pretty(&serde_json::json!({"items": items, "total": total}))?)?;
    } else {
        print(&all, |one| one.fault.iter().cloned().chain([one.then.clone()]).collect())?;
    }
    Ok(if starts { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes a key anew where it is kept.
pub fn rotate(name: &str, as_json: bool) -> Outcome {
    let settings = settings(&Sources::from_process(), Command::Other)?;
    let item = block_on(async {
        let app = open(settings).await?;
        let caller = access::recent(Caller::operator(), &app)?;
        let item = secrets::rotate(&caller, &app, name).await;
        app.store.close().await;
        item.map_err(Failure::from)
    })??;
    if as_json {
        say!("{}", serde_json::to_string_pretty(&ItemBody::from(item))?)?;
    } else {
        let version = item.version.map_or_else(String::new, |version| format!(", version {version}"));
        say!("{name} was made anew: {}{version}", item.source)?;
        say!("a running server verifies with it at once, and signs with it within 3 times SECRETS_REFRESH_SECONDS")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn look() -> Result<Vec<Checked>, Failure> {
    let now = SystemClock.now().as_seconds();
    block_on(async { secrets::check(&Caller::operator(), &Sources::from_process(), now).await })
}

/// A line a secret, in columns; what else there is to say of one stands below it.
fn print(all: &[Checked], more: impl Fn(&Checked) -> Vec<String>) -> Result<(), Failure> {
    let rows: Vec<[String; 4]> = all.iter().map(columns).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for (one, [name, state, age, version]) in all.iter().zip(&rows) {
        let [a, b, c, d] = widths;
        say!("{name:<a$}  {state:<b$}  {age:<c$}  {version:<d$}  {}", one.item.source)?;
        for line in more(one) {
            say!("  {line}")?;
        }
    }
    Ok(())
}

fn columns(one: &Checked) -> [String; 4] {
    let item = &one.item;
    let age = item.age_days.map_or_else(|| "-".to_owned(), |days| format!("{days} d"));
    let version = item.version.clone().unwrap_or_else(|| "-".to_owned());
    [item.name.to_owned(), item.state.name().to_owned(), age, version]
}
