//! Collections and records in SQL, on `SQLite` and `PostgreSQL`.
//!
//! [`Store`] takes jobs, one body for both engines; [`Sql`] is the only way to write a statement; [`Change`] tells memory
//! what was committed. This crate knows no HTTP and no policy: who may do what is decided before it is asked.
//!
//! `rusqlite` is named only under `sqlite`, `tokio_postgres` only under `postgres`.

pub mod accounts;
pub mod api_keys;
mod appended;
pub mod attempts;
pub mod audit;
mod change;
pub mod collections;
pub mod data_keys;
mod database_url;
mod engine;
mod error;
pub mod files;
pub mod ip_rules;
pub mod limits;
pub mod mails;
pub mod migrations;
mod name;
mod outbox;
mod postgres;
pub mod predicate;
mod reader;
pub mod records;
pub mod request_log;
pub mod roles;
pub mod schema;
pub mod sealed;
pub mod secret_rotations;
pub mod settings;
pub mod signing_keys;
mod sql;
mod sqlite;
mod transaction;
mod value;

pub use change::{Change, ChangeKind, MAX_CHANGE_ID_BYTES, Subscriber};
pub use database_url::{DatabaseUrl, TlsMode, UrlError};
pub use engine::{
    LONG_WRITE_BUDGET, READ_QUEUE, Store, StoreConfig, TIME_BUDGET, WRITE_BUDGET, WRITE_GROUP, WRITE_QUEUE,
};
pub use error::{Error, Fault, NUL, Result};
pub use futures_util::future::BoxFuture;
pub use name::{MAX_NAME_CHARS, Name, NameError};
pub use reader::{Plan, Reader};
pub use sql::{Dialect, MAX_IDENTIFIER_BYTES, Sql};
pub use transaction::{LockName, Tx};
pub use value::{Cell, Columns, Row, Value};
