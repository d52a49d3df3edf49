//! The HTTP API: every noun declares its routes, this module puts them into one list.

use std::{net::IpAddr, sync::Arc, time::Duration};

use fastcms_core::audit::{self as audit_log, Event, MAX_TEXT};
use fastcms_core::caller::{Channel, Client};
use fastcms_core::{App, Caller, Error, accounts, request_log::Answered};
use fastcms_guard::limits::{Class, Verdict};

use crate::{
    edge::{Backend, Edge, EdgeSettings},
    openapi::Catalogue,
    pages,
};

mod account;
mod api_keys;
pub mod audit;
mod auth;
mod bulk;
mod collection_accounts;
mod collections;
pub mod docs;
mod downloads;
mod email;
mod email_templates;
mod files;
pub mod health;
mod indexes;
mod ip_rules;
pub mod keys;
mod limits;
mod links;
mod logs;
mod metrics;
pub mod operation;
mod page;
mod records;
mod roles;
pub mod root;
pub mod secrets;
mod settings;
mod setup;
mod supervision;
mod two_factor;
mod users;

pub use operation::{Operation, delete, get, patch, post, put};

/// The routes of each noun.
const NOUNS: [fn() -> Vec<Operation>; 28] = [
    root::routes,
    health::routes,
    pages::routes,
    setup::routes,
    auth::routes,
    two_factor::routes,
    api_keys::routes,
    links::routes,
    email::routes,
    email_templates::routes,
    users::routes,
    supervision::routes,
    roles::routes,
    keys::routes,
    secrets::routes,
    settings::routes,
    collections::routes,
    indexes::routes,
    records::routes,
    bulk::routes,
    collection_accounts::routes,
    files::routes,
    downloads::routes,
    logs::routes,
    ip_rules::routes,
    limits::routes,
    metrics::routes,
    audit::routes,
];

/// All routes but those that describe the others.
pub fn operations() -> Vec<Operation> {
    NOUNS.iter().flat_map(|routes| routes()).collect()
}

/// What is served: all routes, and their documentation where it is to be seen. Their schemas go noun by noun: those of all together
/// would be a megabyte of memory that nobody needs again before the document is asked for.
fn served(with_docs: bool) -> Vec<Operation> {
    let documentation = with_docs.then_some(docs::routes as fn() -> Vec<Operation>);
    NOUNS.iter().chain(&documentation).flat_map(|routes| routes().into_iter().map(Operation::undescribed)).collect()
}

/// The product behind its edge, ready to be served.
pub fn edge(app: Arc<App>) -> Edge<Arc<App>> {
    let settings =
        EdgeSettings::new(&app.config).expect("a configuration with origins that cannot be a policy was refused");
    let operations = served(app.config.server.has_docs());
    Edge::new(app, operations, settings)
}

/// The OpenAPI document, whether or not it is served.
pub fn document(app: &App) -> serde_json::Value {
    docs::describe(app, &Catalogue::of(&operations()), app.config.server.base_url.as_str())
}

impl Backend for Arc<App> {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, Error> {
        accounts::authenticate(self, bearer).await
    }

    async fn authenticate_key(&self, key: &str, client: IpAddr) -> Result<Caller, Error> {
        fastcms_core::api_keys::authenticate(self, key, client).await
    }

    async fn authenticate_cookie(&self, value: &str) -> Result<Caller, Error> {
        accounts::authenticate_cookie(self, value).await
    }

    fn admits(&self, client: IpAddr, for_admins: bool) -> bool {
        self.ip_rules.admits(client, || self.now_millis()) && (!for_admins || self.ip_rules.admits_admin(client))
    }

    fn one_sender(&self, address: Option<IpAddr>) {
        self.limits.note_senders(address);
    }

    async fn charge(&self, caller: &Caller, class: Class, client: IpAddr) -> Option<Verdict> {
        fastcms_core::limits::charge(caller, self, class, client).await
    }

    fn limited(&self, caller: &Caller, class: Class) {
        fastcms_core::limits::note_refusal(caller, self, class);
    }

    fn count(&self, method: &str, status: u16, took: Duration) {
        self.metrics.count(method, status, took);
    }

    fn answered(&self, answered: &Answered<'_>) {
        if self.settings.now().request_log {
            self.request_log.note(answered);
        }
        note_refusal(self, answered);
    }
}

/// Access and credentials that were refused go into the audit log. (So does one request too many, where it is counted.)
fn note_refusal(app: &App, answered: &Answered<'_>) {
    let event = match answered.status {
        403 => Event::AccessDenied,
        401 if answered.credential_refused => Event::CredentialRefused,
        _ => return,
    };
    let client = Client { address: answered.client, user_agent: None, request_id: answered.request_id };
    let caller = Caller { principal: answered.caller.principal.clone(), channel: Channel::Network(client) };
    let path: String = answered.path.chars().take(MAX_TEXT).collect();
    audit_log::note(&caller, app, event.with("method", answered.method).with("path", path));
}
