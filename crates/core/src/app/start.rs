//! From settings to a running product: the database and its schema, the keys, the collections. Nothing listens yet when this is done.
//!
//! What a start writes is flushed once, by [`Store::settle`], before anything is done or said that depends on it: until then a loss of
//! power only means that there was no start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use fastcms_guard::clock::Clock;
use fastcms_guard::egress::Egress;
use fastcms_guard::ids::{self, Rng};
use fastcms_guard::keys::SecretKey;
use fastcms_guard::password::{Hasher, MIN_LENGTH, Policy, host_labels};
use fastcms_secrets::Secret;
use fastcms_store::schema::Schema;
use fastcms_store::{Store, StoreConfig, migrations};
use tokio::sync::Notify;

use super::App;
use crate::accounts::{Impersonations, Sessions};
use crate::api_keys::ApiKeys;
use crate::attempts::Attempts;
use crate::audit::{self, Audit, Event};
use crate::breaches::Breaches;
use crate::caller::Caller;
use crate::config::{Config, SealedData};
use crate::data_keys::{self, Reach, Wrapping};
use crate::error::Error;
use crate::fields::Cleaning;
use crate::files::Files;
use crate::health::Cpu;
use crate::ids::Ids;
use crate::ip_rules::IpRules;
use crate::keys::{self, Material};
use crate::limits::Limits;
use crate::mail::{self, Post};
use crate::metrics::Metrics;
use crate::records::Turns;
use crate::request_log::RequestLog;
use crate::sealing::{self, Sealing};
use crate::secrets::{self, Custody};
use crate::settings::Settings;

/// Name of the file in the data folder that holds the secret of `fastcms dev`.
const DEVELOPMENT_SECRET: &str = "development-secret";

/// Where the signing secret comes from when none is configured. Production never gets this far without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutSecret {
    /// A random one that ends with the process.
    Forget,
    /// A random one, kept in the data folder for the next start.
    Keep,
}

/// What to do with a schema that is older than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OlderSchema {
    /// Bring it up to date.
    Migrate,
    /// Refuse: an operator decides when.
    Refuse,
}

/// What this process is to the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It signs: since when it holds each key is written down.
    Server,
    /// It only looks, whatever its settings say: nothing is written down. Without a configured secret it takes the one that
    /// `fastcms dev` keeps, if there is one.
    Command,
}

/// What a start needs besides the settings.
pub struct Opening {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub without_secret: WithoutSecret,
    pub older_schema: OlderSchema,
    pub process: Process,
    /// The secrets that managers keep.
    pub custody: Option<Arc<Custody>>,
    /// Whether refused credentials look alike in time too. Always true, but in the test that shows what would be seen otherwise.
    pub alike_refusals: bool,
}

/// Why the product did not start; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("DATABASE_URL: {0}")]
    Database(#[from] fastcms_store::Error),
    #[error(
        "the database has an older schema ({pending} migrations are pending): back it up and run `fastcms migrate up`"
    )]
    MigrationsPending { pending: usize },
    #[error("SECRET_KEY: {0}")]
    SecretKey(String),
    #[error("`{}`: {cause}", path.display())]
    DevelopmentSecret { path: PathBuf, cause: std::io::Error },
    #[error(
        "E009: sealed values cannot be opened with any key given: {what}. Give the key that wrapped them in SECRET_KEY_PREVIOUS (or ENCRYPTION_KEY_PREVIOUS), or start without them by SEALED_DATA_UNREADABLE=accept"
    )]
    SealedUnreadable { what: String },
    #[error(
        "E009: what a vault wrapped cannot be unwrapped: {what}. Give the way to the vault and to that key (VAULT_ADDR and a log-in, with or without ENCRYPTION_TRANSIT_KEY), or start without what is sealed by SEALED_DATA_UNREADABLE=accept"
    )]
    TransitLost { what: String },
    #[error("what a vault wrapped cannot be unwrapped at the moment: {what}. Nothing is started without it")]
    TransitAway { what: String },
    #[error("{0}")]
    Core(#[from] Error),
}

/// Opens everything.
pub async fn open(opening: Opening) -> Result<Arc<App>, StartError> {
    let Opening { config, clock, rng, without_secret, older_schema, process, custody, alike_refusals } = opening;
    let store = open_store(&config, older_schema).await?;

    let now = clock.now().as_seconds();
    let material = configured(&config, without_secret, process, &*rng)?;
    let careful = custody.as_deref().filter(|_| process == Process::Server);
    let material = with_care(&store, &config, careful, material, now).await?;
    let ring = keys::ring(&store, &material, now, process).await?;
    let wrapping = wrapping(&config, custody.clone(), &*rng)?;
    let now = clock.now().as_millis();
    let schema = crate::collections::load(&store).await?;
    let reach = Reach { store: &store, rng: &*rng, wrapping: &wrapping, signing: &ring };
    let OpenKeys { audit: data_keys, unreadable, sealing, unopened } =
        Box::pin(open_data_keys(reach, &config, process, &schema, now)).await?;
    let replaced = data_keys.replaced;
    let ids = Arc::new(Ids::new(Arc::clone(&rng)));
    let attempts = Attempts::open(&store, &*rng, alike_refusals).await?;
    // From here on the outside counts: a key in a file that is needed no more, what is linked, sent and answered.
    store.settle().await?;
    data_keys::drop_file(&store, &wrapping, &config.data_directory()).await?;
    let audit = Audit::start(audit::Parts {
        store: store.clone(),
        clock: Arc::clone(&clock),
        ids: Arc::clone(&ids),
        keys: data_keys,
        folder: config.data_directory(),
        process,
        settings: config.audit.clone(),
    })
    .await?;

    let app = Arc::new(App {
        passwords: policy(&config),
        breaches: Breaches::default(),
        egress: Egress::new(&config.proxies.egress_allowed, !config.server.is_production()),
        issuer: config.server.base_url.as_str().trim_end_matches('/').to_owned(),
        hasher: Hasher::new(Arc::clone(&rng)),
        cleaning: Cleaning::default(),
        turns: Turns::new(store.scans()),
        schema: ArcSwap::from_pointee(schema),
        keys: ArcSwap::from_pointee(ring),
        process,
        custody,
        key_material: tokio::sync::Mutex::new(material),
        key_ends: tokio::sync::Mutex::new(()),
        keys_changed: Arc::new(Notify::new()),
        sessions: Sessions::default(),
        files: Arc::new(Files::new(&config)),
        mail: Post::default(),
        audit,
        wrapping,
        api_keys: ApiKeys::default(),
        settings: Settings::load(&store).await?,
        ip_rules: IpRules::load(&store, &config.proxies).await?,
        impersonations: Impersonations::default(),
        limits: Limits::start(&config, &store, Arc::clone(&clock)),
        request_log: RequestLog::start(store.clone(), Arc::clone(&clock), Arc::clone(&rng)),
        following: Arc::default(),
        metrics: Metrics::new(now),
        cpu: Cpu::default(),
        set_up: AtomicBool::new(false),
        sealing,
        attempts,
        store,
        clock,
        rng,
        ids,
        config,
    });
    begin(&app, unopened, remarkable(replaced, unreadable).collect()).await?;
    Ok(app)
}

/// What comes of the data keys at a start.
struct OpenKeys {
    audit: data_keys::Opened,
    /// What is sealed and cannot be opened, although it is started.
    unreadable: Option<String>,
    sealing: Sealing,
    unopened: sealing::Reports,
}

/// Opens the data keys, and makes those that are needed; `now` is in unix milliseconds.
async fn open_data_keys(
    reach: Reach<'_>,
    config: &Config,
    process: Process,
    schema: &Schema,
    now: i64,
) -> Result<OpenKeys, StartError> {
    let unlocked = data_keys::unlock(reach).await?;
    // Before anything is made anew: a start that is refused changes nothing.
    let unreadable = judge(config, process, sealing::closed(reach.store, &unlocked, schema).await?)?;
    let mut held = unlocked.opened;
    let audit = data_keys::open(reach, now, process, audit::PURPOSE, &held).await?;
    if process == Process::Server {
        held.extend(data_keys::open(reach, now, process, sealing::PURPOSE, &held).await?.all);
    }
    let (keys, _) = data_keys::recall(reach, sealing::PURPOSE, &held).await?;
    let (sealing, unopened) = Sealing::new(keys, held);
    Ok(OpenKeys { audit, unreadable, sealing, unopened })
}

/// What runs from here on, and what is said of the start.
async fn begin(app: &Arc<App>, unopened: sealing::Reports, said: Vec<audit::Entry>) -> Result<(), StartError> {
    mail::reload_templates(app).await?;
    App::follow_changes(app);
    secrets::record(&Caller::background(), app).await?;
    sealing::watch(app, unopened);
    for event in said {
        audit::record(&Caller::background(), app, event).await?;
    }
    Ok(())
}

/// What of a start the audit log says.
fn remarkable(replaced: Option<i64>, unreadable: Option<String>) -> impl Iterator<Item = audit::Entry> {
    let reason = |lost| format!("data key {lost} cannot be opened");
    let opened = replaced.map(|lost| Event::AuditSegmentOpened.with("reason", reason(lost)));
    opened.into_iter().chain(unreadable.map(|what| Event::UnreadableAccepted.with("what", what)))
}

/// Whether a server starts although data keys cannot be opened: what is sealed under them, if it does. A command only looks; but what a
/// vault wrapped it needs as well, or it would make keys anew that are not lost.
fn judge(config: &Config, process: Process, closed: sealing::Closed) -> Result<Option<String>, StartError> {
    let sealing::Closed { by_ring, by_transit, away } = closed;
    if let Some(what) = away {
        return Err(StartError::TransitAway { what });
    }
    let accepts = config.keys.sealed_data_unreadable == SealedData::Accept;
    let is_lenient = accepts || !config.server.is_production();
    let is_enough = accepts || (is_lenient && process == Process::Server);
    if let Some(what) = by_transit.clone().filter(|_| !is_enough) {
        return Err(StartError::TransitLost { what });
    }
    let lost: Vec<String> = by_ring.into_iter().chain(by_transit).collect();
    if lost.is_empty() || process == Process::Command {
        return Ok(None);
    }
    let what = lost.join("; ");
    if !is_lenient {
        return Err(StartError::SealedUnreadable { what });
    }
    tracing::error!(what, "sealed values cannot be opened with any key given: they read as missing");
    Ok(Some(what))
}

/// What wraps data keys. Without `SECRET_KEY` that is a key in a file of the data folder, which goes once there is one.
fn wrapping(config: &Config, custody: Option<Arc<Custody>>, rng: &dyn Rng) -> Result<Wrapping, StartError> {
    let keys = &config.keys;
    let is_needed = keys.secret_key.is_none() && keys.encryption_key.is_none() && keys.transit_key.is_none();
    let file = data_keys::wrapping_file(&config.data_directory(), is_needed, rng)
        .map_err(|(path, cause)| StartError::DevelopmentSecret { path, cause })?;
    let file = file.as_ref().map(key).transpose()?;
    Wrapping::new(keys, file.as_ref(), custody).map_err(|weak| StartError::SecretKey(weak.to_string()))
}

/// Opens the database; no commit waits for the disk until [`Store::settle`]. An empty one gets its schema from whoever needs it first;
/// only an older one is a decision.
async fn open_store(config: &Config, older: OlderSchema) -> Result<Store, StartError> {
    let settling_later = StoreConfig { settles_later: true, ..StoreConfig::new(config.database.url.clone()) };
    let store = Store::open(settling_later).await?;
    let status = migrations::status(&store).await?;
    let is_older = !status.applied.is_empty() && !status.pending.is_empty();
    if is_older && older == OlderSchema::Refuse {
        return Err(StartError::MigrationsPending { pending: status.pending.len() });
    }
    if !status.is_current() {
        migrations::apply(&store).await?;
    }
    Ok(store)
}

fn key(text: &Secret<String>) -> Result<SecretKey, StartError> {
    SecretKey::parse(text.clone()).map_err(|weak| StartError::SecretKey(weak.to_string()))
}

/// The keys of a start, where they are kept by managers with care; `now` is in unix seconds.
async fn with_care(
    store: &Store,
    config: &Config,
    custody: Option<&Custody>,
    material: Material,
    now: i64,
) -> Result<Material, StartError> {
    let Some(custody) = custody else { return Ok(material) };
    let revoked = keys::revoked(store).await?;
    Ok(custody.with_care(material, now, config.secrets.refresh_seconds, &revoked).await)
}

/// The keys that the settings name, or one of development.
fn configured(
    config: &Config,
    without: WithoutSecret,
    process: Process,
    rng: &dyn Rng,
) -> Result<Material, StartError> {
    let configured = Material::configured(&config.keys).map_err(|weak| StartError::SecretKey(weak.to_string()))?;
    match configured {
        Some(material) => Ok(material),
        None => Ok(Material::only(development_key(config, without, process, rng)?)),
    }
}

fn development_key(
    config: &Config,
    without: WithoutSecret,
    process: Process,
    rng: &dyn Rng,
) -> Result<SecretKey, StartError> {
    let fresh = || Secret::new(ids::hex::<32>(rng));
    if without == WithoutSecret::Forget && process == Process::Server {
        tracing::warn!(
            "SECRET_KEY is not set: a random one serves until this process ends, then everybody signs in again"
        );
        return key(&fresh());
    }
    let path = config.data_directory().join(DEVELOPMENT_SECRET);
    let failed = |cause| StartError::DevelopmentSecret { path: path.clone(), cause };
    match std::fs::read_to_string(&path) {
        Ok(text) => key(&Secret::new(text.trim_end().to_owned())),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
            let text = fresh();
            if process == Process::Server {
                write_private(&path, text.expose()).map_err(failed)?;
            }
            key(&text)
        }
        Err(cause) => Err(failed(cause)),
    }
}

/// A new file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn policy(config: &Config) -> Policy {
    let passwords = &config.passwords;
    let mut context_words = passwords.context_words.clone();
    context_words.push(config.server.app_name.clone());
    context_words.extend(host_labels(config.server.base_url.as_str()));
    Policy {
        min_length: passwords.min_length.unwrap_or(MIN_LENGTH),
        require_uppercase: passwords.require_uppercase,
        require_lowercase: passwords.require_lowercase,
        require_digit: passwords.require_digit,
        require_special: passwords.require_special,
        context_words,
    }
}
