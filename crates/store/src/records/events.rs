//! What others are told of a change of records.

use crate::outbox::Waiting;
use crate::schema::Collection;
use crate::{Change, ChangeKind, Tx};

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

/// Has the event of one record written with the commit. `now` is the time written into the record.
pub fn announce(tx: &mut Tx<'_>, collection: &Collection, event: Event, id: &str, now: &str) {
    let payload = serde_json::json!({"collection": collection.id(), "id": id}).to_string();
    tx.tell(Waiting { topic: event.topic(), payload, created: now.to_owned() });
    tx.announce(Change::new(ChangeKind::Outbox, ""));
}
