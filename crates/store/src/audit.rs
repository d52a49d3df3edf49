//! Rows of `audit_logs`: one an event, appended in the transaction of what they describe and never changed again.
//!
//! A job hands its rows to [`Tx::append_audit`]; the engine writes those of all jobs that are committed together at once, just
//! before the commit. What may stand in a row is decided before it comes here.

use crate::{Result, Row, Tx};

pub mod accounts;
pub mod chain;
mod new_row;
mod reading;
pub mod sinks;

pub use new_row::{Kind, NewRow, Particulars};
pub use reading::{Tally, Wanted, page, tally, total};

/// One event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub id: String,
    pub created: String,
    pub event_type: String,
    pub event_action: String,
    pub severity: String,
    pub outcome: String,
    pub user_id: Option<String>,
    pub user_email: Option<String>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    pub description: String,
    /// JSON object.
    pub details: Option<String>,
    pub error_message: Option<String>,
    /// Which data key the MAC was made with.
    pub key_id: i64,
    pub mac: Vec<u8>,
}

/// The columns of a row, in the order of [`row_of`].
const COLUMNS: &str = "id, created, event_type, event_action, severity, outcome, user_id, user_email, ip_address, user_agent, \
    resource_type, resource_id, description, details, error_message, key_id, mac";

/// How many of them are texts, the first.
const TEXTS: usize = 15;

impl AuditRow {
    /// All that is signed, in the order of the columns.
    pub fn texts(&self) -> [Option<&str>; TEXTS] {
        [
            Some(&self.id),
            Some(&self.created),
            Some(&self.event_type),
            Some(&self.event_action),
            Some(&self.severity),
            Some(&self.outcome),
            self.user_id.as_deref(),
            self.user_email.as_deref(),
            self.ip_address.as_deref(),
            self.user_agent.as_deref(),
            self.resource_type.as_deref(),
            self.resource_id.as_deref(),
            Some(&self.description),
            self.details.as_deref(),
            self.error_message.as_deref(),
        ]
    }
}

/// The row whose columns begin at `at`.
fn row_of(row: &Row, at: usize) -> Result<AuditRow> {
    let text = |column: usize| row.text(at + column).map(str::to_owned);
    let maybe = |column: usize| Ok::<_, crate::Error>(row.opt_text(at + column)?.map(str::to_owned));
    Ok(AuditRow {
        id: text(0)?,
        created: text(1)?,
        event_type: text(2)?,
        event_action: text(3)?,
        severity: text(4)?,
        outcome: text(5)?,
        user_id: maybe(6)?,
        user_email: maybe(7)?,
        ip_address: maybe(8)?,
        user_agent: maybe(9)?,
        resource_type: maybe(10)?,
        resource_id: maybe(11)?,
        description: text(12)?,
        details: maybe(13)?,
        error_message: maybe(14)?,
        key_id: row.int(at + 15)?,
        mac: row.bytes(at + 16)?.to_vec(),
    })
}

impl Tx<'_> {
    /// Has a row written with the commit of this transaction, or not at all.
    pub fn append_audit(&mut self, row: NewRow) {
        self.effects_mut().audit.push(row);
    }
}
