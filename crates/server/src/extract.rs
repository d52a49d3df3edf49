//! What handlers take: who calls, path and query parameters, JSON bodies.
//!
//! Every extractor describes itself ([`Argument`]), so that a route's documentation is its signature. Extractors refuse with a
//! [`Refusal`](crate::error::Refusal), never with a response of their own.

mod caller;
mod facts;
pub mod field;
mod form;
mod json;
mod multipart;
mod path;
mod query;
mod session_cookie;

pub use caller::{Admin, Anyone, Audience, CallerArgument, Client, InPerson, Recent, SignedIn, UsersAccount};
pub use facts::Facts;
pub use field::{Field, Patch, Place, Within};
pub use form::{Form, parts as form_parts};
pub use json::{Json, JsonBytes, NoContent};
pub use multipart::{Multipart, Part};
pub(crate) use path::MAX_SEGMENTS;
pub use path::{Id, Params, Path, PathSegment};
pub use query::{Parameter, Query, QueryForm, QueryPairs, parts as query_parts};
pub use session_cookie::SessionCookie;

use crate::api::operation::Docs;

/// An argument of a handler.
pub trait Argument {
    /// Adds to the documentation of the route what this argument says about it.
    fn describe(docs: &mut Docs) {
        let _ = docs;
    }
}

impl<S> Argument for axum::extract::State<S> {}
impl Argument for http::HeaderMap {}
impl Argument for http::Method {}
impl Argument for axum::extract::Request {}
