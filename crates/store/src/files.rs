//! Rows of `files`: what was uploaded, by whom, and where its bytes lie. The bytes themselves are not the business of this module.

use std::collections::HashMap;

use crate::{Dialect, Result, Tx};

/// Most ids in one statement.
const CHUNK: usize = 1_000;

/// A file as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub id: String,
    /// The generated name.
    pub filename: String,
    /// The name that was sent.
    pub original_filename: String,
    pub mime_type: String,
    /// Bytes.
    pub size: i64,
    pub storage_path: String,
    pub storage_type: String,
    /// The record that it was uploaded for, if for one.
    pub collection_name: Option<String>,
    pub record_id: Option<String>,
    pub field_name: Option<String>,
    /// Whose upload it is: realm (`users` or the id of an auth collection) and id of the account.
    pub owner: Option<(String, String)>,
    pub is_thumbnail: bool,
    pub protected: bool,
    /// What a thumbnail was made of.
    pub parent_file_id: Option<String>,
    /// SHA-256 of the bytes, in hex.
    pub checksum: String,
    pub created: String,
    pub updated: String,
}

/// Which files somebody may put into a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    All,
    /// Those that this account uploaded.
    Own {
        realm: String,
        account_id: String,
    },
    None,
}

/// What a field asks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub mime_type: String,
    /// Bytes.
    pub size: u64,
}

/// Stores the row of a new file.
///
/// # Errors
/// [`crate::Error::Unique`] when there is one of this id.
pub async fn insert(tx: &mut Tx<'_>, file: &StoredFile) -> Result<()> {
    let (realm, user_id) = file.owner.as_ref().map(|(realm, id)| (realm.as_str(), id.as_str())).unzip();
    let mut sql = tx.sql();
    sql.push("INSERT INTO files (id, filename, original_filename, mime_type, size, storage_path, storage_type, ");
    sql.push("collection_name, record_id, field_name, realm, user_id, is_thumbnail, protected, parent_file_id, ");
    sql.push("checksum, created, updated) VALUES (").bind(&file.id);
    for text in [&file.filename, &file.original_filename, &file.mime_type] {
        sql.push(", ").bind(text);
    }
    sql.push(", ").bind(file.size).push(", ").bind(&file.storage_path).push(", ").bind(&file.storage_type);
    for text in [file.collection_name.as_deref(), file.record_id.as_deref(), file.field_name.as_deref(), realm, user_id]
    {
        sql.push(", ").bind(text);
    }
    sql.push(", ").bind(file.is_thumbnail).push(", ").bind(file.protected);
    sql.push(", ").bind(file.parent_file_id.as_deref());
    for text in [&file.checksum, &file.created, &file.updated] {
        sql.push(", ").bind(text);
    }
    tx.execute(sql.push(")")).await?;
    Ok(())
}

/// Those of `ids` that are files within `reach`, which are then kept from being deleted until the transaction ends. A thumbnail is
/// part of what it was made of, and never among them.
pub async fn hold(tx: &mut Tx<'_>, ids: &[&str], reach: &Reach) -> Result<HashMap<String, Held>> {
    let mut held = HashMap::with_capacity(ids.len());
    if *reach == Reach::None {
        return Ok(held);
    }
    for group in ids.chunks(CHUNK) {
        let mut sql = tx.sql();
        sql.push("SELECT id, mime_type, size FROM files WHERE id IN (").binds_of(group.iter().copied());
        sql.push(") AND NOT is_thumbnail");
        if let Reach::Own { realm, account_id } = reach {
            sql.push(" AND realm = ").bind(realm).push(" AND user_id = ").bind(account_id);
        }
        if tx.dialect() == Dialect::Postgres {
            sql.push(" ORDER BY id FOR KEY SHARE");
        }
        for mut row in tx.fetch(&sql).await? {
            let size = u64::try_from(row.int(2)?).unwrap_or(u64::MAX);
            held.insert(row.take_text(0)?, Held { mime_type: row.take_text(1)?, size });
        }
    }
    Ok(held)
}
