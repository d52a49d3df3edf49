//! What a rule may know about the request.

use crate::Value;

/// The identity of the caller, as `@request.auth.` sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Id of the account.
    pub id: &'a str,
    /// Role of the account, if it has one.
    pub role: Option<&'a str>,
    /// The stored flag.
    pub verified: bool,
    /// E-mail address of the account.
    pub email: &'a str,
    /// "users" or the name of the auth collection.
    pub collection: &'a str,
}

/// Through which door the rule is evaluated (`@request.context`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A plain request.
    Default,
    /// A login through a provider.
    OAuth2,
    /// An event on its way to a subscriber.
    Realtime,
    /// A related record being expanded.
    Expand,
    /// One operation of a batch.
    Batch,
    /// A protected file.
    ProtectedFile,
}

impl Context {
    /// The text `@request.context` compares with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::OAuth2 => "oauth2",
            Self::Realtime => "realtime",
            Self::Expand => "expand",
            Self::Batch => "batch",
            Self::ProtectedFile => "protectedFile",
        }
    }
}

/// A value of the request's data.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// null, true, false, a number or text.
    Value(Value),
    /// A list of such values.
    List(Vec<Value>),
    /// An object, or a list that holds one or another list: it can be present, but not compared.
    Opaque,
}

/// The request a rule is bound to.
pub trait Request {
    /// Who calls; none when anonymous. Then `id`, `email` and `collection` are '', `role` is null and `verified`
    /// is false.
    fn auth(&self) -> Option<Auth<'_>>;
    /// The HTTP method in capitals.
    fn method(&self) -> &str;
    /// The door.
    fn context(&self) -> Context;
    /// A header. The name comes in lower case with `-` for `_`; several values are joined by ", ".
    fn header(&self, name: &str) -> Option<String>;
    /// A query parameter, decoded; the last one if it is repeated.
    fn query(&self, name: &str) -> Option<String>;
    /// A value of the body's `data`, by object keys only; none if a key is absent. Keys are never empty.
    fn data(&self, path: &[String]) -> Option<Input>;
}

/// No request: what filters are bound to, since they cannot name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRequest;

impl Request for NoRequest {
    fn auth(&self) -> Option<Auth<'_>> {
        None
    }

    fn method(&self) -> &'static str {
        "GET"
    }

    fn context(&self) -> Context {
        Context::Default
    }

    fn header(&self, _name: &str) -> Option<String> {
        None
    }

    fn query(&self, _name: &str) -> Option<String> {
        None
    }

    fn data(&self, _path: &[String]) -> Option<Input> {
        None
    }
}
