//! `date` and `datetime`.

use fastcms_store::Value;
use jiff::civil::Date;
use serde_json::Value as Json;

const INVALID: &str = "Invalid date format";

/// A day, `YYYY-MM-DD`.
pub(super) fn check_date(json: &Json) -> Result<Value, String> {
    let Json::String(text) = json else { return Err("Must be a string".to_owned()) };
    if text.len() != 10
        || !text.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
    {
        return Err(INVALID.to_owned());
    }
    text.parse::<Date>().map_err(|_| INVALID.to_owned())?;
    Ok(Value::Text(text.clone()))
}

/// An instant, RFC 3339; without a zone it is UTC. Kept in the one written form, by the one reader that filters have too.
pub(super) fn check_datetime(json: &Json) -> Result<Value, String> {
    let Json::String(text) = json else { return Err("Must be a string".to_owned()) };
    fastcms_expr::normalise_instant(text).map(Value::Text).ok_or_else(|| INVALID.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check_date, check_datetime};
    use fastcms_store::Value;

    #[test]
    fn an_instant_is_kept_in_utc_with_milliseconds() {
        for (sent, kept) in [
            ("2026-01-31T10:30:00+01:00", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31 09:30:00.123456", "2026-01-31T09:30:00.123Z"),
            ("2026-01-31T09:30:00", "2026-01-31T09:30:00.000Z"),
            ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ] {
            assert_eq!(check_datetime(&json!(sent)).ok(), Some(Value::Text(kept.to_owned())), "{sent}");
        }
        for bad in [
            "",
            "tomorrow",
            "2026-02-30T00:00:00Z",
            "2026-01-31T25:00:00Z",
            "-000001-01-01T00:00:00Z",
            "20260131T093000Z",
        ] {
            assert!(check_datetime(&json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_is_a_day_that_exists() {
        assert!(check_date(&json!("2024-02-29")).is_ok());
        for bad in [json!("2023-02-29"), json!("2024-2-9"), json!("2024-02-29T00:00:00Z"), json!(20_240_229), json!("")]
        {
            assert!(check_date(&bad).is_err(), "{bad}");
        }
    }
}
