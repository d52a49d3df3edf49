//! Claims about the store, on `SQLite` always and on `PostgreSQL` when `TEST_DATABASE_URL` names a server on which
//! databases may be created. Each claim has a database of its own.

#![expect(clippy::unwrap_used, reason = "a test that meets an error fails, and says where")]

mod changes;
mod credentials;
mod database;
mod migrations;
mod opening;
mod outbox;
mod reads;
mod records;
mod snapshots;
mod writes;
