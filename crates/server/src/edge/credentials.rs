//! Which credential a request presents (contract 2.5). Only looks: what is valid, the product knows.

use std::borrow::Cow;

use fastcms_core::Error;
use http::{HeaderMap, HeaderName, header, request::Parts};
use url::form_urlencoded;

use crate::error::Refusal;

/// Longest bearer token, bytes (contract 16).
const MAX_BEARER: usize = 8 * 1024;

/// Known by its name beforehand: looked for in every request.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Names under which people put credentials into URLs. `token` is the file token on the one route that takes it.
const IN_URL: [&str; 16] = [
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "token",
    "bearer",
    "jwt",
    "authorization",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "session_id",
    "sessionid",
    "fastcms_session",
    "password",
];

/// What a request presents.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented<'r> {
    Nothing,
    Bearer(&'r str),
    ApiKey(&'r str),
}

/// Whether a request presents anything that a caller could be known by.
///
/// Every request is asked: going over its few headers once is cheaper than to look for each name.
pub(super) fn any(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| *name == header::AUTHORIZATION || *name == API_KEY || *name == header::COOKIE)
}

/// The one credential of a request; the refusal is for the caller to note.
pub(super) fn presented(parts: &Parts) -> Result<Presented<'_>, Refusal> {
    let mut authorizations = parts.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = authorizations.next();
    let mut keys = parts.headers.get_all(API_KEY).iter();
    let key = keys.next();
    if authorizations.next().is_some() || keys.next().is_some() || (authorization.is_some() && key.is_some()) {
        return Err(Refusal::MultipleCredentials);
    }
    // A credential that cannot be verified is never ignored.
    let invalid = || Refusal::Core(Error::InvalidToken);
    let Some(authorization) = authorization else {
        let Some(key) = key else { return Ok(Presented::Nothing) };
        return key.to_str().map(Presented::ApiKey).map_err(|_| invalid());
    };
    let (scheme, token) = authorization.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    let token = token.trim_start_matches(' ');
    // Schemes are case-insensitive (RFC 9110 section 11.1).
    let acceptable = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_BEARER;
    if acceptable { Ok(Presented::Bearer(token)) } else { Err(invalid()) }
}

/// Refuses a query that carries a credential.
pub(super) fn check_url(parts: &Parts, file_token: bool) -> Result<(), Refusal> {
    for pair in parts.uri.query().into_iter().flat_map(|query| query.split('&')) {
        let name = query_name(pair);
        let credential = IN_URL.iter().any(|known| known.eq_ignore_ascii_case(&name));
        if credential && !(file_token && name == "token") {
            return Err(Refusal::CredentialInUrl(name.into_owned()));
        }
    }
    Ok(())
}

/// The decoded name of a `name=value` pair; borrowed unless something is encoded.
pub(super) fn query_name(pair: &str) -> Cow<'_, str> {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    if !name.contains(['%', '+']) {
        return Cow::Borrowed(name);
    }
    form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name).unwrap_or_default()
}
