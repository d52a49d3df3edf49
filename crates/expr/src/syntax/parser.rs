//! Tokens to a tree. Recursion is bounded by [`MAX_DEPTH`]; every token is looked at once.

use super::lexer::{Token, TokenKind, tokens};
use super::{At, Condition, Expression, Form, Node, Operand, RequestName, Suffix};
use crate::instant::Macro;
use crate::predicate::Unit;
use crate::suggestion::suggest;
use crate::{Error, MAX_CONDITIONS, MAX_DEPTH};

/// Reads an expression. Takes time linear in its length and never panics.
///
/// # Errors
/// [`Error`] with the first fault: a character or token that does not belong there, an unknown macro, modifier or
/// `@request` name, or a limit passed ([`crate::MAX_LENGTH`], [`MAX_DEPTH`], [`MAX_CONDITIONS`]). An empty text is
/// a fault too: what it means is the caller's to say.
pub fn parse(source: &str) -> Result<Expression, Error> {
    let mut parser = Parser { tokens: tokens(source)?, next: 0, depth: 0, conditions: 0 };
    let root = parser.any()?;
    match parser.peek() {
        TokenKind::End => Ok(Expression { root }),
        TokenKind::Close => Err(parser.fault("found `)` without its `(`")),
        _ => Err(parser.unexpected("`&&` or `||`")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    conditions: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        self.tokens
            .get(self.next)
            .or(self.tokens.last())
            .expect("the lexer ends every list of tokens with one for the end")
    }

    fn peek(&self) -> &TokenKind {
        &self.token().kind
    }

    fn at(&self) -> usize {
        self.token().at
    }

    fn accept(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek() == kind;
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, kind: &TokenKind) -> Result<(), Error> {
        if self.accept(kind) { Ok(()) } else { Err(self.unexpected(&kind.found())) }
    }

    fn fault(&self, reason: impl Into<String>) -> Error {
        Error::new(self.at(), reason)
    }

    fn unexpected(&self, expected: &str) -> Error {
        let hint = match self.peek() {
            TokenKind::Word(word) if word.eq_ignore_ascii_case("and") => " (did you mean `&&`?)",
            TokenKind::Word(word) if word.eq_ignore_ascii_case("or") => " (did you mean `||`?)",
            _ => "",
        };
        self.fault(format!("found {}, expected {expected}{hint}", self.peek().found()))
    }

    fn any(&mut self) -> Result<Node, Error> {
        let mut members = vec![self.all()?];
        while self.accept(&TokenKind::Or) {
            members.push(self.all()?);
        }
        Ok(single_or(members, Node::Any))
    }

    fn all(&mut self) -> Result<Node, Error> {
        let mut members = vec![self.unary()?];
        while self.accept(&TokenKind::And) {
            members.push(self.unary()?);
        }
        Ok(single_or(members, Node::All))
    }

    fn unary(&mut self) -> Result<Node, Error> {
        let negated = self.accept(&TokenKind::Not);
        if self.peek() != &TokenKind::Open {
            return if negated { Err(self.unexpected("`(` after `!`")) } else { self.condition().map(Node::Condition) };
        }
        if self.depth == MAX_DEPTH {
            return Err(self.fault(format!("an expression has at most {MAX_DEPTH} levels of parentheses")));
        }
        self.next += 1;
        self.depth += 1;
        let inner = self.any()?;
        if !self.accept(&TokenKind::Close) {
            return Err(self.unexpected("`)`, `&&` or `||`"));
        }
        self.depth -= 1;
        Ok(if negated { Node::Not(Box::new(inner)) } else { inner })
    }

    fn condition(&mut self) -> Result<Condition, Error> {
        if self.conditions == MAX_CONDITIONS {
            return Err(self.fault(format!("an expression has at most {MAX_CONDITIONS} conditions")));
        }
        self.conditions += 1;
        let left = self.operand("a condition")?;
        let test = if let TokenKind::Operator(operator) = *self.peek() {
            self.next += 1;
            Some((operator, self.operand("a value")?))
        } else {
            None
        };
        let ends = matches!(self.peek(), TokenKind::And | TokenKind::Or | TokenKind::Close | TokenKind::End);
        if test.is_none() && !ends {
            return Err(self.unexpected("an operator such as `=`"));
        }
        let end = At(self.at());
        Ok(Condition { left, test, end })
    }

    fn operand(&mut self, expected: &str) -> Result<Operand, Error> {
        let at = self.at();
        let form = match self.peek().clone() {
            TokenKind::OpenList => self.list()?,
            TokenKind::At(name) => {
                self.next += 1;
                self.at_name(&name, at)?
            }
            TokenKind::Word(word) if word == "geoDistance" && self.follows(&TokenKind::Open) => self.distance()?,
            _ => match self.literal() {
                Some(Form::Word(word, _)) if !is_value(&word) => Form::Word(word, self.suffix()?),
                Some(form) => form,
                None => return Err(self.unexpected(expected)),
            },
        };
        if let TokenKind::Suffix(name) = self.peek() {
            return Err(self.fault(format!("`:{name}` stands only after a name")));
        }
        Ok(Operand { form, at: At(at) })
    }

    fn follows(&self, kind: &TokenKind) -> bool {
        self.tokens.get(self.next + 1).is_some_and(|token| &token.kind == kind)
    }

    /// A text, number, constant or bare word.
    fn literal(&mut self) -> Option<Form> {
        let form = match self.peek() {
            TokenKind::Text(text) => Form::Text(text.clone()),
            TokenKind::Number(number) => Form::Number(*number),
            TokenKind::Word(word) => match word.as_str() {
                "true" | "True" => Form::Bool(true),
                "false" | "False" => Form::Bool(false),
                "null" | "none" | "None" => Form::Null,
                _ => Form::Word(word.clone(), None),
            },
            _ => return None,
        };
        self.next += 1;
        Some(form)
    }

    fn list(&mut self) -> Result<Form, Error> {
        self.expect(&TokenKind::OpenList)?;
        let mut items = Vec::new();
        if self.accept(&TokenKind::CloseList) {
            return Ok(Form::List(items));
        }
        loop {
            let at = At(self.at());
            let form = match self.literal() {
                Some(Form::Word(word, _)) => Form::Text(word),
                Some(form) => form,
                None => return Err(self.unexpected("a text, a number, true, false or null")),
            };
            items.push(Operand { form, at });
            if self.accept(&TokenKind::CloseList) {
                return Ok(Form::List(items));
            }
            if !self.accept(&TokenKind::Comma) {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn suffix(&mut self) -> Result<Option<Suffix>, Error> {
        let TokenKind::Suffix(name) = self.peek() else {
            return Ok(None);
        };
        let Some((_, suffix)) = Suffix::ALL.iter().find(|(known, _)| known == name) else {
            let near = suggest(name, Suffix::ALL.map(|(known, _)| known));
            return Err(self.fault(format!("unknown modifier `:{name}`{near}")));
        };
        self.next += 1;
        Ok(Some(*suffix))
    }

    fn at_name(&mut self, name: &str, at: usize) -> Result<Form, Error> {
        let (head, rest) = name.split_once('.').unwrap_or((name, ""));
        match head {
            "record" if is_path(rest) => Ok(Form::Record(rest.to_owned(), self.suffix()?)),
            "record" => Err(Error::new(at, "expected a field after `@record.`")),
            "request" => {
                let name = request_name(rest).map_err(|reason| Error::new(at, reason))?;
                Ok(Form::Request(name, self.suffix()?))
            }
            "collection" => match rest.split_once('.') {
                Some((collection, field)) if is_path(rest) && !field.contains('.') => Ok(Form::Collection {
                    collection: collection.to_owned(),
                    field: field.to_owned(),
                    suffix: self.suffix()?,
                }),
                _ => Err(Error::new(at, "expected `@collection.`, a collection, `.` and a field")),
            },
            _ => Macro::parse(name).map(Form::Macro).map_err(|reason| Error::new(at, reason)),
        }
    }

    fn distance(&mut self) -> Result<Form, Error> {
        self.next += 2;
        let field_at = At(self.at());
        let field = match self.peek() {
            TokenKind::Word(word) => word.clone(),
            TokenKind::At(name) => match name.strip_prefix("record.") {
                Some(field) => field.to_owned(),
                None => return Err(self.unexpected("the name of a geopoint field")),
            },
            _ => return Err(self.unexpected("the name of a geopoint field")),
        };
        self.next += 1;
        let lat = self.degrees("latitude", 90.0)?;
        let lng = self.degrees("longitude", 180.0)?;
        let mut unit = Unit::Kilometre;
        if self.accept(&TokenKind::Comma) {
            unit = match self.peek() {
                TokenKind::Text(name) | TokenKind::Word(name) if name == "km" => Unit::Kilometre,
                TokenKind::Text(name) | TokenKind::Word(name) if name == "mi" => Unit::Mile,
                TokenKind::Text(name) | TokenKind::Word(name) if name == "m" => Unit::Metre,
                _ => return Err(self.unexpected("`\"km\"`, `\"mi\"` or `\"m\"`")),
            };
            self.next += 1;
        }
        self.expect(&TokenKind::Close)?;
        Ok(Form::Distance { field, field_at, lat, lng, unit })
    }

    fn degrees(&mut self, what: &str, most: f64) -> Result<f64, Error> {
        self.expect(&TokenKind::Comma)?;
        let TokenKind::Number(degrees) = *self.peek() else {
            return Err(self.unexpected(&format!("a {what} in degrees")));
        };
        if degrees.abs() > most {
            return Err(self.fault(format!("a {what} is between -{most} and {most}")));
        }
        self.next += 1;
        Ok(degrees)
    }
}

fn single_or(mut members: Vec<Node>, several: fn(Vec<Node>) -> Node) -> Node {
    if members.len() == 1 { members.swap_remove(0) } else { several(members) }
}

/// Whether a word is text anywhere: no name opens with a digit.
fn is_value(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// Names joined by dots, each of letters, digits and `_`.
fn is_path(path: &str) -> bool {
    path.split('.').all(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// Letters, digits, `_` and `-`: what the name of a parameter or header may have here.
fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// What stands after `@request.`; the error is a reason.
fn request_name(rest: &str) -> Result<RequestName, String> {
    const PARTS: [&str; 6] = ["auth", "data", "query", "headers", "method", "context"];
    const AUTH: [(&str, RequestName); 5] = [
        ("id", RequestName::AuthId),
        ("role", RequestName::AuthRole),
        ("verified", RequestName::AuthVerified),
        ("email", RequestName::AuthEmail),
        ("collection", RequestName::AuthCollection),
    ];
    let (part, name) = rest.split_once('.').unwrap_or((rest, ""));
    match part {
        "auth" => AUTH.into_iter().find(|(known, _)| *known == name).map(|(_, request)| request).ok_or_else(|| {
            let near = suggest(name, ["id", "role", "verified", "email", "collection"]);
            format!("unknown name `@request.auth.{name}`{near}")
        }),
        "data" if is_path(name) => Ok(RequestName::Data(name.split('.').map(str::to_owned).collect())),
        "query" if is_parameter(name) => Ok(RequestName::Query(name.to_owned())),
        "headers" if is_parameter(name) => Ok(RequestName::Header(name.to_ascii_lowercase().replace('_', "-"))),
        "method" if name.is_empty() => Ok(RequestName::Method),
        "context" if name.is_empty() => Ok(RequestName::Context),
        "data" | "query" | "headers" => Err(format!("expected a name after `@request.{part}.`")),
        "method" | "context" => Err(format!("`@request.{part}` has no parts")),
        _ => {
            let near = suggest(part, PARTS);
            Err(format!("unknown name `@request.{part}`{near}"))
        }
    }
}
