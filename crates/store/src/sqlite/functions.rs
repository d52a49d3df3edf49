//! Functions that the expression language needs and `SQLite` lacks: its own `lower` and `upper` know ASCII only, and it is
//! built without mathematics.

use super::fault::meaning;
use crate::error::Result;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};

/// Adds them to a connection: pure, and harmless in an index or a view.
pub(super) fn add(conn: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("fastcms_lower", 1, flags, |context| Ok(mapped(context, fastcms_expr::lower)))
        .map_err(meaning)?;
    conn.create_scalar_function("fastcms_upper", 1, flags, |context| Ok(mapped(context, fastcms_expr::upper)))
        .map_err(meaning)?;
    conn.create_scalar_function("fastcms_distance", 4, flags, |context| Ok(distance(context))).map_err(meaning)
}

/// Kilometres between two points, each a latitude and a longitude in degrees; NULL if one of the four is no number.
fn distance(context: &Context<'_>) -> Option<f64> {
    let degrees = |at| context.get::<f64>(at).ok();
    Some(fastcms_expr::distance_km(degrees(0)?, degrees(1)?, degrees(2)?, degrees(3)?))
}

/// NULL stays NULL, and so does what is no text.
fn mapped(context: &Context<'_>, map: fn(&str) -> String) -> Value {
    match context.get_raw(0) {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_or(Value::Null, |text| Value::Text(map(text))),
        _ => Value::Null,
    }
}
