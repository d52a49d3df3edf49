//! One operand to its value for this request.

use jiff::Timestamp;

use super::wrong_type;
use crate::EvaluationError;
use crate::check::Side;
use crate::instant::{self, Macro};
use crate::predicate::Term;
use crate::request::{Input, Request};
use crate::syntax::{RequestName, Suffix};
use crate::value::{Kind, Value, lower, upper};

/// A side whose request part is known.
pub(super) enum Operand {
    Stored(Term),
    One(Value),
    Many(Vec<Value>),
    Opaque,
}

impl Operand {
    /// An empty list is null.
    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::One(value) => *value == Value::Null,
            Self::Many(items) => items.is_empty(),
            Self::Stored(_) | Self::Opaque => false,
        }
    }
}

pub(super) struct Operands<'a> {
    pub(super) request: &'a dyn Request,
    pub(super) now: Timestamp,
}

impl Operands<'_> {
    pub(super) fn bound(&self, side: &Side, kind: Option<Kind>) -> Result<Operand, EvaluationError> {
        match side {
            Side::Stored(term) => Ok(Operand::Stored(term.clone())),
            Side::Value(value) => Ok(Operand::One(value.clone())),
            Side::List(items) => Ok(Operand::Many(items.clone())),
            Side::Macro(moment) => self.moment(*moment, kind),
            Side::Request { name, suffix } => self.request_value(name, *suffix, kind),
        }
    }

    fn moment(&self, moment: Macro, kind: Option<Kind>) -> Result<Operand, EvaluationError> {
        let text = match kind {
            Some(Kind::Date) => moment.date(self.now),
            _ => moment.instant(self.now),
        };
        match text {
            Some(text) => Ok(Operand::One(Value::Text(text))),
            None => Err(EvaluationError::OutOfCalendar { operand: moment.to_string() }),
        }
    }

    fn request_value(
        &self,
        name: &RequestName,
        suffix: Option<Suffix>,
        kind: Option<Kind>,
    ) -> Result<Operand, EvaluationError> {
        let input = self.input(name)?;
        let text_kind = Some(Kind::Text);
        match suffix {
            Some(Suffix::Lower) => Ok(mapped(typed(name, input, text_kind)?, lower)),
            Some(Suffix::Upper) => Ok(mapped(typed(name, input, text_kind)?, upper)),
            Some(Suffix::Length) => length(name, &input),
            _ => typed(name, input, kind),
        }
    }

    fn input(&self, name: &RequestName) -> Result<Input, EvaluationError> {
        let auth = self.request.auth();
        let text = |text: Option<&str>| match text {
            Some(text) => Input::Value(Value::from(text)),
            None => Input::Value(Value::Null),
        };
        Ok(match name {
            RequestName::AuthId => text(Some(auth.map_or("", |auth| auth.id))),
            RequestName::AuthRole => text(auth.and_then(|auth| auth.role)),
            RequestName::AuthEmail => text(Some(auth.map_or("", |auth| auth.email))),
            RequestName::AuthCollection => text(Some(auth.map_or("", |auth| auth.collection))),
            RequestName::AuthVerified => Input::Value(Value::Bool(auth.is_some_and(|auth| auth.verified))),
            RequestName::Method => text(Some(self.request.method())),
            RequestName::Context => text(Some(self.request.context().as_str())),
            RequestName::Query(name) => text(self.request.query(name).as_deref()),
            RequestName::Header(name) => text(self.request.header(name).as_deref()),
            RequestName::Data(path) if self.is_increment(path) => {
                return Err(EvaluationError::Increment { operand: name.to_string() });
            }
            RequestName::Data(path) => {
                let absent = Input::Value(Value::Null);
                self.request.data(path).unwrap_or(absent)
            }
        })
    }

    /// Whether the field is sent as `field+` or `field-`.
    pub(super) fn is_increment(&self, path: &[String]) -> bool {
        let [field] = path else { return false };
        ["+", "-"].iter().any(|sign| self.request.data(&[format!("{field}{sign}")]).is_some())
    }

    pub(super) fn is_set(&self, name: &RequestName) -> bool {
        match name {
            RequestName::Data(path) => self.request.data(path).is_some() || self.is_increment(path),
            RequestName::Query(name) => self.request.query(name).is_some(),
            RequestName::Header(name) => self.request.header(name).is_some(),
            _ => true,
        }
    }
}

/// The input as values of the kind it is compared as; null stays null.
pub(super) fn typed(name: &RequestName, input: Input, kind: Option<Kind>) -> Result<Operand, EvaluationError> {
    let textual = matches!(name, RequestName::Query(_) | RequestName::Header(_));
    let single = |value| typed_value(value, kind, textual).ok_or_else(|| wrong_type(name));
    match input {
        Input::Value(value) => single(value).map(Operand::One),
        Input::List(items) => items.into_iter().map(single).collect::<Result<_, _>>().map(Operand::Many),
        Input::Opaque => Ok(Operand::Opaque),
    }
}

/// None if the value cannot be compared as that kind. Text with a NUL character is refused: PostgreSQL cannot hold
/// it, so no stored value can equal it.
fn typed_value(value: Value, kind: Option<Kind>, textual: bool) -> Option<Value> {
    let text = match (value, kind) {
        (Value::Null, _) => return Some(Value::Null),
        (Value::Number(number), _) if !number.is_finite() => return None,
        (value @ Value::Number(_), None | Some(Kind::Number)) | (value @ Value::Bool(_), None | Some(Kind::Bool)) => {
            return Some(value);
        }
        (Value::Text(text), _) if !text.contains('\0') => text,
        _ => return None,
    };
    match kind {
        None | Some(Kind::Text) => Some(Value::Text(text)),
        Some(Kind::Instant) => instant::normalise_instant(&text).map(Value::Text),
        Some(Kind::Date) => instant::normalise_date(&text).map(Value::Text),
        Some(Kind::Number) if textual => {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Number)
        }
        Some(Kind::Bool) if textual => text.parse::<bool>().ok().map(Value::Bool),
        Some(Kind::Number | Kind::Bool | Kind::Json | Kind::Geo) => None,
    }
}

fn mapped(operand: Operand, map: fn(&str) -> String) -> Operand {
    let mapped = |value| match value {
        Value::Text(text) => Value::Text(map(&text)),
        other => other,
    };
    match operand {
        Operand::One(value) => Operand::One(mapped(value)),
        Operand::Many(items) => Operand::Many(items.into_iter().map(mapped).collect()),
        other => other,
    }
}

fn length(name: &RequestName, input: &Input) -> Result<Operand, EvaluationError> {
    let count = match input {
        Input::Value(Value::Null) => return Ok(Operand::One(Value::Null)),
        Input::Value(Value::Text(text)) => text.chars().count(),
        Input::List(items) => items.len(),
        Input::Value(_) | Input::Opaque => return Err(wrong_type(name)),
    };
    let count = u32::try_from(count).map_err(|_| wrong_type(name))?;
    Ok(Operand::One(Value::Number(f64::from(count))))
}
