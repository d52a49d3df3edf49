//! What a running server does about its keys and the secrets of its settings besides using them.

use std::sync::Arc;
use std::time::Duration;

use fastcms_core::config::{Keys, Sources};
use fastcms_core::{App, Caller, keys, secrets};
use tokio::time::Instant;

use super::serve::{AFTER_START, ticks};

/// How often what is remembered of the keys is read anew: by then the word of another process counts that no message told of.
const RECHECK_KEYS: Duration = Duration::from_secs(4);
/// How often it is looked how old secrets are.
const WATCH_AGES: Duration = Duration::from_hours(1);
/// How many rechecks go by between two words of this process on the use of its keys.
const REPORT_EVERY: u32 = 7;

/// Keeps the ring and the store of one mind about the keys.
pub async fn tend(app: Arc<App>) {
    let (caller, mut ticks) = (Caller::background(), ticks(RECHECK_KEYS));
    for tick in 0_u32.. {
        ticks.tick().await;
        if let Err(error) = keys::recheck(&caller, &app).await {
            tracing::warn!(%error, "what is remembered of the keys could not be read again");
        }
        if tick % REPORT_EVERY == 0
            && let Err(error) = keys::report_use(&caller, &app).await
        {
            tracing::warn!(%error, "when the keys were last used could not be written down");
        }
    }
}

/// Takes up keys that change in the settings while the server runs: every `SECRETS_REFRESH_SECONDS`, and at SIGHUP.
pub async fn watch(app: Arc<App>, sources: Sources) {
    let usual = Duration::from_secs(app.config.secrets.refresh_seconds.into());
    let (mut watch, mut hangup) = (keys::Watch::default(), Hangup::new());
    let mut told = String::new();
    let is_production = app.config.server.is_production();
    // They were read a moment ago.
    tokio::time::sleep(AFTER_START).await;
    loop {
        let sources = match &app.custody {
            Some(custody) => custody.sources().await,
            None => sources.clone(),
        };
        secrets::take_up(&Caller::background(), &app, &sources).await;
        let looked = match Keys::reread(&sources, is_production) {
            Ok(keys) => watch.look(&Caller::background(), &app, &keys).await.map_err(|error| error.to_string()),
            Err(faults) => Err(faults.to_string()),
        };
        let wait = match looked {
            Ok(wait) => {
                told.clear();
                wait.and_then(|millis| u64::try_from(millis).ok())
                    .map_or(usual, |millis| usual.min(Duration::from_millis(millis)))
            }
            Err(why) => {
                // Once for each fault: it stays until somebody mends the file.
                if why != told {
                    tracing::error!(why, "the keys in the settings cannot be taken up, those in force stay");
                }
                told = why;
                usual
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = hangup.next() => {}
            () = news(&app) => {}
        }
    }
}

/// Ready when a manager had something new.
async fn news(app: &App) {
    match &app.custody {
        Some(custody) => custody.changed().await,
        None => std::future::pending().await,
    }
}

/// Asks managers for what they keep: every `SECRETS_REFRESH_SECONDS`, and at SIGHUP; and keeps us logged in meanwhile.
pub async fn ask_managers(app: Arc<App>) {
    let Some(custody) = app.custody.clone() else { return };
    let mut hangup = Hangup::new();
    loop {
        let until = Instant::now() + custody.pause(&*app.rng);
        tokio::select! {
            () = custody.keep_until(until) => {}
            () = hangup.next() => {}
        }
        if let Err(error) = secrets::refresh(&Caller::background(), &app).await {
            tracing::warn!(%error, "which secrets were read could not be written down yet");
        }
    }
}

/// Looks how old secrets are: at the start, and every hour.
pub async fn watch_ages(app: Arc<App>) {
    let mut ticks = ticks(WATCH_AGES);
    loop {
        ticks.tick().await;
        if let Err(error) = secrets::watch_ages(&Caller::background(), &app).await {
            tracing::warn!(%error, "how old secrets are could not be looked at");
        }
    }
}

/// SIGHUP, where there is one: a request to look at the settings now.
struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangup {
    fn new() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Self { signal: signal(SignalKind::hangup()).expect("SIGHUP can be waited for on every unix") }
        }
        #[cfg(not(unix))]
        Self {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
