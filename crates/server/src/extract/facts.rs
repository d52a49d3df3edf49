//! What rules may read of a request, as an argument.

use axum::extract::FromRequestParts;
use fastcms_core::{
    access::{Context, RequestFacts, RequestParts},
    api_keys::{Action, Area, Need},
};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use url::form_urlencoded;

use super::Argument;
use crate::edge::Exchange;

/// Headers that rules never see: they carry credentials.
const WITHHELD: [&str; 6] =
    ["authorization", "cookie", "x-api-key", "x-setup-token", "x-file-token", "proxy-authorization"];

/// Method, headers and query of a request; looked into only when a rule names something.
#[derive(Debug, Clone)]
pub struct Facts(Box<Asked>);

/// On the heap: a handler's arguments are handed on again and again.
#[derive(Debug, Clone)]
struct Asked {
    method: Method,
    headers: HeaderMap,
    uri: Uri,
    need: Need,
}

impl Facts {
    /// The facts, as core takes them.
    pub fn request(&self) -> RequestFacts<'_> {
        RequestFacts { method: self.0.method.as_str(), context: Context::Default, parts: self, need: self.0.need }
    }
}

impl RequestParts for Facts {
    fn header(&self, name: &str) -> Option<String> {
        if WITHHELD.contains(&name) {
            return None;
        }
        let mut values = self.0.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).peekable();
        values.peek()?;
        Some(values.collect::<Vec<_>>().join(", "))
    }

    fn query(&self, name: &str) -> Option<String> {
        let pairs = form_urlencoded::parse(self.0.uri.query()?.as_bytes());
        pairs.filter(|(sent, _)| sent == name).last().map(|(_, value)| value.into_owned())
    }
}

impl Argument for Facts {}

impl<S: Sync> FromRequestParts<S> for Facts {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Who reads a body after this needs the headers too; without a body they can be taken, which is cheaper.
        let has_body = !matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE);
        let headers = if has_body { parts.headers.clone() } else { std::mem::take(&mut parts.headers) };
        let need = parts.extensions.get::<Exchange>().and_then(|exchange| exchange.need);
        let need = need.unwrap_or(Need::new(Area::Records, Action::Write));
        Ok(Self(Box::new(Asked { method: parts.method.clone(), headers, uri: parts.uri.clone(), need })))
    }
}
