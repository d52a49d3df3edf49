//! Random expressions that are well typed for a collection, over the whole grammar.

use std::fmt;

use fastcms_expr::{Kind, Schema as _};

use crate::chance::Chance;
use crate::operands::Stored;
use crate::world::World;

/// In whose words an expression is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Filter,
    ListRule,
    UpdateRule,
}

/// An expression as a tree, so that a part of it can be asked alone.
#[derive(Debug, Clone)]
pub enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    Condition(String),
}

impl Tree {
    pub fn parts(&self) -> &[Tree] {
        match self {
            Self::All(members) | Self::Any(members) => members,
            Self::Not(inner) => std::slice::from_ref(inner),
            Self::Condition(_) => &[],
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, separator) = match self {
            Self::Condition(text) => return f.write_str(text),
            Self::Not(inner) => return write!(f, "!({inner})"),
            Self::All(members) => (members, " && "),
            Self::Any(members) => (members, "||"),
        };
        for (at, member) in members.iter().enumerate() {
            let before = if at == 0 { "" } else { separator };
            match member {
                // `&&` binds tighter: only an alternative among conditions needs its parentheses.
                Self::Any(_) => write!(f, "{before}({member})")?,
                Self::All(_) if at % 2 == 1 => write!(f, "{before}({member})")?,
                _ => write!(f, "{before}{member}")?,
            }
        }
        Ok(())
    }
}

pub struct Author<'w> {
    pub chance: &'w mut Chance,
    pub world: &'w World,
    pub place: Place,
    /// Where in the world's tables the asked collection stands.
    pub table: usize,
}

impl Author<'_> {
    pub fn tree(&mut self, depth: usize) -> Tree {
        if depth == 0 || self.chance.one_in(3) {
            return Tree::Condition(self.condition());
        }
        let members = |author: &mut Self| (0..2 + author.chance.below(2)).map(|_| author.tree(depth - 1)).collect();
        match self.chance.below(5) {
            0 | 1 => Tree::All(members(self)),
            2 | 3 => Tree::Any(members(self)),
            _ => Tree::Not(Box::new(self.tree(depth - 1))),
        }
    }

    fn condition(&mut self) -> String {
        loop {
            let written = match self.chance.below(14) {
                0..=2 => self.field_and_value(),
                3 | 4 => self.field_and_field(),
                5 => self.value_and_field(),
                6 => self.with_null(),
                7 | 8 => self.with_list(),
                9 => self.flag(),
                10 => self.with_distance(),
                11 if self.place != Place::Filter => self.with_collection(),
                12 if self.place != Place::Filter => self.with_request_list(),
                _ => self.searched(),
            };
            if let Some(text) = written {
                return text;
            }
        }
    }

    /// A value compared with a value by an operator, with or without room around it.
    fn joined(&mut self, left: &str, operator: &str, right: &str) -> String {
        if self.chance.one_in(3) { format!("{left}{operator}{right}") } else { format!("{left} {operator} {right}") }
    }

    fn operator(&mut self, kind: Kind) -> String {
        let ordered = !matches!(kind, Kind::Bool | Kind::Json | Kind::Geo);
        let known: &[&str] = if ordered { &["=", "!=", "=", "!=", "<", "<=", ">", ">="] } else { &["=", "!="] };
        let any = if self.chance.one_in(4) { "?" } else { "" };
        format!("{any}{}", self.chance.pick(known))
    }

    fn field_and_value(&mut self) -> Option<String> {
        let kind = self.kind();
        let left = self.stored(kind, false)?;
        let operator = self.operator(kind);
        let right = self.value(kind, self.place == Place::Filter);
        let left = self.maybe_each(left);
        Some(self.joined(&left, &operator, &right))
    }

    fn maybe_each(&mut self, stored: Stored) -> String {
        let has_modifier = stored.text.contains(':');
        if stored.is_many && !has_modifier && self.chance.one_in(3) {
            format!("{}:each", stored.text)
        } else {
            stored.text
        }
    }

    fn field_and_field(&mut self) -> Option<String> {
        let kind = self.kind();
        let left = self.stored(kind, false)?;
        let right = self.stored(kind, left.is_field)?;
        let operator = self.operator(kind);
        let left = self.maybe_each(left);
        Some(self.joined(&left, &operator, &right.text))
    }

    fn value_and_field(&mut self) -> Option<String> {
        let kind = self.kind();
        let left = self.value(kind, false);
        // `2026-03-15` is a word, and a word on the left makes one on the right a text.
        let is_word = kind != Kind::Number && left.starts_with(|c: char| c.is_ascii_digit());
        let right = self.stored(kind, is_word)?;
        let operator = self.operator(kind);
        Some(self.joined(&left, &operator, &right.text))
    }

    /// Whatever is stored, compared with no value.
    fn with_null(&mut self) -> Option<String> {
        let kind =
            self.chance.pick(&[Kind::Text, Kind::Number, Kind::Bool, Kind::Instant, Kind::Date, Kind::Json, Kind::Geo]);
        let left = self.stored(kind, false)?;
        let operator = self.operator(kind);
        let null = self.chance.pick(&["null", "none", "None"]);
        if self.chance.one_in(4) {
            return Some(self.joined(null, &operator, &left.text));
        }
        let left = self.maybe_each(left);
        Some(self.joined(&left, &operator, null))
    }

    fn with_list(&mut self) -> Option<String> {
        let kind = self.kind();
        let left = self.stored(kind, false)?;
        if left.is_whole && self.chance.one_in(2) {
            let operator = self.chance.pick(&["=", "!="]);
            let list = self.list(kind, false);
            return Some(self.joined(&left.text, operator, &list));
        }
        let operator = self.operator(kind);
        let operator = format!("?{}", operator.trim_start_matches('?'));
        let left = self.maybe_each(left);
        let list = self.list(kind, !left.ends_with(":each"));
        Some(self.joined(&left, &operator, &list))
    }

    fn list(&mut self, kind: Kind, with_null: bool) -> String {
        let items = (0..self.chance.below(4))
            .map(|_| if with_null && self.chance.one_in(5) { "null".to_owned() } else { self.literal(kind, true) });
        format!("[{}]", items.collect::<Vec<_>>().join(","))
    }

    /// What is true or false by itself.
    fn flag(&mut self) -> Option<String> {
        let end = self.chance.pick(&["", " = true", " != true", "=false", " != False"]);
        let kind = self.chance.pick(&[Kind::Bool, Kind::Text, Kind::Number, Kind::Json, Kind::Geo, Kind::Date]);
        if self.place == Place::UpdateRule && self.chance.one_in(2) {
            let fields = self.offer(self.table).field_names();
            let name = self.chance.pick(&fields);
            let head = self.chance.pick(&["", "@record.", "@request.data."]);
            let suffix = if head == "@request.data." && self.chance.one_in(2) { "isset" } else { "changed" };
            return Some(format!("{head}{name}:{suffix}{end}"));
        }
        let (path, is_list, crosses_many) = self.path(kind)?;
        let text = self.spelled(&path, false);
        if kind == Kind::Bool && self.chance.one_in(2) {
            let each = if (is_list || crosses_many) && self.chance.one_in(2) { ":each" } else { "" };
            return Some(format!("{text}{each}"));
        }
        Some(format!("{text}:isset{end}"))
    }

    fn with_distance(&mut self) -> Option<String> {
        let left = self.distance()?;
        let operator = self.operator(Kind::Number);
        let most = self.chance.fraction() * 25_000.0;
        let right = if self.chance.one_in(4) { self.stored(Kind::Number, true)?.text } else { format!("{most:?}") };
        Some(self.joined(&left, &operator, &right))
    }

    fn with_collection(&mut self) -> Option<String> {
        let kind = self.kind();
        let table = self.chance.below(self.world.tables.len());
        let offer = self.offer(table);
        let names: Vec<_> =
            offer.field_names().into_iter().filter(|name| offer.field(name).unwrap().kind == kind).collect();
        if names.is_empty() {
            return None;
        }
        let name = self.collection(table).name().to_owned();
        let values = format!("@collection.{name}.{}", self.chance.pick(&names));
        let other = if self.chance.one_in(2) { self.value(kind, false) } else { self.stored(kind, true)?.text };
        let is_searched = kind == Kind::Text && self.chance.one_in(4);
        let operator = if is_searched { (self.chance.pick(&["~", "!~"])).to_owned() } else { self.operator(kind) };
        let is_left = self.chance.one_in(2);
        let (left, right) = if is_left { (values, other) } else { (other, values) };
        Some(self.joined(&left, &operator, &right))
    }

    /// A list of the request against what is stored.
    fn with_request_list(&mut self) -> Option<String> {
        if self.place != Place::UpdateRule {
            return None;
        }
        let stored = self.stored(Kind::Text, true)?;
        let operator = self.chance.pick(&["?=", "?!=", "?<", "?>=", "?~", "?!~"]);
        let each = if self.chance.one_in(3) { ":each" } else { "" };
        Some(match self.chance.below(3) {
            0 => self.joined(&stored.text, operator, "@request.data.sent_list"),
            1 => self.joined(&format!("@request.data.sent_list{each}"), operator, &stored.text),
            _ if stored.is_whole => self.joined(&stored.text, "=", "@request.data.sent_list"),
            _ => return None,
        })
    }

    /// `~` and `!~`.
    fn searched(&mut self) -> Option<String> {
        let kind = self.chance.pick(&[Kind::Text, Kind::Text, Kind::Text, Kind::Instant, Kind::Date]);
        let operator = self.chance.pick(&["~", "!~", "~", "!~", "?~", "?!~"]);
        let left = self.stored(kind, false)?;
        if operator.starts_with('?') && self.chance.one_in(2) {
            let left = self.maybe_each(left);
            let list = self.list(Kind::Text, !left.ends_with(":each"));
            return Some(self.joined(&left, operator, &list));
        }
        match self.chance.below(4) {
            0 => {
                let value = self.text();
                let value = self.quoted(&value);
                Some(self.joined(&value, operator, &left.text))
            }
            1 => {
                let right = self.stored(Kind::Text, true)?;
                let left = self.maybe_each(left);
                Some(self.joined(&left, operator, &right.text))
            }
            2 if kind != Kind::Text => {
                let left = self.maybe_each(left);
                let part = self.chance.pick(&["\"2026-03\"", "'t00:'", "'Z'"]);
                Some(self.joined(&left, operator, part))
            }
            _ => {
                let value = self.literal(Kind::Text, self.place == Place::Filter);
                let left = self.maybe_each(left);
                Some(self.joined(&left, operator, &value))
            }
        }
    }
}
