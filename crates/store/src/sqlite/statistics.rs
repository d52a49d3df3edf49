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
/// Look at all tables, and name what would measure those that have grown or shrunk tenfold since.
const NAME_ALL: i64 = 0x1_0003;
/// Tables that grow at their end: each question to them has its one index, or goes by the number of the row. `SQLite` would count all of
/// their rows, since none of their indexes has them all.
const GROWING: [&str; 3] = ["audit_logs", "outbox", "request_logs"];

/// Measures anew what needs it, by the connection that is going to write. A file that cannot be written to keeps its figures.
pub(super) fn refresh(conn: &Connection) -> Result<()> {
    let usual: i64 = conn.pragma_query_value(None, "cache_size", |row| row.get(0)).map_err(meaning)?;
    conn.pragma_update(None, "cache_size", CACHE).map_err(meaning)?;
    let measured = measure(conn);
    conn.pragma_update(None, "cache_size", usual).map_err(meaning)?;
    measured
}

fn measure(conn: &Connection) -> Result<()> {
    conn.execute_batch(&format!("PRAGMA analysis_limit = {LOOKED_AT};")).map_err(meaning)?;
    for measuring in named(conn).map_err(meaning)? {
        if !GROWING.iter().any(|table| measuring.ends_with(&format!(".\"{table}\""))) {
            conn.execute_batch(&measuring).map_err(meaning)?;
        }
    }
    let is_kept = conn
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'", [], |row| row.get::<_, i64>(0))
        .map_err(meaning)?;
    if is_kept == 0 {
        return Ok(());
    }
    // A figure begins with the number of rows.
    let forgotten = conn
        .execute(
            "DELETE FROM sqlite_stat1 WHERE CAST(stat AS INTEGER) < ?1 OR tbl IN (?2, ?3, ?4)",
            (LARGE, GROWING[0], GROWING[1], GROWING[2]),
        )
        .map_err(meaning)?;
    if forgotten > 0 {
        // This connection forgets them as well.
        conn.execute_batch("ANALYZE sqlite_schema").map_err(meaning)?;
    }
    Ok(())
}

/// The statements that would measure what needs it.
fn named(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    conn.prepare(&format!("PRAGMA optimize = {NAME_ALL}"))?.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(conn: &Connection) -> Vec<String> {
        let mut asked = conn.prepare("SELECT DISTINCT tbl FROM sqlite_stat1 ORDER BY tbl").unwrap();
        asked.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn large_tables_have_figures_but_for_those_that_would_be_counted_whole() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE audit_logs (seq INTEGER PRIMARY KEY, n INTEGER);
             CREATE INDEX audit_logs_notable ON audit_logs (n) WHERE n > 5;
             CREATE TABLE small (n INTEGER); CREATE INDEX small_n ON small (n);
             CREATE TABLE posts (n INTEGER); CREATE INDEX posts_n ON posts (n);
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
             INSERT INTO posts SELECT n FROM numbers;
             INSERT INTO audit_logs (n) SELECT n FROM posts;
             INSERT INTO small SELECT n FROM posts LIMIT 100;",
        )
        .unwrap();
        refresh(&conn).unwrap();
        assert_eq!(figures(&conn), ["posts"]);
        // As they may be there from before.
        conn.execute_batch("ANALYZE audit_logs").unwrap();
        refresh(&conn).unwrap();
        assert_eq!(figures(&conn), ["posts"]);
        assert_eq!(named(&conn).unwrap(), [r#"ANALYZE "main"."audit_logs""#, r#"ANALYZE "main"."small""#]);
    }
}
