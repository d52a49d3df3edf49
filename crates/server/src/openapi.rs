//! The OpenAPI 3.1 document: written from the table of routes that is served and the collections as they stand.
//!
//! [`Catalogue`] is what remains of the table for describing it; [`document`] adds the records of the live collections by copying
//! the generic record routes, so nothing is described that is not served.

mod collections;
mod yaml;

use http::Method;
use serde_json::{Map, Value, json};

pub use collections::{CollectionShape, shapes};
pub use yaml::to_yaml;

use crate::{
    api::operation::{Docs, Operation},
    extract::Audience,
};

/// Version of the specification.
const OPENAPI: &str = "3.1.0";

/// What the document says of the cookie (contract 2.6).
const SESSION: &str = "Set by a sign-in with `cookie: true`. Counts only where no header carries a credential. Unsafe methods \
    want `Sec-Fetch-Site: same-origin` or `none`, or, where that header is absent, an `Origin` equal to the server's own; \
    otherwise 403 `csrf`.";

/// What the document says about the installation.
#[derive(Debug, Clone)]
pub struct Info<'a> {
    pub title: &'a str,
    pub version: &'a str,
    /// `BASE_URL`.
    pub server: &'a str,
    /// Name of the cookie that holds a browser's session.
    pub cookie: &'a str,
}

/// The described routes, free of their handlers.
#[derive(Debug, Clone)]
pub struct Catalogue(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    method: Method,
    path: &'static str,
    docs: Docs,
}

impl Catalogue {
    /// All routes but the hidden ones.
    pub fn of<S>(operations: &[Operation<S>]) -> Self {
        let described = operations.iter().filter(|operation| !operation.docs.hidden);
        Self(
            described
                .map(|operation| Entry {
                    method: operation.method.clone(),
                    path: operation.path,
                    docs: operation.docs.clone(),
                })
                .collect(),
        )
    }
}

/// A reference to the error body of contract 3.
pub(crate) fn error_reference() -> Value {
    json!({"$ref": "#/components/schemas/Error"})
}

/// The whole document.
pub fn document(info: &Info<'_>, catalogue: &Catalogue, collections: &[CollectionShape]) -> Value {
    let mut paths = Map::new();
    for entry in &catalogue.0 {
        add(&mut paths, entry.path, &entry.method, entry.describe());
    }
    let mut schemas = Map::from_iter([("Error".to_owned(), error_schema())]);
    for collection in collections {
        collection.add(&catalogue.0, &mut paths, &mut schemas);
    }
    json!({
        "openapi": OPENAPI,
        "info": {"title": info.title, "version": info.version},
        "servers": [{"url": info.server}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "session": {"type": "apiKey", "in": "cookie", "name": info.cookie, "description": SESSION},
            },
        },
    })
}

fn add(paths: &mut Map<String, Value>, path: &str, method: &Method, operation: Value) {
    let place = paths.entry(path).or_insert_with(|| json!({}));
    place[method.as_str().to_ascii_lowercase()] = operation;
}

impl Entry {
    fn describe(&self) -> Value {
        let mut operation = Map::new();
        operation.insert("operationId".into(), self.id().into());
        operation.insert("tags".into(), json!([self.tag()]));
        operation.insert("summary".into(), self.docs.summary.into());
        operation.insert("security".into(), self.security());
        let parameters = self.parameters();
        if !parameters.is_empty() {
            operation.insert("parameters".into(), parameters.into());
        }
        if let Some(schema) = &self.docs.body {
            let content = json!({"application/json": {"schema": schema}});
            operation.insert("requestBody".into(), json!({"required": true, "content": content}));
        } else if let Some(schema) = &self.docs.form {
            let content = json!({"multipart/form-data": {"schema": schema}});
            operation.insert("requestBody".into(), json!({"required": true, "content": content}));
        }
        operation.insert("responses".into(), self.responses());
        operation.into()
    }

    /// Made from method and path, so that it is unique and stays: `get_collections_by_id`.
    fn id(&self) -> String {
        let mut id = self.method.as_str().to_ascii_lowercase();
        if !self.path.starts_with("/api/v1/") {
            id.push_str("_root");
        }
        for segment in self.short_path().split('/').filter(|segment| !segment.is_empty()) {
            id.push('_');
            match segment.strip_prefix('{') {
                Some(name) => id.extend(["by_", name.trim_end_matches('}')]),
                None => id.extend(segment.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })),
            }
        }
        id
    }

    fn short_path(&self) -> &'static str {
        self.path.strip_prefix("/api/v1").unwrap_or(self.path)
    }

    fn tag(&self) -> &'static str {
        if !self.docs.tag.is_empty() {
            return self.docs.tag;
        }
        self.short_path().split('/').find(|segment| !segment.is_empty()).unwrap_or("root")
    }

    fn security(&self) -> Value {
        match self.docs.audience {
            Audience::Anyone => json!([{}, {"bearer": []}, {"api_key": []}, {"session": []}]),
            Audience::InPerson => json!([{"bearer": []}, {"session": []}]),
            Audience::SignedIn | Audience::UsersAccount | Audience::Admin if self.docs.recent => {
                json!([{"bearer": []}, {"session": []}])
            }
            Audience::SignedIn | Audience::UsersAccount | Audience::Admin => {
                json!([{"bearer": []}, {"api_key": []}, {"session": []}])
            }
        }
    }

    fn parameters(&self) -> Vec<Value> {
        let in_path = self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let in_path =
            in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let in_query = self.docs.query.iter().map(
            |(name, schema, required)| json!({"name": name, "in": "query", "required": required, "schema": schema}),
        );
        in_path.chain(in_query).collect()
    }

    fn responses(&self) -> Value {
        let mut responses = Map::new();
        let mut refusal = |status: u16, text: &str| {
            let content = json!({"application/json": {"schema": error_reference()}});
            responses.insert(status.to_string(), json!({"description": text, "content": content}));
        };
        match self.docs.audience {
            Audience::Anyone => {}
            Audience::SignedIn | Audience::UsersAccount | Audience::InPerson => {
                refusal(401, "`authentication_required`, `invalid_token`");
            }
            Audience::Admin => {
                refusal(401, "`authentication_required`, `invalid_token`");
                refusal(403, "`forbidden`");
            }
        }
        if self.docs.recent {
            refusal(403, "`forbidden`, `insufficient_user_authentication`");
        }
        for answer in &self.docs.answers {
            let mut response = json!({"description": answer.text});
            if let Some((media_type, schema)) = &answer.body {
                response["content"] = json!({*media_type: {"schema": schema}});
            }
            responses.insert(answer.status.to_string(), response);
        }
        let content = json!({"application/json": {"schema": error_reference()}});
        if !self.method.is_safe() {
            let refused =
                responses.entry("403").or_insert_with(|| json!({"description": "", "content": content.clone()}));
            let told = refused["description"].as_str().unwrap_or_default();
            let told = if told.is_empty() { "`csrf`".to_owned() } else { format!("{told}, `csrf`") };
            refused["description"] = told.into();
        }
        responses.insert("default".into(), json!({"description": "Any other refusal or failure", "content": content}));
        responses.sort_keys();
        responses.into()
    }
}

/// The body of every error (contract 3).
fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error", "message", "details", "request_id"],
        "properties": {
            "error": {"type": "string", "description": "Stable code"},
            "message": {"type": "string", "description": "For people"},
            "details": {"type": "object", "description": "What is wrong, by field or parameter"},
            "request_id": {"type": "string", "description": "`X-Request-ID` of the response"},
        },
    })
}

#[cfg(test)]
mod tests;
