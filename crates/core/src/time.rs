//! The one written form of an instant: RFC 3339 in UTC with milliseconds and `Z`, fixed width, so that text order is time order.

use jiff::Timestamp;

/// Bytes of what [`stamp`] writes for the years 1970 to 9999.
pub const STAMP_BYTES: usize = 24;

const DAY: i64 = 86_400_000;

/// `2026-01-31T09:30:00.000Z` for milliseconds since the Unix epoch.
pub fn stamp(unix_millis: i64) -> String {
    if let Some(text) = written(unix_millis) {
        return String::from_utf8_lossy(&text).into_owned();
    }
    let at = Timestamp::from_millisecond(unix_millis).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// The same without an allocation and without the general formatter, which costs more than all the rest of a line of the log.
/// `None` before 1970 and after 9999.
pub fn written(unix_millis: i64) -> Option<[u8; STAMP_BYTES]> {
    let (days, millis) = (unix_millis.div_euclid(DAY), unix_millis.rem_euclid(DAY));
    let (days, millis) = (u32::try_from(days).ok()?, u32::try_from(millis).ok()?);
    let (year, month, day) = date(days)?;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, digits: usize, mut number: u32| {
        for place in text[at..at + digits].iter_mut().rev() {
            *place = b"0123456789"[number as usize % 10];
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, millis / 3_600_000);
    put(14, 2, millis / 60_000 % 60);
    put(17, 2, millis / 1_000 % 60);
    put(20, 3, millis % 1_000);
    Some(text)
}

/// Gives what [`written`] wrote other milliseconds of the same second, less than 1,000.
pub fn put_millis(text: &mut [u8; STAMP_BYTES], millis: u32) {
    for (place, unit) in [(20, 100), (21, 10), (22, 1)] {
        text[place] = b"0123456789"[(millis / unit % 10) as usize];
    }
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar; `None` past the year 9999.
///
/// Counted in eras of 400 years that begin with March, so that the leap day is the last of its year.
fn date(days: u32) -> Option<(u32, u32, u32)> {
    const DAYS_BEFORE_1970: u32 = 719_468;
    const ERA: u32 = 146_097;
    let days = days.checked_add(DAYS_BEFORE_1970)?;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if months_from_march < 10 { (months_from_march + 3, 0) } else { (months_from_march - 9, 1) };
    let year = era * 400 + year_of_era + next_year;
    (year <= 9999).then_some((year, month, day))
}

/// Milliseconds since the Unix epoch of what [`stamp`] wrote; `None` for another text.
pub fn millis(stamp: &str) -> Option<i64> {
    stamp.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::{DAY, Timestamp, millis, stamp};

    #[test]
    fn an_instant_has_one_written_form() {
        assert_eq!(stamp(1_769_851_800_000), "2026-01-31T09:30:00.000Z");
        assert_eq!(stamp(1_769_851_800_007), "2026-01-31T09:30:00.007Z");
        assert_eq!(millis("2026-01-31T09:30:00.007Z"), Some(1_769_851_800_007));
        assert_eq!(millis("yesterday"), None);
    }

    #[test]
    fn the_milliseconds_of_a_written_instant_can_be_replaced() {
        for millis in [0, 7, 70, 999] {
            let mut text = super::written(1_769_851_800_123).unwrap();
            super::put_millis(&mut text, millis);
            assert_eq!(text.as_slice(), stamp(1_769_851_800_000 + i64::from(millis)).as_bytes());
        }
    }

    #[test]
    fn every_day_to_the_year_9999_is_written_as_the_calendar_has_it() {
        let last = 253_402_300_799_999;
        // The library stops two days earlier, for the sake of time zones.
        for day in (0..last / DAY - 2).step_by(3).chain([-1, -400, last / DAY - 3]) {
            let millis = day * DAY + (day * 7_919) % DAY;
            let wanted = format!("{:.3}", Timestamp::from_millisecond(millis).unwrap());
            assert_eq!(stamp(millis), wanted);
        }
        assert_eq!(stamp(last), "9999-12-31T23:59:59.999Z");
        assert_eq!(stamp(i64::MAX), "1970-01-01T00:00:00.000Z", "no instant at all");
    }
}
