//! The indexes that an admin gives a collection. They follow it: a renamed field keeps its indexes, one that goes is refused while an
//! index reads it, and a deleted collection takes them along.

use std::sync::Arc;

use fastcms_store::collections::{self as rows, Origins};
use fastcms_store::schema::{Collection, CollectionKind, Definition, Index, IndexMember, IndexOrder, Schema};
use fastcms_store::{Dialect, LONG_WRITE_BUDGET, Name, Tx};
use serde_json::{Map, Value as Json};

use super::change::{adopted, conflict};
use super::definition::capitalised;
use super::obstacles::told;
use super::readers::check_member;
use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Entry, Event};
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};

/// Most indexes of one collection.
pub const MAX_INDEXES: usize = 32;
/// Most members of one index.
pub const MAX_INDEX_FIELDS: usize = 5;

/// The indexes of a collection, in the order in which they were made.
pub fn indexes(caller: &Caller, app: &App, id: &str) -> Result<Vec<Index>> {
    access::require(caller, Permission::CollectionsRead)?;
    let schema = app.schema.load();
    let collection = schema.by_id(id).ok_or(Error::NotFound)?;
    Ok(collection.definition().indexes.clone())
}

/// The index of this name, whatever its case.
pub fn index(caller: &Caller, app: &App, id: &str, name: &str) -> Result<Index> {
    let found = indexes(caller, app, id)?.into_iter().find(|index| index.name.eq_ignore_ascii_case(name));
    found.ok_or(Error::NotFound)
}

/// An index as JSON (contract 5.7).
pub fn index_to_json(index: &Index) -> Json {
    let fields =
        index.fields.iter().map(|member| serde_json::json!({"name": member.name, "order": member.order.name()}));
    serde_json::json!({
        "name": index.name, "fields": fields.collect::<Vec<_>>(), "unique": index.unique, "created": index.created,
    })
}

/// Gives a collection an index, built over the records that are there.
pub async fn create_index(caller: &Caller, app: &App, id: &str, body: &Map<String, Json>) -> Result<Index> {
    access::require(caller, Permission::CollectionsWrite)?;
    let mut errors = FieldErrors::default();
    let index = read(body, &crate::time::stamp(app.now_millis()), &mut errors);
    errors.into_result()?;
    let index = index.ok_or_else(|| Error::internal("an index without faults is complete"))?;
    let made = index.clone();
    let event = Event::IndexCreated.with("index", index.name.as_str()).with("unique", index.unique);
    change(caller, app, id, event, move |definition| add(definition, made)).await?;
    Ok(index)
}

/// Takes an index away.
pub async fn delete_index(caller: &Caller, app: &App, id: &str, name: &str) -> Result<()> {
    access::require(caller, Permission::CollectionsWrite)?;
    let event = Event::IndexDeleted.with("index", name);
    let name = name.to_owned();
    let remove = move |definition: &mut Definition| {
        let before = definition.indexes.len();
        definition.indexes.retain(|index| !index.name.eq_ignore_ascii_case(&name));
        if definition.indexes.len() == before { Err(Error::NotFound) } else { Ok(()) }
    };
    change(caller, app, id, event, remove).await
}

/// Reads an index as sent, every fault found at once. What depends on the collection is in [`check`].
pub(super) fn read(body: &Map<String, Json>, now: &str, errors: &mut FieldErrors) -> Option<Index> {
    let mut index = Index { name: String::new(), fields: Vec::new(), unique: false, created: now.to_owned() };
    for required in ["name", "fields"] {
        if body.get(required).is_none_or(Json::is_null) {
            errors.add(required, "This field is required");
        }
    }
    for (key, value) in body {
        match (key.as_str(), value) {
            ("name" | "fields" | "unique", Json::Null) => {}
            ("name", Json::String(name)) => match Name::new(name.as_str()) {
                Ok(_) => index.name.clone_from(name),
                Err(error) => errors.add("name", capitalised(&error.to_string())),
            },
            ("name", _) => errors.add("name", "Must be a string"),
            ("unique", Json::Bool(unique)) => index.unique = *unique,
            ("unique", _) => errors.add("unique", "Must be a boolean"),
            ("fields", Json::Array(members)) => index.fields = read_members(members, errors),
            ("fields", _) => errors.add("fields", "Must be an array of fields"),
            _ => errors.add(key.as_str(), "Unknown field"),
        }
    }
    (!index.name.is_empty() && !index.fields.is_empty()).then_some(index)
}

fn read_members(sent: &[Json], errors: &mut FieldErrors) -> Vec<IndexMember> {
    if sent.is_empty() || sent.len() > MAX_INDEX_FIELDS {
        errors.add("fields", format!("Must be 1 to {MAX_INDEX_FIELDS} fields"));
        return Vec::new();
    }
    let mut members: Vec<IndexMember> = Vec::with_capacity(sent.len());
    for (at, json) in sent.iter().enumerate() {
        let Json::Object(object) = json else {
            errors.add(format!("fields.{at}"), "Must be an object");
            continue;
        };
        for key in object.keys().filter(|key| !matches!(key.as_str(), "name" | "order")) {
            errors.add(format!("fields.{at}.{key}"), "Unknown field");
        }
        let order = match object.get("order") {
            None | Some(Json::Null) => IndexOrder::Asc,
            Some(Json::String(order)) if order == "asc" => IndexOrder::Asc,
            Some(Json::String(order)) if order == "desc" => IndexOrder::Desc,
            Some(_) => {
                errors.add(format!("fields.{at}.order"), "Must be one of: asc, desc");
                IndexOrder::Asc
            }
        };
        match object.get("name") {
            Some(Json::String(name)) if members.iter().any(|member| member.name == *name) => {
                errors.add(format!("fields.{at}.name"), "Must be unique");
            }
            Some(Json::String(name)) => members.push(IndexMember { name: name.clone(), order }),
            None | Some(Json::Null) => {
                errors.add(format!("fields.{at}.name"), "This field is required");
            }
            Some(_) => errors.add(format!("fields.{at}.name"), "Must be a string"),
        }
    }
    members
}

/// Puts an index beside those that are there.
pub(super) fn add(definition: &mut Definition, index: Index) -> Result<()> {
    if definition.indexes.iter().any(|other| other.name.eq_ignore_ascii_case(&index.name)) {
        return Err(Error::AlreadyExists(format!("An index named `{}`", index.name)));
    }
    if definition.indexes.len() >= MAX_INDEXES {
        return Err(Error::field("name", format!("Must be at most {MAX_INDEXES} indexes")));
    }
    definition.indexes.push(index);
    Ok(())
}

/// Holds the members of an index against the collection.
pub(super) fn check(collection: &Collection, index: &Index, errors: &mut FieldErrors) {
    for (at, member) in index.fields.iter().enumerate() {
        if let Err(message) = check_member(collection, &member.name) {
            errors.add(format!("fields.{at}.name"), message);
        }
    }
}

async fn change(
    caller: &Caller,
    app: &App,
    id: &str,
    event: Entry,
    apply: impl FnOnce(&mut Definition) -> Result<()> + Send + 'static,
) -> Result<()> {
    let now = crate::time::stamp(app.now_millis());
    let dialect = app.store.dialect();
    let wanted = id.to_owned();
    let schema = audit::write_within(caller, app, LONG_WRITE_BUDGET, move |tx, trail| {
        Box::pin(async move {
            let event = event.on("collection", wanted.as_str());
            let schema = replace(tx, wanted, apply, now, dialect).await?;
            Ok::<_, Error>(trail.record(tx, event).with(schema))
        })
    })
    .await?;
    adopted(app, &Arc::new(schema), id).map(|_| ())
}

async fn replace(
    tx: &mut Tx<'_>,
    id: String,
    apply: impl FnOnce(&mut Definition) -> Result<()>,
    now: String,
    dialect: Dialect,
) -> Result<Schema> {
    let stored = rows::load_locked(tx).await?;
    let mut definitions = stored.definitions;
    let before = Schema::new(stored.generation, definitions.clone(), dialect)?;
    let old = before.by_id(&id).ok_or(Error::NotFound)?;
    if old.kind() == CollectionKind::View {
        return Err(Error::WrongCollectionType);
    }
    let definition = definitions.iter_mut().find(|definition| definition.id == id).ok_or(Error::NotFound)?;
    apply(definition)?;
    definition.version += 1;
    definition.updated = now;
    let after = Schema::new(stored.generation + 1, definitions, dialect)?;
    let new = after.by_id(&id).ok_or(Error::NotFound)?;
    rows::lock(tx, old).await?;
    let made = new.definition().indexes.iter().filter(|index| !old.definition().indexes.contains(index));
    for index in made {
        let mut errors = FieldErrors::default();
        check(new, index, &mut errors);
        errors.into_result()?;
        check_rows(tx, old, new, index).await?;
    }
    // Fields stay as they are, so no value is asked for.
    let origins = Origins::new(old, new, &[]);
    let replaced = rows::replace(tx, old, new, &origins, &|_, _| None).await;
    replaced.map_err(|error| conflict(new, dialect, error))?;
    Ok(after)
}

/// Records that a new index could not hold.
async fn check_rows(tx: &mut Tx<'_>, old: &Collection, new: &Collection, index: &Index) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (at, member) in index.fields.iter().enumerate() {
        let Some(field) = new.position(&member.name) else {
            continue;
        };
        if let Some(limit) =
            new.byte_limit(field).filter(|limit| old.byte_limit(field).is_none_or(|before| before > *limit))
        {
            let found = rows::longer_than(tx, old, field, limit).await?;
            if !found.is_empty() {
                let (one, many) = (format!("has more than {limit} bytes"), format!("have more than {limit} bytes"));
                errors.add(format!("fields.{at}.name"), told(&found, &one, &many));
            }
        }
    }
    if index.unique {
        let members: Vec<&str> = index.fields.iter().map(|member| member.name.as_str()).collect();
        let found = rows::colliding(tx, old, &members).await?;
        if !found.is_empty() {
            errors.add("unique", told(&found, "shares its values", "share their values with another"));
        }
    }
    errors.into_result()
}
