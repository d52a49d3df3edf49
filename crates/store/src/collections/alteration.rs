//! How a collection's table follows a change: which columns stay, are renamed, rewritten, come or go, and which indexes with them. All
//! of it by statements that both engines run inside a transaction; no table is copied by hand.
//!
//! Names on the way begin with an underscore (`_new_…`, `_was_…`), which no field's name does.

use serde_json::Value as Json;

use super::index;
use super::obstacles::as_json;
use super::table::{OwnIndex, column, column_type};
use crate::schema::{Collection, Field, FieldType, Index, Storage};
use crate::{Columns, Dialect, Error, Sql, Tx, Value};

/// How many rows are rewritten at a time.
const BATCH: i64 = 500;

/// The value to store in the field at this position, in the place of one of another type. It was made sure before that there is one.
pub type Convert<'a> = &'a (dyn Fn(usize, &Json) -> Option<Value> + Send + Sync);

/// Where the fields of a changed collection have their values from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Vec<Option<usize>>);

impl Origins {
    /// Fields keep their values by name, but those in `renamed` (its name now, its name before). A name that was given away begins anew.
    pub fn new(before: &Collection, after: &Collection, renamed: &[(String, String)]) -> Self {
        let origin = |field: &Field| match renamed.iter().find(|(now, _)| *now == field.name) {
            Some((_, was)) => before.position(was),
            None if renamed.iter().any(|(_, was)| *was == field.name) => None,
            None => before.position(&field.name),
        };
        Self(after.fields().iter().map(origin).collect())
    }

    /// The position before of the field that is now at `at`; `None` for a new one.
    pub fn of(&self, at: usize) -> Option<usize> {
        self.0.get(at).copied().flatten()
    }

    /// The position now of the field that was at `was`; `None` for one that went.
    pub fn now(&self, was: usize) -> Option<usize> {
        self.0.iter().position(|origin| *origin == Some(was))
    }
}

/// What becomes of a column that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    AsTheyAre,
    /// Another type, stored in the same way.
    InPlace,
    /// Another type, stored in another way.
    NewColumn,
}

fn values(before: &Collection, was: usize, after: &Collection, now: usize) -> Values {
    let (old, new) = (&before.fields()[was], &after.fields()[now]);
    let (stored, stores) = (before.storage(was), after.storage(now));
    if stored != stores {
        return Values::NewColumn;
    }
    let is_same = old.kind == new.kind && old.is_many() == new.is_many();
    // Every text is a text, and JSON is JSON, as it lies there.
    let is_wider = (new.kind == FieldType::Text && stored == Storage::Text) || new.kind == FieldType::Json;
    if is_same || is_wider { Values::AsTheyAre } else { Values::InPlace }
}

/// Keeps everybody else away from a collection's records until the transaction ends, so that what is found out of them holds, and gives
/// its statements the time that many records need. On `SQLite` writes are one after another anyway, and have no limit.
pub async fn lock(tx: &mut Tx<'_>, collection: &Collection) -> Result<(), Error> {
    if tx.dialect() == Dialect::Postgres {
        let mut sql = tx.sql();
        tx.ddl(sql.push("SET LOCAL statement_timeout = '600s'")).await?;
        let mut sql = tx.sql();
        tx.execute(sql.push("LOCK TABLE ").table(collection.table()).push(" IN ACCESS EXCLUSIVE MODE")).await?;
    }
    Ok(())
}

/// Brings the table from one state of the collection to the next.
pub(super) async fn alter(
    tx: &mut Tx<'_>,
    before: &Collection,
    after: &Collection,
    origins: &Origins,
    convert: Convert<'_>,
) -> Result<(), Error> {
    let (old, new) = (before.definition(), after.definition());
    if old.fields == new.fields && old.indexes == new.indexes {
        return Ok(());
    }
    let change = Change { before, after, origins };
    change.drop_indexes(tx).await?;
    change.rewrite(tx, convert).await?;
    change.drop_columns(tx).await?;
    change.rename_columns(tx).await?;
    change.add_columns(tx).await?;
    change.create_indexes(tx).await
}

struct Change<'c> {
    before: &'c Collection,
    after: &'c Collection,
    origins: &'c Origins,
}

impl Change<'_> {
    /// Positions before and now of the fields that are in both.
    fn kept(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.after.fields().len()).filter_map(|now| Some((self.origins.of(now)?, now)))
    }

    fn values(&self, was: usize, now: usize) -> Values {
        values(self.before, was, self.after, now)
    }

    fn is_renamed(&self, was: usize, now: usize) -> bool {
        self.before.column(was) != self.after.column(now)
    }

    /// Whether the index that a field has of its own stays.
    fn keeps_own_index(&self, was: usize, now: usize) -> bool {
        !self.is_renamed(was, now)
            && self.values(was, now) != Values::NewColumn
            && OwnIndex::wanted(self.before, was) == OwnIndex::wanted(self.after, now)
    }

    /// Whether an index that an admin asked for stays as it is, its members renamed or not.
    fn keeps(&self, old: &Index, new: &Index) -> bool {
        let same_member = |(was, now): (&crate::schema::IndexMember, &crate::schema::IndexMember)| {
            if was.order != now.order {
                return false;
            }
            match (self.before.position(&was.name), self.after.position(&now.name)) {
                (Some(at), Some(to)) => self.origins.of(to) == Some(at) && self.values(at, to) != Values::NewColumn,
                (None, None) => was.name == now.name,
                _ => false,
            }
        };
        old.name == new.name
            && old.unique == new.unique
            && old.fields.len() == new.fields.len()
            && old.fields.iter().zip(&new.fields).all(same_member)
    }

    async fn drop_indexes(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for was in 0..self.before.fields().len() {
            let stays = self.origins.now(was).is_some_and(|now| self.keeps_own_index(was, now));
            if let Some(own) = OwnIndex::wanted(self.before, was).filter(|_| !stays) {
                own.drop(tx, self.before, was).await?;
            }
        }
        for old in &self.before.definition().indexes {
            if !self.after.definition().indexes.iter().any(|new| self.keeps(old, new)) {
                index::drop(tx, self.before, old).await?;
            }
        }
        Ok(())
    }

    async fn create_indexes(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for now in 0..self.after.fields().len() {
            let stayed = self.origins.of(now).is_some_and(|was| self.keeps_own_index(was, now));
            if let Some(own) = OwnIndex::wanted(self.after, now).filter(|_| !stayed) {
                own.create(tx, self.after, now).await?;
            }
        }
        for new in &self.after.definition().indexes {
            if !self.before.definition().indexes.iter().any(|old| self.keeps(old, new)) {
                index::create(tx, self.after, new).await?;
            }
        }
        Ok(())
    }

    /// Values of another type, into the old column or into a new one beside it.
    async fn rewrite(&self, tx: &mut Tx<'_>, convert: Convert<'_>) -> Result<(), Error> {
        for (was, now) in self.kept() {
            let values = self.values(was, now);
            if values == Values::NewColumn {
                let mut sql = self.alter_table(tx);
                sql.push("ADD COLUMN ").object("_new", &[self.after.column(now)]);
                column_type(&mut sql, self.after, now);
                tx.ddl(&sql).await?;
            }
            if values != Values::AsTheyAre {
                self.fill(tx, was, now, values == Values::NewColumn, convert).await?;
            }
        }
        Ok(())
    }

    async fn fill(
        &self,
        tx: &mut Tx<'_>,
        was: usize,
        now: usize,
        is_new: bool,
        convert: Convert<'_>,
    ) -> Result<(), Error> {
        let storage = self.before.storage(was);
        let mut last = String::new();
        loop {
            let mut sql = tx.sql();
            sql.push("SELECT \"id\", ").ident(self.before.column(was)).push(" FROM ").table(self.before.table());
            sql.push(" WHERE ").ident(self.before.column(was)).push(" IS NOT NULL AND \"id\" > ").bind(&last);
            sql.push(" ORDER BY \"id\" LIMIT ").bind(BATCH);
            let rows = tx.fetch(&sql).await?;
            let Some(end) = rows.last() else {
                return Ok(());
            };
            end.text(0)?.clone_into(&mut last);
            let mut changes = Vec::with_capacity(rows.len());
            for row in &rows {
                let cell = row.cell(1);
                let value =
                    convert(now, &as_json(storage, cell)?).ok_or_else(|| Error::internal("a value was not checked"))?;
                if is_new || value.cell() != cell {
                    changes.push((row.text(0)?, value));
                }
            }
            for group in changes.chunk_by(|(_, a), (_, b)| a.is_null() == b.is_null()) {
                self.store(tx, (was, now), is_new, group).await?;
            }
        }
    }

    /// Stores values of rows, all of them null or none.
    async fn store(
        &self,
        tx: &mut Tx<'_>,
        (was, now): (usize, usize),
        is_new: bool,
        values: &[(&str, Value)],
    ) -> Result<(), Error> {
        let mut sql = tx.sql();
        sql.push("UPDATE ").table(self.before.table()).push(" SET ");
        if is_new {
            sql.object("_new", &[self.after.column(now)]);
        } else {
            sql.ident(self.before.column(was));
        }
        if values.first().is_some_and(|(_, value)| value.is_null()) {
            sql.push(" = NULL WHERE \"id\" IN (").binds_of(values.iter().map(|(id, _)| *id)).push(")");
        } else {
            sql.push(" = v.column2 FROM (VALUES ");
            sql.comma_list(values, |sql, (id, value)| {
                sql.push("(").bind_typed(*id).push(", ").bind_typed(value).push(")");
            });
            sql.push(") AS v WHERE \"id\" = v.column1");
        }
        tx.execute(&sql).await.map(|_| ())
    }

    /// Those of fields that went, and those whose values lie in a new column by now.
    async fn drop_columns(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for was in 0..self.before.fields().len() {
            let stays = self.origins.now(was).is_some_and(|now| self.values(was, now) != Values::NewColumn);
            if !stays {
                let mut sql = self.alter_table(tx);
                sql.push("DROP COLUMN ").ident(self.before.column(was));
                tx.ddl(&sql).await?;
            }
        }
        Ok(())
    }

    /// Names that move go out of each other's way first.
    async fn rename_columns(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let moving = self
            .kept()
            .filter(|(was, now)| self.values(*was, *now) != Values::NewColumn && self.is_renamed(*was, *now));
        let moving: Vec<_> = moving.collect();
        for (was, now) in &moving {
            let mut sql = self.alter_table(tx);
            sql.push("RENAME COLUMN ")
                .ident(self.before.column(*was))
                .push(" TO ")
                .object("_was", &[self.after.column(*now)]);
            tx.ddl(&sql).await?;
        }
        let rewritten = self.kept().filter(|(was, now)| self.values(*was, *now) == Values::NewColumn);
        for (prefix, now) in moving.iter().map(|(_, now)| ("_was", *now)).chain(rewritten.map(|(_, now)| ("_new", now)))
        {
            let mut sql = self.alter_table(tx);
            sql.push("RENAME COLUMN ")
                .object(prefix, &[self.after.column(now)])
                .push(" TO ")
                .ident(self.after.column(now));
            tx.ddl(&sql).await?;
        }
        Ok(())
    }

    async fn add_columns(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for now in (0..self.after.fields().len()).filter(|now| self.origins.of(*now).is_none()) {
            let mut sql = self.alter_table(tx);
            sql.push("ADD COLUMN ");
            column(&mut sql, self.after, now);
            tx.ddl(&sql).await?;
        }
        Ok(())
    }

    fn alter_table(&self, tx: &Tx<'_>) -> Sql {
        let mut sql = tx.sql();
        sql.push("ALTER TABLE ").table(self.after.table()).push(" ");
        sql
    }
}
