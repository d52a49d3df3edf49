//! A collection as a document that makes the same collection elsewhere, on either engine.
//!
//! Hidden fields are part of the schema and never of a record: they do not leave the server, passwords among them.

use std::sync::Arc;

use fastcms_store::schema::{Collection, CollectionKind, RULE_KINDS, Schema, rule_key};
use fastcms_store::{Dialect, Plan, Reader, collections as rows, records};
use serde_json::{Map, Value as Json, json};

use crate::access::{self, Permission};
use crate::api_keys::Action;
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};

/// How often an export starts again when collections change under it.
const MAX_ATTEMPTS: usize = 5;

/// A document and the collection's name.
#[derive(Debug)]
pub struct Export {
    pub name: String,
    /// As JSON.
    pub document: Vec<u8>,
}

/// The collection as a document, with its records where they are wanted, all of one moment.
///
/// A document has at most `MAX_FILE_SIZE` bytes, which is what an import takes and what an export may hold in memory; a larger one is
/// refused.
pub async fn export(caller: &Caller, app: &App, id: &str, with_records: bool) -> Result<Export> {
    access::require(caller, Permission::CollectionsRead)?;
    if with_records {
        access::require(caller, Permission::RecordsRead)?;
        access::require_records(caller, Action::Read)?;
    }
    let limit = usize::try_from(app.config.limits.max_file_size).unwrap_or(usize::MAX);
    let dialect = app.store.dialect();
    for _ in 0..MAX_ATTEMPTS {
        let wanted = id.to_owned();
        let read = app
            .store
            .read(Plan::Scan, move |reader| Box::pin(read(reader, wanted, dialect, with_records.then_some(limit))));
        match read.await {
            Ok(Some(export)) if export.document.len() <= limit => {
                let event = Event::CollectionExported.on("collection", id).with("with_records", with_records);
                audit::record(caller, app, event).await?;
                return Ok(export);
            }
            Ok(Some(_)) | Err(Failure::TooLarge) => return Err(too_large(limit)),
            Ok(None) => return Err(Error::NotFound),
            Err(Failure::WrongType) => return Err(Error::WrongCollectionType),
            Err(Failure::Store(error)) if records::is_stale(&error) => {}
            Err(Failure::Store(error)) => return Err(error.into()),
        }
    }
    Err(Error::Overloaded { retry_after_seconds: 1 })
}

fn too_large(limit: usize) -> Error {
    Error::field("include_data", format!("The document would have more than {limit} bytes (MAX_FILE_SIZE)"))
}

enum Failure {
    TooLarge,
    WrongType,
    Store(fastcms_store::Error),
}

impl From<fastcms_store::Error> for Failure {
    fn from(error: fastcms_store::Error) -> Self {
        Self::Store(error)
    }
}

async fn read(
    reader: &mut Reader<'_>,
    id: String,
    dialect: Dialect,
    limit: Option<usize>,
) -> Result<Option<Export>, Failure> {
    let schema = rows::load(reader).await?.into_schema(dialect)?;
    let Some(collection) = schema.by_id(&id) else {
        return Ok(None);
    };
    let head = head(&schema, collection);
    let mut document = serde_json::to_vec(&head).map_err(|error| fastcms_store::Error::internal(error.to_string()))?;
    if let Some(limit) = limit {
        if collection.kind() == CollectionKind::View {
            return Err(Failure::WrongType);
        }
        let items = rows::export(reader, collection, limit).await?.ok_or(Failure::TooLarge)?;
        // The document is an object: its end makes room for one more member.
        document.truncate(document.len() - 1);
        document.extend_from_slice(b",\"records\":");
        document.extend_from_slice(&items);
        document.push(b'}');
    }
    Ok(Some(Export { name: collection.name().to_owned(), document }))
}

/// Everything but the records (contract 5.7), and `options` where there are any.
fn head(schema: &Schema, collection: &Arc<Collection>) -> Map<String, Json> {
    let definition = collection.definition();
    let mut document = Map::new();
    let mut put = |key: &str, value: Json| drop(document.insert(key.to_owned(), value));
    put("name", definition.name.as_str().into());
    put("type", definition.kind.name().into());
    put("schema", fields(schema, collection));
    if !definition.options.is_empty() {
        put("options", Json::Object(definition.options.clone()));
    }
    put(
        "rules",
        RULE_KINDS
            .map(|kind| (rule_key(kind).to_owned(), Json::from(definition.rules.get(kind))))
            .into_iter()
            .collect(),
    );
    let indexes = definition.indexes.iter().map(|index| {
        let fields = index.fields.iter().map(|member| json!({"name": member.name, "order": member.order.name()}));
        json!({"name": index.name, "fields": fields.collect::<Vec<_>>(), "unique": index.unique})
    });
    put("indexes", indexes.collect());
    put("system", definition.system.into());
    document
}

/// The fields, relations by the name of their collection: its id means nothing elsewhere.
fn fields(schema: &Schema, collection: &Collection) -> Json {
    let fields = collection.definition().fields.iter().map(|field| {
        let mut field = field.clone();
        let target = schema.target(&field).map(|target| target.name().to_owned());
        if let (Some(relation), Some(target)) = (field.relation.as_mut(), target) {
            relation.collection = Some(target);
            relation.collection_id = None;
        }
        serde_json::to_value(field).unwrap_or_default()
    });
    fields.collect()
}
