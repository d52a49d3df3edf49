//! What a rule names, for the question whether a change would alter what it says. Asked of its canonical text: there, whatever is quoted
//! is a value and whatever is not is a name.

use fastcms_expr::parse;

/// The names and the quoted values of a rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// Paths in segments, without modifiers: `@record.title` is `["@record", "title"]`.
    paths: Vec<Vec<String>>,
    texts: Vec<String>,
}

impl Mentions {
    /// Those of a rule; none of one that does not parse.
    pub fn of(rule: &str) -> Self {
        let Ok(expression) = parse(rule) else {
            return Self::default();
        };
        let mut mentions = Self::default();
        let canonical = expression.to_string();
        let mut chars = canonical.chars();
        let mut word = String::new();
        while let Some(c) = chars.next() {
            if c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | ':') {
                word.push(c);
                continue;
            }
            mentions.note(&mut word);
            if c == '"' {
                mentions.texts.push(quoted(&mut chars));
            }
        }
        mentions.note(&mut word);
        mentions
    }

    fn note(&mut self, word: &mut String) {
        let name = word.split(':').next().unwrap_or_default();
        if name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '@') {
            self.paths.push(name.split('.').map(str::to_owned).collect());
        }
        word.clear();
    }

    /// Whether a rule of the collection `home` may read its field, of the record, of what was sent, or by way of a relation.
    pub fn field_at_home(&self, home: &str, field: &str) -> bool {
        self.paths.iter().any(|path| match path[0].as_str() {
            "@request" => {
                path.get(1).is_some_and(|part| part == "data") && path.get(2).is_some_and(|name| name == field)
            }
            "@collection" => Self::is_of(path, home, field),
            _ => path.iter().any(|segment| segment == field),
        })
    }

    /// Whether a rule of another collection may read a field of `home`: by `@collection.` or by way of a relation.
    pub fn field_from_afar(&self, home: &str, field: &str) -> bool {
        self.paths.iter().any(|path| match path[0].as_str() {
            "@request" => false,
            "@collection" => Self::is_of(path, home, field),
            "@record" => path.iter().skip(2).any(|segment| segment == field),
            _ => path.iter().skip(1).any(|segment| segment == field),
        })
    }

    /// Whether it may hold the collection of the account that calls against `name`.
    pub fn realm(&self, name: &str) -> bool {
        self.paths.iter().any(|path| path.join(".") == "@request.auth.collection")
            && self.texts.iter().any(|text| text == name)
    }

    fn is_of(path: &[String], home: &str, field: &str) -> bool {
        path.get(1).is_some_and(|name| name.eq_ignore_ascii_case(home)) && path.get(2).is_some_and(|name| name == field)
    }
}

/// The rest of a quoted text, unescaped.
fn quoted(chars: &mut std::str::Chars<'_>) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Mentions;

    #[test]
    fn names_are_told_from_values() {
        let mentions = Mentions::of(
            r#"title = "owner \" kind" && @request.data.kind:lower != 'x' && writer.name = @collection.Posts.views"#,
        );
        for read in ["title", "kind", "writer", "name", "views"] {
            assert!(mentions.field_at_home("posts", read), "{read}");
        }
        for other in ["owner", "x", "lower", "data"] {
            assert!(!mentions.field_at_home("posts", other), "{other}");
        }
        assert!(!mentions.field_at_home("notes", "views"));
        assert!(mentions.field_from_afar("posts", "views") && mentions.field_from_afar("authors", "name"));
        assert!(!mentions.field_from_afar("posts", "title") && !mentions.field_from_afar("posts", "kind"));
    }

    #[test]
    fn a_comparison_with_the_name_of_a_collection_is_found() {
        assert!(Mentions::of("@request.auth.collection = 'members'").realm("members"));
        assert!(!Mentions::of("@request.auth.collection = 'members'").realm("people"));
        assert!(!Mentions::of("title = 'members'").realm("members"));
    }
}
