//! Making, changing and deleting collections.

use std::sync::Arc;

use fastcms_store::collections as rows;
use fastcms_store::schema::{Collection, CollectionKind, Definition, FieldType, RuleTexts, Schema, Storage};
use fastcms_store::{BoxFuture, Dialect, Plan, Tx};
use serde_json::{Map, Value as Json};

use super::adopt;
use super::definition::{MAX_COLLECTIONS, Sent, check_fields, read};
use crate::access;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};

/// Makes a collection from the body of contract 5.7.
pub async fn create(caller: &Caller, app: &App, body: &Map<String, Json>) -> Result<Arc<Collection>> {
    access::require_admin(caller)?;
    let sent = read(body)?;
    let Some(name) = sent.name.clone() else { return Err(Error::field("name", "This field is required")) };
    let kind = sent.kind.unwrap_or(CollectionKind::Base);
    let now = crate::time::stamp(app.now_millis());
    let definition = Definition {
        id: app.new_id(),
        name,
        kind,
        rules: sent.rules_over(&RuleTexts::default()),
        fields: sent.fields.unwrap_or_default(),
        options: sent.options.unwrap_or_default(),
        view_query: None,
        system: false,
        version: 1,
        created: now.clone(),
        updated: now,
    };
    check_fields(kind, &definition.fields, &definition.options)?;
    let id = definition.id.clone();
    let dialect = app.store.dialect();
    let schema = app.store.write(move |tx| Box::pin(insert(tx, definition, dialect))).await?;
    adopted(app, schema, &id)
}

async fn insert(tx: &mut Tx<'_>, definition: Definition, dialect: Dialect) -> Result<Schema> {
    let stored = rows::load_locked(tx).await?;
    if stored.definitions.len() >= MAX_COLLECTIONS {
        return Err(Error::field("name", format!("Must be at most {MAX_COLLECTIONS} collections")));
    }
    if stored.definitions.iter().any(|other| other.name.eq_ignore_ascii_case(&definition.name)) {
        return Err(Error::AlreadyExists(format!("A collection named `{}`", definition.name)));
    }
    let id = definition.id.clone();
    let mut definitions = stored.definitions;
    definitions.insert(0, definition);
    let schema = Schema::new(stored.generation + 1, definitions, dialect)?;
    let collection = schema.by_id(&id).ok_or(Error::NotFound)?;
    check_relations(&schema, collection)?;
    check_rules(&schema, &id)?;
    rows::insert(tx, collection).await?;
    Ok(schema)
}

/// Changes a collection: what the body does not name stays.
pub async fn update(caller: &Caller, app: &App, id: &str, body: &Map<String, Json>) -> Result<Arc<Collection>> {
    access::require_admin(caller)?;
    if app.schema.load().by_id(id).is_none() {
        super::reload(app).await?;
        app.schema.load().by_id(id).ok_or(Error::NotFound)?;
    }
    let sent = read(body)?;
    let now = crate::time::stamp(app.now_millis());
    let dialect = app.store.dialect();
    let wanted = id.to_owned();
    let schema = app.store.write(move |tx| Box::pin(replace(tx, wanted, sent, now, dialect))).await?;
    adopted(app, schema, id)
}

async fn replace(tx: &mut Tx<'_>, id: String, sent: Sent, now: String, dialect: Dialect) -> Result<Schema> {
    let stored = rows::load_locked(tx).await?;
    let mut definitions = stored.definitions;
    let before = Schema::new(stored.generation, definitions.clone(), dialect)?;
    let old = before.by_id(&id).ok_or(Error::NotFound)?;
    let definition = definitions.iter_mut().find(|definition| definition.id == id).ok_or(Error::NotFound)?;
    apply(definition, sent, now)?;
    let name = definition.name.clone();
    if old.definition().system && name != old.name() {
        return Err(Error::field("name", "A system collection keeps its name"));
    }
    if before.by_name(&name).is_some_and(|other| other.id() != id) {
        return Err(Error::AlreadyExists(format!("A collection named `{name}`")));
    }
    check_fields(definition.kind, &definition.fields, &definition.options)?;
    follow_rename(&mut definitions, old.name(), &name);
    let schema = Schema::new(stored.generation + 1, definitions, dialect)?;
    let new = schema.by_id(&id).ok_or(Error::NotFound)?;
    check_relations(&schema, new)?;
    check_rules(&schema, &id)?;
    check_others(&before, &schema, &id).map_err(|what| Error::field("schema", what))?;
    check_rows(tx, &before, old, &schema, new).await?;
    rows::replace(tx, old, new).await.map_err(|error| conflict(new, dialect, error))?;
    for other in schema.collections().iter().filter(|other| other.id() != id) {
        if let Some(was) = before.by_id(other.id())
            && was.definition() != other.definition()
        {
            rows::replace(tx, was, other).await?;
        }
    }
    Ok(schema)
}

fn apply(definition: &mut Definition, sent: Sent, now: String) -> Result<()> {
    if sent.kind.is_some_and(|kind| kind != definition.kind) {
        return Err(Error::field("type", "A collection keeps its type"));
    }
    definition.rules = sent.rules_over(&definition.rules);
    if let Some(name) = sent.name {
        definition.name = name;
    }
    if let Some(fields) = sent.fields {
        definition.fields = fields;
    }
    if let Some(options) = sent.options {
        definition.options = options;
    }
    definition.version += 1;
    definition.updated = now;
    Ok(())
}

/// Relations that name the collection go on naming it.
fn follow_rename(definitions: &mut [Definition], old: &str, new: &str) {
    if old == new {
        return;
    }
    for definition in definitions {
        let mut touched = false;
        for relation in definition.fields.iter_mut().filter_map(|field| field.relation.as_mut()) {
            if relation.collection.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(old)) {
                relation.collection = Some(new.to_owned());
                touched = true;
            }
        }
        if touched && definition.name != new {
            definition.version += 1;
        }
    }
}

/// Deletes a collection with its table, unless another points at it.
pub async fn delete(caller: &Caller, app: &App, id: &str) -> Result<()> {
    access::require_admin(caller)?;
    let wanted = id.to_owned();
    let dialect = app.store.dialect();
    let schema = app.store.write(move |tx| Box::pin(remove(tx, wanted, dialect))).await?;
    adopt(app, &Arc::new(schema));
    Ok(())
}

async fn remove(tx: &mut Tx<'_>, id: String, dialect: Dialect) -> Result<Schema> {
    let stored = rows::load_locked(tx).await?;
    let mut definitions = stored.definitions;
    let before = Schema::new(stored.generation, definitions.clone(), dialect)?;
    let old = before.by_id(&id).ok_or(Error::NotFound)?;
    if old.definition().system {
        return Err(Error::WrongCollectionType);
    }
    if let Some(reference) = before.references(&id).find(|reference| reference.collection.id() != id) {
        return Err(Error::RelationRestricted(format!("The collection `{}` has a relation to it", reference.collection.name())));
    }
    definitions.retain(|definition| definition.id != id);
    let schema = Schema::new(stored.generation + 1, definitions, dialect)?;
    check_others(&before, &schema, &id).map_err(Error::RelationRestricted)?;
    rows::delete(tx, old).await?;
    Ok(schema)
}

/// What a truncation did.
#[derive(Debug)]
pub struct Truncated {
    /// The collection's name.
    pub collection: String,
    pub deleted: u64,
}

/// Deletes all records of a collection, unless records of another point at them.
pub async fn truncate(caller: &Caller, app: &App, name: &str) -> Result<Truncated> {
    access::require_admin(caller)?;
    let schema = app.schema.load_full();
    let collection = Arc::clone(schema.by_name(name).ok_or(Error::NotFound)?);
    if collection.kind() == CollectionKind::View || collection.definition().system {
        return Err(Error::WrongCollectionType);
    }
    for reference in schema.references(collection.id()).filter(|reference| reference.collection.id() != collection.id()) {
        let (other, at) = (Arc::clone(reference.collection), reference.field);
        let is_used = app.store.read(Plan::Scan, move |reader| Box::pin(async move { rows::is_pointed_at(reader, &other, at).await })).await;
        if is_used.map_err(Error::from)? {
            return Err(Error::RelationRestricted(format!("Records of `{}` point at its records", reference.collection.name())));
        }
    }
    let emptied = Arc::clone(&collection);
    let deleted: Result<u64> = app.store.write(move |tx| Box::pin(async move { Ok(rows::truncate(tx, &emptied).await?) })).await;
    Ok(Truncated { collection: collection.name().to_owned(), deleted: deleted? })
}

fn adopted(app: &App, schema: Schema, id: &str) -> Result<Arc<Collection>> {
    let schema = Arc::new(schema);
    adopt(app, &schema);
    schema.by_id(id).cloned().ok_or(Error::NotFound)
}

/// Every relation points at a collection, by one name or by an id that means the same.
fn check_relations(schema: &Schema, collection: &Collection) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (at, field) in collection.definition().fields.iter().enumerate() {
        let Some(relation) = &field.relation else { continue };
        let key = if relation.collection_id.is_some() { "collection_id" } else { "collection" };
        let Some(target) = schema.target(field) else {
            errors.add(format!("schema.{at}.relation.{key}"), "Unknown collection");
            continue;
        };
        if relation.collection.as_deref().is_some_and(|name| !name.eq_ignore_ascii_case(target.name())) {
            errors.add(format!("schema.{at}.relation.collection"), "Is not the collection of collection_id");
        }
        for name in &relation.display_fields {
            let is_known = ["id", "created", "updated"].contains(&name.as_str())
                || target.visible().iter().any(|at| target.fields()[*at].name == *name);
            if !is_known {
                errors.add(format!("schema.{at}.relation.display_fields"), format!("Unknown field `{name}`"));
            }
        }
    }
    errors.into_result()
}

/// The collection's own rules hold together.
fn check_rules(schema: &Schema, id: &str) -> Result<()> {
    let mut errors = FieldErrors::default();
    for broken in schema.broken().iter().filter(|broken| broken.collection == id) {
        errors.add(broken.key, format!("{} (at character {})", broken.reason, broken.position));
    }
    errors.into_result()
}

/// No rule of another collection breaks by the change.
fn check_others(before: &Schema, after: &Schema, id: &str) -> Result<(), String> {
    let breaks = after.broken().iter().find(|broken| {
        let was_broken = before.broken().iter().any(|was| was.collection == broken.collection && was.key == broken.key);
        broken.collection != id && !was_broken
    });
    let Some(broken) = breaks else { return Ok(()) };
    let name = after.by_id(&broken.collection).map_or("", |collection| collection.name());
    Err(format!("`{}` of the collection `{name}` would no longer hold: {}", broken.key, broken.reason))
}

/// The rows that are there fit the new fields, or the change is refused.
fn check_rows<'a>(
    tx: &'a mut Tx<'_>,
    before: &'a Schema,
    old: &'a Collection,
    after: &'a Schema,
    new: &'a Collection,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        if old.definition().fields == new.definition().fields || !rows::has_rows(tx, old).await? {
            return Ok(());
        }
        let mut errors = FieldErrors::default();
        for (at, field) in new.definition().fields.iter().enumerate() {
            let Some(was) = old.position(&field.name) else {
                if field.validation.required {
                    errors.add(format!("schema.{at}.validation.required"), "The records that are there have no value");
                }
                continue;
            };
            let old_field = &old.fields()[was];
            if old_field.system {
                continue;
            }
            let now = new.position(&field.name).ok_or(Error::NotFound)?;
            let same_target = before.target(old_field).map(|target| target.id()) == after.target(field).map(|target| target.id());
            if !(is_lossless(old_field.kind, old.storage(was), field.kind, new.storage(now)) && same_target)
                && rows::has_value(tx, old, was).await?
            {
                errors.add(format!("schema.{at}.type"), "The records that are there have values of the old type");
            }
            if field.validation.required && !old_field.validation.required && rows::has_null(tx, old, was).await? {
                errors.add(format!("schema.{at}.validation.required"), "Some of the records that are there have no value");
            }
        }
        errors.into_result()
    })
}

/// Whether every value of the old type is, as stored, one of the new.
fn is_lossless(old: FieldType, was: Storage, new: FieldType, now: Storage) -> bool {
    if was != now {
        return false;
    }
    old == new || (new == FieldType::Text && was == Storage::Text) || (new == FieldType::Json && was == Storage::Json)
}

fn conflict(collection: &Collection, dialect: Dialect, error: fastcms_store::Error) -> Error {
    match fastcms_store::records::conflicting_field(collection, dialect, &error) {
        Some(field) => Error::UniqueConflict(field.to_owned()),
        None => error.into(),
    }
}
