//! Changing a collection: its definition, its table and what others say of it, in one transaction or not at all.

use std::sync::Arc;

use fastcms_expr::RuleKind;
use fastcms_store::collections::{self as rows, Origins};
use fastcms_store::schema::{Collection, Definition, Schema};
use fastcms_store::{Dialect, LONG_WRITE_BUDGET, Tx};
use serde_json::{Map, Value as Json};

use super::change::{adopted, check_others, check_relations, check_rules, conflict};
use super::definition::{Sent, check_fields, read};
use super::retype::Converter;
use super::{obstacles, readers, to_json};
use crate::access::{self, Permission};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};

/// One collection on its way from one state to the next, with all others around it.
pub(super) struct Change<'c> {
    pub before: &'c Schema,
    pub old: &'c Collection,
    pub after: &'c Schema,
    pub new: &'c Collection,
    pub origins: &'c Origins,
}

/// Changes a collection: what the body does not name stays.
///
/// A field of the sent schema that has `renamed_from` takes the values of the field of that name. Without it, a name that is not there
/// any more is a field that goes with its values, and a new name is a new field.
pub async fn update(caller: &Caller, app: &App, id: &str, body: &Map<String, Json>) -> Result<Arc<Collection>> {
    access::require(caller, Permission::CollectionsWrite)?;
    if app.schema.load().by_id(id).is_none() {
        super::reload(app).await?;
        app.schema.load().by_id(id).ok_or(Error::NotFound)?;
    }
    let sent = read(body)?;
    let now = crate::time::stamp(app.now_millis());
    let dialect = app.store.dialect();
    let wanted = id.to_owned();
    let schema = audit::write_within(caller, app, LONG_WRITE_BUDGET, move |tx, trail| {
        Box::pin(async move {
            let before = rows::load_locked(tx).await?.into_schema(dialect)?;
            let old = before.by_id(&wanted).map(|old| to_json(old)).unwrap_or_default();
            let event = Event::CollectionUpdated.on("collection", wanted.as_str());
            let schema = replace(tx, wanted.clone(), sent, now, dialect).await?;
            let new = schema.by_id(&wanted).map(|new| to_json(new)).unwrap_or_default();
            Ok::<_, Error>(trail.record(tx, event.change(old, new)).with(schema))
        })
    })
    .await?;
    adopted(app, &Arc::new(schema), id)
}

async fn replace(tx: &mut Tx<'_>, id: String, sent: Sent, now: String, dialect: Dialect) -> Result<Schema> {
    let stored = rows::load_locked(tx).await?;
    let mut definitions = stored.definitions;
    let before = Schema::new(stored.generation, definitions.clone(), dialect)?;
    let old = before.by_id(&id).ok_or(Error::NotFound)?;
    let renamed = renamed(old, &sent)?;
    let rules: Vec<RuleKind> = sent.rules.iter().map(|(kind, _)| *kind).collect();

    let definition = definitions.iter_mut().find(|definition| definition.id == id).ok_or(Error::NotFound)?;
    apply(definition, sent, &renamed, now)?;
    check_name(&before, old, &definition.name)?;
    check_fields(definition.kind, &definition.fields, &definition.options)?;
    let name = definition.name.clone();
    follow(&mut definitions, old, &name, &renamed);

    let after = Schema::new(stored.generation + 1, definitions, dialect)?;
    let new = after.by_id(&id).ok_or(Error::NotFound)?;
    let origins = Origins::new(old, new, &renamed);
    check_relations(&after, new)?;
    check_sealed(old, new, &origins)?;
    carry_out(tx, &Change { before: &before, old, after: &after, new, origins: &origins }, &rules).await?;
    Ok(after)
}

/// Makes a change that is sound in itself, unless rules, indexes, other collections or records stand in its way.
async fn carry_out(tx: &mut Tx<'_>, change: &Change<'_>, sent: &[RuleKind]) -> Result<()> {
    let Change { before, old, after, new, origins } = *change;
    let dialect = tx.dialect();
    readers::check(change, sent)?;
    check_rules(after, new.id())?;
    check_others(before, after, new.id()).map_err(|what| Error::field("schema", what))?;
    let converter = Converter::new(change, dialect)?;
    if old.name() != new.name() {
        check_named(tx, before, old).await?;
    }
    if old.definition().fields != new.definition().fields || old.definition().indexes != new.definition().indexes {
        rows::lock(tx, old).await?;
        obstacles::check(tx, change, &converter).await?;
    }
    let replaced = rows::replace(tx, old, new, origins, &|now, json| converter.convert(now, json)).await;
    replaced.map_err(|error| conflict(new, dialect, error))?;
    for other in after.collections().iter().filter(|other| other.id() != new.id()) {
        if let Some(was) = before.by_id(other.id())
            && was.definition() != other.definition()
        {
            rows::replace(tx, was, other, &Origins::new(was, other, &[]), &|_, _| None).await?;
        }
    }
    Ok(())
}

/// Refuses another name while records point into the collection by the one it has: what they hold is text, and stays as it is.
async fn check_named(tx: &mut Tx<'_>, before: &Schema, old: &Collection) -> Result<()> {
    if before.polymorphic().next().is_none() {
        return Ok(());
    }
    // Whoever is about to point at one of its records waits for us, or us for them.
    rows::lock(tx, old).await?;
    for reference in before.polymorphic() {
        if rows::points_into(tx, reference.collection, reference.field, old.name()).await? {
            let name = reference.collection.name();
            return Err(Error::field("name", format!("Records of `{name}` point at its records by this name")));
        }
    }
    Ok(())
}

/// Which fields have another name now: the name now, the name before.
fn renamed(old: &Collection, sent: &Sent) -> Result<Vec<(String, String)>> {
    let mut errors = FieldErrors::default();
    let mut renamed: Vec<(String, String)> = Vec::new();
    let fields = sent.fields.as_deref().unwrap_or_default();
    for (at, was) in &sent.renamed {
        let mut fault = |message: &str| errors.add(format!("schema.{at}.renamed_from"), message);
        let Some(now) = fields.get(*at).map(|field| field.name.clone()) else {
            continue;
        };
        match old.field(was) {
            None => fault("Unknown field"),
            Some(field) if field.system => fault("A system field keeps its name"),
            Some(_) if renamed.iter().any(|(_, other)| other == was) => fault("Must be unique"),
            // Nothing but a name that stays.
            Some(_) if now == *was => {}
            Some(_) => renamed.push((now, was.clone())),
        }
    }
    errors.into_result().map(|()| renamed)
}

/// What is sealed is bound to the name of its field, and is not opened for a change: a field stays encrypted or plain, and one that is
/// encrypted keeps name and type.
fn check_sealed(old: &Collection, new: &Collection, origins: &Origins) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (now, field) in new.fields().iter().enumerate() {
        let Some(before) = origins.of(now).map(|was| &old.fields()[was]) else { continue };
        let path = new.definition().fields.iter().position(|own| own.name == field.name).unwrap_or(now);
        if before.encrypted != field.encrypted {
            let message = "Is decided when a field is made: make another field";
            errors.add(format!("schema.{path}.encrypted"), message);
        } else if field.encrypted && (before.name != field.name || before.kind != field.kind) {
            let what = if before.name == field.name { "type" } else { "renamed_from" };
            errors.add(format!("schema.{path}.{what}"), "An encrypted field keeps its name and type");
        }
    }
    errors.into_result()
}

fn apply(definition: &mut Definition, sent: Sent, renamed: &[(String, String)], now: String) -> Result<()> {
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
    match sent.options {
        Some(options) => definition.options = options,
        None => {
            if let Some(Json::String(field)) = definition.options.get_mut("identity_field") {
                follow_name(field, renamed);
            }
        }
    }
    for member in definition.indexes.iter_mut().flat_map(|index| &mut index.fields) {
        follow_name(&mut member.name, renamed);
    }
    definition.version += 1;
    definition.updated = now;
    Ok(())
}

fn follow_name(name: &mut String, renamed: &[(String, String)]) -> bool {
    let found = renamed.iter().find(|(_, was)| was == name);
    if let Some((now, _)) = found {
        name.clone_from(now);
    }
    found.is_some()
}

fn check_name(before: &Schema, old: &Collection, name: &str) -> Result<()> {
    if old.definition().system && name != old.name() {
        return Err(Error::field("name", "A system collection keeps its name"));
    }
    if before.by_name(name).is_some_and(|other| other.id() != old.id()) {
        return Err(Error::AlreadyExists(format!("A collection named `{name}`")));
    }
    Ok(())
}

/// Relations that name the collection or show its fields go on doing so.
fn follow(definitions: &mut [Definition], old: &Collection, name: &str, renamed: &[(String, String)]) {
    for definition in definitions {
        let is_own = definition.id == old.id();
        let mut touched = false;
        for relation in definition.fields.iter_mut().filter_map(|field| field.relation.as_mut()) {
            let named = relation.collection.as_deref().is_some_and(|named| named.eq_ignore_ascii_case(old.name()));
            if named && old.name() != name {
                relation.collection = Some(name.to_owned());
                touched = true;
            }
            if !is_own && (named || relation.collection_id.as_deref() == Some(old.id())) {
                for shown in &mut relation.display_fields {
                    touched |= follow_name(shown, renamed);
                }
            }
        }
        if touched && !is_own {
            definition.version += 1;
        }
    }
}
