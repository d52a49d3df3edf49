//! Values to and from the binary formats of `PostgreSQL`.
//!
//! A bind is written as whatever type the server inferred for it, if nothing is lost; a column is read as the nearest kind
//! of [`Cell`]. `numeric` is read as a number with a fraction; a type that has no kind here (a timestamp, a uuid, an array)
//! is an error that says to cast it.

use crate::error::{Error, Fault, Result};
use crate::value::{Cell, Columns, Value};
use postgres_types::private::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type};
use std::error::Error as StdError;
use std::fmt::{self, Write as _};

type Refusal = Box<dyn StdError + Sync + Send>;

/// A bound value.
pub(super) struct Bind<'v>(pub(super) &'v Value);

impl fmt::Debug for Bind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ToSql for Bind<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Bool(v) => match *ty {
                Type::BOOL => v.to_sql(ty, out),
                _ => whole((*v).into(), ty, out),
            },
            Value::Int(v) => whole(*v, ty, out),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a `real` column holds half of the digits, and says so"
            )]
            Value::Real(v) => match *ty {
                Type::FLOAT8 => v.to_sql(ty, out),
                Type::FLOAT4 => (*v as f32).to_sql(ty, out),
                _ => misfit("a fraction", ty),
            },
            Value::Text(v) => text(v, ty, out),
            Value::Static(v) => text(v, ty, out),
            Value::Bytes(v) => match *ty {
                Type::BYTEA => v.as_slice().to_sql(ty, out),
                _ => misfit("bytes", ty),
            },
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres_types::to_sql_checked!();
}

const JSONB_VERSION: u8 = 1;

fn text(value: &str, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
    match *ty {
        Type::JSONB => {
            out.extend_from_slice(&[JSONB_VERSION]);
            out.extend_from_slice(value.as_bytes());
            Ok(IsNull::No)
        }
        Type::JSON => {
            out.extend_from_slice(value.as_bytes());
            Ok(IsNull::No)
        }
        _ if <&str as ToSql>::accepts(ty) => value.to_sql(ty, out),
        _ => misfit("a text", ty),
    }
}

fn whole(value: i64, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
    #[expect(clippy::cast_precision_loss, reason = "as SQL itself compares a whole number with a float")]
    match *ty {
        Type::INT8 => value.to_sql(ty, out),
        Type::INT4 => i32::try_from(value)?.to_sql(ty, out),
        Type::INT2 => i16::try_from(value)?.to_sql(ty, out),
        Type::OID => u32::try_from(value)?.to_sql(ty, out),
        Type::BOOL => (value != 0).to_sql(ty, out),
        Type::FLOAT8 => (value as f64).to_sql(ty, out),
        Type::FLOAT4 => (value as f32).to_sql(ty, out),
        _ => misfit("a whole number", ty),
    }
}

fn misfit(what: &str, ty: &Type) -> Result<IsNull, Refusal> {
    Err(format!("{what} bound where `{ty}` is expected").into())
}

/// A column as it came over the wire.
struct Raw<'r>(Cell<'r>);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(ty: &Type, raw: &'r [u8]) -> Result<Self, Refusal> {
        Ok(Self(match *ty {
            Type::BOOL => Cell::Bool(bool::from_sql(ty, raw)?),
            Type::INT8 => Cell::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Cell::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Cell::Int(i16::from_sql(ty, raw)?.into()),
            Type::OID => Cell::Int(u32::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Cell::Real(f64::from_sql(ty, raw)?),
            Type::FLOAT4 => Cell::Real(f32::from_sql(ty, raw)?.into()),
            Type::NUMERIC => Cell::Real(numeric(raw).ok_or("a number that cannot be read")?),
            Type::BYTEA => Cell::Bytes(raw),
            Type::JSON => Cell::Text(std::str::from_utf8(raw)?),
            Type::JSONB => match raw {
                [JSONB_VERSION, text @ ..] => Cell::Text(std::str::from_utf8(text)?),
                _ => return Err("JSON of an unknown version".into()),
            },
            // What has no column, such as `SELECT pg_notify(…)`.
            Type::VOID => Cell::Null,
            _ => Cell::Text(<&str>::from_sql(ty, raw)?),
        }))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(
            *ty,
            Type::BOOL
                | Type::INT8
                | Type::INT4
                | Type::INT2
                | Type::OID
                | Type::FLOAT8
                | Type::FLOAT4
                | Type::NUMERIC
                | Type::BYTEA
                | Type::JSON
                | Type::JSONB
                | Type::VOID
        ) || <&str as FromSql<'_>>::accepts(ty)
    }
}

/// Reads `numeric`: a count of digits to the base 10 000, the weight of the first, a sign, a scale, the digits.
fn numeric(raw: &[u8]) -> Option<f64> {
    let word = |at: usize| raw.get(at * 2..at * 2 + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let (count, weight, sign) = (word(0)?, word(1)?.cast_signed(), word(2)?);
    let sign = match sign {
        0 => 1.0,
        0x4000 => -1.0,
        0xD000 => f64::INFINITY,
        0xF000 => f64::NEG_INFINITY,
        _ => f64::NAN,
    };
    if !f64::is_finite(sign) {
        return Some(sign);
    }
    // Through decimal text: multiplying powers of ten would lose the last digit.
    let mut text = String::from("0");
    for at in 0..usize::from(count) {
        let digit = word(4 + at)?;
        let _ = write!(text, "{digit:04}");
    }
    let exponent = (i32::from(weight) + 1 - i32::from(count)) * 4;
    let _ = write!(text, "e{exponent}");
    text.parse::<f64>().ok().map(|number| sign * number)
}

/// A row while it is stepped, checked so that no column of it is of an unreadable type.
pub(super) struct Stepped<'r>(&'r tokio_postgres::Row);

impl<'r> Stepped<'r> {
    pub(super) fn new(row: &'r tokio_postgres::Row) -> Result<Self> {
        for column in row.columns() {
            if !Raw::accepts(column.type_()) {
                let message = format!("column `{}` is of type `{}`: cast it", column.name(), column.type_());
                return Err(Error::Internal(Fault::new("type", message)));
            }
        }
        Ok(Self(row))
    }
}

impl Columns for Stepped<'_> {
    fn width(&self) -> usize {
        self.0.len()
    }

    fn name(&self, column: usize) -> &str {
        self.0.columns().get(column).map_or("", tokio_postgres::Column::name)
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        match self.0.try_get::<_, Option<Raw<'_>>>(column) {
            Ok(Some(Raw(cell))) => cell,
            Ok(None) | Err(_) => Cell::Null,
        }
    }
}
