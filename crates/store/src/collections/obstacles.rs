//! Rows that stand in the way of a change: how many, and a few of their ids. Looked for in the transaction of the change, behind
//! [`super::lock`].

use serde_json::Value as Json;

use super::index::name;
use crate::records::json::write_value;
use crate::schema::{Collection, Storage};
use crate::{Error, Row, Sql, Tx};

/// How many rows are named.
pub const MAX_NAMED: usize = 5;

/// Rows that stand in the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obstacles {
    pub count: u64,
    /// The ids of the first [`MAX_NAMED`], in their order.
    pub ids: Vec<String>,
}

impl Obstacles {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn read(rows: Vec<Row>) -> Result<Self, Error> {
        let mut found = Self::default();
        for mut row in rows {
            found.count = u64::try_from(row.int(1)?).unwrap_or_default();
            found.ids.push(row.take_text(0)?);
        }
        Ok(found)
    }
}

/// All rows.
pub async fn all(tx: &mut Tx<'_>, collection: &Collection) -> Result<Obstacles, Error> {
    let sql = select(tx, collection);
    few(tx, sql).await
}

/// Rows without a value in a field; an empty list is none.
pub async fn without_value(tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<Obstacles, Error> {
    where_column(tx, collection, at, |sql| {
        sql.push(" IS NULL");
        if collection.fields()[at].is_many() {
            sql.push(" OR ").ident(collection.column(at)).push(" = '[]'");
        }
    })
    .await
}

/// Rows with a value in a field; an empty list is none.
pub async fn with_value(tx: &mut Tx<'_>, collection: &Collection, at: usize) -> Result<Obstacles, Error> {
    where_column(tx, collection, at, |sql| {
        sql.push(" IS NOT NULL");
        if collection.fields()[at].is_many() {
            sql.push(" AND ").ident(collection.column(at)).push(" <> '[]'");
        }
    })
    .await
}

/// Rows whose text in a field has more than `bytes` bytes.
pub async fn longer_than(
    tx: &mut Tx<'_>,
    collection: &Collection,
    at: usize,
    bytes: usize,
) -> Result<Obstacles, Error> {
    if collection.storage(at) != Storage::Text {
        return Ok(Obstacles::default());
    }
    let mut sql = select(tx, collection);
    sql.pick(" WHERE length(CAST(", " WHERE octet_length(").ident(collection.column(at)).pick(" AS BLOB)) > ", ") > ");
    sql.bind(i64::try_from(bytes).unwrap_or(i64::MAX));
    few(tx, sql).await
}

/// Rows whose values in `members` (columns of the table) another row has too. A row without a value in one of them is free.
pub async fn colliding(tx: &mut Tx<'_>, collection: &Collection, members: &[&str]) -> Result<Obstacles, Error> {
    let columns = members.iter().map(|member| name(member)).collect::<Result<Vec<_>, _>>()?;
    let mut sql = tx.sql();
    sql.push("SELECT t.\"id\", count(*) OVER () FROM ")
        .table(collection.table())
        .push(" AS t JOIN (SELECT ")
        .idents(&columns);
    sql.push(" FROM ").table(collection.table()).push(" WHERE ");
    sql.list(" AND ", &columns, |sql, column| {
        sql.ident(column).push(" IS NOT NULL");
    });
    sql.push(" GROUP BY ").idents(&columns).push(" HAVING count(*) > 1) AS d ON ");
    sql.list(" AND ", &columns, |sql, column| {
        sql.push("t.").ident(column).push(" = d.").ident(column);
    });
    few(tx, sql).await
}

/// Rows whose value in a field, as clients see it, does not pass `fits`. Those without a value do.
pub async fn unfit(
    tx: &mut Tx<'_>,
    collection: &Collection,
    at: usize,
    fits: &(dyn Fn(&Json) -> bool + Send + Sync),
) -> Result<Obstacles, Error> {
    let mut sql = tx.sql();
    sql.push("SELECT \"id\", ").ident(collection.column(at)).push(" FROM ").table(collection.table());
    sql.push(" WHERE ").ident(collection.column(at)).push(" IS NOT NULL ORDER BY \"id\"");
    let storage = collection.storage(at);
    let mut found = Obstacles::default();
    tx.for_each(&sql, |row| {
        if !fits(&as_json(storage, row.cell(1))?) {
            found.count += 1;
            if found.ids.len() < MAX_NAMED {
                found.ids.push(row.text(0).unwrap_or_default().to_owned());
            }
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// A stored value as clients see it.
pub(super) fn as_json(storage: Storage, cell: crate::Cell<'_>) -> Result<Json, Error> {
    let mut text = Vec::new();
    write_value(&mut text, storage, cell);
    serde_json::from_slice(&text).map_err(|_| Error::internal("a stored value is no JSON"))
}

async fn where_column(
    tx: &mut Tx<'_>,
    collection: &Collection,
    at: usize,
    write: impl FnOnce(&mut Sql),
) -> Result<Obstacles, Error> {
    let mut sql = select(tx, collection);
    sql.push(" WHERE ").ident(collection.column(at));
    write(&mut sql);
    few(tx, sql).await
}

fn select(tx: &Tx<'_>, collection: &Collection) -> Sql {
    let mut sql = tx.sql();
    sql.push("SELECT \"id\", count(*) OVER () FROM ").table(collection.table());
    sql
}

async fn few(tx: &mut Tx<'_>, mut sql: Sql) -> Result<Obstacles, Error> {
    sql.push(" ORDER BY 1 LIMIT ").bind(i64::try_from(MAX_NAMED).unwrap_or(i64::MAX));
    Obstacles::read(tx.fetch(&sql).await?)
}
