//! What of a text would change how a terminal shows the line around it: control characters beyond ASCII, and characters that turn the
//! direction of writing or take no room. In the log they are written as escapes (ASVS 16.4.1).

use std::fmt::Write as _;
use std::io::{self, Write};

/// Whether a reader of the log would be misled by this character.
fn is_misleading(character: char) -> bool {
    matches!(character, '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Rewrites a line of JSON. Beyond ASCII such a line has nothing but the content of strings.
pub(super) fn in_json(line: &mut Vec<u8>) {
    if line.is_ascii() {
        return;
    }
    let Ok(text) = std::str::from_utf8(line) else { return };
    if !text.contains(is_misleading) {
        return;
    }
    let mut out = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        if is_misleading(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let written = write!(out, "\\u{unit:04x}");
                debug_assert!(written.is_ok(), "writing to memory cannot fail");
            }
        } else {
            out.push(character);
        }
    }
    *line = out.into_bytes();
}

/// A writer of text for people.
pub(super) struct Visible<W>(pub(super) W);

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(text) = std::str::from_utf8(bytes)
            && text.contains(is_misleading)
        {
            let shown: String = text.chars().map(|one| if is_misleading(one) { '\u{fffd}' } else { one }).collect();
            self.0.write_all(shown.as_bytes())?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_the_line_around_is_escaped_and_reads_back() {
        let said = "GET /a\u{202e}b\u{9b}31m\u{e0041}/\u{e9}";
        let mut line = serde_json::to_vec(said).unwrap();
        in_json(&mut line);
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text, "\"GET /a\\u202eb\\u009b31m\\udb40\\udc41/\u{e9}\"");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), said);
    }

    #[test]
    fn lines_for_people_show_that_something_was_there() {
        let mut out = Vec::new();
        Visible(&mut out).write_all("a\u{2028}b\u{e9}\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\u{fffd}b\u{e9}\n");
    }
}
