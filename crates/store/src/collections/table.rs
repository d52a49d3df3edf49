//! The table behind a collection: how it is made, and how it follows a change.
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
        if let Some(index) = Index::wanted(collection, at) {
            index.create(tx, collection, at).await?;
        }
    }
    Ok(())
}

/// Brings the table from one state of the collection to the next. A field that is in both and stored in another way loses its values:
/// the caller has made sure that there are none.
pub(super) async fn alter(tx: &mut Tx<'_>, before: &Collection, after: &Collection) -> Result<(), Error> {
    if before.definition().fields == after.definition().fields {
        return Ok(());
    }
    if tx.dialect() == Dialect::Postgres {
        let mut sql = tx.sql();
        tx.execute(sql.push("LOCK TABLE ").table(before.table()).push(" IN ACCESS EXCLUSIVE MODE")).await?;
    }
    for (at, field) in before.fields().iter().enumerate() {
        let still = after.position(&field.name).filter(|now| keeps_column(before, at, after, *now));
        let index_now = still.and_then(|now| Index::wanted(after, now));
        if let Some(index) = Index::wanted(before, at)
            && Some(index) != index_now
        {
            index.drop(tx, before, at).await?;
        }
        if still.is_none() {
            let mut sql = tx.sql();
            sql.push("ALTER TABLE ").table(before.table()).push(" DROP COLUMN ").ident(before.column(at));
            tx.ddl(&sql).await?;
        }
    }
    for (at, field) in after.fields().iter().enumerate() {
        let was = before.position(&field.name).filter(|was| keeps_column(before, *was, after, at));
        if was.is_none() {
            let mut sql = tx.sql();
            sql.push("ALTER TABLE ").table(after.table()).push(" ADD COLUMN ");
            column(&mut sql, after, at);
            tx.ddl(&sql).await?;
        }
        let index_before = was.and_then(|was| Index::wanted(before, was));
        if let Some(index) = Index::wanted(after, at)
            && Some(index) != index_before
        {
            index.create(tx, after, at).await?;
        }
    }
    Ok(())
}

/// Whether the values of a field stay as they are: the same name in the same spelling, stored the same way.
fn keeps_column(before: &Collection, was: usize, after: &Collection, now: usize) -> bool {
    before.column(was) == after.column(now) && before.storage(was) == after.storage(now)
}

fn column(sql: &mut Sql, collection: &Collection, at: usize) {
    sql.ident(collection.column(at));
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
enum Index {
    Unique,
    /// Finds the records that point at one.
    Relation,
}

impl Index {
    fn wanted(collection: &Collection, at: usize) -> Option<Self> {
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

    async fn create(self, tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<(), Error> {
        let names = [collection.table(), collection.column(at)];
        let mut sql = tx.sql();
        sql.push(if self == Self::Unique { "CREATE UNIQUE INDEX " } else { "CREATE INDEX " });
        sql.object(self.prefix(), &names).push(" ON ").table(names[0]).push(" (").ident(names[1]).push(")");
        tx.ddl(&sql).await
    }

    async fn drop(self, tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<(), Error> {
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
            || error.is_unique_on(&dialect.object_name(Index::Unique.prefix(), &[collection.table(), column]))
    })
}

/// Whether the collection has any record.
pub async fn has_rows(tx: &mut Tx<'_>, collection: &Collection) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT 1 FROM ").table(collection.table()).push(" LIMIT 1");
    tx.fetch_one(&sql).await.map(|row| row.is_some())
}

/// Whether any record has a value in a field.
pub async fn has_value(tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<bool, Error> {
    look(tx, collection, at, " IS NOT NULL LIMIT 1").await
}

/// Whether any record has no value in a field.
pub async fn has_null(tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<bool, Error> {
    look(tx, collection, at, " IS NULL LIMIT 1").await
}

async fn look(tx: &mut Tx<'_>, collection: &Collection, at: usize, tail: &'static str) -> Result<bool, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT 1 FROM ").table(collection.table()).push(" WHERE ").ident(collection.column(at)).push(tail);
    tx.fetch_one(&sql).await.map(|row| row.is_some())
}
