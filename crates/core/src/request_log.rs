//! The request log: which requests were answered, how, and for whom; for admins to look at.
//!
//! The edge hands every answered request to [`RequestLog::note`], which copies what is kept into a bounded queue and never waits;
//! a task of its own writes the queue to the store in batches. What finds the queue full is counted and lost: the log must not
//! cost a request its time. Nothing secret enters even the queue: of a query only the names of parameters are copied.
//!
//! Rows are not an audit log: nobody is promised that none is missing.

use fastcms_store::Plan;
pub use fastcms_store::request_log::Totals;
use fastcms_store::request_log::{self as rows, Number, StoredRequest, Wanted};

use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::{Caller, Channel};
use crate::error::{Error, Result};
use crate::time::stamp;

mod queue;
mod url;
mod writer;

pub use queue::{Answered, RequestLog};

/// How long rows are kept, days.
pub const RETENTION_DAYS: u32 = 7;

/// Rows taken away in one transaction: between two of them other writes have their turn.
const SWEPT_TOGETHER: i64 = 5_000;

/// Longest text that a row is looked for by, characters: that of the longest id and method there is, and some more.
const MAX_WANTED: usize = 64;

const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    pub id: String,
    pub created: String,
    /// The rest, as it is stored.
    pub row: StoredRequest,
}

impl From<StoredRequest> for LoggedRequest {
    fn from(row: StoredRequest) -> Self {
        Self { id: id(row.number), created: stamp(row.number.unix_millis()), row }
    }
}

/// A row's number as a `UUIDv7` (RFC 9562 section 6.2, method 1: what follows the time counts within the millisecond). The rest of it
/// follows from the number, and is mixed so that two ids do not look alike.
fn id(number: Number) -> String {
    let (millis, within) = (number.unix_millis(), number.within());
    let mut tail = [0; 10];
    tail[..2].copy_from_slice(&u16::try_from(within >> 9).unwrap_or_default().to_be_bytes());
    let mixed = (u64::from(within) << 43 ^ millis.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    tail[2..].copy_from_slice(&(mixed ^ mixed >> 32).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(millis.unsigned_abs(), &tail).into_uuid().hyphenated().to_string()
}

/// Which requests to list; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In any case: `get` finds `GET`.
    pub method: Option<String>,
    pub status: Option<u16>,
    /// Id of an account, of whatever realm.
    pub user_id: Option<String>,
    /// How far back to look.
    pub days: u32,
}

/// Requests, newest first. What was answered within the last second may be missing.
pub async fn list(caller: &Caller, app: &App, filter: Filter, limit: u32, offset: u32) -> Result<Vec<LoggedRequest>> {
    access::require(caller, Permission::LogsRead)?;
    let wanted = Wanted {
        since: days_ago(app, filter.days),
        method: wanted("method", filter.method)?.map(|method| method.to_ascii_uppercase()),
        status: filter.status.map(i64::from),
        user_id: wanted("user_id", filter.user_id)?,
    };
    let read =
        app.store.read(Plan::Scan, move |reader| Box::pin(rows::page(reader, wanted, limit.into(), offset.into())));
    Ok(read.await?.into_iter().map(LoggedRequest::from).collect())
}

/// What the requests of the last days came to.
pub async fn statistics(caller: &Caller, app: &App, days: u32) -> Result<Totals> {
    access::require(caller, Permission::LogsRead)?;
    let since = days_ago(app, days);
    let read = app.store.read(Plan::Scan, move |reader| Box::pin(rows::totals(reader, since)));
    Ok(read.await?)
}

/// Takes away what is older than so many days; says how many rows that were.
pub async fn cleanup(caller: &Caller, app: &App, retention_days: u32) -> Result<u64> {
    access::require(caller, Permission::LogsWrite)?;
    let before = days_ago(app, retention_days);
    let mut deleted = 0;
    loop {
        let some: u64 = app.store.write(move |tx| Box::pin(rows::delete_before(tx, before, SWEPT_TOGETHER))).await?;
        deleted += some;
        if some < SWEPT_TOGETHER.unsigned_abs() {
            break;
        }
    }
    // What the product does by itself every few minutes, as it was told to, is no event.
    if !matches!(caller.channel, Channel::Background) {
        let event = Event::RequestLogCleaned.with("retention_days", retention_days).with("deleted", deleted);
        audit::record(caller, app, event).await?;
    }
    Ok(deleted)
}

/// Has everything written that was noted before. To be called before the store is closed.
pub async fn flush(_operator: &Caller, app: &App) {
    app.request_log.flush().await;
}

/// In milliseconds since the Unix epoch.
fn days_ago(app: &App, days: u32) -> i64 {
    app.now_millis() - i64::from(days) * DAY_MILLIS
}

/// A text to compare with: what cannot stand in a row is refused before the database is asked.
fn wanted(parameter: &'static str, text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    if text.chars().count() > MAX_WANTED {
        return Err(Error::field(parameter, format!("Maximum length is {MAX_WANTED}")));
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Some(text))
    } else {
        Err(Error::field(parameter, "Does not match required pattern"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_as_different_and_in_the_same_order_as_their_rows() {
        let millis = [0, 1, 1_769_851_800_007, 4_398_046_511_103];
        let within = [0, 1, 511, 512, 513, 1 << 20, Number::EACH_MILLISECOND - 1];
        let numbers: BTreeSet<Number> =
            millis.iter().flat_map(|millis| within.map(|within| Number::new(*millis, within))).collect();
        let ids: Vec<String> = numbers.iter().map(|number| id(*number)).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), millis.len() * within.len());
        for (id, number) in ids.iter().zip(&numbers) {
            let uuid = uuid::Uuid::parse_str(id).unwrap();
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122), "{id}");
            let (seconds, nanos) = uuid.get_timestamp().unwrap().to_unix();
            assert_eq!(i64::try_from(seconds).unwrap() * 1000 + i64::from(nanos / 1_000_000), number.unix_millis());
        }
        // Those of one millisecond are told apart by the head of what follows it: 512 share one.
        assert!(ids.windows(2).zip(numbers.iter().zip(numbers.iter().skip(1))).all(|(ids, (a, b))| {
            ids[0] < ids[1] || (a.unix_millis() == b.unix_millis() && a.within() >> 9 == b.within() >> 9)
        }));
    }
}
