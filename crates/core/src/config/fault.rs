//! What is wrong with a configuration, said so that the reader can put it right. No message carries the value of a secret.

use std::fmt;

/// One value that keeps the process from starting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The variable to change, in upper case; `.env` or `fastcms.toml` when the file itself cannot be read.
    pub variable: String,
    /// What is wrong with it and what to do.
    pub message: String,
    /// The id that `fastcms check --deploy` gives this finding, such as `E001`.
    pub check: Option<&'static str>,
}

impl Fault {
    /// A fault of `variable`.
    pub fn new(variable: impl Into<String>, message: impl Into<String>) -> Self {
        Self { variable: variable.into(), message: message.into(), check: None }
    }

    /// The same fault under the check id `id`.
    pub(super) fn check(mut self, id: &'static str) -> Self {
        self.check = Some(id);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

/// Everything that was wrong, found in one go; printed one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// Something legal that deserves a line in the log at start.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// The variable it is about, in upper case, or the file.
    pub variable: String,
    /// What is remarkable and what to do.
    pub message: String,
    /// The id that `fastcms check --deploy` gives this finding, such as `W123`.
    pub check: Option<&'static str>,
}

impl Warning {
    /// A warning about `variable`.
    pub fn new(variable: impl Into<String>, message: impl Into<String>) -> Self {
        Self { variable: variable.into(), message: message.into(), check: None }
    }

    /// The same warning under the check id `id`.
    pub(super) fn check(mut self, id: &'static str) -> Self {
        self.check = Some(id);
        self
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

/// `text` in backticks, safe to print on one line: control characters escaped, cut after 60 characters.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
