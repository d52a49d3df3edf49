//! What can go wrong in the store, named by what it means to the caller.
//!
//! "Not found" is no error: reads answer `Option` or an empty list. No variant carries a stored value: what an
//! engine says is reduced to its code and its message, never the row it complains about.

/// The answer of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store could not do what it was asked. Cheap to clone: when a commit fails, every job of its group gets a copy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A row with the same value exists already.
    #[error("a value that must be unique exists already ({})", place(table.as_deref(), columns, constraint.as_deref()))]
    Unique {
        /// The physical table, where the engine names it.
        table: Option<String>,
        /// The physical columns, where the engine names them; empty for an index over an expression on `SQLite`.
        columns: Vec<String>,
        /// The constraint or index: always on `PostgreSQL`, on `SQLite` only for an index over an expression.
        constraint: Option<String>,
    },
    /// A row points at one that does not exist, or one that is pointed at was to be deleted.
    #[error("a reference to another row does not hold")]
    ForeignKey {
        /// The constraint (`PostgreSQL` only: `SQLite` does not say).
        constraint: Option<String>,
    },
    /// A column that must hold a value was left empty.
    #[error("column `{column}` must have a value")]
    NotNull {
        /// The physical column.
        column: String,
    },
    /// A check of the table refused the row.
    #[error("a check refused the row: `{constraint}`")]
    Check {
        /// The constraint, or its expression where it has no name.
        constraint: String,
    },
    /// A value does not fit its column: out of range, too long, a NUL character, or not of the column's type.
    #[error("a value does not fit its column ({0})")]
    InvalidValue(Fault),
    /// A statement came to more values than an engine takes at once.
    #[error("a statement has too many values")]
    TooManyValues,
    /// The time budget is used up; the statement was stopped.
    #[error("the query took longer than its time budget")]
    Timeout,
    /// A queue or the connection pool is full: try again later.
    #[error("the database has too much work queued")]
    Overloaded,
    /// Another transaction was in the way (lock wait, deadlock, serialization): the same job may succeed when tried again.
    #[error("the database is busy with another transaction ({0})")]
    Busy(Fault),
    /// The database cannot be reached, its disk is full or failing, or the store is closed.
    #[error("the database is unavailable ({0})")]
    Unavailable(Fault),
    /// The database accepts no writes: a read-only file, folder, or standby server.
    #[error("the database is read-only ({0})")]
    ReadOnly(Fault),
    /// The database file is damaged, or is no database.
    #[error("the database is damaged ({0})")]
    Corrupt(Fault),
    /// A migration that was applied has since been changed in the program.
    #[error("migration `{version:04}_{name}` differs from the one that was applied to this database")]
    MigrationChanged {
        /// Its number.
        version: i64,
        /// Its name.
        name: String,
    },
    /// The database was migrated by a newer program.
    #[error("the database has migration {version}, which this version of the program does not know: start a newer one")]
    SchemaTooNew {
        /// The first migration that is unknown here.
        version: i64,
    },
    /// The connection's TLS settings cannot be used.
    #[error("TLS to the database cannot be set up: {0}")]
    Tls(String),
    /// A mistake of the program or an answer of the engine that has no better name.
    #[error("internal database error ({0})")]
    Internal(Fault),
}

/// The code of an [`Error::InvalidValue`] that is about a NUL character: `PostgreSQL` has no text with one.
pub const NUL: &str = "nul";

/// What an engine said: its own code and its message, without the row or the values concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    /// SQLSTATE, the extended `SQLite` code's number, or a word of ours.
    pub code: String,
    /// One line for the log, not for a client.
    pub message: String,
}

impl Fault {
    /// Puts a code and a message together.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl Error {
    /// A mistake of the program, in words.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal(Fault::new("program", message))
    }

    /// The store no longer takes work.
    pub(crate) fn closed() -> Self {
        Self::Unavailable(Fault::new("closed", "the store is closed"))
    }

    /// Whether this is a unique violation that concerns the physical column `column`, or the constraint of that name.
    pub fn is_unique_on(&self, column: &str) -> bool {
        match self {
            Self::Unique { columns, constraint, .. } => {
                columns.iter().any(|c| c.eq_ignore_ascii_case(column)) || constraint.as_deref() == Some(column)
            }
            _ => false,
        }
    }

    /// Whether the same job may succeed when simply tried again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Busy(_) | Self::Unavailable(_) | Self::Timeout)
    }
}

fn place(table: Option<&str>, columns: &[String], constraint: Option<&str>) -> String {
    match (table, columns, constraint) {
        (Some(table), [_, ..], _) => format!("`{table}`: `{}`", columns.join("`, `")),
        (_, _, Some(constraint)) => format!("`{constraint}`"),
        _ => "unnamed".to_owned(),
    }
}
