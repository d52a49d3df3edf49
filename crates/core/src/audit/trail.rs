//! The one way into the audit log, and the reason why it cannot be forgotten: a job that writes has to end in an [`Audited`] value,
//! and only [`Trail::record`] makes what one is made of.

use std::borrow::Cow;
use std::sync::Arc;

use fastcms_guard::clock::Clock;
use fastcms_store::audit::{Kind, NewRow, Particulars};
use fastcms_store::{BoxFuture, Error as StoreError, Tx};
use uuid::Uuid;

use super::actor::Actor;
use super::entry::{Entry, Together, tamed, written};
use super::signer::Signer;
use crate::app::App;
use crate::caller::Caller;
use crate::ids::Ids;
use crate::time::stamp;

/// What makes rows: time, ids, and the key that signs them. Shared by all trails of a product.
pub(crate) struct Scribe {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<Ids>,
    pub(super) signer: Signer,
    #[cfg(feature = "measuring")]
    pub(super) silent: std::sync::atomic::AtomicBool,
}

/// Where the events of one operation go: knows who acts.
#[derive(Clone)]
pub struct Trail {
    scribe: Arc<Scribe>,
    actor: Arc<Actor<'static>>,
}

/// Proof that an event goes with the transaction it was recorded in.
#[derive(Debug)]
#[must_use = "a job answers with it: `Ok(recorded.with(value))`"]
pub struct Recorded(());

/// What an audited job answers.
#[derive(Debug)]
pub struct Audited<T>(T);

impl Recorded {
    /// The job's answer.
    pub fn with<T>(self, value: T) -> Audited<T> {
        Audited(value)
    }

    /// Where a job turns out to change nothing that anybody could ask about: the session to end was over already, say.
    pub fn nothing_happened() -> Self {
        Self(())
    }
}

impl Trail {
    pub(crate) fn new(app: &App, actor: Actor<'_>) -> Self {
        Self { scribe: Arc::clone(&app.audit.scribe), actor: Arc::new(actor.into_owned()) }
    }

    /// Writes an event with the commit of this transaction, or not at all.
    pub fn record(&self, tx: &mut Tx<'_>, entry: impl Into<Entry>) -> Recorded {
        if self.scribe.is_heard() {
            tx.append_audit(self.scribe.row(&self.actor, entry.into()));
        }
        Recorded(())
    }
}

impl std::fmt::Debug for Scribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scribe").finish_non_exhaustive()
    }
}

impl Scribe {
    /// Whether what succeeds is written down: always, but in the program that measures what that costs.
    #[inline]
    #[cfg_attr(
        not(feature = "measuring"),
        expect(clippy::unused_self, reason = "what is heard is the measured program's own")
    )]
    fn is_heard(&self) -> bool {
        #[cfg(feature = "measuring")]
        if self.silent.load(std::sync::atomic::Ordering::Relaxed) {
            return false;
        }
        true
    }

    /// The row of an event that happens now.
    pub(super) fn row(&self, actor: &Actor<'_>, entry: Entry) -> NewRow {
        let Entry { event, resource, account, mut details, error } = entry;
        let (user_id, user_email) = match &account {
            None => (actor.user_id.as_deref(), actor.user_email.as_deref().map(Cow::Borrowed)),
            Some((id, email)) => {
                // Somebody is signed in, and this is about somebody else.
                if let Some(by) = actor.user_id.as_deref().filter(|by| Some(*by) != id.as_deref()) {
                    details.entry("by").or_insert_with(|| by.into());
                }
                (id.as_deref(), email.as_deref().map(tamed))
            }
        };
        let kind = Kind {
            event_type: event.event_type().name(),
            event_action: event.action().name(),
            severity: event.severity().name(),
            outcome: event.outcome().name(),
            resource_type: resource.as_ref().map(|(kind, _)| *kind),
            description: event.sentence(),
        };
        let now = self.clock.now().as_millis();
        let resource_id = resource.as_ref().map(|(_, id)| tamed(id));
        let error = error.as_deref().map(tamed);
        let mut row = NewRow::new(
            kind,
            &Particulars {
                id: self.ids.fresh(now).encode_lower(&mut Uuid::encode_buffer()),
                created: &stamp(now),
                user_id,
                user_email: user_email.as_deref(),
                ip_address: actor.ip_address.as_deref(),
                user_agent: actor.user_agent.as_deref(),
                resource_id: resource_id.as_deref(),
                details: written(&Together(&actor.details, &details)).as_deref(),
                error_message: error.as_deref(),
            },
        );
        self.signer.sign(&mut row);
        row
    }
}

/// Runs a job in a transaction of its own, with the events that it records: both are committed, or neither is. A job that records
/// nothing does not compile; see [`fastcms_store::Store::write`] for the rest.
pub(crate) async fn write<T, E, F>(caller: &Caller, app: &App, job: F) -> Result<T, E>
where
    F: for<'a, 'c> FnOnce(&'a mut Tx<'c>, &'a Trail) -> BoxFuture<'a, Result<Audited<T>, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    app.audit.is_ours()?;
    let trail = Trail::new(app, caller.into());
    app.store
        .write(move |tx| {
            Box::pin(async move {
                let Audited(value) = job(tx, &trail).await?;
                Ok(value)
            })
        })
        .await
}

/// As [`write`], for a job whose one event is known beforehand: its row is made and signed here, not where everybody's writes wait for
/// each other. It says the time at which the job was handed over.
pub(crate) async fn write_of<T, E, F>(caller: &Caller, app: &App, event: Entry, job: F) -> Result<T, E>
where
    F: for<'a, 'c> FnOnce(&'a mut Tx<'c>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    app.audit.is_ours()?;
    let row = app.audit.scribe.is_heard().then(|| app.audit.scribe.row(&caller.into(), event));
    app.store
        .write(move |tx| {
            Box::pin(async move {
                let value = job(tx).await?;
                if let Some(row) = row {
                    tx.append_audit(row);
                }
                Ok(value)
            })
        })
        .await
}

/// As [`write`], for a job that may take as long as `budget`.
pub(crate) async fn write_within<T, E, F>(
    caller: &Caller,
    app: &App,
    budget: std::time::Duration,
    job: F,
) -> Result<T, E>
where
    F: for<'a, 'c> FnOnce(&'a mut Tx<'c>, &'a Trail) -> BoxFuture<'a, Result<Audited<T>, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    app.audit.is_ours()?;
    let trail = Trail::new(app, caller.into());
    app.store
        .write_within(budget, move |tx| {
            Box::pin(async move {
                let Audited(value) = job(tx, &trail).await?;
                Ok(value)
            })
        })
        .await
}
