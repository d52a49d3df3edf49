//! Which secrets the settings hold, where each comes from, how old it is, and whether it is fresh. Never what it is.

use std::time::UNIX_EPOCH;

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::config::{Kind, Origin, catalog};
use crate::error::Result;

/// Age in days from which a key is due for rotation: nobody notices one.
pub const KEY_DAYS: u32 = 90;
/// The same of any other secret: somebody else has to take the new one too.
pub const OTHER_DAYS: u32 = 365;

/// A secret of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The setting.
    pub name: &'static str,
    /// Where it comes from: a place, or a reference.
    pub source: String,
    /// What its manager calls the version in force.
    pub version: Option<String>,
    /// How old that is, where its source says so.
    pub age_days: Option<i64>,
    /// How it stands.
    pub state: State,
}

/// How a secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In force, and as its source has it.
    Fresh,
    /// In force, but its manager did not answer for it at the last look.
    Stale,
    /// Older than it should be.
    TooOld,
}

impl State {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::TooOld => "too_old",
        }
    }
}

/// Every secret that the settings hold, in the order of the settings reference.
pub async fn list(caller: &Caller, app: &App) -> Result<Vec<Item>> {
    access::require(caller, Permission::SecretsList)?;
    let mut items = Vec::new();
    for variable in catalog::ALL.iter().filter(|variable| variable.is_secret()) {
        let origin = app.config.origin(variable);
        if *origin == Origin::Default {
            continue;
        }
        let held = match &app.custody {
            Some(custody) => custody.version_of(variable.name).await,
            None => None,
        };
        let (source, version, created, is_stale) = match held {
            Some(held) => (held.reference.to_string(), Some(held.version), held.created, held.is_stale),
            None => (origin.to_string(), None, written(origin), false),
        };
        let age_days = created.map(|created| (app.now_seconds() - created).max(0) / 86_400);
        let usual = if matches!(variable.kind, Kind::Key | Kind::Keys) { KEY_DAYS } else { OTHER_DAYS };
        let limit = i64::from(app.config.secrets.max_age_days.unwrap_or(usual));
        let state = match age_days {
            _ if is_stale => State::Stale,
            Some(days) if days >= limit => State::TooOld,
            _ => State::Fresh,
        };
        items.push(Item { name: variable.name, source, version, age_days, state });
    }
    Ok(items)
}

/// When a file was written, unix seconds.
fn written(origin: &Origin) -> Option<i64> {
    let Origin::File(path) = origin else { return None };
    let at = path.metadata().and_then(|about| about.modified()).ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
