//! Which secrets the settings hold, where each comes from, how old it is, and whether it is fresh. Never what it is.

use std::time::UNIX_EPOCH;

use fastcms_secrets::Reference;

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::config::{Kind, Origin, Variable, catalog};
use crate::error::Result;
use crate::metrics::SecretAge;

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
    /// Its place was asked, and there is none that could be used.
    Missing,
}

impl State {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::TooOld => "too_old",
            Self::Missing => "missing",
        }
    }
}

/// Every secret that the settings hold, in the order of the settings reference.
pub async fn list(caller: &Caller, app: &App) -> Result<Vec<Item>> {
    access::require(caller, Permission::SecretsList)?;
    let mut items = Vec::new();
    for variable in secrets() {
        items.extend(item(app, variable).await);
    }
    Ok(items)
}

/// The same for the metrics.
pub(crate) async fn figures(app: &App) -> Vec<SecretAge> {
    let mut ages = Vec::new();
    for variable in secrets() {
        let Some((about, is_stale)) = about(app, variable).await else { continue };
        let age_seconds = about.created.map(|created| (app.now_seconds() - created).max(0));
        ages.push(SecretAge { name: variable.name, age_seconds, is_stale });
    }
    if let Some(custody) = app.custody.as_ref().filter(|_| app.config.keys.transit_key.is_some()) {
        let is_stale = custody.standing().transit.is_some();
        ages.push(SecretAge { name: catalog::ENCRYPTION_TRANSIT_KEY.name, age_seconds: None, is_stale });
    }
    ages
}

/// The settings that are secrets.
pub(super) fn secrets() -> impl Iterator<Item = &'static Variable> {
    catalog::ALL.iter().copied().filter(|variable| variable.is_secret())
}

/// A secret of the settings, if they hold it.
pub(super) async fn item(app: &App, variable: &'static Variable) -> Option<Item> {
    let (about, is_stale) = about(app, variable).await?;
    let age_days = about.created.map(|created| (app.now_seconds() - created).max(0) / 86_400);
    let state = match age_days {
        _ if is_stale => State::Stale,
        Some(days) if days >= limit_days(variable, app.config.secrets.max_age_days) => State::TooOld,
        _ => State::Fresh,
    };
    Some(Item { name: variable.name, source: about.source, version: about.version, age_days, state })
}

/// What is known of a secret, but for the secret.
pub(super) struct About {
    pub source: String,
    pub version: Option<String>,
    /// When it was written, unix seconds, where that is known.
    pub created: Option<i64>,
}

/// What is known of a secret that the settings hold, and whether its manager did not answer for it at the last look.
pub(super) async fn about(app: &App, variable: &'static Variable) -> Option<(About, bool)> {
    let origin = app.config.origin(variable);
    if *origin == Origin::Default {
        return None;
    }
    let held = match &app.custody {
        Some(custody) => custody.version_of(variable.name).await,
        None => None,
    };
    Some(match held {
        Some(held) => {
            let (source, version) = (held.reference.to_string(), Some(held.version));
            (About { source, version, created: held.created }, held.is_stale)
        }
        None => (About { source: origin.to_string(), version: None, created: written(origin) }, false),
    })
}

/// Age in days from which a secret is due for rotation.
pub(super) fn limit_days(variable: &Variable, chosen: Option<u32>) -> i64 {
    let usual = if matches!(variable.kind, Kind::Key | Kind::Keys) { KEY_DAYS } else { OTHER_DAYS };
    chosen.unwrap_or(usual).into()
}

/// When a file was written, unix seconds.
pub(super) fn written(origin: &Origin) -> Option<i64> {
    let (Origin::File(path) | Origin::Age(Reference::Age { path, .. })) = origin else { return None };
    let at = path.metadata().and_then(|about| about.modified()).ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
