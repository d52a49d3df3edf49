//! Rows of `audit_logs`: one an event, appended in the transaction of what they describe and never changed again.
//!
//! A job hands its rows to [`Tx::append_audit`]; the engine writes those of all jobs that are committed together at once, just
//! before the commit. What may stand in a row is decided before it comes here.

use std::borrow::Cow;

use crate::appended::Appended;
use crate::{Dialect, Result, Row, Sql, Tx, Value};

pub mod accounts;
pub mod chain;
mod reading;
pub mod sinks;

pub use reading::{Tally, Wanted, page, tally, total};

/// One event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub id: String,
    pub created: String,
    pub event_type: Cow<'static, str>,
    pub event_action: Cow<'static, str>,
    pub severity: Cow<'static, str>,
    pub outcome: Cow<'static, str>,
    pub user_id: Option<String>,
    pub user_email: Option<String>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub resource_type: Option<Cow<'static, str>>,
    pub resource_id: Option<String>,
    pub description: Cow<'static, str>,
    /// JSON object.
    pub details: Option<String>,
    pub error_message: Option<String>,
    /// Added to the transaction number on `PostgreSQL`.
    pub shift: i64,
    /// Which data key the MAC was made with.
    pub key_id: i64,
    pub mac: Vec<u8>,
}

/// The columns of a row, in the order of [`row_of`].
const COLUMNS: &str = "id, created, event_type, event_action, severity, outcome, user_id, user_email, ip_address, user_agent, \
    resource_type, resource_id, description, details, error_message, key_id, mac";

/// The row whose columns begin at `at`.
fn row_of(row: &Row, at: usize) -> Result<AuditRow> {
    let text = |column: usize| row.text(at + column).map(str::to_owned);
    let maybe = |column: usize| Ok::<_, crate::Error>(row.opt_text(at + column)?.map(str::to_owned));
    Ok(AuditRow {
        id: text(0)?,
        created: text(1)?,
        event_type: text(2)?.into(),
        event_action: text(3)?.into(),
        severity: text(4)?.into(),
        outcome: text(5)?.into(),
        user_id: maybe(6)?,
        user_email: maybe(7)?,
        ip_address: maybe(8)?,
        user_agent: maybe(9)?,
        resource_type: maybe(10)?.map(Cow::Owned),
        resource_id: maybe(11)?,
        description: text(12)?.into(),
        details: maybe(13)?,
        error_message: maybe(14)?,
        shift: 0,
        key_id: row.int(at + 15)?,
        mac: row.bytes(at + 16)?.to_vec(),
    })
}

impl Tx<'_> {
    /// Has a row written with the commit of this transaction, or not at all.
    pub fn append_audit(&mut self, row: AuditRow) {
        self.effects_mut().audit.push(row);
    }
}

impl Appended for AuditRow {
    /// What says which event it is, and the key.
    const COMMON: &'static [usize] = &[2, 3, 4, 5, 10, 12, 14, 15];

    fn begin(sql: &mut Sql) {
        sql.push("INSERT INTO audit_logs (").pick("", "position, ").push(COLUMNS).push(") VALUES ");
    }

    fn place(&self, sql: &mut Sql) {
        if sql.dialect() == Dialect::Postgres {
            sql.push("txid_current() + ").bind(self.shift).push(", ");
        }
    }

    /// In the order of [`COLUMNS`].
    fn values(self) -> impl Iterator<Item = Value> {
        [
            Value::from(self.id),
            Value::from(self.created),
            Value::from(self.event_type),
            Value::from(self.event_action),
            Value::from(self.severity),
            Value::from(self.outcome),
            Value::from(self.user_id),
            Value::from(self.user_email),
            Value::from(self.ip_address),
            Value::from(self.user_agent),
            Value::from(self.resource_type),
            Value::from(self.resource_id),
            Value::from(self.description),
            Value::from(self.details),
            Value::from(self.error_message),
            Value::from(self.key_id),
            Value::from(self.mac),
        ]
        .into_iter()
    }
}
