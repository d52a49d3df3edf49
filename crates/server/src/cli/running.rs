//! What commands share: reading the settings, opening the product, a runtime to run in.

use std::future::Future;
use std::sync::Arc;

use fastcms_core::App;
use fastcms_core::app::{self, OlderSchema, Opening, Process, WithoutSecret};
use fastcms_core::config::{Command, Config, Sources};
use fastcms_guard::clock::SystemClock;
use fastcms_guard::ids::SystemRng;

use super::Failure;

/// The settings of this process; every fault is a line of its own.
pub fn settings(sources: &Sources, command: Command) -> Result<Config, Failure> {
    Config::load(sources, command).map_err(|faults| Failure(faults.to_string().lines().map(str::to_owned).collect()))
}

/// Runs `work` on a runtime with a worker a core.
pub fn block_on<F: Future>(work: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    Ok(output)
}

/// Opens the product for a command that works on it and ends.
pub async fn open(config: Config) -> Result<Arc<App>, Failure> {
    Ok(app::open(opening(config, WithoutSecret::Forget, OlderSchema::Migrate, Process::Command)).await?)
}

/// The real clock, real randomness.
pub fn opening(config: Config, without_secret: WithoutSecret, older_schema: OlderSchema, process: Process) -> Opening {
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    Opening { config, clock, rng, without_secret, older_schema, process, alike_refusals: true }
}
