//! One route of the HTTP API: what it is called, what runs, and what its signature says about it.
//!
//! Everything that can be derived from a handler's argument types is: who may call, path and query parameters, the body. The
//! builder adds what types cannot say (a summary, the answers). Routing, `Allow`, the check for unknown parameters and the
//! OpenAPI document all read this one description, so a route cannot be served undocumented or documented unserved.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{extract::Request, handler::Handler, response::Response};
use fastcms_core::{
    App, Caller, Error,
    access::{self, Permission},
    api_keys::{Action, Area, Need},
};
use fastcms_guard::limits::Class;
use http::Method;
use serde_json::{Value, json};

mod permission;
mod scope;

pub use scope::Scope;

use crate::edge::class_of;
use crate::extract::{Argument, Audience, CallerArgument, Params};

/// The future of a handler, as axum makes it for every `async fn`.
pub(crate) type Running = Pin<Box<dyn Future<Output = Response> + Send>>;
type Run<S> = Box<dyn Fn(Request, S) -> Running + Send + Sync>;
/// Whether a query name that the signature does not list is known to this request after all.
type KnownName<S> = fn(&S, &Params<'_>, &str) -> bool;

/// How large a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLimit {
    /// `MAX_BODY_SIZE`.
    Usual,
    /// `MAX_FILE_SIZE`: uploads and imports.
    File,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// 30 s.
    Usual,
    /// 600 s: backups, imports, reindex.
    Long,
    /// For ever: a connection that changes its protocol.
    Endless,
}

/// What is documented of an operation.
#[derive(Debug, Clone, Default)]
pub struct Docs {
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) audience: Audience,
    /// The sign-in must be recent.
    pub(crate) recent: bool,
    /// What opens a route of admins to others.
    pub(crate) permission: Option<Permission>,
    /// Query parameters: name, schema, required.
    pub(crate) query: Vec<(&'static str, Value, bool)>,
    /// Schema of the JSON body.
    pub(crate) body: Option<Value>,
    /// Schema of the multipart body.
    pub(crate) form: Option<Value>,
    pub(crate) answers: Vec<Documented>,
    /// Kept out of the document: pages for people, and the document itself.
    pub(crate) hidden: bool,
}

/// One documented answer.
#[derive(Debug, Clone)]
pub struct Documented {
    pub(crate) status: u16,
    pub(crate) text: &'static str,
    /// Media type and schema of the body; `None` when there is none.
    pub(crate) body: Option<(&'static str, Value)>,
}

/// A route: method, path, handler and description. Made by [`get`], [`post`], [`patch`], [`put`] and [`delete`].
#[expect(clippy::struct_excessive_bools, reason = "independent marks of a route")]
pub struct Operation<S = Arc<App>> {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) run: Run<S>,
    pub(crate) docs: Docs,
    /// What a request is counted as by the rate limit; `None`: it is not limited.
    pub(crate) class: Option<Class>,
    pub(crate) body_limit: BodyLimit,
    pub(crate) patience: Patience,
    pub(crate) any_query: bool,
    pub(crate) known_name: Option<KnownName<S>>,
    pub(crate) file_token: bool,
    pub(crate) before_password_change: bool,
    pub(crate) before_enrolment: bool,
    pub(crate) scope: Scope,
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("A route for `", stringify!($method), "`. The path is the whole path, with `{name}` for a segment.")]
        pub fn $name<S, H, T>(path: &'static str, handler: H) -> Operation<S>
        where
            S: Clone + Send + Sync + 'static,
            H: Handler<T, S, Future = Running> + Sync,
            T: Signature,
        {
            Operation::new(Method::$method, path, handler)
        }
    )*};
}
methods!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

impl<S> Operation<S> {
    /// The route without its schemas: whoever serves it needs the names of query parameters alone.
    pub(crate) fn undescribed(mut self) -> Self {
        let Docs { query, body, form, answers, .. } = &mut self.docs;
        for (_, schema, _) in query {
            *schema = Value::Null;
        }
        (*body, *form, *answers) = (None, None, Vec::new());
        self
    }
}

impl<S: Clone + Send + Sync + 'static> Operation<S> {
    fn new<H, T>(method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, S, Future = Running> + Sync,
        T: Signature,
    {
        let mut docs = Docs { audience: T::audience(), recent: T::recent(), ..Docs::default() };
        T::describe(&mut docs);
        let scope = Scope::of(&method, path, docs.audience);
        docs.permission = permission::of(&method, path, docs.audience);
        Self {
            class: class_of(&method, path),
            method,
            path,
            run: Box::new(move |request, state| handler.clone().call(request, state)),
            docs,
            body_limit: BodyLimit::Usual,
            patience: Patience::Usual,
            any_query: false,
            known_name: None,
            file_token: false,
            before_password_change: false,
            before_enrolment: false,
            scope,
        }
    }

    /// The method it answers.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The whole path, with `{name}` for a segment.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// Whether the route is one of admins.
    pub fn is_for_admins(&self) -> bool {
        self.docs.audience == Audience::Admin
    }

    /// What opens a route of admins to others; `None`: nothing does.
    pub const fn permission(&self) -> Option<Permission> {
        self.docs.permission
    }

    /// One line that says what the route does; no full stop.
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.docs.summary = summary;
        self
    }

    /// A success with a JSON body of this schema.
    pub fn answers(mut self, status: u16, text: &'static str, schema: Value) -> Self {
        self.docs.answers.push(Documented { status, text, body: Some(("application/json", schema)) });
        self
    }

    /// An answer with a body that is not JSON.
    pub fn answers_as(mut self, status: u16, text: &'static str, media_type: &'static str) -> Self {
        self.docs.answers.push(Documented { status, text, body: Some((media_type, json!({"type": "string"}))) });
        self
    }

    /// An answer without body.
    pub fn answers_empty(mut self, status: u16, text: &'static str) -> Self {
        self.docs.answers.push(Documented { status, text, body: None });
        self
    }

    /// An error answer (body of contract 3) and the codes it may carry.
    pub fn refuses(mut self, status: u16, codes: &'static str) -> Self {
        self.docs.answers.push(Documented {
            status,
            text: codes,
            body: Some(("application/json", crate::openapi::error_reference())),
        });
        self
    }

    /// The parts of a multipart body, as a schema.
    pub fn form(mut self, schema: Value) -> Self {
        self.docs.form = Some(schema);
        self
    }

    /// The body may be as large as `MAX_FILE_SIZE`.
    pub fn file_sized(mut self) -> Self {
        self.body_limit = BodyLimit::File;
        self
    }

    /// May take 600 s.
    pub fn long(mut self) -> Self {
        self.patience = Patience::Long;
        self
    }

    /// May take for ever (a WebSocket).
    pub fn endless(mut self) -> Self {
        self.patience = Patience::Endless;
        self
    }

    /// Unknown query parameters are ignored instead of refused.
    pub fn any_query(mut self) -> Self {
        self.any_query = true;
        self
    }

    /// Asked about query names that the signature does not list, such as those that a collection's rules read. Must be quick and
    /// must not wait: it runs before the handler, on the worker.
    pub fn known_name(mut self, known: KnownName<S>) -> Self {
        self.known_name = Some(known);
        self
    }

    /// `token` in the query is the file token of this route, not a credential in a URL.
    pub fn takes_file_token(mut self) -> Self {
        self.file_token = true;
        self
    }

    /// Asks for another scope of an API key than method and path suggest.
    pub fn scope(mut self, area: Area, action: Action) -> Self {
        self.scope = Scope::Of(Need::new(area, action));
        self
    }

    /// Whether an API key may come this far: not where a person is wanted, and only within its scopes.
    pub(crate) fn admit_key(&self, caller: &Caller) -> Result<(), Error> {
        if caller.api_key().is_none() || self.scope == Scope::Free {
            return Ok(());
        }
        if self.docs.recent || self.docs.audience == Audience::InPerson {
            return Err(Error::Forbidden);
        }
        access::require_scope(caller, self.scope.need())
    }

    /// Open to an account that has to change its password first.
    pub fn before_password_change(mut self) -> Self {
        self.before_password_change = true;
        self
    }

    /// Open to an account that has to set up a second factor first.
    pub fn before_enrolment(mut self) -> Self {
        self.before_enrolment = true;
        self
    }

    /// Served, not documented: pages for people.
    pub fn hidden(mut self) -> Self {
        self.docs.hidden = true;
        self
    }

    /// The group that the document lists this route under; without it, the first segment below `/api/v1`.
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.docs.tag = tag;
        self
    }
}

/// The argument list of a handler. The first argument says who may call: a handler without one does not compile.
pub trait Signature {
    fn audience() -> Audience;
    fn recent() -> bool;
    fn describe(docs: &mut Docs);
}

macro_rules! signatures {
    ($([$($argument:ident),*])*) => {$(
        impl<M, C: CallerArgument, $($argument: Argument),*> Signature for (M, C, $($argument,)*) {
            fn audience() -> Audience {
                C::AUDIENCE
            }

            fn recent() -> bool {
                C::RECENT
            }

            fn describe(docs: &mut Docs) {
                $($argument::describe(docs);)*
                let _ = docs;
            }
        }
    )*};
}
signatures!([] [A] [A, B] [A, B, D] [A, B, D, E] [A, B, D, E, F] [A, B, D, E, F, G]);
