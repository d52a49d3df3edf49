//! Rows of `audit_sinks`: how far each place outside has taken the log. The log itself is the buffer, so that what waits is on disk
//! and survives whatever ends the process.

use super::chain::PlacedRow;
use crate::{Reader, Result, Row, Tx};

/// The place of a row: its position and number.
pub type Place = (i64, i64);

/// Before the first row.
pub const BEGINNING: Place = (i64::MIN, i64::MIN);

/// A place outside, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkState {
    pub name: String,
    /// The last row it has taken.
    pub place: Place,
    /// Rows it has taken in all.
    pub delivered: i64,
    pub failing_since: Option<String>,
    pub error: Option<String>,
}

fn state(row: &Row) -> Result<SinkState> {
    Ok(SinkState {
        name: row.text(0)?.to_owned(),
        place: (row.int(1)?, row.int(2)?),
        delivered: row.int(3)?,
        failing_since: row.opt_text(4)?.map(str::to_owned),
        error: row.opt_text(5)?.map(str::to_owned),
    })
}

/// Every place outside that was ever written to.
pub async fn all(reader: &mut Reader<'_>) -> Result<Vec<SinkState>> {
    let mut sql = reader.sql();
    sql.push("SELECT name, position, seq, delivered, failing_since, error FROM audit_sinks ORDER BY name");
    reader.fetch(&sql).await?.iter().map(state).collect()
}

/// Rows that follow on `after`, up to and with those of position `last`.
pub async fn waiting(reader: &mut Reader<'_>, after: Place, last: i64, limit: i64) -> Result<Vec<PlacedRow>> {
    let mut rows = super::chain::rows_after(reader, after, limit).await?;
    rows.retain(|row| row.position <= last);
    Ok(rows)
}

/// Takes the turn at a place outside until `until`; where it has come to. `None` while another node has it, or nobody is to try.
pub async fn claim(tx: &mut Tx<'_>, name: &str, now: i64, until: i64) -> Result<Option<Place>> {
    let mut sql = tx.sql();
    sql.push("INSERT INTO audit_sinks (name, position, seq, delivered, claimed_until) VALUES (").bind(name);
    sql.push(", ").bind(BEGINNING.0).push(", ").bind(BEGINNING.1).push(", 0, 0) ON CONFLICT (name) DO NOTHING");
    tx.execute(&sql).await?;
    let mut sql = tx.sql();
    sql.push("UPDATE audit_sinks SET claimed_until = ").bind(until).push(" WHERE name = ").bind(name);
    sql.push(" AND claimed_until <= ").bind(now).push(" RETURNING position, seq");
    tx.fetch_one(&sql).await?.map(|row| Ok((row.int(0)?, row.int(1)?))).transpose()
}

/// Notes that a place outside has taken everything up to `to`, unless another node has moved it since; the turn is over.
pub async fn taken(tx: &mut Tx<'_>, name: &str, from: Place, to: Place, count: i64) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE audit_sinks SET position = ").bind(to.0).push(", seq = ").bind(to.1);
    sql.push(", delivered = delivered + ").bind(count);
    sql.push(", claimed_until = 0, failing_since = NULL, error = NULL WHERE name = ").bind(name);
    sql.push(" AND position = ").bind(from.0).push(" AND seq = ").bind(from.1);
    tx.execute(&sql).await.map(drop)
}

/// Notes that a place outside refused, and why; nobody tries again before `until`.
pub async fn refused(tx: &mut Tx<'_>, name: &str, now: &str, error: &str, until: i64) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE audit_sinks SET failing_since = coalesce(failing_since, ").bind_typed(now);
    sql.push("), error = ").bind(error).push(", claimed_until = ").bind(until).push(" WHERE name = ").bind(name);
    tx.execute(&sql).await.map(drop)
}
