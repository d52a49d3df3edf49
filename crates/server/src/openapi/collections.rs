//! Records of the live collections, in the document: the generic record routes, once for each collection, with its fields.

use fastcms_store::schema::{CollectionKind, Field, FieldType, Schema};
use http::Method;
use serde_json::{Map, Value, json};

use super::{Entry, add};

/// The segment that the generic routes have in place of a collection's name; its name does not matter.
const RECORDS: &str = "/records";
const COLLECTIONS: &str = "/api/v1/collections/";

/// A collection, as far as the document shows it.
#[derive(Debug, Clone)]
pub struct CollectionShape {
    pub name: String,
    pub kind: CollectionKind,
    /// JSON Schema of each visible field, and whether a new record must have it.
    pub fields: Vec<(String, Value, bool)>,
}

/// All collections of a schema, in its order.
pub fn shapes(schema: &Schema) -> Vec<CollectionShape> {
    let shape = |collection: &std::sync::Arc<fastcms_store::schema::Collection>| CollectionShape {
        name: collection.name().to_owned(),
        kind: collection.kind(),
        fields: collection
            .visible()
            .iter()
            .map(|at| &collection.fields()[*at])
            .map(|field| (field.name.clone(), field_schema(field), field.validation.required))
            .collect(),
    };
    schema.collections().iter().map(shape).collect()
}

impl CollectionShape {
    /// Adds the routes and schemas of this collection's records.
    pub(super) fn add(&self, entries: &[Entry], paths: &mut Map<String, Value>, schemas: &mut Map<String, Value>) {
        let name = &self.name;
        let properties: Map<String, Value> =
            self.fields.iter().map(|(field, schema, _)| (field.clone(), schema.clone())).collect();
        schemas.insert(format!("{name}.data"), json!({"type": "object", "properties": properties}));
        schemas.insert(format!("{name}.record"), record_schema(name));
        schemas.insert(format!("{name}.list"), list_schema(name));
        for entry in entries {
            let Some((parameter, rest)) = generic(entry.path) else {
                continue;
            };
            let writes = entry.method != Method::GET;
            if self.kind == CollectionKind::View && (writes || !rest.is_empty()) {
                continue;
            }
            let mut operation = entry.describe();
            operation["operationId"] =
                format!("{}_{name}_records{}", entry.method.as_str().to_ascii_lowercase(), suffix(rest)).into();
            operation["tags"] = json!([name]);
            if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
                parameters.retain(|one| one["name"] != parameter);
            }
            self.name_bodies(&mut operation, &entry.method, rest);
            add(paths, &format!("{COLLECTIONS}{name}{RECORDS}{rest}"), &entry.method, operation);
        }
    }

    /// Puts the collection's own schemas in place of the generic ones.
    fn name_bodies(&self, operation: &mut Value, method: &Method, rest: &str) {
        let name = &self.name;
        let reference = |kind: &str| json!({"$ref": format!("#/components/schemas/{name}.{kind}")});
        if operation.get("requestBody").is_some() {
            let mut data = reference("data");
            if *method == Method::POST {
                let required: Vec<&str> =
                    self.fields.iter().filter(|(.., required)| *required).map(|(name, ..)| name.as_str()).collect();
                if !required.is_empty() {
                    data = json!({"allOf": [data, {"required": required}]});
                }
            }
            let schema = json!({"type": "object", "required": ["data"], "properties": {"data": data}});
            operation["requestBody"]["content"]["application/json"]["schema"] = schema;
        }
        let answer = if rest.is_empty() && *method == Method::GET { "list" } else { "record" };
        for status in ["200", "201"] {
            if let Some(schema) =
                operation.pointer_mut(&format!("/responses/{status}/content/application~1json/schema"))
            {
                *schema = reference(answer);
            }
        }
    }
}

/// The name of the collection's segment and what follows `/records`, for the routes of one record and of the list.
fn generic(path: &str) -> Option<(&str, &str)> {
    let (parameter, rest) = path.strip_prefix(COLLECTIONS)?.strip_prefix('{')?.split_once('}')?;
    let rest = rest.strip_prefix(RECORDS)?;
    let one = rest.strip_prefix("/{").is_some_and(|name| name.ends_with('}') && !name.contains('/'));
    (rest.is_empty() || one).then_some((parameter, rest))
}

fn suffix(rest: &str) -> &'static str {
    if rest.is_empty() { "" } else { "_by_id" }
}

fn record_schema(name: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "data": {"$ref": format!("#/components/schemas/{name}.data")},
            "created": {"type": "string", "format": "date-time"},
            "updated": {"type": "string", "format": "date-time"},
            "expand": {"type": ["object", "null"]},
        },
    })
}

fn list_schema(name: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{name}.record")}},
            "total": {"type": ["integer", "null"]},
            "page": {"type": "integer"},
            "per_page": {"type": "integer"},
            "total_pages": {"type": ["integer", "null"]},
        },
    })
}

/// JSON Schema of a field's values; `null` is the absent value of every field that is not required.
pub(super) fn field_schema(field: &Field) -> Value {
    let mut one = match field.kind {
        FieldType::Text | FieldType::Editor => json!({"type": "string"}),
        FieldType::Relation | FieldType::File => json!({"type": "string", "format": "uuid"}),
        FieldType::Number => json!({"type": "number"}),
        FieldType::Bool => json!({"type": "boolean"}),
        FieldType::Email => json!({"type": "string", "format": "email"}),
        FieldType::Url => json!({"type": "string", "format": "uri"}),
        FieldType::Date => json!({"type": "string", "format": "date"}),
        FieldType::Datetime | FieldType::Autodate => {
            json!({"type": "string", "format": "date-time"})
        }
        FieldType::Select => json!({"type": "string", "enum": field.choices()}),
        FieldType::Json => return json!({}),
        FieldType::Geopoint => json!({
            "type": "object",
            "properties": {"lat": {"type": "number"}, "lng": {"type": "number"}, "alt": {"type": ["number", "null"]}},
        }),
    };
    let rules = &field.validation;
    for (keyword, number) in [("minimum", &rules.min), ("maximum", &rules.max)] {
        if let (FieldType::Number, Some(number)) = (field.kind, number) {
            one[keyword] = number.clone().into();
        }
    }
    for (keyword, length) in [("minLength", rules.min_length), ("maxLength", rules.max_length)] {
        if let (true, Some(length)) = (field.kind.is_free_text(), length) {
            one[keyword] = length.into();
        }
    }
    let mut schema = if field.is_many() { json!({"type": "array", "items": one}) } else { one };
    if !field.validation.required {
        if schema.get("enum").is_some() {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        } else {
            schema["type"] = json!([schema["type"], "null"]);
        }
    }
    for (keyword, text) in [("title", &field.label), ("description", &field.hint)] {
        if let Some(text) = text {
            schema[keyword] = text.as_str().into();
        }
    }
    schema
}
