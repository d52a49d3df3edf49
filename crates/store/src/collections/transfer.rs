//! Records of a collection all at once: out as JSON, in as rows. The same values on both engines, byte for byte.

use std::collections::HashSet;

use crate::records::json::{write_text, write_value};
use crate::schema::Collection;
use crate::{Columns, Dialect, Error, Reader, Tx, Value};

/// Most values of one INSERT: both engines take more.
const MAX_BINDS: usize = 5_000;

/// All records as a JSON array of `{"id", "data", "created", "updated"}`, in the order of their ids, without hidden and encrypted fields. `None` when
/// that is more than `limit` bytes.
pub async fn export(reader: &mut Reader<'_>, collection: &Collection, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut sql = reader.sql();
    sql.push("SELECT ")
        .append(collection.open_columns())
        .push(" FROM ")
        .table(collection.table())
        .push(" ORDER BY \"id\"");
    let mut out = vec![b'['];
    let mut is_too_large = false;
    let read = reader.for_each(&sql, |row| {
        if out.len() > 1 {
            out.push(b',');
        }
        write_record(&mut out, collection, row);
        is_too_large = out.len() >= limit;
        // The error only ends the reading.
        if is_too_large { Err(Error::internal("the records are more than was asked for")) } else { Ok(()) }
    });
    let read = read.await;
    if is_too_large {
        return Ok(None);
    }
    read?;
    out.push(b']');
    Ok(Some(out))
}

fn write_record(out: &mut Vec<u8>, collection: &Collection, row: &dyn Columns) {
    out.extend_from_slice(b"{\"id\":");
    write_text(out, row.text(0));
    out.extend_from_slice(b",\"data\":{");
    let mut is_first = true;
    for (i, at) in collection.visible().iter().enumerate() {
        // What lies sealed opens nowhere else, and does not lie about in a document.
        if collection.fields()[*at].encrypted {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        out.extend_from_slice(collection.json_key(*at).as_bytes());
        write_value(out, collection.storage(*at), row.cell(3 + i));
    }
    out.extend_from_slice(b"},\"created\":");
    write_text(out, row.text(1));
    out.extend_from_slice(b",\"updated\":");
    write_text(out, row.text(2));
    out.push(b'}');
}

/// A record as it is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    pub id: String,
    pub created: String,
    pub updated: String,
    /// A value for each field, by its position.
    pub values: Vec<Value>,
}

/// Stores records as they are. They were checked; nobody is told of them one by one.
pub async fn import(tx: &mut Tx<'_>, collection: &Collection, records: &[NewRecord]) -> Result<(), Error> {
    let email = (0..collection.fields().len()).find(|at| collection.is_account_email(*at));
    let width = collection.fields().len() + 4;
    for group in records.chunks((MAX_BINDS / width).max(1)) {
        let mut sql = tx.sql();
        sql.push("INSERT INTO ").table(collection.table()).push(" (\"id\", \"created\", \"updated\"");
        for at in 0..collection.fields().len() {
            sql.push(", ").ident(collection.column(at));
        }
        sql.push(if email.is_some() { ", \"email_folded\") VALUES " } else { ") VALUES " });
        sql.comma_list(group, |sql, record| {
            sql.push("(").bind(&record.id).push(", ").bind(&record.created).push(", ").bind(&record.updated);
            for value in &record.values {
                sql.push(", ").bind(value);
            }
            if let Some(Value::Text(address)) = email.map(|at| &record.values[at]) {
                sql.push(", ").bind(crate::accounts::fold_email(address));
            }
            sql.push(")");
        });
        tx.execute(&sql).await?;
    }
    tx.count(collection.id(), i64::try_from(records.len()).unwrap_or(i64::MAX));
    Ok(())
}

/// Those of `ids` that are records of the collection, which are then kept from being deleted until the transaction ends.
pub async fn existing(tx: &mut Tx<'_>, collection: &Collection, ids: &[&str]) -> Result<HashSet<String>, Error> {
    let mut found = HashSet::with_capacity(ids.len());
    for group in ids.chunks(MAX_BINDS) {
        let mut sql = tx.sql();
        sql.push("SELECT id FROM ")
            .table(collection.table())
            .push(" WHERE id IN (")
            .binds_of(group.iter().copied())
            .push(")");
        if tx.dialect() == Dialect::Postgres {
            sql.push(" ORDER BY id FOR KEY SHARE");
        }
        for mut row in tx.fetch(&sql).await? {
            found.insert(row.take_text(0)?);
        }
    }
    Ok(found)
}
