//! The one written form of an instant: RFC 3339 in UTC with milliseconds and `Z`, fixed width, so that text order is time order.

use jiff::Timestamp;

/// `2026-01-31T09:30:00.000Z` for milliseconds since the Unix epoch.
pub fn stamp(unix_millis: i64) -> String {
    let at = Timestamp::from_millisecond(unix_millis).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// Milliseconds since the Unix epoch of what [`stamp`] wrote; `None` for another text.
pub fn millis(stamp: &str) -> Option<i64> {
    stamp.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::{millis, stamp};

    #[test]
    fn an_instant_has_one_written_form() {
        assert_eq!(stamp(1_769_851_800_000), "2026-01-31T09:30:00.000Z");
        assert_eq!(stamp(1_769_851_800_007), "2026-01-31T09:30:00.007Z");
        assert_eq!(millis("2026-01-31T09:30:00.007Z"), Some(1_769_851_800_007));
        assert_eq!(millis("yesterday"), None);
    }
}
