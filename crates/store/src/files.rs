//! Rows of `files`: what was uploaded, by whom, and where its bytes lie. The bytes themselves are not the business of this module.

use std::collections::{HashMap, HashSet};

use crate::{Dialect, Reader, Result, Row, Sql, Tx};

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
    /// What it belongs to, if to anything: the collection by its id, the record in it, and the field of that.
    pub collection_id: Option<String>,
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

/// Columns of a [`StoredFile`], in the order in which it is read.
const COLUMNS: &str = "id, filename, original_filename, mime_type, size, storage_path, storage_type, collection_id, record_id, \
    field_name, realm, user_id, is_thumbnail, protected, parent_file_id, checksum, created, updated";

impl StoredFile {
    fn of(row: &Row) -> Result<Self> {
        let text = |at| row.text(at).map(str::to_owned);
        let opt = |at| Ok::<_, crate::Error>(row.opt_text(at)?.map(str::to_owned));
        Ok(Self {
            id: text(0)?,
            filename: text(1)?,
            original_filename: text(2)?,
            mime_type: text(3)?,
            size: row.int(4)?,
            storage_path: text(5)?,
            storage_type: text(6)?,
            collection_id: opt(7)?,
            record_id: opt(8)?,
            field_name: opt(9)?,
            owner: opt(10)?.zip(opt(11)?),
            is_thumbnail: row.bool(12)?,
            protected: row.bool(13)?,
            parent_file_id: opt(14)?,
            checksum: text(15)?,
            created: text(16)?,
            updated: text(17)?,
        })
    }
}

/// Which files a list shows. Thumbnails are never among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this collection, by its id.
    pub collection_id: Option<String>,
    pub record_id: Option<String>,
}

/// The place of a file: a field of a record.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The collection's id.
    pub collection: &'a str,
    pub record: &'a str,
    pub field: &'a str,
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
    sql.push("collection_id, record_id, field_name, realm, user_id, is_thumbnail, protected, parent_file_id, ");
    sql.push("checksum, created, updated) VALUES (").bind(&file.id);
    for text in [&file.filename, &file.original_filename, &file.mime_type] {
        sql.push(", ").bind(text);
    }
    sql.push(", ").bind(file.size).push(", ").bind(&file.storage_path).push(", ").bind(&file.storage_type);
    for text in [file.collection_id.as_deref(), file.record_id.as_deref(), file.field_name.as_deref(), realm, user_id] {
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

/// The file of this id.
pub async fn by_id(reader: &mut Reader<'_>, id: &str) -> Result<Option<StoredFile>> {
    let mut sql = reader.sql();
    select(&mut sql).push(" WHERE id = ").bind(id);
    reader.fetch_one(&sql).await?.as_ref().map(StoredFile::of).transpose()
}

/// The file of this id, locked until the transaction ends.
pub async fn by_id_locked(tx: &mut Tx<'_>, id: &str) -> Result<Option<StoredFile>> {
    let mut sql = tx.sql();
    select(&mut sql).push(" WHERE id = ").bind(id).pick("", " FOR UPDATE");
    tx.fetch_one(&sql).await?.as_ref().map(StoredFile::of).transpose()
}

/// A page of the files that are meant, newest first, and how many there are.
pub async fn page(reader: &mut Reader<'_>, wanted: &Wanted, limit: i64, offset: i64) -> Result<(Vec<StoredFile>, i64)> {
    let mut sql = reader.sql();
    select(&mut sql);
    push_wanted(&mut sql, wanted);
    sql.push(" ORDER BY created DESC, id DESC LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    let found = reader.fetch(&sql).await?.iter().map(StoredFile::of).collect::<Result<_>>()?;
    let mut sql = reader.sql();
    sql.push("SELECT count(*) FROM files");
    push_wanted(&mut sql, wanted);
    let total = reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))?;
    Ok((found, total))
}

fn select(sql: &mut Sql) -> &mut Sql {
    sql.push("SELECT ").push(COLUMNS).push(" FROM files")
}

fn push_wanted(sql: &mut Sql, wanted: &Wanted) {
    sql.push(" WHERE NOT is_thumbnail");
    if let Some(collection) = &wanted.collection_id {
        sql.push(" AND collection_id = ").bind(collection);
    }
    if let Some(record) = &wanted.record_id {
        sql.push(" AND record_id = ").bind(record);
    }
}

/// Those of `ids` that have a row.
pub async fn known(reader: &mut Reader<'_>, ids: &[String]) -> Result<HashSet<String>> {
    let mut known = HashSet::with_capacity(ids.len());
    for group in ids.chunks(CHUNK) {
        let mut sql = reader.sql();
        sql.push("SELECT id FROM files WHERE id IN (").binds_of(group).push(")");
        for mut row in reader.fetch(&sql).await? {
            known.insert(row.take_text(0)?);
        }
    }
    Ok(known)
}

/// Says whether a file is protected, and its thumbnails with it.
pub async fn protect(tx: &mut Tx<'_>, id: &str, protected: bool, now: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE files SET protected = ").bind(protected).push(", updated = ").bind(now);
    sql.push(" WHERE id = ").bind(id).push(" OR parent_file_id = ").bind(id);
    tx.execute(&sql).await.map(drop)
}

/// Takes the rows of a file and of its thumbnails away; their ids.
pub async fn delete(tx: &mut Tx<'_>, id: &str) -> Result<Vec<String>> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM files WHERE id = ").bind(id).push(" OR parent_file_id = ").bind(id).push(" RETURNING id");
    tx.fetch(&sql).await?.into_iter().map(|mut row| row.take_text(0)).collect()
}

/// Files that belong to no record yet belong to this one from now on, and their thumbnails with them: who may view it may view them.
pub async fn attach(tx: &mut Tx<'_>, ids: &[&str], place: Place<'_>) -> Result<()> {
    for group in ids.chunks(CHUNK / 2) {
        let mut sql = tx.sql();
        sql.push("UPDATE files SET collection_id = ").bind(place.collection).push(", record_id = ").bind(place.record);
        sql.push(", field_name = ").bind(place.field).push(" WHERE record_id IS NULL AND (");
        push_with_thumbnails(&mut sql, group);
        sql.push(")");
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// Those of these files that belong to this record belong to nothing from now on, whatever its field is called by now.
pub async fn detach(tx: &mut Tx<'_>, ids: &[&str], place: Place<'_>) -> Result<()> {
    for group in ids.chunks(CHUNK / 2) {
        let mut sql = tx.sql();
        sql.push(DETACH).push(" WHERE collection_id = ").bind(place.collection);
        sql.push(" AND record_id = ").bind(place.record).push(" AND (");
        push_with_thumbnails(&mut sql, group);
        sql.push(")");
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// Files of records that are gone belong to nothing from now on: another record may come to have the same id.
pub(crate) async fn detach_all(tx: &mut Tx<'_>, collection_id: &str, records: &[String]) -> Result<()> {
    for group in records.chunks(CHUNK) {
        let mut sql = tx.sql();
        sql.push(DETACH).push(" WHERE collection_id = ").bind(collection_id);
        sql.push(" AND record_id IN (").binds_of(group).push(")");
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// The same for all files of a collection.
pub(crate) async fn detach_collection(tx: &mut Tx<'_>, collection_id: &str) -> Result<()> {
    let mut sql = tx.sql();
    sql.push(DETACH).push(" WHERE collection_id = ").bind(collection_id);
    tx.execute(&sql).await.map(drop)
}

const DETACH: &str = "UPDATE files SET collection_id = NULL, record_id = NULL, field_name = NULL";

fn push_with_thumbnails(sql: &mut Sql, ids: &[&str]) {
    sql.push("id IN (").binds_of(ids.iter().copied()).push(") OR parent_file_id IN (");
    sql.binds_of(ids.iter().copied()).push(")");
}
