//! `number` and `bool`.

use fastcms_store::Value;
use fastcms_store::schema::Field;
use serde_json::{Number, Value as Json};

/// The largest whole number that a double holds exactly, 2^53.
const MAX_WHOLE: i64 = 1 << 53;

/// The number to store, or what is wrong with it.
pub(super) fn check(field: &Field, json: &Json) -> Result<Value, String> {
    let number = of_json(json)?;
    limits(field, number)?;
    Ok(Value::Real(number))
}

/// A finite double that says exactly what was sent.
pub(super) fn of_json(json: &Json) -> Result<f64, String> {
    let Json::Number(number) = json else { return Err("Must be a number".to_owned()) };
    let whole_is_exact = match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => (-MAX_WHOLE..=MAX_WHOLE).contains(&whole),
        (None, Some(_)) => false,
        (None, None) => true,
    };
    if !whole_is_exact {
        return Err(format!("Must lie between -{MAX_WHOLE} and {MAX_WHOLE}"));
    }
    number.as_f64().filter(|number| number.is_finite()).ok_or_else(|| "Must be a number".to_owned())
}

/// Holds a number against the field's `min` and `max`.
pub(super) fn limits(field: &Field, number: f64) -> Result<(), String> {
    if !number.is_finite() {
        return Err("Must be a number".to_owned());
    }
    let limit = |limit: &Option<Number>| limit.as_ref().and_then(Number::as_f64);
    if let Some(min) = limit(&field.validation.min)
        && number < min
    {
        return Err(format!("Minimum value is {}", written(min)));
    }
    if let Some(max) = limit(&field.validation.max)
        && number > max
    {
        return Err(format!("Maximum value is {}", written(max)));
    }
    Ok(())
}

/// A number as it is written in JSON: whole numbers without a fraction.
fn written(number: f64) -> String {
    format!("{number}")
}

/// The flag to store.
pub(super) fn check_bool(json: &Json) -> Result<Value, String> {
    match json {
        Json::Bool(flag) => Ok(Value::Bool(*flag)),
        _ => Err("Must be a boolean".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::of_json;

    #[test]
    fn only_numbers_that_are_kept_exactly() {
        assert_eq!(of_json(&json!(9_007_199_254_740_992_i64)), Ok(9_007_199_254_740_992.0));
        assert_eq!(of_json(&json!(-1.5)), Ok(-1.5));
        assert!(of_json(&json!(9_007_199_254_740_993_i64)).is_err());
        assert!(of_json(&json!(u64::MAX)).is_err());
        assert_eq!(of_json(&json!(true)), Err("Must be a number".to_owned()));
        assert_eq!(of_json(&json!("1")), Err("Must be a number".to_owned()));
    }
}
