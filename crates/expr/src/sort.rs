//! Sort keys: names from the schema and nothing else.

use crate::schema::Schema;
use crate::{Column, Error, Kind, MAX_LENGTH, MAX_SORT_KEYS};

/// One key of a sort. Nulls come first ascending and last descending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortKey {
    /// By a stored single value of text, number, bool, instant or date; text by UTF-8 bytes.
    Column {
        /// The value, never many and without modifier.
        column: Column,
        /// Whether the greatest comes first.
        descending: bool,
    },
    /// `@random`: in random order.
    Random,
    /// `@rowid`: in order of insertion.
    RowId {
        /// Whether the latest comes first.
        descending: bool,
    },
}

/// Reads a comma list of at most [`MAX_SORT_KEYS`] keys: `-f`, `+f`, `f`, `relation.field`, `@random`, `@rowid`.
/// Blanks around a key are ignored; a blank text has no keys.
///
/// # Errors
/// [`Error`] for anything that is not a name the schema offers, and past the limits.
pub fn parse_sort(source: &str, schema: &dyn Schema) -> Result<Vec<SortKey>, Error> {
    if source.chars().nth(MAX_LENGTH).is_some() {
        return Err(Error::new(MAX_LENGTH, format!("a sort has at most {MAX_LENGTH} characters")));
    }
    if source.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut keys = Vec::new();
    let mut start = 0;
    for part in source.split(',') {
        let blanks = part.chars().take_while(|c| c.is_whitespace()).count();
        if keys.len() == MAX_SORT_KEYS {
            return Err(Error::new(start + blanks, format!("a sort has at most {MAX_SORT_KEYS} keys")));
        }
        keys.push(key(part.trim(), start + blanks, schema)?);
        start += part.chars().count() + 1;
    }
    Ok(keys)
}

fn key(text: &str, position: usize, schema: &dyn Schema) -> Result<SortKey, Error> {
    let (descending, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let position = position + usize::from(name.len() != text.len());
    match name {
        "" => return Err(Error::new(position, "expected the name of a field")),
        "@random" => return Ok(SortKey::Random),
        "@rowid" => return Ok(SortKey::RowId { descending }),
        _ => {}
    }
    let column = crate::check::column(name, position, schema)?;
    if column.is_many() {
        return Err(Error::new(position, format!("`{name}` holds a list, which has no order")));
    }
    if matches!(column.kind, Kind::Json | Kind::Geo) {
        return Err(Error::new(position, format!("`{name}` holds {}, which has no order", column.kind.noun())));
    }
    Ok(SortKey::Column { column, descending })
}

#[cfg(test)]
mod tests;
