//! An event on its way into the table.

use super::{COLUMNS, TEXTS};
use crate::appended::{Appended, Bound};
use crate::value::Cell;
use crate::{Dialect, Sql};

/// Which event it is, in the words of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub event_type: &'static str,
    pub event_action: &'static str,
    pub severity: &'static str,
    pub outcome: &'static str,
    pub resource_type: Option<&'static str>,
    pub description: &'static str,
}

/// What an event says of its own.
#[derive(Debug, Clone, Copy)]
pub struct Particulars<'a> {
    pub id: &'a str,
    pub created: &'a str,
    pub user_id: Option<&'a str>,
    pub user_email: Option<&'a str>,
    pub ip_address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub resource_id: Option<&'a str>,
    /// JSON object.
    pub details: Option<&'a str>,
    pub error_message: Option<&'a str>,
}

/// An event that is to be written.
///
/// What it says of its own is one text: one thread makes it, and another lets it go, which costs more the more pieces there are.
#[derive(Debug)]
pub struct NewRow {
    kind: Kind,
    text: String,
    /// Where in the text each of the particulars ends, in their order; `None` where there is none.
    ends: [Option<usize>; PARTICULARS],
    /// Added to the transaction number on `PostgreSQL`.
    shift: i64,
    key_id: i64,
    mac: [u8; 32],
}

const PARTICULARS: usize = 9;

impl NewRow {
    /// The event, not signed yet.
    pub fn new(kind: Kind, of: &Particulars<'_>) -> Self {
        let parts: [Option<&str>; PARTICULARS] = [
            Some(of.id),
            Some(of.created),
            of.user_id,
            of.user_email,
            of.ip_address,
            of.user_agent,
            of.resource_id,
            of.details,
            of.error_message,
        ];
        let mut text = String::with_capacity(parts.iter().flatten().map(|part| part.len()).sum());
        let ends = parts.map(|part| {
            part.map(|part| {
                text.push_str(part);
                text.len()
            })
        });
        Self { kind, text, ends, shift: 0, key_id: 0, mac: [0; 32] }
    }

    /// Signs it: with which key, and how.
    pub fn sign(&mut self, key_id: i64, shift: i64, mac: [u8; 32]) {
        (self.key_id, self.shift, self.mac) = (key_id, shift, mac);
    }

    fn particulars(&self) -> [Option<&str>; PARTICULARS] {
        let mut from = 0;
        self.ends.map(|end| {
            let part = self.text.get(from..end?);
            from = end?;
            part
        })
    }

    /// What it says, in the order of the columns: all of it is signed.
    fn said(&self) -> [Bound<'_>; TEXTS] {
        let [id, created, user_id, user_email, ip_address, user_agent, resource_id, details, error_message] =
            self.particulars().map(Bound::from);
        let Kind { event_type, event_action, severity, outcome, resource_type, description } = self.kind;
        [
            id,
            created,
            Bound::Program(event_type),
            Bound::Program(event_action),
            Bound::Program(severity),
            Bound::Program(outcome),
            user_id,
            user_email,
            ip_address,
            user_agent,
            resource_type.map_or(Bound::Given(Cell::Null), Bound::Program),
            resource_id,
            Bound::Program(description),
            details,
            error_message,
        ]
    }

    /// All that is signed, in the order of the columns.
    pub fn texts(&self) -> [Option<&str>; TEXTS] {
        self.said().map(Bound::text)
    }
}

impl Appended for NewRow {
    /// What says which event it is, and the key.
    const COMMON: &'static [usize] = &[2, 3, 4, 5, 10, 12, 15];

    fn begin(sql: &mut Sql) {
        sql.push("INSERT INTO audit_logs (").pick("", "position, ").push(COLUMNS).push(") VALUES ");
    }

    fn place(&self, sql: &mut Sql) {
        if sql.dialect() == Dialect::Postgres {
            sql.push("txid_current() + ").bind(self.shift).push(", ");
        }
    }

    /// In the order of [`COLUMNS`].
    fn values(&self) -> impl Iterator<Item = Bound<'_>> {
        let signature = [Cell::Int(self.key_id), Cell::Bytes(&self.mac)].map(Bound::Given);
        self.said().into_iter().chain(signature)
    }

    fn is_alike(&self, other: &Self) -> bool {
        self.kind == other.kind && self.key_id == other.key_id
    }
}
