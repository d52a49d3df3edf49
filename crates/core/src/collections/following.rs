//! The snapshot of collections keeps up with the store. A change is announced, and announcements can be lost: so the store is looked at now
//! and then all the same, and a node that has not managed to for a while serves no records, for its rules may be old.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastcms_store::Plan;
use fastcms_store::collections as rows;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::app::App;
use crate::error::{Error, Result};

/// How long a node goes without a look at most, and how soon it looks again where that failed.
const LOOK: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(200);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how long without a look that succeeded rules count as old.
const TRUSTED: Duration = Duration::from_secs(15);

/// Whether what is remembered of collections may be relied on.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Rings when another node, or another process, changed collections.
    pub(crate) changed: Notify,
    is_old: AtomicBool,
}

impl Following {
    /// # Errors
    /// [`Error::Unavailable`] while nobody knows whether the rules in memory are still those in force.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_old.load(Ordering::Relaxed) {
            return Err(Error::Unavailable(
                "whether the rules of collections changed could not be found out".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Keeps looking as long as the product runs.
pub(crate) fn follow(app: &Arc<App>) {
    let (weak, following) = (Arc::downgrade(app), Arc::clone(&app.following));
    tokio::spawn(async move {
        let (mut wait, mut seen) = (LOOK, Instant::now());
        loop {
            let is_told = timeout(wait, following.changed.notified()).await.is_ok();
            let Some(app) = weak.upgrade() else { return };
            let begun = Instant::now();
            let looked = timeout(PATIENCE, look(&app, is_told)).await.unwrap_or(Err(Error::Timeout));
            match looked {
                Ok(()) => (wait, seen) = (LOOK, begun),
                Err(error) => {
                    if wait == LOOK {
                        tracing::error!(%error, "collections could not be read again: it is tried until it works");
                    }
                    wait = AGAIN;
                }
            }
            let is_old = seen.elapsed() > TRUSTED;
            if following.is_old.swap(is_old, Ordering::Relaxed) != is_old && is_old {
                tracing::error!("no records are served until collections can be read again: their rules could be old");
            }
        }
    });
}

/// Reads collections again if they changed. After an announcement statements that are kept prepared may be old too, so it always does.
async fn look(app: &App, is_told: bool) -> Result<()> {
    let generation: i64 = app.store.read(Plan::Bounded, |reader| Box::pin(rows::generation(reader))).await?;
    if is_told || generation != app.schema.load().generation() { super::reload(app).await } else { Ok(()) }
}
