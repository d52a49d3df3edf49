//! The table behind a collection: what it is made of.
//!
//! Every table has `_seq`, the order of insertion (on `SQLite` the row's own number), a name that no field can have.

use crate::schema::{Collection, FieldType, Storage};
use crate::{Dialect, Error, Name, Sql, Tx};

/// Columns of an auth collection's table that no field stands for.
const ACCOUNT_COLUMNS: (&str, &str) = (
    ", \"email_folded\" TEXT NOT NULL UNIQUE, \"disabled\" INTEGER NOT NULL DEFAULT 0, \"must_change_password\" INTEGER NOT NULL DEFAULT 0",
    ", \"email_folded\" TEXT COLLATE \"C\" NOT NULL UNIQUE, \"disabled\" BOOLEAN NOT NULL DEFAULT FALSE, \
     \"must_change_password\" BOOLEAN NOT NULL DEFAULT FALSE",
);

/// Makes the table and its indexes.
pub(super) async fn create(tx: &mut Tx<'_>, collection: &Collection) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push("CREATE TABLE ").table(collection.table()).push(" (");
    sql.pick("\"_seq\" INTEGER PRIMARY KEY, ", "\"_seq\" BIGINT GENERATED ALWAYS AS IDENTITY, ");
    sql.pick("\"id\" TEXT NOT NULL UNIQUE, ", "\"id\" TEXT COLLATE \"C\" PRIMARY KEY, ");
    sql.pick(
        "\"created\" TEXT NOT NULL, \"updated\" TEXT NOT NULL",
        "\"created\" TEXT COLLATE \"C\" NOT NULL, \"updated\" TEXT COLLATE \"C\" NOT NULL",
    );
    for at in 0..collection.fields().len() {
        sql.push(", ");
        column(&mut sql, collection, at);
    }
    if collection.is_auth() {
        sql.pick(ACCOUNT_COLUMNS.0, ACCOUNT_COLUMNS.1);
    }
    sql.pick(") STRICT", ")");
    tx.ddl(&sql).await?;

    let mut sql = tx.sql();
    sql.push("CREATE INDEX ").object("ix", &[collection.table(), &fixed("created")?]);
    sql.push(" ON ").table(collection.table()).push(" (\"created\" DESC, \"id\")");
    tx.ddl(&sql).await?;
    for at in 0..collection.fields().len() {
        if let Some(index) = OwnIndex::wanted(collection, at) {
            index.create(tx, collection, at).await?;
        }
    }
    for index in &collection.definition().indexes {
        super::index::create(tx, collection, index).await?;
    }
    Ok(())
}

/// Writes the definition of a field's column.
pub(super) fn column(sql: &mut Sql, collection: &Collection, at: usize) {
    sql.ident(collection.column(at));
    column_type(sql, collection, at);
}

/// Writes what follows the name of a field's column in its definition.
pub(super) fn column_type(sql: &mut Sql, collection: &Collection, at: usize) {
    match collection.storage(at) {
        Storage::Text | Storage::Json => sql.pick(" TEXT", " TEXT COLLATE \"C\""),
        Storage::Number => sql.pick(" REAL", " DOUBLE PRECISION"),
        Storage::Bool => sql.pick(" INTEGER", " BOOLEAN"),
    };
    let field = &collection.fields()[at];
    if collection.is_auth() && field.system && field.kind == FieldType::Bool {
        sql.pick(" NOT NULL DEFAULT 0", " NOT NULL DEFAULT FALSE");
    }
}

/// The index that a field has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnIndex {
    Unique,
    /// Finds the records that point at one.
    Relation,
}

impl OwnIndex {
    pub(super) fn wanted(collection: &Collection, at: usize) -> Option<Self> {
        let field = &collection.fields()[at];
        if collection.is_account_email(at) {
            // Unique by its folded form.
            return None;
        }
        if field.validation.unique {
            return Some(Self::Unique);
        }
        (field.kind == FieldType::Relation && collection.storage(at) == Storage::Text).then_some(Self::Relation)
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Unique => "ux",
            Self::Relation => "rx",
        }
    }

    pub(super) async fn create(self, tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<(), Error> {
        let names = [collection.table(), collection.column(at)];
        let mut sql = tx.sql();
        sql.push(if self == Self::Unique { "CREATE UNIQUE INDEX " } else { "CREATE INDEX " });
        sql.object(self.prefix(), &names)
            .push(" ON ")
            .table(names[0])
            .push(" (")
            .ident(names[1])
            .pick(")", " NULLS FIRST)");
        tx.ddl(&sql).await
    }

    pub(super) async fn drop(self, tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<(), Error> {
        let mut sql = tx.sql();
        sql.push("DROP INDEX ").object_in_schema(self.prefix(), &[collection.table(), collection.column(at)]);
        tx.ddl(&sql).await
    }
}

fn fixed(name: &'static str) -> Result<Name, Error> {
    Name::new(name).map_err(|error| Error::internal(error.to_string()))
}

/// The unique field of `collection` that `error` is about, if it is about one.
pub(crate) fn conflicting(collection: &Collection, dialect: Dialect, error: &Error) -> Option<usize> {
    (0..collection.fields().len()).find(|at| {
        let column = collection.column(*at);
        error.is_unique_on(&dialect.column_name(column))
            || error.is_unique_on(&dialect.object_name(OwnIndex::Unique.prefix(), &[collection.table(), column]))
    })
}
