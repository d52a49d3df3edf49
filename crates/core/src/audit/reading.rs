//! Looking into the log: pages with true totals, counts, an export in order, and retention by whole segments.

use fastcms_store::audit::chain::{self as rows, PlacedRow, Pruning, Segment};
use fastcms_store::audit::{self as table, AuditRow, Tally, Wanted};
use fastcms_store::{Plan, Tx};

use super::{Event, write};
use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::time::stamp;

/// How long events are kept unless asked otherwise, days.
pub const RETENTION_DAYS: u32 = 90;
/// Rows taken away in one transaction: between two of them other writes have their turn.
const SWEPT_TOGETHER: i64 = 2_000;
/// Rows of an export read at once.
const EXPORTED_TOGETHER: i64 = 1_000;
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// A page of events.
#[derive(Debug, Clone)]
pub struct AuditPage {
    pub items: Vec<AuditRow>,
    /// Of all events that are meant.
    pub total: i64,
}

/// Events, newest first, and how many there are in all.
pub async fn list(caller: &Caller, app: &App, wanted: Wanted, limit: u32, offset: u32) -> Result<AuditPage> {
    access::require(caller, Permission::AuditRead)?;
    let read = app.store.read(Plan::Scan, move |reader| {
        Box::pin(async move {
            let items = table::page(reader, &wanted, limit.into(), offset.into()).await?;
            Ok::<_, Error>(AuditPage { items, total: table::total(reader, &wanted).await? })
        })
    });
    read.await
}

/// The newest events, without their total.
pub async fn latest(caller: &Caller, app: &App, wanted: Wanted, limit: u32) -> Result<Vec<AuditRow>> {
    access::require(caller, Permission::AuditRead)?;
    let read = app
        .store
        .read(Plan::Scan, move |reader| Box::pin(async move { table::page(reader, &wanted, limit.into(), 0).await }));
    Ok(read.await?)
}

/// How many events there are of each type, severity and outcome.
pub async fn statistics(caller: &Caller, app: &App, wanted: Wanted) -> Result<Vec<Tally>> {
    access::require(caller, Permission::AuditRead)?;
    let read = app.store.read(Plan::Scan, move |reader| Box::pin(async move { table::tally(reader, &wanted).await }));
    Ok(read.await?)
}

/// The events that follow on this place, the oldest first: at most a thousand. Begin with `None`; go on with the place of the last.
pub async fn following(caller: &Caller, app: &App, after: Option<(i64, i64)>) -> Result<Vec<PlacedRow>> {
    access::require(caller, Permission::AuditRead)?;
    let after = after.unwrap_or((i64::MIN, i64::MIN));
    let read = app.store.read(Plan::Scan, move |reader| Box::pin(rows::rows_after(reader, after, EXPORTED_TOGETHER)));
    Ok(read.await?)
}

/// Says in the log that it is exported.
pub async fn note_export(caller: &Caller, app: &App) -> Result<()> {
    access::require(caller, Permission::AuditRead)?;
    super::record(caller, app, Event::AuditExported).await
}

/// Takes away the segments that ended more than so many days ago; says how many events went. What remains of a segment is its end,
/// sealed, so that the chain can still be verified across the gap. What a place outside has not taken yet stays twice as long.
pub async fn cleanup(caller: &Caller, app: &App, retention_days: u32) -> Result<u64> {
    access::require(caller, Permission::AuditWrite)?;
    let now = app.now_millis();
    let before = stamp(now - i64::from(retention_days) * DAY_MILLIS);
    let long_before = stamp(now - 2 * i64::from(retention_days) * DAY_MILLIS);
    let shipped = super::sinks::slowest(app).await?;
    let segments = app.store.read(Plan::Scan, |reader| Box::pin(rows::segments(reader))).await?;
    let mut deleted = 0;
    for segment in segments {
        if let Some(closing) = segment.closing.as_ref().filter(|closing| closing.closed < before)
            && shipped.is_some_and(|position| position < closing.last_position)
        {
            if closing.closed >= long_before {
                continue;
            }
            tracing::error!(segment = segment.number, "events go that a place outside has not taken for too long");
        }
        let Some(closing) = segment.closing.as_ref().filter(|closing| closing.closed < before) else { continue };
        let Some(signer) = app.audit.signers.iter().find(|signer| signer.key_id == segment.key_id) else { continue };
        if segment.pruning.is_none() {
            let pruned = stamp(now);
            let seal = signer.pruning(closing, &pruned).to_vec();
            give_leave(caller, app, &segment, Pruning { pruned, seal }).await?;
        }
        deleted += sweep(app, &segment).await?;
    }
    Ok(deleted)
}

/// Whatever becomes of the sweeping, that the segment goes is in the log.
async fn give_leave(caller: &Caller, app: &App, segment: &Segment, pruning: Pruning) -> Result<()> {
    let (number, links) = (segment.number, segment.closing.as_ref().map_or(0, |closing| closing.links));
    write(caller, app, move |tx, trail| {
        Box::pin(async move {
            rows::prune(tx, number, &pruning).await?;
            let event = Event::AuditCleaned.on("audit_segment", number.to_string()).with("links", links);
            Ok::<_, Error>(trail.record(tx, event).with(()))
        })
    })
    .await
}

async fn sweep(app: &App, segment: &Segment) -> Result<u64> {
    let mut deleted = 0;
    loop {
        let segment = segment.clone();
        let some: u64 = app
            .store
            .write(move |tx: &mut Tx<'_>| Box::pin(async move { rows::sweep(tx, &segment, SWEPT_TOGETHER).await }))
            .await?;
        if some == 0 {
            return Ok(deleted);
        }
        deleted += some;
    }
}

/// How many links the chain has, and how many rows wait to be linked.
pub async fn standing(caller: &Caller, app: &App) -> Result<(i64, i64)> {
    access::require(caller, Permission::AuditRead)?;
    let head = super::chain::head(&app.store).await?;
    let position = head.position;
    let waiting = app.store.read(Plan::Scan, move |reader| Box::pin(rows::count_after(reader, position))).await?;
    Ok((head.link, waiting))
}
