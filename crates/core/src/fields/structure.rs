//! `json` and `geopoint`: values with an inside.

use fastcms_store::Value;
use fastcms_store::schema::Field;
use serde_json::{Map, Number, Value as Json};

/// Deepest nesting of a value (contract 16).
pub const MAX_DEPTH: usize = 64;

/// Any JSON that both engines can keep.
pub(super) fn check_json(json: &Json) -> Result<Value, String> {
    if has_nul(json) {
        return Err("Must not contain the NUL character".to_owned());
    }
    if is_deeper_than(json, MAX_DEPTH) {
        return Err(format!("Must not be nested deeper than {MAX_DEPTH}"));
    }
    Ok(Value::Text(json.to_string()))
}

fn has_nul(json: &Json) -> bool {
    match json {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_nul),
        Json::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn is_deeper_than(json: &Json, depth: usize) -> bool {
    match json {
        Json::Array(items) => depth == 0 || items.iter().any(|item| is_deeper_than(item, depth - 1)),
        Json::Object(map) => depth == 0 || map.values().any(|item| is_deeper_than(item, depth - 1)),
        _ => false,
    }
}

/// A point on the globe (WGS 84 degrees), kept with its keys in one order.
pub(super) fn check_geopoint(field: &Field, json: &Json) -> Result<Value, String> {
    let Json::Object(map) = json else { return Err("Must be an object with lat and lng".to_owned()) };
    let options = field.geopoint.clone().unwrap_or_default();
    if map.keys().any(|key| !matches!(key.as_str(), "lat" | "lng" | "alt")) {
        return Err("Must have no keys but lat, lng and alt".to_owned());
    }
    let (lat, lng) = (coordinate(map, "lat")?, coordinate(map, "lng")?);
    let (Some(lat), Some(lng)) = (lat, lng) else { return Err("Must be an object with lat and lng".to_owned()) };
    within("Latitude", &lat, options.min_lat.as_ref(), options.max_lat.as_ref(), 90)?;
    within("Longitude", &lng, options.min_lng.as_ref(), options.max_lng.as_ref(), 180)?;
    let alt = coordinate(map, "alt")?;
    if alt.is_none() && options.require_altitude {
        return Err("Must have an altitude".to_owned());
    }
    let mut point = Map::new();
    point.insert("lat".to_owned(), Json::Number(lat));
    point.insert("lng".to_owned(), Json::Number(lng));
    if let Some(alt) = alt {
        point.insert("alt".to_owned(), Json::Number(alt));
    }
    Ok(Value::Text(Json::Object(point).to_string()))
}

fn coordinate(map: &Map<String, Json>, key: &str) -> Result<Option<Number>, String> {
    match map.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) if number.as_f64().is_some_and(f64::is_finite) => Ok(Some(number.clone())),
        Some(_) => Err("Must be a number".to_owned()),
    }
}

fn within(what: &str, number: &Number, min: Option<&Number>, max: Option<&Number>, most: i64) -> Result<(), String> {
    let (low, high) = (min.cloned().unwrap_or_else(|| (-most).into()), max.cloned().unwrap_or_else(|| most.into()));
    let inside = number.as_f64() >= low.as_f64() && number.as_f64() <= high.as_f64();
    if inside { Ok(()) } else { Err(format!("{what} must be between {low} and {high}")) }
}

#[cfg(test)]
mod tests {
    use fastcms_store::schema::{Field, FieldType};
    use serde_json::json;

    use super::{check_geopoint, check_json};

    #[test]
    fn a_point_lies_on_the_globe() {
        let field = Field::new("at", FieldType::Geopoint);
        assert!(check_geopoint(&field, &json!({"lng": -180, "lat": 90, "alt": 3.5})).is_ok());
        let message = check_geopoint(&field, &json!({"lat": 91, "lng": 0})).unwrap_err();
        assert_eq!(message, "Latitude must be between -90 and 90");
        for bad in
            [json!({"lat": 1}), json!([1, 2]), json!({"lat": "1", "lng": 2}), json!({"lat": 1, "lng": 2, "x": 3})]
        {
            assert!(check_geopoint(&field, &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_is_kept_unless_an_engine_cannot() {
        assert!(check_json(&json!({"a": [1, {"b": null}]})).is_ok());
        assert!(check_json(&json!({"a": "\u{0}"})).is_err());
        let mut deep = json!(1);
        for _ in 0..65 {
            deep = json!([deep]);
        }
        assert!(check_json(&deep).is_err());
    }
}
