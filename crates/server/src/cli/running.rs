//! What commands share: reading the settings, opening the product, a runtime to run in.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use fastcms_core::App;
use fastcms_core::app::{self, OlderSchema, Opening, Process, WithoutSecret};
use fastcms_core::config::{Command, Config, Managed, Sources};
use fastcms_core::secrets::{self, Custody};
use fastcms_guard::clock::SystemClock;
use fastcms_guard::ids::SystemRng;

use super::Failure;
use crate::breaches;

/// The settings of a process, and who keeps its secrets.
pub struct Settings {
    pub config: Config,
    pub custody: Option<Arc<Custody>>,
}

impl Deref for Settings {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

/// The settings of this process, with the secrets that managers keep; every fault is a line of its own.
pub fn settings(sources: &Sources, command: Command) -> Result<Settings, Failure> {
    let (sources, custody) = if Managed::find(sources).is_idle() {
        (sources.clone(), None)
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(secrets::gather(sources.clone(), &SystemRng))
    };
    let config = Config::load(&sources, command)
        .map_err(|faults| Failure(faults.to_string().lines().map(str::to_owned).collect()))?;
    Ok(Settings { config, custody })
}

/// Runs `work` on a runtime with a worker a core.
pub fn block_on<F: Future>(work: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    Ok(output)
}

/// Opens the product for a command that works on it and ends.
pub async fn open(settings: Settings) -> Result<Arc<App>, Failure> {
    let app = app::open(opening(settings, WithoutSecret::Forget, OlderSchema::Migrate, Process::Command)).await?;
    breaches::connect(&app);
    Ok(app)
}

/// The real clock, real randomness.
pub fn opening(
    settings: Settings,
    without_secret: WithoutSecret,
    older_schema: OlderSchema,
    process: Process,
) -> Opening {
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    let Settings { config, custody } = settings;
    Opening { config, custody, clock, rng, without_secret, older_schema, process, alike_refusals: true }
}
