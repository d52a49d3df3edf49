//! The one way through which a credential is guessed at: passwords, second factors, one-time codes, at sign-in and afterwards, in `users`
//! and in auth collections. A guess is counted before it is looked at; past `ACCOUNT_LOCKOUT_ATTEMPTS` the right answer is refused like a
//! wrong one, for `ACCOUNT_LOCKOUT_DURATION`. While some of that many have no outcome yet, further ones wait for it: of right answers
//! given at the same moment none is refused.
//!
//! An account has a counter for strangers, and one for each browser that signed in to it before: who fails on purpose locks out
//! strangers, never the owner. Names that nobody has are counted and lock like accounts. Every refusal has the same bytes and takes
//! [`FLOOR`] from when the door was opened, whatever was found behind it; those that come at once leave one [`pace`] behind another.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fastcms_guard::attempts::{CounterKey, Network, SPRAY_ACCOUNTS, SPRAY_MILLIS, Sources, Target};
use fastcms_guard::ids;
use fastcms_guard::opaque::Digest;
use fastcms_secrets::Secret;
use fastcms_store::accounts::devices;
use fastcms_store::attempts::{self as rows, Counted, Limits, Owner, Standing};
use fastcms_store::{Store, Tx};
use tokio::time::Instant;

use crate::accounts::Device;
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::{Caller, Channel};
use crate::error::{Error, Result};
use crate::fields::email;
use crate::mail;

mod pace;
mod slot;
mod unlock;

use pace::Pace;
use slot::{Gates, Slot};
pub use unlock::{LockStatus, lock_status, sweep, unlock, unlock_by_email, unlock_by_link};

/// How long every refusal takes at least: twice as long as the slowest hash that the predecessor stored, bcrypt of cost 12, takes on an
/// idle machine.
pub const FLOOR: Duration = Duration::from_millis(400);

/// What counting needs besides the store.
#[derive(Debug)]
pub struct Attempts {
    pub(crate) key: Arc<CounterKey>,
    sources: Sources,
    gates: Gates,
    pace: Pace,
    /// When admins were told last, unix milliseconds.
    told_of_spraying: AtomicI64,
    /// Whether refusals are made alike in time. Off only in the test that shows what this is for.
    alike: bool,
}

impl Attempts {
    /// Reads the key of the counters, or makes it where this database has none.
    pub(crate) async fn open(store: &Store, rng: &dyn ids::Rng, alike: bool) -> Result<Self> {
        let proposed = Secret::new(ids::bytes::<32>(rng));
        let bytes = store
            .write(move |tx| Box::pin(async move { rows::key(tx, proposed.expose()).await.map_err(Error::from) }))
            .await?;
        Ok(Self {
            key: Arc::new(CounterKey::new(Secret::new(bytes))),
            sources: Sources::default(),
            gates: Gates::default(),
            pace: Pace::default(),
            told_of_spraying: AtomicI64::new(0),
            alike,
        })
    }
}

/// Whose credential is about to be checked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Guessed<'a> {
    /// An account of this id.
    Account { realm: &'a str, id: &'a str, email: &'a str },
    /// Nobody: the name that was typed, as names are compared.
    Nobody { realm: &'a str, name: &'a str },
}

/// One guess, counted. It ends in one of three ways: somebody [proves](Self::forgive_in) to be the owner, [is wrong](Self::refuse), or
/// [has a further question to answer](Self::take_back).
#[derive(Debug)]
#[must_use = "a guess that was counted is forgiven, refused or taken back"]
pub(crate) struct Attempt {
    /// `None` where `ACCOUNT_LOCKOUT_ENABLED` is off.
    counted: Option<Counted>,
    counter: [u8; 32],
    /// The right to be looked at; `None` where that many failed already.
    slot: Option<Slot>,
    /// Whose account it is, and its address; the name that was typed where nobody has it.
    owner: Option<Owner>,
    realm: String,
    email: String,
    /// The browser that signed in to this account before.
    pub(crate) known_device: Option<[u8; 32]>,
    /// When it is refused, if it is.
    leaves: Instant,
    network: Option<Network>,
}

impl Attempt {
    /// Counts a guess. `opened` is when the door was opened: refusals are timed from there.
    pub(crate) async fn count(app: &App, guessed: Guessed<'_>, device: &Device, opened: Instant) -> Result<Self> {
        let presented = device.cookie_digest();
        let now = app.now_millis();
        let limits = app.lockout();
        let owner: Option<Owner> = match guessed {
            Guessed::Account { realm, id, .. } => Some((realm.to_owned(), id.to_owned())),
            Guessed::Nobody { .. } => None,
        };
        let of_stranger = match guessed {
            Guessed::Account { realm, id, .. } => app.attempts.key.name(Target::Account { realm, id }),
            Guessed::Nobody { realm, name } => app.attempts.key.name(Target::Nobody { realm, name }),
        };
        let of_device = match (guessed, &presented) {
            (Guessed::Account { realm, id, .. }, Some(device)) => {
                Some(app.attempts.key.name(Target::KnownDevice { realm, id, device }))
            }
            _ => None,
        };
        let (realm, email) = match guessed {
            Guessed::Account { realm, email, .. } => (realm.to_owned(), email.to_owned()),
            Guessed::Nobody { realm, name } => (realm.to_owned(), name.to_owned()),
        };
        let enabled = app.config.lockout.enabled;
        let counted_for = owner.clone();
        let guess = slot::number(app);
        let store = app.store.clone();
        // To its end, whoever waits for it: a guess that was counted is looked at, or has failed.
        let counting = tokio::spawn(async move {
            let counted = store.write(move |tx| {
                Box::pin(async move {
                    let known = match (&presented, &counted_for) {
                        (Some(digest), Some((realm, id))) => {
                            devices::is_known(tx, digest, realm, id, now / 1000).await?
                        }
                        // As much work for a name that nobody has.
                        (Some(digest), None) => devices::is_known(tx, digest, "", "", now / 1000).await?,
                        _ => false,
                    };
                    let counter = of_device.filter(|_| known).unwrap_or(of_stranger);
                    let counted = if enabled {
                        Some(rows::count(tx, &counter, counted_for.as_ref(), guess, limits, now).await?)
                    } else {
                        None
                    };
                    Ok::<_, Error>((counter, counted, known))
                })
            });
            let (counter, counted, known) = counted.await?;
            let slot = counted.map(|counted| Slot::of(&store, counter, counted, guess));
            Ok::<_, Error>((counter, counted, known, slot))
        });
        let (counter, counted, known, slot) = counting.await.map_err(Error::internal)??;
        let leaves = app.attempts.pace.leave(counter, opened);
        let (counted, slot) = match (counted, slot.flatten()) {
            (None, _) => (None, Some(Slot::unlimited())),
            (Some(counted), Some(slot)) => (Some(counted), Some(slot)),
            (Some(counted), None) => slot::wait(app, counter, owner.as_ref(), counted, guess).await?,
        };
        let known_device = presented.filter(|_| known);
        let network = device.network();
        Ok(Self { counted, counter, slot, owner, realm, email, known_device, leaves, network })
    }

    /// Whether the answer may be looked at: a locked account's is not.
    pub(crate) fn is_open(&self) -> bool {
        self.slot.is_some()
    }

    /// Forgets what was counted, in the transaction of what the proof opens.
    pub(crate) async fn forgive_in(&self, tx: &mut Tx<'_>) -> Result<()> {
        if self.counted.is_some() {
            rows::forget(tx, &self.counter).await?;
        }
        if let Some(slot) = &self.slot {
            slot.settle();
        }
        Ok(())
    }

    /// The same by itself.
    pub(crate) async fn forgive(self, app: &App) -> Result<()> {
        app.store.write(move |tx| Box::pin(async move { self.forgive_in(tx).await })).await
    }

    /// Takes the guess back: it was no failure, and no success that could forgive the failures before it.
    pub(crate) async fn take_back(self, app: &App) -> Result<()> {
        let (Some(Counted { generation, .. }), Some(slot)) = (self.counted, &self.slot) else { return Ok(()) };
        slot.settle();
        let (limits, counter) = (app.lockout(), self.counter);
        app.store
            .write(move |tx| {
                Box::pin(
                    async move { rows::take_back(tx, &counter, generation, true, limits).await.map_err(Error::from) },
                )
            })
            .await
    }

    /// The refusal, once its time has come: the same for whatever was wrong.
    pub(crate) async fn refuse(self, caller: &Caller, app: &App, event: Event) -> Error {
        let now = app.now_millis();
        let mut wait = Duration::ZERO;
        let id = self.owner.as_ref().map(|owner| owner.1.as_str());
        // What is typed in the wrong place may be a password: the log keeps addresses alone.
        let email = Some(self.email.as_str()).filter(|typed| id.is_some() || email::is_address(typed));
        let event = event.of_account(id, email).with("realm", self.realm.as_str());
        audit::note(caller, app, event.with("locked", !self.is_open()));
        let locks_until = self.fail(app).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a guess that failed could not be noted as such");
            None
        });
        if let Some(network) = self.network {
            let (longer, sprays) = app.attempts.sources.note_failure(network, &self.counter, now);
            // Who sprays is limited whether accounts lock or not; the growing delay goes with the lockout.
            wait = if self.counted.is_some() { longer } else { Duration::ZERO };
            if sprays {
                tracing::warn!(
                    ?network,
                    "sign-ins to many accounts fail from one network: passwords are being sprayed"
                );
                audit::note(caller, app, Event::PasswordsSprayed.with("accounts", SPRAY_ACCOUNTS));
                if let Err(error) = tell_of_spraying(caller, app).await {
                    tracing::error!(%error, "admins could not be told of passwords being sprayed");
                }
            }
        }
        if let Some(until) = locks_until
            && let Err(error) = self.tell_of_lock(caller, app, until).await
        {
            tracing::error!(%error, "a lock could not be told of");
        }
        if app.attempts.alike {
            tokio::time::sleep_until(self.leaves + wait).await;
        }
        match self.counted {
            Some(Counted { standing: Standing { locked_until: Some(until), .. }, .. })
                if app.config.lockout.reveal && !self.is_open() =>
            {
                let left = (until - now + 999).max(1000) / 1000;
                Error::AccountLocked { retry_after_seconds: u64::try_from(left).unwrap_or(1) }
            }
            _ => Error::InvalidCredentials,
        }
    }

    /// Notes the failure of a guess that was looked at: those who wait for its outcome go on. Until when it
    /// locks, if it is the one that does.
    async fn fail(&self, app: &App) -> Result<Option<i64>> {
        let (Some(Counted { generation, .. }), Some(slot)) = (self.counted, &self.slot) else { return Ok(None) };
        let counter = self.counter;
        let failed = app
            .store
            .write(move |tx| Box::pin(async move { rows::fail(tx, &counter, generation).await.map_err(Error::from) }))
            .await?;
        slot.settle();
        Ok(failed.filter(|counted| counted.is_spent(app.lockout())).and_then(|counted| counted.standing.locked_until))
    }

    /// Of all failures of an account, the one that locks it is told to its owner and to the audit log.
    async fn tell_of_lock(&self, caller: &Caller, app: &App, until: i64) -> Result<()> {
        let Some((realm, id)) = self.owner.as_ref() else { return Ok(()) };
        let address = match &caller.channel {
            Channel::Network(client) => client.address.to_string(),
            Channel::CommandLine | Channel::Background => String::new(),
        };
        let mail = mail::locked(app, realm, id, until, &address);
        let event = Event::AccountLocked.on("user", id).of_account(Some(id), Some(&self.email));
        let event = event.with("realm", realm.as_str()).with("known_browser", self.known_device.is_some());
        audit::write(caller, app, move |tx, trail| {
            Box::pin(async move {
                mail::enqueue(tx, mail).await?;
                Ok(trail.record(tx, event).with(()))
            })
        })
        .await
    }
}

/// Tells admins, at most once an hour: who sprays from many networks fills nobody's mailbox.
async fn tell_of_spraying(caller: &Caller, app: &App) -> Result<()> {
    let (now, told_at) = (app.now_millis(), &app.attempts.told_of_spraying);
    let told = told_at.load(Ordering::Relaxed);
    let is_due = told == 0 || now - told >= SPRAY_MILLIS;
    if !is_due || told_at.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return Ok(());
    }
    let Channel::Network(client) = &caller.channel else { return Ok(()) };
    let message = format!(
        "Sign-ins to more than {SPRAY_ACCOUNTS} accounts failed within an hour, from the network of {}. No account was locked for it; \
         that network is left few sign-ins. The audit log names the accounts.",
        client.address
    );
    let notice = mail::notice_to_admins(app, "Passwords are being tried on many accounts", message);
    app.store.write(move |tx| Box::pin(mail::to_admins(tx, notice))).await
}

impl App {
    /// When counters lock, and for how long.
    pub(crate) fn lockout(&self) -> Limits {
        Limits {
            attempts: i64::from(self.config.lockout.attempts),
            duration_millis: i64::from(self.config.lockout.duration_seconds) * 1000,
        }
    }

    /// Whether sign-ins to many accounts failed from the network of this address within the last hour.
    pub fn is_spraying(&self, address: IpAddr) -> bool {
        self.attempts.sources.is_spraying(Network::of(address), self.now_millis())
    }
}

impl Device {
    /// The digest of the cookie by which a browser may be known.
    pub(crate) fn cookie_digest(&self) -> Option<[u8; 32]> {
        self.cookie.as_ref().map(|value| *Digest::of(value.expose()).as_bytes())
    }

    fn network(&self) -> Option<Network> {
        self.address.parse().ok().map(Network::of)
    }
}
