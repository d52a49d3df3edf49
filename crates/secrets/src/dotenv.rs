//! The syntax of `.env`, and of what a file of age may hold.
//!
//! ```text
//! line    = [ "export" ] NAME "=" [ value ] [ "#" comment ]  |  "#" comment  |  nothing
//! NAME    = ( letter | "_" ) { letter | digit | "_" }
//! value   = bare | "'" any "'" | '"' { any | escape } '"'
//! escape  = "\n" | "\r" | "\t" | "\\" | "\"" | "\'" | "\$"        (any other backslash stands for itself)
//! ```
//! A bare value ends at the line's end or before a `#` that follows white space, and is trimmed. Quoted values may span lines.
//! Nothing is expanded: a `$` is a dollar sign. Faults name the line and never repeat its text, which may be a secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use crate::Secret;

/// One assignment.
pub struct Entry {
    /// The line it starts on, from 1.
    pub line: usize,
    /// The name as written.
    pub name: String,
    /// The value, unquoted.
    pub value: Secret<String>,
    /// Where the value stands in the text, quotes included.
    at: Range<usize>,
}

/// The text with other values for some names; an empty value is as good as none. Of several lines that set a name the last is changed,
/// since that one counts; a name that is not set gets a line at the end. All else stays byte for byte.
///
/// # Errors
/// A text that cannot be read, or a value that cannot be written so that it would be read back.
pub fn assign(text: &str, values: &[(&str, &str)]) -> Result<Secret<String>, &'static str> {
    let (entries, faults) = parse(text);
    if !faults.is_empty() {
        return Err("holds lines that cannot be read");
    }
    let mut changed = text.to_owned();
    let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
    let mut added = String::new();
    for (name, value) in values {
        match entries.iter().rfind(|entry| entry.name.eq_ignore_ascii_case(name)) {
            Some(entry) => edits.push((entry.at.clone(), value)),
            None if value.is_empty() => {}
            None => writeln!(added, "{name}={}", quoted(value)).expect("a text takes what is written"),
        }
    }
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    for (at, value) in edits {
        changed.replace_range(at, &quoted(value));
    }
    if !added.is_empty() && !changed.is_empty() && !changed.ends_with('\n') {
        changed.push('\n');
    }
    changed.push_str(&added);
    let changed = Secret::new(changed);
    let mut wanted = settings(text);
    for (name, value) in values {
        if !value.is_empty() || wanted.contains_key(*name) {
            wanted.insert((*name).to_owned(), (*value).to_owned());
        }
    }
    if settings(changed.expose()) == wanted { Ok(changed) } else { Err("cannot hold one of the values") }
}

/// What the text comes to: the last value of each name.
fn settings(text: &str) -> BTreeMap<String, String> {
    let (entries, _) = parse(text);
    entries.into_iter().map(|entry| (entry.name.to_ascii_uppercase(), entry.value.expose().clone())).collect()
}

/// A value as it has to be written.
fn quoted(value: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/+=@%".contains(c);
    if value.chars().all(plain) {
        return Cow::Borrowed(value);
    }
    if !value.contains('\'') {
        return format!("'{value}'").into();
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text.into()
}

/// All assignments in order, and what is wrong by line.
pub fn parse(text: &str) -> (Vec<Entry>, Vec<(usize, &'static str)>) {
    let mut input = Input { text, rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    while !input.rest.is_empty() {
        let line = input.line;
        match input.assignment() {
            Ok(Some((name, value, at))) => entries.push(Entry { line, name, value: Secret::new(value), at }),
            Ok(None) => {}
            Err(message) => faults.push((line, message)),
        }
        input.skip_line();
    }
    (entries, faults)
}

/// A name, its value, and where the value stands.
type Assignment = (String, String, Range<usize>);

struct Input<'a> {
    text: &'a str,
    /// What is not read yet: the end of `text`.
    rest: &'a str,
    line: usize,
}

impl<'a> Input<'a> {
    /// One line, up to but without its end.
    fn assignment(&mut self) -> Result<Option<Assignment>, &'static str> {
        self.skip_blanks();
        if self.at_end() {
            return Ok(None);
        }
        if let Some(after) = self.rest.strip_prefix("export").filter(|after| after.starts_with([' ', '\t'])) {
            self.rest = after;
            self.skip_blanks();
        }
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        self.skip_blanks();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("expected `NAME=value`");
        }
        let Some(after) = self.rest.strip_prefix('=') else {
            return Err("expected `=` after the name");
        };
        self.rest = after;
        let start = self.position();
        self.skip_blanks();
        let spaced = self.rest.len() < after.len();
        let (value, at) = if let Some(quote @ ('\'' | '"')) = self.rest.chars().next() {
            let start = self.position();
            let value = self.quoted(quote)?;
            let at = start..self.position();
            let gap = self.rest.len();
            self.skip_blanks();
            let commented = self.rest.starts_with('#') && self.rest.len() < gap;
            if !commented && !matches!(self.rest.chars().next(), None | Some('\n' | '\r')) {
                return Err("text after the closing quote: remove it, or put a space and `#` before a comment");
            }
            (value, at)
        } else {
            let value = self.bare(spaced);
            // An empty one stands before the blanks, so that a comment behind it stays one.
            let start = if value.is_empty() { start } else { value.as_ptr().addr() - self.text.as_ptr().addr() };
            (value.to_owned(), start..start + value.len())
        };
        Ok(Some((name, value, at)))
    }

    /// How much of the text is read, in bytes.
    const fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// A value without quotes; `spaced` when white space stands before it, so that even its first `#` opens a comment.
    fn bare(&mut self, spaced: bool) -> &'a str {
        let line = self.take_while(|c| c != '\n');
        let comment = line
            .char_indices()
            .find(|(at, c)| *c == '#' && line[..*at].chars().next_back().map_or(spaced, char::is_whitespace));
        comment.map_or(line, |(at, _)| &line[..at]).trim()
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        const OPEN: &str = "the quote that starts here is never closed";
        let body = &self.rest[1..];
        // Large enough at once: growing would leave copies of a secret behind in freed memory.
        let mut value = String::with_capacity(closing(body, quote).ok_or(OPEN)?);
        let mut chars = body.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.line += body[..at].matches('\n').count();
                    self.rest = &body[at + 1..];
                    return Ok(value);
                }
                '\\' if quote == '"' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, c @ ('\\' | '"' | '\'' | '$'))) => value.push(c),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => {}
                },
                c => value.push(c),
            }
        }
        Err(OPEN)
    }

    fn at_end(&self) -> bool {
        matches!(self.rest.chars().next(), None | Some('\n' | '\r' | '#'))
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_line(&mut self) {
        match self.rest.find('\n') {
            Some(at) => {
                self.rest = &self.rest[at + 1..];
                self.line += 1;
            }
            None => self.rest = "",
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// Where a quoted value ends, in bytes from its beginning.
fn closing(body: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    let end = body.char_indices().find(|(_, c)| {
        let is_end = *c == quote && !is_escaped;
        is_escaped = quote == '"' && *c == '\\' && !is_escaped;
        is_end
    });
    end.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_value_leaves_the_rest_of_the_file_alone() {
        let changed = |text: &str, values: &[(&str, &str)]| assign(text, values).map(|text| text.expose().clone());
        for (text, values, expected) in [
            ("A=1\nB=2\n", [("A", "3"), ("B", "")], "A=3\nB=\n"),
            (
                "# A=0\r\nexport a = 'x y' # why\r\nC=$5",
                [("A", "new"), ("C", "$5")],
                "# A=0\r\nexport a = new # why\r\nC='$5'",
            ),
            (
                "\u{feff}A=\"1\n2\"  \nA=x",
                [("A", "it's $a \\ \"b\""), ("C", "")],
                "\u{feff}A=\"1\n2\"  \nA=\"it's \\$a \\\\ \\\"b\\\"\"",
            ),
            ("A=", [("A", "b#c"), ("NEW", "d,e")], "A='b#c'\nNEW=d,e\n"),
            ("A= # comment\n", [("A", "b"), ("B", "c")], "A=b # comment\nB=c\n"),
            ("A=\u{a0}x\u{a0}\nB= y #z", [("A", "a"), ("B", "b")], "A=\u{a0}a\u{a0}\nB= b #z"),
        ] {
            assert_eq!(changed(text, &values), Ok(expected.to_owned()), "{text:?}");
        }
        assert_eq!(changed("A 1\nB=2", &[("B", "3")]), Err("holds lines that cannot be read"));
        assert_eq!(changed("", &[("A", "\u{feff}"), ("B", "")]), Ok("A='\u{feff}'\n".to_owned()));
    }

    fn values(text: &str) -> Vec<(usize, String, String)> {
        let (entries, faults) = parse(text);
        assert_eq!(faults, [], "{text:?}");
        entries.into_iter().map(|entry| (entry.line, entry.name, entry.value.expose().clone())).collect()
    }

    fn value(text: &str) -> String {
        let mut all = values(text);
        assert_eq!(all.len(), 1, "{text:?}");
        all.remove(0).2
    }

    #[test]
    fn values_are_read_bare_and_quoted() {
        for (text, expected) in [
            ("A=b", "b"),
            ("A=", ""),
            ("  export A = b c  ", "b c"),
            ("A=b # comment", "b"),
            ("A= # comment", ""),
            ("A=b#c", "b#c"),
            ("A=#c", "#c"),
            ("A='b # c' # comment", "b # c"),
            ("A=\"b # c\"", "b # c"),
            ("A='$b\\n'", "$b\\n"),
            ("A=\"x\\ty\\n\\\"z\\\" \\$5 \\d\"", "x\ty\n\"z\" $5 \\d"),
            ("A='it\nspans'", "it\nspans"),
            ("A=grüße 世界", "grüße 世界"),
            ("A=a=b", "a=b"),
            ("A=it's", "it's"),
            ("\u{feff}A=b\r\n", "b"),
            ("A=\"b\"\r\n", "b"),
            ("exported=b", "b"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn blank_lines_and_comments_are_nothing() {
        assert!(values("\n  \n# A=b\n\r\n\t# c").is_empty());
    }

    #[test]
    fn lines_are_counted_through_quotes_that_span_them() {
        let all = values("# one\nA='2\n3'\n\nB=5\n");
        assert_eq!(all.iter().map(|(line, name, _)| (*line, name.as_str())).collect::<Vec<_>>(), [(2, "A"), (5, "B")]);
    }

    #[test]
    fn faults_carry_the_line_and_the_rest_is_still_read() {
        let (entries, faults) = parse("A=1\nMARKER\n2B=x\nC 3\nD='x' y\nE=5\nF=\"open\nG=7");
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 7]);
        assert!(faults.iter().all(|(_, message)| !message.contains("MARKER")));
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["A", "E", "G"]);
    }
}
