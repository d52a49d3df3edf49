//! Claims common to every kind, and the checks on them.

use super::json::RawClaims;
use super::kind::Details;
use super::{Kind, LEEWAY_SECONDS, TokenError, plain};
use crate::clock::Timestamp;
use crate::keys::{Kid, Role};

/// What a token of kind `K` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims<K: Kind> {
    /// Who issued it.
    pub iss: String,
    /// For whom it is meant.
    pub aud: String,
    /// The account it speaks for.
    pub sub: String,
    /// Its own id.
    pub jti: String,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// The claims of its kind.
    pub details: K::Details,
}

/// What a token must agree with. No `Default`: each check is asked for.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The one issuer taken.
    pub issuer: &'a str,
    /// Whether an audience is one the caller takes; [`one_of`](Expected::one_of) makes it from a
    /// list.
    pub audience: &'a dyn Fn(&str) -> bool,
    /// The time of the check.
    pub now: Timestamp,
    /// The longest `exp − iat` of the kind, as configured now, in seconds.
    pub max_lifetime: i64,
}

impl Expected<'_> {
    /// A judge of audiences that takes those listed, for [`Expected::audience`].
    pub fn one_of<'l>(audiences: &'l [&'l str]) -> impl Fn(&str) -> bool + 'l {
        move |audience| audiences.contains(&audience)
    }
}

impl std::fmt::Debug for Expected<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expected")
            .field("issuer", &self.issuer)
            .field("now", &self.now)
            .field("max_lifetime", &self.max_lifetime)
            .finish_non_exhaustive()
    }
}

/// Claims that were checked, and the key they were signed with.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified<K: Kind> {
    /// The claims.
    pub claims: Claims<K>,
    /// The key that signed.
    pub kid: Kid,
    /// What that key is in the ring now.
    pub role: Role,
}

impl<K: Kind> Claims<K> {
    pub(super) fn to_json(&self) -> String {
        let mut raw = RawClaims {
            iss: Some(self.iss.clone()),
            aud: Some(self.aud.clone()),
            sub: Some(self.sub.clone()),
            jti: Some(self.jti.clone()),
            iat: Some(self.iat),
            exp: Some(self.exp),
            ..RawClaims::default()
        };
        self.details.write(&mut raw);
        serde_json::to_string(&raw).expect("claims are strings and integers")
    }
}

/// Reads and judges claims whose signature is good.
pub(super) fn check<K: Kind>(json: &[u8], expected: &Expected<'_>) -> Result<Claims<K>, TokenError> {
    let mut raw = match plain::read(json) {
        Some(raw) => raw,
        None => serde_json::from_slice(json).map_err(|_| TokenError::Claims)?,
    };
    let text = |value: Option<String>, name| value.filter(|text| !text.is_empty()).ok_or(TokenError::Missing(name));
    let details = K::Details::read(&mut raw)?;
    let claims = Claims {
        iss: text(raw.iss, "iss")?,
        aud: text(raw.aud, "aud")?,
        sub: text(raw.sub, "sub")?,
        jti: text(raw.jti, "jti")?,
        iat: raw.iat.ok_or(TokenError::Missing("iat"))?,
        exp: raw.exp.ok_or(TokenError::Missing("exp"))?,
        details,
    };
    if claims.iss != expected.issuer {
        return Err(TokenError::Issuer);
    }
    if !(expected.audience)(&claims.aud) {
        return Err(TokenError::Audience);
    }
    check_times(claims.iat, claims.exp, raw.nbf, expected)?;
    Ok(claims)
}

fn check_times(iat: i64, exp: i64, nbf: Option<i64>, expected: &Expected<'_>) -> Result<(), TokenError> {
    let now = expected.now.as_seconds();
    let latest_start = now.saturating_add(LEEWAY_SECONDS);
    if iat > latest_start || nbf.is_some_and(|nbf| nbf > latest_start) {
        return Err(TokenError::NotYet);
    }
    if now >= exp.saturating_add(LEEWAY_SECONDS) {
        return Err(TokenError::Expired);
    }
    let lifetime = exp.saturating_sub(iat);
    if lifetime <= 0 || lifetime > expected.max_lifetime {
        return Err(TokenError::Lifetime);
    }
    Ok(())
}
