//! The change feed: what a committed write tells the memory of this node and, on `PostgreSQL`, of the others.
//!
//! A change says *what kind* of thing changed and which one, never how: who listens reads the new state from the store.
//! Subscribers hear of a write after its commit and before its answer is given, so that nobody who saw the answer can meet
//! the old state on this node.

use crate::error::Error;
use arc_swap::ArcSwap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The longest id a change may have on its way to other nodes, in bytes; a longer one is told as "everything changed".
pub const MAX_CHANGE_ID_BYTES: usize = 1_000;

/// Something that changed, after its commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// What kind of thing.
    pub kind: ChangeKind,
    /// Which one; empty when all of the kind are meant.
    pub id: String,
}

/// What kind of thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Anything may have changed: messages may have been missed, everything held in memory is to be read again.
    Everything,
    /// The schema: collections, fields, rules.
    Collections,
    /// An account's role, state or credentials.
    Account,
    /// A session was revoked.
    Session,
    /// An API key was created, changed or revoked.
    ApiKey,
    /// A setting.
    Settings,
    /// The rules about client addresses.
    IpRules,
    /// Keys that seal data or sign tokens.
    Keys,
    /// An event waits in the outbox. Said on the node that wrote it alone.
    Outbox,
    /// A mail waits to be sent. Said on the node that wrote it alone.
    Mail,
}

impl ChangeKind {
    const ALL: [Self; 10] = [
        Self::Everything,
        Self::Collections,
        Self::Account,
        Self::Session,
        Self::ApiKey,
        Self::Settings,
        Self::IpRules,
        Self::Keys,
        Self::Outbox,
        Self::Mail,
    ];

    /// Whether other nodes hear of it.
    pub(crate) fn is_told_to_others(self) -> bool {
        !matches!(self, Self::Outbox | Self::Mail)
    }

    /// The word for it between nodes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Collections => "collections",
            Self::Account => "account",
            Self::Session => "session",
            Self::ApiKey => "api_key",
            Self::Settings => "settings",
            Self::IpRules => "ip_rules",
            Self::Keys => "keys",
            Self::Outbox => "outbox",
            Self::Mail => "mail",
        }
    }

    /// Reads the word; one of a newer node, unknown here, means [`ChangeKind::Everything`], the safe reading.
    pub(crate) fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Self::Everything)
    }
}

impl Change {
    /// A change of one thing.
    pub fn new(kind: ChangeKind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }

    /// Anything may have changed.
    pub fn everything() -> Self {
        Self::new(ChangeKind::Everything, "")
    }
}

/// Who is told of changes. Called on the thread that committed: it must be quick and must not wait for the store.
pub type Subscriber = Arc<dyn Fn(&Change) + Send + Sync>;

/// The subscribers of one store.
#[derive(Default)]
pub(crate) struct Feed {
    subscribers: ArcSwap<Vec<Subscriber>>,
}

impl Feed {
    pub(crate) fn subscribe(&self, subscriber: &Subscriber) {
        self.subscribers.rcu(|old| {
            let mut new = Vec::clone(old);
            new.push(Arc::clone(subscriber));
            new
        });
    }

    /// Tells every subscriber every change, in order. A subscriber that panics is logged and passed over.
    pub(crate) fn publish(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let subscribers = self.subscribers.load();
        for change in changes {
            for subscriber in subscribers.iter() {
                if catch_unwind(AssertUnwindSafe(|| subscriber(change))).is_err() {
                    tracing::error!(kind = change.kind.as_str(), "a subscriber of the change feed panicked");
                }
            }
        }
    }
}

/// How changes travel between nodes: one line for the node, one `kind:id` line a change, in messages of bounded size.
pub(crate) mod wire {
    use super::{Change, ChangeKind, Error, MAX_CHANGE_ID_BYTES};

    /// `NOTIFY` takes payloads below 8 000 bytes.
    const MAX_MESSAGE_BYTES: usize = 7_000;

    /// Writes as few messages as hold all changes.
    pub(crate) fn encode(node: &str, changes: &[Change]) -> Vec<String> {
        let mut messages = Vec::new();
        let mut message = node.to_owned();
        for change in changes {
            let sendable = change.id.len() <= MAX_CHANGE_ID_BYTES && !change.id.contains(['\n', '\0']);
            let (kind, id) = if sendable { (change.kind, change.id.as_str()) } else { (ChangeKind::Everything, "") };
            if message.len() + kind.as_str().len() + id.len() + 2 > MAX_MESSAGE_BYTES {
                messages.push(std::mem::replace(&mut message, node.to_owned()));
            }
            message.push('\n');
            message.push_str(kind.as_str());
            message.push(':');
            message.push_str(id);
        }
        messages.push(message);
        messages
    }

    /// Reads a message into the node that sent it and its changes.
    pub(crate) fn decode(message: &str) -> Result<(&str, Vec<Change>), Error> {
        let mut lines = message.split('\n');
        let node = lines.next().unwrap_or_default();
        let changes = lines
            .map(|line| {
                let (kind, id) = line.split_once(':').ok_or_else(|| Error::internal("a change without a kind"))?;
                Ok(Change::new(ChangeKind::parse(kind), id))
            })
            .collect::<Result<_, Error>>()?;
        Ok((node, changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_from_the_wire_in_order() {
        let changes: Vec<_> = (0..1_000).map(|i| Change::new(ChangeKind::Session, format!("session:{i}"))).collect();
        let messages = wire::encode("node", &changes);
        assert!(messages.len() > 1 && messages.iter().all(|m| m.len() <= 7_000));
        let back: Vec<_> = messages
            .iter()
            .flat_map(|m| {
                let (node, changes) = wire::decode(m).unwrap();
                assert_eq!(node, "node");
                changes
            })
            .collect();
        assert_eq!(back, changes);
    }

    #[test]
    fn what_cannot_be_sent_or_is_unknown_means_everything() {
        for id in ["a\nb".to_owned(), "x".repeat(MAX_CHANGE_ID_BYTES + 1)] {
            let messages = wire::encode("n", &[Change::new(ChangeKind::Session, id)]);
            assert_eq!(wire::decode(&messages[0]).unwrap().1, [Change::everything()]);
        }
        assert_eq!(ChangeKind::parse("of tomorrow"), ChangeKind::Everything);
        for kind in ChangeKind::ALL {
            assert_eq!(ChangeKind::parse(kind.as_str()), kind);
        }
    }
}
