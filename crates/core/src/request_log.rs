//! The request log: which requests were answered, how, and for whom; for admins to look at.
//!
//! The edge hands every answered request to [`RequestLog::note`], which copies what is kept into a bounded queue and never waits;
//! a task of its own writes the queue to the store in batches. What finds the queue full is counted and lost: the log must not
//! cost a request its time. Nothing secret enters even the queue: of a query only the names of parameters are copied.
//!
//! Rows are not an audit log: nobody is promised that none is missing.

use fastcms_store::Plan;
use fastcms_store::request_log::{self as rows, Wanted};
pub use fastcms_store::request_log::{LoggedRequest, Totals};

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
    Ok(read.await?)
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
        let before = before.clone();
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

fn days_ago(app: &App, days: u32) -> String {
    stamp(app.now_millis() - i64::from(days) * DAY_MILLIS)
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
