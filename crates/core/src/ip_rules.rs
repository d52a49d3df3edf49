//! Which client addresses may come in: the rules that admins keep, and `ADMIN_ALLOWED_CIDRS`.
//!
//! The edge asks memory; a change is in memory before it is answered, other nodes hear of it through the change feed, and a look at
//! the store every few seconds finds what another process on the same file did (the command line). Where the rules cannot be read
//! anew those in force stay: what was kept out is never let in by a fault.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use fastcms_guard::ip_rules::{Effect, Rule, RuleSet, canonical};
use fastcms_store::ip_rules as rows;
pub use fastcms_store::ip_rules::IpRule;
use fastcms_store::{LockName, Plan, Store};
use ipnet::IpNet;
use tokio::sync::Notify;

use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::{Caller, Channel};
use crate::config::Proxies;
use crate::error::{Error, FieldErrors, Result};
use crate::time::{millis, stamp};

/// Rules that may exist at once.
pub const MAX_RULES: usize = 10_000;
/// Longest reason, characters.
const MAX_REASON: usize = 500;
/// How often the store is asked whether another process changed the rules.
const LOOK: Duration = Duration::from_secs(4);
/// How long to wait before reading again what could not be read.
const AGAIN: Duration = Duration::from_secs(1);

/// The rules in force on this node.
#[derive(Debug)]
pub struct IpRules {
    enabled: bool,
    rules: ArcSwap<RuleSet>,
    /// Who may reach what is for admins; empty: anybody.
    admins: Vec<IpNet>,
    /// What the store looked like when the rules were read.
    mark: Mutex<(i64, String)>,
    /// Rings when another node changed the rules.
    changed: Notify,
}

impl IpRules {
    /// The rules as they stand in the store.
    pub async fn load(store: &Store, settings: &Proxies) -> Result<Self> {
        let (rules, mark) = read(store).await?;
        Ok(Self {
            enabled: settings.ip_filter,
            rules: ArcSwap::from_pointee(rules),
            admins: settings.admin_allowed.iter().copied().map(canonical).collect(),
            mark: Mutex::new(mark),
            changed: Notify::new(),
        })
    }

    /// Whether this client may come in at all. `now` tells the moment (unix milliseconds); it is not asked where rules are not in force.
    pub fn admits(&self, client: IpAddr, now: impl FnOnce() -> i64) -> bool {
        !self.enabled || self.rules.load().admits(client, now())
    }

    /// Whether this client may reach what is for admins.
    pub fn admits_admin(&self, client: IpAddr) -> bool {
        self.admins.is_empty() || self.admins.iter().any(|network| network.contains(&client.to_canonical()))
    }

    /// Another node changed the rules.
    pub(crate) fn note_change(&self) {
        self.changed.notify_one();
    }

    fn replace(&self, (rules, mark): (RuleSet, (i64, String))) {
        self.rules.store(Arc::new(rules));
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    fn is_at(&self, mark: &(i64, String)) -> bool {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) == *mark
    }
}

/// Keeps the memory of this node true until the product ends.
pub(crate) fn follow(app: &Arc<App>) {
    let weak = Arc::downgrade(app);
    tokio::spawn(async move {
        let mut wait = LOOK;
        loop {
            let Some(app) = weak.upgrade() else { return };
            let told = tokio::time::timeout(wait, app.ip_rules.changed.notified()).await.is_ok();
            wait = match look(&app, told || wait == AGAIN).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::error!(%error, "the IP rules could not be read again; those in force stay");
                    AGAIN
                }
            };
        }
    });
}

async fn look(app: &App, anyway: bool) -> Result<()> {
    if anyway {
        return reload(app).await;
    }
    let mark = app.store.read(Plan::Bounded, |reader| Box::pin(rows::mark(reader))).await?;
    if app.ip_rules.is_at(&mark) { Ok(()) } else { reload(app).await }
}

async fn reload(app: &App) -> Result<()> {
    app.ip_rules.replace(read(&app.store).await?);
    Ok(())
}

async fn read(store: &Store) -> Result<(RuleSet, (i64, String))> {
    let found = store.read(Plan::Bounded, |reader| {
        Box::pin(async move {
            // The mark first: what changes in between is found by the next look.
            let mark = rows::mark(reader).await?;
            Ok::<_, fastcms_store::Error>((rows::all(reader).await?, mark))
        })
    });
    let (found, mark) = found.await?;
    Ok((set(&found)?, mark))
}

fn set(found: &[IpRule]) -> Result<RuleSet> {
    Ok(RuleSet::new(found.iter().map(rule).collect::<Result<Vec<_>>>()?))
}

fn rule(stored: &IpRule) -> Result<Rule> {
    let unreadable = || Error::internal(format!("the IP rule {} cannot be read", stored.id));
    Ok(Rule {
        network: stored.cidr.parse().map_err(|_| unreadable())?,
        effect: Effect::parse(&stored.rule_type).ok_or_else(unreadable)?,
        expires_at: match &stored.expires_at {
            Some(text) => Some(millis(text).ok_or_else(unreadable)?),
            None => None,
        },
    })
}

/// A rule that somebody wants to make.
#[derive(Debug, Clone)]
pub struct NewRule {
    /// A network in CIDR notation, or an address.
    pub cidr: String,
    /// `allow` or `block`.
    pub rule_type: String,
    pub reason: Option<String>,
    /// RFC 3339, in the future.
    pub expires_at: Option<String>,
    /// Even if it shuts the caller out.
    pub force: bool,
}

/// Makes a rule, in force everywhere.
///
/// # Errors
/// [`Error::WouldLockYouOut`] when it shuts out the address that the caller comes from, unless forced.
pub async fn create(caller: &Caller, app: &App, new: NewRule) -> Result<IpRule> {
    access::require(caller, Permission::IpRulesWrite)?;
    let now = app.now_millis();
    let (made, force) = (draft(caller, app, &new, now)?, new.force);
    let from = match &caller.channel {
        Channel::Network(client) => Some(client.address),
        Channel::CommandLine | Channel::Background => None,
    };
    let row = made.clone();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("ip_rules")).await?;
            let mut all = rows::all_in(tx).await?;
            if all.len() >= MAX_RULES {
                return Err(Error::field("cidr", format!("There are {MAX_RULES} rules already")));
            }
            all.push(row.clone());
            if let Some(from) = from.filter(|_| !force)
                && !set(&all)?.admits(from, now)
            {
                return Err(Error::WouldLockYouOut);
            }
            let said = Event::IpRuleCreated.on("ip_rule", &*row.id);
            let said = said.with("cidr", &*row.cidr).with("rule_type", &*row.rule_type);
            rows::insert(tx, row).await?;
            Ok::<_, Error>(trail.record(tx, said).with(()))
        })
    })
    .await?;
    reload(app).await?;
    Ok(made)
}

fn draft(caller: &Caller, app: &App, new: &NewRule, now: i64) -> Result<IpRule> {
    let mut faults = FieldErrors::default();
    let network = network(&new.cidr);
    if network.is_none() {
        faults.add("cidr", "Must be an address or a network in CIDR notation, such as 203.0.113.0/24");
    }
    if Effect::parse(&new.rule_type).is_none() {
        faults.add("rule_type", "Must be one of: allow, block");
    }
    if new.reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON) {
        faults.add("reason", format!("Maximum length is {MAX_REASON}"));
    }
    let expires_at = new.expires_at.as_deref().map(|text| millis(text).filter(|at| *at > now));
    if expires_at == Some(None) {
        faults.add("expires_at", "Must be a moment in the future, as RFC 3339 writes it");
    }
    faults.into_result()?;
    Ok(IpRule {
        id: app.new_id(),
        cidr: network.map(|network| network.to_string()).unwrap_or_default(),
        rule_type: new.rule_type.clone(),
        reason: new.reason.clone(),
        expires_at: expires_at.flatten().map(stamp),
        created_by: caller.account().map(|account| account.id.clone()),
        created: stamp(now),
    })
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    Some(canonical(network))
}

/// A page of rules, newest first, and how many there are.
pub async fn list(
    caller: &Caller,
    app: &App,
    rule_type: Option<&str>,
    page: u32,
    per_page: u32,
) -> Result<(Vec<IpRule>, i64)> {
    access::require(caller, Permission::IpRulesRead)?;
    if rule_type.is_some_and(|word| Effect::parse(word).is_none()) {
        return Err(Error::field("rule_type", "Must be one of: allow, block"));
    }
    let (rule_type, limit) = (rule_type.map(str::to_owned), i64::from(per_page));
    let offset = i64::from(page - 1) * limit;
    Ok(app.store.read(Plan::Scan, move |reader| Box::pin(rows::page(reader, rule_type, limit, offset))).await?)
}

/// Takes a rule away, everywhere.
pub async fn delete(caller: &Caller, app: &App, id: &str) -> Result<()> {
    access::require(caller, Permission::IpRulesWrite)?;
    let id = id.to_owned();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let gone = rows::delete(tx, &id).await?.ok_or(Error::NotFound)?;
            let said = Event::IpRuleDeleted.on("ip_rule", gone.id);
            Ok::<_, Error>(trail.record(tx, said.with("cidr", gone.cidr).with("rule_type", gone.rule_type)).with(()))
        })
    })
    .await?;
    reload(app).await
}

/// Takes every rule away: the way back in for whoever locked everybody out. How many there were.
pub async fn clear(caller: &Caller, app: &App) -> Result<u64> {
    access::require(caller, Permission::IpRulesWrite)?;
    let gone = audit::write(caller, app, |tx, trail| {
        Box::pin(async move {
            let gone = rows::clear(tx).await?;
            Ok::<_, Error>(trail.record(tx, Event::IpRulesCleared.with("count", gone)).with(gone))
        })
    })
    .await?;
    reload(app).await?;
    Ok(gone)
}
