//! The session cookie of a browser as an argument: what was sent, and how an answer gives or takes one.

use axum::extract::FromRequestParts;
use fastcms_core::{Error, accounts::CookieGrant};
use fastcms_guard::cookie::{Cookie, CookiePolicy};
use fastcms_secrets::Secret;
use http::{HeaderValue, header, request::Parts};

use super::Argument;
use crate::{
    edge::Exchange,
    error::{Answer, Refusal},
};

/// The session cookie, for the few operations that begin and end sessions. Who it belongs to, the edge has found out.
#[derive(Debug)]
pub struct SessionCookie {
    sent: Option<Secret<String>>,
    policy: CookiePolicy,
    over_https: bool,
}

impl SessionCookie {
    /// The value that was sent, whether or not it decides who calls.
    pub fn sent(&self) -> Option<&str> {
        self.sent.as_ref().map(|value| value.expose().as_str())
    }

    /// `Set-Cookie` that gives the browser its session.
    pub fn set(&self, grant: &CookieGrant) -> Answer<HeaderValue> {
        let (value, life) = (grant.value.expose(), grant.max_age_seconds);
        let text = self.policy.set(Cookie::Session, value, life, self.over_https).map_err(Error::internal)?;
        let mut set = HeaderValue::try_from(text).map_err(Error::internal)?;
        set.set_sensitive(true);
        Ok(set)
    }

    /// `Set-Cookie` that takes it away.
    pub fn clear(&self) -> Answer<HeaderValue> {
        let text = self.policy.clear(Cookie::Session, self.over_https);
        Ok(HeaderValue::try_from(text).map_err(Error::internal)?)
    }
}

impl Argument for SessionCookie {}

impl<S: Sync> FromRequestParts<S> for SessionCookie {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let exchange = Exchange::of(&parts.extensions)?;
        let headers = parts.headers.get_all(header::COOKIE);
        let sent = exchange.cookies.read(headers.into_iter().map(HeaderValue::as_bytes))?;
        Ok(Self {
            sent: sent.session.map(|value| Secret::new(value.to_owned())),
            policy: exchange.cookies,
            over_https: exchange.secure,
        })
    }
}
