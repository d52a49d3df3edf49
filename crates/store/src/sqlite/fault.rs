//! What `SQLite`'s result codes mean, one by one: <https://sqlite.org/rescode.html>.

use crate::error::{Error, Fault};
use rusqlite::ffi::{self, ErrorCode};

/// The meaning of an error of `SQLite`.
pub(super) fn meaning(error: rusqlite::Error) -> Error {
    let (failure, message) = match error {
        rusqlite::Error::SqliteFailure(failure, message) => (failure, message),
        rusqlite::Error::SqlInputError { error, msg, .. } => (error, Some(msg)),
        rusqlite::Error::NulError(_) => {
            return Error::InvalidValue(Fault::new("nul", "a NUL character"));
        }
        other => return Error::internal(other.to_string()),
    };
    let message = message.unwrap_or_else(|| ffi::code_to_str(failure.extended_code).to_owned());
    let fault = Fault::new(failure.extended_code.to_string(), message);
    match failure.code {
        ErrorCode::ConstraintViolation => constraint(failure.extended_code, fault),
        ErrorCode::OperationInterrupted => Error::Timeout,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy(fault),
        ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::OutOfMemory
        | ErrorCode::FileLockingProtocolFailed => Error::Unavailable(fault),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Error::ReadOnly(fault),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt(fault),
        ErrorCode::TooBig | ErrorCode::TypeMismatch => Error::InvalidValue(fault),
        _ => Error::Internal(fault),
    }
}

/// `… constraint failed: ` is followed by what failed: `table.column, table.column`, `index 'name'`, or a check's name.
fn constraint(extended_code: i32, fault: Fault) -> Error {
    let subject = fault.message.split_once("constraint failed: ").map_or("", |(_, subject)| subject);
    match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            unique(subject)
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Error::ForeignKey { constraint: None },
        ffi::SQLITE_CONSTRAINT_NOTNULL => Error::NotNull { column: column(subject).to_owned() },
        ffi::SQLITE_CONSTRAINT_CHECK => Error::Check { constraint: subject.to_owned() },
        ffi::SQLITE_CONSTRAINT_DATATYPE => Error::InvalidValue(fault),
        _ => Error::Internal(fault),
    }
}

fn unique(subject: &str) -> Error {
    if let Some(index) = subject.strip_prefix("index '").and_then(|rest| rest.strip_suffix('\'')) {
        return Error::Unique { table: None, columns: Vec::new(), constraint: Some(index.to_owned()) };
    }
    let table = subject.split_once('.').map(|(table, _)| table.to_owned());
    let columns = subject.split(", ").map(|place| column(place).to_owned()).collect();
    Error::Unique { table, columns, constraint: None }
}

/// The column of `table.column`.
fn column(place: &str) -> &str {
    place.split_once('.').map_or(place, |(_, column)| column)
}
