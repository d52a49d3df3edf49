//! A text field's pattern: linear in time, bounded in size, and matching the whole value.

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 1 << 18;
/// Longest pattern, in bytes.
pub const MAX_SOURCE: usize = 1000;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern; the message of a refused one is fit for its author.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("Must be at most {MAX_SOURCE} bytes"));
        }
        // Alone first: `a)(b` must not become valid by what is put around it.
        let sound = RegexBuilder::new(source).size_limit(MAX_COMPILED).build().is_ok();
        let whole = RegexBuilder::new(&format!(r"\A(?:{source})\z")).size_limit(MAX_COMPILED).build();
        match whole {
            Ok(regex) if sound => Ok(Self(regex)),
            _ => Err("Not a regular expression, or too large a one".to_owned()),
        }
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_pattern_matches_the_whole_value() {
        let pattern = Pattern::new("a|b+").unwrap();
        assert!(pattern.is_match("bbb") && !pattern.is_match("ab") && !pattern.is_match("a\n"));
        for bad in ["(", "a)(b", "(?:a{1000}){1000}"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }
}
