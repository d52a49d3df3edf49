//! Rows that are written with a commit instead of by a statement of their job: those of all jobs that are committed together at once.
//!
//! This module knows how many rows go into a statement, and nothing of what they say.

use std::marker::PhantomData;

use crate::{Dialect, Result, Sql, Value};

/// Rows of one INSERT: few sizes, so that few statements are kept prepared whatever the size of a group, and few are run for it.
const CHUNKS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A row that is written with a commit.
pub(crate) trait Appended: Sized {
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

/// The same statements for the one writer of `SQLite`: the text of each is made once.
#[derive(Debug)]
pub(crate) struct Insertions<R> {
    kept: [Option<Sql>; CHUNKS.len()],
    rows: PhantomData<fn(R)>,
}

impl<R> Default for Insertions<R> {
    fn default() -> Self {
        Self { kept: Default::default(), rows: PhantomData }
    }
}

impl<R: Appended> Insertions<R> {
    /// Has `run` run what writes these rows.
    pub(crate) fn each(&mut self, rows: Vec<R>, mut run: impl FnMut(&Sql) -> Result<()>) -> Result<()> {
        let mut left = rows.into_iter();
        for (size, kept) in CHUNKS.into_iter().zip(&mut self.kept) {
            while left.len() >= size {
                let rows = left.by_ref().take(size);
                match kept {
                    Some(sql) => run(sql.rebind(rows.flat_map(R::values)))?,
                    None => run(kept.insert(insertion(Dialect::Sqlite, rows)))?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(i64);

    impl Appended for Number {
        fn begin(sql: &mut Sql) {
            sql.push("INSERT INTO numbers (n) VALUES ");
        }

        fn values(self) -> impl Iterator<Item = Value> {
            [Value::Int(self.0)].into_iter()
        }
    }

    /// Texts and binds of what writes the numbers up to this one.
    fn written(insertions: &mut Insertions<Number>, count: i64) -> Vec<(String, Vec<Value>)> {
        let mut run = Vec::new();
        insertions
            .each((0..count).map(Number).collect(), |sql| {
                run.push((sql.text().to_owned(), sql.binds().to_vec()));
                Ok(())
            })
            .unwrap();
        run
    }

    #[test]
    fn every_row_is_written_once_and_in_order_whatever_the_size_of_the_group() {
        let mut insertions = Insertions::default();
        for count in [0, 1, 3, 63, 64, 65, 200, 3, 1] {
            let run = written(&mut insertions, count);
            let binds: Vec<Value> = run.iter().flat_map(|(_, binds)| binds.clone()).collect();
            assert_eq!(binds, (0..count).map(Value::Int).collect::<Vec<_>>());
            for (text, binds) in &run {
                assert_eq!(text.matches('?').count(), binds.len(), "{text}");
            }
            let made = super::insertions(Dialect::Sqlite, (0..count).map(Number).collect());
            let made: Vec<_> = made.iter().map(|sql| (sql.text().to_owned(), sql.binds().to_vec())).collect();
            assert_eq!(run, made);
        }
    }
}
