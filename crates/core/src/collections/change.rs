//! Making, emptying and deleting collections.

use std::sync::Arc;

use fastcms_store::collections as rows;
use fastcms_store::records;
use fastcms_store::schema::{Collection, CollectionKind, Definition, OnDelete, RuleTexts, Schema};
use fastcms_store::{Dialect, LONG_WRITE_BUDGET, Tx};
use serde_json::{Map, Value as Json};

use super::adopt;
use super::definition::{MAX_COLLECTIONS, Sent, check_fields, read};
use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};

/// Makes a collection from the body of contract 5.7.
pub async fn create(caller: &Caller, app: &App, body: &Map<String, Json>) -> Result<Arc<Collection>> {
    access::require(caller, Permission::CollectionsWrite)?;
    let definition = drafted(app, read(body)?)?;
    let id = definition.id.clone();
    let dialect = app.store.dialect();
    let schema = audit::write_within(caller, app, LONG_WRITE_BUDGET, move |tx, trail| {
        Box::pin(async move {
            let event = Event::CollectionCreated.on("collection", definition.id.as_str());
            let event = event.with("name", definition.name.as_str()).with("type", definition.kind.name());
            let schema = insert(tx, definition, dialect).await?;
            Ok::<_, Error>(trail.record(tx, event).with(schema))
        })
    })
    .await?;
    adopted(app, &schema, &id)
}

/// The definition of a new collection, sound in itself.
pub(super) fn drafted(app: &App, sent: Sent) -> Result<Definition> {
    let mut errors = FieldErrors::default();
    for (at, _) in &sent.renamed {
        errors.add(format!("schema.{at}.renamed_from"), "Only in a change");
    }
    errors.into_result()?;
    let Some(name) = sent.name.clone() else {
        return Err(Error::field("name", "This field is required"));
    };
    let kind = sent.kind.unwrap_or(CollectionKind::Base);
    let now = crate::time::stamp(app.now_millis());
    let definition = Definition {
        id: app.new_id(),
        name,
        kind,
        rules: sent.rules_over(&RuleTexts::default()),
        fields: sent.fields.unwrap_or_default(),
        options: sent.options.unwrap_or_default(),
        indexes: Vec::new(),
        view_query: None,
        system: false,
        version: 1,
        created: now.clone(),
        updated: now,
    };
    check_fields(kind, &definition.fields, &definition.options)?;
    Ok(definition)
}

/// Stores a new collection and makes its table.
pub(super) async fn insert(tx: &mut Tx<'_>, definition: Definition, dialect: Dialect) -> Result<Arc<Schema>> {
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
    let schema = Arc::new(Schema::new(stored.generation + 1, definitions, dialect)?);
    let collection = schema.by_id(&id).ok_or(Error::NotFound)?;
    check_relations(&schema, collection)?;
    check_rules(&schema, &id)?;
    rows::insert(tx, collection).await?;
    Ok(schema)
}

/// Deletes a collection with its table, unless another points at it.
pub async fn delete(caller: &Caller, app: &App, id: &str) -> Result<()> {
    access::require(caller, Permission::CollectionsWrite)?;
    let wanted = id.to_owned();
    let dialect = app.store.dialect();
    let schema = audit::write_within(caller, app, LONG_WRITE_BUDGET, move |tx, trail| {
        Box::pin(async move {
            let event = Event::CollectionDeleted.on("collection", wanted.as_str());
            let (name, schema) = remove(tx, wanted, dialect).await?;
            Ok::<_, Error>(trail.record(tx, event.with("name", name)).with(schema))
        })
    })
    .await?;
    adopt(app, &Arc::new(schema));
    Ok(())
}

/// The name of what was deleted, and the collections that are left.
async fn remove(tx: &mut Tx<'_>, id: String, dialect: Dialect) -> Result<(String, Schema)> {
    let stored = rows::load_locked(tx).await?;
    let mut definitions = stored.definitions;
    let before = Schema::new(stored.generation, definitions.clone(), dialect)?;
    let old = before.by_id(&id).ok_or(Error::NotFound)?;
    if old.definition().system {
        return Err(Error::WrongCollectionType);
    }
    if let Some(reference) = before.references(&id).find(|reference| reference.collection.id() != id) {
        return Err(Error::RelationRestricted(format!(
            "The collection `{}` has a relation to it",
            reference.collection.name()
        )));
    }
    definitions.retain(|definition| definition.id != id);
    let schema = Schema::new(stored.generation + 1, definitions, dialect)?;
    check_others(&before, &schema, &id).map_err(Error::RelationRestricted)?;
    // The table goes first: whoever is about to point at one of its records waits for us, or us for them.
    rows::delete(tx, old).await?;
    check_polymorphic(tx, &schema, old).await?;
    Ok((old.name().to_owned(), schema))
}

/// No record of another collection points into this one by a polymorphic relation that asks for something.
async fn check_polymorphic(tx: &mut Tx<'_>, schema: &Schema, target: &Collection) -> Result<()> {
    for reference in schema.polymorphic().filter(|reference| reference.collection.id() != target.id()) {
        let relation = reference.collection.fields()[reference.field].relation.as_ref();
        let is_left_alone = relation.is_some_and(|relation| relation.cascade_delete == OnDelete::NoAction);
        if !is_left_alone && rows::points_into(tx, reference.collection, reference.field, target.name()).await? {
            return Err(pointed_at(reference.collection));
        }
    }
    Ok(())
}

fn pointed_at(collection: &Collection) -> Error {
    Error::RelationRestricted(format!("Records of `{}` point at its records", collection.name()))
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
    access::require(caller, Permission::CollectionsWrite)?;
    let (wanted, dialect) = (name.to_owned(), app.store.dialect());
    audit::write_within(caller, app, LONG_WRITE_BUDGET, move |tx, trail| {
        Box::pin(async move {
            let (id, emptied) = empty(tx, wanted, dialect).await?;
            let event = Event::CollectionTruncated.on("collection", id).with("name", emptied.collection.as_str());
            Ok(trail.record(tx, event.with("deleted", emptied.deleted)).with(emptied))
        })
    })
    .await
}

/// The collection's id, and what was done.
async fn empty(tx: &mut Tx<'_>, name: String, dialect: Dialect) -> Result<(String, Truncated)> {
    let schema = rows::load_locked(tx).await?.into_schema(dialect)?;
    let collection = schema.by_name(&name).ok_or(Error::NotFound)?;
    if collection.kind() == CollectionKind::View || collection.definition().system {
        return Err(Error::WrongCollectionType);
    }
    // The records go first: whoever is about to point at one of them waits for us, or us for them.
    let deleted = rows::truncate(tx, collection).await?;
    let others = schema.references(collection.id()).filter(|reference| reference.collection.id() != collection.id());
    for reference in others {
        let relation = reference.collection.fields()[reference.field].relation.as_ref();
        let is_left_alone = relation.is_some_and(|relation| relation.cascade_delete == OnDelete::NoAction);
        if !is_left_alone && rows::is_pointed_at(tx, reference.collection, reference.field).await? {
            return Err(pointed_at(reference.collection));
        }
    }
    check_polymorphic(tx, &schema, collection).await?;
    Ok((collection.id().to_owned(), Truncated { collection: collection.name().to_owned(), deleted }))
}

pub(super) fn adopted(app: &App, schema: &Arc<Schema>, id: &str) -> Result<Arc<Collection>> {
    adopt(app, schema);
    schema.by_id(id).cloned().ok_or(Error::NotFound)
}

/// Every relation points at a collection, by one name or by an id that means the same.
pub(super) fn check_relations(schema: &Schema, collection: &Collection) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (at, field) in collection.definition().fields.iter().enumerate() {
        let Some(relation) = field.relation.as_ref().filter(|_| field.polymorphic_type_field().is_none()) else {
            continue;
        };
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
pub(super) fn check_rules(schema: &Schema, id: &str) -> Result<()> {
    let mut errors = FieldErrors::default();
    for broken in schema.broken().iter().filter(|broken| broken.collection == id) {
        let sealed = schema.by_id(id).and_then(|collection| super::sealed_reason(collection, &broken.reason));
        let reason = sealed.as_deref().unwrap_or(&broken.reason);
        errors.add(broken.key, format!("{reason} (at character {})", broken.position));
    }
    errors.into_result()
}

/// No rule of another collection breaks by the change.
pub(super) fn check_others(before: &Schema, after: &Schema, id: &str) -> Result<(), String> {
    let breaks = after.broken().iter().find(|broken| {
        let was_broken = before.broken().iter().any(|was| was.collection == broken.collection && was.key == broken.key);
        broken.collection != id && !was_broken
    });
    let Some(broken) = breaks else { return Ok(()) };
    let name = after.by_id(&broken.collection).map_or("", |collection| collection.name());
    Err(format!("`{}` of the collection `{name}` would no longer hold: {}", broken.key, broken.reason))
}

pub(super) fn conflict(collection: &Collection, dialect: Dialect, error: fastcms_store::Error) -> Error {
    match records::conflicting_field(collection, dialect, &error) {
        Some(field) => Error::UniqueConflict(field.to_owned()),
        None => error.into(),
    }
}
