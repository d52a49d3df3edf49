//! The syntax of `.env`.
//!
//! ```text
//! line    = [ "export" ] NAME "=" [ value ] [ "#" comment ]  |  "#" comment  |  nothing
//! NAME    = ( letter | "_" ) { letter | digit | "_" }
//! value   = bare | "'" any "'" | '"' { any | escape } '"'
//! escape  = "\n" | "\r" | "\t" | "\\" | "\"" | "\'" | "\$"        (any other backslash stands for itself)
//! ```
//! A bare value ends at the line's end or before a `#` that follows white space, and is trimmed. Quoted values may span lines.
//! Nothing is expanded: a `$` is a dollar sign. Faults name the line and never repeat its text, which may be a secret.

use fastcms_secrets::Secret;

/// One assignment.
pub(super) struct Entry {
    /// The line it starts on, from 1.
    pub line: usize,
    /// The name as written.
    pub name: String,
    /// The value, unquoted.
    pub value: Secret<String>,
}

/// All assignments in order, and what is wrong by line.
pub(super) fn parse(text: &str) -> (Vec<Entry>, Vec<(usize, &'static str)>) {
    let mut input = Input { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    while !input.rest.is_empty() {
        let line = input.line;
        match input.assignment() {
            Ok(Some((name, value))) => entries.push(Entry { line, name, value: Secret::new(value) }),
            Ok(None) => {}
            Err(message) => faults.push((line, message)),
        }
        input.skip_line();
    }
    (entries, faults)
}

struct Input<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Input<'a> {
    /// One line, up to but without its end.
    fn assignment(&mut self) -> Result<Option<(String, String)>, &'static str> {
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
        self.skip_blanks();
        let spaced = self.rest.len() < after.len();
        let value = match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let value = self.quoted(quote)?;
                let gap = self.rest.len();
                self.skip_blanks();
                let commented = self.rest.starts_with('#') && self.rest.len() < gap;
                if !commented && !matches!(self.rest.chars().next(), None | Some('\n' | '\r')) {
                    return Err("text after the closing quote: remove it, or put a space and `#` before a comment");
                }
                value
            }
            _ => self.bare(spaced),
        };
        Ok(Some((name, value)))
    }

    /// A value without quotes; `spaced` when white space stands before it, so that even its first `#` opens a comment.
    fn bare(&mut self, spaced: bool) -> String {
        let line = self.take_while(|c| c != '\n');
        let comment = line
            .char_indices()
            .find(|(at, c)| *c == '#' && line[..*at].chars().next_back().map_or(spaced, char::is_whitespace));
        comment.map_or(line, |(at, _)| &line[..at]).trim().to_owned()
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let body = &self.rest[1..];
        let mut value = String::new();
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
        Err("the quote that starts here is never closed")
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

#[cfg(test)]
mod tests {
    use super::*;

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
