//! The schema of the system tables: numbered files, applied once each, forward only.
//!
//! `migrations/{sqlite,postgres}/NNNN_name.sql` are embedded. What was applied stands in `schema_migrations` with its
//! SHA-256, so that a file changed afterwards is noticed. Collections of users are not the business of this module.
//!
//! An empty `SQLite` database gets what all of them come to in one script, `migrations/sqlite.sql`, which a test makes out of them: each
//! change of a table has `SQLite` read all tables again.

use crate::engine::{LONG_WRITE_BUDGET, Store};
use crate::error::{Error, Result};
use crate::reader::{Plan, Reader};
use crate::sql::{Dialect, Sql};
use crate::transaction::{LockName, Tx};
use crate::value::Row;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;

/// A migration of the system tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its number, counted from 1.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($folder:literal: $($version:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../migrations/", $folder, "/", stringify!($version), "_", $name, ".sql")),
        }),+]
    };
}

/// Those of `SQLite`. The numbers are written as in the files' names.
#[expect(clippy::zero_prefixed_literal, reason = "a number as it stands in the file's name")]
const SQLITE: &[Migration] = migrations!("sqlite": 0001 "system", 0002 "accounts", 0003 "collections", 0004 "request_log", 0005 "cookie_sessions", 0006 "files", 0007 "keys", 0008 "mails", 0009 "audit", 0010 "attempts", 0011 "api_keys", 0012 "limits", 0013 "impersonations", 0014 "file_records", 0015 "audit_sinks", 0016 "roles", 0017 "secret_rotations", 0018 "guesses", 0019 "settings", 0020 "request_log_numbers", 0021 "audit_ids", 0022 "audit_users");
/// What those of `SQLite` come to in an empty database.
const SQLITE_WHOLE: &str = include_str!("../migrations/sqlite.sql");
/// Those of `PostgreSQL`.
#[expect(clippy::zero_prefixed_literal, reason = "a number as it stands in the file's name")]
const POSTGRES: &[Migration] = migrations!("postgres": 0001 "system", 0002 "accounts", 0003 "collections", 0004 "request_log", 0005 "cookie_sessions", 0006 "files", 0007 "keys", 0008 "mails", 0009 "audit", 0010 "attempts", 0011 "api_keys", 0012 "limits", 0013 "impersonations", 0014 "file_records", 0015 "audit_sinks", 0016 "roles", 0017 "secret_rotations", 0018 "guesses", 0019 "settings", 0020 "request_log_numbers", 0021 "audit_ids", 0022 "audit_users");

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Applied, in order.
    pub applied: Vec<Migration>,
    /// Not applied yet, in order.
    pub pending: Vec<Migration>,
}

impl Status {
    /// Whether nothing was ever applied: a new database.
    pub fn is_empty_database(&self) -> bool {
        self.applied.is_empty()
    }

    /// Whether nothing is left to apply.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty()
    }
}

/// All migrations of an engine, in order.
pub fn all(dialect: Dialect) -> &'static [Migration] {
    dialect.pick(SQLITE, POSTGRES)
}

/// Compares the database with the embedded files.
///
/// # Errors
/// [`Error::MigrationChanged`] or [`Error::SchemaTooNew`] when they do not belong together.
pub async fn status(store: &Store) -> Result<Status> {
    let recorded = store.read(Plan::Bounded, |reader| Box::pin(recorded(reader))).await?;
    compare(all(store.dialect()), &recorded)
}

/// Applies what is pending, all of it in one transaction, and answers what that was. Of several nodes that start at once
/// one does it, and the others find it done.
///
/// # Errors
/// As [`status`], and whatever a file fails with; nothing is applied then.
pub async fn apply(store: &Store) -> Result<Vec<Migration>> {
    let files = all(store.dialect());
    store.write_within(LONG_WRITE_BUDGET, move |tx| Box::pin(apply_files(tx, files))).await
}

async fn apply_files(tx: &mut Tx<'_>, files: &[Migration]) -> Result<Vec<Migration>> {
    if tx.dialect() == Dialect::Postgres {
        tx.script("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").await?;
    }
    tx.lock(LockName::new("migrations")).await?;
    let rows = if is_recorded(tx.fetch_one(&table_exists(tx.dialect())).await?)? {
        tx.fetch(&select_recorded(tx.dialect())).await?
    } else {
        Vec::new()
    };
    let Status { applied, pending } = compare(files, &read_recorded(&rows)?)?;
    let is_whole = applied.is_empty() && tx.dialect() == Dialect::Sqlite;
    if is_whole {
        tx.script(SQLITE_WHOLE).await?;
        tracing::info!(version = pending.len(), "the schema was made");
    }
    for migration in &pending {
        if !is_whole {
            tx.script(migration.sql).await?;
            tracing::info!(version = migration.version, name = migration.name, "migration applied");
        }
        let mut insert = tx.sql();
        insert.push("INSERT INTO schema_migrations (version, name, checksum) VALUES (").bind(migration.version);
        insert.push(", ").bind(migration.name).push(", ").bind(checksum(migration.sql)).push(")");
        tx.execute(&insert).await?;
    }
    Ok(pending)
}

/// What the database says of one migration.
#[derive(Debug, Clone)]
struct Recorded {
    version: i64,
    name: String,
    checksum: String,
}

async fn recorded(reader: &mut Reader<'_>) -> Result<Vec<Recorded>> {
    if !is_recorded(reader.fetch_one(&table_exists(reader.dialect())).await?)? {
        return Ok(Vec::new());
    }
    read_recorded(&reader.fetch(&select_recorded(reader.dialect())).await?)
}

fn table_exists(dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.pick(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'",
        "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_migrations'",
    );
    sql
}

fn is_recorded(row: Option<Row>) -> Result<bool> {
    row.map_or(Ok(false), |row| row.bool(0))
}

fn select_recorded(dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT version, name, checksum FROM schema_migrations ORDER BY version");
    sql
}

fn read_recorded(rows: &[Row]) -> Result<Vec<Recorded>> {
    rows.iter()
        .map(|row| {
            Ok(Recorded { version: row.int(0)?, name: row.text(1)?.to_owned(), checksum: row.text(2)?.to_owned() })
        })
        .collect()
}

fn compare(files: &[Migration], recorded: &[Recorded]) -> Result<Status> {
    if let Some(unknown) = recorded.iter().find(|r| files.iter().all(|file| file.version != r.version)) {
        return Err(Error::SchemaTooNew { version: unknown.version });
    }
    let is_recorded = |file: &Migration| recorded.iter().find(|r| r.version == file.version);
    for file in files {
        if let Some(found) = is_recorded(file).filter(|found| found.checksum != checksum(file.sql)) {
            return Err(Error::MigrationChanged { version: found.version, name: found.name.clone() });
        }
    }
    let (applied, pending) = files.iter().partition(|file| is_recorded(file).is_some());
    Ok(Status { applied, pending })
}

fn checksum(sql: &str) -> String {
    // Line ends as git may have changed them on the way do not count.
    let text = if sql.contains('\r') { Cow::Owned(sql.replace("\r\n", "\n")) } else { Cow::Borrowed(sql) };
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
