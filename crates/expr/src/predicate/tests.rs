use super::*;
use crate::fixture::{Call, LIST, Stored, bind, filter, matches};
use crate::{MAX_COLLECTION_VALUES, lower};

#[test]
fn every_operator_follows_two_valued_logic_with_a_null_field() {
    let null = Stored::default();
    for (source, holds) in [
        ("n = 5", false),
        ("n != 5", true),
        ("n > 5", false),
        ("n >= 5", false),
        ("n < 5", false),
        ("n <= 5", false),
        ("title ~ 'x'", false),
        ("title !~ 'x'", true),
        ("n = null", true),
        ("n != null", false),
        ("n > null", false),
        ("n <= null", false),
        ("title ~ null", false),
        ("title !~ null", true),
        ("n ?= [5]", false),
        ("n ?= [5, null]", true),
        ("n ?!= [5]", true),
        ("n ?!= [5, null]", false),
        ("n ?> [5]", false),
        ("n ?<= [5, null]", false),
        ("title ?~ ['x', '']", false),
        ("title ?!~ ['x']", true),
        ("n = @record.m", true),
        ("n != @record.m", false),
        ("n <= @record.m", false),
        ("title:length = 0", false),
        ("title:length = null", true),
        ("title:lower = null", true),
        ("tags:length = 0", true),
        ("tags = null", true),
        ("tags:each = 'a'", false),
        ("tags:each != 'a'", true),
        ("title:isset", false),
        ("meta:isset || place:isset || tags:isset", false),
        ("meta = null && place = null", true),
        ("owner.name = null", true),
        ("owner.name != 'x'", true),
        ("geoDistance(place, 1, 2) < 100000", false),
        ("geoDistance(place, 1, 2) = null", true),
    ] {
        assert_eq!(matches(source, &null), holds, "{source}");
        assert_eq!(matches(&format!("!({source})"), &null), !holds, "!({source})");
    }
}

#[test]
fn values_compare_by_their_kind() {
    let tags: &[&str] = &["Red", "blue"];
    let row = Stored::default()
        .with("title", "50% of Ä_b && c")
        .with("n", 7.5)
        .with("m", 8.0)
        .with("flag", false)
        .with("created", "2026-03-15T10:00:00.000Z")
        .with("due", "2026-03-15")
        .with("tags", tags)
        .with("owner.name", "Alice")
        .with("place", Cell::Point { lat: 52.52, lng: 13.405 })
        .with("meta", Cell::Json);
    for source in [
        "title ~ '50%' && title ~ 'ä_B' && title !~ '5%%' && title ~ '&& c'",
        "title:lower = '50% of ä_b && c' && title:upper ~ 'OF' && title:length = 15",
        "n > 7 && n >= 7.5 && n < 8 && n <= 7.5 && n != 7 && n = 7.5 && n < @record.m",
        "n ?= [1, 7.5] && n ?!= [1, 2] && n ?> [9, 7] && n ?>= [7.5] && n ?< [1, 8] && n ?<= [7.5]",
        "flag = false && flag != true && flag != null",
        "created > @today && created < @now && created = '2026-03-15T11:00:00+01:00' && created ~ '2026-03'",
        "due = @today && due > @yesterday && due <= @todayEnd",
        "tags = 'Red' && tags ?= ['x', 'blue'] && tags != 'red' && tags ~ 'RED' && tags !~ 'green'",
        "tags = ['Red', 'blue'] && tags != ['blue', 'Red'] && tags != ['Red'] && tags:length = 2",
        "tags:lower = 'red' && tags:each ?= ['Red', 'blue', 'x'] && !(tags:each = 'Red')",
        "tags:each ~ 'e' && tags:each != 'green' && !(tags:each !~ 'r')",
        "owner.name = 'Alice' && owner.name ~ 'ali' && owner.name:lower = 'alice'",
        "geoDistance(place, 48.8566, 2.3522) > 870 && geoDistance(place, 48.8566, 2.3522, 'mi') < 550",
        "geoDistance(place, 52.52, 13.405, 'm') = 0 && meta != null && meta:isset && place != null",
        "'50% of Ä_b && c and more' ~ @record.title && 8 > n",
    ] {
        assert!(matches(source, &row), "{source}");
    }
}

#[test]
fn precedence_and_negation_decide_as_written() {
    let row = Stored::default().with("n", 1.0).with("m", 2.0);
    assert!(matches("n = 1 || n = 2 && m = 3", &row));
    assert!(!matches("(n = 1 || n = 2) && m = 3", &row));
    assert!(matches("(n = 1 && (m = 2 || m = 3))", &row));
    assert!(matches("!(n = 1 && m = 3)", &row));
}

#[test]
fn a_path_to_many_stands_for_what_it_reaches() {
    let names: &[&str] = &["Ann", "Bob"];
    let row = Stored::default().with("writers.name", names);
    assert!(matches("writers.name = 'Bob'", &row));
    assert!(!matches("writers.name != 'Bob'", &row));
    assert!(matches("writers.name:each != 'Cy'", &row));
    assert!(!matches("writers.name:each = 'Bob'", &row));
    assert!(matches("writers.name:length = 3", &row), "length of each name");
    let column = filter("writers.name = 'x'");
    assert!(column.columns()[0].is_many());
}

#[test]
fn a_collection_stands_for_its_values_up_to_a_limit() {
    let rule = "@collection.people.name ?= @request.auth.role";
    let predicate = bind(rule, LIST, &Call::alice()).unwrap();
    assert_eq!(predicate.collections(), [("people", "name")]);
    let mut row = Stored::default();
    assert!(!predicate.matches(&row).unwrap());
    assert!(predicate.clone().negated().matches(&row).unwrap());
    let key = "people.name".to_owned();
    let full = vec![Value::from("user"); MAX_COLLECTION_VALUES];
    row.collections.insert(key.clone(), full.clone());
    assert!(predicate.matches(&row).unwrap());
    row.collections.insert(key.clone(), [full.clone(), vec![Value::Null]].concat());
    assert!(predicate.matches(&row).unwrap(), "nulls do not count");
    row.collections.insert(key, [full, vec![Value::from("x")]].concat());
    for rule in [rule.to_owned(), format!("!({rule})"), format!("n = null || {rule}")] {
        let predicate = bind(&rule, LIST, &Call::alice()).unwrap();
        assert!(predicate.matches(&row).is_err(), "{rule}");
    }
}

#[test]
fn a_row_that_answers_nonsense_is_an_error() {
    let list: &[&str] = &["a"];
    let row = Stored::default().with("title", list).with("n", Cell::Json).with("place", 1.0);
    for source in ["title = 'a'", "n = 1", "geoDistance(place, 1, 2) < 3"] {
        assert!(filter(source).matches(&row).is_err(), "{source}");
    }
}

#[test]
fn columns_are_listed_once() {
    let predicate = filter("n = 1 || !(n > 2 && owner.name = 'x') || geoDistance(place, 1, 2) < @record.n");
    let paths: Vec<String> = predicate.columns().iter().map(|column| column.path.join(".")).collect();
    assert_eq!(paths, ["n", "owner.name", "place"]);
}

#[test]
fn joining_keeps_the_normal_form() {
    let test = filter("n = 1");
    assert_eq!(test.clone().and(Predicate::True), test);
    assert_eq!(test.clone().and(Predicate::False), Predicate::False);
    assert_eq!(test.clone().or(Predicate::False), test);
    assert_eq!(test.clone().or(Predicate::True), Predicate::True);
    assert_eq!(Predicate::all(vec![]), Predicate::True);
    assert_eq!(Predicate::any(vec![]), Predicate::False);
    assert_eq!(lower("İ").chars().count(), 2);
}
