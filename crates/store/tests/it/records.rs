//! Collections and records: what is stored comes back, on both engines alike, and conditions in SQL say what they say in memory.

use crate::database::{Database, on_each_engine, on_postgres};
use fastcms_expr::{NoRequest, Place, Predicate};
use fastcms_store::predicate::Sight;
use fastcms_store::records::{self, Deleted, ListQuery, Order, Shape, View};
use fastcms_store::schema::{
    Cardinality, CollectionKind, Definition, Field, FieldType, Index, IndexMember, IndexOrder, Offer, OnDelete,
    RelationOptions, RuleTexts, Schema, SelectOptions,
};
use fastcms_store::{Error, Store, Value, collections};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;

const NOW: &str = "2026-01-31T09:30:00.000Z";

pub fn definition(id: &str, name: &str, fields: Vec<Field>) -> Definition {
    Definition {
        id: id.to_owned(),
        name: name.to_owned(),
        kind: CollectionKind::Base,
        fields,
        options: Map::new(),
        indexes: Vec::new(),
        rules: RuleTexts::default(),
        view_query: None,
        system: false,
        version: 1,
        created: NOW.to_owned(),
        updated: NOW.to_owned(),
    }
}

fn relation(name: &str, to: &str, cardinality: Cardinality, cascade_delete: OnDelete) -> Field {
    let options = RelationOptions {
        collection: Some(to.to_owned()),
        collection_id: None,
        cardinality,
        cascade_delete,
        display_fields: vec!["id".to_owned()],
        max_depth: 1,
        junction_table: None,
        junction_field: None,
        target_field: None,
        polymorphic_type_field: None,
    };
    Field { relation: Some(options), ..Field::new(name, FieldType::Relation) }
}

/// Stores the collections, one after another, and answers the schema.
async fn with(store: &Store, definitions: Vec<Definition>) -> Arc<Schema> {
    let schema = Arc::new(Schema::new(0, definitions.clone(), store.dialect()).unwrap());
    let made = Arc::clone(&schema);
    store
        .write(move |tx| {
            Box::pin(async move {
                for definition in &definitions {
                    collections::insert(tx, made.by_id(&definition.id).unwrap()).await?;
                }
                Ok::<_, Error>(())
            })
        })
        .await
        .unwrap();
    schema
}

fn view(schema: &Arc<Schema>, name: &str) -> View {
    let collection = Arc::clone(schema.by_name(name).unwrap());
    View {
        schema: Arc::clone(schema),
        shape: Shape::all(),
        collection,
        sight: Arc::new(Sight { sees_all: true, follows_all: true, ..Sight::default() }),
        unseal: None,
    }
}

async fn insert(store: &Store, view: &View, id: &str, values: &[(&str, Value)]) -> Json {
    let sets: Vec<_> =
        values.iter().map(|(name, value)| (view.collection.position(name).unwrap(), value.clone())).collect();
    let (view, id) = (view.clone(), id.to_owned());
    let written = store
        .write(move |tx| Box::pin(async move { records::insert(tx, &view, &id, &sets, NOW).await }))
        .await
        .unwrap();
    assert_eq!(written.version, 1);
    serde_json::from_slice(&written.record).unwrap()
}

async fn list(store: &Store, view: &View, filter: Predicate, sort: &str) -> Vec<String> {
    let offer = Offer::to_queries(&view.schema, &view.collection, true);
    let query = ListQuery {
        rule: Predicate::True,
        filter,
        search: None,
        order: Order(fastcms_expr::parse_sort(sort, &offer).unwrap()),
        offset: 0,
        limit: 100,
        with_total: true,
        expansions: Vec::new(),
    };
    let reading = view.clone();
    let listed = store
        .read(query.plan(store.dialect()), move |reader| {
            Box::pin(async move {
                records::list(reader, &reading, &query).await.map(|listed| listed.expect("a small page"))
            })
        })
        .await
        .unwrap();
    let items: Vec<Json> = serde_json::from_slice(&listed.items).unwrap();
    assert_eq!(listed.total, Some(items.len() as u64));
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn filter(view: &View, text: &str) -> Predicate {
    let offer = Offer::to_queries(&view.schema, &view.collection, true);
    let checked = fastcms_expr::check(&fastcms_expr::parse(text).unwrap(), &offer, Place::Filter);
    checked.unwrap_or_else(|error| panic!("{text}: {error}")).bind(&NoRequest, jiff::Timestamp::UNIX_EPOCH).unwrap()
}

fn things() -> Vec<Definition> {
    let mut tags = Field::new("tags", FieldType::Select);
    tags.select = Some(SelectOptions { values: vec!["a".into(), "b".into(), "c".into()], max_select: 3 });
    let mut code = Field::new("code", FieldType::Text);
    code.validation.unique = true;
    let mut secret = Field::new("secret", FieldType::Text);
    secret.hidden = true;
    let things = vec![
        Field::new("title", FieldType::Text),
        Field::new("n", FieldType::Number),
        Field::new("done", FieldType::Bool),
        Field::new("at", FieldType::Datetime),
        Field::new("place", FieldType::Geopoint),
        Field::new("order", FieldType::Json),
        tags,
        code,
        secret,
        relation("writer", "people", Cardinality::ManyToOne, OnDelete::Restrict),
        relation("readers", "people", Cardinality::ManyToMany, OnDelete::SetNull),
    ];
    vec![
        definition("018f0000-0000-7000-8000-000000000001", "things", things),
        definition("018f0000-0000-7000-8000-000000000002", "people", vec![Field::new("name", FieldType::Text)]),
    ]
}

async fn filled(database: &Database) -> (Store, View, View) {
    let store = database.store().await;
    let schema = with(&store, things()).await;
    let (things, people) = (view(&schema, "things"), view(&schema, "people"));
    insert(&store, &people, "p1", &[("name", "Ann".into())]).await;
    insert(&store, &people, "p2", &[("name", "Bob".into())]).await;
    insert(
        &store,
        &things,
        "t1",
        &[
            ("title", "Straße 100% ÄΣ".into()),
            ("n", Value::Real(3.0)),
            ("done", Value::Bool(true)),
            ("at", NOW.into()),
            ("place", r#"{"lat":52.52,"lng":13.405}"#.into()),
            ("order", r#"{"a":[1]}"#.into()),
            ("tags", r#"["a","b"]"#.into()),
            ("code", "x".into()),
            ("secret", "s".into()),
            ("writer", "p1".into()),
            ("readers", r#"["p1","p2"]"#.into()),
        ],
    )
    .await;
    insert(
        &store,
        &things,
        "t2",
        &[("title", "x && y".into()), ("n", Value::Real(-0.5)), ("tags", "[]".into()), ("writer", "p2".into())],
    )
    .await;
    insert(&store, &things, "t3", &[("title", "x' or 'a".into()), ("readers", r#"["p2"]"#.into())]).await;
    (store, things, people)
}

#[test]
fn a_record_comes_back_as_it_was_stored_without_what_is_hidden() {
    on_each_engine(|database| {
        Box::pin(async move {
            let (store, things, _) = filled(database).await;
            let reading = things.clone();
            let record = store
                .read(fastcms_store::Plan::Bounded, move |reader| {
                    Box::pin(async move { records::get(reader, &reading, "t1", &Predicate::True, &[]).await })
                })
                .await
                .unwrap()
                .unwrap();
            let wanted = json!({
                "id": "t1",
                "data": {
                    "title": "Straße 100% ÄΣ", "n": 3, "done": true, "at": NOW, "place": {"lat": 52.52, "lng": 13.405},
                    "order": {"a": [1]}, "tags": ["a", "b"], "code": "x", "writer": "p1", "readers": ["p1", "p2"],
                },
                "created": NOW, "updated": NOW, "expand": {},
            });
            assert_eq!(String::from_utf8(record).unwrap(), wanted.to_string());
        })
    });
}

#[test]
fn conditions_hold_for_the_same_rows_on_every_engine() {
    on_each_engine(|database| {
        Box::pin(async move {
            let (store, things, _) = filled(database).await;
            for (text, wanted) in [
                ("n = 3", "t1"),
                ("n != 3", "t2 t3"),
                ("n > -1", "t1 t2"),
                ("!(n > 5)", "t1 t2 t3"),
                ("n = null", "t3"),
                ("done = true", "t1"),
                ("done != true", "t2 t3"),
                ("title = \"x && y\"", "t2"),
                ("title ~ \"100%\"", "t1"),
                ("title ~ \"STRASSE\"", ""),
                ("title ~ \"STRAßE\"", "t1"),
                ("title ~ \"äσ\"", "t1"),
                ("title:lower = \"straße 100% äσ\"", "t1"),
                ("title:upper = \"X && Y\"", "t2"),
                ("title:length = 6", "t2"),
                ("title !~ \"x\"", "t1"),
                ("title ?= [\"x && y\",\"nope\"]", "t2"),
                ("title ?!= [\"x && y\"]", "t1 t3"),
                ("title = \"x' or 'a\"", "t3"),
                ("tags = \"a\"", "t1"),
                ("tags != \"a\"", "t2 t3"),
                ("tags = null", "t2 t3"),
                ("tags:length = 2", "t1"),
                ("tags:length = 0", "t2 t3"),
                ("tags:each ~ \"a\"", ""),
                ("tags = [\"a\",\"b\"]", "t1"),
                ("tags = [\"b\",\"a\"]", ""),
                ("writer.name = \"Ann\"", "t1"),
                ("writer.name != \"Ann\"", "t2 t3"),
                ("writer.name = null", "t3"),
                ("readers.name = \"Bob\"", "t1 t3"),
                ("readers.name = null", "t2"),
                ("readers.name:each = \"Bob\"", "t3"),
                ("readers.id ?= [\"p1\"]", "t1"),
                ("at >= \"2026-01-31T09:30:00Z\"", "t1"),
                ("geoDistance(place, 48.1374, 11.5755) < 510", "t1"),
                ("geoDistance(place, 48.1374, 11.5755) < 500", ""),
                ("(n = 3 && (title = \"a\" || done = true))", "t1"),
                ("order != null", "t1"),
                ("code = title", "t3".get(..0).unwrap()),
            ] {
                let found = list(&store, &things, filter(&things, text), "id").await;
                assert_eq!(found.join(" "), wanted, "{:?}: {text}", store.dialect());
            }
            assert_eq!(list(&store, &things, Predicate::True, "n").await, ["t3", "t2", "t1"]);
            assert_eq!(list(&store, &things, Predicate::True, "-n").await, ["t1", "t2", "t3"]);
            assert_eq!(list(&store, &things, Predicate::True, "-@rowid").await, ["t3", "t2", "t1"]);
            assert_eq!(list(&store, &things, Predicate::True, "-writer.name,id").await, ["t2", "t1", "t3"]);
            assert_eq!(list(&store, &things, Predicate::True, "").await, ["t1", "t2", "t3"]);
        })
    });
}

#[test]
fn a_path_shows_only_what_the_caller_may_list() {
    on_each_engine(|database| {
        Box::pin(async move {
            let (store, mut things, people) = filled(database).await;
            let by_ann = filter(&things, "writer.name = \"Ann\"");
            things.sight = Arc::new(Sight::default());
            assert!(list(&store, &things, by_ann.clone(), "id").await.is_empty(), "no rule, no rows");
            let rows = HashMap::from([(people.collection.id().to_owned(), filter(&people, "name = \"Bob\""))]);
            things.sight = Arc::new(Sight { rows, ..Sight::default() });
            assert!(list(&store, &things, by_ann, "id").await.is_empty());
            let by_bob = filter(&things, "writer.name = \"Bob\"");
            assert_eq!(list(&store, &things, by_bob, "id").await, ["t2"]);
        })
    });
}

async fn delete(store: &Store, view: &View, id: &str) -> Deleted {
    let (view, id) = (view.clone(), id.to_owned());
    store
        .write(move |tx| {
            Box::pin(async move {
                let deleted = records::delete(tx, &view.schema, &view.collection, &id, NOW).await?;
                if deleted == Deleted::Done { Ok(deleted) } else { Err(Refused(Some(deleted))) }
            })
        })
        .await
        .unwrap_or_else(|refused: Refused| refused.0.unwrap())
}

struct Refused(Option<Deleted>);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        panic!("{error}")
    }
}

#[test]
fn a_deletion_is_refused_followed_or_forgotten_as_the_relation_says() {
    on_each_engine(|database| {
        Box::pin(async move {
            let (store, things, people) = filled(database).await;
            let restricted = Deleted::Restricted { collection: "things".to_owned() };
            assert_eq!(delete(&store, &people, "p1").await, restricted);
            assert_eq!(delete(&store, &things, "t1").await, Deleted::Done);
            assert_eq!(delete(&store, &things, "t2").await, Deleted::Done);
            assert_eq!(delete(&store, &people, "p2").await, Deleted::Done);
            assert_eq!(list(&store, &things, filter(&things, "readers = null"), "id").await, ["t3"]);
            assert_eq!(list(&store, &people, Predicate::True, "id").await, ["p1"]);
        })
    });
}

#[test]
fn a_unique_value_stands_once_and_says_which_field_it_is() {
    on_each_engine(|database| {
        Box::pin(async move {
            let (store, things, _) = filled(database).await;
            let at = things.collection.position("code").unwrap();
            let writing = things.clone();
            let error = store
                .write(move |tx| {
                    Box::pin(async move { records::insert(tx, &writing, "t9", &[(at, "x".into())], NOW).await })
                })
                .await
                .unwrap_err();
            assert_eq!(records::conflicting_field(&things.collection, store.dialect(), &error), Some("code"));
        })
    });
}

#[test]
fn a_table_follows_its_collection_and_goes_alone() {
    on_each_engine(|database| {
        Box::pin(async move {
            let (store, things, people) = filled(database).await;
            let mut after = things.collection.definition().clone();
            after.version = 2;
            after.name = "renamed".to_owned();
            after.fields.retain(|field| !["code", "n", "writer"].contains(&field.name.as_str()));
            let mut added = Field::new("added", FieldType::Number);
            added.validation.unique = true;
            after.fields.push(added);
            let schema =
                Arc::new(Schema::new(1, vec![after, people.collection.definition().clone()], store.dialect()).unwrap());
            let (before, now) = (Arc::clone(&things.collection), Arc::clone(schema.by_name("renamed").unwrap()));
            let origins = collections::Origins::new(&before, &now, &[]);
            store
                .write(move |tx| {
                    Box::pin(async move { collections::replace(tx, &before, &now, &origins, &|_, _| None).await })
                })
                .await
                .unwrap();
            let renamed = view(&schema, "renamed");
            assert_eq!(list(&store, &renamed, filter(&renamed, "added = null"), "id").await, ["t1", "t2", "t3"]);

            // What was prepared against the old table is told to start again.
            let writing = things.clone();
            let at = things.collection.position("n").unwrap();
            let stale = store
                .write(move |tx| {
                    Box::pin(async move { records::insert(tx, &writing, "t9", &[(at, Value::Real(1.0))], NOW).await })
                })
                .await
                .unwrap_err();
            assert!(records::is_stale(&stale), "{stale}");

            let loaded: collections::Stored =
                store.read(fastcms_store::Plan::Scan, |reader| Box::pin(collections::load(reader))).await.unwrap();
            assert_eq!(loaded.generation, 3);
            let loaded = loaded.into_schema(store.dialect()).unwrap();
            assert_eq!(loaded.by_name("RENAMED").unwrap().definition(), renamed.collection.definition());

            let gone = Arc::clone(&renamed.collection);
            store.write(move |tx| Box::pin(async move { collections::delete(tx, &gone).await })).await.unwrap();
            assert_eq!(list(&store, &people, Predicate::True, "id").await, ["p1", "p2"]);
        })
    });
}

/// As a page asks for it, on `PostgreSQL`: nulls stand first in ascending order, as they do on `SQLite`.
const PAGES: [(&str, &str); 3] = [
    ("n", "ORDER BY t0.\"n\" NULLS FIRST, t0.id"),
    ("n", "ORDER BY t0.\"n\" DESC NULLS LAST, t0.id"),
    ("m", "ORDER BY t0.\"m\" DESC NULLS LAST, t0.id"),
];

#[test]
fn a_page_sorted_by_an_indexed_field_is_read_from_its_index() {
    on_postgres(|database| {
        Box::pin(async move {
            let store = database.store().await;
            let mut numbers = definition(
                "numbers-id",
                "numbers",
                vec![Field::new("n", FieldType::Number), Field::new("m", FieldType::Number)],
            );
            for (name, order) in [("n", IndexOrder::Asc), ("m", IndexOrder::Desc)] {
                let fields = vec![IndexMember { name: name.to_owned(), order }];
                numbers.indexes.push(Index { name: name.to_owned(), fields, unique: false, created: NOW.to_owned() });
            }
            with(&store, vec![numbers]).await;
            let admin = database.admin().await;
            admin
                .batch_execute(
                    "INSERT INTO collections.tnumbersid (id, created, updated, n, m)
                        SELECT 'r' || i, '', '', nullif(i % 1000, 0), i FROM generate_series(1, 20000) AS i;
                     ANALYZE collections.tnumbersid",
                )
                .await
                .unwrap();
            for (field, order) in PAGES {
                let asked = format!("EXPLAIN SELECT t0.id FROM collections.tnumbersid AS t0 {order} LIMIT 30");
                let plan: Vec<String> = admin.query(&asked, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
                let from_index = format!("using ui_tnumbersid_{field}");
                assert!(plan.iter().any(|line| line.contains(&from_index)), "{order}: {plan:#?}");
            }
        })
    });
}
