//! Reading records: shapes, pages, filters, orders, field lists, search (contract 5.9, 7.5, 7.6).

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::callers::{Admin, Calls, open, record, records, with_query};
use crate::on_both_engines;
use crate::product::{Product, text};

on_both_engines!(
    a_record_and_a_page_answer_the_documented_shapes,
    pages_cut_the_whole_without_gap_or_overlap,
    a_page_number_outside_its_range_is_refused,
    a_filter_finds_exactly_what_it_says,
    a_filter_over_times_knows_the_clock,
    a_filter_that_means_nothing_is_refused_with_its_position,
    a_sort_orders_nulls_first_and_breaks_ties,
    a_sort_that_means_nothing_is_refused_with_its_position,
    a_field_list_shapes_the_data_alone,
    a_search_looks_into_every_text_whatever_the_case,
    a_total_can_be_skipped,
    an_unknown_parameter_is_refused,
    an_id_that_is_not_there_is_not_found,
    a_method_that_is_not_served_is_named_with_those_that_are,
);

/// Five books whose titles stand for them, made a millisecond apart.
async fn library(product: &Product) -> Admin<'_> {
    let admin = product.admin().await;
    let schema = json!([
        {"name": "title", "type": "text", "validation": {"required": true}},
        {"name": "pages", "type": "number"},
        {"name": "in_print", "type": "bool"},
        {"name": "note", "type": "text"},
        {"name": "tags", "type": "select", "select": {"values": ["x", "y", "z"], "max_select": 3}},
        {"name": "on", "type": "date"},
    ]);
    admin.collection(&open("books", &schema)).await;
    for book in [
        json!({"title": "Alpha", "pages": 100, "in_print": true, "note": "50% off", "tags": ["x", "y"], "on": "2026-01-31"}),
        json!({"title": "Beta", "pages": 200, "in_print": false, "note": "50 off", "tags": ["y"], "on": "2026-02-01"}),
        json!({"title": "gamma"}),
        json!({"title": "x && y", "pages": 300, "note": "a_b"}),
        json!({"title": "Épée", "pages": 400.5, "note": "axb"}),
    ] {
        admin.make("books", &book).await;
        product.clock.advance_millis(1);
    }
    admin
}

/// The titles of the books that a guest finds.
pub async fn titles(product: &Product, parameters: &[(&str, &str)]) -> Vec<String> {
    product.guest().column("books", parameters, "title").await.iter().map(text).collect()
}

fn short(title: &str) -> &str {
    match title {
        "Alpha" => "A",
        "Beta" => "B",
        "gamma" => "C",
        "x && y" => "D",
        "Épée" => "E",
        other => other,
    }
}

async fn a_record_and_a_page_answer_the_documented_shapes(product: &Product) {
    library(product).await;
    let guest = product.guest();
    let page = guest.list("books", &[("per_page", "2")]).await.expect(200);
    assert_eq!(page.header("content-type"), Some("application/json"));
    let page = page.json();
    let id = &page["items"][0]["id"];
    let one = guest.get(&record("books", id)).await.expect(200).json();
    assert_eq!(one, page["items"][0]);
    let made = guest.make("books", &json!({"title": "New"})).await;
    let changed = guest.change("books", &made["id"], &json!({"pages": 7})).await.expect(200).json();
    assert!(guest.delete(&record("books", &made["id"])).await.expect(204).bytes.is_empty());
    assert_eq!(uuid::Uuid::parse_str(&text(id)).unwrap().get_version_num(), 7);
    assert_eq!(text(id).len(), 36);
    insta::with_settings!({snapshot_suffix => "any_engine", snapshot_path => "../snapshots"}, {
        insta::assert_json_snapshot!("page", page, {".items[].id" => "[id]", ".items[].created" => "[time]", ".items[].updated" => "[time]"});
        insta::assert_json_snapshot!("record", made, {".id" => "[id]", ".created" => "[time]", ".updated" => "[time]"});
        insta::assert_json_snapshot!("changed", changed, {".id" => "[id]", ".created" => "[time]", ".updated" => "[time]"});
    });
}

async fn pages_cut_the_whole_without_gap_or_overlap(product: &Product) {
    let admin = library(product).await;
    let guest = product.guest();
    for title in ["f", "g"] {
        admin.make("books", &json!({"title": title})).await;
    }
    let mut seen = Vec::new();
    for (page, expected) in [("1", 3), ("2", 3), ("3", 1), ("4", 0), ("1000", 0)] {
        let answer = guest.list("books", &[("page", page), ("per_page", "3")]).await.expect(200).json();
        let items = answer["items"].as_array().unwrap();
        assert_eq!(items.len(), expected, "page {page}");
        assert_eq!((&answer["total"], &answer["total_pages"], &answer["per_page"]), (&json!(7), &json!(3), &json!(3)));
        assert_eq!(answer["page"].to_string(), page);
        seen.extend(items.iter().map(|item| text(&item["id"])));
    }
    assert_eq!(seen.len(), 7);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 7);
    let defaults = guest.list("books", &[]).await.expect(200).json();
    assert_eq!(
        (&defaults["page"], &defaults["per_page"], &defaults["total_pages"]),
        (&json!(1), &json!(30), &json!(1))
    );
    let filtered = guest.list("books", &[("filter", "pages > 150"), ("per_page", "2")]).await.expect(200).json();
    assert_eq!((&filtered["total"], &filtered["total_pages"]), (&json!(3), &json!(2)));
    let nothing = guest.list("books", &[("filter", "pages > 1000")]).await.expect(200).json();
    assert_eq!(nothing, json!({"items": [], "total": 0, "page": 1, "per_page": 30, "total_pages": 0}));
}

async fn a_page_number_outside_its_range_is_refused(product: &Product) {
    library(product).await;
    let guest = product.guest();
    for (name, value) in [
        ("page", "0"),
        ("page", "-1"),
        ("page", "x"),
        ("page", "1.5"),
        ("page", ""),
        ("page", "100000000000000000000"),
        ("page", "1000000000000000000"),
        ("per_page", "0"),
        ("per_page", "101"),
        ("per_page", "all"),
        ("skipTotal", "maybe"),
    ] {
        let answer = guest.list("books", &[(name, value)]).await.refused(422, "validation_failed");
        assert!(answer.json()["details"][name].is_string(), "{name}={value}: {}", answer.json());
    }
    guest.list("books", &[("page", "100001"), ("per_page", "100")]).await.refused(422, "validation_failed");
    guest.list("books", &[("page", "100000"), ("per_page", "100")]).await.expect(200);
}

/// D-61: two-valued, the same on both engines.
async fn a_filter_finds_exactly_what_it_says(product: &Product) {
    library(product).await;
    let mut wrong = Vec::new();
    for (filter, expected) in [
        ("pages > 150", "BDE"),
        ("pages >= 200 && pages <= 300", "BD"),
        ("pages = 400.5", "E"),
        ("pages < 200", "A"),
        ("pages = null", "C"),
        ("pages != null", "ABDE"),
        ("pages != 100", "BCDE"),
        ("!(pages > 150)", "AC"),
        ("!(pages = 100 || pages = null)", "BDE"),
        ("(pages=100 && (title=\"Alpha\" || title=\"Beta\"))", "A"),
        ("((((pages=100))))", "A"),
        ("title = 'Beta' || pages = 100 && title = 'nobody'", "B"),
        ("(title = 'Beta' || pages = 100) && title = 'Alpha'", "A"),
        ("title=\"x && y\"", "D"),
        ("title = 'x && y' || title = \"gamma\"", "CD"),
        ("note ~ \"50%\"", "A"),
        ("note ~ 'a_b'", "D"),
        ("note ~ 'OFF'", "AB"),
        ("note !~ 'off'", "CDE"),
        ("title ~ 'ÉPÉE'", "E"),
        ("title:lower=\"alpha\"", "A"),
        ("title:upper = 'GAMMA'", "C"),
        ("title:length = 5", "AC"),
        ("title = Alpha", "A"),
        ("title = 'it\\'s'", ""),
        ("title ?= ['Alpha', \"gamma\"]", "AC"),
        ("title ?!= ['Alpha', 'gamma']", "BDE"),
        ("pages ?> [250, 350]", "DE"),
        ("title ?~ ['alp', 'bet']", "AB"),
        ("title ?!~ ['alp', 'bet']", "CDE"),
        ("tags ?= 'y'", "AB"),
        ("tags ?= ['x', 'z']", "A"),
        ("tags ?!= 'y'", "CDE"),
        ("tags:length = 2", "A"),
        ("in_print = true", "A"),
        ("in_print = false", "B"),
        ("in_print != true", "BCDE"),
        ("in_print = null", "CDE"),
        ("on >= '2026-02-01'", "B"),
        ("on = '2026-01-31'", "A"),
        ("", "ABCDE"),
    ] {
        let mut found: Vec<String> = titles(product, &[("filter", filter)]).await;
        found.sort_by_key(|title| short(title).to_owned());
        let found: String = found.iter().map(|title| short(title)).collect();
        if found != expected {
            wrong.push(format!("`{filter}` finds `{found}`, not `{expected}`"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn a_filter_over_times_knows_the_clock(product: &Product) {
    library(product).await;
    for (filter, expected) in [
        ("created <= @now", 5),
        ("created > @now", 0),
        ("created > @second-60 && created < @minute+1", 5),
        ("created >= @todayStart && created <= @todayEnd", 5),
        ("created < @yesterday", 0),
        ("created > @year-1", 5),
        ("updated >= @monthStart && updated >= @yearStart", 5),
        ("created > '2000-01-01T00:00:00Z'", 5),
        ("created > '2000-01-01T00:00:00.000Z' && created < '2100-01-01'", 5),
        ("on < @today", 2),
    ] {
        assert_eq!(titles(product, &[("filter", filter)]).await.len(), expected, "{filter}");
    }
    product.clock.advance_seconds(3 * 86_400);
    assert_eq!(titles(product, &[("filter", "created < @yesterday")]).await.len(), 5);
}

/// D-61: never ignored, never everything.
async fn a_filter_that_means_nothing_is_refused_with_its_position(product: &Product) {
    library(product).await;
    for (filter, position) in [
        ("nope=1", Some(0)),
        ("pages > 1 && nope = 1", Some(13)),
        ("title =", None),
        ("title = 'a' &&", None),
        ("(title = 'a'", None),
        ("title = 'a')", Some(11)),
        ("title = 'open", Some(8)),
        ("pages > 'many'", Some(8)),
        ("in_print = 5", None),
        ("pages ~ 'x'", None),
        ("title == 'a'", None),
        ("title = 'a' and pages = 1", None),
        ("created > @nonsense", Some(10)),
        ("created > 'not a time'", None),
        ("title:nope = 'a'", None),
        ("! title = 'a'", None),
        ("1=1; DROP TABLE users", None),
        ("@request.auth.id = 'x'", None),
        ("@collection.books.title = 'x'", None),
        ("title.x = 'a'", None),
        ("a\u{0}b = 1", None),
    ] {
        let answer = product.guest().list("books", &[("filter", filter)]).await.refused(400, "invalid_filter").json();
        let found = answer["details"]["position"].as_u64().unwrap_or_else(|| panic!("{filter}: {answer}"));
        assert!(answer["details"]["reason"].is_string(), "{filter}: {answer}");
        assert!(found <= filter.chars().count() as u64, "{filter}: {answer}");
        assert!(position.is_none_or(|position| position == found), "{filter}: {answer}");
    }
}

async fn a_sort_orders_nulls_first_and_breaks_ties(product: &Product) {
    let admin = library(product).await;
    for (sort, expected) in [
        ("pages", "CABDE"),
        ("+pages", "CABDE"),
        ("-pages", "EDBAC"),
        ("in_print,-pages", "EDCBA"),
        ("-in_print,pages", "ABCDE"),
        ("title", "ABCDE"),
        ("-title", "EDCBA"),
        ("@rowid", "ABCDE"),
        ("created", "ABCDE"),
        ("-created", "EDCBA"),
        ("note,-title", "CBADE"),
    ] {
        let found: String = titles(product, &[("sort", sort)]).await.iter().map(|title| short(title)).collect();
        assert_eq!(found, expected, "{sort}");
    }
    let by_default: String = titles(product, &[]).await.iter().map(|title| short(title)).collect();
    assert_eq!(by_default, "EDCBA", "newest first");
    let mut random = titles(product, &[("sort", "@random")]).await;
    random.sort();
    assert_eq!(random.len(), 5);

    for n in 0..20 {
        admin.make("books", &json!({"title": format!("same instant {n}")})).await;
    }
    let page = product.guest().list("books", &[("filter", "title ~ 'same'")]).await.expect(200).json();
    let ids: Vec<String> = page["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    assert!(ids == sorted || ids.iter().rev().eq(sorted.iter()), "equal times are ordered by id: {ids:?}");
}

/// D-07.
async fn a_sort_that_means_nothing_is_refused_with_its_position(product: &Product) {
    library(product).await;
    for (sort, position) in [
        ("nope", Some(0)),
        ("title,nope", Some(6)),
        ("-nope", None),
        ("author.(CASE WHEN 1=1 THEN 1 END)", None),
        ("title;DROP TABLE users", None),
        ("title.x", None),
        ("title,,pages", None),
        ("title desc", None),
        ("@nonsense", None),
        ("title,pages,note,on,created,updated", None),
        ("\"title\"", None),
    ] {
        let answer = product.guest().list("books", &[("sort", sort)]).await.refused(400, "invalid_sort").json();
        let found = answer["details"]["position"].as_u64().unwrap_or_else(|| panic!("{sort}: {answer}"));
        assert!(found <= sort.chars().count() as u64, "{sort}: {answer}");
        assert!(position.is_none_or(|position| position == found), "{sort}: {answer}");
    }
}

async fn a_field_list_shapes_the_data_alone(product: &Product) {
    library(product).await;
    let guest = product.guest();
    for (fields, expected) in [
        ("title", json!({"title": "Alpha"})),
        ("title,pages", json!({"title": "Alpha", "pages": 100})),
        ("-note,-tags,-on,-in_print", json!({"title": "Alpha", "pages": 100})),
        ("title,-note", json!({"title": "Alpha"})),
        ("title:upper,note:lower", json!({"title": "ALPHA", "note": "50% off"})),
        ("title:excerpt(3,\"…\")", json!({"title": "Alp…"})),
        ("title:excerpt(5,\"…\")", json!({"title": "Alpha"})),
    ] {
        let page = guest.list("books", &[("filter", "title = 'Alpha'"), ("fields", fields)]).await.expect(200).json();
        let item = &page["items"][0];
        assert_eq!(item["data"], expected, "{fields}");
        for always in ["id", "created", "updated"] {
            assert!(item[always].is_string(), "{fields}: {item}");
        }
    }
    for (fields, position) in [
        ("nope", Some(0)),
        ("title,nope", Some(6)),
        ("-nope", None),
        ("title:nope", None),
        ("title:excerpt(x)", None),
        ("a'b", None),
    ] {
        let answer = guest.list("books", &[("fields", fields)]).await.refused(400, "invalid_fields").json();
        let found = answer["details"]["position"].as_u64().unwrap_or_else(|| panic!("{fields}: {answer}"));
        assert!(position.is_none_or(|position| position == found), "{fields}: {answer}");
    }
    for expand in ["nope", "title", "nope_via_nope"] {
        let answer = guest.list("books", &[("expand", expand)]).await.refused(400, "invalid_expand").json();
        assert!(answer["details"]["position"].is_u64(), "{expand}: {answer}");
        let one = guest.list("books", &[]).await.expect(200).json()["items"][0]["id"].clone();
        let path = with_query(&record("books", &one), &[("expand", expand)]);
        guest.get(&path).await.refused(400, "invalid_expand");
    }
}

async fn a_search_looks_into_every_text_whatever_the_case(product: &Product) {
    library(product).await;
    for (search, expected) in [
        ("ALPHA", "A"),
        ("off", "BA"),
        ("50%", "A"),
        ("a_b", "D"),
        ("épée", "E"),
        ("ÉPÉE", "E"),
        ("100", ""),
        ("true", ""),
        ("'", ""),
        ("\"", ""),
        ("\\", ""),
        ("", "EDCBA"),
    ] {
        let found: String = titles(product, &[("search", search)]).await.iter().map(|title| short(title)).collect();
        assert_eq!(found, expected, "{search}");
    }
    let page = product.guest().list("books", &[("search", "off"), ("filter", "pages > 150")]).await.expect(200).json();
    assert_eq!((&page["total"], &page["items"][0]["data"]["title"]), (&json!(1), &json!("Beta")));
    product.guest().list("books", &[("search", "a\u{0}")]).await.expect(422);
}

async fn a_total_can_be_skipped(product: &Product) {
    library(product).await;
    for filter in ["", "pages > 150"] {
        let page = product
            .guest()
            .list("books", &[("skipTotal", "true"), ("filter", filter), ("per_page", "2")])
            .await
            .expect(200)
            .json();
        assert_eq!((&page["total"], &page["total_pages"]), (&Value::Null, &Value::Null));
        assert_eq!(page["items"].as_array().unwrap().len(), 2);
    }
    let counted = product.guest().list("books", &[("skipTotal", "false")]).await.expect(200).json();
    assert_eq!(counted["total"], 5);
}

async fn an_unknown_parameter_is_refused(product: &Product) {
    let admin = library(product).await;
    let guest = product.guest();
    let one = guest.list("books", &[]).await.expect(200).json()["items"][0].clone();
    let own = record("books", &one["id"]);
    let data = json!({"data": {"title": "t"}});
    for (answer, name) in [
        (guest.get(&with_query(&records("books"), &[("nope", "1")])).await, "nope"),
        (guest.get(&with_query(&records("books"), &[("Filter", "pages = 1")])).await, "Filter"),
        (guest.get(&with_query(&own, &[("fields", "title")])).await, "fields"),
        (guest.post(&with_query(&records("books"), &[("expand", "x")]), &data).await, "expand"),
        (guest.patch(&with_query(&own, &[("page", "1")]), &data).await, "page"),
        (admin.delete(&with_query(&own, &[("force", "true")])).await, "force"),
    ] {
        assert_eq!(answer.refused(400, "unknown_parameter").json()["details"], json!({"name": name}));
    }
    guest.get(&own).await.expect(200);
}

async fn an_id_that_is_not_there_is_not_found(product: &Product) {
    library(product).await;
    let guest = product.guest();
    let long = "a".repeat(4000);
    for id in [
        "018f0000-0000-7000-8000-000000000000",
        "018F0000-0000-7000-8000-00000000000A",
        "nonsense",
        "1",
        "-1",
        "%27%20OR%201=1",
        "%00",
        "%FF",
        "..%2f..%2fusers",
        "*",
        &long,
    ] {
        let path = format!("{}/{id}", records("books"));
        guest.get(&path).await.refused(404, "not_found");
        guest.patch(&path, &json!({"data": {"title": "t"}})).await.refused(404, "not_found");
        guest.delete(&path).await.refused(404, "not_found");
    }
    for collection in ["nothing", "users", "%00", "books%20", "c_books", "sqlite_master", "pg_catalog.pg_class"] {
        let path = records(collection);
        guest.get(&path).await.refused(404, "not_found");
        guest.get(&format!("{path}/018f0000-0000-7000-8000-000000000000")).await.refused(404, "not_found");
        guest.post(&path, &json!({"data": {"title": "t"}})).await.refused(404, "not_found");
    }
}

async fn a_method_that_is_not_served_is_named_with_those_that_are(product: &Product) {
    library(product).await;
    let guest = product.guest();
    let one = guest.list("books", &[]).await.expect(200).json()["items"][0]["id"].clone();
    let answer = guest
        .call(Method::PUT, &record("books", &one), Some(&json!({"data": {"title": "t"}})))
        .await
        .refused(405, "method_not_allowed");
    let allow: BTreeSet<&str> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
    assert!(
        ["GET", "PATCH", "DELETE"].iter().all(|method| allow.contains(method)) && !allow.contains("PUT"),
        "{allow:?}"
    );
    let head = guest.call(Method::HEAD, &record("books", &one), None).await.expect(200);
    assert!(head.bytes.is_empty());
}
