//! Values with a history of trouble, few enough that stored ones and asked ones often meet.

use crate::chance::Chance;

/// The moment of every evaluation.
pub const NOW: &str = "2026-03-15T12:34:56.789Z";

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "b",
    "ab",
    "aB",
    "Ab",
    "abc",
    "straße",
    "STRASSE",
    "ẞ",
    "ß",
    "İstanbul",
    "i̇stanbul",
    "ISTANBUL",
    "ı",
    "ΣΑΣ",
    "σας",
    "σασ",
    "Σ",
    "ς",
    "σ",
    "e\u{301}",
    "é",
    "É",
    "E\u{301}",
    "😀",
    "a😀b",
    "👩\u{200d}💻",
    "50%",
    "a_b",
    "axb",
    "a\\b",
    "it's",
    "\"q\"",
    "%",
    "_",
    "\\",
    " ",
    " a ",
    "\t",
    "\n",
    "\u{1}",
    "ǅ",
    "ǆ",
    "Ǆ",
    "ŉ",
    "ﬁ",
    "FI",
    "\u{212a}",
    "k",
    "ſ",
    "s",
    "\u{2126}",
    "ω",
    "\u{345}",
    "ΐ",
    "ᾳ",
    "ᾼ",
    "null",
    "true",
    "1",
    "10",
    "9",
    "-1",
    "1.0",
    "2026-03-15",
    "2026-03-15T12:34:56.789Z",
    "\u{10ffff}",
    "\u{ffff}",
    "\u{e000}",
    "\u{301}a",
    "?",
    "$1",
    "?1",
    "[\"a\"]",
    "{}",
    "--",
    "'; DROP TABLE x",
    "Ⅷ",
    "ⓐ",
    "Ⓐ",
    "Ꭰ",
    "ꭰ",
    "Ა",
    "ა",
    "Å",
    "å",
    "\u{212b}",
    "ﬀ",
    "ΑΣ'Α",
    "ΑΣ ",
    "ѝ",
    "Ѝ",
];

/// A text: one of the known, or two of them together.
pub fn text(chance: &mut Chance) -> String {
    let mut text = (chance.pick(TEXTS)).to_owned();
    if chance.one_in(4) {
        text.push_str(chance.pick(TEXTS));
    }
    text
}

/// A choice of a select field, or the name of a file.
pub fn item(chance: &mut Chance) -> String {
    (chance.pick(&["a", "b", "A", "ß", "Σας", "50%", "\"", "\\", "😀", "é", "it's", "[", "null"])).to_owned()
}

/// The places to which relations point; one of them is nobody's id.
pub fn id(chance: &mut Chance) -> String {
    (chance.pick(&["r0", "r1", "r2", "r3", "R1", "gone"])).to_owned()
}

const NUMBERS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    3.0,
    5.0,
    10.0,
    0.1,
    0.2,
    0.300_000_000_000_000_04,
    0.3,
    -2.5,
    1e15,
    1e16,
    1e19,
    1e308,
    -1e308,
    f64::MAX,
    f64::MIN,
    5e-324,
    2.2e-308,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_807.0,
    -9_223_372_036_854_775_808.0,
    123_456.789,
];

pub fn number(chance: &mut Chance) -> f64 {
    chance.pick(NUMBERS)
}

const INSTANTS: &[&str] = &[
    NOW,
    "2026-03-15T12:34:56.788Z",
    "2026-03-15T00:00:00.000Z",
    "2026-03-15T23:59:59.999Z",
    "2026-03-14T00:00:00.000Z",
    "2026-03-16T00:00:00.000Z",
    "2026-03-01T00:00:00.000Z",
    "2026-03-31T23:59:59.999Z",
    "2026-01-01T00:00:00.000Z",
    "2026-12-31T23:59:59.999Z",
    "2026-03-08T12:34:56.789Z",
    "0000-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "1969-12-31T23:59:59.999Z",
    "2024-02-29T12:00:00.000Z",
];

/// An instant in its storage form.
pub fn instant(chance: &mut Chance) -> String {
    (chance.pick(INSTANTS)).to_owned()
}

/// An instant as somebody might write it: with another offset, without a zone, as a day, finer than it is kept.
pub fn written_instant(chance: &mut Chance) -> String {
    const WRITTEN: &[&str] = &[
        "2026-03-15T12:34:56.789Z",
        "2026-03-15T13:34:56.789+01:00",
        "2026-03-15T04:04:56.789-08:30",
        "2026-03-15T12:34:56.7899999Z",
        "2026-03-15T12:34:56.789",
        "2026-03-15 12:34:56.789",
        "2026-03-15",
        "2026-03-15T00:00:00Z",
        "2026-03-16T01:59:59.999+02:00",
        "2024-02-29",
        "0000-01-01",
        "9999-12-31T23:59:59.999Z",
    ];
    if chance.one_in(2) { instant(chance) } else { (chance.pick(WRITTEN)).to_owned() }
}

pub fn date(chance: &mut Chance) -> String {
    const DATES: &[&str] = &[
        "2026-03-15",
        "2026-03-14",
        "2026-03-16",
        "2026-03-01",
        "2026-03-31",
        "2026-01-01",
        "2024-02-29",
        "0000-01-01",
        "9999-12-31",
        "1969-12-31",
    ];
    (chance.pick(DATES)).to_owned()
}

/// A moment relative to [`NOW`].
pub fn moment(chance: &mut Chance) -> String {
    const MOMENTS: &[&str] = &[
        "@now",
        "@today",
        "@yesterday",
        "@tomorrow",
        "@todayStart",
        "@todayEnd",
        "@monthStart",
        "@monthEnd",
        "@yearStart",
        "@yearEnd",
        "@day-7",
        "@second+0",
        "@minute-1",
        "@hour+12",
        "@week-1",
        "@month+1",
        "@year-1000",
        "@year+1000",
        "@day+1",
    ];
    (chance.pick(MOMENTS)).to_owned()
}

/// A point in degrees.
pub fn point(chance: &mut Chance) -> (f64, f64) {
    const POINTS: &[(f64, f64)] = &[
        (0.0, 0.0),
        (90.0, 0.0),
        (-90.0, 180.0),
        (0.0, 180.0),
        (0.0, -180.0),
        (52.52, 13.405),
        (-33.87, 151.21),
        (1e-9, -1e-9),
    ];
    if chance.one_in(2) {
        chance.pick(POINTS)
    } else {
        (chance.fraction() * 180.0 - 90.0, chance.fraction() * 360.0 - 180.0)
    }
}

pub fn json(chance: &mut Chance) -> String {
    (chance.pick(&["1", "\"null\"", "false", "[]", "{}", "{\"a\":[null]}", "\"\""])).to_owned()
}
