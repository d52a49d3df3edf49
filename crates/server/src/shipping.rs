//! Hands the audit log out to the places outside that the settings name: a file, an address. What they do not take waits in the
//! database. What is handed out, and how far a place has come, is `fastcms_core::audit`'s.

use std::sync::Arc;
use std::time::Duration;

use fastcms_core::audit::{self, Sink};
use fastcms_core::{App, Caller, Error};

mod webhook;

use webhook::Receiver;

/// How long an event waits to be handed out once it is linked, as long as a place takes what it is given.
const LOOK: Duration = Duration::from_millis(500);

/// Hands out what comes, until it is dropped.
pub async fn run(app: Arc<App>) {
    if Sink::configured(&app).is_empty() {
        return;
    }
    let mut failing = false;
    loop {
        match once(&app).await {
            Ok(_) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "the audit log could not be read to be handed out: it is tried again");
                }
                failing = true;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Hands out what waits now; says how many events were taken.
///
/// # Errors
/// Those of the store. A place that refuses is no error: what it said stands in its state.
pub async fn once(app: &App) -> Result<u64, Error> {
    let caller = Caller::background();
    let mut shipped = 0;
    for sink in Sink::configured(app) {
        shipped += match sink {
            Sink::File => audit::ship(&caller, app, sink, |batch| append(app, batch)).await?,
            Sink::Webhook => audit::ship(&caller, app, sink, |batch| post(app, batch)).await?,
        };
    }
    Ok(shipped)
}

async fn append(app: &App, batch: audit::Batch) -> Result<(), String> {
    let Some(path) = app.config.audit.file.clone() else { return Err("AUDIT_FILE is not set".to_owned()) };
    let path = app.config.directory.join(path);
    let written = tokio::task::spawn_blocking(move || audit::append(&path, &batch)).await;
    written.map_err(|_| "a task did not end".to_owned())?
}

async fn post(app: &App, batch: audit::Batch) -> Result<(), String> {
    let settings = app.audit.webhook();
    let Some(url) = settings.url() else { return Err("AUDIT_WEBHOOK_URL is not set".to_owned()) };
    let receiver = Receiver::of(&url, settings.secret.as_ref())?;
    if settings.secret.is_some() {
        audit::note_signed(&Caller::background(), app).await;
    }
    receiver.post(&app.egress, batch, app.now_seconds()).await
}
