//! Settings that admins change while the server runs, beside those that it starts with.
//!
//! A few have an effect here; those are checked, in force on this node before a change is answered, and on others once they hear of it
//! (or have looked, every few seconds). Some show what a variable says: the variable governs. Others are kept for whoever reads them.
//! Where the settings cannot be read anew those in force stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use fastcms_store::settings as rows;
pub use fastcms_store::settings::Setting;
use fastcms_store::{LockName, Plan, Store};
use serde_json::Value as Json;
use tokio::sync::Notify;

mod known;

use known::{KNOWN, Mirrored, OWN};

use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Entry, Event, Recorded};
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};
use crate::mail;
use crate::time::stamp;

/// Settings of one's own that may be kept.
pub const MAX_FREE: usize = 200;
/// Longest value, bytes of JSON.
pub const MAX_VALUE: usize = 8 * 1024;
/// Longest name of a setting or a category, and longest description, characters.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 500;
/// How often the store is asked whether another process changed them.
const LOOK: Duration = Duration::from_secs(4);
/// How long to wait before reading again what could not be read.
const AGAIN: Duration = Duration::from_secs(1);

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Values {
    /// Whether accounts sign in with a password.
    pub password_auth: bool,
    /// Whether accounts sign in with a code sent by mail.
    pub one_time_codes: bool,
    /// Whether an account has to have shown that its address is its own before it signs in.
    pub verification_required: bool,
    /// Whether requests are noted.
    pub request_log: bool,
    /// Days that the request log is kept.
    pub request_log_days: u32,
}

impl Values {
    fn of(stored: &[Setting]) -> Self {
        let value = |category: &str, key: &str| {
            let known = known::find(category, key);
            let found = stored.iter().find(|row| row.category == category && row.key == key);
            let found = found.and_then(|row| serde_json::from_str::<Json>(&row.value).ok());
            let fits = |value: &Json| known.is_some_and(|known| known.kind.fault(value).is_none());
            found.filter(fits).or_else(|| known.map(known::Known::preset)).unwrap_or_default()
        };
        let flag = |category, key| value(category, key) == Json::Bool(true);
        Self {
            password_auth: flag("auth", "password_auth_enabled"),
            one_time_codes: flag("auth", "otp_enabled"),
            verification_required: flag("auth", "verification_required"),
            request_log: flag("logs", "enabled"),
            request_log_days: value("logs", "retention_days").as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(7),
        }
    }
}

/// The settings in force on this node.
#[derive(Debug)]
pub struct Settings {
    values: ArcSwap<Values>,
    /// Rings when another node changed them.
    changed: Notify,
}

impl Settings {
    /// The settings as they stand in the store.
    pub async fn load(store: &Store) -> Result<Self> {
        let values = Values::of(&store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?);
        Ok(Self { values: ArcSwap::from_pointee(values), changed: Notify::new() })
    }

    /// What is in force at this moment.
    pub fn now(&self) -> Guard<Arc<Values>> {
        self.values.load()
    }

    /// Another node changed them.
    pub(crate) fn note_change(&self) {
        self.changed.notify_one();
    }
}

/// Keeps the memory of this node true until the product ends.
pub(crate) fn follow(app: &Arc<App>) {
    let weak = Arc::downgrade(app);
    tokio::spawn(async move {
        let mut wait = LOOK;
        loop {
            let Some(app) = weak.upgrade() else { return };
            let _ = tokio::time::timeout(wait, app.settings.changed.notified()).await;
            wait = match reload(&app).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::error!(%error, "the settings could not be read again; those in force stay");
                    AGAIN
                }
            };
        }
    });
}

async fn reload(app: &App) -> Result<()> {
    let stored = app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    app.settings.values.store(Arc::new(Values::of(&stored)));
    mail::reload_templates(app).await
}

/// A setting as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub value: Json,
    pub description: Option<String>,
}

/// All settings, by category and key. Secrets are masked.
pub async fn all(caller: &Caller, app: &App) -> Result<BTreeMap<String, BTreeMap<String, Shown>>> {
    access::require(caller, Permission::SettingsRead)?;
    let stored = app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?;
    let mut shown: BTreeMap<String, BTreeMap<String, Shown>> = BTreeMap::new();
    let mut show = |category: &str, key: &str, value: Json, description: Option<String>| {
        let category = shown.entry(category.to_owned()).or_default();
        category.insert(key.to_owned(), Shown { value, description });
    };
    for row in stored {
        let value = serde_json::from_str(&row.value).unwrap_or_default();
        show(&row.category, &row.key, value, row.description);
    }
    for Mirrored { category, key, variable, value } in known::mirrored(&app.config) {
        show(category, key, value, Some(format!("What the variable {variable} says; read-only")));
    }
    for setting in KNOWN {
        let category = shown.entry(setting.category.to_owned()).or_default();
        let entry = category
            .entry(setting.key.to_owned())
            .or_insert_with(|| Shown { value: setting.preset(), description: None });
        entry.description = Some(setting.description.to_owned());
    }
    Ok(shown)
}

/// The settings of one category.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn of_category(caller: &Caller, app: &App, category: &str) -> Result<BTreeMap<String, Shown>> {
    all(caller, app).await?.remove(category).ok_or(Error::NotFound)
}

/// A setting that somebody wants to have.
#[derive(Debug, Clone)]
pub struct NewSetting {
    pub category: String,
    pub key: String,
    pub value: Json,
    pub description: Option<String>,
}

/// Sets a setting, in force everywhere.
///
/// # Errors
/// [`Error::MailNotConfigured`] for what cannot go without mail, [`Error::WouldLockYouOut`] for what would leave the caller no way in.
pub async fn set(caller: &Caller, app: &App, new: NewSetting) -> Result<Setting> {
    access::require(caller, Permission::SettingsWrite)?;
    check(app, &new)?;
    let row = Setting {
        id: app.new_id(),
        category: new.category,
        key: new.key,
        value: new.value.to_string(),
        description: new.description,
        updated: stamp(app.now_millis()),
    };
    let (asking, has_mail, value) = (caller.clone(), app.config.mail.is_enabled(), new.value);
    let kept = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("settings")).await?;
            let stored = rows::all_in(tx).await?;
            judge(&asking, has_mail, &Values::of(&stored), &row, &value)?;
            let before = stored.iter().find(|other| is_same(other, &row.category, &row.key));
            let is_known = known::find(&row.category, &row.key).is_some();
            let free = stored.iter().filter(|other| known::find(&other.category, &other.key).is_none()).count();
            if !is_known && before.is_none() && free >= MAX_FREE {
                return Err(Error::field("key", format!("There are {MAX_FREE} settings already")));
            }
            let event = changed(&row.category, &row.key, before, Some(&row));
            let kept = Setting { id: before.map_or_else(|| row.id.clone(), |before| before.id.clone()), ..row.clone() };
            rows::put(tx, row).await?;
            Ok::<_, Error>(trail.record(tx, event).with(kept))
        })
    })
    .await?;
    reload(app).await?;
    Ok(kept)
}

/// Takes a setting back to what it is where nobody set it, which shuts nobody out. `name` is its key, or category and key with a dot between where several have
/// the same key. Whether anything was set.
pub async fn delete(caller: &Caller, app: &App, name: &str) -> Result<bool> {
    access::require(caller, Permission::SettingsWrite)?;
    let wanted = name.to_owned();
    let gone = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("settings")).await?;
            let stored = rows::all_in(tx).await?;
            let named = |row: &&Setting| match wanted.split_once('.') {
                Some((category, key)) => is_same(row, category, key),
                None => row.key == wanted,
            };
            let found: Vec<&Setting> = stored.iter().filter(named).collect();
            let [row] = found[..] else {
                if found.is_empty() {
                    return Ok(Recorded::nothing_happened().with(false));
                }
                return Err(Error::field("key", "Several categories have it: say which, such as `app.key`"));
            };
            let event = changed(&row.category, &row.key, Some(row), None);
            let gone = rows::delete(tx, &row.category, &row.key).await?;
            Ok::<_, Error>(trail.record(tx, event).with(gone))
        })
    })
    .await?;
    reload(app).await?;
    Ok(gone)
}

fn is_same(row: &Setting, category: &str, key: &str) -> bool {
    row.category == category && row.key == key
}

/// The event of a change. Of settings that are not ours only the name is said: who knows what is kept there.
fn changed(category: &str, key: &str, before: Option<&Setting>, after: Option<&Setting>) -> Entry {
    let event = Event::SettingChanged.on("setting", format!("{category}.{key}"));
    let Some(known) = known::find(category, key) else { return event };
    let value = |row: Option<&Setting>| {
        row.and_then(|row| serde_json::from_str(&row.value).ok()).unwrap_or_else(|| known.preset())
    };
    event.change(value(before), value(after))
}

fn check(app: &App, new: &NewSetting) -> Result<()> {
    let mut faults = FieldErrors::default();
    for (field, name) in [("key", &new.key), ("category", &new.category)] {
        if !is_name(name) {
            faults.add(field, "Must be lower-case letters, digits and underscores, at most 64");
        }
    }
    if new.description.as_ref().is_some_and(|text| text.contains('\0') || text.chars().count() > MAX_DESCRIPTION) {
        faults.add("description", format!("Maximum length is {MAX_DESCRIPTION}"));
    }
    let text = new.value.to_string();
    if new.value.is_null() {
        faults.add("value", "This field is required");
    } else if text.len() > MAX_VALUE || text.contains("\\u0000") {
        faults.add("value", format!("Maximum length is {MAX_VALUE}"));
    }
    faults.into_result()?;
    if let Some(known) = known::find(&new.category, &new.key) {
        return known.kind.fault(&new.value).map_or(Ok(()), |fault| Err(Error::field("value", fault)));
    }
    let mirrored = known::mirrored(&app.config);
    if let Some(mirrored) = mirrored.iter().find(|its| its.category == new.category && its.key == new.key) {
        return Err(Error::field("key", format!("Read-only: the variable {} governs", mirrored.variable)));
    }
    if OWN.contains(&new.category.as_str()) {
        return Err(Error::field("key", "Unknown setting of this category"));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Refuses what would leave the caller, or anybody, no way in, and what cannot go without mail.
fn judge(caller: &Caller, has_mail: bool, now: &Values, row: &Setting, value: &Json) -> Result<()> {
    let needs_mail = || if has_mail { Ok(()) } else { Err(Error::MailNotConfigured) };
    match (row.category.as_str(), row.key.as_str(), value == &Json::Bool(true)) {
        ("auth", "verification_required", true) => {
            needs_mail()?;
            if caller.account().is_some_and(|account| !account.verified) {
                return Err(Error::WouldLockYouOut);
            }
        }
        ("auth", "password_auth_enabled", false) => {
            needs_mail()?;
            if !now.one_time_codes {
                return Err(Error::WouldLockYouOut);
            }
        }
        ("auth", "otp_enabled", false) if !now.password_auth => return Err(Error::WouldLockYouOut),
        _ => {}
    }
    Ok(())
}
