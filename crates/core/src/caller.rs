//! Who is calling. The edge finds it out once per request; every public operation of this crate takes it first.

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::{Permission, Permissions};
use crate::api_keys::{Need, Scopes};

/// Where an account lives, and with that the audience of its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Realm {
    /// The product's own `users`: the only realm with admins.
    Users,
    /// An auth collection, by its id.
    Collection(Arc<str>),
}

impl Realm {
    /// The `aud` claim of this realm's tokens (contract 2.2).
    pub fn audience(&self) -> String {
        match self {
            Self::Users => "fastcms:users".to_owned(),
            Self::Collection(id) => format!("fastcms:collection:{id}"),
        }
    }

    /// The realm that an audience names.
    pub fn of_audience(audience: &str) -> Option<Self> {
        match audience.strip_prefix("fastcms:")? {
            "users" => Some(Self::Users),
            other => {
                // No collection has this id, and a realm of this name would be written as the other one is.
                let is_id = |id: &&str| !id.is_empty() && *id != "users";
                other.strip_prefix("collection:").filter(is_id).map(|id| Self::Collection(id.into()))
            }
        }
    }
}

/// An account, as its credential stands at this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub realm: Realm,
    /// What the credential belongs to: a session, or the API key or impersonation of that id.
    pub session: String,
    pub email: String,
    /// `admin` or `user` in [`Realm::Users`], free text (or nothing) in an auth collection.
    pub role: Option<String>,
    pub verified: bool,
    /// Unix seconds of the sign-in behind the session: what step-up looks at. Behind an API key there is none: 0.
    pub authenticated_at: i64,
    /// Set by another admin's password change: all but a few routes are closed until it is changed.
    pub must_change_password: bool,
    /// `REQUIRE_MFA` asks for a second factor and the account has none: all but enrolling is closed.
    pub must_enrol: bool,
    /// What the account's roles give it; an admin needs none.
    pub roles: Permissions,
}

/// An API key, as it stands at this request. It acts as the account that made it, within its scopes.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: String,
    /// Whose it is, always in [`Realm::Users`], with the rights of this moment.
    pub owner: Arc<Account>,
    pub scopes: Scopes,
    /// Requests a minute instead of `RATE_LIMIT_PER_MINUTE`; never above it unless the owner is an admin now.
    pub rate_limit_per_minute: Option<u32>,
}

/// An admin who acts as a user.
#[derive(Debug, Clone)]
pub struct Acting {
    /// Id of the impersonation.
    pub id: String,
    /// As whom; an account of [`Realm::Users`] that is no admin.
    pub account: Arc<Account>,
    pub admin_id: String,
    pub admin_email: String,
}

/// Who is calling, and how they reached us.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    /// For the audit log; it gives nobody any rights.
    pub channel: Channel,
}

/// Whose rights count.
#[derive(Debug, Clone)]
pub enum Principal {
    /// Nobody we know.
    Guest,
    /// A person with a live session.
    Account(Arc<Account>),
    /// A program that somebody gave a key.
    ApiKey(Arc<ApiKey>),
    /// An admin in somebody's place: the rights are that user's.
    Acting(Arc<Acting>),
    /// Whoever runs the binary on the host: the command line, and the product's own chores. Never reachable over the network.
    Operator,
}

/// How a caller reached us.
#[derive(Debug, Clone)]
pub enum Channel {
    /// A request over the network.
    Network(Client),
    /// A command on the host.
    CommandLine,
    /// A chore of the running product.
    Background,
}

/// Where a request came from. Cheap to clone: it goes with every request.
#[derive(Debug, Clone)]
pub struct Client {
    /// Already resolved against the trusted proxies (contract 9.6).
    pub address: IpAddr,
    /// `User-Agent` as sent, where the request may leave an audit entry: changes, and whatever admins ask. Reads do without the copy.
    pub user_agent: Option<Arc<str>>,
    /// `X-Request-ID` of the answer, ASCII.
    pub request_id: [u8; 32],
}

impl From<Principal> for Caller {
    /// A caller of whom it is not known yet how they came.
    fn from(principal: Principal) -> Self {
        Self { principal, channel: Channel::Background }
    }
}

impl Caller {
    /// Nobody we know.
    pub fn guest() -> Self {
        Principal::Guest.into()
    }

    /// Whoever types a command on the host.
    pub fn operator() -> Self {
        Self { principal: Principal::Operator, channel: Channel::CommandLine }
    }

    /// A chore of the running product.
    pub fn background() -> Self {
        Self { principal: Principal::Operator, channel: Channel::Background }
    }

    /// The same, known to have come over the network.
    pub fn over_network(&self, address: IpAddr, request_id: [u8; 32]) -> Self {
        let channel = Channel::Network(Client { address, user_agent: None, request_id });
        Self { principal: self.principal.clone(), channel }
    }

    /// The account whose rights count, if there is one.
    pub fn account(&self) -> Option<&Account> {
        self.principal.account().map(|account| &**account)
    }

    /// The key that the caller came with.
    pub fn api_key(&self) -> Option<&ApiKey> {
        match &self.principal {
            Principal::ApiKey(key) => Some(key),
            Principal::Guest | Principal::Account(_) | Principal::Acting(_) | Principal::Operator => None,
        }
    }

    /// An admin of `users`, a key of one, or the operator. A collection's `role` text never counts. Of a key this says what its owner
    /// may; what it is good for, [`Caller::covers`] says.
    pub fn is_admin(&self) -> bool {
        match &self.principal {
            Principal::Operator => true,
            Principal::Account(account) => account.is_admin(),
            Principal::ApiKey(key) => key.owner.is_admin(),
            Principal::Guest | Principal::Acting(_) => false,
        }
    }

    /// What the caller may do of what admins do, scopes of an API key aside. An admin in somebody's place has none of it.
    pub fn permissions(&self) -> Permissions {
        match &self.principal {
            Principal::Operator => Permissions::ALL,
            Principal::Account(account) => account.permissions(),
            Principal::ApiKey(key) => key.owner.permissions(),
            Principal::Guest | Principal::Acting(_) => Permissions::NONE,
        }
    }

    /// Whether the caller holds this permission.
    pub fn holds(&self, permission: Permission) -> bool {
        self.permissions().holds(permission)
    }

    /// Whether the caller may do this anywhere in the area as far as scopes go: only an API key has any.
    pub fn covers(&self, need: Need) -> bool {
        self.api_key().is_none_or(|key| key.scopes.cover(need))
    }
}

impl Principal {
    /// The account whose rights count, to be kept.
    pub fn account(&self) -> Option<&Arc<Account>> {
        match self {
            Self::Account(account) => Some(account),
            Self::ApiKey(key) => Some(&key.owner),
            Self::Acting(acting) => Some(&acting.account),
            Self::Guest | Self::Operator => None,
        }
    }
}

impl Account {
    /// All of an admin; of anybody else of `users` what their roles give.
    pub fn permissions(&self) -> Permissions {
        match (self.is_admin(), &self.realm) {
            (true, _) => Permissions::ALL,
            (false, Realm::Users) => self.roles,
            (false, Realm::Collection(_)) => Permissions::NONE,
        }
    }

    /// An admin of `users`.
    pub fn is_admin(&self) -> bool {
        self.realm == Realm::Users && self.role.as_deref() == Some("admin")
    }
}
