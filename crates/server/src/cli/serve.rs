//! `serve` and `dev`: from settings to an open port, and back to a closed one.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use fastcms_core::app::{self, OlderSchema, Process, WithoutSecret};
use fastcms_core::config::{Command, Environment, LogFormat, Logging, Sources};
use fastcms_core::{App, Caller, accounts, attempts, audit, files, keys, mail, request_log, sealing};
use tokio::time::{Instant, Interval};

use super::running::{Settings, block_on, opening, settings};
use super::{Dev, Failure, Listen, Outcome, key_chores};
use crate::{api, breaches, confinement, listener, logging, shipping};

/// How often ended sessions, old events and old rows of the request log are swept.
const SWEEP: Duration = Duration::from_mins(10);

/// How long chores leave a new server to those who waited for it.
pub(super) const AFTER_START: Duration = Duration::from_millis(200);

/// How often the storage of files is looked through.
const SWEEP_FILES: Duration = Duration::from_hours(6);

/// How often values are looked for that lie under an older data key.
const SEAL_ANEW: Duration = Duration::from_mins(5);

/// How often the audit log is looked at for segments past their time.
const SWEEP_AUDIT: Duration = Duration::from_hours(1);

pub fn serve(listen: Listen) -> Outcome {
    let sources = overridden(confinement::sources().map_err(Failure::new)?, listen.host, listen.port);
    start_log(&sources, false);
    let config = settings(&sources, Command::Serve)?;
    block_on(run(config, sources, WithoutSecret::Forget, false))?
}

pub fn dev(dev: Dev) -> Outcome {
    let sources = overridden(confinement::sources().map_err(Failure::new)?, Some(dev.host), dev.port);
    start_log(&sources, true);
    let config = settings(&sources, Command::Dev)?;
    block_on(run(config, sources, WithoutSecret::Keep, true))?
}

fn overridden(mut sources: Sources, host: Option<String>, port: Option<u16>) -> Sources {
    if let Some(host) = host {
        sources = sources.with_argument("APP_HOST", host);
    }
    if let Some(port) = port {
        sources = sources.with_argument("APP_PORT", port.to_string());
    }
    sources
}

async fn run(config: Settings, sources: Sources, without_secret: WithoutSecret, is_dev: bool) -> Outcome {
    if config.server.is_production() {
        confinement::confine();
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let older_schema = match config.server.environment {
        Environment::Production => OlderSchema::Refuse,
        _ => OlderSchema::Migrate,
    };
    let (host, port) = (config.server.host.clone(), config.server.port);
    let app = app::open(opening(config, without_secret, older_schema, Process::Server)).await?;
    breaches::connect(&app);
    let socket = listener::bind(&host, port).await.map_err(|error| {
        Failure::new(format!("error: cannot listen on `{host}:{port}`: {error} (APP_HOST, APP_PORT)"))
    })?;
    greet(&app, &socket, is_dev).await?;
    let chores = [
        tokio::spawn(sweep_files(Arc::clone(&app))),
        tokio::spawn(sweep(Arc::clone(&app))),
        tokio::spawn(post(Arc::clone(&app))),
        tokio::spawn(shipping::run(Arc::clone(&app))),
        tokio::spawn(keep_audit(Arc::clone(&app))),
        tokio::spawn(seal_anew(Arc::clone(&app))),
        tokio::spawn(key_chores::tend(Arc::clone(&app))),
        tokio::spawn(key_chores::watch(Arc::clone(&app), sources)),
        tokio::spawn(key_chores::ask_managers(Arc::clone(&app))),
        tokio::spawn(key_chores::watch_ages(Arc::clone(&app))),
    ];
    listener::serve(socket, api::edge(Arc::clone(&app)), stop_signal()).await;
    for chore in &chores {
        chore.abort();
    }
    // What this process knows of the use of its keys is not lost with it.
    if let Err(error) = keys::report_use(&Caller::background(), &app).await {
        tracing::warn!(%error, "when the keys were last used could not be written down");
    }
    request_log::flush(&Caller::background(), &app).await;
    if let Err(error) = audit::flush(&Caller::background(), &app).await {
        tracing::error!(%error, "the last audit events could not be linked");
    }
    if let Err(error) = shipping::once(&app).await {
        tracing::warn!(%error, "the last audit events wait in the database to be handed out");
    }
    app.store.close().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// When a chore is due: every `period`, first when those who waited for the server have had their answers.
pub(super) fn ticks(period: Duration) -> Interval {
    tokio::time::interval_at(Instant::now() + AFTER_START, period)
}

/// Begins the log before a secret manager is asked, which may take its time. JSON for machines; text for a person in front of `dev`,
/// unless the settings say otherwise.
fn start_log(sources: &Sources, is_dev: bool) {
    let (logging, is_said) = Logging::ahead(sources);
    let format = if is_dev && !is_said { LogFormat::Text } else { logging.format };
    logging::start(&Logging { format, ..logging });
}

/// Says where the server is, and how the first admin is made: to the operator's terminal, not to the log.
async fn greet(app: &App, socket: &tokio::net::TcpListener, is_dev: bool) -> Result<(), Failure> {
    let address = socket.local_addr()?;
    tracing::info!(%address, environment = %app.config.server.environment, "listening");
    let shown = format!("http://{address}");
    if is_dev {
        drop(say!("FastCMS    {shown}"));
        drop(say!("API docs   {shown}/docs  {shown}/redoc  {shown}/openapi.json"));
    }
    if accounts::needs_setup(&Caller::background(), app).await? {
        let link = accounts::offer_setup_link(&Caller::background(), app).await?;
        let (text, label) = (link.0.expose(), if is_dev { "Setup     " } else { "Setup:" });
        if say!("{label} {text}  (makes the first admin; good once, for 30 minutes)").is_err() {
            tracing::warn!("the link that makes the first admin could not be shown: standard output takes nothing");
        }
    }
    Ok(())
}

/// Ready when the process is asked to end.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be waited for on every unix");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
    tracing::info!("stopping: accepted requests are finished first");
}

/// Looks whether files can be kept, and takes away what uploads left behind when a process ended in the middle of them: at the start, and
/// now and then.
async fn sweep_files(app: Arc<App>) {
    let mut ticks = ticks(SWEEP_FILES);
    ticks.tick().await;
    if let Err(error) = files::prepare(&Caller::background(), &app).await {
        let folder = app.config.storage.local_path.display();
        tracing::warn!(%error, "no file can be uploaded: `{folder}` cannot be written to (LOCAL_STORAGE_PATH)");
    }
    ticks.reset_immediately();
    loop {
        ticks.tick().await;
        match files::sweep(&Caller::background(), &app).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "leftovers of uploads were removed"),
            Err(error) => tracing::warn!(%error, "leftovers of uploads could not be swept"),
        }
    }
}

/// Takes away what has ended, now and then.
async fn sweep(app: Arc<App>) {
    let mut ticks = ticks(SWEEP);
    loop {
        ticks.tick().await;
        if let Err(error) = accounts::sweep_sessions(&Caller::background(), &app).await {
            tracing::warn!(%error, "ended sessions could not be swept");
        }
        if let Err(error) = attempts::sweep(&Caller::background(), &app).await {
            tracing::warn!(%error, "counters of attempts could not be swept");
        }
        let days = app.settings.now().request_log_days;
        if let Err(error) = request_log::cleanup(&Caller::background(), &app, days).await {
            tracing::warn!(%error, "the request log could not be swept");
        }
        if let Err(error) = mail::sweep(&Caller::background(), &app).await {
            tracing::warn!(%error, "links of mails could not be swept");
        }
    }
}

/// Goes on with what a renewal of the data key left under an older one.
async fn seal_anew(app: Arc<App>) {
    let mut ticks = ticks(SEAL_ANEW);
    loop {
        ticks.tick().await;
        match sealing::reseal(&Caller::background(), &app).await {
            Ok(0) => {}
            Ok(moved) => tracing::info!(moved, "values were sealed anew under the data key in use"),
            Err(error) => tracing::warn!(%error, "values could not be sealed anew"),
        }
    }
}

/// Deletes old segments of the audit log, as the settings say.
async fn keep_audit(app: Arc<App>) {
    let mut ticks = ticks(SWEEP_AUDIT);
    loop {
        ticks.tick().await;
        match audit::cleanup(&Caller::background(), &app, app.config.audit.retention_days).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "old segments of the audit log were deleted"),
            Err(error) => tracing::warn!(%error, "old segments of the audit log could not be deleted"),
        }
    }
}

/// Sends queued mail.
async fn post(app: Arc<App>) {
    mail::run(&Caller::background(), &app).await;
}
