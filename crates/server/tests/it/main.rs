//! The integration suite: one binary, a module a noun, the product in process behind its real edge, on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod architecture;
mod audit;
mod callers;
mod canary;
mod engine;
mod every_answer;
mod external;
mod generated;
mod process;
mod product;
mod schema;

mod accounts;
mod api_keys;
mod attempts;
mod auth_collections;
mod bulk;
mod collections;
mod compromise;
#[cfg(target_os = "linux")]
mod confinement;
mod cookies;
mod defects;
mod doors;
mod enumeration;
mod fields;
mod file_fields;
mod files;
mod health;
mod hostile;
mod impersonation;
mod ip_rules;
mod keys;
mod known_browser;
mod limits;
mod mails;
mod managers;
mod markup;
mod old_rules;
mod passwords;
mod polymorphic;
mod rate_limits;
mod records;
mod refresh;
mod request_log;
mod requirements;
mod revocation;
mod roles;
mod rules;
mod safe_methods;
mod schema_life;
mod sealed;
mod sessions;
mod settings;
mod start;
mod step_up;
mod stored_settings;
#[cfg(target_os = "linux")]
mod storm;
mod turns;
mod two_factor;
#[cfg(target_os = "linux")]
mod unheard;
