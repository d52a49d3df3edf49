//! Records in SQL: one statement a verb, the condition of its rule inside it, and rows written to JSON as they are stepped. Whether a
//! caller may do any of it comes in as a [`Predicate`]; nothing here decides.

mod delete;
mod events;
mod expand;
pub(crate) mod json;
mod list;
mod write;

pub use delete::{Deleted, MAX_AFFECTED, delete, relations_of};
pub use events::{Event, announce};
pub use expand::{Expansion, MAX_BACK, MAX_EXPANDED, MAX_EXPANDED_BYTES, Way};
pub use json::shown;
pub use list::{ListQuery, Listed, MAX_PAGE_BYTES, Order, list};
pub use write::{Increment, Written, current, decide, exist, holds, insert, lock, update, would_hold};

use std::sync::Arc;

use fastcms_expr::{FieldList, Predicate, Transform};

use crate::predicate::{Sight, Trust};
use crate::schema::{Collection, Schema, Storage};
use crate::{Error, Reader, Sql};

/// Which fields of a record are shown, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// `None`: all visible fields, as they are. Nothing is made for these.
    columns: Option<Vec<ShownField>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ShownField {
    at: usize,
    transform: Option<Transform>,
}

impl Shape {
    /// All visible fields, as they are.
    pub fn all() -> Self {
        Self { columns: None }
    }

    /// The visible fields that a field list shows.
    pub fn of(collection: &Collection, list: &FieldList) -> Self {
        let shown = collection.visible().iter().filter_map(|at| {
            let transform = list.shows(&collection.fields()[*at].name)?;
            Some(ShownField { at: *at, transform: transform.cloned() })
        });
        Self { columns: Some(shown.collect()) }
    }

    /// The visible fields whose names `shows` picks.
    pub fn only(collection: &Collection, shows: impl Fn(&str) -> bool) -> Self {
        let shown = collection.visible().iter().filter(|at| shows(&collection.fields()[**at].name));
        Self { columns: Some(shown.map(|at| ShownField { at: *at, transform: None }).collect()) }
    }

    /// Calls `each` with every field shown, by its position, and what becomes of its text.
    fn for_each<'s>(&'s self, collection: &Collection, mut each: impl FnMut(usize, Option<&'s Transform>)) {
        match &self.columns {
            None => collection.visible().iter().for_each(|at| each(*at, None)),
            Some(columns) => columns.iter().for_each(|shown| each(shown.at, shown.transform.as_ref())),
        }
    }

    /// How many columns its SELECT list has.
    fn width(&self, collection: &Collection) -> usize {
        3 + self.columns.as_ref().map_or_else(|| collection.visible().len(), Vec::len)
    }
}

/// A collection as one caller looks at it.
#[derive(Debug, Clone)]
pub struct View {
    pub schema: Arc<Schema>,
    pub collection: Arc<Collection>,
    pub sight: Arc<Sight>,
    pub shape: Shape,
    /// Opens what lies sealed; without it that reads as null.
    pub unseal: Option<Arc<dyn Unseal>>,
}

/// Where a sealed value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'p> {
    /// Id of the collection.
    pub collection: &'p str,
    /// Id of the record.
    pub record: &'p str,
    pub field: &'p str,
}

/// Opens what lies sealed in a column. How that is done is not known here.
pub trait Unseal: std::fmt::Debug + Send + Sync {
    /// The value as JSON; `None` where it cannot be opened.
    fn open(&self, place: Place<'_>, sealed: &str) -> Option<Vec<u8>>;
}

impl View {
    /// Whether all visible fields are shown, of others' accounts too.
    fn is_open(&self) -> bool {
        self.shape.columns.is_none() && (!self.collection.is_auth() || self.sight.sees_all)
    }

    /// The SELECT list: id, created, updated, and the shown fields. Another's e-mail address comes as `hidden` unless its owner
    /// shows it.
    fn push_columns(&self, sql: &mut Sql) {
        let collection = &*self.collection;
        if self.is_open() {
            sql.append(collection.open_columns());
            return;
        }
        sql.push("\"id\", \"created\", \"updated\"");
        self.shape.for_each(collection, |at, _| {
            sql.push(", ");
            if collection.is_account_email(at) && !self.sight.sees_all {
                sql.push("CASE WHEN \"email_visibility\"");
                if let Some((_, id)) = self.sight.own.as_ref().filter(|(home, _)| home == collection.id()) {
                    sql.push(" OR \"id\" = ").bind(id);
                }
                sql.push(" THEN \"email\" ELSE 'hidden' END");
            } else {
                sql.ident(collection.column(at));
            }
        });
    }

    fn push_condition(&self, sql: &mut Sql, predicate: &Predicate, trust: Trust<'_>) -> Result<(), Error> {
        crate::predicate::push(sql, &self.schema, &self.collection, predicate, trust)
    }
}

/// One record that meets `rule`, as JSON, with what `expansions` put beside it.
pub async fn get(
    reader: &mut Reader<'_>,
    view: &View,
    id: &str,
    rule: &Predicate,
    expansions: &[Expansion],
) -> Result<Option<Vec<u8>>, Error> {
    let mut beside = 0;
    let mut sql = if expansions.is_empty() && view.is_open() {
        view.collection.open_record(id)
    } else {
        let mut sql = reader.sql();
        sql.push("SELECT ");
        view.push_columns(&mut sql);
        beside = expand::push_beside(&mut sql, view, expansions);
        sql.push(" FROM ").table(view.collection.table()).push(" AS t0 WHERE t0.id = ").bind(id);
        sql
    };
    push_and(&mut sql, view, rule)?;
    if expansions.is_empty() {
        return reader.first(&sql, |row| json::record(view, row)).await;
    }
    let Some(record) = reader.first(&sql, |row| expand::Opened::read(view, row, beside)).await? else {
        return Ok(None);
    };
    Ok(expand::finish(reader, view, vec![record], expansions).await?.pop())
}

/// ` AND (…)`, unless the condition is always true.
fn push_and(sql: &mut Sql, view: &View, predicate: &Predicate) -> Result<(), Error> {
    if *predicate != Predicate::True {
        sql.push(" AND (");
        view.push_condition(sql, predicate, Trust::Rule)?;
        sql.push(")");
    }
    Ok(())
}

/// The rows of a collection, counted; with a kept counter on `SQLite`.
async fn count_all(reader: &mut Reader<'_>, collection: &Collection) -> Result<i64, Error> {
    let mut sql = reader.sql();
    match reader.dialect() {
        crate::Dialect::Sqlite => sql.push("SELECT n FROM record_counts WHERE collection_id = ").bind(collection.id()),
        crate::Dialect::Postgres => sql.push("SELECT count(*) FROM ").table(collection.table()),
    };
    reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

/// Whether a statement failed because the table is no longer what the caller's snapshot says, or because it lost against another
/// transaction of `PostgreSQL` (deadlock, serialization): read the snapshot again and retry.
pub fn is_stale(error: &Error) -> bool {
    let fault = match error {
        Error::Busy(fault) => return matches!(fault.code.as_str(), "40P01" | "40001" | "stale"),
        Error::Internal(fault) => fault,
        _ => return false,
    };
    match fault.code.as_str() {
        // undefined_column, undefined_table, and the changed result of a prepared statement (feature_not_supported).
        "42703" | "42P01" => true,
        "0A000" => fault.message.contains("cached plan"),
        "1" => {
            ["no such column", "no such table", "has no column named"].iter().any(|said| fault.message.contains(said))
        }
        _ => false,
    }
}

/// The unique field that `error` is about, if it is about one; the folded e-mail address counts as `email`.
pub fn conflicting_field<'c>(collection: &'c Collection, dialect: crate::Dialect, error: &Error) -> Option<&'c str> {
    if let Some(at) = crate::collections::conflicting(collection, dialect, error) {
        return Some(&collection.fields()[at].name);
    }
    let is_email = match error {
        Error::Unique { columns, constraint, .. } => {
            columns.iter().any(|column| column == "email_folded")
                || constraint.as_deref().is_some_and(|name| name.ends_with("email_folded_key"))
        }
        _ => false,
    };
    (is_email && collection.is_auth()).then_some("email")
}

/// Whether `error` says that a record with this id exists already.
pub fn is_taken_id(collection: &Collection, dialect: crate::Dialect, error: &Error) -> bool {
    match error {
        Error::Unique { columns, constraint, .. } => {
            columns.iter().any(|column| column == "id")
                || constraint.as_deref() == Some(format!("{}_pkey", dialect.table_name(collection.table())).as_str())
        }
        _ => false,
    }
}

fn is_json(collection: &Collection, at: usize) -> bool {
    collection.storage(at) == Storage::Json
}
