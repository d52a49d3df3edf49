use super::*;
use crate::fixture::{CREATE, Call, FILTER, LIST, POSTS, UPDATE, fault, filter};
use crate::{MAX_PATH, Predicate, parse};

const DELETE: Place = Place::Rule(RuleKind::Delete);
const MANAGE: Place = Place::Rule(RuleKind::Manage);
const VIEW: Place = Place::Rule(RuleKind::View);

fn accepts(source: &str, place: Place) -> bool {
    let expression = parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    check(&expression, &POSTS, place).is_ok()
}

#[test]
fn each_place_has_its_operands() {
    // filter, list, view, create, update, delete, manage
    let places = [FILTER, LIST, VIEW, CREATE, UPDATE, DELETE, MANAGE];
    for (source, allowed) in [
        ("title = 'x'", [true; 7]),
        ("@record.title = 'x'", [true; 7]),
        ("created < @now", [true; 7]),
        ("owner.name = 'x'", [true, true, true, false, true, true, true]),
        ("geoDistance(place, 1, 2) < 3", [true, true, true, false, true, true, true]),
        ("@request.auth.id = 'x'", [false, true, true, true, true, true, true]),
        ("@request.query.a = 'x'", [false, true, true, true, true, true, true]),
        ("@request.headers.a = 'x'", [false, true, true, true, true, true, true]),
        ("@request.method = 'x'", [false, true, true, true, true, true, true]),
        ("@request.context = 'x'", [false, true, true, true, true, true, true]),
        ("@collection.people.id ?= 'x'", [false, true, true, true, true, true, true]),
        ("@request.data.a = 'x'", [false, false, false, true, true, false, true]),
        ("@request.data.a:isset = true", [false, false, false, true, true, false, true]),
        ("title:changed = true", [false, false, false, false, true, false, true]),
        ("@request.data.title:changed = true", [false, false, false, false, true, false, true]),
    ] {
        for (place, expected) in places.iter().zip(allowed) {
            assert_eq!(accepts(source, *place), expected, "{source} in {place:?}");
        }
    }
}

#[test]
fn faults_say_where_and_what() {
    for (source, position, reason) in [
        ("nope = 1", 0, "unknown field `nope`"),
        ("n = 1 && titel = 'x'", 9, "`title`"),
        ("owner.nam = 'x'", 6, "`name`"),
        ("@record.titel = 'x'", 8, "`title`"),
        ("title.x = 'x'", 0, "not a relation"),
        ("users.password_hash ~ 'a'", 0, "unknown field `users`"),
        ("n = 'abc'", 4, "found text, expected a number"),
        ("n = abc", 4, "found text, expected a number"),
        ("n = '5'", 4, "expected a number"),
        ("n = true", 4, "expected a number"),
        ("title = 5", 8, "found a number, expected text"),
        ("title = true", 8, "expected text"),
        ("flag = 1", 7, "expected true or false"),
        ("flag > true", 5, "has no order"),
        ("created = 'yesterday'", 10, "expected a date-time"),
        ("created > 5", 10, "expected a date-time"),
        ("due = '2026-01-31T10:00:00Z'", 6, "expected a date such as"),
        ("due = 2026-02-30", 6, "expected a date such as"),
        ("title = @now", 8, "found a date-time, expected text"),
        ("created ~ @now", 10, "expected text for `~`"),
        ("n ~ '5'", 0, "expected text for `~`"),
        ("title ~ 5", 8, "expected text for `~`"),
        ("meta = 'x'", 7, "compares only with null"),
        ("place = null && place > null", 22, "has no order"),
        ("tags ?= ['a', 1]", 14, "found a number, expected text"),
        ("n ?= ['a']", 5, "expected a number"),
        ("title = ['a']", 6, "expected `?=`"),
        ("tags ~ ['a']", 5, "expected `?~`"),
        ("tags:each = ['a']", 10, "expected `?=`"),
        ("tags = ['a', null]", 7, "no null"),
        ("tags:each ?= ['a', null]", 13, "no null"),
        ("writers.name = ['a']", 13, "expected `?=`"),
        ("[1] ?= n", 0, "only on the right"),
        ("title:each = 'x'", 0, "not a list"),
        ("'x' = @record.tags:each", 6, "only on the left"),
        ("n:lower = 'x'", 0, "takes no `:lower`"),
        ("n:length = 1", 0, "takes no `:length`"),
        ("writers.teams:length = 1", 0, "no one length"),
        ("title:isset = null", 14, "expected true or false"),
        ("title:isset > true", 12, "expected `=` or `!=`"),
        ("true = @record.title:isset", 7, "stand on the left"),
        ("title", 5, "expected an operator"),
        ("flag && title && flag", 14, "expected an operator"),
        ("true", 4, "expected an operator"),
        ("title = status:lower", 8, "@record.status:lower"),
        ("created = due", 10, "expected a date-time"),
        ("created = @record.due", 10, "found a date, expected a date-time"),
        ("n = @record.title", 4, "found text, expected a number"),
        ("geoDistance(title, 1, 2) < 3", 12, "expected a geopoint"),
        ("geoDistance(place, 1, 2) < 'x'", 27, "expected a number"),
        ("@now > 5", 7, "found a number"),
        ("1 = 'x'", 4, "found text"),
        ("parent.parent.parent.parent.n = 1", 0, "more than 4 parts"),
    ] {
        let (found, text) = fault(source, FILTER);
        assert_eq!(found, position, "{source}: {text}");
        assert!(text.contains(reason), "{source}: {text}");
    }
    assert!(accepts("parent.parent.parent.n = 1", FILTER));
    assert_eq!(MAX_PATH, 4);
}

#[test]
fn a_rule_never_takes_a_mistyped_field_for_text() {
    let (position, reason) = fault("@request.auth.id = ownr", LIST);
    assert_eq!(position, 19);
    assert!(reason.contains("`owner`") && reason.contains("quotes"), "{reason}");
    assert!(!accepts("status = active", LIST));
    assert!(accepts("status = 'active'", LIST));
    assert!(accepts("@request.auth.id = owner", LIST));
    assert!(accepts("created > 2026-01-31", LIST), "no field opens with a digit");
    assert!(accepts("status ?= [active, done]", LIST), "a list holds no fields");
}

#[test]
fn a_bare_word_on_the_right_of_a_filter_is_text_whatever_the_schema_says() {
    assert_eq!(filter("status = title"), filter("status = 'title'"));
    assert_ne!(filter("status = title"), filter("status = @record.title"));
    assert_eq!(filter("5 < n"), filter("n > 5"));
}

#[test]
fn names_in_rules_are_checked() {
    for (source, position, reason) in [
        ("@collection.peple.id ?= 'x'", 12, "`people`"),
        ("@collection.people.nam ?= 'x'", 19, "`name`"),
        ("@collection.posts.meta ?= null", 18, "compares with nothing"),
        ("@collection.people.name:lower ?= 'x'", 0, "takes no `:lower`"),
        ("@collection.people.id = @collection.posts.id", 24, "one side"),
        ("@request.auth.verified = 'yes'", 25, "expected true or false"),
        ("@request.auth.id = 5", 19, "expected text"),
        ("@request.auth.id:isset = true", 0, "takes no `:isset`"),
        ("@request.data.n = 'abc'", 18, "expected a number"),
        ("@request.data.nope:changed = true", 14, "unknown field `nope`"),
        ("owner.name:changed = true", 0, "record itself"),
        ("@request.query.a:changed = true", 0, "takes no `:changed`"),
        ("@request.query.a:each = 'x'", 0, "takes no `:each`"),
        ("@request.data.free", 18, "expected an operator"),
        ("meta = @request.data.free", 7, "only with null"),
    ] {
        let (found, text) = fault(source, UPDATE);
        assert_eq!(found, position, "{source}: {text}");
        assert!(text.contains(reason), "{source}: {text}");
    }
}

#[test]
fn what_an_expression_reads_is_known_before_it_is_bound() {
    let checked = |source: &str, place| check(&parse(source).unwrap(), &POSTS, place).unwrap();
    let free = checked("@request.auth.id != '' && @request.query.a = 1", LIST);
    assert!(!free.needs_row() && !free.reads_collections() && !free.reads_data());
    assert_eq!(Vec::from_iter(free.query_names()), ["a"]);
    assert!(
        free.bind(&Call::alice().query("a", "1"), "2026-01-01T00:00:00Z".parse().unwrap()).unwrap() == Predicate::True
    );
    assert!(checked("!(@request.auth.id = owner)", LIST).needs_row());
    assert!(checked("title:isset", LIST).needs_row());
    assert!(checked("title:changed", UPDATE).needs_row());
    assert!(checked("title:changed", UPDATE).reads_data());
    assert!(checked("@request.data.a:isset", UPDATE).reads_data());
    assert!(checked("geoDistance(place,1,2) < 1", LIST).needs_row());
    assert!(!checked("title = 'x'", CREATE).needs_row());
    assert!(checked("title = 'x'", CREATE).reads_data());
    let members = checked("@collection.people.id ?= @request.auth.id", CREATE);
    assert!(!members.needs_row() && members.reads_collections());
}
