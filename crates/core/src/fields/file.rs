//! `file`: ids of files that were uploaded before.

use std::collections::HashMap;

use fastcms_store::Value;
use fastcms_store::files::Held;
use fastcms_store::schema::Field;
use serde_json::Value as Json;

use super::choice::{MAX_RELATED, distinct, list};

/// The ids to store. Whether there are such files, and whether they fit the field, is asked in the transaction that stores them.
pub(super) fn check(field: &Field, json: &Json) -> Result<(Value, Vec<String>), String> {
    let id = |item: &Json| match item {
        Json::String(id) if !id.is_empty() && id.len() <= 64 && !id.contains('\0') => Some(id.clone()),
        _ => None,
    };
    let most = field.file.as_ref().map_or(1, |file| file.max_files) as usize;
    let too_many =
        || if most == 1 { "Must be at most 1 file".to_owned() } else { format!("Must be at most {most} files") };
    let Json::Array(items) = json else { return Err("Must be an array of file IDs".to_owned()) };
    if items.len() > MAX_RELATED.max(most) {
        return Err(too_many());
    }
    let ids = items.iter().map(id).collect::<Option<Vec<_>>>().ok_or("Must be an array of file IDs")?;
    let ids = distinct(ids);
    if ids.len() > most {
        return Err(too_many());
    }
    Ok((list(&ids), ids))
}

/// What is wrong with putting files into a field: `held` are those of `ids` that the caller may use. Each fault is said once, whichever
/// files it is about, and a file of somebody else is one that does not exist.
pub(crate) fn faults(field: &Field, ids: &[&str], held: &HashMap<String, Held>) -> Vec<String> {
    let options = field.file.clone().unwrap_or_default();
    let mut faults = Vec::new();
    let found: Vec<&Held> = ids.iter().filter_map(|id| held.get(*id)).collect();
    if found.len() < ids.len() {
        faults.push("The file does not exist".to_owned());
    }
    if found.iter().any(|file| file.size > options.max_size) {
        faults.push(format!("Each file must have at most {} bytes", options.max_size));
    }
    if found.iter().any(|file| !options.mime_types.contains(&file.mime_type)) {
        faults.push(format!("Each file must be of a type among: {}", options.mime_types.join(", ")));
    }
    faults
}
