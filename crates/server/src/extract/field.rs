//! Values of a JSON body, read one by one so that every fault is found at once and said under its field.

use std::fmt;

use fastcms_core::FieldErrors;
use fastcms_secrets::Secret;
use serde_json::{Map, Value, json};

/// Where a value stands in a body: `schema.0.name`. Written out only when there is a fault to report.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The body itself.
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("body"),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(Self::Root, index) => write!(f, "{index}"),
            Self::Index(parent, index) => write!(f, "{parent}.{index}"),
        }
    }
}

/// A type that a value of a JSON body can be read as.
pub trait Field: Sized {
    /// Reads `value`, or notes under `at` why it cannot be read.
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self>;

    /// What stands for a field that was not sent; `None`: it is required.
    fn absent() -> Option<Self> {
        None
    }

    /// JSON Schema of the value.
    fn schema() -> Value;
}

/// Notes that `value` is not what the field takes; `null` counts as not sent.
fn wrong<T>(value: &Value, at: &Place<'_>, faults: &mut FieldErrors, message: &str) -> Option<T> {
    let message = if value.is_null() { "This field is required" } else { message };
    faults.add(at.to_string(), message);
    None
}

impl Field for String {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            other => wrong(&other, at, faults, "Must be a string"),
        }
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// Passwords, tokens and keys: never printed, wiped when dropped.
impl Field for Secret<String> {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        String::read(value, at, faults).map(Self::new)
    }

    fn schema() -> Value {
        json!({"type": "string", "format": "password"})
    }
}

impl Field for bool {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(value),
            other => wrong(&other, at, faults, "Must be a boolean"),
        }
    }

    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl Field for i64 {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        value.as_i64().or_else(|| wrong(&value, at, faults, "Must be a number"))
    }

    fn schema() -> Value {
        json!({"type": "integer"})
    }
}

impl Field for f64 {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        value.as_f64().or_else(|| wrong(&value, at, faults, "Must be a number"))
    }

    fn schema() -> Value {
        json!({"type": "number"})
    }
}

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Within<MIN, MAX> {
    /// The number, or the message of contract 3.
    pub(crate) fn of(number: i64) -> Result<Self, String> {
        if number < i64::from(MIN) {
            return Err(format!("Minimum value is {MIN}"));
        }
        match u32::try_from(number) {
            Ok(number) if number <= MAX => Ok(Self(number)),
            _ => Err(format!("Maximum value is {MAX}")),
        }
    }

    pub(crate) fn range_schema() -> Value {
        json!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

impl<const MIN: u32, const MAX: u32> Field for Within<MIN, MAX> {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        let number = i64::read(value, at, faults)?;
        Self::of(number).map_err(|message| faults.add(at.to_string(), message)).ok()
    }

    fn schema() -> Value {
        Self::range_schema()
    }
}

/// Anything, `null` included.
impl Field for Value {
    fn read(value: Value, _: &Place<'_>, _: &mut FieldErrors) -> Option<Self> {
        Some(value)
    }

    fn schema() -> Value {
        json!({})
    }
}

impl Field for Map<String, Value> {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        match value {
            Value::Object(object) => Some(object),
            other => wrong(&other, at, faults, "Must be an object"),
        }
    }

    fn schema() -> Value {
        json!({"type": "object"})
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        let Value::Array(items) = value else {
            return wrong(&value, at, faults, "Must be an array");
        };
        let count = items.len();
        // Read to the end even after a fault: the client learns all of them at once.
        let mut read = Vec::with_capacity(count);
        for (index, item) in items.into_iter().enumerate() {
            read.extend(T::read(item, &Place::Index(at, index), faults));
        }
        (read.len() == count).then_some(read)
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

/// May be left out or `null`.
impl<T: Field> Field for Option<T> {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value, at, faults).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema() -> Value {
        nullable(T::schema())
    }
}

/// A field of a change, where leaving it out and `null` mean different things.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not sent: stays as it is.
    #[default]
    Leave,
    /// `null`.
    Clear,
    Set(T),
}

impl<T: Field> Field for Patch<T> {
    fn read(value: Value, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self> {
        if value.is_null() { Some(Self::Clear) } else { T::read(value, at, faults).map(Self::Set) }
    }

    fn absent() -> Option<Self> {
        Some(Self::Leave)
    }

    fn schema() -> Value {
        nullable(T::schema())
    }
}

/// The schema, `null` allowed as well.
fn nullable(mut schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) if schema.get("enum").is_none() => {
            schema["type"] = json!([kind, "null"]);
        }
        None if schema == json!({}) => {}
        _ => schema = json!({"anyOf": [schema, {"type": "null"}]}),
    }
    schema
}
