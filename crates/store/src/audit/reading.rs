//! Looking into the audit log: pages with their true totals, and counts.

use super::{AuditRow, COLUMNS, row_of};
use crate::{Dialect, Reader, Result, Sql};

/// Which events are meant; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub event_type: Option<&'static str>,
    pub event_action: Option<&'static str>,
    pub severity: Option<&'static str>,
    pub outcome: Option<&'static str>,
    pub user_id: Option<String>,
    pub ip_address: Option<String>,
    /// The earliest and the latest `created`.
    pub from: Option<String>,
    pub to: Option<String>,
}

impl Wanted {
    fn push(&self, sql: &mut Sql) {
        sql.push(" WHERE 1 = 1");
        if let Some(event_type) = self.event_type {
            sql.push(" AND event_type = ").bind(event_type);
            if event_type != "record" {
                // What the index on all but records is found by.
                sql.push(" AND event_type <> 'record'");
            }
        }
        let texts = [
            (" AND event_action = ", self.event_action.map(str::to_owned)),
            (" AND severity = ", self.severity.map(str::to_owned)),
            (" AND outcome = ", self.outcome.map(str::to_owned)),
            (" AND user_id = ", self.user_id.clone()),
            (" AND ip_address = ", self.ip_address.clone()),
            (" AND created >= ", self.from.clone()),
            (" AND created <= ", self.to.clone()),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                sql.push(condition).bind(text);
            }
        }
    }
}

/// A page of the events that are meant, newest first.
pub async fn page(reader: &mut Reader<'_>, wanted: &Wanted, limit: i64, offset: i64) -> Result<Vec<AuditRow>> {
    let mut sql = reader.sql();
    sql.push("SELECT ").push(COLUMNS).push(" FROM audit_logs");
    wanted.push(&mut sql);
    match sql.dialect() {
        Dialect::Sqlite => sql.push(" ORDER BY seq DESC"),
        Dialect::Postgres => sql.push(" ORDER BY position DESC, seq DESC"),
    };
    sql.push(" LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    reader.fetch(&sql).await?.iter().map(|row| row_of(row, 0)).collect()
}

/// How many events are meant.
pub async fn total(reader: &mut Reader<'_>, wanted: &Wanted) -> Result<i64> {
    let mut sql = reader.sql();
    sql.push("SELECT count(*) FROM audit_logs");
    wanted.push(&mut sql);
    reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

/// How many events there are of each type, severity and outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub event_type: String,
    pub severity: String,
    pub outcome: String,
    pub count: i64,
}

/// Counts the events that are meant.
pub async fn tally(reader: &mut Reader<'_>, wanted: &Wanted) -> Result<Vec<Tally>> {
    let mut sql = reader.sql();
    sql.push("SELECT event_type, severity, outcome, count(*) FROM audit_logs");
    wanted.push(&mut sql);
    sql.push(" GROUP BY event_type, severity, outcome ORDER BY event_type, severity, outcome");
    let rows = reader.fetch(&sql).await?;
    rows.iter()
        .map(|row| {
            Ok(Tally {
                event_type: row.text(0)?.to_owned(),
                severity: row.text(1)?.to_owned(),
                outcome: row.text(2)?.to_owned(),
                count: row.int(3)?,
            })
        })
        .collect()
}
