use proptest::prelude::*;

use super::*;

#[test]
fn instants_are_brought_to_one_form() {
    for (text, normal) in [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31 12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00.000Z"),
        ("2026-01-31T12:00:00.1239", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59-00:00", "9999-12-31T23:59:59.000Z"),
        ("9999-12-31T23:59:59+23:00", "9999-12-31T00:59:59.000Z"),
    ] {
        assert_eq!(normalise_instant(text).as_deref(), Some(normal), "{text}");
    }
}

#[test]
fn what_is_no_instant_is_refused() {
    for text in [
        "",
        "tomorrow",
        "2026",
        "2026-01",
        "2026-02-30",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:00+99:00",
        "2026-01-31T12:00:00Z[Europe/Paris]",
        "20260131T120000Z",
        "-002026-01-31",
        "+002026-01-31",
        "2026-W05-6",
        "0000-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-00:01",
        "2026-01-31Z",
        "2026-01-31T12:00:00+02:00[+02:00]",
        "2026-01-31T12:00:00Z ",
        "２０２６-01-31",
    ] {
        assert_eq!(normalise_instant(text), None, "{text}");
    }
}

#[test]
fn dates_are_whole_days_that_exist() {
    assert_eq!(normalise_date("2024-02-29").as_deref(), Some("2024-02-29"));
    for text in ["2025-02-29", "2024-2-9", "2024-02-29T00:00", "", "20240229"] {
        assert_eq!(normalise_date(text), None, "{text}");
    }
}

#[test]
fn macros_are_utc_and_relative_to_the_given_moment() {
    let now: Timestamp = "2024-03-31T23:15:10.5Z".parse().unwrap();
    for (name, instant) in [
        ("now", "2024-03-31T23:15:10.500Z"),
        ("today", "2024-03-31T00:00:00.000Z"),
        ("yesterday", "2024-03-30T00:00:00.000Z"),
        ("tomorrow", "2024-04-01T00:00:00.000Z"),
        ("todayStart", "2024-03-31T00:00:00.000Z"),
        ("todayEnd", "2024-03-31T23:59:59.999Z"),
        ("monthStart", "2024-03-01T00:00:00.000Z"),
        ("monthEnd", "2024-03-31T23:59:59.999Z"),
        ("yearStart", "2024-01-01T00:00:00.000Z"),
        ("yearEnd", "2024-12-31T23:59:59.999Z"),
        ("second+50", "2024-03-31T23:16:00.500Z"),
        ("minute-16", "2024-03-31T22:59:10.500Z"),
        ("hour+1", "2024-04-01T00:15:10.500Z"),
        ("day-31", "2024-02-29T23:15:10.500Z"),
        ("week+1", "2024-04-07T23:15:10.500Z"),
        ("month-1", "2024-02-29T23:15:10.500Z"),
        ("year-1", "2023-03-31T23:15:10.500Z"),
        ("day+0", "2024-03-31T23:15:10.500Z"),
    ] {
        let moment = Macro::parse(name).unwrap();
        assert_eq!(moment.instant(now).as_deref(), Some(instant), "@{name}");
        assert_eq!(moment.date(now).as_deref(), instant.get(..10), "@{name}");
        assert_eq!(moment.to_string(), format!("@{name}"));
    }
}

#[test]
fn a_macro_reaches_a_thousand_years_and_no_further() {
    for (unit, time_unit, most) in UNITS {
        let now: Timestamp = NOW.parse().unwrap();
        for sign in ['+', '-'] {
            let moment = Macro::parse(&format!("{unit}{sign}{most}")).unwrap();
            assert!(moment.instant(now).is_some(), "{time_unit:?}");
        }
        let reason = Macro::parse(&format!("{unit}+{}", most + 1)).unwrap_err();
        assert!(reason.contains("too far away"), "{reason}");
    }
    assert!(Macro::parse("day+99999999999999999999").is_err());
}

const NOW: &str = "2026-03-15T13:30:00Z";

#[test]
fn an_unknown_macro_is_named_with_the_nearest() {
    assert!(Macro::parse("toDay").unwrap_err().contains("`@today`"));
    assert!(Macro::parse("days-1").unwrap_err().contains("`@day`"));
    assert!(Macro::parse("day").unwrap_err().contains("`@day-7`"));
    assert!(Macro::parse("day-").is_err());
    assert!(Macro::parse("day--1").is_err());
    assert!(Macro::parse("day-1.5").is_err());
    assert!(Macro::parse("").is_err());
}

proptest! {
    #[test]
    fn normal_instants_are_fixed_points_and_ordered_as_time(a in 0_i64..253_402_300_799, b in 0_i64..253_402_300_799) {
        let first = instant_text(Timestamp::from_second(a).unwrap());
        let second = instant_text(Timestamp::from_second(b).unwrap());
        prop_assert_eq!(normalise_instant(&first), Some(first.clone()));
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
    }

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,40}") {
        let _ = normalise_instant(&text);
        let _ = normalise_date(&text);
        let _ = Macro::parse(&text);
    }

    #[test]
    fn texts_near_an_instant_are_read_without_panic(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]?[0-9:.Z+-]{0,20}") {
        if let Some(normal) = normalise_instant(&text) {
            prop_assert_eq!(normal.len(), 24);
            prop_assert_eq!(normalise_instant(&normal), Some(normal.clone()));
        }
    }
}
