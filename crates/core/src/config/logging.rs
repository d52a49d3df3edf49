//! The log.

use super::catalog;
use super::kind::choice;
use super::reader::Reader;
use super::source::Sources;

choice! {
    /// Least severe messages that are logged.
    pub enum LogLevel {
        /// Everything.
        Debug = "DEBUG",
        /// What happens.
        Info = "INFO",
        /// What deserves a look.
        Warning = "WARNING",
        /// What failed.
        Error = "ERROR",
        /// What endangers the whole.
        Critical = "CRITICAL",
    }
}

choice! {
    /// Shape of a log line.
    pub enum LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// Text for people.
        Text = "text",
    }
}

/// The log.
#[derive(Debug, Clone)]
pub struct Logging {
    /// Least severe messages that are logged.
    pub level: LogLevel,
    /// Shape of a line.
    pub format: LogFormat,
}

impl Logging {
    /// What the settings say of the log before anything else is read, and whether they say its shape; faults are said at the start.
    pub fn ahead(sources: &Sources) -> (Self, bool) {
        let mut read = Reader::new(sources);
        (Self::read(&mut read), read.is_given(&catalog::LOG_FORMAT))
    }

    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self { level: read.preset_choice(&catalog::LOG_LEVEL), format: read.preset_choice(&catalog::LOG_FORMAT) }
    }
}
