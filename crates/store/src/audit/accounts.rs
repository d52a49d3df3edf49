//! Where in the log the events of each account stand, on `SQLite`: stretches of linked rows, written with the block that links them. What
//! is not linked yet, a second's events, is looked through.
//!
//! `PostgreSQL` has an index on the rows for this. `SQLite` would write a page of it with every commit for each account that acts.

use std::collections::HashMap;

use crate::appended::{Appended, Bound};
use crate::{Dialect, Reader, Result, Sql, Tx};

/// So far apart events of an account may stand in one stretch: that many rows of others are looked at for nothing at most.
const NEAR: i64 = 64;

/// The number of the last row that is linked; 0 where none is there any more.
const LAST_LINKED: &str = "coalesce((SELECT last_position FROM audit_blocks ORDER BY number DESC LIMIT 1), 0)";

/// Rows of the log among which are all linked ones of an account from the first to the last. Stretches of an account do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub account_id: String,
    pub first: i64,
    pub last: i64,
}

impl Appended for Stretch {
    /// Where blocks were taken away past the product, rows are linked once more: that ends in what verifying finds, not in a refusal.
    fn begin(sql: &mut Sql) {
        sql.push("INSERT OR REPLACE INTO audit_users (account_id, first_seq, last_seq) VALUES ");
    }

    fn values(&self) -> impl Iterator<Item = Bound<'_>> {
        [Bound::from(self.account_id.as_str()), self.first.into(), self.last.into()].into_iter()
    }
}

/// The stretches of rows that are linked together, given by their numbers and their accounts in order.
pub fn stretches<'r>(rows: impl IntoIterator<Item = (i64, Option<&'r str>)>) -> Vec<Stretch> {
    let mut last = HashMap::<&str, usize>::new();
    let mut found = Vec::<Stretch>::new();
    for (seq, account_id) in rows {
        let Some(account_id) = account_id else { continue };
        if let Some(stretch) = last.get(account_id).and_then(|at| found.get_mut(*at))
            && seq - stretch.last <= NEAR
        {
            stretch.last = seq;
            continue;
        }
        last.insert(account_id, found.len());
        found.push(Stretch { account_id: account_id.to_owned(), first: seq, last: seq });
    }
    found.sort_unstable_by(|a, b| (&a.account_id, a.first).cmp(&(&b.account_id, b.first)));
    found
}

/// Which rows of the log a question looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among<'a> {
    /// All.
    All,
    /// Those that may be an account's and are linked.
    Linked(&'a str),
    /// Those that are not linked yet.
    Waiting,
}

impl<'a> Among<'a> {
    /// Where the events are of this account, if of one: the newest first.
    pub(super) fn of(account_id: Option<&'a str>, dialect: Dialect) -> Vec<Self> {
        match account_id {
            Some(account_id) if dialect == Dialect::Sqlite => vec![Self::Waiting, Self::Linked(account_id)],
            _ => vec![Self::All],
        }
    }

    /// Writes the tables, and the condition that others can be added to.
    pub(super) fn push(self, sql: &mut Sql) {
        match self {
            Self::All => sql.push(" FROM audit_logs WHERE 1 = 1"),
            Self::Waiting => sql.push(" FROM audit_logs WHERE seq > ").push(LAST_LINKED),
            // In this order of the tables: each stretch has one place to look at.
            Self::Linked(account_id) => {
                sql.push(" FROM audit_users CROSS JOIN audit_logs WHERE account_id = ").bind(account_id);
                sql.push(" AND seq BETWEEN first_seq AND last_seq")
            }
        };
    }

    /// Writes the order, the newest first.
    pub(super) fn push_order(self, sql: &mut Sql) {
        match self {
            Self::All => sql.push(" ORDER BY ").pick("seq DESC", "position DESC, seq DESC"),
            Self::Waiting => sql.push(" ORDER BY seq DESC"),
            // What `seq` alone says as well, but so the rows come in order, one stretch after another.
            Self::Linked(_) => sql.push(" ORDER BY first_seq DESC, seq DESC"),
        };
    }
}

/// The first linked row up to this one that is not found under its account: its id and its number. Those that retention is about to take
/// away need not be.
pub async fn unfound(reader: &mut Reader<'_>, last: i64) -> Result<Option<(String, i64)>> {
    if reader.dialect() == Dialect::Postgres {
        return Ok(None);
    }
    let mut sql = reader.sql();
    sql.push("SELECT id, seq FROM audit_logs WHERE user_id IS NOT NULL AND seq <= ").bind(last);
    sql.push(" AND coalesce((SELECT last_seq FROM audit_users WHERE account_id = user_id AND first_seq <= seq");
    sql.push(" ORDER BY first_seq DESC LIMIT 1), 0) < seq AND NOT EXISTS (SELECT 1 FROM audit_segments");
    sql.push(" WHERE pruned IS NOT NULL AND seq > first_position AND seq <= last_position) ORDER BY seq LIMIT 1");
    reader.fetch_one(&sql).await?.map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).transpose()
}

/// The first row that is found twice under its account, by its number: a stretch goes on into the next, or into what is not linked yet.
pub async fn found_twice(reader: &mut Reader<'_>) -> Result<Option<i64>> {
    if reader.dialect() == Dialect::Postgres {
        return Ok(None);
    }
    let mut sql = reader.sql();
    sql.push("SELECT min(next) FROM (SELECT last_seq, coalesce(lead(first_seq) OVER ");
    sql.push("(PARTITION BY account_id ORDER BY first_seq), ")
        .push(LAST_LINKED)
        .push(" + 1) AS next FROM audit_users)");
    sql.push(" WHERE next <= last_seq");
    reader.fetch_one(&sql).await?.map_or(Ok(None), |row| row.opt_int(0))
}

/// Takes away the stretches that begin with the first rows between two numbers, at most `limit` of these.
pub(super) async fn sweep(tx: &mut Tx<'_>, after: i64, last: i64, limit: i64) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        return Ok(());
    }
    let mut sql = tx.sql();
    sql.push("DELETE FROM audit_users WHERE (account_id, first_seq) IN (SELECT user_id, seq FROM audit_logs");
    sql.push(" WHERE seq > ").bind(after).push(" AND seq <= ").bind(last).push(" ORDER BY seq LIMIT ").bind(limit);
    sql.push(")");
    tx.execute(&sql).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stretches of rows that are these accounts', by their numbers.
    fn of(rows: &[(i64, Option<&str>)]) -> Vec<(String, i64, i64)> {
        stretches(rows.iter().copied())
            .into_iter()
            .map(|stretch| (stretch.account_id, stretch.first, stretch.last))
            .collect()
    }

    #[test]
    fn events_that_stand_near_each_other_are_one_stretch() {
        let stretches = of(&[(1, Some("b")), (2, Some("a")), (3, None), (4, Some("b")), (5, Some("a"))]);
        assert_eq!(stretches, [("a".to_owned(), 2, 5), ("b".to_owned(), 1, 4)]);
    }

    #[test]
    fn events_that_stand_far_from_each_other_are_not() {
        let (near, far) = (1 + NEAR, 1 + NEAR + NEAR + 1);
        let stretches = of(&[(1, Some("a")), (near, Some("a")), (far, Some("a"))]);
        assert_eq!(stretches, [("a".to_owned(), 1, near), ("a".to_owned(), far, far)]);
        assert_eq!(of(&[(1, None)]), []);
    }

    /// By how it means to go about them: the stretches from their key, each with its rows, and nothing to be sorted.
    #[test]
    fn the_events_of_an_account_are_gone_through_in_their_order_and_without_the_others() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../../migrations/sqlite.sql")).unwrap();
        for among in Among::of(Some("a"), Dialect::Sqlite) {
            let mut sql = Sql::new(Dialect::Sqlite);
            sql.push("EXPLAIN QUERY PLAN SELECT id");
            among.push(&mut sql);
            among.push_order(&mut sql);
            let mut asked = conn.prepare(sql.text()).unwrap();
            let account = sql.binds().iter().map(|_| "a");
            let rows = asked.query_map(rusqlite::params_from_iter(account), |row| row.get::<_, String>(3)).unwrap();
            let plan: Vec<String> = rows.map(Result::unwrap).collect();
            let is_direct = |step: &String| !step.contains("TEMP B-TREE") && !step.starts_with("SCAN audit_logs");
            assert!(plan.iter().all(is_direct), "{among:?}: {plan:?}");
            assert!(plan.iter().any(|step| step.starts_with("SEARCH audit_logs")), "{among:?}: {plan:?}");
        }
    }
}
