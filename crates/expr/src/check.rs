//! Names resolved and values typed. Knows the schema, not the request.

use std::collections::BTreeSet;

use crate::predicate::{Column, Term};
use crate::schema::{Place, RuleKind, Schema};
use crate::syntax::{Condition, Expression, Form, Node, Operand, RequestName, Suffix};
use crate::value::{Comparison, Kind, Value};
use crate::{Error, instant};

mod comparison;
mod names;

pub(crate) use names::column;

/// An expression whose names exist and whose values have the right types, ready to be bound to any number of
/// requests. It holds no reference to the schema: check again when the schema changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    pub(crate) root: CheckedNode,
    query_names: BTreeSet<String>,
    header_names: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CheckedNode {
    All(Vec<CheckedNode>),
    Any(Vec<CheckedNode>),
    Not(Box<CheckedNode>),
    Compare(Compare),
    Flag { flag: Flag, expected: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compare {
    pub(crate) left: Side,
    pub(crate) comparison: Comparison,
    /// `!=` and `!~`.
    pub(crate) negated: bool,
    /// Written with `?`.
    pub(crate) any: bool,
    /// The left side has `:each`.
    pub(crate) each: bool,
    pub(crate) right: Side,
    /// What both sides are compared as; none when only the request can tell.
    pub(crate) kind: Option<Kind>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Side {
    /// A column, distance or collection.
    Stored(Term),
    Request {
        name: RequestName,
        suffix: Option<Suffix>,
    },
    Macro(instant::Macro),
    Value(Value),
    List(Vec<Value>),
}

/// An operand that answers yes or no by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Flag {
    ColumnSet(Column),
    RequestSet(RequestName),
    /// The field is sent with a value other than the stored one.
    Changed(Column),
}

/// Resolves and types an expression for its place.
///
/// # Errors
/// [`Error`] with the position of the first unknown name, of an operand that may not stand there ([`Place`]), or of
/// a value or operator of the wrong type.
pub fn check(expression: &Expression, schema: &dyn Schema, place: Place) -> Result<Checked, Error> {
    let checker = Checker { schema, place };
    Ok(Checked {
        root: checker.node(&expression.root)?,
        query_names: expression.query_names(),
        header_names: expression.header_names(),
    })
}

impl Checked {
    /// The names read by `@request.query.`.
    pub fn query_names(&self) -> &BTreeSet<String> {
        &self.query_names
    }

    /// The names read by `@request.headers.`, in lower case with `-` for `_`.
    pub fn header_names(&self) -> &BTreeSet<String> {
        &self.header_names
    }

    /// Whether stored values of the row take part: if not, and [`Checked::reads_collections`] is false too, binding
    /// always gives `True` or `False`.
    pub fn needs_row(&self) -> bool {
        self.root.any_side(&|side| matches!(side, Side::Stored(Term::Column(_) | Term::Distance { .. })), &|flag| {
            matches!(flag, Flag::ColumnSet(_) | Flag::Changed(_))
        })
    }

    /// Whether `@collection` takes part.
    pub fn reads_collections(&self) -> bool {
        self.root.any_side(&|side| matches!(side, Side::Stored(Term::Collection { .. })), &|_| false)
    }

    /// Whether `@request.data` takes part.
    pub fn reads_data(&self) -> bool {
        self.root.any_side(&|side| matches!(side, Side::Request { name: RequestName::Data(_), .. }), &|flag| {
            matches!(flag, Flag::RequestSet(RequestName::Data(_)) | Flag::Changed(_))
        })
    }
}

impl CheckedNode {
    fn any_side(&self, side: &dyn Fn(&Side) -> bool, flag: &dyn Fn(&Flag) -> bool) -> bool {
        match self {
            Self::All(members) | Self::Any(members) => members.iter().any(|member| member.any_side(side, flag)),
            Self::Not(inner) => inner.any_side(side, flag),
            Self::Compare(compare) => side(&compare.left) || side(&compare.right),
            Self::Flag { flag: found, .. } => flag(found),
        }
    }
}

struct Checker<'a> {
    schema: &'a dyn Schema,
    place: Place,
}

/// An operand whose names are known.
enum Resolved {
    Side { side: Side, given: comparison::Given, each: bool },
    Flag(Flag),
}

impl Checker<'_> {
    fn node(&self, node: &Node) -> Result<CheckedNode, Error> {
        let all = |members: &[Node]| -> Result<Vec<CheckedNode>, Error> {
            members.iter().map(|member| self.node(member)).collect()
        };
        Ok(match node {
            Node::All(members) => CheckedNode::All(all(members)?),
            Node::Any(members) => CheckedNode::Any(all(members)?),
            Node::Not(inner) => CheckedNode::Not(Box::new(self.node(inner)?)),
            Node::Condition(condition) => self.condition(condition)?,
        })
    }

    fn condition(&self, condition: &Condition) -> Result<CheckedNode, Error> {
        let left_is_value = !matches!(condition.left.form, Form::Word(..) | Form::Record(..) | Form::Distance { .. });
        let left = self.operand(&condition.left, true)?;
        let Some((operator, right_operand)) = &condition.test else {
            return lone(condition, left);
        };
        if let Resolved::Flag(flag) = left {
            return flagged(flag, *operator, right_operand);
        }
        let bare_is_field = left_is_value || self.place != Place::Filter;
        let right = self.operand(right_operand, bare_is_field)?;
        let (
            Resolved::Side { side, given, each },
            Resolved::Side { side: right_side, given: right_given, each: right_each },
        ) = (left, right)
        else {
            return Err(Error::new(
                right_operand.at.0,
                "`:isset` and `:changed` stand on the left, compared with true or false",
            ));
        };
        if right_each {
            return Err(Error::new(right_operand.at.0, "`:each` stands only on the left"));
        }
        let compare = comparison::Sides {
            left: (side, given, condition.left.at.0),
            right: (right_side, right_given, right_operand.at.0),
            operator: *operator,
            each,
        };
        compare.checked().map(CheckedNode::Compare)
    }

    fn operand(&self, operand: &Operand, bare_is_field: bool) -> Result<Resolved, Error> {
        let at = operand.at.0;
        match &operand.form {
            Form::Null => Ok(literal(Value::Null)),
            Form::Bool(value) => Ok(literal(Value::Bool(*value))),
            Form::Number(value) => Ok(literal(Value::Number(*value))),
            Form::Text(text) => Ok(literal(Value::Text(text.clone()))),
            Form::List(items) => comparison::list(items),
            Form::Macro(moment) => {
                Ok(Resolved::Side { side: Side::Macro(*moment), given: comparison::Given::Macro, each: false })
            }
            // No field opens with a digit: `2026-01-31` and ids are text anywhere.
            Form::Word(word, None) if !bare_is_field || word.starts_with(|c: char| c.is_ascii_digit()) => {
                Ok(literal(Value::Text(word.clone())))
            }
            Form::Word(word, Some(suffix)) if !bare_is_field => Err(Error::new(
                at,
                format!(
                    "a bare word on the right is text, which takes no `:{0}`; write `@record.{word}:{0}` for the field",
                    suffix.as_str()
                ),
            )),
            Form::Word(path, suffix) => self.field(path, at, *suffix),
            Form::Record(path, suffix) => self.field(path, at + "@record.".len(), *suffix),
            Form::Request(name, suffix) => self.request(name, *suffix, at),
            Form::Collection { collection, field, suffix } => self.collection(collection, field, *suffix, at),
            Form::Distance { field, field_at, lat, lng, unit } => self.distance(field, field_at.0, (*lat, *lng), *unit),
        }
    }

    fn is_rule(&self) -> bool {
        matches!(self.place, Place::Rule(_))
    }

    fn is_create(&self) -> bool {
        self.place == Place::Rule(RuleKind::Create)
    }

    fn sees_data(&self) -> bool {
        matches!(self.place, Place::Rule(RuleKind::Create | RuleKind::Update | RuleKind::Manage))
    }

    fn sees_change(&self) -> bool {
        matches!(self.place, Place::Rule(RuleKind::Update | RuleKind::Manage))
    }
}

fn literal(value: Value) -> Resolved {
    let given = comparison::Given::of(&value);
    Resolved::Side { side: Side::Value(value), given, each: false }
}

/// A condition without an operator: only what is true or false by itself.
fn lone(condition: &Condition, left: Resolved) -> Result<CheckedNode, Error> {
    match left {
        Resolved::Flag(flag) => Ok(CheckedNode::Flag { flag, expected: true }),
        Resolved::Side {
            side: side @ (Side::Stored(_) | Side::Request { .. }),
            given: comparison::Given::Fixed(Kind::Bool),
            each,
        } => Ok(CheckedNode::Compare(Compare {
            left: side,
            comparison: Comparison::Equal,
            negated: false,
            any: false,
            each,
            right: Side::Value(Value::Bool(true)),
            kind: Some(Kind::Bool),
        })),
        Resolved::Side { .. } => {
            Err(Error::new(condition.end.0, format!("expected an operator such as `=` after `{}`", condition.left)))
        }
    }
}

fn flagged(flag: Flag, operator: crate::syntax::Operator, right: &Operand) -> Result<CheckedNode, Error> {
    if operator.comparison != Comparison::Equal || operator.any {
        return Err(Error::new(
            operator.at.0,
            format!("found `{operator}`, expected `=` or `!=` after `:isset` or `:changed`"),
        ));
    }
    match right.form {
        Form::Bool(value) => Ok(CheckedNode::Flag { flag, expected: value != operator.negated }),
        _ => Err(Error::new(right.at.0, format!("found `{right}`, expected true or false"))),
    }
}

#[cfg(test)]
mod tests;
