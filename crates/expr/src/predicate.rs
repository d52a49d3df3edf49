//! What remains of an expression once the request is known: a small closed form over stored values, to be
//! compiled to SQL or evaluated here.
//!
//! Normal form, guaranteed by [`crate::Checked::bind`]:
//! - A test has a [`Term::Column`], [`Term::Distance`] or [`Term::Collection`] on the left. The only exception is
//!   [`Comparison::Contains`], where a [`Term::Constant`] may be searched for a stored value.
//! - [`Term::List`] stands only on the right, is never empty, holds no null and values of one type only.
//! - A [`Term::Constant`] null appears only with [`Comparison::Equal`]. Text holds no NUL character.
//! - Both sides have the same type, unless one is null. Nothing is empty: `All` and `Any` have two members or more,
//!   `True` and `False` stand only at the top.

use crate::{Comparison, EvaluationError, Kind, Value};

mod evaluate;

/// A condition on one stored row.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Every row.
    True,
    /// No row.
    False,
    /// Rows that match all members.
    All(Vec<Predicate>),
    /// Rows that match a member or more.
    Any(Vec<Predicate>),
    /// Rows that do not match. Predicates are two-valued: this is the exact complement.
    Not(Box<Predicate>),
    /// One comparison.
    Test(Test),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// Left side.
    pub left: Term,
    /// How a left item compares with a right item; the definition is [`Comparison::holds`].
    pub comparison: Comparison,
    /// How many items have to.
    pub quantifier: Quantifier,
    /// Right side.
    pub right: Term,
}

/// How the items of both sides are paired. A single value is one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// At least one left item compares with at least one right item.
    Any,
    /// Every left item compares with at least one right item. The left side is a column that is many-valued.
    Every,
    /// The left list has exactly the items of the right [`Term::List`], in order. Only with
    /// [`Comparison::Equal`] and an own list column without modifier.
    Whole,
}

/// One side of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// A stored value, or several ([`Column::is_many`]).
    Column(Column),
    /// A value.
    Constant(Value),
    /// The items of a list.
    List(Vec<Value>),
    /// Great-circle distance from the stored point to a fixed one, by [`crate::distance_km`]; null for no point.
    Distance {
        /// A column of [`Kind::Geo`] with a single value.
        column: Column,
        /// Latitude in degrees, −90 to 90.
        lat: f64,
        /// Longitude in degrees, −180 to 180.
        lng: f64,
        /// Unit of the result.
        unit: Unit,
    },
    /// The values of a field in all rows of a collection, without nulls; no item if there is none. More than
    /// [`crate::MAX_COLLECTION_VALUES`] deny the whole expression.
    Collection {
        /// Name of the collection.
        collection: String,
        /// Name of the field.
        field: String,
        /// What one value is.
        kind: Kind,
        /// Whether the field is itself a list, whose items then count as the values.
        list: bool,
    },
}

/// Unit of a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Kilometre.
    Kilometre,
    /// International mile, 1.609344 km.
    Mile,
    /// Metre.
    Metre,
}

impl Unit {
    /// How many of the unit make a kilometre.
    pub fn per_kilometre(self) -> f64 {
        match self {
            Self::Kilometre => 1.0,
            Self::Mile => 1.0 / 1.609_344,
            Self::Metre => 1000.0,
        }
    }
}

/// A stored value named by a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// One name: an own field. More: relation fields, then the field of the last target.
    pub path: Vec<String>,
    /// What one stored value of the last field is, before the modifier.
    pub kind: Kind,
    /// Whether the last field holds a list.
    pub list: bool,
    /// Whether the path crosses a relation to many, and so reaches any number of rows.
    pub crosses_many: bool,
    /// What is done to each value before it is compared.
    pub modifier: Option<Modifier>,
}

impl Column {
    /// Whether the column stands for any number of items rather than one value. No item counts as one null.
    /// `:length` makes one number out of a list.
    pub fn is_many(&self) -> bool {
        self.crosses_many || (self.list && self.modifier != Some(Modifier::Length))
    }

    /// What one item is after the modifier.
    pub fn item_kind(&self) -> Kind {
        match self.modifier {
            Some(Modifier::Length) => Kind::Number,
            Some(Modifier::Lower | Modifier::Upper) | None => self.kind,
        }
    }
}

/// What is done to a stored value before it is compared. `:isset`, `:changed` and `:each` are gone by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// [`crate::lower`] of text; null stays null.
    Lower,
    /// [`crate::upper`] of text; null stays null.
    Upper,
    /// Characters (code points) of text, null for null; number of items of a list, 0 for null.
    Length,
}

/// What a row answers for a column, before the column's modifier.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A single value; null for a path whose relation is empty or leads to a row that must not be seen.
    Value(Value),
    /// The items of a list, or of all rows a path reaches.
    List(Vec<Value>),
    /// A point in degrees.
    Point {
        /// Latitude.
        lat: f64,
        /// Longitude.
        lng: f64,
    },
    /// A JSON value other than null, which is not looked into.
    Json,
}

/// A row in memory. Implementors answer from what they have loaded; [`Predicate::columns`] and
/// [`Predicate::collections`] say what that has to be.
pub trait Row {
    /// The stored value or values of a column, without its modifier: a [`Cell::List`] if the field is a list or the
    /// path crosses a relation to many, with the lists of several rows joined into one.
    fn value(&self, column: &Column) -> Result<Cell, EvaluationError>;
    /// The values `@collection.<collection>.<field>` stands for; nulls are ignored.
    fn collection(&self, collection: &str, field: &str) -> Result<Vec<Value>, EvaluationError>;
}

impl Predicate {
    /// Both predicates together, as when a rule and a filter meet.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::all(vec![self, other])
    }

    /// Either predicate.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::any(vec![self, other])
    }

    /// The conjunction in normal form.
    pub fn all(members: Vec<Self>) -> Self {
        let mut kept = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Self::True => {}
                Self::False => return Self::False,
                Self::All(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::True,
            1 => kept.swap_remove(0),
            _ => Self::All(kept),
        }
    }

    /// The disjunction in normal form.
    pub fn any(members: Vec<Self>) -> Self {
        let mut kept = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Self::False => {}
                Self::True => return Self::True,
                Self::Any(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::False,
            1 => kept.swap_remove(0),
            _ => Self::Any(kept),
        }
    }

    /// The complement in normal form.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// `True` or `False` as `Some`; `None` when stored values decide.
    pub fn decided(&self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            _ => None,
        }
    }

    /// Whether the row matches: the same answer as SQL gives. An error denies.
    ///
    /// # Errors
    /// What [`Row`] answers, and [`EvaluationError::TooManyItems`] for a collection of too many values. Every test
    /// is evaluated, so that an error in one is never hidden by another.
    pub fn matches(&self, row: &dyn Row) -> Result<bool, EvaluationError> {
        evaluate::matches(self, row)
    }

    /// Every column the predicate reads, in order of appearance, each once.
    pub fn columns(&self) -> Vec<&Column> {
        let mut found = Vec::new();
        self.each_term(&mut |term| {
            if let Term::Column(column) | Term::Distance { column, .. } = term
                && !found.contains(&column)
            {
                found.push(column);
            }
        });
        found
    }

    /// Every collection and field the predicate reads by `@collection`, each pair once.
    pub fn collections(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        self.each_term(&mut |term| {
            if let Term::Collection { collection, field, .. } = term {
                let pair = (collection.as_str(), field.as_str());
                if !found.contains(&pair) {
                    found.push(pair);
                }
            }
        });
        found
    }

    fn each_term<'a>(&'a self, visit: &mut dyn FnMut(&'a Term)) {
        match self {
            Self::True | Self::False => {}
            Self::All(members) | Self::Any(members) => {
                for member in members {
                    member.each_term(visit);
                }
            }
            Self::Not(inner) => inner.each_term(visit),
            Self::Test(test) => {
                visit(&test.left);
                visit(&test.right);
            }
        }
    }
}

#[cfg(test)]
mod tests;
