//! The integration suite: one binary, a module a noun, the product in process behind its real edge, on SQLite and on PostgreSQL.

mod architecture;
mod callers;
mod engine;
mod generated;
mod process;
mod product;
mod schema;

mod accounts;
mod auth_collections;
mod bulk;
mod collections;
mod cookies;
mod defects;
mod fields;
mod hostile;
mod limits;
mod records;
mod request_log;
mod rules;
