//! A predicate against a row in memory.

use super::{Cell, Column, Modifier, Predicate, Quantifier, Row, Term, Test};
use crate::value::{Kind, Value, distance_km, lower, upper};
use crate::{EvaluationError, MAX_COLLECTION_VALUES};

/// No short cut: an error in any test denies, as it would in SQL.
pub(super) fn matches(predicate: &Predicate, row: &dyn Row) -> Result<bool, EvaluationError> {
    match predicate {
        Predicate::True => Ok(true),
        Predicate::False => Ok(false),
        Predicate::All(members) => members.iter().try_fold(true, |all, member| Ok(matches(member, row)? && all)),
        Predicate::Any(members) => members.iter().try_fold(false, |any, member| Ok(matches(member, row)? || any)),
        Predicate::Not(inner) => matches(inner, row).map(|holds| !holds),
        Predicate::Test(test) => matches_test(test, row),
    }
}

fn matches_test(test: &Test, row: &dyn Row) -> Result<bool, EvaluationError> {
    let left = items(&test.left, row)?;
    let right = items(&test.right, row)?;
    if test.quantifier == Quantifier::Whole {
        return Ok(left == right);
    }
    let has_match = |item: &Value| right.iter().any(|other| test.comparison.holds(item, other));
    Ok(match test.quantifier {
        Quantifier::Every => left.iter().all(has_match),
        Quantifier::Any | Quantifier::Whole => left.iter().any(has_match),
    })
}

/// The items a term stands for.
fn items(term: &Term, row: &dyn Row) -> Result<Vec<Value>, EvaluationError> {
    match term {
        Term::Constant(value) => Ok(vec![value.clone()]),
        Term::List(values) => Ok(values.clone()),
        Term::Column(column) => column_items(column, row.value(column)?),
        Term::Distance { column, lat, lng, unit } => match row.value(column)? {
            Cell::Point { lat: from_lat, lng: from_lng } => {
                let kilometres = distance_km(from_lat, from_lng, *lat, *lng);
                Ok(vec![Value::Number(kilometres * unit.per_kilometre())])
            }
            Cell::Value(Value::Null) => Ok(vec![Value::Null]),
            _ => Err(unavailable(column)),
        },
        Term::Collection { collection, field, .. } => {
            let mut values = row.collection(collection, field)?;
            values.retain(|value| *value != Value::Null);
            if values.len() > MAX_COLLECTION_VALUES {
                return Err(EvaluationError::TooManyItems {
                    operand: format!("@collection.{collection}.{field}"),
                    limit: MAX_COLLECTION_VALUES,
                });
            }
            Ok(values)
        }
    }
}

fn column_items(column: &Column, cell: Cell) -> Result<Vec<Value>, EvaluationError> {
    if column.modifier == Some(Modifier::Length) && column.list {
        return match cell {
            Cell::List(items) => Ok(vec![count(items.len())]),
            Cell::Value(Value::Null) => Ok(vec![count(0)]),
            _ => Err(unavailable(column)),
        };
    }
    let values = match cell {
        Cell::Value(value) => vec![value],
        Cell::List(items) if !column.is_many() => {
            return if items.is_empty() { Ok(vec![Value::Null]) } else { Err(unavailable(column)) };
        }
        Cell::List(items) if items.is_empty() => vec![Value::Null],
        Cell::List(items) => items,
        // Compared only with null: any value that is not null will do.
        Cell::Point { .. } | Cell::Json if matches!(column.kind, Kind::Json | Kind::Geo) => {
            vec![Value::Bool(true)]
        }
        Cell::Point { .. } | Cell::Json => return Err(unavailable(column)),
    };
    Ok(values.into_iter().map(|value| modified(column.modifier, value)).collect())
}

fn modified(modifier: Option<Modifier>, value: Value) -> Value {
    match (modifier, value) {
        (Some(Modifier::Lower), Value::Text(text)) => Value::Text(lower(&text)),
        (Some(Modifier::Upper), Value::Text(text)) => Value::Text(upper(&text)),
        (Some(Modifier::Length), Value::Text(text)) => count(text.chars().count()),
        (_, value) => value,
    }
}

fn count(items: usize) -> Value {
    Value::Number(f64::from(u32::try_from(items).unwrap_or(u32::MAX)))
}

fn unavailable(column: &Column) -> EvaluationError {
    EvaluationError::Unavailable { column: column.path.join(".") }
}
