use proptest::prelude::*;

use super::*;
use crate::fixture::POSTS;

fn list(source: &str) -> FieldList {
    parse_fields(source, &POSTS).unwrap_or_else(|error| panic!("{source}: {error}"))
}

#[test]
fn an_include_list_shows_what_it_names() {
    let list = list(r#" title , body:excerpt(5, "…"), status:upper,n,-meta"#);
    assert_eq!(list.shows("n"), Some(None));
    assert_eq!(list.shows("status"), Some(Some(&Transform::Upper)));
    assert_eq!(list.shows("flag"), None);
    assert_eq!(list.shows("meta"), None);
    let excerpt = list.shows("body").flatten().unwrap();
    assert_eq!(excerpt.apply("Grüße!"), "Grüße…");
    assert_eq!(excerpt.apply("Grüße"), "Grüße");
    assert_eq!(excerpt.apply(""), "");
}

#[test]
fn an_exclude_list_counts_only_alone() {
    let excluded = list("-meta, -n");
    assert_eq!(excluded.shows("meta"), None);
    assert_eq!(excluded.shows("title"), Some(None));
    assert_eq!(list("title,-n").shows("flag"), None);
    assert_eq!(list("").shows("anything"), Some(None));
}

#[test]
fn faults_say_where_and_what() {
    for (source, position, reason) in [
        ("titel", 0, "`title`"),
        ("title,nope", 6, "unknown field `nope`"),
        ("-nope", 1, "unknown field"),
        ("title,", 6, "expected the name"),
        ("title n", 6, "expected `,`"),
        ("title:shout", 6, "unknown modifier"),
        ("title:uper", 6, "`upper`"),
        ("-title:lower", 6, "expected `,`"),
        ("n:lower", 2, "not a text"),
        ("tags:lower", 5, "not a text"),
        ("owner.name", 5, "expected `,`"),
        ("body:excerpt", 12, "expected `(`"),
        ("body:excerpt()", 13, "from 1 to"),
        ("body:excerpt(0)", 13, "from 1 to"),
        ("body:excerpt(10001)", 13, "from 1 to"),
        ("body:excerpt(5,x)", 15, "in quotes"),
        ("body:excerpt(5,'x)", 15, "not closed"),
        ("body:excerpt(5,'x'", 18, "expected `)`"),
        (r"body:excerpt(5,'\n')", 16, "unknown escape"),
    ] {
        let error = parse_fields(source, &POSTS).expect_err(source);
        assert_eq!(error.position, position, "{source}: {error}");
        assert!(error.reason.contains(reason), "{source}: {error}");
    }
}

#[test]
fn items_excerpts_and_length_are_limited() {
    assert_eq!(list(&vec!["n"; MAX_FIELD_ITEMS].join(",")).include.len(), MAX_FIELD_ITEMS);
    assert!(parse_fields(&vec!["n"; MAX_FIELD_ITEMS + 1].join(","), &POSTS).is_err());
    list(&format!("body:excerpt({MAX_EXCERPT})"));
    let suffix = |length: usize| format!("body:excerpt(1,'{}')", "x".repeat(length));
    list(&suffix(MAX_EXCERPT_SUFFIX));
    assert!(parse_fields(&suffix(MAX_EXCERPT_SUFFIX + 1), &POSTS).is_err());
    list(&" ".repeat(MAX_LENGTH));
    assert!(parse_fields(&" ".repeat(MAX_LENGTH + 1), &POSTS).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(source in "\\PC{0,60}", tail in "body:excerpt\\(\\PC{0,20}") {
        for source in [source, tail] {
            if let Err(error) = parse_fields(&source, &POSTS) {
                prop_assert!(error.position <= source.chars().count());
            }
        }
    }
}
