//! What a rule may read of the request itself. Headers and query parameters are looked up when a rule names them: nothing is
//! collected per request.

use fastcms_expr::{Auth, Context, Input, Request, Value};
use fastcms_store::schema::Schema;
use serde_json::{Map, Value as Json};

use crate::api_keys::{Action, Area, Need};
use crate::caller::{Caller, Realm};

/// The parts of a request that are found by name. Implemented by whoever holds the request.
pub trait RequestParts: Send + Sync {
    /// A header. The name comes in lower case with `-` for `_`; several values are joined by ", ".
    fn header(&self, name: &str) -> Option<String>;
    /// A query parameter, decoded; the last one if it is repeated.
    fn query(&self, name: &str) -> Option<String>;
}

/// No headers, no query: the command line, background work.
#[derive(Debug, Clone, Copy)]
pub struct NoParts;

impl RequestParts for NoParts {
    fn header(&self, _: &str) -> Option<String> {
        None
    }

    fn query(&self, _: &str) -> Option<String> {
        None
    }
}

/// What rules may read of the request besides the caller and the data sent.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Upper case, as sent.
    pub method: &'a str,
    pub context: Context,
    pub parts: &'a dyn RequestParts,
    /// What of the scopes of an API key the operation needs.
    pub need: Need,
}

impl RequestFacts<'static> {
    /// The facts of work that no request stands behind.
    pub fn internal() -> Self {
        Self { method: "", context: Context::Default, parts: &NoParts, need: Need::new(Area::Records, Action::Write) }
    }
}

impl RequestFacts<'_> {
    /// The same request seen through another door.
    pub fn within(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The same request where it only looks at something.
    pub fn reading(self) -> Self {
        Self { need: Need { action: Action::Read, ..self.need }, ..self }
    }
}

/// All that a rule is bound to: the caller, the request, the data sent.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub caller: &'a Caller,
    pub request: RequestFacts<'a>,
    pub schema: &'a Schema,
    pub data: Option<&'a Map<String, Json>>,
}

impl Request for Facts<'_> {
    fn auth(&self) -> Option<Auth<'_>> {
        let account = self.caller.account()?;
        let collection = match &account.realm {
            Realm::Users => "users",
            Realm::Collection(id) => self.schema.by_id(id)?.name(),
        };
        Some(Auth {
            id: &account.id,
            role: account.role.as_deref(),
            verified: account.verified,
            email: &account.email,
            collection,
        })
    }

    fn method(&self) -> &str {
        self.request.method
    }

    fn context(&self) -> Context {
        self.request.context
    }

    fn header(&self, name: &str) -> Option<String> {
        self.request.parts.header(name)
    }

    fn query(&self, name: &str) -> Option<String> {
        self.request.parts.query(name)
    }

    fn data(&self, path: &[String]) -> Option<Input> {
        let (first, rest) = path.split_first()?;
        let mut json = self.data?.get(first)?;
        for key in rest {
            json = json.as_object()?.get(key)?;
        }
        Some(input(json))
    }
}

fn input(json: &Json) -> Input {
    match json {
        Json::Array(items) => items.iter().map(value).collect::<Option<Vec<_>>>().map_or(Input::Opaque, Input::List),
        single => value(single).map_or(Input::Opaque, Input::Value),
    }
}

fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Null),
        Json::Bool(flag) => Some(Value::Bool(*flag)),
        Json::Number(number) => number.as_f64().map(Value::Number),
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Array(_) | Json::Object(_) => None,
    }
}
