//! A collection as JSON, every key of contract 5.7 and 7.3 in it.

use fastcms_store::schema::{Collection, RULE_KINDS, rule_key};
use serde_json::{Map, Value as Json};

/// The collection as clients get it.
pub fn to_json(collection: &Collection) -> Json {
    let definition = collection.definition();
    let mut object = Map::new();
    let mut put = |key: &str, value: Json| drop(object.insert(key.to_owned(), value));
    put("name", definition.name.as_str().into());
    put("type", definition.kind.name().into());
    put("id", definition.id.as_str().into());
    put("schema", serde_json::to_value(&definition.fields).unwrap_or_default());
    put("options", Json::Object(definition.options.clone()));
    for kind in RULE_KINDS {
        put(rule_key(kind), definition.rules.get(kind).into());
    }
    put("view_query", definition.view_query.as_deref().into());
    put("system", definition.system.into());
    put("created", definition.created.as_str().into());
    put("updated", definition.updated.as_str().into());
    put("message", Json::Null);
    Json::Object(object)
}
