//! A schema, a request and a row for tests.

use std::collections::HashMap;

use crate::{
    Auth, Cell, Column, Context, EvaluationError, Field, Input, Kind, Place, Predicate, Request, Row, RuleKind, Schema,
    Value, check, parse,
};

/// Fields as (name, kind, list, target of the relation).
type Fields = &'static [(&'static str, Kind, bool, Option<&'static str>)];

pub(crate) struct Collections(&'static str);

pub(crate) const POSTS: Collections = Collections("posts");

const ALL: &[(&str, Fields)] = &[
    (
        "posts",
        &[
            ("id", Kind::Text, false, None),
            ("title", Kind::Text, false, None),
            ("body", Kind::Text, false, None),
            ("status", Kind::Text, false, None),
            ("n", Kind::Number, false, None),
            ("m", Kind::Number, false, None),
            ("flag", Kind::Bool, false, None),
            ("created", Kind::Instant, false, None),
            ("due", Kind::Date, false, None),
            ("tags", Kind::Text, true, None),
            ("meta", Kind::Json, false, None),
            ("place", Kind::Geo, false, None),
            ("owner", Kind::Text, false, Some("people")),
            ("writers", Kind::Text, true, Some("people")),
            ("parent", Kind::Text, false, Some("posts")),
        ],
    ),
    (
        "people",
        &[
            ("id", Kind::Text, false, None),
            ("name", Kind::Text, false, None),
            ("age", Kind::Number, false, None),
            ("teams", Kind::Text, true, Some("posts")),
        ],
    ),
];

impl Collections {
    fn fields(&self) -> Fields {
        ALL.iter().find(|(name, _)| *name == self.0).map(|(_, fields)| *fields).unwrap()
    }
}

impl Schema for Collections {
    fn field(&self, name: &str) -> Option<Field> {
        self.fields()
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, kind, list, _)| Field { kind: *kind, list: *list })
    }

    fn field_names(&self) -> Vec<String> {
        self.fields().iter().map(|(name, ..)| (*name).to_owned()).collect()
    }

    fn related(&self, field: &str) -> Option<Box<dyn Schema + '_>> {
        self.fields()
            .iter()
            .find(|(known, ..)| *known == field)
            .and_then(|(_, _, _, target)| *target)
            .map(|target| Box::new(Collections(target)) as Box<dyn Schema>)
    }

    fn collection(&self, name: &str) -> Option<Box<dyn Schema + '_>> {
        ALL.iter().find(|(known, _)| *known == name).map(|(known, _)| Box::new(Collections(known)) as Box<dyn Schema>)
    }

    fn collection_names(&self) -> Vec<String> {
        ALL.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}

#[derive(Default)]
pub(crate) struct Call {
    pub(crate) auth: Option<Auth<'static>>,
    pub(crate) data: HashMap<String, Input>,
    pub(crate) query: HashMap<String, String>,
    pub(crate) headers: HashMap<String, String>,
}

pub(crate) const ALICE: Auth<'static> = Auth {
    id: "0198c1f2-aaaa-7000-8000-000000000001",
    role: Some("user"),
    verified: true,
    email: "alice@example.com",
    collection: "users",
};

impl Call {
    pub(crate) fn anonymous() -> Self {
        Self::default()
    }

    pub(crate) fn alice() -> Self {
        Self { auth: Some(ALICE), ..Self::default() }
    }

    pub(crate) fn with(mut self, path: &str, value: impl Into<Input>) -> Self {
        self.data.insert(path.to_owned(), value.into());
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl From<Value> for Input {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Value(Value::from(text))
    }
}

impl From<f64> for Input {
    fn from(number: f64) -> Self {
        Self::Value(Value::Number(number))
    }
}

impl From<&[&str]> for Input {
    fn from(items: &[&str]) -> Self {
        Self::List(items.iter().map(|item| Value::from(*item)).collect())
    }
}

impl Request for Call {
    fn auth(&self) -> Option<Auth<'_>> {
        self.auth
    }

    fn method(&self) -> &'static str {
        "POST"
    }

    fn context(&self) -> Context {
        Context::Batch
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).cloned()
    }

    fn query(&self, name: &str) -> Option<String> {
        self.query.get(name).cloned()
    }

    fn data(&self, path: &[String]) -> Option<Input> {
        self.data.get(&path.join(".")).cloned()
    }
}

/// Absent cells are null; absent collections have no rows.
#[derive(Default, Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) cells: HashMap<String, Cell>,
    pub(crate) collections: HashMap<String, Vec<Value>>,
}

impl Stored {
    pub(crate) fn with(mut self, path: &str, cell: impl Into<Cell>) -> Self {
        self.cells.insert(path.to_owned(), cell.into());
        self
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Value(Value::from(text))
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Value(Value::Number(number))
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Value(Value::Bool(value))
    }
}

impl From<&[&str]> for Cell {
    fn from(items: &[&str]) -> Self {
        Self::List(items.iter().map(|item| Value::from(*item)).collect())
    }
}

impl Row for Stored {
    fn value(&self, column: &Column) -> Result<Cell, EvaluationError> {
        let cell = self.cells.get(&column.path.join("."));
        Ok(cell.cloned().unwrap_or(Cell::Value(Value::Null)))
    }

    fn collection(&self, collection: &str, field: &str) -> Result<Vec<Value>, EvaluationError> {
        let values = self.collections.get(&format!("{collection}.{field}"));
        Ok(values.cloned().unwrap_or_default())
    }
}

pub(crate) const FILTER: Place = Place::Filter;
pub(crate) const LIST: Place = Place::Rule(RuleKind::List);
pub(crate) const CREATE: Place = Place::Rule(RuleKind::Create);
pub(crate) const UPDATE: Place = Place::Rule(RuleKind::Update);

/// Half past one on Sunday 15 March 2026.
pub(crate) const NOW: &str = "2026-03-15T13:30:00.1239Z";

pub(crate) fn bind(source: &str, place: Place, call: &Call) -> Result<Predicate, EvaluationError> {
    let expression = parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let checked = check(&expression, &POSTS, place).unwrap_or_else(|error| panic!("{source}: {error}"));
    checked.bind(call, NOW.parse().unwrap())
}

pub(crate) fn filter(source: &str) -> Predicate {
    bind(source, FILTER, &Call::anonymous()).unwrap()
}

pub(crate) fn matches(source: &str, row: &Stored) -> bool {
    filter(source).matches(row).unwrap()
}

/// The position and reason of the fault in a filter or rule.
pub(crate) fn fault(source: &str, place: Place) -> (usize, String) {
    let error = match parse(source) {
        Err(error) => error,
        Ok(expression) => match check(&expression, &POSTS, place) {
            Err(error) => error,
            Ok(_) => panic!("`{source}` has no fault"),
        },
    };
    (error.position, error.reason)
}
