//! Who made an event happen, and from where: the caller as the audit log keeps it.

use super::entry::tamed;
use crate::accounts::realm_text;
use crate::caller::{Caller, Channel, Principal};

/// Who made an event happen.
#[derive(Debug, Clone, Default)]
pub struct Actor {
    pub(super) user_id: Option<String>,
    pub(super) user_email: Option<String>,
    pub(super) ip_address: Option<String>,
    pub(super) user_agent: Option<String>,
    /// What has no column of its own: request id, realm, whether it was the command line.
    pub(super) details: Vec<(&'static str, String)>,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        let mut actor = Self::default();
        if let Some(account) = caller.account() {
            actor.user_id = Some(account.id.clone());
            actor.user_email = Some(tamed(&account.email));
            actor.detail("realm", realm_text(&account.realm));
        }
        match &caller.principal {
            Principal::Guest | Principal::Operator | Principal::Account(_) => {}
            Principal::ApiKey(key) => actor.detail("api_key_id", &key.id),
            Principal::Acting(acting) => {
                actor.detail("impersonation", &acting.id);
                actor.detail("acting_admin_id", &acting.admin_id);
                actor.detail("acting_admin_email", &tamed(&acting.admin_email));
            }
        }
        match &caller.channel {
            Channel::Network(client) => {
                actor.ip_address = Some(client.address.to_string());
                actor.user_agent = client.user_agent.as_deref().map(tamed);
                actor.detail("request_id", &String::from_utf8_lossy(&client.request_id));
            }
            Channel::CommandLine => actor.detail("actor", "cli"),
            Channel::Background => actor.detail("actor", "system"),
        }
        actor
    }
}

impl Actor {
    fn detail(&mut self, name: &'static str, text: &str) {
        self.details.push((name, text.to_owned()));
    }
}
