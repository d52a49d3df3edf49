//! Secrets that managers keep for us: asked for before anything opens, looked at again and again while the server runs.
//!
//! A manager that is down when a server starts is asked again until `SECRETS_BOOT_TIMEOUT` is over; then there is no start. One that
//! goes down later changes nothing but what readiness says: the values that are held go on being used. What is taken up of a change is
//! for whoever uses the setting: keys by [`crate::keys::Watch`], the rest by [`take_up`].
//!
//! How managers are spoken to is `fastcms_secrets`' matter; which settings there are, the configuration's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use fastcms_guard::ids::Rng;
use fastcms_secrets::{Managers, Reference, Resolution, TransitFault, TransitWrapped, Unresolved, Why};
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use crate::app::App;
use crate::audit::{self, Entry, Event};
use crate::caller::Caller;
use crate::config::{self, Database, Mail, Managed, Redis, Resolved, Sources, catalog};
use crate::error::{Error, Result};

mod ages;
mod check;
mod inventory;
pub(crate) mod rotation;
mod transit;

pub use ages::watch_ages;
pub use check::{Checked, check};
pub(crate) use inventory::figures;
pub use inventory::{Item, KEY_DAYS, OTHER_DAYS, State, list};
pub use rotation::rotate;
pub(crate) use transit::Named;

/// First pause between two tries at a start; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two tries at a start.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Events that wait for the store at most: it may be away for long.
const MAX_WAITING: usize = 1_000;

/// The secrets that managers keep for this process.
pub struct Custody {
    /// Where settings come from, but for what managers say.
    sources: Sources,
    wants: Managed,
    managers: Managers,
    held: Mutex<BTreeMap<Reference, Resolution>>,
    /// What the key that wraps data keys was tried with last, once it passed.
    transit: ArcSwapOption<TransitWrapped>,
    /// Until when a start waits for a manager.
    deadline: Instant,
    standing: ArcSwap<Standing>,
    waiting: std::sync::Mutex<Vec<Entry>>,
    changed: Notify,
}

/// How it stands with the secrets of managers.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What the last look at each brought; what it did not bring is held from an earlier one.
    pub faults: BTreeMap<Reference, Unresolved>,
    /// What keeps the key of a vault from wrapping data keys: those that are held go on being used.
    pub transit: Option<TransitFault>,
}

/// What is held of a secret, but for the secret.
struct HeldVersion {
    reference: Reference,
    version: String,
    created: Option<i64>,
    is_stale: bool,
}

/// Asks managers for everything that the settings refer to, and tries the key that is to wrap data keys. The answer is the sources with
/// what was found, whatever it is: a reference that leads nowhere is a fault of its setting. Answers nothing to watch where no manager
/// is to be asked.
pub async fn gather(sources: Sources, rng: &dyn Rng) -> (Sources, Option<Arc<Custody>>) {
    let wants = Managed::find(&sources);
    if wants.is_idle() {
        return (sources, None);
    }
    let managers = Managers::new(wants.managers.clone(), wants.wanted.keys());
    let deadline = Instant::now() + Duration::from_secs(wants.boot_timeout_seconds.into());
    let (mut held, mut pause) = (BTreeMap::new(), FIRST_PAUSE);
    let (found, tried) = loop {
        let found = follow(&managers, &wants, &held).await;
        held = values(&found);
        let tried = transit::attempt(&managers, &wants, &found, None).await;
        let not_tried = tried.as_ref().and_then(|tried| tried.as_ref().err());
        let faults = || found.values().filter_map(|found| found.as_ref().err());
        let is_lost = faults().any(|fault| !fault.why.is_passing()) || not_tried.is_some_and(|it| !it.why.is_passing());
        let is_done = held.len() == found.len() && not_tried.is_none();
        if is_done || is_lost || Instant::now() >= deadline {
            break (found, tried);
        }
        let seconds_left = deadline.saturating_duration_since(Instant::now()).as_secs();
        let told = |names: &str, fault: &dyn std::fmt::Display| {
            tracing::warn!(names, %fault, seconds_left, "the start waits for a secret (SECRETS_BOOT_TIMEOUT)");
        };
        for fault in faults() {
            told(&wants.names.get(&fault.reference).map(|names| names.join(", ")).unwrap_or_default(), fault);
        }
        if let Some(fault) = not_tried {
            told(catalog::ENCRYPTION_TRANSIT_KEY.name, fault);
        }
        // Who comes back late in the time that was given is still asked: the last look is at its end.
        tokio::time::sleep_until(deadline.min(Instant::now() + jittered(pause, rng))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    let (tried, transit_fault) = match tried {
        Some(Ok(tried)) => (Some(Arc::new(tried)), None),
        Some(Err(fault)) => (None, Some(fault)),
        None => (None, None),
    };
    let custody = Custody {
        sources: sources.clone(),
        waiting: std::sync::Mutex::new(reads(&wants, &BTreeMap::new(), &found)),
        wants,
        managers,
        held: Mutex::new(held),
        transit: ArcSwapOption::new(tried),
        deadline,
        standing: ArcSwap::default(),
        changed: Notify::new(),
    };
    (Sources { resolved: found, transit_fault, ..sources }, Some(Arc::new(custody)))
}

impl Custody {
    /// The settings' sources with what is held of the managers'.
    pub async fn sources(&self) -> Sources {
        let held = self.held.lock().await.clone();
        let resolved: Resolved = held.into_iter().map(|(reference, found)| (reference, Ok(found))).collect();
        Sources { resolved, ..self.sources.clone() }
    }

    /// Whether a manager did not say at the last look what it should: values of an earlier one are in use.
    pub fn is_stale(&self) -> bool {
        let standing = self.standing.load();
        !standing.faults.is_empty() || standing.transit.is_some()
    }

    /// How it stands.
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// The version of a setting's secret that is held.
    async fn version_of(&self, name: &str) -> Option<HeldVersion> {
        let (reference, _) = self.wants.names.iter().find(|(_, names)| names.contains(&name))?;
        let held = self.held.lock().await;
        let current = &held.get(reference)?.current;
        Some(HeldVersion {
            is_stale: self.standing.load().faults.contains_key(reference),
            reference: reference.clone(),
            version: current.label.clone(),
            created: current.created,
        })
    }

    /// Rings when a look brought something new.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How long to wait for the next look: a little less than `SECRETS_REFRESH_SECONDS`, by chance, so that nodes do not all ask at
    /// once and none asks late.
    pub fn pause(&self, rng: &dyn Rng) -> Duration {
        jittered(Duration::from_secs(self.wants.refresh_seconds.into()), rng)
    }

    /// Keeps us logged in until then.
    pub async fn keep_until(&self, until: Instant) {
        loop {
            let due = self.managers.keep().await.map_or(until, |due| Instant::now() + due);
            tokio::time::sleep_until(due.min(until)).await;
            if due >= until {
                return;
            }
        }
    }

    /// Looks at everything once.
    async fn look(&self) {
        let mut held = self.held.lock().await;
        let before = held.clone();
        drop(held);
        let found = follow(&self.managers, &self.wants, &before).await;
        let tried = transit::attempt(&self.managers, &self.wants, &found, self.transit.load().as_deref()).await;
        let transit = match tried {
            Some(Ok(tried)) => {
                self.transit.store(Some(Arc::new(tried)));
                None
            }
            Some(Err(fault)) => Some(fault),
            None => None,
        };
        let faults: BTreeMap<Reference, Unresolved> = found
            .iter()
            .filter_map(|(reference, found)| Some((reference.clone(), found.as_ref().err()?.clone())))
            .collect();
        let events = reads(&self.wants, &before, &found);
        held = self.held.lock().await;
        held.extend(values(&found));
        drop(held);
        self.tell(&faults);
        self.tell_of_transit(transit.as_ref());
        let is_new = !events.is_empty();
        self.note(events);
        self.standing.store(Arc::new(Standing { faults, transit }));
        if is_new {
            self.changed.notify_one();
        }
    }

    /// Says in the log and in the audit log what has become of a reference, once for each turn.
    fn tell(&self, faults: &BTreeMap<Reference, Unresolved>) {
        let before = self.standing.load();
        for (reference, fault) in faults {
            if before.faults.get(reference).is_none_or(|known| !same_kind(known, fault)) {
                let names = self.names(reference);
                tracing::error!(names, %fault, "a secret is stale: the value that is held goes on being used");
                let entry = Event::SecretReadFailed.on("secret", names);
                self.note(vec![entry.with("source", reference.to_string()).with("reason", fault.why.to_string())]);
            }
        }
        for reference in before.faults.keys().filter(|reference| !faults.contains_key(*reference)) {
            tracing::info!(names = self.names(reference), %reference, "a secret is fresh again");
        }
    }

    /// Does the same of the key that wraps data keys.
    fn tell_of_transit(&self, fault: Option<&TransitFault>) {
        let before = self.standing.load();
        let name = catalog::ENCRYPTION_TRANSIT_KEY.name;
        match (&before.transit, fault) {
            (None, Some(fault)) => self.tell_of_transit_fault(name, fault),
            (Some(known), Some(fault)) if !known.why.is_like(&fault.why) => self.tell_of_transit_fault(name, fault),
            (Some(known), None) => tracing::info!(name, key = %known.key, "the key that wraps data keys answers again"),
            _ => {}
        }
    }

    fn tell_of_transit_fault(&self, name: &str, fault: &TransitFault) {
        tracing::error!(name, %fault, "the key that wraps data keys is not to be had: the data keys that are held go on being used");
        let entry = Event::SecretReadFailed.on("secret", name).with("source", transit::source(&fault.key));
        self.note(vec![entry.with("reason", fault.why.to_string())]);
    }

    fn names(&self, reference: &Reference) -> String {
        self.wants.names.get(reference).map(|names| names.join(", ")).unwrap_or_default()
    }

    fn note(&self, events: Vec<Entry>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let room = MAX_WAITING.saturating_sub(waiting.len());
        waiting.extend(events.into_iter().take(room));
    }
}

/// Looks at everything that managers keep, once, and writes down what was read.
pub async fn refresh(caller: &Caller, app: &App) -> Result<()> {
    let Some(custody) = &app.custody else { return Ok(()) };
    custody.look().await;
    record(caller, app).await
}

/// Writes into the audit log which secrets were read, and which could not be.
pub async fn record(caller: &Caller, app: &App) -> Result<()> {
    let Some(custody) = &app.custody else { return Ok(()) };
    let events = std::mem::take(&mut *custody.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    if events.is_empty() {
        return Ok(());
    }
    let again = events.clone();
    let written = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let mut recorded = audit::Recorded::nothing_happened();
            for event in events {
                recorded = trail.record(tx, event);
            }
            Ok::<_, Error>(recorded.with(()))
        })
    })
    .await;
    if written.is_err() {
        custody.note(again);
    }
    written
}

/// Takes up what changed of settings other than keys. A value that cannot be taken up leaves the one in force.
pub async fn take_up(_operator: &Caller, app: &App, sources: &Sources) {
    if let Some(password) = Mail::reread(sources).password {
        app.mail.take_password(password);
    }
    if let Some(redis) = Redis::reread(sources) {
        match app.limits.take_redis(&redis.url).await {
            Ok(false) => {}
            Ok(true) => tracing::info!("another REDIS_URL was taken up"),
            Err(why) => tracing::error!(why, "what REDIS_URL says now does not work: the one in force stays"),
        }
    }
    if config::Audit::reread(sources).is_some_and(|settings| app.audit.take_webhook(settings)) {
        tracing::info!("another AUDIT_WEBHOOK_URL or AUDIT_WEBHOOK_SECRET was taken up");
    }
    let Some(Database { url, .. }) = Database::reread(sources) else { return };
    match app.store.take_credentials(&url).await {
        Ok(false) => {}
        Ok(true) => tracing::info!("other credentials for the database were taken up"),
        Err(error) => tracing::error!(%error, "the credentials in DATABASE_URL do not work: those in force stay"),
    }
}

/// Takes note in the audit log that a secret of the settings is used, once or so many times since that was last said.
pub(crate) async fn note_use(app: &App, name: &'static str, purpose: &'static str, times: u64) {
    let held = match &app.custody {
        Some(custody) => custody.version_of(name).await,
        None => None,
    };
    let mut event = Event::SecretUsed.on("secret", name).with("for", purpose);
    if times > 1 {
        event = event.with("times", times);
    }
    let event = match held {
        Some(held) => event.with("source", held.reference.to_string()).with("version", held.version),
        None => event.with("source", app.config.source_of(name)),
    };
    audit::note(&Caller::background(), app, event);
}

/// Follows everything. What may lead nowhere, and does, is not among what is found.
async fn follow(managers: &Managers, wants: &Managed, held: &BTreeMap<Reference, Resolution>) -> Resolved {
    let mut found = managers.follow(&wants.wanted, held).await;
    let is_absent = |found: &std::result::Result<_, Unresolved>| {
        found.as_ref().is_err_and(|fault| matches!(fault.why, Why::NotFound(_)))
    };
    found.retain(|reference, found| {
        !wants.optional.contains(reference) || held.contains_key(reference) || !is_absent(found)
    });
    found
}

/// What was found.
fn values(found: &Resolved) -> BTreeMap<Reference, Resolution> {
    let values = found.iter().filter_map(|(reference, found)| Some((reference.clone(), found.as_ref().ok()?.clone())));
    values.collect()
}

/// An event for each setting of which another version was found than was held.
fn reads(wants: &Managed, held: &BTreeMap<Reference, Resolution>, found: &Resolved) -> Vec<Entry> {
    let label = |found: &Resolution| found.current.label.clone();
    let mut events = Vec::new();
    for (reference, found) in found {
        let Ok(found) = found else { continue };
        if held.get(reference).map(label) == Some(label(found)) {
            continue;
        }
        for name in wants.names.get(reference).into_iter().flatten() {
            let event = Event::SecretRead.on("secret", *name).with("source", reference.to_string());
            events.push(event.with("version", label(found)).with("for", "settings"));
        }
    }
    events
}

/// Whether two faults of a reference are the same turn of events.
fn same_kind(one: &Unresolved, other: &Unresolved) -> bool {
    one.why.is_like(&other.why)
}

/// Between 75 and 95 hundredths of a time.
fn jittered(time: Duration, rng: &dyn Rng) -> Duration {
    let mut random = [0];
    rng.fill(&mut random);
    time * 3 / 4 + time / 5 * u32::from(random[0]) / 256
}

impl std::fmt::Debug for Custody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custody").field("wants", &self.wants).finish_non_exhaustive()
    }
}
