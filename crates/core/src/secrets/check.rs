//! The secrets of the settings looked at once, each by itself, without a database and without waiting: what each is, and what would
//! come of it.

use fastcms_secrets::{Managers, Reference};

use super::follow;
use super::inventory::{self, Item, State};
use crate::caller::Caller;
use crate::config::{Managed, Origin, Resolved, Secrets, Sources, Surveyed, Variable, catalog, survey};

/// A secret, and what would come of it.
#[derive(Debug)]
pub struct Checked {
    pub item: Item,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// What a start, or a new version, would come to.
    pub then: String,
}

/// Follows every reference once; `now` is in unix seconds.
pub async fn check(_operator: &Caller, sources: &Sources, now: i64) -> Vec<Checked> {
    let wants = Managed::find(sources);
    let resolved = if wants.wanted.is_empty() {
        Resolved::new()
    } else {
        let managers = Managers::new(wants.managers.clone(), wants.wanted.keys());
        follow(&managers, &wants, &std::collections::BTreeMap::new()).await
    };
    let max_age_days = Secrets::max_age_days(sources);
    let sources = Sources { resolved, ..sources.clone() };
    let checked = |one: Surveyed| checked(&one, &sources.resolved, (now, max_age_days), wants.boot_timeout_seconds);
    survey(&sources).into_iter().map(checked).collect()
}

fn checked(one: &Surveyed, resolved: &Resolved, (now, max_age): (i64, Option<u32>), timeout: u32) -> Checked {
    let of = |reference: &Reference| resolved.get(reference);
    let found = match &one.origin {
        Origin::Manager(reference, _) => of(reference).and_then(|found| found.as_ref().ok()),
        _ => None,
    };
    let created = found.map_or_else(|| inventory::written(&one.origin), |found| found.current.created);
    let age_days = created.map(|created| (now - created).max(0) / 86_400);
    let is_too_old = age_days.is_some_and(|days| days >= inventory::limit_days(one.variable, max_age));
    let faults = one.references.iter().filter_map(|reference| of(reference)?.as_ref().err());
    let mut faults = faults.peekable();
    let is_passing = faults.peek().is_some() && faults.all(|fault| fault.why.is_passing());
    let source = match &one.origin {
        Origin::Manager(reference, _) => reference.to_string(),
        Origin::Default if one.references.is_empty() => "what the setting says".to_owned(),
        Origin::Default => one.references.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    let is_missing = !one.faults.is_empty();
    let state = match (is_missing, is_too_old) {
        (true, _) => State::Missing,
        (false, true) => State::TooOld,
        (false, false) => State::Fresh,
    };
    let version = found.map(|found| found.current.label.clone());
    let then = match (is_missing, is_passing) {
        (false, _) => change(one.variable, &one.origin).to_owned(),
        (true, true) => format!("a start asks again for {timeout} s, and is refused then"),
        (true, false) => "a start is refused".to_owned(),
    };
    let fault = is_missing.then(|| one.faults.join("; "));
    Checked { item: Item { name: one.variable.name, source, version, age_days, state }, fault, then }
}

/// What a new version would come to.
fn change(variable: &Variable, origin: &Origin) -> &'static str {
    let is_key = [&catalog::SECRET_KEY, &catalog::SECRET_KEY_PREVIOUS, &catalog::SECRET_KEY_NEXT].map(|key| key.name);
    let is_live =
        [&catalog::SMTP_PASSWORD, &catalog::DATABASE_URL, &catalog::REDIS_URL, &catalog::SECRETS_AGE_IDENTITY]
            .map(|live| live.name);
    match origin {
        Origin::Manager(reference, _) if reference.is_pinned() => "this version stays",
        Origin::Environment | Origin::Argument => "a new one counts from the next start",
        _ if is_key.contains(&variable.name) => "a new one is taken up while the server runs",
        _ if is_live.contains(&variable.name) => "a new one is taken up while the server runs",
        _ => "a new one counts from the next start",
    }
}
