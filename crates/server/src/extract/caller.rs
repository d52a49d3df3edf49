//! Who calls, as an argument: the type in a handler's signature is the permission.

use std::{convert::Infallible, marker::PhantomData, net::IpAddr, ops::Deref, sync::Arc};

use axum::extract::FromRequestParts;
use fastcms_core::caller::{self, Channel};
use fastcms_core::{Account, App, Caller, Error, Realm, access, accounts};
use fastcms_guard::cookie::{Cookie, CookiePolicy};
use fastcms_secrets::Secret;
use http::{HeaderValue, Method, header, request::Parts};

use super::Argument;
use crate::{
    edge::{Exchange, Thinning},
    error::{Answer, Refusal},
};

/// Who may call a route: for the documentation. What enforces it is the extractor that it is the constant of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Audience {
    #[default]
    Anyone,
    SignedIn,
    UsersAccount,
    /// A person who signed in: no API key acts for them here.
    InPerson,
    Admin,
}

/// An argument that says who may call; the first one of every handler.
pub trait CallerArgument {
    const AUDIENCE: Audience;
    /// Whether the sign-in must be recent.
    const RECENT: bool = false;

    /// The caller, checked.
    fn into_caller(self) -> Caller;
}

/// Whoever calls, guests included. A rule or the operation itself may still refuse.
#[derive(Debug, Clone)]
pub struct Anyone(pub Caller);

/// A signed-in account of any realm.
#[derive(Debug, Clone)]
pub struct SignedIn(pub Caller);

/// A signed-in account of `users`; accounts of auth collections are strangers here.
#[derive(Debug, Clone)]
pub struct UsersAccount(pub Caller);

/// An account of `users`, by a session of its own: for what keys must not touch, such as keys, sessions and credentials.
#[derive(Debug, Clone)]
pub struct InPerson(pub Caller);

/// An admin, or whoever holds the permission of the route by a role. The operation asks again for what it does.
#[derive(Debug, Clone)]
pub struct Admin(pub Caller);

impl SignedIn {
    /// The account behind the caller.
    pub fn account(&self) -> &Account {
        self.0.account().expect("made only from a caller with an account")
    }
}

impl UsersAccount {
    /// The account behind the caller.
    pub fn account(&self) -> &Account {
        self.0.account().expect("made only from a caller with an account")
    }
}

impl InPerson {
    /// The account behind the caller.
    pub fn account(&self) -> &Account {
        self.0.account().expect("made only from a caller with an account")
    }
}

/// The caller that the edge found for this request.
fn caller(parts: &Parts) -> Caller {
    let changes_nothing = matches!(parts.method, Method::GET | Method::HEAD);
    caller_from(parts, if changes_nothing { None } else { user_agent(parts) })
}

fn caller_from(parts: &Parts, agent: Option<&str>) -> Caller {
    let Some(exchange) = parts.extensions.get::<Exchange>() else { return Caller::guest() };
    let channel = Channel::Network(caller::Client {
        address: exchange.client,
        user_agent: agent.map(Into::into),
        request_id: exchange.request_id.bytes(),
    });
    Caller { principal: exchange.caller.principal.clone(), channel }
}

/// The header, if it is text.
fn user_agent(parts: &Parts) -> Option<&str> {
    parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok())
}

/// The account of a caller who must have one.
fn account(caller: &Caller) -> Result<&Arc<Account>, Refusal> {
    caller.principal.account().ok_or_else(|| Error::AuthenticationRequired.into())
}

/// Accounts of auth collections never act as an account of `users`: their token means nothing here.
fn of_users(caller: &Caller) -> Result<&Arc<Account>, Refusal> {
    let account = account(caller)?;
    if account.realm == Realm::Users { Ok(account) } else { Err(Error::InvalidToken.into()) }
}

impl<S: Sync> FromRequestParts<S> for Anyone {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(caller(parts)))
    }
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let caller = caller(parts);
        account(&caller)?;
        Ok(Self(caller))
    }
}

impl<S: Sync> FromRequestParts<S> for UsersAccount {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let caller = caller(parts);
        of_users(&caller)?;
        Ok(Self(caller))
    }
}

impl<S: Sync> FromRequestParts<S> for InPerson {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let caller = caller(parts);
        of_users(&caller)?;
        access::require_in_person(&caller)?;
        Ok(Self(caller))
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // What admins read may be worth an audit entry: an export, say.
        let caller = caller_from(parts, user_agent(parts));
        of_users(&caller)?;
        let permission = parts.extensions.get::<Exchange>().and_then(|exchange| exchange.permission);
        let is_open = caller.is_admin() || permission.is_some_and(|permission| caller.holds(permission));
        if is_open { Ok(Self(caller)) } else { Err(Error::Forbidden.into()) }
    }
}

macro_rules! caller_arguments {
    ($($name:ident),*) => {$(
        impl CallerArgument for $name {
            const AUDIENCE: Audience = Audience::$name;

            fn into_caller(self) -> Caller {
                self.0
            }
        }
    )*};
}
caller_arguments!(Anyone, SignedIn, UsersAccount, InPerson, Admin);

/// A caller of kind `C` whose sign-in is recent: the first argument of every sensitive action (contract 2.5).
#[derive(Debug, Clone)]
pub struct Recent<C> {
    caller: access::Recent,
    kind: PhantomData<fn() -> C>,
}

impl<C> Recent<C> {
    /// The account behind the caller.
    pub fn account(&self) -> &Account {
        self.caller.account().expect("made only from a caller with an account")
    }
}

impl<C> Deref for Recent<C> {
    type Target = access::Recent;

    fn deref(&self) -> &access::Recent {
        &self.caller
    }
}

impl<C: CallerArgument> CallerArgument for Recent<C> {
    const AUDIENCE: Audience = C::AUDIENCE;
    const RECENT: bool = true;

    fn into_caller(self) -> Caller {
        Caller::clone(&self.caller)
    }
}

impl<C> FromRequestParts<Arc<App>> for Recent<C>
where
    C: CallerArgument + FromRequestParts<Arc<App>, Rejection = Refusal> + Send,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let caller = C::from_request_parts(parts, app).await?.into_caller();
        Ok(Self { caller: access::recent(caller, app)?, kind: PhantomData })
    }
}

/// Where the request came from: for sessions, lockout and the audit log.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client address of contract 9.6.
    pub address: IpAddr,
    /// The other end of the socket: the client itself, or a proxy.
    pub peer: IpAddr,
    /// At most 512 characters; what cannot be read as text is left out.
    pub user_agent: Option<String>,
    /// The request came over HTTPS, here or at a trusted proxy.
    pub secure: bool,
    /// `X-Request-ID` of the answer.
    pub request_id: String,
    /// The cookie of a browser that signed in before. It identifies nobody.
    pub device: Option<Secret<String>>,
    cookies: CookiePolicy,
    /// Which lines of faults are written.
    pub(crate) faults: Arc<Thinning>,
}

impl Client {
    /// `Set-Cookie` by which the browser is known for a year.
    pub fn remember(&self, device: &Secret<String>) -> Answer<HeaderValue> {
        let (value, life) = (device.expose(), accounts::Device::KNOWN_SECONDS);
        let text = self.cookies.set(Cookie::Device, value, life, self.secure).map_err(Error::internal)?;
        let mut set = HeaderValue::try_from(text).map_err(Error::internal)?;
        set.set_sensitive(true);
        Ok(set)
    }
}

impl Argument for Client {}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let exchange = Exchange::of(&parts.extensions)?;
        let agent = user_agent(parts);
        let cookies = parts.headers.get_all(header::COOKIE);
        let sent = exchange.cookies.read(cookies.into_iter().map(HeaderValue::as_bytes))?;
        Ok(Self {
            device: sent.device.map(|value| Secret::new(value.to_owned())),
            cookies: exchange.cookies,
            address: exchange.client,
            peer: exchange.peer,
            user_agent: agent.map(|agent| agent.chars().take(512).collect()),
            secure: exchange.secure,
            request_id: exchange.request_id.as_str().to_owned(),
            faults: Arc::clone(&exchange.faults),
        })
    }
}
