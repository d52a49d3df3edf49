//! Places outside that the log goes to: a file, an address. What such a place has not taken waits in the log itself, on disk, for as
//! long as the log is kept; retention waits for it too, within bounds.
//!
//! Only what is linked is handed out, so that every place gets the events in the order of the chain. Of several nodes one at a time is
//! at a place. An event may come twice (a node ended before it could note that it was taken): its id says so.

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastcms_secrets::Secret;
use fastcms_store::Plan;
use fastcms_store::audit::sinks::{self as rows, BEGINNING, Place, SinkState};
use url::Url;

use super::body::EventBody;
use super::entry::MAX_TEXT;
use crate::access;
use crate::app::App;
use crate::caller::Caller;
use crate::config::{self, catalog};
use crate::error::{Error, Result};
use crate::secrets;
use crate::time::stamp;

/// Events handed out at once.
const BATCH: i64 = 500;
/// For how long a node has the turn at a place: longer than handing out one batch may take.
const TURN_MILLIS: i64 = 60_000;
/// How often it is said that the receiver's secret is used.
const SAYING_MILLIS: i64 = 3_600_000;
/// How long nobody tries after a place refused.
pub const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(5);

/// A place outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// `AUDIT_FILE`.
    File,
    /// `AUDIT_WEBHOOK_URL`.
    Webhook,
}

impl Sink {
    /// As it is called where its state is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Webhook => "webhook",
        }
    }

    /// The places that the settings name.
    pub fn configured(app: &App) -> Vec<Self> {
        let audit = &app.config.audit;
        let named = [(Self::File, audit.file.is_some()), (Self::Webhook, audit.webhook.is_some())];
        named.into_iter().filter_map(|(sink, is_named)| is_named.then_some(sink)).collect()
    }
}

/// What posting takes. All but where it leads may be replaced while the server runs.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The address, well-formed; a token may stand in its path or query.
    url: Option<Secret<String>>,
    /// What requests are signed with.
    pub secret: Option<Secret<String>>,
}

impl From<config::Audit> for WebhookSettings {
    fn from(settings: config::Audit) -> Self {
        Self { url: settings.webhook, secret: settings.webhook_secret }
    }
}

impl WebhookSettings {
    /// The address.
    pub fn url(&self) -> Option<Url> {
        self.url.as_ref().and_then(|text| Url::parse(text.expose()).ok())
    }

    /// Whether both lead to the same server.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        let origin = |settings: &Self| settings.url().map(|url| url.origin());
        origin(self).is_some() && origin(self) == origin(other)
    }
}

impl PartialEq for WebhookSettings {
    fn eq(&self, other: &Self) -> bool {
        let is_one = |one: &Option<Secret<String>>, other: &Option<Secret<String>>| {
            one.as_ref().map(Secret::expose) == other.as_ref().map(Secret::expose)
        };
        is_one(&self.url, &other.url) && is_one(&self.secret, &other.secret)
    }
}

/// How often the receiver's secret was used since that was last said, and when that was, unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<(u64, Option<i64>)>);

impl Uses {
    /// Counts a use; how many are to be spoken of now, if they are.
    fn count(&self, now: i64) -> Option<u64> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.0 += 1;
        let is_due = uses.1.is_none_or(|said| now - said >= SAYING_MILLIS);
        is_due.then(|| std::mem::replace(&mut *uses, (0, Some(now))).0)
    }

    /// The next use is spoken of: the secret is another.
    pub(super) fn begin_anew(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = None;
    }
}

/// Takes note that the receiver's secret signs a batch. The first time is an event, and from then on each hour how many it were: an event
/// for each would be the next batch, for ever.
pub async fn note_signed(_caller: &Caller, app: &App) {
    if let Some(times) = app.audit.signing.count(app.now_millis()) {
        secrets::note_use(app, catalog::AUDIT_WEBHOOK_SECRET.name, "receiver of the audit log", times).await;
    }
}

/// Events on their way to a place outside.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The same for the same events: by it a place knows what it had already.
    pub id: String,
    /// One JSON object a line.
    pub lines: Vec<u8>,
    pub events: usize,
    from: Place,
    to: Place,
}

/// Hands out everything that waits for `sink`, batch by batch, until `deliver` refuses one; says how many events were taken. Where
/// another node is at it, or the place refused a moment ago, nothing is done.
pub async fn ship<F, D>(caller: &Caller, app: &App, sink: Sink, mut deliver: D) -> Result<u64>
where
    D: FnMut(Batch) -> F,
    F: Future<Output = Result<(), String>>,
{
    access::require_admin(caller)?;
    let mut shipped = 0;
    while has_waiting(app, sink).await? {
        let Some(batch) = claim(app, sink).await? else { break };
        let Batch { events, from, to, .. } = batch;
        if events == 0 {
            taken(app, sink, from, to, 0).await?;
            break;
        }
        match deliver(batch).await {
            Ok(()) => {
                taken(app, sink, from, to, events).await?;
                shipped += events as u64;
            }
            Err(why) => {
                refused(app, sink, why).await?;
                break;
            }
        }
    }
    Ok(shipped)
}

/// A cheap look, so that nothing is written where nothing waits.
async fn has_waiting(app: &App, sink: Sink) -> Result<bool> {
    let last = super::chain::head(&app.store).await?.position;
    let place = states(app).await?.into_iter().find(|state| state.name == sink.name()).map_or(BEGINNING, |s| s.place);
    let rows = app.store.read(Plan::Bounded, move |reader| Box::pin(rows::waiting(reader, place, last, 1))).await?;
    Ok(!rows.is_empty())
}

async fn claim(app: &App, sink: Sink) -> Result<Option<Batch>> {
    let now = app.now_millis();
    let claimed = app
        .store
        .write(move |tx| Box::pin(async move { rows::claim(tx, sink.name(), now, now + TURN_MILLIS).await }))
        .await?;
    let Some(from) = claimed else { return Ok(None) };
    let last = super::chain::head(&app.store).await?.position;
    let found = app.store.read(Plan::Scan, move |reader| Box::pin(rows::waiting(reader, from, last, BATCH))).await?;
    let to = found.last().map_or(from, |row| (row.position, row.seq));
    let id = found.last().map(|row| row.row.id.clone()).unwrap_or_default();
    let events = found.len();
    let mut lines = Vec::with_capacity(events * 512);
    for placed in found {
        serde_json::to_writer(&mut lines, &EventBody::from(placed.row)).map_err(Error::internal)?;
        lines.push(b'\n');
    }
    Ok(Some(Batch { id, lines, events, from, to }))
}

async fn taken(app: &App, sink: Sink, from: Place, to: Place, events: usize) -> Result<()> {
    let count = i64::try_from(events).unwrap_or(i64::MAX);
    let write = app.store.write(move |tx| Box::pin(async move { rows::taken(tx, sink.name(), from, to, count).await }));
    Ok(write.await?)
}

async fn refused(app: &App, sink: Sink, why: String) -> Result<()> {
    let why: String = why.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    tracing::error!(sink = sink.name(), why, "the audit log could not be handed out: what waits stays in the database");
    let now = app.now_millis();
    let pause = i64::try_from(PAUSE_AFTER_REFUSAL.as_millis()).unwrap_or(i64::MAX);
    let write = app
        .store
        .write(move |tx| Box::pin(async move { rows::refused(tx, sink.name(), &stamp(now), &why, now + pause).await }));
    Ok(write.await?)
}

async fn states(app: &App) -> Result<Vec<SinkState>> {
    Ok(app.store.read(Plan::Bounded, |reader| Box::pin(rows::all(reader))).await?)
}

/// How far a place outside has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStatus {
    pub name: &'static str,
    /// Events it has taken in all.
    pub delivered: i64,
    /// Since when it refuses, and what it said last.
    pub failing: Option<(String, String)>,
}

/// How far the places outside have come that the settings name.
pub async fn sink_status(caller: &Caller, app: &App) -> Result<Vec<SinkStatus>> {
    access::require_admin(caller)?;
    let configured = Sink::configured(app);
    if configured.is_empty() {
        return Ok(Vec::new());
    }
    let states = states(app).await?;
    let status = |sink: Sink| {
        let state = states.iter().find(|state| state.name == sink.name());
        SinkStatus {
            name: sink.name(),
            delivered: state.map_or(0, |state| state.delivered),
            failing: state.and_then(|state| {
                state.failing_since.clone().map(|since| (since, state.error.clone().unwrap_or_default()))
            }),
        }
    };
    Ok(configured.into_iter().map(status).collect())
}

/// The position that every place outside has come to; `None` where none is configured.
pub(super) async fn slowest(app: &App) -> Result<Option<i64>> {
    let configured = Sink::configured(app);
    if configured.is_empty() {
        return Ok(None);
    }
    let states = states(app).await?;
    let place =
        |sink: &Sink| states.iter().find(|state| state.name == sink.name()).map_or(BEGINNING.0, |state| state.place.0);
    Ok(configured.iter().map(place).min())
}

/// Appends a batch to a file, and has it on disk.
///
/// # Errors
/// Why it could not be.
pub fn append(path: &Path, batch: &Batch) -> Result<(), String> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(&batch.lines).and_then(|()| file.sync_data()) {
            // Half a batch would be told again as a whole.
            let _ = file.set_len(before);
            return Err(error);
        }
        Ok(())
    };
    write().map_err(|error| format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_use_is_spoken_of_at_first_then_each_hour_and_at_once_when_it_is_another() {
        let uses = Uses::default();
        let said = [0, 1, SAYING_MILLIS - 1, SAYING_MILLIS, SAYING_MILLIS + 1].map(|now| uses.count(now));
        assert_eq!(said, [Some(1), None, None, Some(3), None]);
        uses.begin_anew();
        assert_eq!(uses.count(SAYING_MILLIS + 2), Some(2));
    }
}
