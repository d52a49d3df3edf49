//! Values on their way into a statement and rows on their way out.
//!
//! [`Value`] is what a bind holds, [`Row`] an owned row, and [`Columns`] a borrowed look at a row while it is stepped, so
//! that JSON can be written without a map or a copy in between. Nothing here knows which engine a row came from:
//! booleans are 0 and 1 on `SQLite`, and both readings are accepted.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fmt;

/// A value to bind. `Debug` shows its kind and size, never its content: binds are users' data.
#[derive(Clone, Default)]
pub enum Value {
    /// SQL NULL.
    #[default]
    Null,
    /// A truth value; `INTEGER` 0 or 1 on `SQLite`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// Text. `PostgreSQL` refuses the NUL character in it.
    Text(String),
    /// Text that is part of the program, which is not copied for every row it stands in.
    Static(&'static str),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cell().fmt(f)
    }
}

impl PartialEq for Value {
    /// A text is the same text wherever it is kept.
    fn eq(&self, other: &Self) -> bool {
        self.cell() == other.cell()
    }
}

impl Value {
    /// The same value, borrowed.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Bool(v) => Cell::Bool(*v),
            Self::Int(v) => Cell::Int(*v),
            Self::Real(v) => Cell::Real(*v),
            Self::Text(v) => Cell::Text(v),
            Self::Static(v) => Cell::Text(v),
            Self::Bytes(v) => Cell::Bytes(v),
        }
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

macro_rules! value_from {
    ($($from:ty => |$v:ident| $to:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from($v: $from) -> Self {
                $to
            }
        })+
    };
}

value_from! {
    bool => |v| Value::Bool(v),
    i64 => |v| Value::Int(v),
    i32 => |v| Value::Int(v.into()),
    u32 => |v| Value::Int(v.into()),
    f64 => |v| Value::Real(v),
    String => |v| Value::Text(v),
    &String => |v| Value::Text(v.clone()),
    &str => |v| Value::Text(v.to_owned()),
    Cow<'static, str> => |v| match v {
        Cow::Borrowed(text) => Value::Static(text),
        Cow::Owned(text) => Value::Text(text),
    },
    Vec<u8> => |v| Value::Bytes(v),
    &[u8] => |v| Value::Bytes(v.to_vec()),
    &Value => |v| v.clone(),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One column of a row, borrowed.
#[derive(Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A truth value (never from `SQLite`, which has none).
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// Text; also JSON columns of `PostgreSQL`.
    Text(&'a str),
    /// Bytes, and text that is not UTF-8.
    Bytes(&'a [u8]),
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bool(_) => f.write_str("Bool"),
            Self::Int(_) => f.write_str("Int"),
            Self::Real(_) => f.write_str("Real"),
            Self::Text(v) => write!(f, "Text({} bytes)", v.len()),
            Self::Bytes(v) => write!(f, "Bytes({} bytes)", v.len()),
        }
    }
}

impl Cell<'_> {
    /// The same value, owned.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(v) => Value::Bool(v),
            Self::Int(v) => Value::Int(v),
            Self::Real(v) => Value::Real(v),
            Self::Text(v) => Value::Text(v.to_owned()),
            Self::Bytes(v) => Value::Bytes(v.to_vec()),
        }
    }
}

/// A borrowed look at a row that is being stepped. Columns count from 0; one past the end, or one of another type, is `None`.
pub trait Columns {
    /// How many columns the row has.
    fn width(&self) -> usize;
    /// The name of a column as the statement gives it, empty past the end.
    fn name(&self, column: usize) -> &str;
    /// What a column holds, [`Cell::Null`] past the end.
    fn cell(&self, column: usize) -> Cell<'_>;

    /// Whether a column is NULL.
    fn is_null(&self, column: usize) -> bool {
        matches!(self.cell(column), Cell::Null)
    }

    /// A text.
    fn text(&self, column: usize) -> Option<&str> {
        match self.cell(column) {
            Cell::Text(v) => Some(v),
            _ => None,
        }
    }

    /// A whole number.
    fn int(&self, column: usize) -> Option<i64> {
        match self.cell(column) {
            Cell::Int(v) => Some(v),
            Cell::Bool(v) => Some(v.into()),
            _ => None,
        }
    }

    /// A number.
    fn real(&self, column: usize) -> Option<f64> {
        match self.cell(column) {
            Cell::Real(v) => Some(v),
            #[expect(clippy::cast_precision_loss, reason = "a whole number read as a float, as SQL itself does it")]
            Cell::Int(v) => Some(v as f64),
            _ => None,
        }
    }

    /// A truth value; any whole number but 0 is true.
    fn bool(&self, column: usize) -> Option<bool> {
        match self.cell(column) {
            Cell::Bool(v) => Some(v),
            Cell::Int(v) => Some(v != 0),
            _ => None,
        }
    }

    /// Bytes.
    fn bytes(&self, column: usize) -> Option<&[u8]> {
        match self.cell(column) {
            Cell::Bytes(v) => Some(v),
            _ => None,
        }
    }
}

/// A row of its own. The getters answer an error for a column that is missing, NULL or of another type: that is a mistake
/// in the statement, not in the data. Their `opt_` twins accept NULL.
#[derive(Clone, PartialEq, Debug)]
pub struct Row(Vec<Value>);

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident, $opt:ident: $type:ty;)+) => {
        $(
            $(#[$doc])*
            pub fn $name(&self, column: usize) -> Result<$type> {
                Columns::$name(self, column).ok_or_else(|| self.mismatch(column, stringify!($name)))
            }

            #[doc = concat!("As [`Row::", stringify!($name), "`], `None` for NULL.")]
            pub fn $opt(&self, column: usize) -> Result<Option<$type>> {
                if matches!(self.0.get(column), Some(Value::Null)) { Ok(None) } else { self.$name(column).map(Some) }
            }
        )+
    };
}

impl Row {
    /// Takes the values of a row in the order of its columns.
    pub fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// Copies a row that is being stepped.
    pub fn copy(columns: &dyn Columns) -> Self {
        Self((0..columns.width()).map(|i| columns.cell(i).to_value()).collect())
    }

    /// The values.
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// Gives the values away.
    pub fn into_values(self) -> Vec<Value> {
        self.0
    }

    /// Takes a text out without copying; the column is NULL afterwards.
    pub fn take_text(&mut self, column: usize) -> Result<String> {
        match self.0.get_mut(column).map(std::mem::take) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(self.mismatch(column, "text")),
        }
    }

    getters! {
        /// A text.
        text, opt_text: &str;
        /// A whole number.
        int, opt_int: i64;
        /// A number.
        real, opt_real: f64;
        /// A truth value; any whole number but 0 is true.
        bool, opt_bool: bool;
        /// Bytes.
        bytes, opt_bytes: &[u8];
    }

    fn mismatch(&self, column: usize, wanted: &str) -> Error {
        let found = self.0.get(column);
        Error::internal(format!("column {column} should be {wanted} and is {found:?}"))
    }
}

impl Columns for Row {
    fn width(&self) -> usize {
        self.0.len()
    }

    fn name(&self, _column: usize) -> &'static str {
        ""
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        self.0.get(column).map_or(Cell::Null, Value::cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_getter_refuses_null_and_its_twin_accepts_it() {
        let row = Row::new(vec![Value::Null, "a".into(), 1.into()]);
        assert!(row.text(0).is_err());
        assert_eq!(row.opt_text(0).unwrap(), None);
        assert_eq!(row.opt_text(1).unwrap(), Some("a"));
        assert!(row.opt_text(2).is_err());
        assert!(row.opt_text(3).is_err());
        assert!(row.bool(2).unwrap());
        assert!((row.real(2).unwrap() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn debug_never_shows_what_a_value_holds() {
        let row = Row::new(vec!["marker".into(), vec![1_u8, 2].into()]);
        assert_eq!(format!("{row:?}"), "Row([Text(6 bytes), Bytes(2 bytes)])");
    }
}
