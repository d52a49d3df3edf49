//! Rows that are written with a commit instead of by a statement of their job: those of all jobs that are committed together at once.
//!
//! This module knows how many rows go into a statement, and nothing of what they say.

use std::marker::PhantomData;

use crate::{Dialect, Result, Sql, Value};

/// Rows of one INSERT: few sizes, so that few statements are kept prepared whatever the size of a group, and few are run for it.
const CHUNKS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// So many rows that follow each other and have values in common are worth a statement that binds these once.
const ALIKE: usize = 8;

/// A row that is written with a commit.
pub(crate) trait Appended: Sized {
    /// Places of values that rows of the same kind have in common, from 0.
    const COMMON: &'static [usize] = &[];
    /// The statement up to its first row.
    fn begin(sql: &mut Sql);
    /// What stands before the row's values on `PostgreSQL`, with a comma behind it: nothing, in most tables.
    fn place(&self, _: &mut Sql) {}
    /// The row's values.
    fn values(self) -> impl Iterator<Item = Value>;
}

/// The statements that write these rows.
pub(crate) fn insertions<R: Appended>(dialect: Dialect, rows: Vec<R>) -> Vec<Sql> {
    let mut left = rows.into_iter();
    let mut statements = Vec::new();
    for size in CHUNKS {
        while left.len() >= size {
            statements.push(insertion(dialect, left.by_ref().take(size)));
        }
    }
    statements
}

fn insertion<R: Appended>(dialect: Dialect, rows: impl Iterator<Item = R>) -> Sql {
    let mut sql = Sql::new(dialect);
    R::begin(&mut sql);
    sql.comma_list(rows, |sql, row| {
        sql.push("(");
        row.place(sql);
        sql.binds_of(row.values()).push(")");
    });
    sql
}

/// Writes the statement that writes one row on `PostgreSQL`. What is part of the program stands in the text, which is cheaper for the
/// server than a value to bind: there is a statement for each kind of row then, and only of rows that come alone are the kinds few.
pub(crate) fn insert_alone<R: Appended>(sql: &mut Sql, row: R) {
    R::begin(sql);
    sql.push("(");
    row.place(sql);
    sql.comma_list(row.values(), |sql, value| {
        match value {
            Value::Static(text) => sql.literal(text),
            value => sql.bind(value),
        };
    });
    sql.push(")");
}

/// The same for the one writer of `SQLite`: the text of each statement is made once, and what rows that follow each other have in common is
/// bound once. `SQLite` copies each value that it is given.
#[derive(Debug)]
pub(crate) struct Insertions<R> {
    apart: [Option<Sql>; CHUNKS.len()],
    alike: [Option<Sql>; CHUNKS.len()],
    rows: PhantomData<fn(R)>,
}

impl<R> Default for Insertions<R> {
    fn default() -> Self {
        Self { apart: Default::default(), alike: Default::default(), rows: PhantomData }
    }
}

impl<R: Appended> Insertions<R> {
    /// Has `run` run what writes these rows.
    pub(crate) fn each(&mut self, rows: Vec<R>, mut run: impl FnMut(&Sql) -> Result<()>) -> Result<()> {
        let count = rows.len();
        let values: Vec<Value> = rows.into_iter().flat_map(R::values).collect();
        let width = values.len().checked_div(count).unwrap_or_default();
        let mut left = Left { values: values.into_iter(), width };
        let mut apart = 0;
        while apart < left.rows() {
            let alike = left.alike(apart, R::COMMON);
            if alike < ALIKE {
                apart += alike;
                continue;
            }
            chunks::<R>(&mut self.apart, &mut left, apart, &[], &mut run)?;
            chunks::<R>(&mut self.alike, &mut left, alike, R::COMMON, &mut run)?;
            apart = 0;
        }
        chunks::<R>(&mut self.apart, &mut left, apart, &[], &mut run)
    }
}

/// The values of rows that are still to be written.
struct Left {
    values: std::vec::IntoIter<Value>,
    /// Values of a row.
    width: usize,
}

impl Left {
    fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or_default()
    }

    /// How many rows from this one on have the same values in these places: that one alone, where there are none to look at.
    fn alike(&self, from: usize, common: &[usize]) -> usize {
        let mut rows = self.values.as_slice().chunks_exact(self.width).skip(from);
        let Some(first) = rows.next().filter(|_| !common.is_empty()) else { return 1 };
        1 + rows.take_while(|row| common.iter().all(|at| row[*at] == first[*at])).count()
    }
}

/// Writes the next rows, `count` of them, in statements that are kept; of all but the first row of each without what is `common`.
fn chunks<R: Appended>(
    kept: &mut [Option<Sql>; CHUNKS.len()],
    left: &mut Left,
    mut count: usize,
    common: &[usize],
    run: &mut impl FnMut(&Sql) -> Result<()>,
) -> Result<()> {
    let width = left.width;
    for (size, kept) in CHUNKS.into_iter().zip(kept) {
        while count >= size {
            count -= size;
            let values = left.values.by_ref().take(size * width).enumerate();
            let bound = values.filter(|(at, _)| *at < width || !common.contains(&(at % width))).map(|(_, value)| value);
            match kept {
                Some(sql) => run(sql.rebind(bound))?,
                None => run(kept.insert(of_many::<R>(bound, size, width, common)))?,
            }
        }
    }
    Ok(())
}

/// The statement that writes so many rows on `SQLite`: what is common stands as in the first.
fn of_many<R: Appended>(mut bound: impl Iterator<Item = Value>, rows: usize, width: usize, common: &[usize]) -> Sql {
    let mut sql = Sql::new(Dialect::Sqlite);
    R::begin(&mut sql);
    sql.comma_list(0..rows, |sql, row| {
        sql.push("(");
        sql.comma_list(0..width, |sql, at| {
            if row > 0 && common.contains(&at) {
                sql.bound(at + 1);
            } else {
                sql.bind(bound.next().unwrap_or_default());
            }
        });
        sql.push(")");
    });
    sql
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

        fn values(self) -> impl Iterator<Item = Value> {
            [Value::Static(self.0), Value::Int(self.1)].into_iter()
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
        let rows = kinds.iter().zip(0..).map(|(kind, n)| Numbered(kind, n)).collect();
        insertions
            .each(rows, |sql| {
                let values = sql.binds().iter().map(|value| match value.cell() {
                    crate::value::Cell::Int(n) => rusqlite::types::Value::from(n),
                    crate::value::Cell::Text(kind) => kind.to_owned().into(),
                    _ => rusqlite::types::Value::Null,
                });
                bound += values.len();
                conn.execute(sql.text(), rusqlite::params_from_iter(values)).unwrap();
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
