//! What others are told of a change of records: a row of the outbox, written in the transaction of the change.

use crate::schema::Collection;
use crate::{Change, ChangeKind, Error, Tx};

/// How many events may wait. While nobody takes them out, the oldest make room.
pub const MAX_WAITING: i64 = 100_000;
/// How many go at once when there are too many.
const TRIM: i64 = 1_000;

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Created,
    Updated,
    Deleted,
}

impl Event {
    fn topic(self) -> &'static str {
        match self {
            Self::Created => "record.create",
            Self::Updated => "record.update",
            Self::Deleted => "record.delete",
        }
    }
}

/// Writes the event of one record. `now` is the time written into the record.
pub async fn announce(
    tx: &mut Tx<'_>,
    collection: &Collection,
    event: Event,
    id: &str,
    now: &str,
) -> Result<(), Error> {
    let payload = serde_json::json!({"collection": collection.id(), "id": id}).to_string();
    let mut sql = tx.sql();
    sql.push("INSERT INTO outbox (topic, payload, created) VALUES (").bind(event.topic()).push(", ").bind(payload);
    sql.push(", ").bind(now).push(") RETURNING id");
    let number = tx.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))?;
    // Now and then, so that most writes pay nothing: numbers only go up.
    if number > MAX_WAITING && number % TRIM == 0 {
        let mut sql = tx.sql();
        sql.push("DELETE FROM outbox WHERE id <= ").bind(number - MAX_WAITING);
        tx.execute(&sql).await?;
    }
    tx.announce(Change::new(ChangeKind::Outbox, ""));
    Ok(())
}
