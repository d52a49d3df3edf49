//! The integration suite: one binary, a module a noun, the product in process behind its real edge, on SQLite and on PostgreSQL.

mod architecture;
mod callers;
mod engine;
mod generated;
mod process;
mod product;

mod accounts;
mod auth_collections;
mod collections;
mod defects;
mod fields;
mod limits;
mod records;
mod request_log;
mod rules;
