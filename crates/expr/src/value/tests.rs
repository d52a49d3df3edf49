use super::*;

#[test]
fn every_comparison_with_null_follows_two_valued_logic() {
    use Comparison::{Contains, Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    for value in [Value::Bool(true), Value::Number(0.0), Value::from("")] {
        for comparison in [Equal, Less, LessOrEqual, Greater, GreaterOrEqual, Contains] {
            assert!(!comparison.holds(&value, &Value::Null), "{comparison:?}");
            assert!(!comparison.holds(&Value::Null, &value), "{comparison:?}");
            let both_null = comparison.holds(&Value::Null, &Value::Null);
            assert_eq!(both_null, comparison == Equal, "{comparison:?}");
        }
    }
}

#[test]
fn text_is_ordered_by_bytes() {
    let holds = |left: &str, right: &str| Comparison::Less.holds(&left.into(), &right.into());
    assert!(holds("Z", "a"));
    assert!(holds("z", "é"));
    assert!(!holds("a", "a"));
}

#[test]
fn contains_folds_every_letter_and_knows_no_wildcards() {
    let holds = |left: &str, right: &str| Comparison::Contains.holds(&left.into(), &right.into());
    assert!(holds("GRÜSSE", "grüss"));
    assert!(holds("Привет", "ПРИ"));
    assert!(holds("100% sure", "0%"));
    assert!(!holds("100 sure", "0%"));
    assert!(!holds("ab", "a_"));
    assert!(holds("anything", ""));
    // Each character alone: no final sigma.
    assert!(holds("ΟΔΟΣ", "οδοσ"));
    assert_eq!(upper("straße"), "STRASSE");
}

#[test]
fn distance_of_known_cities_is_right() {
    let berlin_paris = distance_km(52.52, 13.405, 48.8566, 2.3522);
    assert!((berlin_paris - 877.5).abs() < 1.0, "{berlin_paris}");
    assert!(distance_km(10.0, 20.0, 10.0, 20.0).abs() < 1e-9);
    let half_way_round = distance_km(0.0, 0.0, 0.0, 180.0);
    assert!((half_way_round - EARTH_RADIUS_KM * std::f64::consts::PI).abs() < 1e-6);
}
