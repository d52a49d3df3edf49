//! A collection made from a document: what [`super::export`] wrote, or somebody else. Definition and records come in one transaction or
//! not at all; nobody is told of the records one by one.
//!
//! Records are held against their fields as on any other way in, with three differences: an id, if it is a UUID, and the times stay what
//! they are, autodates among them; a hidden field may be missing though it is required, since no export has it; and passwords are
//! refused, so that an imported account signs in after a reset.
//!
//! Relations and files are looked for where the document comes in: an id says nothing of another product's files.
//!
//! In memory stand the document, at most `MAX_FILE_SIZE` bytes, what it is parsed into, and the rows made of it.

mod pointers;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fastcms_expr::normalise_instant;
use fastcms_store::collections::{self as rows, NewRecord};
use fastcms_store::schema::{Collection, FieldType, Index, RULE_KINDS, Schema, rule_key};
use fastcms_store::{LONG_WRITE_BUDGET, Value, accounts};
use serde_json::{Map, Value as Json};

use super::change::{adopted, conflict, drafted, insert};
use super::definition::{Sent, read};
use super::indexes;
use crate::access::{self, Permission};
use crate::api_keys::Action;
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};
use crate::fields::{self, Cleaned, Draft, Mode};
use crate::sealing;

/// Faulty records that are described; those past it are counted.
const MAX_DESCRIBED: usize = 100;

/// Makes the collection of a document, with its records where they are wanted.
pub async fn import(
    caller: &Caller,
    app: &App,
    document: &Map<String, Json>,
    with_records: bool,
) -> Result<Arc<Collection>> {
    access::require(caller, Permission::CollectionsWrite)?;
    if with_records {
        access::require(caller, Permission::RecordsWrite)?;
        access::require_records(caller, Action::Write)?;
    }
    let now = crate::time::stamp(app.now_millis());
    let (sent, indexes) = read_definition(document, &now)?;
    let mut definition = drafted(app, sent)?;
    let mut errors = FieldErrors::default();
    for (at, index) in indexes.into_iter().enumerate() {
        match indexes::add(&mut definition, index) {
            Err(Error::AlreadyExists(_)) => {
                errors.add(format!("indexes.{at}.name"), "Must be unique");
            }
            added => added?,
        }
    }
    errors.into_result()?;
    let (id, dialect) = (definition.id.clone(), app.store.dialect());
    // Outside the transaction: what the records look like depends on nothing that is stored.
    let alone = Schema::new(0, vec![definition.clone()], dialect)?;
    let collection = Arc::clone(alone.by_id(&id).ok_or(Error::NotFound)?);
    check_indexes(&collection)?;
    let checked = match document.get("records") {
        Some(Json::Array(records)) if with_records => Reading::new(app, &collection, now).read(records)?,
        None | Some(Json::Null | Json::Array(_)) => Vec::new(),
        Some(_) => return Err(Error::field("records", "Must be an array")),
    };
    let reach = access::usable_files(caller);
    let schema = audit::write_within(caller, app, LONG_WRITE_BUDGET, move |tx, trail| {
        Box::pin(async move {
            let event = Event::CollectionImported.on("collection", id.as_str()).with("name", definition.name.as_str());
            let schema = insert(tx, definition, dialect).await?;
            let collection = schema.by_id(&id).ok_or(Error::NotFound)?;
            pointers::check(tx, &schema, collection, &checked, &reach).await?;
            let records: Vec<NewRecord> = checked.into_iter().map(|checked| checked.record).collect();
            rows::import(tx, collection, &records).await.map_err(|error| conflict(collection, dialect, error))?;
            let recorded = trail.record(tx, event.with("records", records.len()));
            Ok::<_, Error>(recorded.with((schema, id)))
        })
    })
    .await;
    let (schema, id) = schema?;
    adopted(app, &schema, &id)
}

/// The definition of a document and its indexes, every fault found at once.
fn read_definition(document: &Map<String, Json>, now: &str) -> Result<(Sent, Vec<Index>)> {
    let mut errors = FieldErrors::default();
    let mut body = Map::new();
    let mut indexes = Vec::new();
    for (key, value) in document {
        match (key.as_str(), value) {
            ("name" | "type" | "schema" | "options" | "view_query", _) => {
                body.insert(key.clone(), value.clone());
            }
            ("rules" | "indexes", Json::Null) | ("records", _) | ("system", Json::Bool(_) | Json::Null) => {}
            ("rules", Json::Object(rules)) => {
                for (key, rule) in rules {
                    if RULE_KINDS.iter().any(|kind| rule_key(*kind) == key) {
                        body.insert(key.clone(), rule.clone());
                    } else {
                        errors.add(format!("rules.{key}"), "Unknown field");
                    }
                }
            }
            ("indexes", Json::Array(sent)) => indexes = read_indexes(sent, now, &mut errors),
            ("rules", _) => errors.add("rules", "Must be an object"),
            ("indexes", _) => errors.add("indexes", "Must be an array"),
            ("system", _) => errors.add("system", "Must be a boolean"),
            _ => errors.add(key.as_str(), "Unknown field"),
        }
    }
    let sent = match read(&body) {
        Ok(sent) => sent,
        Err(Error::Validation(faults)) => {
            faults.iter().for_each(|(field, message)| errors.add(field, message));
            Sent::default()
        }
        Err(error) => return Err(error),
    };
    if document.get("name").is_none_or(Json::is_null) {
        errors.add("name", "This field is required");
    }
    errors.into_result().map(|()| (sent, indexes))
}

fn read_indexes(sent: &[Json], now: &str, errors: &mut FieldErrors) -> Vec<Index> {
    let mut indexes = Vec::with_capacity(sent.len());
    for (at, json) in sent.iter().enumerate() {
        let Json::Object(object) = json else {
            errors.add(format!("indexes.{at}"), "Must be an object");
            continue;
        };
        let mut object = object.clone();
        object.shift_remove("created");
        let mut faults = FieldErrors::default();
        indexes.extend(indexes::read(&object, now, &mut faults));
        errors.nest(&format!("indexes.{at}"), faults);
    }
    indexes
}

fn check_indexes(collection: &Collection) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (at, index) in collection.definition().indexes.iter().enumerate() {
        let mut faults = FieldErrors::default();
        indexes::check(collection, index, &mut faults);
        errors.nest(&format!("indexes.{at}"), faults);
    }
    errors.into_result()
}

/// A record that is right as far as it goes.
struct Checked {
    record: NewRecord,
    /// Ids of the records that it points at, by the position of their field.
    related: Vec<(usize, Vec<String>)>,
    /// The same of files.
    files: Vec<(usize, Vec<String>)>,
}

/// Reads the records of one document.
struct Reading<'a> {
    app: &'a App,
    collection: &'a Collection,
    now: String,
    ids: HashSet<String>,
    /// Values that must not come twice, by the unique field or index they belong to.
    taken: HashMap<(usize, String), usize>,
    errors: FieldErrors,
    faulty: usize,
}

impl<'a> Reading<'a> {
    fn new(app: &'a App, collection: &'a Collection, now: String) -> Self {
        let (ids, taken, errors) = (HashSet::new(), HashMap::new(), FieldErrors::default());
        Self { app, collection, now, ids, taken, errors, faulty: 0 }
    }

    fn read(mut self, records: &[Json]) -> Result<Vec<Checked>> {
        let mut checked = Vec::with_capacity(records.len());
        for (at, json) in records.iter().enumerate() {
            let mut faults = FieldErrors::default();
            if let Some(record) = self.record(at, json, &mut faults)
                && faults.is_empty()
            {
                checked.push(record);
            }
            if !faults.is_empty() {
                self.faulty += 1;
                if self.faulty <= MAX_DESCRIBED {
                    self.errors.nest(&format!("records.{at}"), faults);
                }
            }
        }
        if self.faulty > MAX_DESCRIBED {
            self.errors
                .add("records", format!("{} records are not valid; the first {MAX_DESCRIBED} are named", self.faulty));
        }
        self.errors.into_result().map(|()| checked)
    }

    fn record(&mut self, at: usize, json: &Json, faults: &mut FieldErrors) -> Option<Checked> {
        let Json::Object(object) = json else {
            faults.add("data", "Must be an object with data");
            return None;
        };
        // `expand` is what a list of records has besides.
        for key in object.keys().filter(|key| !matches!(key.as_str(), "id" | "data" | "created" | "updated" | "expand"))
        {
            faults.add(key.as_str(), "Unknown field");
        }
        let id = match object.get("id") {
            None | Some(Json::Null) => self.app.new_id(),
            Some(Json::String(id)) if fields::is_id(id) => id.clone(),
            Some(_) => {
                faults.add("id", "Must be a UUID");
                return None;
            }
        };
        if !self.ids.insert(id.clone()) {
            faults.add("id", "Must be unique");
        }
        let created = self.instant(object, "created", faults);
        let updated = self.instant(object, "updated", faults);
        let Some(Json::Object(data)) = object.get("data") else {
            faults.add("data", "Must be an object");
            return None;
        };
        let mut of_data = FieldErrors::default();
        let read = self.values(data, &mut of_data);
        faults.nest("data", of_data);
        let (values, draft) = read?;
        let mut values = values;
        for (at, value) in values.iter_mut().enumerate() {
            if let Err(error) = sealing::seal_value(self.app, self.collection, &id, at, value) {
                faults.add("data", error.to_string());
            }
        }
        let record = NewRecord { id, created, updated, values };
        self.check_unique(at, &record, faults);
        Some(Checked { record, related: draft.related, files: draft.files })
    }

    fn instant(&self, object: &Map<String, Json>, key: &str, faults: &mut FieldErrors) -> String {
        match object.get(key) {
            None | Some(Json::Null) => Some(self.now.clone()),
            Some(Json::String(text)) => normalise_instant(text),
            Some(_) => None,
        }
        .unwrap_or_else(|| {
            faults.add(key, "Invalid date format");
            String::new()
        })
    }

    /// A value for each field, and what else the draft says of them.
    fn values(&self, data: &Map<String, Json>, faults: &mut FieldErrors) -> Option<(Vec<Value>, Draft)> {
        let fields = self.collection.fields();
        let mut values = vec![Value::Null; fields.len()];
        for (at, field) in fields.iter().enumerate() {
            let sent = data.get(&field.name).filter(|value| !value.is_null());
            if field.kind == FieldType::Autodate {
                let is_automatic =
                    sent.is_none() && !data.contains_key(&field.name) && field.autodate.unwrap_or_default().on_create;
                if sent.is_some() || is_automatic {
                    values[at] = self.instant(data, &field.name, faults).into();
                }
            } else if field.system && field.kind == FieldType::Bool {
                values[at] = Value::Bool(false);
            } else if field.validation.required && !field.hidden && !field.encrypted && !data.contains_key(&field.name)
            {
                faults.add(field.name.as_str(), "This field is required");
            }
            if self.collection.is_password(at) && sent.is_some() {
                faults.add(field.name.as_str(), "Passwords are not imported");
            }
        }
        if data.is_empty() {
            return Some((values, Draft::default()));
        }
        // As in a change, where what is missing is no fault; what may be missing here was looked at above.
        let cleaned = Cleaned::now(self.collection, data, self.app.longest_value());
        let mut draft = match fields::check(self.collection, &cleaned, Mode::Update) {
            Ok(draft) => draft,
            Err(Error::Validation(more)) => {
                more.iter().for_each(|(field, message)| faults.add(field, message));
                return None;
            }
            Err(_) => return None,
        };
        for (at, _) in &draft.increments {
            faults.add(fields[*at].name.as_str(), "Must be a value");
        }
        for (at, value) in draft.sets.drain(..) {
            values[at] = value;
        }
        Some((values, draft))
    }

    fn check_unique(&mut self, at: usize, record: &NewRecord, faults: &mut FieldErrors) {
        let collection = self.collection;
        for (field, definition) in collection.fields().iter().enumerate().filter(|(_, field)| field.validation.unique) {
            let key = match &record.values[field] {
                Value::Text(email) if collection.is_account_email(field) => accounts::fold_email(email),
                value => key(value).unwrap_or_default(),
            };
            if !record.values[field].is_null() && self.taken.insert((field, key), at).is_some() {
                faults.add(format!("data.{}", definition.name), "Must be unique");
            }
        }
        for (number, index) in collection.definition().indexes.iter().enumerate().filter(|(_, index)| index.unique) {
            let member = |name: &str| match name {
                "id" => Some(record.id.clone()),
                "created" => Some(record.created.clone()),
                "updated" => Some(record.updated.clone()),
                name => key(&record.values[collection.position(name)?]),
            };
            let members: Option<Vec<String>> = index.fields.iter().map(|field| member(&field.name)).collect();
            // A record without a value in one of the members is free.
            let Some(members) = members else { continue };
            let key = Json::from(members).to_string();
            if self.taken.insert((collection.fields().len() + number, key), at).is_some() {
                faults.add("data", format!("Must be unique in the index `{}`", index.name));
            }
        }
    }
}

/// A value as something to compare; `None` for null.
fn key(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Static(text) => Some((*text).to_owned()),
        // Zero is zero, whatever its sign.
        Value::Real(number) => Some((number + 0.0).to_bits().to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Null | Value::Bytes(_) => None,
    }
}
