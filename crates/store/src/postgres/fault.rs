//! What `PostgreSQL`'s SQLSTATEs mean, one by one: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use crate::error::{Error, Fault};
use deadpool_postgres::{HookError, PoolError, TimeoutType};
use std::error::Error as _;
use tokio_postgres::error::{DbError, SqlState};

/// The meaning of an error of the server, of the connection, or of a bind that fits nowhere.
#[expect(clippy::needless_pass_by_value, reason = "stands in `map_err`")]
pub(super) fn meaning(error: tokio_postgres::Error) -> Error {
    if let Some(said) = error.as_db_error() {
        return server(said);
    }
    // The sources say what failed (a refused connection, a certificate); none of them holds a value or a password.
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    let starts = |text: &str| message.starts_with(text);
    if starts("error serializing parameter") {
        Error::InvalidValue(Fault::new("bind", message))
    } else if starts("error performing TLS") {
        Error::Tls(message)
    } else if starts("expected ") || starts("error deserializing") || starts("invalid column") {
        Error::internal(message)
    } else {
        Error::Unavailable(Fault::new("connection", message))
    }
}

fn server(said: &DbError) -> Error {
    let state = said.code();
    let fault = Fault::new(state.code(), said.message());
    let constraint = said.constraint().map(str::to_owned);
    match *state {
        SqlState::UNIQUE_VIOLATION | SqlState::EXCLUSION_VIOLATION => Error::Unique {
            table: said.table().map(str::to_owned),
            columns: said.detail().map(key_columns).unwrap_or_default(),
            constraint,
        },
        SqlState::FOREIGN_KEY_VIOLATION | SqlState::RESTRICT_VIOLATION => Error::ForeignKey { constraint },
        SqlState::NOT_NULL_VIOLATION => Error::NotNull { column: said.column().map(str::to_owned).unwrap_or_default() },
        SqlState::CHECK_VIOLATION => Error::Check { constraint: constraint.unwrap_or_default() },
        SqlState::QUERY_CANCELED => Error::Timeout,
        SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
            Error::Busy(fault)
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => Error::ReadOnly(fault),
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => Error::Corrupt(fault),
        SqlState::TOO_MANY_CONNECTIONS => Error::Overloaded,
        _ => by_class(state.code(), fault),
    }
}

/// The meaning of what has no line of its own, by the first two characters.
fn by_class(code: &str, fault: Fault) -> Error {
    match code.get(..2) {
        // The messages of data exceptions repeat the value, so only the code is kept.
        Some("22") => Error::InvalidValue(Fault::new(code, "the value is refused")),
        // Connection, resources, an administrator's shutdown, and the server's own disk.
        Some("08" | "28" | "53" | "57" | "58" | "3D") => Error::Unavailable(fault),
        _ => Error::Internal(fault),
    }
}

/// The columns of `Key (a, b)=(…) already exists.`, in whatever language; an expression is given as it stands. The
/// values behind them are not kept.
fn key_columns(detail: &str) -> Vec<String> {
    let key = detail.split_once('(').and_then(|(_, rest)| rest.split_once(")=(")).map(|(key, _)| key);
    key.map(|key| key.split(", ").map(|column| column.trim_matches('"').to_owned()).collect()).unwrap_or_default()
}

/// The meaning of an error of the pool.
pub(super) fn pool_meaning(error: PoolError) -> Error {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => Error::Overloaded,
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => meaning(error),
        PoolError::Closed => Error::closed(),
        other => Error::Unavailable(Fault::new("pool", other.to_string())),
    }
}
