//! `select` and `relation`: one of a set, or several.

use fastcms_store::Value;
use fastcms_store::schema::Field;
use serde_json::Value as Json;

/// Most ids in one relation value.
pub const MAX_RELATED: usize = 1000;

/// The choice to store: a text, or a JSON list where several may be chosen.
pub(super) fn check_select(field: &Field, json: &Json) -> Result<Value, String> {
    let choices = field.choices();
    let member = |item: &Json| match item {
        Json::String(text) if choices.iter().any(|choice| choice == text) => Ok(text.clone()),
        _ => Err(format!("Must be one of: {}", choices.join(", "))),
    };
    if !field.is_many() {
        return member(json).map(Value::Text);
    }
    let most = field.select.as_ref().map_or(1, |select| select.max_select) as usize;
    let chosen = match json {
        Json::Array(items) => items.iter().map(member).collect::<Result<Vec<_>, _>>()?,
        one => vec![member(one)?],
    };
    if chosen.iter().enumerate().any(|(i, item)| chosen[..i].contains(item)) {
        return Err("Must not name a value twice".to_owned());
    }
    if chosen.len() > most {
        return Err(format!("Must be at most {most} values"));
    }
    Ok(list(&chosen))
}

/// The ids to store. Whether they exist is asked in the transaction that stores them.
pub(super) fn check_relation(field: &Field, json: &Json) -> Result<(Value, Vec<String>), String> {
    let id = |item: &Json| match item {
        Json::String(id) if !id.is_empty() && id.len() <= 64 && !id.contains('\0') => Ok(id.clone()),
        _ => Err("Must be a string (record ID)".to_owned()),
    };
    if !field.is_many() {
        let id = id(json)?;
        return Ok((Value::Text(id.clone()), vec![id]));
    }
    let Json::Array(items) = json else { return Err("Must be an array of record IDs".to_owned()) };
    if items.len() > MAX_RELATED {
        return Err(format!("Must be at most {MAX_RELATED} records"));
    }
    let ids = items.iter().map(id).collect::<Result<Vec<_>, _>>()?;
    let unique = distinct(ids);
    Ok((list(&unique), unique))
}

/// Each once, in the order in which they come first.
pub(super) fn distinct(ids: Vec<String>) -> Vec<String> {
    let mut unique = Vec::with_capacity(ids.len());
    for id in ids {
        if !unique.contains(&id) {
            unique.push(id);
        }
    }
    unique
}

pub(super) fn list(items: &[String]) -> Value {
    Value::Text(Json::from(items).to_string())
}
