//! The tree an expression is read into, and how it is written out again. Knows no schema.

use std::collections::BTreeSet;
use std::fmt;

use crate::instant::Macro;
use crate::predicate::Unit;
use crate::value::Comparison;

mod display;
mod lexer;
mod parser;

pub use parser::parse;

/// An expression whose grammar holds; nothing is known yet about its names. Its `Display` is canonical source text
/// that parses to the same tree. Two expressions are equal if they say the same at whatever positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    pub(crate) root: Node,
}

impl Expression {
    /// The names read by `@request.query.`.
    pub fn query_names(&self) -> BTreeSet<String> {
        self.request_names(|name| match name {
            RequestName::Query(name) => Some(name.clone()),
            _ => None,
        })
    }

    /// The names read by `@request.headers.`, in lower case with `-` for `_`.
    pub fn header_names(&self) -> BTreeSet<String> {
        self.request_names(|name| match name {
            RequestName::Header(name) => Some(name.clone()),
            _ => None,
        })
    }

    fn request_names(&self, pick: impl Fn(&RequestName) -> Option<String>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.root.each_operand(&mut |operand| {
            if let Form::Request(name, _) = &operand.form {
                found.extend(pick(name));
            }
        });
        found
    }
}

/// A position in characters. All are equal, so that trees compare by what they say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) usize);

impl PartialEq for At {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Condition(Condition),
}

impl Node {
    fn each_operand(&self, visit: &mut dyn FnMut(&Operand)) {
        match self {
            Self::All(members) | Self::Any(members) => {
                for member in members {
                    member.each_operand(visit);
                }
            }
            Self::Not(inner) => inner.each_operand(visit),
            Self::Condition(condition) => {
                visit(&condition.left);
                if let Some((_, right)) = &condition.test {
                    visit(right);
                }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) left: Operand,
    /// None for a lone operand, which means `= true`.
    pub(crate) test: Option<(Operator, Operand)>,
    /// Where the condition ends.
    pub(crate) end: At,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Operator {
    pub(crate) comparison: Comparison,
    /// `!=` and `!~`.
    pub(crate) negated: bool,
    /// Written with `?`.
    pub(crate) any: bool,
    pub(crate) at: At,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operand {
    pub(crate) form: Form,
    pub(crate) at: At,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Operand>),
    Macro(Macro),
    /// A bare word: a field or text.
    Word(String, Option<Suffix>),
    /// `@record.`: a field.
    Record(String, Option<Suffix>),
    Request(RequestName, Option<Suffix>),
    Collection {
        collection: String,
        field: String,
        suffix: Option<Suffix>,
    },
    Distance {
        field: String,
        field_at: At,
        lat: f64,
        lng: f64,
        unit: Unit,
    },
}

/// A modifier as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suffix {
    Lower,
    Upper,
    Length,
    IsSet,
    Each,
    Changed,
}

impl Suffix {
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("lower", Self::Lower),
        ("upper", Self::Upper),
        ("length", Self::Length),
        ("isset", Self::IsSet),
        ("each", Self::Each),
        ("changed", Self::Changed),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, suffix)| *suffix == self).map_or("", |(name, _)| name)
    }
}

/// What follows `@request.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestName {
    AuthId,
    AuthRole,
    AuthVerified,
    AuthEmail,
    AuthCollection,
    Data(Vec<String>),
    Query(String),
    /// In lower case with `-` for `_`.
    Header(String),
    Method,
    Context,
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("@request.")?;
        match self {
            Self::AuthId => f.write_str("auth.id"),
            Self::AuthRole => f.write_str("auth.role"),
            Self::AuthVerified => f.write_str("auth.verified"),
            Self::AuthEmail => f.write_str("auth.email"),
            Self::AuthCollection => f.write_str("auth.collection"),
            Self::Data(path) => write!(f, "data.{}", path.join(".")),
            Self::Query(name) => write!(f, "query.{name}"),
            Self::Header(name) => write!(f, "headers.{name}"),
            Self::Method => f.write_str("method"),
            Self::Context => f.write_str("context"),
        }
    }
}

#[cfg(test)]
mod tests;
