//! The running product: everything that operations need, each field once. Nothing here is global; a test makes as many as it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use fastcms_guard::clock::Clock;
use fastcms_guard::egress::Egress;
use fastcms_guard::ids::Rng;
use fastcms_guard::keys::KeyRing;
use fastcms_guard::password::{Hasher, Policy};
use fastcms_store::schema::Schema;
use fastcms_store::{Change, ChangeKind, NUL, Store, Subscriber};
use tokio::sync::Notify;

use crate::accounts::{Impersonations, Sessions};
use crate::api_keys::ApiKeys;
use crate::attempts::Attempts;
use crate::audit::Audit;
use crate::breaches::Breaches;
use crate::collections::Following;
use crate::config::Config;
use crate::data_keys::Wrapping;
use crate::error::{Error, QueryPart};
use crate::fields::Cleaning;
use crate::files::Files;
use crate::health::Cpu;
use crate::ids::Ids;
use crate::ip_rules::{self, IpRules};
use crate::keys::Material;
use crate::limits::Limits;
use crate::mail::Post;
use crate::metrics::Metrics;
use crate::records::Turns;
use crate::request_log::RequestLog;
use crate::sealing::Sealing;
use crate::secrets::Custody;
use crate::settings::{self, Settings};

mod start;

pub(crate) use start::write_private;
pub use start::{OlderSchema, Opening, Process, StartError, WithoutSecret, open};

/// Everything that operations need.
pub struct App {
    /// The settings in force.
    pub config: Config,
    /// Where everything is kept.
    pub store: Store,
    /// All collections as they stand: read without a lock, replaced whole.
    pub schema: ArcSwap<Schema>,
    /// The keys that sign and verify tokens.
    pub keys: ArcSwap<KeyRing>,
    /// The bounded pool in which passwords are hashed.
    pub hasher: Hasher,
    /// Whose turn it is to look through records.
    pub(crate) turns: Turns,
    /// The bounded pool in which markup is cleaned.
    pub(crate) cleaning: Cleaning,
    /// What a password must be.
    pub passwords: Policy,
    /// Who is asked whether a new password is known from a breach.
    pub breaches: Breaches,
    /// Where requests may go that the product sends by itself.
    pub egress: Egress,
    /// `iss` of every token and the head of every link: `BASE_URL` without its trailing slash.
    pub issuer: String,
    /// Seals what the store keeps secret.
    pub(crate) sealing: Sealing,
    /// How guesses at credentials are counted and refused.
    pub attempts: Attempts,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub rng: Arc<dyn Rng>,
    /// Where ids of rows come from.
    pub ids: Arc<Ids>,
    /// Sessions known to be alive.
    pub sessions: Sessions,
    /// Where uploads go and downloads come from.
    pub files: Arc<Files>,
    /// The queue of outgoing mail, as far as it is not in the store.
    pub mail: Post,
    /// What data keys are wrapped by, besides the ring.
    pub(crate) wrapping: Wrapping,
    /// Where events are recorded.
    pub audit: Audit,
    /// API keys known to be good.
    pub api_keys: ApiKeys,
    /// What admins set while the server runs.
    pub settings: Settings,
    /// Which client addresses may come in.
    pub ip_rules: IpRules,
    /// How often callers may call, and how often they did.
    pub limits: Limits,
    /// Impersonations known to be alive.
    pub impersonations: Impersonations,
    /// Where answered requests are noted.
    pub request_log: RequestLog,
    /// What is counted while requests are answered.
    pub metrics: Metrics,
    /// What the cores of the host had done when somebody looked last.
    pub(crate) cpu: Cpu,
    /// The secrets that managers keep; none where no setting refers to a manager.
    pub custody: Option<Arc<Custody>>,
    /// What this process is to the keys.
    pub process: Process,
    /// The secrets that the ring is made of. Who holds this lock may replace the ring.
    pub(crate) key_material: tokio::sync::Mutex<Material>,
    /// Held while a later end of tokens is written down, so that one does it for all who wait.
    pub(crate) key_ends: tokio::sync::Mutex<()>,
    /// Rings when another node, or another process, changed what is remembered of the keys.
    pub(crate) keys_changed: Arc<Notify>,
    /// Whether `schema` keeps up with the store.
    pub(crate) following: Arc<Following>,
    /// True once an admin was seen: it never becomes false again.
    set_up: AtomicBool,
}

impl App {
    /// Milliseconds since the Unix epoch.
    pub fn now_millis(&self) -> i64 {
        self.clock.now().as_millis()
    }

    /// Seconds since the Unix epoch.
    pub fn now_seconds(&self) -> i64 {
        self.clock.now().as_seconds()
    }

    /// A fresh `UUIDv7`.
    pub fn new_id(&self) -> String {
        self.ids.fresh(self.now_millis()).to_string()
    }

    /// Most bytes of one value of a record, where it is not the value that was sent but what was made of it.
    pub(crate) fn longest_value(&self) -> usize {
        usize::try_from(self.config.limits.max_body_size).unwrap_or(usize::MAX)
    }

    /// Lifetime of an access token, seconds.
    pub fn access_seconds(&self) -> i64 {
        i64::from(self.config.tokens.access_minutes) * 60
    }

    /// Lifetime of a refresh family, seconds.
    pub fn refresh_seconds(&self) -> i64 {
        i64::from(self.config.tokens.refresh_days) * 24 * 3600
    }

    /// How old a sign-in may be for sensitive actions, seconds.
    pub fn step_up_seconds(&self) -> i64 {
        i64::from(self.config.tokens.step_up_minutes) * 60
    }

    /// True once an admin was seen.
    pub(crate) fn is_set_up(&self) -> bool {
        self.set_up.load(Ordering::Relaxed)
    }

    pub(crate) fn note_set_up(&self) {
        self.set_up.store(true, Ordering::Relaxed);
    }

    /// Listens to the change feed: memory is corrected before a change is answered on this node.
    fn follow_changes(app: &Arc<Self>) {
        let weak = Arc::downgrade(app);
        let correct_memory: Subscriber = Arc::new(move |change: &Change| {
            let Some(app) = weak.upgrade() else { return };
            app.sessions.apply(change);
            app.api_keys.apply(change);
            if matches!(change.kind, ChangeKind::IpRules | ChangeKind::Everything) {
                app.ip_rules.note_change();
            }
            if matches!(change.kind, ChangeKind::Settings | ChangeKind::Everything) {
                app.settings.note_change();
            }
            app.impersonations.apply(change);
            if matches!(change.kind, ChangeKind::Collections | ChangeKind::Everything) {
                app.following.changed.notify_one();
            }
            if matches!(change.kind, ChangeKind::Keys | ChangeKind::Everything) {
                app.keys_changed.notify_one();
            }
            if change.kind == ChangeKind::Mail {
                app.mail.note_queued();
            }
        });
        app.store.on_change(&correct_memory);
        ip_rules::follow(app);
        settings::follow(app);
        crate::keys::follow_changes(app);
        crate::collections::follow(app);
    }
}

impl From<fastcms_store::Error> for Error {
    fn from(error: fastcms_store::Error) -> Self {
        use fastcms_store::Error as Store;
        match error {
            Store::Unique { ref columns, ref constraint, .. } => {
                let what = columns.first().or(constraint.as_ref()).cloned().unwrap_or_default();
                Self::UniqueConflict(what)
            }
            Store::InvalidValue(ref fault) if fault.code == NUL => {
                Self::field("body", "Must not contain the NUL character")
            }
            Store::TooManyValues => Self::InvalidQuery {
                part: QueryPart::Filter,
                position: 0,
                reason: "it comes to more values than one query may have".to_owned(),
            },
            Store::Timeout => Self::Timeout,
            Store::Overloaded | Store::Busy(_) => Self::Overloaded { retry_after_seconds: 1 },
            Store::Unavailable(fault) => Self::Unavailable(fault.to_string()),
            Store::ReadOnly(fault) => Self::ReadOnly(fault.to_string()),
            other => Self::internal(other),
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
