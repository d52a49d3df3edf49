//! What users say about a key, checked: every fault at once, under its field.

use fastcms_store::api_keys as rows;
use ipnet::IpNet;

use super::Scopes;
use crate::app::App;
use crate::caller::Account;
use crate::error::{FieldErrors, Result};

/// Characters of a key's name.
const NAME_LIMIT: usize = 255;
/// Networks of one key.
const MAX_NETWORKS: usize = 100;
/// Highest limit of requests a minute.
const MAX_RATE: i64 = 1_000_000;

/// A key about to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: String,
    pub scopes: String,
    /// RFC 3339; `None`: never.
    pub expires_at: Option<String>,
    /// Networks and addresses; none: from anywhere.
    pub allowed_cidrs: Vec<String>,
    pub rate_limit_per_minute: Option<i64>,
}

/// What is to change of a key; `None` leaves.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    pub name: Option<String>,
    pub scopes: Option<String>,
    pub active: Option<bool>,
    pub expires_at: Option<String>,
    pub allowed_cidrs: Option<Vec<String>>,
    pub rate_limit_per_minute: Option<i64>,
}

/// What a new key is made of.
pub(super) struct Draft {
    pub name: String,
    pub scopes: String,
    pub expires_at: Option<i64>,
    pub allowed_cidrs: Vec<String>,
    pub rate_limit_per_minute: Option<u32>,
}

impl NewKey {
    pub(super) fn check(self, app: &App, owner: &Account) -> Result<Draft> {
        let change = KeyChange {
            name: Some(self.name),
            scopes: Some(self.scopes),
            active: None,
            expires_at: self.expires_at,
            allowed_cidrs: Some(self.allowed_cidrs),
            rate_limit_per_minute: self.rate_limit_per_minute,
        };
        let checked = change.check(app, owner)?;
        Ok(Draft {
            name: checked.name.unwrap_or_default(),
            scopes: checked.scopes.unwrap_or_default(),
            expires_at: checked.expires_at,
            allowed_cidrs: checked.allowed_cidrs.unwrap_or_default(),
            rate_limit_per_minute: checked.rate_limit_per_minute,
        })
    }
}

impl KeyChange {
    pub(super) fn check(self, app: &App, owner: &Account) -> Result<rows::KeyChange> {
        let mut faults = FieldErrors::default();
        let change = rows::KeyChange {
            name: taken(&mut faults, "name", self.name.map(check_name)),
            scopes: taken(&mut faults, "scopes", self.scopes.map(|text| check_scopes(app, &text))),
            active: self.active,
            expires_at: taken(&mut faults, "expires_at", self.expires_at.map(|text| check_end(app, &text))),
            allowed_cidrs: taken(&mut faults, "allowed_cidrs", self.allowed_cidrs.map(|list| check_networks(&list))),
            rate_limit_per_minute: taken(
                &mut faults,
                "rate_limit_per_minute",
                self.rate_limit_per_minute.map(|limit| check_rate(app, owner, limit)),
            ),
        };
        faults.into_result()?;
        Ok(change)
    }
}

/// The value; a fault is noted under its field.
fn taken<T>(faults: &mut FieldErrors, field: &str, checked: Option<Result<T, String>>) -> Option<T> {
    checked?.map_err(|message| faults.add(field, message)).ok()
}

fn check_name(name: String) -> Result<String, String> {
    match name.chars().count() {
        0 => Err("Minimum length is 1".to_owned()),
        length if length > NAME_LIMIT => Err(format!("Maximum length is {NAME_LIMIT}")),
        _ if name.contains('\0') => Err("Must not contain NUL".to_owned()),
        _ => Ok(name),
    }
}

fn check_scopes(app: &App, text: &str) -> Result<String, String> {
    let scopes = Scopes::parse(text)?;
    let schema = app.schema.load();
    match scopes.collections().find(|name| schema.by_name(name).is_none()) {
        Some(unknown) => Err(format!("Unknown scope: there is no collection {unknown}")),
        None => Ok(scopes.as_str().to_owned()),
    }
}

fn check_end(app: &App, text: &str) -> Result<i64, String> {
    let end = crate::time::millis(text).ok_or("Invalid date format")?;
    if end > app.now_millis() { Ok(end) } else { Err("Must be in the future".to_owned()) }
}

fn check_networks(list: &[String]) -> Result<Vec<String>, String> {
    if list.len() > MAX_NETWORKS {
        return Err(format!("At most {MAX_NETWORKS} networks are allowed"));
    }
    list.iter().map(|text| crate::config::network(text.trim()).map(|network: IpNet| network.to_string())).collect()
}

/// Who is no admin cannot lift the limit that holds for everybody.
fn check_rate(app: &App, owner: &Account, limit: i64) -> Result<u32, String> {
    let highest = if owner.is_admin() { MAX_RATE } else { i64::from(app.config.rate_limits.per_minute) };
    match u32::try_from(limit) {
        Ok(0) | Err(_) if limit < 1 => Err("Minimum value is 1".to_owned()),
        Ok(rate) if limit <= highest => Ok(rate),
        _ => Err(format!("Maximum value is {highest}")),
    }
}
