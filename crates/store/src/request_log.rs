//! Rows of `request_logs`: one an answered request, written in batches, read newest first, swept by age.
//!
//! What may stand in a row (no value of a query, no control character) is decided before it comes here.

use crate::{Dialect, Reader, Result, Row, Sql, Tx, Value};

/// Rows of one INSERT: few sizes, so that few statements are kept prepared whatever the size of a batch.
const CHUNKS: [usize; 3] = [100, 10, 1];
/// Values of a row.
const COLUMNS: usize = 7;
/// Bits of a number that tell apart the rows of one millisecond.
const WITHIN: u32 = 21;

/// What a row is known by: its millisecond, and what tells it apart from others of that millisecond. Numbers are in the order of time,
/// so a row is found by when it came without an index over that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(i64);

impl Number {
    /// Numbers of one millisecond.
    pub const EACH_MILLISECOND: u32 = 1 << WITHIN;

    /// Of a row that came in this millisecond since the Unix epoch (nothing before it, nothing after the year 2109).
    pub fn new(unix_millis: i64, within: u32) -> Self {
        let millis = unix_millis.clamp(0, i64::MAX >> WITHIN);
        Self(millis << WITHIN | i64::from(within % Self::EACH_MILLISECOND))
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_millis(self) -> i64 {
        self.0 >> WITHIN
    }

    /// What tells it apart within its millisecond.
    pub fn within(self) -> u32 {
        u32::try_from(self.0 & i64::from(Self::EACH_MILLISECOND - 1)).unwrap_or_default()
    }
}

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRequest {
    pub number: Number,
    pub method: String,
    pub url: String,
    pub status: i64,
    /// Microseconds.
    pub duration: i64,
    pub ip_address: String,
    /// `None` for guests.
    pub user_id: Option<String>,
}

/// Which requests are meant; `None` means any.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The earliest millisecond since the Unix epoch.
    pub since: i64,
    pub method: Option<String>,
    pub status: Option<i64>,
    pub user_id: Option<String>,
}

/// What requests came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub requests: i64,
    /// All durations together, microseconds.
    pub duration: i64,
    /// Answers of 500 and above.
    pub errors_5xx: i64,
    /// Answers of 400 to 499.
    pub errors_4xx: i64,
}

impl StoredRequest {
    /// In the order of the columns of [`insertion`].
    fn values(self) -> [Value; COLUMNS] {
        [
            self.number.0.into(),
            self.method.into(),
            self.url.into(),
            self.status.into(),
            self.duration.into(),
            self.ip_address.into(),
            self.user_id.into(),
        ]
    }

    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            number: Number(row.int(0)?),
            method: row.text(1)?.to_owned(),
            url: row.text(2)?.to_owned(),
            status: row.int(3)?,
            duration: row.int(4)?,
            ip_address: row.text(5)?.to_owned(),
            user_id: row.opt_text(6)?.map(str::to_owned),
        })
    }
}

/// The statements that store batches, written once for all of them.
#[derive(Debug)]
pub struct Insertions([Sql; CHUNKS.len()]);

impl Insertions {
    /// Those of one engine.
    pub fn new(dialect: Dialect) -> Self {
        Self(CHUNKS.map(|size| insertion(dialect, size)))
    }
}

/// Stores a batch. Of two rows with one number, which two nodes may come to, only one is kept.
pub async fn insert(tx: &mut Tx<'_>, insertions: &Insertions, rows: Vec<StoredRequest>) -> Result<()> {
    let mut left = rows.into_iter();
    for (size, insertion) in CHUNKS.into_iter().zip(&insertions.0) {
        if left.len() < size {
            continue;
        }
        let mut sql = insertion.clone();
        while left.len() >= size {
            sql.rebind(left.by_ref().take(size).flat_map(StoredRequest::values));
            tx.execute(&sql).await?;
        }
    }
    Ok(())
}

/// A statement for so many rows, without their values.
fn insertion(dialect: Dialect, rows: usize) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.reserve(rows * COLUMNS);
    sql.push("INSERT INTO request_logs (number, method, url, status, duration, ip_address, user_id) VALUES ");
    sql.comma_list(0..rows, |sql, _| {
        sql.push("(").binds_of([const { Value::Null }; COLUMNS]).push(")");
    });
    sql.push(" ON CONFLICT DO NOTHING");
    sql
}

/// A page of the requests that are meant, newest first.
pub async fn page(reader: &mut Reader<'_>, wanted: Wanted, limit: i64, offset: i64) -> Result<Vec<StoredRequest>> {
    let mut sql = reader.sql();
    sql.push("SELECT number, method, url, status, duration, ip_address, user_id FROM request_logs");
    sql.push(" WHERE number >= ").bind(Number::new(wanted.since, 0).0);
    if let Some(method) = wanted.method {
        sql.push(" AND method = ").bind(method);
    }
    if let Some(status) = wanted.status {
        sql.push(" AND status = ").bind(status);
    }
    if let Some(user_id) = wanted.user_id {
        sql.push(" AND user_id = ").bind(user_id);
    }
    sql.push(" ORDER BY number DESC LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    reader.fetch(&sql).await?.iter().map(StoredRequest::of).collect()
}

/// What the requests since then came to.
pub async fn totals(reader: &mut Reader<'_>, since: i64) -> Result<Totals> {
    let mut sql = reader.sql();
    sql.push("SELECT count(*), CAST(coalesce(sum(duration), 0) AS BIGINT), count(*) FILTER (WHERE status >= 500), ");
    sql.push("count(*) FILTER (WHERE status BETWEEN 400 AND 499) FROM request_logs WHERE number >= ")
        .bind(Number::new(since, 0).0);
    let Some(row) = reader.fetch_one(&sql).await? else {
        return Ok(Totals::default());
    };
    Ok(Totals { requests: row.int(0)?, duration: row.int(1)?, errors_5xx: row.int(2)?, errors_4xx: row.int(3)? })
}

/// Takes away at most `limit` of the rows from before this millisecond since the Unix epoch, the oldest first, and says how many that were.
pub async fn delete_before(tx: &mut Tx<'_>, before: i64, limit: i64) -> Result<u64> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM request_logs WHERE number IN (SELECT number FROM request_logs WHERE number < ")
        .bind(Number::new(before, 0).0);
    sql.push(" ORDER BY number LIMIT ").bind(limit).push(")");
    tx.execute(&sql).await
}
