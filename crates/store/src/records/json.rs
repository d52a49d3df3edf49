//! A row as the JSON of a record, written in one go: no map, no value in between.

use super::{View, is_json};
use crate::schema::Storage;
use crate::{Cell, Columns};

/// The largest whole number that a double holds exactly, 2^53.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Room that most records have enough of, bytes.
const USUAL: usize = 512;

/// A whole record: `{"id", "data", "created", "updated", "expand"}`.
pub(super) fn record(view: &View, row: &dyn Columns) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL);
    write_record(&mut out, view, row);
    out
}

/// Writes a record whose columns start at the row's first.
pub(super) fn write_record(out: &mut Vec<u8>, view: &View, row: &dyn Columns) {
    let View { collection, shape, .. } = view;
    let has_sealed = collection.has_sealed();
    out.extend_from_slice(b"{\"id\":");
    write_text(out, row.text(0));
    out.extend_from_slice(b",\"data\":{");
    let mut column = 3;
    shape.for_each(collection, |at, transform| {
        if column > 3 {
            out.push(b',');
        }
        out.extend_from_slice(collection.json_key(at).as_bytes());
        match (row.cell(column), transform) {
            (Cell::Text(sealed), _) if has_sealed && collection.fields()[at].encrypted => {
                write_opened(out, view, row.text(0).unwrap_or_default(), at, sealed);
            }
            (Cell::Text(text), Some(transform)) if !is_json(collection, at) => {
                write_text(out, Some(&transform.apply(text)));
            }
            (cell, _) => write_value(out, collection.storage(at), cell),
        }
        column += 1;
    });
    out.extend_from_slice(b"},\"created\":");
    write_text(out, row.text(1));
    out.extend_from_slice(b",\"updated\":");
    write_text(out, row.text(2));
    out.extend_from_slice(b",\"expand\":{}}");
}

/// Writes a value that lies sealed; null where it cannot be opened, which whoever opens takes note of.
fn write_opened(out: &mut Vec<u8>, view: &View, record: &str, at: usize, sealed: &str) {
    let field = view.collection.fields()[at].name.as_str();
    let opened = view
        .unseal
        .as_ref()
        .and_then(|unseal| unseal.open(super::Place { collection: view.collection.id(), record, field }, sealed));
    out.extend_from_slice(opened.as_deref().unwrap_or(b"null"));
}

/// A value of a field as clients see it: what is sealed of a field that is encrypted.
pub fn shown(field: &crate::schema::Field, value: &crate::Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, field.plain_storage(), value.cell());
    out
}

/// Writes one stored value as clients see it.
pub(crate) fn write_value(out: &mut Vec<u8>, storage: Storage, cell: Cell<'_>) {
    match cell {
        Cell::Text(text) if storage == Storage::Json => out.extend_from_slice(text.as_bytes()),
        Cell::Text(text) => write_text(out, Some(text)),
        Cell::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        Cell::Int(number) if storage == Storage::Bool => {
            out.extend_from_slice(if number == 0 { b"false" } else { b"true" });
        }
        Cell::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Cell::Real(number) => write_number(out, number),
        Cell::Null | Cell::Bytes(_) => out.extend_from_slice(b"null"),
    }
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: Option<&str>) {
    let Some(text) = text else {
        out.extend_from_slice(b"null");
        return;
    };
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    let written = serde_json::to_writer(&mut *out, text);
    debug_assert!(written.is_ok(), "writing a text to memory cannot fail");
}

/// Whether nothing in a text is escaped in JSON. Looks at every byte of a piece, without a branch, so that the machine takes many at a
/// time: most texts are plain.
fn is_plain(text: &[u8]) -> bool {
    let escaped = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    let has_none = |piece: &[u8; 16]| piece.iter().fold(0, |any, byte| any | escaped(*byte)) == 0;
    let (whole, rest) = text.as_chunks();
    let mut last = [b' '; 16];
    last[..rest.len()].copy_from_slice(rest);
    whole.iter().all(has_none) && has_none(&last)
}

/// Whole numbers without a fraction, others as short as they can be read back.
fn write_number(out: &mut Vec<u8>, number: f64) {
    if number.fract() == 0.0 && number.abs() <= MAX_WHOLE {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        let whole = number as i64;
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else if number.is_finite() {
        let written = serde_json::to_writer(&mut *out, &number);
        debug_assert!(written.is_ok(), "writing a number to memory cannot fail");
    } else {
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::{write_number, write_text};

    #[test]
    fn numbers_read_back_as_what_they_are() {
        for (number, wanted) in [
            (3.0, "3"),
            (-0.5, "-0.5"),
            (1e300, "1e+300"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (f64::NAN, "null"),
        ] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn texts_are_escaped() {
        let mut out = Vec::new();
        write_text(&mut out, Some("a\"b\\\n\u{1}é"));
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\\\n\\u0001é\"");
        for before in [0, 1, 62, 63, 64, 127, 1000] {
            for odd in ["", "é", "\u{7f}", "\"", "\\", "\n", "\u{1f}"] {
                let text = format!("{}{odd}{}", "x".repeat(before), "y".repeat(before));
                let mut out = Vec::new();
                write_text(&mut out, Some(&text));
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
            }
        }
    }
}
