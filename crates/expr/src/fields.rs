//! Field lists: which values of a record to show, and how.

use crate::schema::Schema;
use crate::suggestion::suggest;
use crate::value::{Kind, lower, upper};
use crate::{Error, MAX_EXCERPT, MAX_EXCERPT_SUFFIX, MAX_FIELD_ITEMS, MAX_LENGTH};

/// A field list. `id`, `created` and `updated` are shown whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldList {
    /// The fields to show; all if empty.
    pub include: Vec<FieldItem>,
    /// The fields to leave out; only used when nothing is included.
    pub exclude: Vec<String>,
}

/// One field to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldItem {
    /// Name of the field.
    pub name: String,
    /// What is done to its text.
    pub transform: Option<Transform>,
}

/// What is done to a text before it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform {
    /// [`crate::lower`].
    Lower,
    /// [`crate::upper`].
    Upper,
    /// The first characters, and the suffix if that left any out.
    Excerpt {
        /// Most characters kept.
        length: usize,
        /// What follows a text that was cut.
        suffix: String,
    },
}

impl Transform {
    /// The text to show.
    pub fn apply(&self, text: &str) -> String {
        match self {
            Self::Lower => lower(text),
            Self::Upper => upper(text),
            Self::Excerpt { length, suffix } => match text.char_indices().nth(*length) {
                Some((end, _)) => format!("{}{suffix}", text.get(..end).unwrap_or(text)),
                None => text.to_owned(),
            },
        }
    }
}

impl FieldList {
    /// Whether the field is shown, and how.
    pub fn shows(&self, name: &str) -> Option<Option<&Transform>> {
        if self.include.is_empty() {
            return (!self.exclude.iter().any(|excluded| excluded == name)).then_some(None);
        }
        self.include.iter().find(|item| item.name == name).map(|item| item.transform.as_ref())
    }
}

/// Reads a comma list of `name`, `-name`, `name:lower`, `name:upper`, `name:excerpt(n)` and
/// `name:excerpt(n,"suffix")`. Blanks around an item are ignored; a blank text shows everything.
///
/// # Errors
/// [`Error`] for anything that is not a field the schema offers, for a transform of what is not text, and past the
/// limits.
pub fn parse_fields(source: &str, schema: &dyn Schema) -> Result<FieldList, Error> {
    if source.chars().nth(MAX_LENGTH).is_some() {
        let reason = format!("a field list has at most {MAX_LENGTH} characters");
        return Err(Error::new(MAX_LENGTH, reason));
    }
    let mut reader = Reader { characters: source.chars().collect(), next: 0 };
    let mut list = FieldList::default();
    reader.skip_blanks();
    if reader.peek().is_none() {
        return Ok(list);
    }
    loop {
        reader.skip_blanks();
        if list.include.len() + list.exclude.len() == MAX_FIELD_ITEMS {
            return Err(reader.fault(format!("a field list has at most {MAX_FIELD_ITEMS} names")));
        }
        reader.item(schema, &mut list)?;
        reader.skip_blanks();
        match reader.peek() {
            None => return Ok(list),
            Some(',') => reader.next += 1,
            Some(_) => return Err(reader.unexpected("`,`")),
        }
    }
}

struct Reader {
    characters: Vec<char>,
    next: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.next).copied()
    }

    fn accept(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        self.next += usize::from(found);
        found
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next += 1;
        }
    }

    fn word(&mut self, accept: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        while let Some(character) = self.peek().filter(|c| accept(*c)) {
            word.push(character);
            self.next += 1;
        }
        word
    }

    fn fault(&self, reason: impl Into<String>) -> Error {
        Error::new(self.next, reason)
    }

    fn unexpected(&self, expected: &str) -> Error {
        let found = match self.peek() {
            Some(character) => format!("`{}`", character.escape_debug()),
            None => "the end".to_owned(),
        };
        self.fault(format!("found {found}, expected {expected}"))
    }

    fn item(&mut self, schema: &dyn Schema, list: &mut FieldList) -> Result<(), Error> {
        let excluded = self.accept('-');
        let at = self.next;
        let name = self.word(|c| c.is_alphanumeric() || c == '_');
        if name.is_empty() {
            return Err(self.unexpected("the name of a field"));
        }
        let Some(field) = schema.field(&name) else {
            let near = suggest(&name, schema.field_names());
            return Err(Error::new(at, format!("unknown field `{name}`{near}")));
        };
        if excluded {
            list.exclude.push(name);
            return Ok(());
        }
        let mut transform = None;
        if self.accept(':') {
            if field.kind != Kind::Text || field.list {
                return Err(self.fault(format!("`{name}` is not a text, so it is shown as it is")));
            }
            transform = Some(self.transform()?);
        }
        list.include.push(FieldItem { name, transform });
        Ok(())
    }

    fn transform(&mut self) -> Result<Transform, Error> {
        let at = self.next;
        let name = self.word(char::is_alphanumeric);
        match name.as_str() {
            "lower" => Ok(Transform::Lower),
            "upper" => Ok(Transform::Upper),
            "excerpt" => self.excerpt(),
            _ => {
                let near = suggest(&name, ["lower", "upper", "excerpt"]);
                Err(Error::new(at, format!("unknown modifier `:{name}`{near}")))
            }
        }
    }

    fn excerpt(&mut self) -> Result<Transform, Error> {
        if !self.accept('(') {
            return Err(self.unexpected("`(` after `excerpt`"));
        }
        self.skip_blanks();
        let at = self.next;
        let digits = self.word(|c| c.is_ascii_digit());
        let length = match digits.parse::<usize>() {
            Ok(length) if (1..=MAX_EXCERPT).contains(&length) => length,
            _ => {
                let reason = format!("expected a number of characters from 1 to {MAX_EXCERPT}");
                return Err(Error::new(at, reason));
            }
        };
        self.skip_blanks();
        let mut suffix = String::new();
        if self.accept(',') {
            self.skip_blanks();
            suffix = self.text()?;
            self.skip_blanks();
        }
        if !self.accept(')') {
            return Err(self.unexpected("`)`"));
        }
        Ok(Transform::Excerpt { length, suffix })
    }

    fn text(&mut self) -> Result<String, Error> {
        let start = self.next;
        let Some(quote @ ('"' | '\'')) = self.peek() else {
            return Err(self.unexpected("a text in quotes"));
        };
        self.next += 1;
        let mut text = String::new();
        loop {
            let Some(character) = self.peek() else {
                return Err(Error::new(start, format!("this {quote} is not closed")));
            };
            self.next += 1;
            if character == quote {
                break;
            }
            text.push(match (character, self.peek()) {
                ('\\', Some(escaped @ ('"' | '\'' | '\\'))) => {
                    self.next += 1;
                    escaped
                }
                ('\\', _) => return Err(Error::new(self.next - 1, "unknown escape")),
                _ => character,
            });
        }
        if text.chars().count() > MAX_EXCERPT_SUFFIX {
            let reason = format!("a suffix has at most {MAX_EXCERPT_SUFFIX} characters");
            return Err(Error::new(start, reason));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
