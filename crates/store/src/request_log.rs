//! Rows of `request_logs`: one an answered request, written in batches, read newest first, swept by age.
//!
//! What may stand in a row (no value of a query, no control character) is decided before it comes here.

use crate::{Dialect, Reader, Result, Row, Sql, Tx, Value};

/// Rows of one INSERT: few sizes, so that few statements are kept prepared whatever the size of a batch.
const CHUNKS: [usize; 3] = [100, 10, 1];
/// Values of a row.
const COLUMNS: usize = 8;

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    pub id: String,
    pub method: String,
    pub url: String,
    pub status: i64,
    /// Microseconds.
    pub duration: i64,
    pub ip_address: String,
    /// `None` for guests.
    pub user_id: Option<String>,
    pub created: String,
}

/// Which requests are meant; `None` means any.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The earliest `created`.
    pub since: String,
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

impl LoggedRequest {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text(0)?.to_owned(),
            method: row.text(1)?.to_owned(),
            url: row.text(2)?.to_owned(),
            status: row.int(3)?,
            duration: row.int(4)?,
            ip_address: row.text(5)?.to_owned(),
            user_id: row.opt_text(6)?.map(str::to_owned),
            created: row.text(7)?.to_owned(),
        })
    }
}

/// Stores a batch.
pub async fn insert(tx: &mut Tx<'_>, rows: Vec<LoggedRequest>) -> Result<()> {
    let mut left = rows.into_iter();
    for size in CHUNKS {
        while left.len() >= size {
            let sql = insertion(tx.dialect(), left.by_ref().take(size));
            tx.execute(&sql).await?;
        }
    }
    Ok(())
}

fn insertion(dialect: Dialect, rows: impl ExactSizeIterator<Item = LoggedRequest>) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.reserve(rows.len() * COLUMNS);
    sql.push("INSERT INTO request_logs (id, method, url, status, duration, ip_address, user_id, created) VALUES ");
    sql.comma_list(rows, |sql, row| {
        sql.push("(").binds_of([
            Value::from(row.id),
            Value::from(row.method),
            Value::from(row.url),
            Value::from(row.status),
            Value::from(row.duration),
            Value::from(row.ip_address),
            Value::from(row.user_id),
            Value::from(row.created),
        ]);
        sql.push(")");
    });
    sql
}

/// A page of the requests that are meant, newest first.
pub async fn page(reader: &mut Reader<'_>, wanted: Wanted, limit: i64, offset: i64) -> Result<Vec<LoggedRequest>> {
    let mut sql = reader.sql();
    sql.push("SELECT id, method, url, status, duration, ip_address, user_id, created FROM request_logs");
    sql.push(" WHERE created >= ").bind(wanted.since);
    if let Some(method) = wanted.method {
        sql.push(" AND method = ").bind(method);
    }
    if let Some(status) = wanted.status {
        sql.push(" AND status = ").bind(status);
    }
    if let Some(user_id) = wanted.user_id {
        sql.push(" AND user_id = ").bind(user_id);
    }
    sql.push(" ORDER BY created DESC, id DESC LIMIT ").bind(limit).push(" OFFSET ").bind(offset);
    reader.fetch(&sql).await?.iter().map(LoggedRequest::of).collect()
}

/// What the requests since then came to.
pub async fn totals(reader: &mut Reader<'_>, since: String) -> Result<Totals> {
    let mut sql = reader.sql();
    sql.push("SELECT count(*), CAST(coalesce(sum(duration), 0) AS BIGINT), count(*) FILTER (WHERE status >= 500), ");
    sql.push("count(*) FILTER (WHERE status BETWEEN 400 AND 499) FROM request_logs WHERE created >= ").bind(since);
    let Some(row) = reader.fetch_one(&sql).await? else {
        return Ok(Totals::default());
    };
    Ok(Totals { requests: row.int(0)?, duration: row.int(1)?, errors_5xx: row.int(2)?, errors_4xx: row.int(3)? })
}

/// Takes away at most `limit` of the rows from before then, the oldest first, and says how many that were.
pub async fn delete_before(tx: &mut Tx<'_>, before: String, limit: i64) -> Result<u64> {
    let mut sql = tx.sql();
    sql.push("DELETE FROM request_logs WHERE (created, id) IN (SELECT created, id FROM request_logs WHERE created < ")
        .bind(before);
    sql.push(" ORDER BY created, id LIMIT ").bind(limit).push(")");
    tx.execute(&sql).await
}
