//! Who made an event happen, and from where: the caller as the audit log keeps it.

use std::borrow::Cow;

use super::entry::tamed;
use crate::accounts::realm_text;
use crate::caller::{Caller, Channel, Principal};

/// Who made an event happen.
#[derive(Debug, Clone, Default)]
pub struct Actor<'c> {
    pub(super) user_id: Option<Cow<'c, str>>,
    pub(super) user_email: Option<Cow<'c, str>>,
    pub(super) ip_address: Option<String>,
    pub(super) user_agent: Option<Cow<'c, str>>,
    /// What has no column of its own: request id, realm, whether it was the command line.
    pub(super) details: Vec<(&'static str, Cow<'c, str>)>,
}

/// What most callers have: realm and request id.
const DETAILS: usize = 2;

impl<'c> From<&'c Caller> for Actor<'c> {
    fn from(caller: &'c Caller) -> Self {
        let mut actor = Self { details: Vec::with_capacity(DETAILS), ..Self::default() };
        if let Some(account) = caller.account() {
            actor.user_id = Some(account.id.as_str().into());
            actor.user_email = Some(tamed(&account.email));
            actor.detail("realm", realm_text(&account.realm));
        }
        match &caller.principal {
            Principal::Guest | Principal::Operator | Principal::Account(_) => {}
            Principal::ApiKey(key) => actor.detail("api_key_id", key.id.as_str()),
            Principal::Acting(acting) => {
                actor.detail("impersonation", acting.id.as_str());
                actor.detail("acting_admin_id", acting.admin_id.as_str());
                actor.detail("acting_admin_email", tamed(&acting.admin_email));
            }
        }
        match &caller.channel {
            Channel::Network(client) => {
                actor.ip_address = Some(client.address.to_string());
                actor.user_agent = client.user_agent.as_deref().map(tamed);
                actor.detail("request_id", String::from_utf8_lossy(&client.request_id));
            }
            Channel::CommandLine => actor.detail("actor", "cli"),
            Channel::Background => actor.detail("actor", "system"),
        }
        actor
    }
}

impl<'c> Actor<'c> {
    fn detail(&mut self, name: &'static str, text: impl Into<Cow<'c, str>>) {
        self.details.push((name, text.into()));
    }

    /// The same, to be kept beyond the call.
    pub(super) fn into_owned(self) -> Actor<'static> {
        let owned = |text: Cow<'c, str>| Cow::Owned(text.into_owned());
        Actor {
            user_id: self.user_id.map(owned),
            user_email: self.user_email.map(owned),
            ip_address: self.ip_address,
            user_agent: self.user_agent.map(owned),
            details: self.details.into_iter().map(|(name, text)| (name, owned(text))).collect(),
        }
    }
}
