//! An expression written out as canonical source text.

use std::fmt::{self, Display, Formatter, Write};

use super::{Condition, Expression, Form, Node, Operand, Operator, Suffix};
use crate::predicate::Unit;
use crate::value::Comparison;

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(members) => joined(f, members, " && ", |member| matches!(member, Self::All(_) | Self::Any(_))),
            Self::Any(members) => joined(f, members, " || ", |member| matches!(member, Self::Any(_))),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::Condition(condition) => condition.fmt(f),
        }
    }
}

fn joined(f: &mut Formatter<'_>, members: &[Node], separator: &str, grouped: impl Fn(&Node) -> bool) -> fmt::Result {
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        if grouped(member) {
            write!(f, "({member})")?;
        } else {
            member.fmt(f)?;
        }
    }
    Ok(())
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.left.fmt(f)?;
        match &self.test {
            Some((operator, right)) => write!(f, " {operator} {right}"),
            None => Ok(()),
        }
    }
}

impl Operator {
    /// The operator as written, without `?`.
    pub(crate) fn symbol(self) -> &'static str {
        match (self.comparison, self.negated) {
            (Comparison::Equal, false) => "=",
            (Comparison::Equal, true) => "!=",
            (Comparison::Contains, false) => "~",
            (Comparison::Contains, true) => "!~",
            (Comparison::Less, _) => "<",
            (Comparison::LessOrEqual, _) => "<=",
            (Comparison::Greater, _) => ">",
            (Comparison::GreaterOrEqual, _) => ">=",
        }
    }
}

impl Display for Operator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.any {
            f.write_char('?')?;
        }
        f.write_str(self.symbol())
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Null => f.write_str("null"),
            Form::Bool(value) => write!(f, "{value}"),
            Form::Number(value) => write!(f, "{value:?}"),
            Form::Text(text) => quoted(f, text),
            Form::List(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Form::Macro(moment) => moment.fmt(f),
            Form::Word(word, suffix) => with_suffix(f, word, *suffix),
            Form::Record(path, suffix) => with_suffix(f, &format_args!("@record.{path}"), *suffix),
            Form::Request(name, suffix) => with_suffix(f, name, *suffix),
            Form::Collection { collection, field, suffix } => {
                with_suffix(f, &format_args!("@collection.{collection}.{field}"), *suffix)
            }
            Form::Distance { field, lat, lng, unit, .. } => {
                let unit = match unit {
                    Unit::Kilometre => "km",
                    Unit::Mile => "mi",
                    Unit::Metre => "m",
                };
                write!(f, "geoDistance({field}, {lat:?}, {lng:?}, \"{unit}\")")
            }
        }
    }
}

fn with_suffix(f: &mut Formatter<'_>, name: &dyn Display, suffix: Option<Suffix>) -> fmt::Result {
    name.fmt(f)?;
    match suffix {
        Some(suffix) => write!(f, ":{}", suffix.as_str()),
        None => Ok(()),
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}
