//! Three collections that point at each other, with random fields and rows: as definitions for the store, and as rows in memory.

use std::sync::Arc;

use fastcms_expr::{Cell, Column, EvaluationError, Row, Value as Constant};
use fastcms_store::predicate::Sight;
use fastcms_store::schema::{
    Cardinality, Collection, CollectionKind, Definition, Field, FieldType, OnDelete, RelationOptions, RuleTexts,
    Schema, SelectOptions,
};
use fastcms_store::{Dialect, Result, Store, Value, collections};
use serde_json::{Map, json};

use crate::chance::Chance;
use crate::values;

/// What a row holds in one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    Null,
    Text(String),
    Number(f64),
    Bool(bool),
    List(Vec<String>),
    Point(f64, f64),
    Json(String),
}

impl Datum {
    fn stored(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) | Self::Json(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::Bool(flag) => (*flag).into(),
            Self::List(items) => json!(items).to_string().into(),
            Self::Point(lat, lng) => json!({"lat": lat, "lng": lng}).to_string().into(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Record {
    pub id: String,
    created: String,
    updated: String,
    /// By position of the field.
    pub data: Vec<Datum>,
}

pub struct Table {
    pub collection: Arc<Collection>,
    pub records: Vec<Record>,
}

pub struct World {
    pub schema: Schema,
    /// The first is the one that is asked.
    pub tables: Vec<Table>,
}

/// Names that are a word to one of the engines, an alias or function of the statements, long, or alike but for their case elsewhere.
const NAMES: &[&str] = &[
    "order",
    "select",
    "value",
    "v",
    "t0",
    "t1",
    "key",
    "Title",
    "from",
    "lat",
    "json_each",
    "a",
    "B",
    "group",
    "n9",
    "user",
    "json",
    "a_name_that_is_as_long_as_names_may_ever_be_and_longer_than_what_the_engine_keeps",
    "limit",
    "table",
    "type",
    "count",
    "Null_",
    "rowid",
    "oid",
    "data",
    "record",
    "now",
    "public",
    "is",
    "text",
    "number",
    "array",
    "lateral",
    "offset",
    "end",
    "case",
    "when",
];

const COLLECTIONS: [&str; 3] = ["home", "People", "order"];

impl World {
    pub fn random(chance: &mut Chance, dialect: Dialect) -> Self {
        let definitions = COLLECTIONS.map(|name| definition(chance, name)).to_vec();
        Self::of(definitions, chance, dialect)
    }

    /// Random rows in given collections.
    pub fn of(definitions: Vec<Definition>, chance: &mut Chance, dialect: Dialect) -> Self {
        let schema = Schema::new(1, definitions, dialect).unwrap();
        assert_eq!(schema.broken(), []);
        let tables = schema.collections().iter().enumerate().map(|(at, collection)| {
            let rows = [12, 4, 3][at];
            let records = (0..rows).map(|number| record(chance, collection, number)).collect();
            Table { collection: Arc::clone(collection), records }
        });
        Self { tables: tables.collect(), schema }
    }

    pub fn home(&self) -> &Table {
        &self.tables[0]
    }

    fn position(&self, id: &str) -> usize {
        self.tables.iter().position(|table| table.collection.id() == id).unwrap()
    }

    /// Makes the tables and fills them.
    pub async fn store(&self, store: &Store) {
        for table in &self.tables {
            let collection = Arc::clone(&table.collection);
            let records = table.records.clone();
            let job = store.write::<(), fastcms_store::Error, _>(move |tx| {
                Box::pin(async move {
                    collections::insert(tx, &collection).await?;
                    for record in &records {
                        let mut sql = tx.sql();
                        sql.push("INSERT INTO ").table(collection.table()).push(" (id, created, updated");
                        for at in 0..collection.fields().len() {
                            sql.push(", ").ident(collection.column(at));
                        }
                        sql.push(if collection.is_auth() { ", email_folded) VALUES (" } else { ") VALUES (" });
                        sql.binds_of([&record.id, &record.created, &record.updated]);
                        for datum in &record.data {
                            sql.push(", ").bind(datum.stored());
                        }
                        if collection.is_auth() {
                            sql.push(", ").bind(&record.id);
                        }
                        tx.execute(sql.push(")")).await?;
                    }
                    Ok(())
                })
            });
            job.await.unwrap();
        }
    }

    /// Takes the tables away again.
    pub async fn remove(&self, store: &Store) {
        for table in &self.tables {
            let collection = Arc::clone(&table.collection);
            let job: Result<()> =
                store.write(move |tx| Box::pin(async move { collections::delete(tx, &collection).await })).await;
            job.unwrap();
        }
    }
}

fn definition(chance: &mut Chance, name: &str) -> Definition {
    let is_auth = name == "People" && chance.one_in(2);
    let mut names = NAMES.to_vec();
    chance.shuffle(&mut names);
    let mut kinds = FieldType::ALL.to_vec();
    // Never without these; the others as chance has it.
    kinds.extend([FieldType::Relation, FieldType::Text, FieldType::Number, FieldType::Select]);
    let kept = kinds.into_iter().filter(|kind| {
        let is_wanted = matches!(kind, FieldType::Text | FieldType::Number | FieldType::Relation);
        is_wanted || !chance.one_in(4)
    });
    let kinds: Vec<_> = kept.collect();
    let mut is_many = false;
    let fields = kinds.into_iter().zip(names).map(|(kind, name)| {
        is_many = !is_many;
        field(chance, kind, name, is_many)
    });
    let fields = fields.collect();
    defined(name, if is_auth { CollectionKind::Auth } else { CollectionKind::Base }, fields)
}

/// A collection with these fields, whose id follows from its name.
pub fn defined(name: &str, kind: CollectionKind, fields: Vec<Field>) -> Definition {
    Definition {
        id: format!("id-{name}"),
        name: name.to_owned(),
        kind,
        fields,
        options: Map::new(),
        indexes: Vec::new(),
        rules: RuleTexts::default(),
        view_query: None,
        system: false,
        version: 1,
        created: values::NOW.to_owned(),
        updated: values::NOW.to_owned(),
    }
}

fn field(chance: &mut Chance, kind: FieldType, name: &str, is_many: bool) -> Field {
    let target = (kind == FieldType::Relation).then(|| chance.pick(&COLLECTIONS));
    let mut field = made(kind, name, is_many, target);
    if let Some(relation) = field.relation.as_mut().filter(|_| chance.one_in(2)) {
        relation.collection_id = relation.collection.take().map(|name| format!("id-{name}"));
    }
    field
}

/// A field, which for a relation has a target.
pub fn made(kind: FieldType, name: &str, is_many: bool, target: Option<&str>) -> Field {
    let mut field = Field::new(name, kind);
    if kind == FieldType::Select {
        field.select = Some(SelectOptions { values: Vec::new(), max_select: if is_many { 5 } else { 1 } });
    }
    field.relation = target.map(|target| RelationOptions {
        collection: Some(target.to_owned()),
        collection_id: None,
        cardinality: if is_many { Cardinality::ManyToMany } else { Cardinality::ManyToOne },
        cascade_delete: OnDelete::NoAction,
        display_fields: Vec::new(),
        max_depth: 1,
        junction_table: None,
        junction_field: None,
        target_field: None,
        polymorphic_type_field: None,
    });
    field
}

fn record(chance: &mut Chance, collection: &Collection, number: usize) -> Record {
    let data = collection.fields().iter().enumerate().map(|(at, field)| {
        if collection.is_auth() && field.system {
            return match field.name.as_str() {
                "email" => Datum::Text(format!("Ab{}@example.com", number % 2)),
                "password" => Datum::Text("a".to_owned()),
                "role" if chance.one_in(2) => Datum::Null,
                "role" => Datum::Text("user".to_owned()),
                _ => Datum::Bool(chance.one_in(2)),
            };
        }
        if chance.one_in(5) { Datum::Null } else { datum(chance, &collection.fields()[at]) }
    });
    let data = data.collect();
    Record { id: format!("r{number}"), created: values::instant(chance), updated: values::instant(chance), data }
}

fn datum(chance: &mut Chance, field: &Field) -> Datum {
    let list = |chance: &mut Chance, item: fn(&mut Chance) -> String| {
        let mut items: Vec<String> = Vec::new();
        for _ in 0..chance.below(4) {
            let item = item(chance);
            if !items.contains(&item) {
                items.push(item);
            }
        }
        Datum::List(items)
    };
    match field.kind {
        FieldType::Text | FieldType::Editor | FieldType::Email | FieldType::Url => Datum::Text(values::text(chance)),
        FieldType::Number => Datum::Number(values::number(chance)),
        FieldType::Bool => Datum::Bool(chance.one_in(2)),
        FieldType::Date => Datum::Text(values::date(chance)),
        FieldType::Datetime | FieldType::Autodate => Datum::Text(values::instant(chance)),
        FieldType::Select | FieldType::File if field.is_many() => list(chance, values::item),
        FieldType::Relation if field.is_many() => list(chance, values::id),
        FieldType::Relation => Datum::Text(values::id(chance)),
        FieldType::Select | FieldType::File => Datum::Text(values::item(chance)),
        FieldType::Json => Datum::Json(values::json(chance)),
        FieldType::Geopoint => {
            let (lat, lng) = values::point(chance);
            Datum::Point(lat, lng)
        }
    }
}

/// A row in memory as a rule sees it or, with a sight, as a caller's filter does.
#[derive(Clone, Copy)]
pub struct Seen<'w> {
    pub world: &'w World,
    pub table: usize,
    pub row: usize,
    pub sight: Option<&'w Sight>,
}

impl<'w> Seen<'w> {
    pub fn record(&self) -> &'w Record {
        &self.world.tables[self.table].records[self.row]
    }

    fn datum(&self, name: &str) -> Datum {
        let collection = &self.world.tables[self.table].collection;
        let record = self.record();
        let system = match name {
            "id" => Some(&record.id),
            "created" => Some(&record.created),
            "updated" => Some(&record.updated),
            _ => None,
        };
        if let Some(text) = system {
            return Datum::Text(text.clone());
        }
        let at = collection.position(name).unwrap();
        let is_masked = collection.is_account_email(at)
            && self.sight.is_some_and(|sight| {
                let own = sight.own.as_ref().is_some_and(|(home, id)| home == collection.id() && *id == record.id);
                !sight.sees_all && !own && self.datum("email_visibility") != Datum::Bool(true)
            });
        if is_masked { Datum::Null } else { record.data[at].clone() }
    }

    /// The rows that a relation leads to and that may be seen.
    fn follow(&self, relation: &str) -> Vec<Self> {
        let home = &self.world.tables[self.table].collection;
        let target = self.world.schema.target(home.field(relation).unwrap()).unwrap();
        let table = self.world.position(target.id());
        let ids = match self.datum(relation) {
            Datum::Text(id) => vec![id],
            Datum::List(ids) => ids,
            _ => Vec::new(),
        };
        let rows =
            ids.iter().filter_map(|id| self.world.tables[table].records.iter().position(|record| record.id == *id));
        rows.map(|row| Self { table, row, ..*self }).filter(Self::is_visible).collect()
    }

    fn is_visible(&self) -> bool {
        let Some(sight) = self.sight.filter(|sight| !sight.follows_all) else {
            return true;
        };
        let collection = &self.world.tables[self.table].collection;
        sight.rows.get(collection.id()).is_some_and(|rows| rows.matches(&Self { sight: None, ..*self }).unwrap())
    }
}

fn constants(datum: Datum) -> Vec<Constant> {
    match datum {
        Datum::Null => vec![Constant::Null],
        Datum::Text(text) => vec![Constant::Text(text)],
        Datum::Number(number) => vec![Constant::Number(number)],
        Datum::List(items) => items.into_iter().map(Constant::Text).collect(),
        // What they hold is never looked at.
        Datum::Bool(_) | Datum::Point(..) | Datum::Json(_) => {
            vec![Constant::Bool(datum == Datum::Bool(true))]
        }
    }
}

impl Row for Seen<'_> {
    fn value(&self, column: &Column) -> Result<Cell, EvaluationError> {
        let (last, relations) = column.path.split_last().unwrap();
        let mut reached = vec![*self];
        for relation in relations {
            reached = reached.iter().flat_map(|row| row.follow(relation)).collect();
        }
        if column.list || column.crosses_many {
            let items = reached.iter().flat_map(|row| match row.datum(last) {
                Datum::Null if column.list => Vec::new(),
                datum => constants(datum),
            });
            return Ok(Cell::List(items.collect()));
        }
        Ok(match reached.first().map(|row| row.datum(last)) {
            None => Cell::Value(Constant::Null),
            Some(Datum::Point(lat, lng)) => Cell::Point { lat, lng },
            Some(Datum::Json(_)) => Cell::Json,
            Some(datum) => Cell::Value(constants(datum).remove(0)),
        })
    }

    fn collection(&self, collection: &str, field: &str) -> Result<Vec<Constant>, EvaluationError> {
        let table = self.world.position(self.world.schema.by_name(collection).unwrap().id());
        let rows = 0..self.world.tables[table].records.len();
        let rows = rows.map(|row| Seen { table, row, sight: None, ..*self });
        Ok(rows.flat_map(|row| constants(row.datum(field))).collect())
    }
}
