//! Looking into the audit log: pages with their true totals, and counts.

use std::collections::BTreeMap;

use super::accounts::Among;
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
    /// Where these events are, the newest first.
    fn among(&self, dialect: Dialect) -> Vec<Among<'_>> {
        Among::of(self.user_id.as_deref(), dialect)
    }

    fn push(&self, sql: &mut Sql) {
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
    let (mut found, mut before) = (Vec::new(), offset);
    let places = wanted.among(reader.dialect());
    let mut left = limit;
    for (at, among) in places.iter().enumerate() {
        let mut sql = reader.sql();
        sql.push("SELECT ").push(COLUMNS);
        among.push(&mut sql);
        wanted.push(&mut sql);
        among.push_order(&mut sql);
        sql.push(" LIMIT ").bind(left).push(" OFFSET ").bind(before);
        for row in &reader.fetch(&sql).await? {
            found.push(row_of(row, 0)?);
            left -= 1;
        }
        if left <= 0 {
            break;
        }
        if before > 0 && at + 1 < places.len() {
            before = (before - count(reader, wanted, *among).await?).max(0);
        }
    }
    Ok(found)
}

/// How many events are meant.
pub async fn total(reader: &mut Reader<'_>, wanted: &Wanted) -> Result<i64> {
    let mut total = 0;
    for among in wanted.among(reader.dialect()) {
        total += count(reader, wanted, among).await?;
    }
    Ok(total)
}

async fn count(reader: &mut Reader<'_>, wanted: &Wanted, among: Among<'_>) -> Result<i64> {
    let mut sql = reader.sql();
    sql.push("SELECT count(*)");
    among.push(&mut sql);
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
    let mut counts = BTreeMap::<(String, String, String), i64>::new();
    for among in wanted.among(reader.dialect()) {
        let mut sql = reader.sql();
        sql.push("SELECT event_type, severity, outcome, count(*)");
        among.push(&mut sql);
        wanted.push(&mut sql);
        sql.push(" GROUP BY event_type, severity, outcome");
        for row in &reader.fetch(&sql).await? {
            let of = (row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.text(2)?.to_owned());
            *counts.entry(of).or_default() += row.int(3)?;
        }
    }
    let tally = counts.into_iter();
    Ok(tally.map(|((event_type, severity, outcome), count)| Tally { event_type, severity, outcome, count }).collect())
}
