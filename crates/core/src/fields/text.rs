//! Free text: `text`, `email`, `url`, and `editor`, whose markup was cleaned before.

use fastcms_store::Value;
use fastcms_store::schema::{Field, FieldType, Pattern};
use serde_json::Value as Json;

use super::{email, url};

/// The value to store, or what is wrong with it.
pub(super) fn check(field: &Field, pattern: Option<&Pattern>, json: &Json) -> Result<Value, String> {
    let Json::String(text) = json else { return Err("Must be a string".to_owned()) };
    if text.contains('\0') {
        return Err("Must not contain the NUL character".to_owned());
    }
    match field.kind {
        FieldType::Email if !email::is_address(text) => return Err("Invalid email format".to_owned()),
        FieldType::Url if !url::is_web(text) => return Err("Invalid URL format".to_owned()),
        _ => {}
    }
    lengths(field, text)?;
    if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
        return Err("Does not match required pattern".to_owned());
    }
    if let Some(values) = &field.validation.values
        && !values.is_empty()
        && !values.iter().any(|value| value == text)
    {
        return Err(format!("Must be one of: {}", values.join(", ")));
    }
    Ok(Value::Text(text.clone()))
}

fn lengths(field: &Field, text: &str) -> Result<(), String> {
    let limits = &field.validation;
    if limits.min_length.is_none() && limits.max_length.is_none() {
        return Ok(());
    }
    let length = text.chars().count();
    if let Some(min) = limits.min_length
        && length < min as usize
    {
        return Err(format!("Minimum length is {min}"));
    }
    if let Some(max) = limits.max_length
        && length > max as usize
    {
        return Err(format!("Maximum length is {max}"));
    }
    Ok(())
}
