//! Conditions in SQL: a bound [`Predicate`] of the expression language becomes the text of a WHERE, with every value bound. What it
//! says is what [`Predicate::matches`] says in memory.
//!
//! SQL is three-valued and predicates are not: a comparison with NULL comes out NULL here, which WHERE, AND and OR take for false,
//! and the one place where that would differ, negation, is written `IS NOT TRUE`.

mod items;
mod scalar;

use std::collections::HashMap;

use fastcms_expr::{Comparison, MAX_COLLECTION_VALUES, Predicate, Quantifier, SortKey, Term, Test, Value as Constant};

use crate::schema::{Collection, Schema};
use crate::{Error, Sql, Value};
use scalar::Scalar;

pub(crate) use scalar::push_lowered;

/// What a caller sees beyond the rows of one collection: the rows that a path through relations may touch, and e-mail addresses.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Admins see everybody's address.
    pub sees_all: bool,
    /// Nothing stands between the caller and the rows that a path leads to: `rows` does not count.
    pub follows_all: bool,
    /// The caller's own record, by collection and id.
    pub own: Option<(String, String)>,
    /// By collection: which of its rows a path may touch. A collection that is not here shows none.
    pub rows: HashMap<String, Predicate>,
}

/// Whose words a condition is made of.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// An admin's rule: it may look at everything.
    Rule,
    /// A caller's filter or sort: it looks with the caller's eyes.
    Query(&'a Sight),
}

/// Writes the condition. The row stands under alias 0.
pub fn push(
    sql: &mut Sql,
    schema: &Schema,
    home: &Collection,
    predicate: &Predicate,
    trust: Trust<'_>,
) -> Result<(), Error> {
    Compiler { schema, trust, last_alias: 0 }.guarded(sql, home, 0, predicate)
}

/// Writes the keys of an ORDER BY with the id as the last, so that an order is always total. The row stands under alias 0.
pub fn push_sort(
    sql: &mut Sql,
    schema: &Schema,
    home: &Collection,
    keys: &[SortKey],
    trust: Trust<'_>,
) -> Result<(), Error> {
    if keys.is_empty() {
        sql.push("t0.created DESC, t0.id");
        return Ok(());
    }
    let mut compiler = Compiler { schema, trust, last_alias: 0 };
    for key in keys {
        match key {
            SortKey::Random => {
                sql.push("random()");
            }
            SortKey::RowId { descending } => {
                sql.push("t0.\"_seq\"").push(if *descending { " DESC" } else { "" });
            }
            SortKey::Column { column, descending } => {
                compiler.single(sql, home, 0, &column.path)?;
                sql.push(if *descending { " DESC" } else { "" });
                let is_never_null =
                    matches!(column.path.as_slice(), [name] if matches!(name.as_str(), "id" | "created" | "updated"));
                if !is_never_null {
                    sql.pick("", if *descending { " NULLS LAST" } else { " NULLS FIRST" });
                }
            }
        }
        sql.push(", ");
    }
    sql.push("t0.id");
    Ok(())
}

/// Alternatives written side by side before they are put into a parenthesis of their own.
const GROUP: usize = 32;

fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

struct Compiler<'a> {
    schema: &'a Schema,
    trust: Trust<'a>,
    last_alias: usize,
}

impl Compiler<'_> {
    fn alias(&mut self) -> usize {
        self.last_alias += 1;
        self.last_alias
    }

    /// A whole condition: true only where no `@collection` of it has more values than it may.
    fn guarded(&mut self, sql: &mut Sql, home: &Collection, alias: usize, predicate: &Predicate) -> Result<(), Error> {
        sql.push("(");
        self.predicate(sql, home, alias, predicate)?;
        for (collection, field) in predicate.collections() {
            sql.push(") AND (SELECT count(*) FROM (");
            self.collection_items(sql, collection, field)?;
            let counted = self.alias();
            sql.push(" LIMIT ").bind(limit(MAX_COLLECTION_VALUES + 1)).push(") AS ").alias(counted);
            sql.push(") <= (").bind_typed(limit(MAX_COLLECTION_VALUES));
        }
        sql.push(")");
        Ok(())
    }

    fn predicate(
        &mut self,
        sql: &mut Sql,
        home: &Collection,
        alias: usize,
        predicate: &Predicate,
    ) -> Result<(), Error> {
        let (members, separator) = match predicate {
            Predicate::True => {
                sql.push("TRUE");
                return Ok(());
            }
            Predicate::False => {
                sql.push("FALSE");
                return Ok(());
            }
            Predicate::Not(inner) => {
                sql.push("(");
                self.predicate(sql, home, alias, inner)?;
                sql.push(") IS NOT TRUE");
                return Ok(());
            }
            Predicate::Test(test) => return self.test(sql, home, alias, test),
            Predicate::All(members) => (members, ") AND ("),
            Predicate::Any(members) => (members, ") OR ("),
        };
        sql.push("((");
        for (at, member) in members.iter().enumerate() {
            if at > 0 {
                sql.push(separator);
            }
            self.predicate(sql, home, alias, member)?;
        }
        sql.push("))");
        Ok(())
    }

    fn test(&mut self, sql: &mut Sql, home: &Collection, alias: usize, test: &Test) -> Result<(), Error> {
        let place = Place { home, alias };
        if test.quantifier == Quantifier::Whole {
            return self.whole(sql, place, test);
        }
        if !is_many(&test.left) {
            return self.any(sql, place, Scalar::Term(&test.left), test);
        }
        let every = test.quantifier == Quantifier::Every;
        // A list without items stands for one null: it matters where null can be matched, and under "every".
        let right_may_be_null =
            matches!(&test.right, Term::Constant(Constant::Null) | Term::Column(_) | Term::Distance { .. });
        let with_null = every || (test.comparison == Comparison::Equal && right_may_be_null);
        sql.push(if every { "NOT EXISTS (SELECT 1 FROM (" } else { "EXISTS (SELECT 1 FROM (" });
        self.items(sql, place, &test.left, with_null)?;
        let item = self.alias();
        sql.push(") AS ").alias(item).push(" WHERE (");
        self.any(sql, place, Scalar::Item(item), test)?;
        sql.push(if every { ") IS NOT TRUE)" } else { "))" });
        Ok(())
    }

    /// One left value against the right side: at least one item of it.
    fn any(&mut self, sql: &mut Sql, place: Place<'_>, left: Scalar<'_>, test: &Test) -> Result<(), Error> {
        match &test.right {
            Term::List(items) if test.comparison == Comparison::Equal => {
                self.scalar(sql, place, left)?;
                sql.push(" IN (");
                sql.comma_list(items, |sql, item| {
                    sql.bind_typed(bound(item));
                });
                sql.push(")");
                Ok(())
            }
            Term::List(items) => {
                // `SQLite` counts a chain of `OR` as one level an item, and bounds the levels.
                sql.push("((");
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        sql.push(if at % GROUP == 0 { ") OR (" } else { " OR " });
                    }
                    self.compare(sql, place, left, test.comparison, Scalar::Constant(item))?;
                }
                sql.push("))");
                Ok(())
            }
            right if is_many(right) => {
                sql.push("EXISTS (SELECT 1 FROM (");
                self.items(sql, place, right, test.comparison == Comparison::Equal)?;
                let item = self.alias();
                sql.push(") AS ").alias(item).push(" WHERE ");
                self.compare(sql, place, left, test.comparison, Scalar::Item(item))?;
                sql.push(")");
                Ok(())
            }
            right => self.compare(sql, place, left, test.comparison, Scalar::Term(right)),
        }
    }

    /// A whole list is compared as the canonical JSON text that it is stored as.
    fn whole(&mut self, sql: &mut Sql, place: Place<'_>, test: &Test) -> Result<(), Error> {
        let (Term::Column(column), Term::List(items)) = (&test.left, &test.right) else {
            return Err(Error::internal("a whole list is compared with something else"));
        };
        let texts: Vec<_> = items
            .iter()
            .map(|item| match item {
                Constant::Text(text) => serde_json::Value::from(text.as_str()),
                Constant::Number(number) => serde_json::Value::from(*number),
                Constant::Bool(flag) => serde_json::Value::from(*flag),
                Constant::Null => serde_json::Value::Null,
            })
            .collect();
        self.single(sql, place.home, place.alias, &column.path)?;
        sql.push(" = ").bind_typed(serde_json::Value::from(texts).to_string());
        Ok(())
    }
}

/// The row that a condition speaks of.
#[derive(Clone, Copy)]
struct Place<'a> {
    home: &'a Collection,
    alias: usize,
}

fn is_many(term: &Term) -> bool {
    match term {
        Term::Column(column) => column.is_many(),
        Term::List(_) | Term::Collection { .. } => true,
        Term::Constant(_) | Term::Distance { .. } => false,
    }
}

fn bound(constant: &Constant) -> Value {
    match constant {
        Constant::Null => Value::Null,
        Constant::Bool(flag) => Value::Bool(*flag),
        Constant::Number(number) => Value::Real(*number),
        Constant::Text(text) => Value::Text(text.clone()),
    }
}
