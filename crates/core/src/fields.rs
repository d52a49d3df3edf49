//! What was sent for a record, held against the collection's fields: every fault is found at once and named by its field, what is
//! right comes out as the values to store. It knows nothing of who is calling beyond [`Rights`], and asks no database: existence of
//! related records and files and uniqueness show in the transaction.

mod choice;
pub mod email;
mod file;
mod markup;
mod number;
mod structure;
mod text;
mod time;
pub mod url;

pub use choice::MAX_RELATED;
pub(crate) use file::faults as file_faults;
pub use markup::{Cleaned, Cleaning, is_dear};
pub use structure::MAX_DEPTH;

use fastcms_store::Value;
use fastcms_store::schema::{Collection, Field, FieldType};
use serde_json::{Map, Value as Json};

use crate::error::{FieldErrors, Result};

/// Whether a record is made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Create,
    Update,
}

/// Which account fields of an auth collection's records the caller may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    /// Holder of the manage rule: e-mail, password, `verified`.
    pub manages: bool,
    /// Admin: everything a manager may, and `role`.
    pub is_admin: bool,
}

/// A checked record, or the checked part of one. Fields are given by their position in the collection.
#[derive(Debug, Default)]
pub struct Draft {
    pub sets: Vec<(usize, Value)>,
    /// Amounts to add to numbers.
    pub increments: Vec<(usize, f64)>,
    /// Ids that must exist, by relation field.
    pub related: Vec<(usize, Vec<String>)>,
    /// Ids of files that must exist and fit, by file field.
    pub files: Vec<(usize, Vec<String>)>,
    /// A new password in the clear, to be held against the policy and hashed.
    pub password: Option<String>,
}

/// Holds `data` against the fields of `collection`.
pub fn check(collection: &Collection, data: &Cleaned<'_>, mode: Mode) -> Result<Draft> {
    let (data, faults) = data.parts();
    let mut errors = faults.clone();
    let mut draft = Draft::default();
    if data.is_empty() && errors.is_empty() {
        errors.add("data", "This field is required");
    }
    for (key, json) in data {
        let (name, sign) = match key.strip_suffix('+') {
            Some(name) => (name, Some(1.0)),
            None => key.strip_suffix('-').map_or((key.as_str(), None), |name| (name, Some(-1.0))),
        };
        let Some(at) = collection.position(name) else {
            errors.add(key.as_str(), "Unknown field");
            continue;
        };
        let outcome = match sign {
            None => set(collection, at, json, &mut draft),
            Some(sign) => increment(collection, data, at, json, sign, mode, &mut draft),
        };
        if let Err(message) = outcome {
            errors.add(key.as_str(), message);
        }
    }
    if mode == Mode::Create {
        missing(collection, data, faults, &mut errors);
    }
    errors.into_result().map(|()| draft)
}

/// Refuses what only managers or admins of an auth collection may write. `data` was checked before.
pub fn check_rights(collection: &Collection, data: &Map<String, Json>, mode: Mode, rights: Rights) -> Result<()> {
    let mut errors = FieldErrors::default();
    if collection.is_auth() {
        let manages = rights.manages || rights.is_admin;
        for (name, allowed) in [
            ("role", rights.is_admin),
            ("verified", manages),
            ("email", manages || mode == Mode::Create),
            ("password", manages || mode == Mode::Create),
        ] {
            if !allowed && data.contains_key(name) {
                errors.add(name, "Not writable by this caller");
            }
        }
    }
    errors.into_result()
}

fn missing(collection: &Collection, data: &Map<String, Json>, faults: &FieldErrors, errors: &mut FieldErrors) {
    for field in collection.fields() {
        let was_sent = || data.contains_key(&field.name) || faults.iter().any(|(name, _)| name == field.name);
        if field.validation.required && field.kind != FieldType::Autodate && !was_sent() {
            errors.add(field.name.as_str(), "This field is required");
        }
    }
}

fn set(collection: &Collection, at: usize, json: &Json, draft: &mut Draft) -> Result<(), String> {
    let field = &collection.fields()[at];
    if field.kind == FieldType::Autodate {
        return Ok(());
    }
    let is_empty = match json {
        Json::Null => true,
        Json::String(text) => text.is_empty() && (field.kind.is_free_text() || field.validation.required),
        Json::Array(items) => items.is_empty() && field.is_many() && field.validation.required,
        _ => false,
    };
    if is_empty {
        if field.validation.required {
            return Err("This field is required".to_owned());
        }
        // The flags of an account are never unknown.
        let is_flag = field.system && field.kind == FieldType::Bool;
        draft.sets.push((at, if is_flag { Value::Bool(false) } else { Value::Null }));
        if field.kind == FieldType::File {
            draft.files.push((at, Vec::new()));
        }
        return Ok(());
    }
    if collection.is_password(at) {
        let Json::String(password) = json else { return Err("Must be a string".to_owned()) };
        draft.password = Some(password.clone());
        return Ok(());
    }
    let value = match field.kind {
        FieldType::Text | FieldType::Editor | FieldType::Email | FieldType::Url => {
            text::check(field, collection.pattern(at), json)?
        }
        FieldType::Number => number::check(field, json)?,
        FieldType::Bool => number::check_bool(json)?,
        FieldType::Date => time::check_date(json)?,
        FieldType::Datetime => time::check_datetime(json)?,
        FieldType::Select => choice::check_select(field, json)?,
        FieldType::Relation => {
            let (value, ids) = choice::check_relation(field, json)?;
            draft.related.push((at, ids));
            value
        }
        FieldType::Json => structure::check_json(json)?,
        FieldType::Geopoint => structure::check_geopoint(field, json)?,
        FieldType::File => {
            let (value, ids) = file::check(field, json)?;
            draft.files.push((at, ids));
            value
        }
        FieldType::Autodate => return Ok(()),
    };
    if let Some(limit) = collection.byte_limit(at)
        && matches!(&value, Value::Text(text) if text.len() > limit)
    {
        return Err(format!("Must be at most {limit} bytes"));
    }
    draft.sets.push((at, value));
    Ok(())
}

fn increment(
    collection: &Collection,
    data: &Map<String, Json>,
    at: usize,
    json: &Json,
    sign: f64,
    mode: Mode,
    draft: &mut Draft,
) -> Result<(), String> {
    let field = &collection.fields()[at];
    if field.kind != FieldType::Number || mode == Mode::Create {
        return Err("Unknown field".to_owned());
    }
    if field.encrypted {
        return Err("Nothing can be added to an encrypted field".to_owned());
    }
    if data.contains_key(&field.name) || draft.increments.iter().any(|(other, _)| *other == at) {
        return Err("Must be given in one way only".to_owned());
    }
    draft.increments.push((at, sign * number::of_json(json)?));
    Ok(())
}

/// Whether a text is a UUID in its one written form (36 characters, lower case): what an id brought by a client has to be.
pub fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|uuid| uuid.hyphenated().to_string() == text)
}

/// Holds the outcome of increments against the limits of their fields.
pub fn check_number(field: &Field, number: f64) -> Result<()> {
    number::limits(field, number).map_err(|message| crate::Error::field(field.name.as_str(), message))
}
