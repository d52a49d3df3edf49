//! A checked expression and a request become a predicate: everything that does not depend on stored values is
//! replaced by constants and decided.
//!
//! Values of the request enter as typed constants only. Every condition is evaluated, even where its neighbour
//! already decides: an error in one denies the whole expression, wherever it stands.

use jiff::Timestamp;

use crate::check::{Checked, CheckedNode, Compare, Flag, Side};
use crate::predicate::{Column, Predicate, Quantifier, Term, Test};
use crate::request::Request;
use crate::syntax::RequestName;
use crate::value::{Comparison, Kind, Value};
use crate::{EvaluationError, MAX_EXPANDED_ITEMS, MAX_LIST_ITEMS, MAX_PAIRS};

mod operand;

use operand::{Operand, Operands, typed};

impl Checked {
    /// The predicate that remains for this request at this moment.
    ///
    /// # Errors
    /// [`EvaluationError`]: the caller denies.
    pub fn bind(&self, request: &dyn Request, now: Timestamp) -> Result<Predicate, EvaluationError> {
        Binder { operands: Operands { request, now } }.node(&self.root)
    }
}

struct Binder<'a> {
    operands: Operands<'a>,
}

impl Binder<'_> {
    fn node(&self, node: &CheckedNode) -> Result<Predicate, EvaluationError> {
        let all = |members: &[CheckedNode]| -> Result<Vec<Predicate>, EvaluationError> {
            members.iter().map(|member| self.node(member)).collect()
        };
        match node {
            CheckedNode::All(members) => Ok(Predicate::all(all(members)?)),
            CheckedNode::Any(members) => Ok(Predicate::any(all(members)?)),
            CheckedNode::Not(inner) => Ok(self.node(inner)?.negated()),
            CheckedNode::Compare(compare) => self.compare(compare),
            CheckedNode::Flag { flag, expected } => {
                let holds = self.flag(flag)?;
                Ok(if *expected { holds } else { holds.negated() })
            }
        }
    }

    fn flag(&self, flag: &Flag) -> Result<Predicate, EvaluationError> {
        match flag {
            Flag::ColumnSet(column) => Ok(is_null(column.clone()).negated()),
            Flag::RequestSet(name) => Ok(constant(self.operands.is_set(name))),
            Flag::Changed(column) => self.changed(column),
        }
    }

    /// Whether the field is sent with a value other than the stored one. An increment counts as a change, and so
    /// does any JSON or point sent.
    fn changed(&self, column: &Column) -> Result<Predicate, EvaluationError> {
        let name = RequestName::Data(column.path.clone());
        if self.operands.is_increment(&column.path) {
            return Ok(Predicate::True);
        }
        let Some(sent) = self.operands.request.data(&column.path) else {
            return Ok(Predicate::False);
        };
        if matches!(column.kind, Kind::Json | Kind::Geo) {
            return Ok(Predicate::True);
        }
        let same = match typed(&name, sent, Some(column.kind))? {
            Operand::One(Value::Null) => is_null(column.clone()),
            Operand::Many(items) if column.list => whole(column.clone(), items, &name)?,
            Operand::One(value) if !column.list => {
                // Empty text is stored as null when the field is not required.
                let empty = value == Value::Text(String::new());
                let same =
                    test(Term::Column(column.clone()), Comparison::Equal, Quantifier::Any, Term::Constant(value));
                if empty { same.or(is_null(column.clone())) } else { same }
            }
            _ => return Err(wrong_type(&name)),
        };
        Ok(same.negated())
    }

    fn compare(&self, compare: &Compare) -> Result<Predicate, EvaluationError> {
        let name = request_name(compare);
        let left = self.operands.bound(&compare.left, compare.kind)?;
        let right = self.operands.bound(&compare.right, compare.kind)?;
        let holds = match (left, right) {
            (Operand::Stored(left), Operand::Stored(right)) => {
                test(left, compare.comparison, quantifier(compare), right)
            }
            (Operand::Stored(left), right) => stored_left(compare, left, right, &name)?,
            (left, Operand::Stored(right)) => stored_right(compare, left, right, &name)?,
            (left, right) => constant(both_known(compare, left, right, &name)?),
        };
        Ok(if compare.negated { holds.negated() } else { holds })
    }
}

/// `:each` before `!=` and `!~` says "no item is": the complement of "some item is".
fn quantifier(compare: &Compare) -> Quantifier {
    if compare.each && !compare.negated { Quantifier::Every } else { Quantifier::Any }
}

fn constant(holds: bool) -> Predicate {
    if holds { Predicate::True } else { Predicate::False }
}

fn is_null(column: Column) -> Predicate {
    test(Term::Column(column), Comparison::Equal, Quantifier::Any, Term::Constant(Value::Null))
}

/// A test in the normal form of [`crate::predicate`].
fn test(left: Term, comparison: Comparison, quantifier: Quantifier, right: Term) -> Predicate {
    let is_null = |term: &Term| term == &Term::Constant(Value::Null);
    let is_collection = |term: &Term| matches!(term, Term::Collection { .. });
    if is_null(&left) || is_null(&right) {
        // No value of a collection is null, and only `=` holds on null.
        if comparison != Comparison::Equal || is_collection(&left) || is_collection(&right) {
            return Predicate::False;
        }
    }
    let backwards = matches!(left, Term::Constant(_) | Term::List(_))
        || is_collection(&left) && matches!(right, Term::Column(_) | Term::Distance { .. });
    let (left, comparison, right) = match comparison.flipped() {
        Some(flipped) if backwards => (right, flipped, left),
        _ => (left, comparison, right),
    };
    Predicate::Test(Test { left, comparison, quantifier, right })
}

/// `column = [items]`, item by item in order.
fn whole(column: Column, items: Vec<Value>, name: &RequestName) -> Result<Predicate, EvaluationError> {
    if items.is_empty() {
        return Ok(is_null(column));
    }
    within(&items, MAX_LIST_ITEMS, name)?;
    if items.contains(&Value::Null) {
        return Ok(Predicate::False);
    }
    Ok(test(Term::Column(column), Comparison::Equal, Quantifier::Whole, Term::List(items)))
}

/// A stored side against values of the request or the source.
fn stored_left(
    compare: &Compare,
    left: Term,
    right: Operand,
    name: &RequestName,
) -> Result<Predicate, EvaluationError> {
    let quantifier = quantifier(compare);
    let items = match right {
        Operand::One(value) => {
            return Ok(test(left, compare.comparison, quantifier, Term::Constant(value)));
        }
        Operand::Many(items) => items,
        Operand::Opaque | Operand::Stored(_) => return Err(wrong_type(name)),
    };
    if !compare.any {
        return match left {
            Term::Column(column)
                if compare.comparison == Comparison::Equal
                    && !compare.each
                    && column.list
                    && !column.crosses_many
                    && column.modifier.is_none() =>
            {
                whole(column, items, name)
            }
            _ => Err(unexpected_list(name)),
        };
    }
    within(&items, MAX_LIST_ITEMS, name)?;
    let total = items.len();
    let values: Vec<Value> = items.into_iter().filter(|item| *item != Value::Null).collect();
    let mut alternatives = Vec::new();
    if values.len() < total {
        if quantifier == Quantifier::Every {
            return Err(wrong_type(name));
        }
        let null = Term::Constant(Value::Null);
        alternatives.push(test(left.clone(), compare.comparison, quantifier, null));
    }
    if !values.is_empty() {
        alternatives.push(test(left, compare.comparison, quantifier, Term::List(values)));
    }
    Ok(Predicate::any(alternatives))
}

/// Values of the request or the source against a stored side.
fn stored_right(
    compare: &Compare,
    left: Operand,
    right: Term,
    name: &RequestName,
) -> Result<Predicate, EvaluationError> {
    let one = |value: Value| test(Term::Constant(value), compare.comparison, Quantifier::Any, right.clone());
    let items = match left {
        Operand::One(value) => return Ok(one(value)),
        Operand::Many(items) => items,
        Operand::Opaque | Operand::Stored(_) => return Err(wrong_type(name)),
    };
    if !compare.any && !compare.each {
        return match right {
            Term::Column(column)
                if compare.comparison == Comparison::Equal
                    && column.list
                    && !column.crosses_many
                    && column.modifier.is_none() =>
            {
                whole(column, items, name)
            }
            _ => Err(unexpected_list(name)),
        };
    }
    within(&items, MAX_EXPANDED_ITEMS, name)?;
    let tests: Vec<Predicate> = items_or_null(items).into_iter().map(one).collect();
    Ok(match quantifier(compare) {
        Quantifier::Every => Predicate::all(tests),
        Quantifier::Any | Quantifier::Whole => Predicate::any(tests),
    })
}

/// Both sides are known: decided here.
fn both_known(compare: &Compare, left: Operand, right: Operand, name: &RequestName) -> Result<bool, EvaluationError> {
    let against_null = |side: &Side| side == &Side::Value(Value::Null);
    if !compare.any && !compare.each && (against_null(&compare.left) || against_null(&compare.right)) {
        let other = if against_null(&compare.right) { left } else { right };
        return Ok(compare.comparison == Comparison::Equal && other.is_null());
    }
    if !compare.any && !compare.each {
        return match (left, right) {
            (Operand::One(left), Operand::One(right)) => holds(compare.comparison, &left, &right, name),
            (Operand::Many(left), Operand::Many(right)) if compare.comparison == Comparison::Equal => Ok(left == right),
            (Operand::One(Value::Null), Operand::Many(items)) if compare.comparison == Comparison::Equal => {
                Ok(items.is_empty())
            }
            (Operand::Many(_), _) | (_, Operand::Many(_)) => Err(unexpected_list(name)),
            _ => Err(wrong_type(name)),
        };
    }
    let left = match left {
        Operand::One(value) => vec![value],
        Operand::Many(items) => items_or_null(items),
        Operand::Opaque | Operand::Stored(_) => return Err(wrong_type(name)),
    };
    let right = match right {
        Operand::One(value) => vec![value],
        // On the right of `?` a list stands for its items alone.
        Operand::Many(items) if compare.any => items,
        Operand::Many(_) => return Err(unexpected_list(name)),
        Operand::Opaque | Operand::Stored(_) => return Err(wrong_type(name)),
    };
    if left.len().saturating_mul(right.len()) > MAX_PAIRS {
        return Err(too_many(name, MAX_PAIRS));
    }
    let every = quantifier(compare) == Quantifier::Every;
    let (mut some, mut none_missing) = (false, true);
    for item in &left {
        let mut found = false;
        for other in &right {
            found |= holds(compare.comparison, item, other, name)?;
        }
        some |= found;
        none_missing &= found;
    }
    Ok(if every { none_missing } else { some })
}

fn items_or_null(items: Vec<Value>) -> Vec<Value> {
    if items.is_empty() { vec![Value::Null] } else { items }
}

/// Compares two known values; different types are an error unless one is null.
fn holds(comparison: Comparison, left: &Value, right: &Value, name: &RequestName) -> Result<bool, EvaluationError> {
    let ordered = comparison != Comparison::Equal;
    let fits = match (left, right) {
        (Value::Null, _) | (_, Value::Null) | (Value::Text(_), Value::Text(_)) => true,
        (Value::Number(_), Value::Number(_)) => comparison != Comparison::Contains,
        (Value::Bool(_), Value::Bool(_)) => !ordered,
        _ => false,
    };
    if fits { Ok(comparison.holds(left, right)) } else { Err(wrong_type(name)) }
}

fn within(items: &[Value], limit: usize, name: &RequestName) -> Result<(), EvaluationError> {
    if items.len() > limit { Err(too_many(name, limit)) } else { Ok(()) }
}

/// The request operand an error is blamed on: the only side whose type is not known before.
fn request_name(compare: &Compare) -> RequestName {
    match (&compare.left, &compare.right) {
        (Side::Request { name, .. }, _) | (_, Side::Request { name, .. }) => name.clone(),
        _ => RequestName::Context,
    }
}

fn wrong_type(name: &RequestName) -> EvaluationError {
    EvaluationError::WrongType { operand: name.to_string() }
}

fn unexpected_list(name: &RequestName) -> EvaluationError {
    EvaluationError::UnexpectedList { operand: name.to_string() }
}

fn too_many(name: &RequestName, limit: usize) -> EvaluationError {
    EvaluationError::TooManyItems { operand: name.to_string(), limit }
}

#[cfg(test)]
mod tests;
