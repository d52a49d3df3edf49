//! Rows that are written with a commit instead of by a statement of their job: those of all jobs that are committed together at once.
//!
//! This module knows how many rows go into a statement, and nothing of what they say.

use std::marker::PhantomData;

use crate::value::Cell;
use crate::{Dialect, Result, Sql, Value};

/// Rows of one INSERT: few sizes, so that few statements are kept prepared whatever the size of a group, and few are run for it.
const CHUNKS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// So many rows that follow each other and have values in common are worth a statement that binds these once.
const ALIKE: usize = 8;

/// A row that is written with a commit.
pub(crate) trait Appended {
    /// The values that rows have in common that are alike, by their places from 0.
    const COMMON: &'static [usize] = &[];

    /// The statement up to its first row.
    fn begin(sql: &mut Sql);
    /// What stands before the row's values on `PostgreSQL`, with a comma behind it: nothing, in most tables.
    fn place(&self, _: &mut Sql) {}
    /// The row's values.
    fn values(&self) -> impl Iterator<Item = Bound<'_>>;
    /// Whether another row has the same values where they are common.
    fn is_alike(&self, _: &Self) -> bool {
        false
    }
}

/// A value of such a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound<'a> {
    /// Text that is part of the program.
    Program(&'static str),
    /// Anything else.
    Given(Cell<'a>),
}

impl<'a> Bound<'a> {
    /// The text, where it is one.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self.cell() {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    fn cell(self) -> Cell<'a> {
        match self {
            Self::Program(text) => Cell::Text(text),
            Self::Given(cell) => cell,
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Program(text) => Value::Static(text),
            Self::Given(cell) => cell.to_value(),
        }
    }
}

impl<'a> From<&'a str> for Bound<'a> {
    fn from(text: &'a str) -> Self {
        Self::Given(Cell::Text(text))
    }
}

impl<'a> From<Option<&'a str>> for Bound<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Given(Cell::Null), Self::from)
    }
}

impl From<i64> for Bound<'_> {
    fn from(number: i64) -> Self {
        Self::Given(Cell::Int(number))
    }
}

/// The statements that write these rows.
pub(crate) fn insertions<R: Appended>(dialect: Dialect, rows: &[R]) -> Vec<Sql> {
    let mut left = rows;
    let mut statements = Vec::new();
    for size in CHUNKS {
        while let Some((now, later)) = left.split_at_checked(size) {
            statements.push(insertion(dialect, now));
            left = later;
        }
    }
    statements
}

fn insertion<R: Appended>(dialect: Dialect, rows: &[R]) -> Sql {
    let mut sql = Sql::new(dialect);
    R::begin(&mut sql);
    sql.comma_list(rows, |sql, row| {
        sql.push("(");
        row.place(sql);
        sql.binds_of(row.values().map(Bound::value)).push(")");
    });
    sql
}

/// Writes the statement that writes one row on `PostgreSQL`. What is part of the program stands in the text, which is cheaper for the
/// server than a value to bind: there is a statement for each kind of row then, and only of rows that come alone are the kinds few.
pub(crate) fn insert_alone<R: Appended>(sql: &mut Sql, row: &R) {
    R::begin(sql);
    sql.push("(");
    row.place(sql);
    sql.comma_list(row.values(), |sql, value| {
        match value {
            Bound::Program(text) => sql.literal(text),
            Bound::Given(cell) => sql.bind(cell.to_value()),
        };
    });
    sql.push(")");
}

/// The same for the one writer of `SQLite`: the text of each statement is made once, and what rows that follow each other have in common is
/// bound once. `SQLite` copies each value that it is given.
#[derive(Debug)]
pub(crate) struct Insertions<R> {
    apart: Texts,
    alike: Texts,
    rows: PhantomData<fn(R)>,
}

/// The text of the statement for each size.
type Texts = [Option<String>; CHUNKS.len()];

impl<R> Default for Insertions<R> {
    fn default() -> Self {
        Self { apart: Texts::default(), alike: Texts::default(), rows: PhantomData }
    }
}

impl<R: Appended> Insertions<R> {
    /// Has `run` run what writes these rows: the statements, and what is bound in each.
    pub(crate) fn each(&mut self, rows: &[R], mut run: impl FnMut(&str, &[Cell<'_>]) -> Result<()>) -> Result<()> {
        let mut apart = 0;
        let mut left = rows;
        while let Some(first) = left.get(apart) {
            let alike = 1 + left[apart + 1..].iter().take_while(|row| first.is_alike(row)).count();
            if alike < ALIKE {
                apart += alike;
                continue;
            }
            let (before, rest) = left.split_at(apart);
            let (same, later) = rest.split_at(alike);
            in_chunks(&mut self.apart, before, &[], &mut run)?;
            in_chunks(&mut self.alike, same, R::COMMON, &mut run)?;
            (left, apart) = (later, 0);
        }
        in_chunks(&mut self.apart, left, &[], &mut run)
    }
}

/// Writes rows in statements whose texts are kept; what is `common` is bound with the first row of each.
fn in_chunks<R: Appended>(
    texts: &mut Texts,
    rows: &[R],
    common: &'static [usize],
    run: &mut impl FnMut(&str, &[Cell<'_>]) -> Result<()>,
) -> Result<()> {
    let is_common = common.iter().fold(0_u64, |places, at| places | 1 << at);
    let (mut left, mut values) = (rows, Vec::new());
    for (size, text) in CHUNKS.into_iter().zip(texts) {
        while let Some((now, later)) = left.split_at_checked(size) {
            values.clear();
            for (number, row) in now.iter().enumerate() {
                debug_assert!(common.iter().all(|at| nth(row, *at) == nth(&now[0], *at)), "what is said to be common");
                let own = row.values().enumerate().filter(|(at, _)| number == 0 || is_common >> at & 1 == 0);
                values.extend(own.map(|(_, value)| value.cell()));
            }
            let text = text.get_or_insert_with(|| of_many(now, common));
            run(text, &values)?;
            left = later;
        }
    }
    Ok(())
}

fn nth<R: Appended>(row: &R, at: usize) -> Option<Cell<'_>> {
    row.values().nth(at).map(Bound::cell)
}

/// The text that writes as many rows as these on `SQLite`: what is common stands as in the first.
fn of_many<R: Appended>(rows: &[R], common: &[usize]) -> String {
    let mut sql = Sql::new(Dialect::Sqlite);
    R::begin(&mut sql);
    sql.comma_list(rows.iter().enumerate(), |sql, (number, row)| {
        sql.push("(");
        sql.comma_list(row.values().enumerate(), |sql, (at, _)| {
            if number > 0 && common.contains(&at) {
                sql.bound(at + 1);
            } else {
                sql.bind(Value::Null);
            }
        });
        sql.push(")");
    });
    sql.text().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of a kind, and with a number.
    struct Numbered(&'static str, i64);

    impl Appended for Numbered {
        const COMMON: &'static [usize] = &[0];

        fn begin(sql: &mut Sql) {
            sql.push("INSERT INTO numbers (kind, n) VALUES ");
        }

        fn values(&self) -> impl Iterator<Item = Bound<'_>> {
            [Bound::Program(self.0), self.1.into()].into_iter()
        }

        fn is_alike(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }

    fn database() -> rusqlite::Connection {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE numbers (at INTEGER PRIMARY KEY, kind TEXT, n INTEGER)").unwrap();
        conn
    }

    /// Writes rows of these kinds, numbered; answers how many values were bound.
    fn write(conn: &rusqlite::Connection, insertions: &mut Insertions<Numbered>, kinds: &[&'static str]) -> usize {
        let mut bound = 0;
        let rows: Vec<_> = kinds.iter().zip(0..).map(|(kind, n)| Numbered(kind, n)).collect();
        insertions
            .each(&rows, |text, values| {
                bound += values.len();
                let values = values.iter().map(|value| match value {
                    Cell::Int(n) => rusqlite::types::Value::from(*n),
                    Cell::Text(kind) => (*kind).to_owned().into(),
                    _ => rusqlite::types::Value::Null,
                });
                conn.execute(text, rusqlite::params_from_iter(values)).unwrap();
                Ok(())
            })
            .unwrap();
        bound
    }

    fn written(conn: &rusqlite::Connection) -> Vec<(String, i64)> {
        let mut asked = conn.prepare("SELECT kind, n FROM numbers ORDER BY at").unwrap();
        asked.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn every_row_is_written_once_and_in_order_whatever_the_size_of_the_group_and_its_kinds() {
        let conn = database();
        let mut insertions = Insertions::default();
        let one = |count: usize| vec!["a"; count];
        let turns = |count: usize, length: usize| (0..count).map(|at| ["a", "b"][at / length % 2]).collect();
        let mut groups: Vec<Vec<&str>> = [0, 1, 3, 7, 8, 63, 64, 65, 200, 3, 1].map(one).into();
        groups.extend([(100, 1), (100, 3), (100, 7), (100, 8), (100, 30), (9, 8), (17, 9)].map(|(n, of)| turns(n, of)));
        for kinds in groups {
            write(&conn, &mut insertions, &kinds);
            let wanted: Vec<_> = kinds.iter().map(ToString::to_string).zip(0..).collect();
            assert_eq!(written(&conn), wanted, "{kinds:?}");
            conn.execute_batch("DELETE FROM numbers").unwrap();
        }
    }

    #[test]
    fn what_many_rows_in_a_row_have_in_common_is_bound_once_a_statement() {
        let conn = database();
        let mut insertions = Insertions::default();
        for _ in 0..2 {
            assert_eq!(write(&conn, &mut insertions, &["a"; 64]), 64 + 1);
            assert_eq!(write(&conn, &mut insertions, &["a", "b"].repeat(32)), 2 * 64);
        }
    }
}
