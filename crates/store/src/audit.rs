//! Rows of `audit_logs`: one an event, appended in the transaction of what they describe and never changed again.
//!
//! A job hands its rows to [`Tx::append_audit`]; the engine writes those of all jobs that are committed together at once, just
//! before the commit. What may stand in a row is decided before it comes here.

use std::borrow::Cow;

use crate::{Dialect, Sql, Tx, Value};

/// Rows of one INSERT: few sizes, so that few statements are kept prepared whatever the size of a group.
const CHUNKS: [usize; 3] = [50, 7, 1];

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

impl Tx<'_> {
    /// Has a row written with the commit of this transaction, or not at all.
    pub fn append_audit(&mut self, row: AuditRow) {
        self.effects_mut().audit.push(row);
    }
}

/// The statements that write these rows.
pub(crate) fn insertions(dialect: Dialect, rows: Vec<AuditRow>) -> Vec<Sql> {
    let mut left = rows.into_iter();
    let mut statements = Vec::new();
    for size in CHUNKS {
        while left.len() >= size {
            statements.push(insertion(dialect, left.by_ref().take(size)));
        }
    }
    statements
}

fn insertion(dialect: Dialect, rows: impl Iterator<Item = AuditRow>) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("INSERT INTO audit_logs (").pick("", "position, ");
    sql.push("id, created, event_type, event_action, severity, outcome, user_id, user_email, ip_address, user_agent, ");
    sql.push("resource_type, resource_id, description, details, error_message, key_id, mac) VALUES ");
    sql.comma_list(rows, |sql, row| {
        sql.push("(");
        if dialect == Dialect::Postgres {
            sql.push("pg_current_xact_id()::text::bigint + ").bind_typed(row.shift).push(", ");
        }
        sql.binds_of([
            Value::from(row.id),
            Value::from(row.created),
            text(row.event_type),
            text(row.event_action),
            text(row.severity),
            text(row.outcome),
            Value::from(row.user_id),
            Value::from(row.user_email),
            Value::from(row.ip_address),
            Value::from(row.user_agent),
            row.resource_type.map_or(Value::Null, text),
            Value::from(row.resource_id),
            text(row.description),
            Value::from(row.details),
            Value::from(row.error_message),
            Value::from(row.key_id),
            Value::from(row.mac),
        ]);
        sql.push(")");
    });
    sql
}

fn text(text: Cow<'static, str>) -> Value {
    Value::Text(text.into_owned())
}
