//! Whether two sides can be compared by an operator, and as what.

use super::{Compare, Resolved, Side};
use crate::predicate::Term;
use crate::syntax::{Form, Operand, Operator, RequestName};
use crate::value::{Comparison, Kind, Value};
use crate::{Error, instant};

/// What is known of a side's type before the request is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Given {
    /// The literal null, or a list without values.
    Null,
    /// A literal, which is text, number or bool. Text may stand for an instant or a date.
    Literal(Kind),
    /// A macro: an instant, or its day.
    Macro,
    /// A value that has this kind or is null.
    Fixed(Kind),
    /// Text of the request that is read as what it is compared with.
    Textual,
    /// A value of the request of any type.
    Dynamic,
}

impl Given {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Literal(Kind::Bool),
            Value::Number(_) => Self::Literal(Kind::Number),
            Value::Text(_) => Self::Literal(Kind::Text),
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Literal(kind) | Self::Fixed(kind) => kind.noun(),
            Self::Macro => "a date-time",
            Self::Textual => "text",
            Self::Dynamic => "a value of the request",
        }
    }
}

/// A literal list, whose values must be of one type.
pub(super) fn list(items: &[Operand]) -> Result<Resolved, Error> {
    let mut given = Given::Null;
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let value = match &item.form {
            Form::Bool(value) => Value::Bool(*value),
            Form::Number(value) => Value::Number(*value),
            Form::Text(text) => Value::Text(text.clone()),
            _ => Value::Null,
        };
        let found = Given::of(&value);
        if given == Given::Null {
            given = found;
        } else if found != Given::Null && found != given {
            return Err(Error::new(
                item.at.0,
                format!("found {}, expected {} as before it in the list", found.noun(), given.noun()),
            ));
        }
        values.push(value);
    }
    Ok(Resolved::Side { side: Side::List(values), given, each: false })
}

/// Two sides, each with its type and position.
pub(super) struct Sides {
    pub(super) left: (Side, Given, usize),
    pub(super) right: (Side, Given, usize),
    pub(super) operator: Operator,
    pub(super) each: bool,
}

impl Sides {
    pub(super) fn checked(mut self) -> Result<Compare, Error> {
        self.check_lists()?;
        self.check_collections()?;
        let kind = if self.operator.comparison == Comparison::Contains {
            self.searched_kind()?
        } else {
            let kind = self.compared_kind()?;
            self.check_operator(kind)?;
            kind
        };
        if self.operator.comparison != Comparison::Contains {
            for (side, _, at) in [&mut self.left, &mut self.right] {
                coerce(side, kind, *at)?;
            }
        }
        Ok(Compare {
            left: self.left.0,
            comparison: self.operator.comparison,
            negated: self.operator.negated,
            any: self.operator.any,
            each: self.each,
            right: self.right.0,
            kind,
        })
    }

    /// Literal lists stand on the right, of `?` or of a whole list.
    fn check_lists(&self) -> Result<(), Error> {
        if matches!(self.left.0, Side::List(_)) {
            return Err(Error::new(self.left.2, "a list stands only on the right"));
        }
        let Side::List(items) = &self.right.0 else {
            return Ok(());
        };
        let holds_null = items.contains(&Value::Null);
        let operator = self.operator;
        if operator.any {
            return if self.each && holds_null {
                Err(Error::new(self.right.2, "a list compared with `:each` holds no null"))
            } else {
                Ok(())
            };
        }
        let whole = match &self.left.0 {
            Side::Stored(Term::Column(column)) => column.list && !column.crosses_many && column.modifier.is_none(),
            Side::Request { name, suffix } => matches!(name, RequestName::Data(_)) && suffix.is_none(),
            _ => false,
        };
        if !whole || self.each || operator.comparison != Comparison::Equal {
            return Err(Error::new(operator.at.0, format!("found `{operator}` before a list, expected `?{operator}`")));
        }
        if holds_null {
            return Err(Error::new(self.right.2, format!("a list compared by `{operator}` holds no null")));
        }
        Ok(())
    }

    fn check_collections(&self) -> Result<(), Error> {
        let is_collection = |side: &Side| matches!(side, Side::Stored(Term::Collection { .. }));
        if is_collection(&self.left.0) && is_collection(&self.right.0) {
            return Err(Error::new(self.right.2, "`@collection` stands on one side of an operator only"));
        }
        Ok(())
    }

    /// `~` works on text as it is stored.
    fn searched_kind(&self) -> Result<Option<Kind>, Error> {
        for (_, given, at) in [&self.left, &self.right] {
            let text = match given {
                Given::Null | Given::Textual | Given::Dynamic => true,
                Given::Literal(kind) => *kind == Kind::Text,
                Given::Fixed(kind) => matches!(kind, Kind::Text | Kind::Instant | Kind::Date),
                Given::Macro => false,
            };
            if !text {
                return Err(Error::new(*at, format!("found {}, expected text for `{}`", given.noun(), self.operator)));
            }
        }
        Ok(Some(Kind::Text))
    }

    fn compared_kind(&self) -> Result<Option<Kind>, Error> {
        use Given::{Dynamic, Fixed, Literal, Macro, Null, Textual};
        let mismatch = |expected: Given, found: Given, at: usize| {
            Err(Error::new(at, format!("found {}, expected {}", found.noun(), expected.noun())))
        };
        let (left, right) = (self.left.1, self.right.1);
        match (left, right) {
            (Fixed(kind), other) | (other, Fixed(kind)) => {
                let fits = match other {
                    Null => true,
                    Literal(literal) => {
                        literal == kind || literal == Kind::Text && matches!(kind, Kind::Instant | Kind::Date)
                    }
                    Macro => matches!(kind, Kind::Instant | Kind::Date),
                    Fixed(other) => other == kind && !matches!(kind, Kind::Json | Kind::Geo),
                    Textual | Dynamic => !matches!(kind, Kind::Json | Kind::Geo),
                };
                match (fits, matches!(left, Fixed(_))) {
                    (true, _) => Ok(Some(kind)),
                    (false, _) if matches!(kind, Kind::Json | Kind::Geo) => {
                        Err(Error::new(self.right.2, format!("{} compares only with null", kind.noun())))
                    }
                    (false, true) => mismatch(left, right, self.right.2),
                    (false, false) => mismatch(right, left, self.left.2),
                }
            }
            (Literal(first), Literal(second)) if first != second => mismatch(left, right, self.right.2),
            (Literal(kind), Macro) | (Macro, Literal(kind)) if kind != Kind::Text => {
                mismatch(left, right, self.right.2)
            }
            (Macro, _) | (_, Macro) => Ok(Some(Kind::Instant)),
            (Literal(kind), _) | (_, Literal(kind)) => Ok(Some(kind)),
            (Textual, Textual | Null) | (Null, Textual) => Ok(Some(Kind::Text)),
            (Null | Dynamic, _) | (_, Dynamic) => Ok(None),
        }
    }

    fn check_operator(&self, kind: Option<Kind>) -> Result<(), Error> {
        if self.operator.comparison == Comparison::Equal {
            return Ok(());
        }
        match kind {
            Some(kind @ (Kind::Bool | Kind::Json | Kind::Geo)) => Err(Error::new(
                self.operator.at.0,
                format!("found `{}`, expected `=` or `!=`: {} has no order", self.operator, kind.noun()),
            )),
            _ => Ok(()),
        }
    }
}

/// Literal text to the storage form of the instant or date it is compared as.
fn coerce(side: &mut Side, kind: Option<Kind>, at: usize) -> Result<(), Error> {
    let values = match side {
        Side::Value(value) => std::slice::from_mut(value),
        Side::List(values) => values.as_mut_slice(),
        Side::Stored(_) | Side::Request { .. } | Side::Macro(_) => return Ok(()),
    };
    for value in values {
        let Value::Text(text) = value else { continue };
        let (normal, expected) = match kind {
            Some(Kind::Instant) => (instant::normalise_instant(text), "a date-time such as `2026-01-31T12:00:00Z`"),
            Some(Kind::Date) => (instant::normalise_date(text), "a date such as `2026-01-31`"),
            _ => continue,
        };
        match normal {
            Some(normal) => *text = normal,
            None => return Err(Error::new(at, format!("found a text, expected {expected}"))),
        }
    }
    Ok(())
}
