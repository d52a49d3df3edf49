//! Date-times, dates and the macros that stand for them. All of it is UTC.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::MAX_MACRO_YEARS;
use crate::suggestion::suggest;

/// The storage form of an instant: `YYYY-MM-DDTHH:MM:SS.mmmZ`, cut to the millisecond, so that text order is time
/// order. Holds for the years 0000 to 9999.
pub fn instant_text(instant: Timestamp) -> String {
    civil_text(TimeZone::UTC.to_datetime(instant))
}

/// Reads RFC 3339, the same without a zone (UTC), or a date alone (midnight UTC); gives the storage form.
pub fn normalise_instant(text: &str) -> Option<String> {
    if !has_plain_year(text) || text.contains('[') {
        return None;
    }
    // In parts, since a timestamp ends before 9999-12-31T00:00Z, which is a favourite for "never".
    let pieces = Pieces::parse(text).ok()?;
    let written = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let offset = match pieces.to_numeric_offset() {
        Some(offset) => offset.seconds(),
        // A zone that did not make an offset is a fault, not something to leave out.
        None if text.get(10..).unwrap_or_default().contains(['Z', 'z', '+', '-']) => {
            return None;
        }
        None => 0,
    };
    let civil = written.checked_sub(Span::new().try_seconds(offset).ok()?).ok()?;
    (0..=9999).contains(&civil.year()).then(|| civil_text(civil))
}

/// Reads `YYYY-MM-DD` and gives it back when the day exists.
pub fn normalise_date(text: &str) -> Option<String> {
    if text.len() != 10 || !has_plain_year(text) {
        return None;
    }
    text.parse::<Date>().ok().map(date_text)
}

/// Whether the text opens with `YYYY-MM-`: what jiff reads beyond that (signed years, basic form, week dates) is
/// not a form the API takes.
fn has_plain_year(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes.is_ascii()
        && bytes.iter().take(10).enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn civil_text(civil: DateTime) -> String {
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        date_text(civil.date()),
        civil.hour(),
        civil.minute(),
        civil.second(),
        civil.millisecond()
    )
}

fn date_text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// A moment relative to the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Macro {
    Now,
    /// The start of the day so many days from today; the flag says `@todayStart` was written.
    Day(i64, bool),
    TodayEnd,
    MonthStart,
    MonthEnd,
    YearStart,
    YearEnd,
    Relative(TimeUnit, i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

const FIXED: [(&str, Macro); 10] = [
    ("now", Macro::Now),
    ("today", Macro::Day(0, false)),
    ("yesterday", Macro::Day(-1, false)),
    ("tomorrow", Macro::Day(1, false)),
    ("todayStart", Macro::Day(0, true)),
    ("todayEnd", Macro::TodayEnd),
    ("monthStart", Macro::MonthStart),
    ("monthEnd", Macro::MonthEnd),
    ("yearStart", Macro::YearStart),
    ("yearEnd", Macro::YearEnd),
];

/// Each unit with its name and the most of it a macro may add: [`MAX_MACRO_YEARS`] in that unit.
const UNITS: [(&str, TimeUnit, i64); 7] = [
    ("second", TimeUnit::Second, MAX_MACRO_YEARS * 366 * 86_400),
    ("minute", TimeUnit::Minute, MAX_MACRO_YEARS * 366 * 1440),
    ("hour", TimeUnit::Hour, MAX_MACRO_YEARS * 366 * 24),
    ("day", TimeUnit::Day, MAX_MACRO_YEARS * 366),
    ("week", TimeUnit::Week, MAX_MACRO_YEARS * 52),
    ("month", TimeUnit::Month, MAX_MACRO_YEARS * 12),
    ("year", TimeUnit::Year, MAX_MACRO_YEARS),
];

impl Macro {
    /// Reads the text after `@`; the error is a reason.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        if let Some((_, fixed)) = FIXED.iter().find(|(known, _)| *known == name) {
            return Ok(*fixed);
        }
        let split = name.find(['+', '-']).unwrap_or(name.len());
        let (unit, offset) = name.split_at(split);
        let Some((_, time_unit, most)) = UNITS.iter().find(|(known, ..)| *known == unit) else {
            let known = FIXED.iter().map(|(known, _)| format!("@{known}"));
            let units = UNITS.iter().map(|(known, ..)| format!("@{known}"));
            let others = ["@request", "@record", "@collection"].map(String::from);
            let near = suggest(&format!("@{unit}"), known.chain(units).chain(others));
            return Err(format!("unknown macro `@{name}`{near}"));
        };
        let digits = offset.get(1..).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!(
                "`@{name}` needs a whole number such as `@{unit}-7` or `@{unit}+7` (in an address `+` is written `%2B`)"
            ));
        }
        match digits.parse::<i64>() {
            Ok(amount) if amount <= *most => {
                let sign = if offset.starts_with('-') { -1 } else { 1 };
                Ok(Self::Relative(*time_unit, sign * amount))
            }
            _ => Err(format!("`@{name}` is too far away; at most {most} {unit}s")),
        }
    }

    /// The moment, or none outside the years 0000 to 9999.
    fn civil(self, now: Timestamp) -> Option<DateTime> {
        let now = TimeZone::UTC.to_datetime(now);
        let end = Time::constant(23, 59, 59, 999_000_000);
        let date = now.date();
        let civil = match self {
            Self::Now => now,
            Self::Day(days, _) => {
                date.checked_add(Span::new().try_days(days).ok()?).ok()?.to_datetime(Time::midnight())
            }
            Self::TodayEnd => date.to_datetime(end),
            Self::MonthStart => date.first_of_month().to_datetime(Time::midnight()),
            Self::MonthEnd => date.last_of_month().to_datetime(end),
            Self::YearStart => date.first_of_year().to_datetime(Time::midnight()),
            Self::YearEnd => date.last_of_year().to_datetime(end),
            Self::Relative(unit, amount) => now.checked_add(unit.span(amount)?).ok()?,
        };
        (civil.year() >= 0).then_some(civil)
    }

    /// The storage form of the instant.
    pub(crate) fn instant(self, now: Timestamp) -> Option<String> {
        self.civil(now).map(civil_text)
    }

    /// The day the instant falls on.
    pub(crate) fn date(self, now: Timestamp) -> Option<String> {
        self.civil(now).map(|civil| date_text(civil.date()))
    }
}

impl TimeUnit {
    fn span(self, amount: i64) -> Option<Span> {
        let span = Span::new();
        match self {
            Self::Second => span.try_seconds(amount),
            Self::Minute => span.try_minutes(amount),
            Self::Hour => span.try_hours(amount),
            Self::Day => span.try_days(amount),
            Self::Week => span.try_weeks(amount),
            Self::Month => span.try_months(amount),
            Self::Year => span.try_years(amount),
        }
        .ok()
    }
}

impl fmt::Display for Macro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Relative(unit, amount) = self {
            let name = UNITS.iter().find(|(_, known, _)| known == unit).map_or("", |(name, ..)| *name);
            return write!(f, "@{name}{amount:+}");
        }
        let name = FIXED.iter().find(|(_, known)| known == self).map_or("", |(name, _)| *name);
        write!(f, "@{name}")
    }
}

#[cfg(test)]
mod tests;
