//! How often callers may call: who is charged for what. Counting is [`fastcms_guard::limits`]'s; what a refusal looks like, the edge's.
//!
//! A request is charged to the account behind its credential, else to its address (contract 9.4). Classes with a budget of their own
//! are charged per address *and* per account. What a client only claims (a credential that was not verified, a name in a body) is
//! never the only thing that is charged.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use fastcms_guard::clock::Clock;
use fastcms_guard::limits::{Budget, Class, Counter, Identity, Key, Limiter, Offender, Outcome, Standing, Verdict};
use fastcms_secrets::Secret;
use fastcms_store::Store;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::{Account, ApiKey, Caller, Channel, Principal, Realm};
use crate::config::Config;
use crate::error::{Error, Result};

mod redis;
mod sharing;

use redis::{Address, Redis};
use sharing::{Place, Sharing};

/// How many subscribers' worth a whole site of IPv6 (its /48) may use.
const SITE: u32 = 16;

/// What is left of the sign-ins of a network (an IPv4 /24, an IPv6 /64) from which passwords are being sprayed (R44): enough for a
/// person who mistypes, too little to try one password on many accounts. No account is locked by it.
const SPRAYING: Budget = Budget::new(3, 15);

/// The limits in force, and who has used how much of them.
#[derive(Debug)]
pub struct Limits {
    enabled: bool,
    general: Budget,
    exempt: Vec<IpNet>,
    limiter: Arc<Limiter>,
    /// The conversation with the other nodes; `None`: there is one node.
    sharing: Option<Sharing>,
    /// Where Redis is, if that is where they meet.
    redis: Option<Arc<Address>>,
    /// The private address that every request of the last minute came from, if that is strange.
    one_sender: ArcSwapOption<IpAddr>,
}

/// Callers that are listed: the busiest, and those who were refused.
const BUSIEST: usize = 100;
const OFFENDERS: usize = 20;

/// The limits as this node sees them.
#[derive(Debug, Clone)]
pub struct Report {
    pub enabled: bool,
    /// Where the windows lie.
    pub backend: &'static str,
    /// Whether that fails, and this node counts by itself.
    pub degraded: bool,
    pub counters: Vec<Counter>,
    pub offenders: Vec<Offender>,
    /// What is strange about where requests come from.
    pub finding: Option<String>,
}

/// The limits as this node sees them, for admins.
pub fn report(caller: &Caller, app: &App) -> Result<Report> {
    access::require(caller, Permission::LimitsRead)?;
    let (limits, now) = (&app.limits, app.now_millis());
    Ok(Report {
        enabled: limits.enabled,
        backend: limits.sharing.as_ref().map_or("memory", |sharing| sharing.name),
        degraded: limits.is_degraded(),
        counters: limits.limiter.busiest(BUSIEST, now),
        offenders: limits.limiter.offenders(OFFENDERS, now),
        finding: limits.one_sender.load().as_deref().map(finding),
    })
}

fn finding(address: &IpAddr) -> String {
    format!(
        "every request of the last minute came from {address}, a private address: if a proxy stands there, name it in TRUSTED_PROXIES, \
         or limits, lockout and IP rules take all of its clients for one"
    )
}

impl Limits {
    /// The limits that the settings ask for: shared through Redis where that is on, else through the database where that serves
    /// several nodes. Wants a running tokio runtime.
    pub fn start(config: &Config, store: &Store, clock: Arc<dyn Clock>) -> Self {
        let (settings, limiter) = (&config.rate_limits, Arc::new(Limiter::default()));
        let redis = config.redis.enabled.then(|| Arc::new(Address::new(config.redis.url.clone())));
        let place = match &redis {
            Some(address) => Some(Place::Redis(Redis::new(Arc::clone(address)))),
            None => store.serves_several().then(|| Place::Database(store.clone())),
        };
        let sharing =
            place.filter(|_| settings.enabled).map(|place| Sharing::start(place, Arc::clone(&limiter), clock));
        Self {
            enabled: settings.enabled,
            general: Budget::new(settings.per_minute, settings.per_hour),
            exempt: settings.exempt.iter().copied().map(fastcms_guard::ip_rules::canonical).collect(),
            limiter,
            sharing,
            redis,
            one_sender: ArcSwapOption::empty(),
        }
    }

    /// Another address of Redis, or other credentials there: in force once they were seen to work. Whether they are others.
    ///
    /// # Errors
    /// Why they do not work; those in force stay.
    pub(crate) async fn take_redis(&self, url: &Secret<String>) -> std::result::Result<bool, String> {
        match &self.redis {
            Some(address) => address.take(url).await,
            None => Ok(false),
        }
    }

    /// Whether the backend that nodes share does not answer, and this node counts by itself.
    pub(crate) fn is_degraded(&self) -> bool {
        self.sharing.as_ref().is_some_and(Sharing::is_degraded)
    }

    /// A minute is over in which every request came from this private address, or from several.
    pub fn note_senders(&self, one: Option<IpAddr>) {
        if let Some(address) = one
            && self.one_sender.load().is_none()
        {
            tracing::warn!("{}", finding(&address));
        }
        self.one_sender.store(one.map(Arc::new));
    }

    /// The budget of one identity for a class.
    fn budget(&self, class: Class) -> Budget {
        class.own_budget().unwrap_or(self.general)
    }

    /// Whether requests from there are limited at all.
    fn covers(&self, client: IpAddr) -> bool {
        self.enabled && !self.exempt.iter().any(|network| network.contains(&client.to_canonical()))
    }

    /// Charges one key; under a lease of what the nodes share, where they do.
    async fn charge_one(&self, key: Key, budget: Budget, cost: u32, now: i64) -> Verdict {
        let Some(sharing) = self.sharing.as_ref().filter(|sharing| !sharing.is_degraded()) else {
            return self.limiter.charge(key, budget, cost, now);
        };
        match self.limiter.charge_shared(key, budget, cost, now) {
            Outcome::Done(verdict) => verdict,
            Outcome::Ask => match Box::pin(sharing.ask(key, budget, cost)).await {
                Some(verdict) => verdict,
                None => self.limiter.charge(key, budget, cost, now),
            },
        }
    }

    /// Charges each, or none.
    async fn charge(&self, charges: &Charges, cost: u32, now: i64) -> Verdict {
        let mut tightest = None;
        for (place, (key, budget)) in charges.iter().enumerate() {
            let verdict = self.charge_one(*key, *budget, cost, now).await;
            if !verdict.is_admitted() {
                for (key, _) in charges.iter().take(place) {
                    self.limiter.take_back(*key, cost, now);
                }
                return verdict;
            }
            let standing = verdict.standing();
            tightest = Some(tightest.map_or(standing, |before: Standing| before.tighter(standing)));
        }
        Verdict::Admitted(tightest.unwrap_or_else(|| Standing::untouched(self.general)))
    }
}

/// What one request is charged to: at most four keys.
#[derive(Debug, Default)]
struct Charges([Option<(Key, Budget)>; 4]);

impl Charges {
    fn push(&mut self, class: Class, identity: Identity, budget: Budget) {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some((Key { class, identity }, budget));
        }
    }

    fn iter(&self) -> impl Iterator<Item = &(Key, Budget)> {
        self.0.iter().flatten()
    }
}

/// Charges a request. `None`: it is not limited. `caller` is a guest where a credential was not verified.
pub async fn charge(caller: &Caller, app: &App, class: Class, client: IpAddr) -> Option<Verdict> {
    let limits = &app.limits;
    if !limits.covers(client) {
        return None;
    }
    let sprays = class == Class::Login && app.is_spraying(client);
    Some(limits.charge(&charges(limits, caller, class, client, sprays), 1, app.now_millis()).await)
}

/// Charges one item of a request that carries several (contract 5.10).
///
/// # Errors
/// [`Error::RateLimited`]: the item must not run.
pub async fn charge_item(caller: &Caller, app: &App) -> Result<()> {
    let Channel::Network(client) = &caller.channel else { return Ok(()) };
    match charge(caller, app, Class::General, client.address).await {
        Some(refused @ Verdict::Refused { .. }) => Err(refusal(&refused)),
        _ => Ok(()),
    }
}

/// Charges what a request does besides, which its path did not tell the edge.
///
/// # Errors
/// [`Error::RateLimited`]
pub(crate) async fn charge_also(caller: &Caller, app: &App, class: Class) -> Result<()> {
    let Channel::Network(client) = &caller.channel else { return Ok(()) };
    match charge(caller, app, class, client.address).await {
        Some(refused @ Verdict::Refused { .. }) => {
            note_refusal(caller, app, class);
            Err(refusal(&refused))
        }
        _ => Ok(()),
    }
}

/// Charges an attempt on an account that was named without proof. The address was charged before, at the edge: another name does not
/// give another budget to it, and no name is charged without it.
///
/// # Errors
/// [`Error::RateLimited`], the same for accounts that exist and for those that do not.
pub async fn charge_named(caller: &Caller, app: &App, class: Class, realm: &Realm, name: &str) -> Result<()> {
    let Channel::Network(client) = &caller.channel else { return Ok(()) };
    if !app.limits.covers(client.address) {
        return Ok(());
    }
    let mut charges = Charges::default();
    charges.push(class, named(realm, name), app.limits.budget(class));
    match app.limits.charge(&charges, 1, app.now_millis()).await {
        Verdict::Admitted(_) => Ok(()),
        refused @ Verdict::Refused { .. } => {
            note_refusal(caller, app, class);
            Err(refusal(&refused))
        }
    }
}

/// Takes note of a refused request in the audit log.
pub fn note_refusal(caller: &Caller, app: &App, class: Class) {
    audit::note(caller, app, Event::RateLimited.with("class", class.as_str()));
}

/// What a refused request is told.
pub fn refusal(verdict: &Verdict) -> Error {
    let standing = verdict.standing();
    let retry_after_seconds = match verdict {
        Verdict::Refused { retry_after_seconds, .. } => *retry_after_seconds,
        Verdict::Admitted(_) => 0,
    };
    Error::RateLimited { per_minute: standing.minute.limit, per_hour: standing.hour.limit, retry_after_seconds }
}

fn charges(limits: &Limits, caller: &Caller, class: Class, client: IpAddr, sprays: bool) -> Charges {
    let (mut charges, budget) = (Charges::default(), limits.budget(class));
    match &caller.principal {
        Principal::Account(account) => charges.push(class, of_account(account), budget),
        // What an admin does in somebody's place must not use up what that somebody has.
        Principal::Acting(acting) => charges.push(class, of_id(&Realm::Users, &acting.admin_id), budget),
        Principal::ApiKey(key) => charges.push(class, of_key(key), own_budget(limits, key, class)),
        Principal::Guest | Principal::Operator => {}
    }
    // Who is known is not charged for where they come from, but at the doors.
    if class == Class::General && caller.account().is_some() {
        return charges;
    }
    let (address, source) = (Identity::of_address(client), Identity::source_of(client));
    // For IPv6 the two are one, and charged once.
    charges.push(class, address, if sprays && source == address { SPRAYING } else { budget });
    if sprays && source != address {
        charges.push(class, source, SPRAYING);
    }
    if let Some(site) = Identity::site_of(client) {
        charges.push(class, site, budget.times(SITE));
    }
    charges
}

/// A key may have a limit of its own in the place of the general one for a minute.
fn own_budget(limits: &Limits, key: &ApiKey, class: Class) -> Budget {
    let budget = limits.budget(class);
    match key.rate_limit_per_minute {
        Some(per_minute) if class == Class::General => {
            let per_minute = per_minute.max(1);
            Budget::new(per_minute, budget.per_hour.max(per_minute))
        }
        _ => budget,
    }
}

fn of_key(key: &ApiKey) -> Identity {
    uuid::Uuid::try_parse(&key.id).map_or_else(|_| named(&Realm::Users, &key.id), |id| Identity::ApiKey(id.as_u128()))
}

pub(crate) fn of_account(account: &Account) -> Identity {
    of_id(&account.realm, &account.id)
}

fn of_id(realm: &Realm, id: &str) -> Identity {
    // Every id that this product makes is a UUID.
    uuid::Uuid::try_parse(id).map_or_else(|_| named(realm, id), |id| Identity::Account(id.as_u128()))
}

/// An account by its name, case-folded as names are compared. Only a digest is held.
fn named(realm: &Realm, name: &str) -> Identity {
    let digest = Sha256::new()
        .chain_update(crate::accounts::realm_text(realm))
        .chain_update([0])
        .chain_update(name.trim().to_lowercase())
        .finalize();
    let mut head = [0; 16];
    head.copy_from_slice(&digest[..16]);
    Identity::Named(u128::from_be_bytes(head))
}
