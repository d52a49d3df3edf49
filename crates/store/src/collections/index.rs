//! The indexes that an admin asked for, as they lie in the database. Their names are made from table and index: they follow the
//! collection and its fields through every rename.

use crate::schema::{Collection, Index, IndexOrder};
use crate::{Error, Name, Sql, Tx};

const PREFIX: &str = "ui";

/// Builds an index over the rows that are there.
pub(super) async fn create(tx: &mut Tx<'_>, collection: &Collection, index: &Index) -> Result<(), Error> {
    let mut sql = tx.sql();
    sql.push(if index.unique { "CREATE UNIQUE INDEX " } else { "CREATE INDEX " });
    sql.object(PREFIX, &[collection.table(), &name(&index.name)?]).push(" ON ").table(collection.table()).push(" (");
    for (at, member) in index.fields.iter().enumerate() {
        sql.push(if at > 0 { ", " } else { "" }).ident(&name(&member.name)?);
        // Nulls stand where pages have them, else no page is read from the index.
        match member.order {
            IndexOrder::Asc => sql.pick("", " NULLS FIRST"),
            IndexOrder::Desc => sql.pick(" DESC", " DESC NULLS LAST"),
        };
    }
    sql.push(")");
    tx.ddl(&sql).await
}

pub(super) async fn drop(tx: &mut Tx<'_>, collection: &Collection, index: &Index) -> Result<(), Error> {
    let mut sql: Sql = tx.sql();
    sql.push("DROP INDEX ").object_in_schema(PREFIX, &[collection.table(), &name(&index.name)?]);
    tx.ddl(&sql).await
}

/// The column of a member, or the name of an index: both were checked before they were stored.
pub(super) fn name(text: &str) -> Result<Name, Error> {
    Name::new(text).map_err(|error| Error::internal(format!("a stored index has a bad name: {error}")))
}
