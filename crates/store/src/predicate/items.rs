//! Many values in SQL: the items of a list, of all rows that a path reaches, of a whole collection. Each is a SELECT with one column `v`.

use fastcms_expr::{Column, Modifier, Term};

use super::scalar::{push_modifier_head, push_modifier_tail};
use super::{Compiler, Place};
use crate::schema::{Collection, Field};
use crate::{Error, Sql};

impl<'s> Compiler<'s> {
    /// Where a relation field points.
    pub(super) fn target(&self, home: &Collection, field: &str) -> Result<&'s Collection, Error> {
        let schema = self.schema;
        let field = home.field(field).ok_or_else(|| Error::internal("a path names no field"))?;
        schema.target(field).map(AsRef::as_ref).ok_or_else(|| Error::internal("a relation points nowhere"))
    }

    /// The items of a side. `with_null`: one null where there are none, unless they are a collection's.
    pub(super) fn items(&mut self, sql: &mut Sql, place: Place<'_>, term: &Term, with_null: bool) -> Result<(), Error> {
        match term {
            Term::Column(column) => {
                self.column_items(sql, place, column)?;
                if with_null {
                    sql.push(" UNION ALL SELECT NULL WHERE NOT EXISTS (");
                    self.column_items(sql, place, column)?;
                    sql.push(")");
                }
                Ok(())
            }
            Term::Collection { collection, field, .. } => self.collection_items(sql, collection, field),
            Term::List(_) | Term::Constant(_) | Term::Distance { .. } => {
                Err(Error::internal("no list to take items from"))
            }
        }
    }

    /// The values of a field in all rows of a collection, without nulls.
    pub(super) fn collection_items(&mut self, sql: &mut Sql, collection: &str, field: &str) -> Result<(), Error> {
        let schema = self.schema;
        let home = schema.by_name(collection).ok_or_else(|| Error::internal("a rule names no collection"))?;
        let alias = self.alias();
        let is_list = home.field(field).is_some_and(Field::is_many);
        let mut value = Sql::new(sql.dialect());
        self.column(&mut value, home, alias, field)?;
        let mut from = Sql::new(sql.dialect());
        from.table(home.table()).push(" AS ").alias(alias);
        if is_list {
            value = self.unnested(&mut from, &value);
        }
        sql.push("SELECT ").append(&value).push(" AS v FROM ").append(&from);
        sql.push(" WHERE ").append(&value).push(" IS NOT NULL");
        Ok(())
    }

    fn column_items(&mut self, sql: &mut Sql, place: Place<'_>, column: &Column) -> Result<(), Error> {
        let dialect = sql.dialect();
        let (mut from, mut condition) = (Sql::new(dialect), Sql::new(dialect));
        let (mut home, mut alias) = (place.home, place.alias);
        let (last, relations) = column.path.split_last().ok_or_else(|| Error::internal("an empty path"))?;
        for relation in relations {
            let target = self.target(home, relation)?;
            let joined = self.alias();
            if !from.is_empty() {
                from.push(", ");
                condition.push(" AND ");
            }
            from.table(target.table()).push(" AS ").alias(joined);
            condition.alias(joined).push(".id ");
            if home.field(relation).is_some_and(Field::is_many) {
                condition.pick("IN (SELECT value FROM json_each(", "IN (SELECT jsonb_array_elements_text((");
                self.column(&mut condition, home, alias, relation)?;
                condition.pick("))", ")::jsonb))");
            } else {
                condition.push("= ");
                self.column(&mut condition, home, alias, relation)?;
            }
            self.gate(&mut condition, target, joined)?;
            (home, alias) = (target, joined);
        }
        let mut value = Sql::new(dialect);
        self.column(&mut value, home, alias, last)?;
        let counts_items = column.modifier == Some(Modifier::Length);
        if column.list && !counts_items {
            if !from.is_empty() {
                from.push(", ");
            }
            value = self.unnested_alone(&mut from, &value);
        }
        sql.push("SELECT ");
        push_modifier_head(sql, column.modifier, column.list);
        sql.append(&value);
        push_modifier_tail(sql, column.modifier, column.list);
        sql.push(" AS v FROM ").append(&from);
        if !condition.is_empty() {
            sql.push(" WHERE ").append(&condition);
        }
        Ok(())
    }

    fn unnested(&mut self, from: &mut Sql, list: &Sql) -> Sql {
        from.push(", ");
        self.unnested_alone(from, list)
    }

    /// Adds the items of a JSON list to a FROM; answers how one item is called.
    fn unnested_alone(&mut self, from: &mut Sql, list: &Sql) -> Sql {
        let item = self.alias();
        from.pick("json_each(", "LATERAL jsonb_array_elements_text((").append(list);
        from.pick(") AS ", ")::jsonb) AS ").alias(item).pick("", "(value)");
        let mut value = Sql::new(from.dialect());
        value.pick("", "(").alias(item).push(".value").pick("", " COLLATE \"C\")");
        value
    }
}
