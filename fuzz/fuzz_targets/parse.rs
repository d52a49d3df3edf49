//! Any text at all: it is read, checked, bound and evaluated without a panic, and what is written out reads the same.

#![no_main]

use std::sync::LazyLock;

use fastcms_expr::{Place, RuleKind, check, parse};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/store/tests/agreement/chance.rs"]
mod chance;
mod given;
#[path = "../../crates/store/tests/agreement/values.rs"]
#[expect(dead_code, reason = "shared with the tests of the store")]
mod values;
#[path = "../../crates/store/tests/agreement/world.rs"]
#[expect(dead_code, reason = "shared with the tests of the store")]
mod world;

/// Everywhere an expression may stand.
const PLACES: [Place; 7] = [
    Place::Filter,
    Place::Rule(RuleKind::List),
    Place::Rule(RuleKind::View),
    Place::Rule(RuleKind::Create),
    Place::Rule(RuleKind::Update),
    Place::Rule(RuleKind::Delete),
    Place::Rule(RuleKind::Manage),
];

static WORLD: LazyLock<world::World> = LazyLock::new(given::world);

fuzz_target!(|source: &str| {
    let Ok(expression) = parse(source) else {
        return;
    };
    let written = expression.to_string();
    // Quotes may make a text longer than it may be.
    if let Ok(again) = parse(&written) {
        assert_eq!(expression, again, "{written}");
    } else {
        assert!(written.chars().count() > fastcms_expr::MAX_LENGTH, "{written}");
    }
    let now = values::NOW.parse().expect("a known moment");
    for place in PLACES {
        let Ok(checked) = check(&expression, &given::offer(&WORLD, place), place) else {
            continue;
        };
        let Ok(predicate) = checked.bind(&given::Call, now) else {
            continue;
        };
        for row in 0..WORLD.home().records.len() {
            let row = world::Seen { world: &WORLD, table: 0, row, sight: None };
            predicate.matches(&row).expect("a row that answers everything");
        }
    }
});
