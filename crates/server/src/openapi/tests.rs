//! The document against what is served.

use fastcms_store::schema::{CollectionKind, Field, FieldType};

use super::*;
use crate::{api, edge::tests::operations};

fn info() -> Info<'static> {
    Info { title: "FastCMS", version: "1", server: "https://cms.example.com", cookie: "fastcms_session" }
}

#[test]
fn every_served_operation_is_described_and_no_other() {
    let operations = operations();
    let document = document(&info(), &Catalogue::of(&operations), &[]);
    let described: usize =
        document["paths"].as_object().unwrap().values().map(|place| place.as_object().unwrap().len()).sum();
    assert_eq!(described, operations.len());
    for operation in &operations {
        let method = operation.method.as_str().to_ascii_lowercase();
        assert!(document["paths"][operation.path].get(&method).is_some(), "{method} {}", operation.path);
    }
}

#[test]
fn what_an_operation_takes_is_read_from_its_signature() {
    let document = document(&info(), &Catalogue::of(&operations()), &[]);
    insta::assert_json_snapshot!([
        &document["paths"]["/api/v1/login"]["post"],
        &document["paths"]["/api/v1/page"]["get"],
        &document["paths"]["/api/v1/houses/{house}/things/{id}"]["delete"],
    ]);
}

#[test]
fn a_cookie_is_a_credential_and_what_it_may_not_speak_for_is_said() {
    let document = document(&info(), &Catalogue::of(&api::operations()), &[]);
    let session = &document["components"]["securitySchemes"]["session"];
    assert_eq!((&session["in"], &session["name"]), (&json!("cookie"), &json!("fastcms_session")));
    for (path, place) in document["paths"].as_object().unwrap() {
        for (method, operation) in place.as_object().unwrap() {
            let told = operation["responses"]["403"]["description"].as_str().unwrap_or_default();
            assert_eq!(told.contains("csrf"), method != "get", "{method} {path}: {told}");
            let schemes = operation["security"].as_array().unwrap();
            assert!(schemes.contains(&json!({"session": []})), "{method} {path}");
        }
    }
}

#[test]
fn operation_ids_are_unique() {
    let document = document(&info(), &Catalogue::of(&api::operations()), &[posts(CollectionKind::Base)]);
    let places = document["paths"].as_object().unwrap().values();
    let mut ids: Vec<&str> = places
        .flat_map(|place| place.as_object().unwrap().values())
        .map(|one| one["operationId"].as_str().unwrap())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

fn posts(kind: CollectionKind) -> CollectionShape {
    let schema = |field: &Field| collections::field_schema(field);
    let mut title = Field::new("title", FieldType::Text);
    title.validation.required = true;
    title.validation.max_length = Some(80);
    let views = Field::new("views", FieldType::Number);
    CollectionShape {
        name: "posts".to_owned(),
        kind,
        fields: vec![("title".to_owned(), schema(&title), true), ("views".to_owned(), schema(&views), false)],
    }
}

fn records() -> Vec<crate::api::Operation<crate::edge::tests::House>> {
    use crate::edge::tests::generic_records;
    generic_records()
}

#[test]
fn records_of_a_collection_are_described_with_its_fields() {
    let document = document(&info(), &Catalogue::of(&records()), &[posts(CollectionKind::Base)]);
    insta::assert_json_snapshot!({
        let paths = &document["paths"];
        [
            &paths["/api/v1/collections/posts/records"],
            &paths["/api/v1/collections/posts/records/{id}"],
            &document["components"]["schemas"],
        ]
    });
}

#[test]
fn rows_of_a_view_are_only_listed() {
    let document = document(&info(), &Catalogue::of(&records()), &[posts(CollectionKind::View)]);
    let list = document["paths"]["/api/v1/collections/posts/records"].as_object().unwrap();
    assert_eq!(list.keys().collect::<Vec<_>>(), ["get"]);
    assert!(document["paths"].get("/api/v1/collections/posts/records/{id}").is_none());
}

#[test]
fn every_operation_of_the_product_says_what_it_does_and_what_it_answers() {
    for operation in api::operations().iter().filter(|operation| !operation.docs.hidden) {
        let name = format!("{} {}", operation.method, operation.path);
        assert!(!operation.docs.summary.is_empty(), "{name} has no summary");
        assert!(!operation.docs.summary.ends_with('.'), "the summary of {name} ends with a full stop");
        let succeeds = operation.docs.answers.iter().any(|answer| (200..400).contains(&answer.status));
        assert!(succeeds, "{name} documents no success");
    }
}
