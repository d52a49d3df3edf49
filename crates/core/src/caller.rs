//! Who is calling. The edge finds it out once per request; every public operation of this crate takes it first.

use std::sync::Arc;

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
                other.strip_prefix("collection:").filter(|id| !id.is_empty()).map(|id| Self::Collection(id.into()))
            }
        }
    }
}

/// A signed-in account, as its session stands at this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub realm: Realm,
    /// Session that the credential belongs to.
    pub session: String,
    pub email: String,
    /// `admin` or `user` in [`Realm::Users`], free text (or nothing) in an auth collection.
    pub role: Option<String>,
    pub verified: bool,
    /// Unix seconds of the sign-in behind the session: what step-up looks at.
    pub authenticated_at: i64,
    /// Set by another admin's password change: all but a few routes are closed until it is changed.
    pub must_change_password: bool,
}

/// Who is calling.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody we know.
    Guest,
    /// A person with a live session.
    Account(Arc<Account>),
    /// Whoever runs the binary on the host: the command line. Never reachable over the network.
    Operator,
}

impl Caller {
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Account(account) => Some(account),
            Self::Guest | Self::Operator => None,
        }
    }

    /// An admin of `users`, or the operator. A collection's `role` text never counts.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Operator => true,
            Self::Account(account) => account.realm == Realm::Users && account.role.as_deref() == Some("admin"),
            Self::Guest => false,
        }
    }
}
