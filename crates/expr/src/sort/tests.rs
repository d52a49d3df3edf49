use proptest::prelude::*;

use super::*;
use crate::fixture::POSTS;

fn keys(source: &str) -> Vec<String> {
    let keys = parse_sort(source, &POSTS).unwrap_or_else(|error| panic!("{source}: {error}"));
    keys.into_iter()
        .map(|key| match key {
            SortKey::Column { column, descending } => {
                format!("{}{}", if descending { "-" } else { "" }, column.path.join("."))
            }
            SortKey::Random => "@random".to_owned(),
            SortKey::RowId { descending } => format!("{}@rowid", if descending { "-" } else { "" }),
        })
        .collect()
}

#[test]
fn keys_are_read() {
    assert_eq!(keys("-created,title"), ["-created", "title"]);
    assert_eq!(keys(" +n , -@rowid,@rowid,@random,owner.name "), ["n", "-@rowid", "@rowid", "@random", "owner.name"]);
    assert!(keys("").is_empty() && keys("  ").is_empty());
}

#[test]
fn only_names_of_the_schema_sort() {
    for (source, position, reason) in [
        ("nope", 0, "unknown field"),
        ("-titel", 1, "`title`"),
        ("n, -nope", 4, "unknown field"),
        ("owner.(CASE WHEN 1=1 THEN 1 END)", 6, "unknown field"),
        ("owner.password_hash", 6, "unknown field"),
        ("n; DROP TABLE posts", 0, "unknown field"),
        ("n DESC", 0, "unknown field"),
        ("\"n\"", 0, "unknown field"),
        ("n,", 2, "expected the name"),
        (",n", 0, "expected the name"),
        ("-", 1, "expected the name"),
        ("--n", 1, "unknown field"),
        ("n:lower", 0, "unknown field"),
        ("title.x", 0, "not a relation"),
        ("tags", 0, "no order"),
        ("writers.name", 0, "no order"),
        ("meta", 0, "no order"),
        ("place", 0, "no order"),
        ("parent.parent.parent.parent.n", 0, "more than 4"),
    ] {
        let error = parse_sort(source, &POSTS).expect_err(source);
        assert_eq!(error.position, position, "{source}: {error}");
        assert!(error.reason.contains(reason), "{source}: {error}");
    }
}

#[test]
fn keys_and_length_are_limited() {
    assert_eq!(keys("n,n,n,n,n").len(), MAX_SORT_KEYS);
    let error = parse_sort("n,n,n,n,n,n", &POSTS).unwrap_err();
    assert_eq!(error.position, 10);
    assert!(parse_sort(&" ".repeat(MAX_LENGTH), &POSTS).is_ok());
    assert!(parse_sort(&" ".repeat(MAX_LENGTH + 1), &POSTS).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(source in "\\PC{0,60}") {
        if let Err(error) = parse_sort(&source, &POSTS) {
            prop_assert!(error.position <= source.chars().count());
        }
    }
}
