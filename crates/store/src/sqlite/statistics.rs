//! What the planner believes of tables: taken once, as the file is opened, and only of tables that are large by then.
//!
//! Without a figure the planner takes a table for a large one and uses its indexes. With the figure of a table that was small when
//! somebody looked, it reads all of it, however much it has grown since: such a figure is worse than none.

use super::fault::meaning;
use crate::error::Result;
use rusqlite::Connection;

/// Rows from which on a figure is kept. Sums of more would not turn a plan around.
const LARGE: i64 = 10_000;
/// Entries of each index that are looked at: milliseconds, however large the table is.
const LOOKED_AT: i64 = 400;
/// What is kept in memory of the pages that are looked at, KiB: no page is needed twice.
const CACHE: i64 = -256;
/// Look at all tables, and measure those that have grown or shrunk tenfold since.
const ALL_TABLES: i64 = 0x1_0002;

/// Measures anew what needs it, by the connection that is going to write. A file that cannot be written to keeps its figures.
pub(super) fn refresh(conn: &Connection) -> Result<()> {
    let usual: i64 = conn.pragma_query_value(None, "cache_size", |row| row.get(0)).map_err(meaning)?;
    conn.pragma_update(None, "cache_size", CACHE).map_err(meaning)?;
    let measured = measure(conn);
    conn.pragma_update(None, "cache_size", usual).map_err(meaning)?;
    measured
}

fn measure(conn: &Connection) -> Result<()> {
    conn.execute_batch(&format!("PRAGMA analysis_limit = {LOOKED_AT}; PRAGMA optimize = {ALL_TABLES};"))
        .map_err(meaning)?;
    let is_kept = conn
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'", [], |row| row.get::<_, i64>(0))
        .map_err(meaning)?;
    if is_kept == 0 {
        return Ok(());
    }
    // A figure begins with the number of rows.
    let forgotten =
        conn.execute("DELETE FROM sqlite_stat1 WHERE CAST(stat AS INTEGER) < ?1", [LARGE]).map_err(meaning)?;
    if forgotten > 0 {
        // This connection forgets them as well.
        conn.execute_batch("ANALYZE sqlite_schema").map_err(meaning)?;
    }
    Ok(())
}
