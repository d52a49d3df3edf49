//! Who calls (contract 2.5, 2.6). A header credential decides; a session cookie counts where there is none. What is wrong with either
//! is noted, not answered: the rate limit comes first.

use fastcms_core::{Caller, Error};
use fastcms_guard::{
    cookie::Sent,
    csrf::{self, Own, Source},
};
use http::{HeaderName, HeaderValue, Method, header, request::Parts};

use super::{
    Backend, EdgeSettings, Inner, USUAL,
    credentials::{self, Presented},
    host::Sender,
    table::Found,
};
use crate::error::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the edge makes of the credentials of a request.
pub(super) struct Identity {
    pub(super) caller: Caller,
    /// Why the request is refused once the limiter has counted it.
    pub(super) noted: Option<Refusal>,
    pub(super) cookie: CookieRole,
}

/// What the session cookie of a request has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieRole {
    /// Nothing: there is none, or a header credential decides.
    Silent,
    /// It is why the caller is known: whoever made the browser send the request acts as the caller.
    Decides,
    /// Its session is over, or never was. The caller is a guest and the browser is told to drop it.
    Stale,
}

impl Identity {
    fn of(outcome: Result<Caller, Error>) -> Self {
        match outcome {
            Ok(caller) => Self { caller, noted: None, cookie: CookieRole::Silent },
            Err(error) => Self::refused(error.into()),
        }
    }

    /// Nobody in particular.
    pub(super) fn guest() -> Self {
        Self::of(Ok(Caller::guest()))
    }

    fn refused(refusal: Refusal) -> Self {
        Self { caller: Caller::guest(), noted: Some(refusal), cookie: CookieRole::Silent }
    }

    fn of_cookie(outcome: Result<Caller, Error>) -> Self {
        let role = match &outcome {
            Ok(_) => CookieRole::Decides,
            Err(Error::InvalidToken) => CookieRole::Stale,
            // Nobody knows whether the session is over.
            Err(_) => CookieRole::Silent,
        };
        let outcome = if role == CookieRole::Stale { Ok(Caller::guest()) } else { outcome };
        Self { cookie: role, ..Self::of(outcome) }
    }
}

impl<S: Backend> Inner<S> {
    /// Verifies the one credential that counts.
    pub(super) async fn identify(&self, parts: &Parts, sender: &Sender, found: &Found<'_, S>) -> Identity {
        let file_token = found.operation().is_some_and(|operation| operation.file_token);
        if let Err(refusal) = credentials::check_url(parts, file_token) {
            return Identity::refused(refusal);
        }
        if !credentials::any(&parts.headers) {
            return Identity::guest();
        }
        let presented = match credentials::presented(parts) {
            Ok(presented) => presented,
            Err(refusal) => return Identity::refused(refusal),
        };
        let sent = match self.cookies(parts) {
            Ok(sent) => sent,
            Err(refusal) => return Identity::refused(refusal),
        };
        match (presented, sent.session) {
            (Presented::Bearer(token), _) => {
                let asked = tokio::time::timeout(USUAL, self.state.authenticate(token)).await;
                Identity::of(asked.unwrap_or(Err(Error::Timeout)))
            }
            (Presented::ApiKey(key), _) => {
                let asked = tokio::time::timeout(USUAL, self.state.authenticate_key(key, sender.client)).await;
                Identity::of(asked.unwrap_or(Err(Error::Timeout)))
            }
            (Presented::Nothing, Some(value)) => {
                let asked = tokio::time::timeout(USUAL, self.state.authenticate_cookie(value)).await;
                Identity::of_cookie(asked.unwrap_or(Err(Error::Timeout)))
            }
            (Presented::Nothing, None) => Identity::guest(),
        }
    }

    fn cookies<'r>(&self, parts: &'r Parts) -> Result<Sent<'r>, Refusal> {
        let headers = parts.headers.get_all(header::COOKIE);
        Ok(self.settings.cookies.read(headers.into_iter().map(HeaderValue::as_bytes))?)
    }
}

/// Refuses an unsafe request that a cookie speaks for and that none of the own pages has sent.
pub(super) fn check_source(parts: &Parts, sender: &Sender, settings: &EdgeSettings) -> Result<(), Refusal> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let source = Source { fetch_site: only(parts, &SEC_FETCH_SITE), origin: only(parts, &header::ORIGIN) };
    let scheme = if sender.secure { "https" } else { "http" };
    let asked = sender.authority(parts).filter(|_| settings.loopback).map(|authority| (scheme, authority));
    let own = Own { public: &settings.own_origin, asked };
    if csrf::allows(source, own) { Ok(()) } else { Err(Refusal::Csrf) }
}

/// The one value of a header. Several, or one that is no text, count as one that says nothing good.
fn only<'r>(parts: &'r Parts, name: &HeaderName) -> Option<&'r str> {
    let mut values = parts.headers.get_all(name).iter();
    let first = values.next()?;
    match values.next() {
        None => Some(first.to_str().unwrap_or_default()),
        Some(_) => Some(""),
    }
}
