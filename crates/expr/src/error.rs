//! What can be wrong with an expression, before and while it is evaluated.

/// A fault in the text of an expression, a sort or a field list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at character {position})")]
pub struct Error {
    /// Offset of the fault in characters from the start, the first character being 0.
    pub position: usize,
    /// What was found and what was expected, without a full stop.
    pub reason: String,
}

impl Error {
    pub(crate) fn new(position: usize, reason: impl Into<String>) -> Self {
        Self { position, reason: reason.into() }
    }
}

/// Why a checked expression could not be decided for one request. The caller denies, whatever surrounds the
/// condition; no variant carries a value of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A value of the request has a type the comparison cannot take.
    #[error("`{operand}` holds a value of the wrong type")]
    WrongType {
        /// The operand as written in the expression.
        operand: String,
    },
    /// A list of the request met an operator for single values.
    #[error("`{operand}` holds a list; the rule compares a single value")]
    UnexpectedList {
        /// The operand as written in the expression.
        operand: String,
    },
    /// A list of the request, or of `@collection`, has more items than a limit allows.
    #[error("`{operand}` has more than {limit} items")]
    TooManyItems {
        /// The operand as written in the expression.
        operand: String,
        /// The limit passed.
        limit: usize,
    },
    /// A field is sent as an increment (`n+`, `n-`), so its new value is not known.
    #[error("`{operand}` is sent as an increment; its new value is not known")]
    Increment {
        /// The operand as written in the expression.
        operand: String,
    },
    /// A macro points outside the years 0000 to 9999.
    #[error("`{operand}` is outside the calendar")]
    OutOfCalendar {
        /// The macro as written in the expression.
        operand: String,
    },
    /// The row could not give a value the predicate asked for.
    #[error("the stored value of `{column}` could not be read")]
    Unavailable {
        /// The path of the column, joined by dots.
        column: String,
    },
}
