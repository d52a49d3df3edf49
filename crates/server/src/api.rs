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

/// All routes but those that describe the others.
pub fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    operations.extend(root::routes());
    operations.extend(health::routes());
    operations.extend(pages::routes());
    operations.extend(setup::routes());
    operations.extend(auth::routes());
    operations.extend(two_factor::routes());
    operations.extend(api_keys::routes());
    operations.extend(links::routes());
    operations.extend(email::routes());
    operations.extend(email_templates::routes());
    operations.extend(users::routes());
    operations.extend(supervision::routes());
    operations.extend(roles::routes());
    operations.extend(keys::routes());
    operations.extend(secrets::routes());
    operations.extend(settings::routes());
    operations.extend(collections::routes());
    operations.extend(indexes::routes());
    operations.extend(records::routes());
    operations.extend(bulk::routes());
    operations.extend(collection_accounts::routes());
    operations.extend(files::routes());
    operations.extend(downloads::routes());
    operations.extend(logs::routes());
    operations.extend(ip_rules::routes());
    operations.extend(limits::routes());
    operations.extend(metrics::routes());
    operations.extend(audit::routes());
    operations
}

/// What is served: all routes, and their documentation where it is to be seen.
pub fn served(with_docs: bool) -> Vec<Operation> {
    let mut operations = operations();
    if with_docs {
        operations.extend(docs::routes());
    }
    operations
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
        self.ip_rules.admits(client, self.now_millis()) && (!for_admins || self.ip_rules.admits_admin(client))
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
