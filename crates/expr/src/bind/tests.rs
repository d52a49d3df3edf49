use proptest::prelude::*;

use super::*;
use crate::fixture::{ALICE, CREATE, Call, FILTER, LIST, Stored, UPDATE, bind, filter};
use crate::request::Input;
use crate::{Auth, parse};

fn decided(source: &str, call: &Call) -> bool {
    bind(source, UPDATE, call)
        .unwrap_or_else(|error| panic!("{source}: {error}"))
        .decided()
        .unwrap_or_else(|| panic!("{source} is not decided"))
}

fn error(source: &str, call: &Call) -> EvaluationError {
    bind(source, UPDATE, call).expect_err(source)
}

#[test]
fn signed_in_is_told_from_anonymous() {
    for (source, anonymous, alice) in [
        ("@request.auth.id != ''", false, true),
        ("@request.auth.id = ''", true, false),
        ("@request.auth.role = 'user'", false, true),
        ("@request.auth.role = null", true, false),
        ("@request.auth.role != 'admin'", true, true),
        ("@request.auth.role ?= ['user', 'editor']", false, true),
        ("@request.auth.verified", false, true),
        ("@request.auth.verified = true", false, true),
        ("@request.auth.email ~ '@EXAMPLE.com'", false, true),
        ("@request.auth.email:length > 0", false, true),
        ("@request.auth.role:upper = 'USER'", false, true),
        ("@request.auth.collection = 'users'", false, true),
        ("@request.method = 'POST' && @request.context = 'batch'", true, true),
        ("1 = 1 && !(2 < 1) && 'b' > 'a' && @now > @yesterday", true, true),
        ("null = null && !(null < 1) && null !~ 'x'", true, true),
    ] {
        assert_eq!(decided(source, &Call::anonymous()), anonymous, "{source}");
        assert_eq!(decided(source, &Call::alice()), alice, "{source}");
    }
}

#[test]
fn an_owner_rule_becomes_one_test_on_the_column() {
    let predicate = bind("owner = @request.auth.id", LIST, &Call::alice()).unwrap();
    assert_eq!(predicate, filter(&format!("owner = '{}'", ALICE.id)));
    let turned = bind("@request.auth.id = owner", LIST, &Call::alice()).unwrap();
    assert_eq!(predicate, turned);
    let rule = "@request.auth.role = 'editor' || owner = @request.auth.id";
    assert_eq!(bind(rule, LIST, &Call::alice()).unwrap(), predicate);
    let editor = Call { auth: Some(Auth { role: Some("editor"), ..ALICE }), ..Call::default() };
    assert_eq!(bind(rule, LIST, &editor).unwrap(), Predicate::True);
}

#[test]
fn data_never_changes_what_a_rule_means() {
    let rule = "@request.data.kind = 'public'";
    for kind in ["x' or 'a", "public' || '1'='1", "' || true", "public\" || \"", "@request.auth.id", "\\", "public "] {
        assert!(!decided(rule, &Call::anonymous().with("kind", kind)), "{kind}");
        let call = Call::anonymous().with("kind", kind);
        let stored = bind("status = @request.data.kind", UPDATE, &call).unwrap();
        let row = Stored::default().with("status", kind);
        assert!(stored.matches(&row).unwrap(), "{kind}");
        let other = Stored::default().with("status", "public");
        assert!(!stored.matches(&other).unwrap(), "{kind}");
    }
    assert!(decided(rule, &Call::anonymous().with("kind", "public")));
    assert!(!decided(rule, &Call::anonymous()), "absent is null");
    assert!(!decided(rule, &Call::anonymous().with("kind", Value::Null)));
}

#[test]
fn data_of_another_type_denies_even_under_a_negation() {
    let list: &[&str] = &["public", "x"];
    for (value, rule) in [
        (Input::from(5.0), "@request.data.kind = 'public'"),
        (Input::Value(Value::Bool(true)), "@request.data.kind != 'public'"),
        (Input::from(list), "@request.data.kind = 'public'"),
        (Input::from(list), "@request.data.kind != 'private'"),
        (Input::from(list), "status = @request.data.kind"),
        (Input::Opaque, "@request.data.kind = 'public'"),
        (Input::Opaque, "status != @request.data.kind"),
        (Input::Opaque, "@request.data.kind ?= ['a']"),
        (Input::from("x"), "@request.data.kind > 5"),
        (Input::from("x"), "created < @request.data.kind"),
        (Input::from("x\0"), "status = @request.data.kind"),
        (Input::Value(Value::Bool(true)), "@request.data.kind < @request.data.kind"),
        (Input::from(f64::NAN), "@request.data.kind < 5"),
    ] {
        let call = Call::alice().with("kind", value);
        for rule in [
            rule.to_owned(),
            format!("!({rule})"),
            format!("@request.auth.id != '' || {rule}"),
            format!("!(@request.auth.id = '' && {rule})"),
        ] {
            assert!(bind(&rule, UPDATE, &call).is_err(), "{rule}");
        }
    }
}

#[test]
fn presence_is_asked_of_data_query_and_headers() {
    let call = Call::anonymous()
        .with("a", Value::Null)
        .with("b", Input::Opaque)
        .with("n+", 1.0)
        .query("q", "")
        .header("x-h", "1");
    for (source, holds) in [
        ("@request.data.a:isset", true),
        ("@request.data.a:isset = false", false),
        ("@request.data.b:isset != false", true),
        ("@request.data.c:isset = true", false),
        ("@request.data.n:isset", true),
        ("@request.query.q:isset", true),
        ("@request.query.r:isset", false),
        ("@request.headers.X_H:isset && @request.headers.x-h = 1", true),
        ("@request.data.a = null && @request.data.b != null && @request.data.c = null", true),
    ] {
        assert_eq!(decided(source, &call), holds, "{source}");
    }
}

#[test]
fn a_value_sent_as_an_increment_is_not_taken_for_absent() {
    let call = Call::alice().with("n-", 1.0);
    for rule in ["@request.data.n = null", "!(@request.data.n > 5)", "n = @request.data.n"] {
        assert!(matches!(error(rule, &call), EvaluationError::Increment { .. }), "{rule}");
    }
    assert!(decided("n:changed", &call));
    assert!(!decided("n:changed", &Call::alice()));
}

#[test]
fn changed_compares_what_is_sent_with_what_is_stored() {
    let (same, other): (&[&str], &[&str]) = (&["a", "b"], &["b", "a"]);
    let empty: &[&str] = &[];
    let row = Stored::default()
        .with("title", "old")
        .with("n", 1.0)
        .with("created", "2026-01-31T10:00:00.000Z")
        .with("tags", same);
    for (field, value, changed) in [
        ("title", Input::from("old"), false),
        ("title", Input::from("new"), true),
        ("title", Input::Value(Value::Null), true),
        ("status", Input::Value(Value::Null), false),
        ("status", Input::from(""), false),
        ("status", Input::from("x"), true),
        ("n", Input::from(1.0), false),
        ("n", Input::from(2.0), true),
        ("created", Input::from("2026-01-31T12:00:00+02:00"), false),
        ("tags", Input::from(same), false),
        ("tags", Input::from(other), true),
        ("tags", Input::from(empty), true),
        ("writers", Input::from(empty), false),
        ("writers", Input::Value(Value::Null), false),
        ("meta", Input::Opaque, true),
    ] {
        let call = Call::alice().with(field, value.clone());
        for source in [format!("{field}:changed"), format!("@request.data.{field}:changed = true")] {
            let predicate = bind(&source, UPDATE, &call).unwrap();
            assert_eq!(predicate.matches(&row).unwrap(), changed, "{source} {value:?}");
        }
        let unchanged = bind(&format!("{field}:changed = false"), UPDATE, &call).unwrap();
        assert_eq!(unchanged.matches(&row).unwrap(), !changed, "{field} {value:?}");
    }
    for (field, value) in [("n", Input::from("x")), ("title", Input::from(same)), ("tags", Input::from("a"))] {
        let call = Call::alice().with(field, value);
        error(&format!("{field}:changed = false"), &call);
    }
}

#[test]
fn query_and_headers_are_read_as_what_they_are_compared_with() {
    let call = Call::alice().query("n", "5").query("t", "2026-01-31").query("b", "true");
    assert!(decided("@request.query.n = 5 && @request.query.n = '5'", &call));
    assert!(decided("@request.query.b = true && @request.query.t < @now", &call));
    let predicate = bind("created > @request.query.t", LIST, &call).unwrap();
    assert_eq!(predicate, filter("created > '2026-01-31'"));
    error("@request.query.t = 5", &call);
    error("@request.query.n = true", &call);
    assert!(!decided("@request.query.none = 5", &call));
    error("@request.query.x = 5", &Call::alice().query("x", "inf"));
}

#[test]
fn lists_of_the_request_are_compared_by_their_items() {
    let two: &[&str] = &["a", "b"];
    let none: &[&str] = &[];
    let call = Call::alice().with("two", two).with("none", none);
    for (source, holds) in [
        ("@request.data.two = ['a', 'b']", true),
        ("@request.data.two = ['b', 'a']", false),
        ("@request.data.two != ['a']", true),
        ("@request.data.two ?= 'a'", true),
        ("@request.data.two ?!= 'a'", false),
        ("@request.data.two ?!= 'c'", true),
        ("@request.data.two ?~ 'B'", true),
        ("@request.data.two ?> 'a'", true),
        ("@request.data.two:each = 'a'", false),
        ("@request.data.two:each < 'c'", true),
        ("@request.data.two:each ?= ['a', 'b', 'c']", true),
        ("@request.data.two:each != 'c'", true),
        ("@request.data.two:each != 'b'", false),
        ("@request.data.two:length = 2", true),
        ("'b' ?= @request.data.two", true),
        ("'c' ?= @request.data.two", false),
        ("'c' ?!= @request.data.two", true),
        ("@request.data.none = []", true),
        ("@request.data.none = null", true),
        ("@request.data.two = null", false),
        ("@request.data.none:length = 0", true),
        ("'c' ?= @request.data.none", false),
        ("null ?= @request.data.none", false),
        ("@request.data.none:each = 'a'", false),
        ("@request.data.none:each != 'a'", true),
        ("@request.data.absent ?= []", false),
    ] {
        assert_eq!(decided(source, &call), holds, "{source}");
    }
}

#[test]
fn lists_of_the_request_meet_stored_values() {
    let two: &[&str] = &["a", "b"];
    let none: &[&str] = &[];
    let call = Call::alice()
        .with("two", two)
        .with("none", none)
        .with("holes", Input::List(vec![Value::Null, Value::from("a")]));
    for (source, equal) in [
        ("status ?= @request.data.two", "status ?= ['a', 'b']"),
        ("@request.data.two ?= status", "status = 'a' || status = 'b'"),
        ("@request.data.two:each = tags", "tags = 'a' && tags = 'b'"),
        ("@request.data.two:each != tags", "!(tags = 'a' || tags = 'b')"),
        ("tags = @request.data.two", "tags = ['a', 'b']"),
        ("@request.data.two = tags", "tags = ['a', 'b']"),
        ("tags = @request.data.none", "tags = null"),
        ("status ?= @request.data.none", "1 = 2"),
        ("status ?!= @request.data.none", "1 = 1"),
        ("status ?= @request.data.holes", "status = null || status ?= ['a']"),
        ("@request.data.two ?~ title", "'a' ~ @record.title || 'b' ~ @record.title"),
    ] {
        assert_eq!(bind(source, UPDATE, &call).unwrap(), filter(equal), "{source}");
    }
    error("tags:each ?= @request.data.holes", &call);
    assert_eq!(bind("tags = @request.data.holes", UPDATE, &call), Ok(Predicate::False));
}

#[test]
fn lists_of_the_request_are_limited() {
    let items = |count: usize| Input::List(vec![Value::from("a"); count]);
    for (source, limit) in [
        ("status ?= @request.data.l", MAX_LIST_ITEMS),
        ("tags = @request.data.l", MAX_LIST_ITEMS),
        ("tags:changed", MAX_LIST_ITEMS),
        ("@request.data.l ?= status", MAX_EXPANDED_ITEMS),
        ("@request.data.l:each = tags", MAX_EXPANDED_ITEMS),
        ("@request.data.l ?= 'a'", MAX_PAIRS),
    ] {
        let field = if source == "tags:changed" { "tags" } else { "l" };
        let call = |count| Call::alice().with(field, items(count));
        assert!(bind(source, UPDATE, &call(limit)).is_ok(), "{source}");
        let denied = EvaluationError::TooManyItems { operand: format!("@request.data.{field}"), limit };
        if source == "tags:changed" {
            assert!(bind(source, UPDATE, &call(limit + 1)).is_err());
        } else {
            assert_eq!(error(source, &call(limit + 1)), denied, "{source}");
        }
    }
}

#[test]
fn a_create_rule_sees_what_is_sent() {
    let call = Call::alice().with("owner", ALICE.id).with("n", 3.0).with("due", "2026-03-15");
    for (source, holds) in [
        ("@request.data.owner = @request.auth.id", true),
        ("owner = @request.auth.id", true),
        ("@record.n > 2 && due = @today && title = null", true),
        ("status:isset || !(n:isset)", false),
    ] {
        let predicate = bind(source, CREATE, &call).unwrap();
        assert_eq!(predicate.decided(), Some(holds), "{source}");
    }
    assert!(bind("n > 2", CREATE, &Call::alice().with("n", "9")).is_err());
}

#[test]
fn predicates_are_in_normal_form() {
    for (source, equal) in [
        ("title:isset", "!(title = null)"),
        ("title:isset = false", "title = null"),
        ("title != 'x'", "!(title = 'x')"),
        ("title !~ 'x'", "!(title ~ 'x')"),
        ("tags:each != 'x'", "!(tags = 'x')"),
        ("tags ?!= ['x']", "!(tags ?= ['x'])"),
        ("n > null", "1 = 2"),
        ("title !~ null", "1 = 1"),
        ("n = 1 && (1 = 1 && m = 2)", "n = 1 && m = 2"),
        ("n = 1 || (1 = 2 || m = 2)", "n = 1 || m = 2"),
        ("!(!(n = 1))", "n = 1"),
        ("n ?= []", "1 = 2"),
        ("n = 1 && n ?= []", "1 = 2"),
        ("tags = []", "tags = null"),
        ("flag", "flag = true"),
        ("3 > geoDistance(place, 1, 2)", "geoDistance(place, 1, 2) < 3"),
        ("due >= @day-1", "due >= '2026-03-14'"),
        ("created >= @now", "created >= '2026-03-15T13:30:00.123Z'"),
        ("created = 2026-01-31T12:00:00+02:00", "created = '2026-01-31T10:00:00.000Z'"),
    ] {
        assert_eq!(filter(source), filter(equal), "{source}");
    }
    let members = bind("@request.auth.id ?= @collection.people.id", LIST, &Call::alice()).unwrap();
    assert!(matches!(members, Predicate::Test(Test { left: Term::Collection { .. }, right: Term::Constant(_), .. })));
    let column = bind("@collection.people.id ?= owner", LIST, &Call::alice()).unwrap();
    assert!(matches!(column, Predicate::Test(Test { left: Term::Column(_), right: Term::Collection { .. }, .. })));
    let nobody = bind("@request.auth.role = @collection.people.name", LIST, &Call::anonymous());
    assert_eq!(nobody, Ok(Predicate::False), "no value of a collection is null");
}

#[test]
fn a_macro_outside_the_calendar_denies() {
    let checked = crate::check(&parse("created > @year-1").unwrap(), &crate::fixture::POSTS, FILTER).unwrap();
    let first_year: Timestamp = "0000-06-01T00:00:00Z".parse().unwrap();
    assert!(matches!(checked.bind(&crate::NoRequest, first_year), Err(EvaluationError::OutOfCalendar { .. })));
}

fn assert_normal(predicate: &Predicate, top: bool) {
    match predicate {
        Predicate::True | Predicate::False => assert!(top),
        Predicate::All(members) | Predicate::Any(members) => {
            assert!(members.len() > 1);
            for member in members {
                assert_normal(member, false);
            }
        }
        Predicate::Not(inner) => {
            assert!(!matches!(**inner, Predicate::Not(_)));
            assert_normal(inner, false);
        }
        Predicate::Test(test) => assert_normal_test(test),
    }
}

fn assert_normal_test(test: &Test) {
    assert!(!matches!(test.left, Term::List(_)));
    if matches!(test.left, Term::Constant(_)) {
        assert_eq!(test.comparison, Comparison::Contains);
        assert!(!matches!(test.right, Term::Constant(_) | Term::List(_)));
    }
    if test.right == Term::Constant(Value::Null) {
        assert_eq!(test.comparison, Comparison::Equal);
    }
    if let Term::List(items) = &test.right {
        assert!(!items.is_empty() && !items.contains(&Value::Null));
    }
    match test.quantifier {
        Quantifier::Any => {}
        Quantifier::Every => {
            assert!(matches!(&test.left, Term::Column(column) if column.is_many()));
        }
        Quantifier::Whole => assert!(matches!((&test.left, &test.right), (Term::Column(_), Term::List(_)))),
    }
}

fn input() -> impl Strategy<Value = Input> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_map(Value::Number),
        ".{0,8}".prop_map(Value::Text),
        prop::sample::select(vec!["a", "2026-01-31", "", "5"]).prop_map(Value::from),
    ];
    prop_oneof![
        value.clone().prop_map(Input::Value),
        prop::collection::vec(value, 0..4).prop_map(Input::List),
        Just(Input::Opaque),
    ]
}

proptest! {
    #[test]
    fn any_data_gives_a_normal_predicate_or_an_error(
        value in input(),
        left in prop::sample::select(vec![
            "title", "n", "flag", "created", "due", "tags", "tags:each", "title:lower", "tags:length", "writers.name",
            "@request.data.x", "@request.data.x:each", "@request.data.x:length", "@collection.people.name", "null", "'a'", "5", "@now",
        ]),
        operator in prop::sample::select(vec![
            "=", "!=", "<", "<=", ">", ">=", "~", "!~", "?=", "?!=", "?<", "?<=", "?>", "?>=", "?~", "?!~",
        ]),
        right in prop::sample::select(vec![
            "title", "n", "tags", "@request.data.x", "@request.data.x:lower", "null", "['a']", "[]", "@today",
        ]),
    ) {
        let source = format!("{left} {operator} {right}");
        let checked = crate::check(&parse(&source).unwrap(), &crate::fixture::POSTS, UPDATE);
        if let Ok(checked) = checked {
            let now = crate::fixture::NOW.parse().unwrap();
            if let Ok(predicate) = checked.bind(&Call::alice().with("x", value), now) {
                assert_normal(&predicate, true);
                let tags: &[&str] = &["a", "b"];
                let row = Stored::default().with("tags", tags).with("n", 5.0);
                prop_assert!(predicate.matches(&row).is_ok());
            }
        }
    }

    #[test]
    fn an_opposite_operator_is_the_complement(value in input(), any in any::<bool>(), list in any::<bool>()) {
        let right = if list { "['a', '5']" } else { "@request.data.x" };
        let mark = if any || list { "?" } else { "" };
        for (plain, opposite) in [("=", "!="), ("~", "!~")] {
            for left in ["title", "tags", "writers.name", "@request.data.x"] {
                let call = Call::alice().with("x", value.clone());
                let holds = |operator: &str| bind(&format!("{left} {mark}{operator} {right}"), UPDATE, &call);
                prop_assert_eq!(holds(plain).map(Predicate::negated), holds(opposite));
            }
        }
    }
}
