//! Every type of field: what it takes, what it keeps, what it says of what it does not take (contract 7.3, 3).

use serde_json::{Value, json};

use crate::callers::{COLLECTIONS, Calls, open, record};
use crate::file_fields::stored;
use crate::on_both_engines;
use crate::product::Product;

mod presence;
mod secrecy;

on_both_engines!(
    text_and_editor_take_strings,
    numbers_are_finite_and_flags_are_flags,
    addresses_are_addresses,
    days_and_instants_are_kept_in_one_form,
    a_choice_is_one_of_the_values,
    a_relation_is_a_record_that_exists,
    a_file_is_one_of_the_callers,
    json_and_points_come_back_equal,
    an_autodate_is_set_by_the_server,
);

/// What one definition of a field `f` takes (sent, kept) and refuses (sent, message; an empty one: whichever).
struct Kind {
    field: Value,
    good: Vec<(Value, Value)>,
    bad: Vec<(Value, &'static str)>,
}

/// Each value on its own, by creation and by change; what is kept is what is answered, got and listed.
async fn check(product: &Product, kinds: Vec<Kind>) {
    let admin = product.admin().await;
    for (at, kind) in kinds.into_iter().enumerate() {
        let name = format!("kind{at}");
        let mut field = kind.field.clone();
        field["name"] = json!("f");
        admin.collection(&open(&name, &json!([field, {"name": "other", "type": "text"}]))).await;
        one_kind(&product.guest(), &name, &kind).await;
    }
}

async fn one_kind(caller: &impl Calls, name: &str, kind: &Kind) {
    let field = &kind.field;
    let empty = caller.make(name, &json!({"other": "x"})).await;
    assert_eq!(empty["data"]["f"], Value::Null, "{field}: absent");
    for (sent, kept) in kind.good.iter().chain([&(Value::Null, Value::Null)]) {
        let made = caller.create(name, &json!({"f": sent})).await;
        assert_eq!(made.status, 201, "{field} takes {sent}: {}", made.json());
        let made = made.json();
        assert_eq!(made["data"]["f"], *kept, "{field} keeps {sent}");
        assert_eq!(caller.get(&record(name, &made["id"])).await.expect(200).json(), made, "{field}: {sent} got");
        let changed = caller.change(name, &empty["id"], &json!({"f": sent})).await.expect(200).json();
        assert_eq!(changed["data"], json!({"f": kept, "other": "x"}), "{field}: changed to {sent}");
        let listed = caller.list(name, &[("sort", "-@rowid"), ("per_page", "1")]).await.expect(200).json();
        assert_eq!(listed["items"][0], made, "{field}: {sent} listed");
    }
    let total = caller.list(name, &[]).await.expect(200).json()["total"].clone();
    for (sent, message) in &kind.bad {
        let answers = [
            caller.create(name, &json!({"f": sent})).await,
            caller.change(name, &empty["id"], &json!({"f": sent})).await,
        ];
        for answer in answers {
            assert_eq!(answer.status, 422, "{field} refuses {sent}: {}", String::from_utf8_lossy(&answer.bytes));
            let details = answer.json()["details"].clone();
            assert_eq!(details.as_object().unwrap().len(), 1, "{field}: {sent}: {details}");
            let found = details["f"].as_str().unwrap_or_else(|| panic!("{field}: {sent}: {details}"));
            assert!(
                !found.is_empty() && (message.is_empty() || found == *message),
                "{field}: {sent}: {found:?}, not {message:?}"
            );
        }
    }
    assert_eq!(
        caller.list(name, &[]).await.expect(200).json()["total"],
        total,
        "{field}: a refused value left a record"
    );
}

/// Values that are kept as they are sent.
fn same(values: &[Value]) -> Vec<(Value, Value)> {
    values.iter().map(|value| (value.clone(), value.clone())).collect()
}

fn refused(message: &'static str, values: &[Value]) -> Vec<(Value, &'static str)> {
    values.iter().map(|value| (value.clone(), message)).collect()
}

async fn text_and_editor_take_strings(product: &Product) {
    let not_texts = [json!(1), json!(true), json!([]), json!({}), json!(["a"])];
    let mut lengths = refused("Must be a string", &not_texts);
    lengths.extend([
        (json!("a"), "Minimum length is 2"),
        (json!("éé́éé"), "Maximum length is 4"),
        (json!("abcde"), "Maximum length is 4"),
    ]);
    check(
        product,
        vec![
            Kind {
                field: json!({"type": "text"}),
                good: same(&[
                    json!("a"),
                    json!(" padded "),
                    json!("línea\nzwei\t"),
                    json!("𝕏 👩‍👩‍👧"),
                    json!("x".repeat(100_000)),
                ]),
                bad: [refused("Must be a string", &not_texts), refused("", &[json!("nul\u{0}")])].concat(),
            },
            Kind {
                field: json!({"type": "text", "validation": {"min_length": 2, "max_length": 4}}),
                good: same(&[json!("ab"), json!("ééé"), json!("𝕏𝕏𝕏𝕏")]),
                bad: lengths,
            },
            Kind {
                field: json!({"type": "text", "validation": {"pattern": "[a-z]+"}}),
                good: same(&[json!("abc")]),
                bad: refused(
                    "Does not match required pattern",
                    &[json!("abc1"), json!("1abc"), json!("a b"), json!("abc\n"), json!("ABC")],
                ),
            },
            Kind {
                field: json!({"type": "text", "validation": {"pattern": "a|bc"}}),
                good: same(&[json!("a"), json!("bc")]),
                bad: refused("Does not match required pattern", &[json!("ac"), json!("abc")]),
            },
            Kind {
                field: json!({"type": "text", "validation": {"pattern": "(a+)+"}}),
                good: same(&[json!("a".repeat(5000))]),
                bad: refused("Does not match required pattern", &[json!("a".repeat(50_000) + "!")]),
            },
            Kind {
                field: json!({"type": "editor"}),
                good: [
                    same(&[json!("<p>Hello <b>you</b></p>"), json!("plain")]),
                    vec![
                        (json!("<p onclick=\"x()\">hi</p><script>alert(1)</script>"), json!("<p>hi</p>")),
                        (json!("<img src=x onerror=alert(1)>"), json!("<img src=\"x\">")),
                    ],
                ]
                .concat(),
                bad: refused("Must be a string", &not_texts),
            },
        ],
    )
    .await;
}

async fn numbers_are_finite_and_flags_are_flags(product: &Product) {
    let not_numbers = [json!("1"), json!(true), json!(false), json!([]), json!({}), json!("NaN")];
    check(
        product,
        vec![
            Kind {
                field: json!({"type": "number"}),
                good: same(&[
                    json!(0),
                    json!(1),
                    json!(-1),
                    json!(1.5),
                    json!(-0.25),
                    json!(0.1),
                    json!(9_007_199_254_740_991_i64),
                    json!(-9_007_199_254_740_991_i64),
                    json!(1e300),
                    json!(1e-300),
                    json!(123_456.789),
                ]),
                bad: refused("Must be a number", &not_numbers),
            },
            Kind {
                field: json!({"type": "number", "validation": {"min": -2, "max": 2.5}}),
                good: same(&[json!(-2), json!(2.5), json!(0)]),
                bad: [
                    refused("Minimum value is -2", &[json!(-3), json!(-2.01)]),
                    refused("Maximum value is 2.5", &[json!(3), json!(2.51), json!(1e300)]),
                ]
                .concat(),
            },
            Kind {
                field: json!({"type": "bool"}),
                good: same(&[json!(true), json!(false)]),
                bad: refused(
                    "Must be a boolean",
                    &[json!("true"), json!(""), json!(0), json!(1), json!([]), json!({})],
                ),
            },
        ],
    )
    .await;
}

async fn addresses_are_addresses(product: &Product) {
    let host = format!("@{}.example.com", ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join("."));
    let at_limit = format!("{}{host}", "x".repeat(255 - host.len()));
    let past_limit = format!("x{at_limit}");
    let url_at_limit = format!("https://example.com/{}", "a".repeat(2048 - 20));
    let url_past_limit = format!("{url_at_limit}a");
    assert_eq!((at_limit.len(), past_limit.len(), url_at_limit.len()), (255, 256, 2048));
    check(
        product,
        vec![
            Kind {
                field: json!({"type": "email"}),
                good: same(&[
                    json!("a@example.com"),
                    json!("first.last+tag@sub.example.org"),
                    json!("UPPER@Example.com"),
                    json!(at_limit),
                ]),
                bad: [
                    refused(
                        "Invalid email format",
                        &[
                            json!("x.y@"),
                            json!("plain"),
                            json!("@example.com"),
                            json!("a b@example.com"),
                            json!("a@b@c.com"),
                            json!("a@example..com"),
                            json!("a@example.com\n"),
                            json!("<a@example.com>"),
                            json!("a@example.com, b@example.com"),
                        ],
                    ),
                    refused("Must be a string", &[json!(1), json!([]), json!({})]),
                    refused("", &[json!(past_limit)]),
                ]
                .concat(),
            },
            Kind {
                field: json!({"type": "url"}),
                good: same(&[
                    json!("https://example.com"),
                    json!("http://example.com:8080/a?b=c#d"),
                    json!("https://example.com/ü"),
                    json!(url_at_limit),
                ]),
                bad: [
                    refused(
                        "Invalid URL format",
                        &[
                            json!("example.com"),
                            json!("/relative"),
                            json!("ftp://example.com"),
                            json!("javascript:alert(1)"),
                            json!("data:text/html,x"),
                            json!("http://"),
                            json!("https:///path"),
                            json!("http://exa mple.com"),
                            json!(" https://example.com"),
                        ],
                    ),
                    refused("Must be a string", &[json!(1), json!([]), json!({})]),
                    refused("", &[json!(url_past_limit)]),
                ]
                .concat(),
            },
        ],
    )
    .await;
}

async fn days_and_instants_are_kept_in_one_form(product: &Product) {
    check(
        product,
        vec![
            Kind {
                field: json!({"type": "date"}),
                good: same(&[json!("2026-01-31"), json!("2024-02-29"), json!("1969-12-31"), json!("9999-12-31")]),
                bad: [
                    refused(
                        "Invalid date format",
                        &[
                            json!("2026-02-30"),
                            json!("2025-02-29"),
                            json!("31.01.2026"),
                            json!("2026-1-1"),
                            json!("20260131"),
                            json!("2026-13-01"),
                            json!("2026-01-31T00:00:00Z"),
                            json!("tomorrow"),
                            json!("12026-01-31"),
                            json!(" 2026-01-31"),
                        ],
                    ),
                    refused("", &[json!(20_260_131), json!(true), json!([]), json!({})]),
                ]
                .concat(),
            },
            Kind {
                field: json!({"type": "datetime"}),
                good: [
                    same(&[
                        json!("2026-01-31T09:30:00.000Z"),
                        json!("1969-12-31T23:59:59.999Z"),
                        json!("9999-12-31T23:59:59.999Z"),
                    ]),
                    vec![
                        (json!("2026-01-31T09:30:00Z"), json!("2026-01-31T09:30:00.000Z")),
                        (json!("2026-01-31T10:30:00+01:00"), json!("2026-01-31T09:30:00.000Z")),
                        (json!("2026-01-31T09:30:00"), json!("2026-01-31T09:30:00.000Z")),
                        (json!("2026-01-31T09:30:00.1234567Z"), json!("2026-01-31T09:30:00.123Z")),
                        (json!("2026-01-01T00:30:00+02:00"), json!("2025-12-31T22:30:00.000Z")),
                    ],
                ]
                .concat(),
                bad: [
                    refused(
                        "Invalid date format",
                        &[
                            json!("2026-02-30T00:00:00Z"),
                            json!("2026-01-31T25:00:00Z"),
                            json!("noon"),
                            json!("1769850600"),
                            json!("2026-01-31T09:30:00 Europe/Berlin"),
                        ],
                    ),
                    refused("", &[json!(1_769_850_600), json!(true), json!([]), json!({})]),
                ]
                .concat(),
            },
        ],
    )
    .await;
}

async fn a_choice_is_one_of_the_values(product: &Product) {
    check(
        product,
        vec![
            Kind {
                field: json!({"type": "select", "select": {"values": ["a", "b", "it's \"c\""]}}),
                good: same(&[json!("a"), json!("b"), json!("it's \"c\"")]),
                bad: refused(
                    "Must be one of: a, b, it's \"c\"",
                    &[json!("c"), json!("A"), json!("a,b"), json!(1), json!(true), json!({}), json!("a ")],
                ),
            },
            Kind {
                field: json!({"type": "select", "validation": {"values": ["x", "y"]}}),
                good: same(&[json!("x")]),
                bad: refused("Must be one of: x, y", &[json!("z")]),
            },
            Kind {
                field: json!({"type": "select", "select": {"values": ["a", "b", "c"], "max_select": 2}}),
                good: same(&[json!(["a"]), json!(["b", "a"]), json!(["c", "b"])]),
                bad: [
                    refused("Must be one of: a, b, c", &[json!(["d"]), json!(["a", 1]), json!("d"), json!(5)]),
                    refused("", &[json!(["a", "b", "c"]), json!({"a": 1})]),
                ]
                .concat(),
            },
        ],
    )
    .await;
}

async fn a_relation_is_a_record_that_exists(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let targets = admin.collection(&open("targets", &json!([{"name": "name", "type": "text"}]))).await;
    admin.collection(&open("elsewhere", &json!([{"name": "name", "type": "text"}]))).await;
    let (one, two) = (
        guest.make("targets", &json!({"name": "1"})).await["id"].clone(),
        guest.make("targets", &json!({"name": "2"})).await["id"].clone(),
    );
    let foreign = guest.make("elsewhere", &json!({"name": "3"})).await["id"].clone();
    let unknown = json!("018f0000-0000-7000-8000-000000000000");
    let to_one = Kind {
        field: json!({"type": "relation", "relation": {"collection_id": targets["id"]}}),
        good: same(&[one.clone(), two.clone()]),
        bad: [
            refused("Must be a string (record ID)", &[json!(5), json!(true), json!({}), json!([1])]),
            refused("", &[unknown.clone(), foreign.clone(), json!("nonsense"), json!("x' or 'a")]),
        ]
        .concat(),
    };
    let to_many = Kind {
        field: json!({"type": "relation", "relation": {"collection": "targets", "type": "many-to-many"}}),
        good: same(&[json!([one.clone()]), json!([two.clone(), one.clone()])]),
        bad: refused("", &[json!([one.clone(), unknown.clone()]), json!([foreign]), json!([1]), json!(5), json!({})]),
    };
    for (name, kind) in [("one", to_one), ("many", to_many)] {
        let mut field = kind.field.clone();
        field["name"] = json!("f");
        admin.collection(&open(name, &json!([field, {"name": "other", "type": "text"}]))).await;
        one_kind(&guest, name, &kind).await;
    }
    let own = json!([{"name": "f", "type": "relation", "relation": {"collection": "pairs", "type": "one-to-one"}}, {"name": "other", "type": "text"}]);
    let answer = admin.post(COLLECTIONS, &open("pairs", &own)).await;
    if answer.status == 201 {
        let first = guest.make("pairs", &json!({"other": "first"})).await;
        guest.make("pairs", &json!({"f": first["id"]})).await;
        guest.create("pairs", &json!({"f": first["id"]})).await.refused(409, "unique_conflict");
    } else {
        answer.refused(422, "validation_failed");
    }
}

/// Nobody but an admin uses files that are not theirs, so an admin tells what the field itself takes.
async fn a_file_is_one_of_the_callers(product: &Product) {
    let admin = product.admin().await;
    let (one, two) = (stored(product, None).await, stored(product, None).await);
    let unknown = json!("018f0000-0000-7000-8000-000000000000");
    let not_ids =
        [json!(one), json!(5), json!(true), json!({}), json!([1]), json!([""]), json!([null]), json!([[one]])];
    let kinds = [
        Kind {
            field: json!({"type": "file"}),
            good: same(&[json!([one]), json!([])]),
            bad: [
                refused("Must be an array of file IDs", &not_ids),
                refused("The file does not exist", &[json!([unknown]), json!(["nonsense"]), json!(["x' or 'a"])]),
                refused("Must be at most 1 file", &[json!([one, two])]),
            ]
            .concat(),
        },
        Kind {
            field: json!({"type": "file", "file": {"max_files": 2}}),
            good: same(&[json!([two, one]), json!([two])]),
            bad: [
                refused("The file does not exist", &[json!([one, unknown])]),
                refused("Must be at most 2 files", &[json!([one, two, unknown])]),
            ]
            .concat(),
        },
        Kind {
            field: json!({"type": "file", "file": {"max_size": 999}}),
            good: vec![],
            bad: refused("Each file must have at most 999 bytes", &[json!([one])]),
        },
        Kind {
            field: json!({"type": "file", "file": {"mime_types": ["text/plain", "text/csv"]}}),
            good: vec![],
            bad: refused("Each file must be of a type among: text/plain, text/csv", &[json!([one])]),
        },
    ];
    for (at, kind) in kinds.into_iter().enumerate() {
        let name = format!("file{at}");
        let mut field = kind.field.clone();
        field["name"] = json!("f");
        admin.collection(&open(&name, &json!([field, {"name": "other", "type": "text"}]))).await;
        one_kind(&admin, &name, &kind).await;
    }
}

async fn json_and_points_come_back_equal(product: &Product) {
    let mut deep = json!("bottom");
    for _ in 0..60 {
        deep = json!([deep]);
    }
    let out_of_range = |sent: Value| (sent, "Latitude must be between -90 and 90");
    check(product, vec![
        Kind {
            field: json!({"type": "json"}),
            good: same(&[
                json!({"a": [1, 2.5, {"b": null, "": "x"}], "z": 1, "m": {"y": [], "x": {}}}), json!("text"), json!(""), json!(5), json!(1.5), json!(false),
                json!([]), json!({}), json!([null]), json!("{\"quoted\": true}"), json!({"dup\\\"key'": "a\nb"}), deep,
            ]),
            bad: vec![],
        },
        Kind {
            field: json!({"type": "geopoint"}),
            good: same(&[
                json!({"lat": 52.5, "lng": 13.4}), json!({"lat": -90, "lng": 180}), json!({"lat": 90, "lng": -180, "alt": 8848.5}), json!({"lat": 0, "lng": 0}),
            ]),
            bad: [
                vec![out_of_range(json!({"lat": 91, "lng": 0})), out_of_range(json!({"lat": -90.5, "lng": 0}))],
                refused("Longitude must be between -180 and 180", &[json!({"lat": 0, "lng": 181}), json!({"lat": 0, "lng": -180.1})]),
                refused("", &[
                    json!({"lat": 1}), json!({"lng": 1}), json!({}), json!([1, 2]), json!("52.5,13.4"), json!({"lat": "1", "lng": 2}),
                    json!({"lat": true, "lng": 2}), json!({"lat": 1, "lng": 2, "x": 3}), json!({"lat": 1, "lng": 2, "alt": "high"}),
                ]),
            ].concat(),
        },
        Kind {
            field: json!({"type": "geopoint", "geopoint": {"require_altitude": true, "min_lat": 47, "max_lat": 55, "min_lng": 5, "max_lng": 15.5}}),
            good: same(&[json!({"lat": 47, "lng": 15.5, "alt": 0})]),
            bad: [
                refused("Latitude must be between 47 and 55", &[json!({"lat": 46.9, "lng": 10, "alt": 1})]),
                refused("Longitude must be between 5 and 15.5", &[json!({"lat": 50, "lng": 16, "alt": 1})]),
                refused("", &[json!({"lat": 50, "lng": 10})]),
            ].concat(),
        },
    ]).await;
}

async fn an_autodate_is_set_by_the_server(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    admin
        .collection(&open(
            "things",
            &json!([
                {"name": "n", "type": "number"},
                {"name": "both", "type": "autodate"},
                {"name": "first", "type": "autodate", "autodate": {"on_update": false}},
                {"name": "last", "type": "autodate", "autodate": {"on_create": false}},
            ]),
        ))
        .await;
    let client = "2001-01-01T00:00:00.000Z";
    let made = guest.make("things", &json!({"n": 1, "both": client, "first": "nonsense", "last": client})).await;
    let created = &made["created"];
    assert_eq!(made["data"], json!({"n": 1, "both": created, "first": created, "last": null}));
    product.clock.advance_millis(1500);
    let changed = guest
        .change("things", &made["id"], &json!({"n": 2, "both": client, "first": client, "last": null}))
        .await
        .expect(200)
        .json();
    let updated = &changed["updated"];
    assert_eq!(changed["data"], json!({"n": 2, "both": updated, "first": created, "last": updated}));
    assert_eq!(
        guest
            .list("things", &[("filter", "both >= '2026-01-01' && last != null && first < @now")])
            .await
            .expect(200)
            .json()["total"],
        1
    );
}
