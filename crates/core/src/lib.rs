//! What the product does: accounts, access, collections, records, settings. It knows nothing of HTTP: operations take the
//! [`Caller`] first, return values, and refuse with an [`Error`] that says what was wrong, never with a status.
//!
//! Who may do what is decided in [`access`] alone. SQL text lives in `fastcms-store`; rules are compiled into the statements there.

pub mod access;
pub mod accounts;
pub mod api_keys;
pub mod app;
pub mod attempts;
pub mod audit;
pub mod breaches;
pub mod caller;
pub mod collections;
pub mod config;
mod data_keys;
pub mod error;
pub mod fields;
pub mod files;
pub mod health;
pub mod ids;
pub mod ip_rules;
pub mod keys;
pub mod limits;
pub mod mail;
mod memory;
pub mod metrics;
pub mod records;
pub mod request_log;
pub mod roles;
pub mod sealing;
pub mod secrets;
pub mod settings;
pub mod time;

pub use app::App;
pub use caller::{Account, Caller, Principal, Realm};
pub use error::{Error, FieldErrors, Result};
