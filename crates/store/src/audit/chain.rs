//! The chain over the audit log: segments, and in them blocks of links. A row's position says when it can be linked: its number on
//! `SQLite`, where rows are committed one group after another; on `PostgreSQL` the number of its transaction, which is final once no
//! older one runs.

use std::collections::HashSet;
use std::sync::Arc;

use super::accounts::{self, Stretch};
use super::{AuditRow, COLUMNS, row_of};
use crate::appended::insertions;
use crate::{Dialect, Error, Reader, Result, Row, Sql, Tx};

/// Bytes of one link in a block: the number of its audit row, and the hash.
const ENTRY: usize = 8 + size_of::<LinkHash>();

/// A stretch of the chain under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub number: i64,
    pub key_id: i64,
    pub opened: String,
    /// Added to transaction numbers of `PostgreSQL`.
    pub shift: i64,
    pub first_link: i64,
    pub first_hash: Vec<u8>,
    pub first_position: i64,
    pub closing: Option<Closing>,
    pub pruning: Option<Pruning>,
}

/// How a segment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    pub closed: String,
    /// Links in it.
    pub links: i64,
    pub last_hash: Vec<u8>,
    pub last_position: i64,
    pub seal: Vec<u8>,
}

/// That a segment's rows were taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    pub pruned: String,
    pub seal: Vec<u8>,
}

/// Links that were made together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub number: i64,
    pub segment: i64,
    pub first_link: i64,
    pub after_position: i64,
    pub last_position: i64,
    pub entries: Vec<Link>,
    pub created: String,
}

/// The hash of a link.
pub type LinkHash = [u8; 32];

/// What a hash of another length is read as: it agrees with nothing.
const NO_HASH: LinkHash = [0xff; 32];

/// One link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The number of the audit row.
    pub seq: i64,
    pub hash: LinkHash,
}

/// An audit row, as far as linking is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linkable {
    pub position: i64,
    pub seq: i64,
    /// Whose event it is, where the account's events are found by stretches: on `SQLite`.
    pub account_id: Option<Arc<str>>,
    pub mac: Vec<u8>,
}

/// An audit row with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedRow {
    pub position: i64,
    pub seq: i64,
    pub row: AuditRow,
}

/// What orders rows.
fn position(dialect: Dialect) -> &'static str {
    dialect.pick("seq", "position")
}

const SEGMENT: &str = "SELECT number, key_id, opened, shift, first_link, first_hash, first_position, closed, links, last_hash, \
    last_position, seal, pruned, prune_seal FROM audit_segments";

fn segment_of(row: &Row) -> Result<Segment> {
    let closing = match row.opt_text(7)? {
        None => None,
        Some(closed) => Some(Closing {
            closed: closed.to_owned(),
            links: row.int(8)?,
            last_hash: row.bytes(9)?.to_vec(),
            last_position: row.int(10)?,
            seal: row.bytes(11)?.to_vec(),
        }),
    };
    let pruning = match row.opt_text(12)? {
        None => None,
        Some(pruned) => Some(Pruning { pruned: pruned.to_owned(), seal: row.bytes(13)?.to_vec() }),
    };
    Ok(Segment {
        number: row.int(0)?,
        key_id: row.int(1)?,
        opened: row.text(2)?.to_owned(),
        shift: row.int(3)?,
        first_link: row.int(4)?,
        first_hash: row.bytes(5)?.to_vec(),
        first_position: row.int(6)?,
        closing,
        pruning,
    })
}

/// All segments in order.
pub async fn segments(reader: &mut Reader<'_>) -> Result<Vec<Segment>> {
    let mut sql = reader.sql();
    sql.push(SEGMENT).push(" ORDER BY number");
    reader.fetch(&sql).await?.iter().map(segment_of).collect()
}

/// The segment that is being written to, if there is one yet.
pub async fn last_segment(reader: &mut Reader<'_>) -> Result<Option<Segment>> {
    let mut sql = reader.sql();
    sql.push(SEGMENT).push(" ORDER BY number DESC LIMIT 1");
    reader.fetch_one(&sql).await?.as_ref().map(segment_of).transpose()
}

const BLOCK: &str =
    "SELECT number, segment, first_link, after_position, last_position, entries, created FROM audit_blocks";

fn block_of(row: &Row) -> Result<Block> {
    let entries = row.bytes(5)?.chunks(ENTRY).map(|entry| {
        let (seq, hash) = entry.split_at_checked(8).unwrap_or((&[0; 8], &[]));
        let seq = i64::from_be_bytes(seq.try_into().unwrap_or_default());
        Link { seq, hash: hash.try_into().unwrap_or(NO_HASH) }
    });
    Ok(Block {
        number: row.int(0)?,
        segment: row.int(1)?,
        first_link: row.int(2)?,
        after_position: row.int(3)?,
        last_position: row.int(4)?,
        entries: entries.collect(),
        created: row.text(6)?.to_owned(),
    })
}

/// The last block, if there is one.
pub async fn last_block(reader: &mut Reader<'_>) -> Result<Option<Block>> {
    let mut sql = reader.sql();
    sql.push(BLOCK).push(" ORDER BY number DESC LIMIT 1");
    reader.fetch_one(&sql).await?.as_ref().map(block_of).transpose()
}

/// What is known of a link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashAt {
    /// Its hash.
    Linked(LinkHash),
    /// There is no such link. These segments say that it was theirs, and that they went by retention: whether that is so, their seals
    /// show.
    Gone(Vec<Segment>),
}

/// The hash of the link of this number.
pub async fn hash_at(reader: &mut Reader<'_>, number: i64) -> Result<HashAt> {
    let mut sql = reader.sql();
    sql.push(BLOCK).push(" WHERE first_link <= ").bind(number).push(" ORDER BY number DESC LIMIT 1");
    let block = reader.fetch_one(&sql).await?.as_ref().map(block_of).transpose()?;
    let hash = block.and_then(|block| {
        let at = usize::try_from(number - block.first_link).ok()?;
        block.entries.into_iter().nth(at).map(|link| link.hash)
    });
    if let Some(hash) = hash {
        return Ok(HashAt::Linked(hash));
    }
    let mut sql = reader.sql();
    sql.push(SEGMENT).push(" WHERE pruned IS NOT NULL AND first_link < ").bind(number);
    sql.push(" AND first_link + links >= ").bind(number);
    let pruned = reader.fetch(&sql).await?.iter().map(segment_of).collect::<Result<_>>()?;
    Ok(HashAt::Gone(pruned))
}

/// The first block of a segment beyond this number.
pub async fn block_after(reader: &mut Reader<'_>, segment: i64, number: i64) -> Result<Option<Block>> {
    let mut sql = reader.sql();
    sql.push(BLOCK).push(" WHERE segment = ").bind(segment).push(" AND number > ").bind(number);
    sql.push(" ORDER BY number LIMIT 1");
    reader.fetch_one(&sql).await?.as_ref().map(block_of).transpose()
}

/// Rows beyond a position that no other row can come before any more, in order, at most `limit`.
pub async fn linkable(reader: &mut Reader<'_>, after: i64, shift: i64, limit: i64) -> Result<Vec<Linkable>> {
    let dialect = reader.dialect();
    let mut sql = reader.sql();
    sql.push("SELECT ").push(position(dialect)).push(", seq, mac").pick(", user_id", "");
    sql.push(" FROM audit_logs WHERE ").push(position(dialect)).push(" > ").bind(after);
    if dialect == Dialect::Postgres {
        sql.push(" AND position < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + ").bind_typed(shift);
    }
    sql.push(" ORDER BY ").push(position(dialect)).push(", seq LIMIT ").bind(limit);
    let (mut found, mut accounts) = (Vec::new(), HashSet::<Arc<str>>::new());
    reader
        .for_each(&sql, |row| {
            let (Some(position), Some(seq), Some(mac)) = (row.int(0), row.int(1), row.bytes(2)) else {
                return Err(Error::internal("a row of the audit log has no number or no signature"));
            };
            let account_id = row.text(3).map(|id| {
                accounts.get(id).cloned().unwrap_or_else(|| {
                    let id = Arc::<str>::from(id);
                    accounts.insert(Arc::clone(&id));
                    id
                })
            });
            found.push(Linkable { position, seq, account_id, mac: mac.to_vec() });
            Ok(())
        })
        .await?;
    Ok(found)
}

/// Rows after the first and up to the last of these positions, in order.
pub async fn rows_between(reader: &mut Reader<'_>, after: i64, last: i64, limit: i64) -> Result<Vec<PlacedRow>> {
    let position = position(reader.dialect());
    let mut sql = reader.sql();
    sql.push("SELECT ").push(position).push(", seq, ").push(COLUMNS).push(" FROM audit_logs WHERE ").push(position);
    sql.push(" > ").bind(after).push(" AND ").push(position).push(" <= ").bind(last);
    sql.push(" ORDER BY ").push(position).push(", seq LIMIT ").bind(limit);
    placed(&reader.fetch(&sql).await?)
}

/// Rows that follow on this place, in order, at most `limit`.
pub async fn rows_after(reader: &mut Reader<'_>, after: (i64, i64), limit: i64) -> Result<Vec<PlacedRow>> {
    let dialect = reader.dialect();
    let mut sql = reader.sql();
    sql.push("SELECT ").push(position(dialect)).push(", seq, ").push(COLUMNS).push(" FROM audit_logs WHERE ");
    match dialect {
        Dialect::Sqlite => sql.push("seq > ").bind(after.1),
        Dialect::Postgres => sql.push("(position, seq) > (").bind(after.0).push(", ").bind(after.1).push(")"),
    };
    sql.push(" ORDER BY ").push(position(dialect)).push(", seq LIMIT ").bind(limit);
    placed(&reader.fetch(&sql).await?)
}

fn placed(rows: &[Row]) -> Result<Vec<PlacedRow>> {
    rows.iter().map(|row| Ok(PlacedRow { position: row.int(0)?, seq: row.int(1)?, row: row_of(row, 2)? })).collect()
}

/// How many rows lie beyond a position.
pub async fn count_after(reader: &mut Reader<'_>, after: i64) -> Result<i64> {
    let position = position(reader.dialect());
    let mut sql = reader.sql();
    sql.push("SELECT count(*) FROM audit_logs WHERE ").push(position).push(" > ").bind(after);
    reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

/// Whether any row lies beyond a position.
pub async fn has_after(reader: &mut Reader<'_>, after: i64) -> Result<bool> {
    let position = position(reader.dialect());
    let mut sql = reader.sql();
    sql.push("SELECT 1 FROM audit_logs WHERE ").push(position).push(" > ").bind(after).push(" LIMIT 1");
    Ok(reader.fetch_one(&sql).await?.is_some())
}

/// An id that more than one row has, and the number of the last of these.
pub async fn doubled_id(reader: &mut Reader<'_>) -> Result<Option<(String, i64)>> {
    let mut sql = reader.sql();
    sql.push("SELECT id, max(seq) FROM audit_logs GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1");
    reader.fetch_one(&sql).await?.map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).transpose()
}

/// By how much the next transaction lags behind what was linked: more than nothing after a dump was restored into another cluster.
pub async fn lag(reader: &mut Reader<'_>, linked: i64, shift: i64) -> Result<i64> {
    if reader.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    let mut sql = reader.sql();
    sql.push("SELECT GREATEST(").bind_typed(linked).push(", (SELECT coalesce(max(position), 0) FROM audit_logs))");
    sql.push(" + 1 - (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + ").bind_typed(shift).push(")");
    reader.fetch_one(&sql).await?.map_or(Ok(0), |row| row.int(0))
}

/// Opens a segment. Fails with [`Error::Unique`] where somebody else opened one of this number.
pub async fn open(tx: &mut Tx<'_>, segment: &Segment) -> Result<()> {
    let mut sql = tx.sql();
    sql.push(
        "INSERT INTO audit_segments (number, key_id, opened, shift, first_link, first_hash, first_position) VALUES (",
    );
    sql.bind(segment.number).push(", ").bind(segment.key_id).push(", ").bind(segment.opened.as_str()).push(", ");
    sql.bind(segment.shift).push(", ").bind(segment.first_link).push(", ").bind(segment.first_hash.as_slice());
    sql.push(", ").bind(segment.first_position).push(")");
    tx.execute(&sql).await.map(drop)
}

/// Closes a segment that is open.
pub async fn close(tx: &mut Tx<'_>, number: i64, closing: &Closing) -> Result<()> {
    let mut sql = tx.sql();
    sql.push("UPDATE audit_segments SET closed = ")
        .bind(closing.closed.as_str())
        .push(", links = ")
        .bind(closing.links);
    sql.push(", last_hash = ")
        .bind(closing.last_hash.as_slice())
        .push(", last_position = ")
        .bind(closing.last_position);
    sql.push(", seal = ").bind(closing.seal.as_slice()).push(" WHERE closed IS NULL AND number = ").bind(number);
    tx.execute(&sql).await.map(drop)
}

/// Stores a block, and where in it the events of each account stand. Fails with [`Error::Unique`] where somebody else stored one of this
/// number.
pub async fn append(tx: &mut Tx<'_>, block: Block, stretches: Vec<Stretch>) -> Result<(), Error> {
    let mut entries = Vec::with_capacity(block.entries.len() * ENTRY);
    for link in &block.entries {
        entries.extend_from_slice(&link.seq.to_be_bytes());
        entries.extend_from_slice(&link.hash);
    }
    let mut sql = tx.sql();
    sql.push("INSERT INTO audit_blocks (number, segment, first_link, after_position, last_position, entries, created)");
    sql.push(" VALUES (").bind(block.number).push(", ").bind(block.segment).push(", ").bind(block.first_link);
    sql.push(", ").bind(block.after_position).push(", ").bind(block.last_position).push(", ").bind(entries);
    sql.push(", ").bind(block.created).push(")");
    tx.execute(&sql).await?;
    for sql in insertions(tx.dialect(), &stretches) {
        tx.execute(&sql).await?;
    }
    Ok(())
}

/// Gives leave to take the rows of a closed segment away.
pub async fn prune(tx: &mut Tx<'_>, number: i64, pruning: &Pruning) -> Result<bool> {
    let mut sql = tx.sql();
    sql.push("UPDATE audit_segments SET pruned = ").bind(pruning.pruned.as_str()).push(", prune_seal = ");
    sql.bind(pruning.seal.as_slice()).push(" WHERE closed IS NOT NULL AND pruned IS NULL AND number = ").bind(number);
    Ok(tx.execute(&sql).await? > 0)
}

/// Takes away rows of a pruned segment, at most `limit`; then, once there are none left, its blocks. Answers how many rows went.
pub async fn sweep(tx: &mut Tx<'_>, segment: &Segment, limit: i64) -> Result<u64> {
    let Some(closing) = &segment.closing else { return Ok(0) };
    accounts::sweep(tx, segment.first_position, closing.last_position, limit).await?;
    let position = position(tx.dialect());
    let mut sql: Sql = tx.sql();
    sql.push("DELETE FROM audit_logs WHERE seq IN (SELECT seq FROM audit_logs WHERE ").push(position).push(" > ");
    sql.bind(segment.first_position).push(" AND ").push(position).push(" <= ").bind(closing.last_position);
    sql.push(" ORDER BY ").push(position).push(", seq LIMIT ").bind(limit).push(")");
    sql.push(" AND ").push(position).push(" > ").bind(segment.first_position);
    sql.push(" AND ").push(position).push(" <= ").bind(closing.last_position);
    let gone = tx.execute(&sql).await?;
    if gone == 0 {
        let mut sql = tx.sql();
        sql.push("DELETE FROM audit_blocks WHERE segment = ").bind(segment.number);
        tx.execute(&sql).await?;
    }
    Ok(gone)
}
