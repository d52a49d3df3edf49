//! Signed tokens (JWT, RFC 7519; HS256) whose kind is part of their type: a `Claims<File>` never
//! was a `Claims<Access>`.
//!
//! Four belts hold the kinds apart: the JOSE `typ` is compared (RFC 8725 section 3.11), each kind
//! has its own MAC key ([`crate::keys::Purpose`]), the claims a kind needs are required, and the
//! audience is judged by the caller.
//!
//! Written by hand on `hmac` rather than on a general JWT library: with one algorithm, strict
//! headers and MAC states keyed in advance, verifying was measured at 2.7 times the speed (0.63 µs
//! against 1.7), and what a general library must tolerate (other algorithms, key lookups by URL,
//! several audiences) is not there to be attacked.
//!
//! Reading follows RFC 8725: at most [`MAX_TOKEN_BYTES`] before any cryptography; exactly three
//! segments of strict base64url; a header of exactly `alg`, `kid` and `typ` (so no `crit`, `jku`,
//! `jwk`, `x5u`, `zip`); the key is the one named by `kid`, and no other is tried; the MAC is
//! compared in constant time before any claim is read; a JSON member given twice, at any depth, is
//! refused; times are integers.
//!
//! Whether a session still lives, and what an account may do, is unknown here: a good token only
//! says who was logged in.

mod claims;
mod header;
mod json;
mod kind;
mod plain;

pub use claims::{Claims, Expected, Verified};
pub use kind::{
    Access, AccessDetails, File, FileDetails, Impersonation, ImpersonationDetails, Kind, MAX_FILE_LIFETIME_SECONDS,
    Refresh, RefreshDetails, Typ,
};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use self::header::{Header, Segment};
use crate::keys::{KeyRing, Kid, RingKey};

/// The longest token that is looked at, in bytes (8 KiB).
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far clocks may differ, in seconds, for `iat`, `nbf` and `exp`.
pub const LEEWAY_SECONDS: i64 = 60;

/// Characters of an HMAC-SHA256 in base64url without padding.
const MAC_TEXT_LENGTH: usize = 43;

/// Why a token is refused. For logs and counters: a caller outside learns only that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than 8 KiB")]
    TooLong,
    /// Not three segments of strict base64url.
    #[error("the token is not three segments of base64url")]
    NotCompact,
    /// Not strict JSON of the expected shape, a member given twice included.
    #[error("the token's header is not of the expected form")]
    Header,
    /// `alg` is not `HS256`.
    #[error("the token's algorithm is not `HS256`")]
    Algorithm,
    /// `typ` is of another kind.
    #[error("the token is of another kind")]
    Kind,
    /// `kid` names no key of the ring.
    #[error("the token's key is not in the ring")]
    UnknownKey,
    /// The MAC does not fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// Not a JSON object, a member given twice, or a claim of the wrong type.
    #[error("the token's claims are not of the expected form")]
    Claims,
    /// A claim the kind needs is not there.
    #[error("the token's claim `{0}` is missing")]
    Missing(&'static str),
    /// `iss` is another.
    #[error("the token's issuer is another")]
    Issuer,
    /// `aud` is not one the caller takes.
    #[error("the token's audience is another")]
    Audience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` is yet to come.
    #[error("the token is not valid yet")]
    NotYet,
    /// `exp − iat` is not positive or above the kind's lifetime.
    #[error("the token's lifetime is out of bounds")]
    Lifetime,
    /// Issued under a previous key long after that was retired.
    #[error("the token was issued after its key was retired")]
    CutOff,
    /// Issued before everything that its key had signed was declared void.
    #[error("the token was revoked with its key")]
    Void,
}

/// Signs `claims` with the ring's current key. (Where `iat` is the very second in which that key was revoked, the next one is
/// written: the token would be dead otherwise.)
pub fn sign<K: Kind>(ring: &KeyRing, claims: &Claims<K>) -> String {
    sign_under(ring.current(), claims)
}

/// Signs `claims` with the key `kid`: equal claims under an equal key give the equal token, so one
/// that was issued can be made again from what is stored of it.
///
/// # Errors
/// [`TokenError::UnknownKey`] when that key has left the ring.
pub fn sign_with<K: Kind>(ring: &KeyRing, kid: &Kid, claims: &Claims<K>) -> Result<String, TokenError> {
    ring.get(kid).map(|key| sign_under(key, claims)).ok_or(TokenError::UnknownKey)
}

fn sign_under<K: Kind>(key: &RingKey, claims: &Claims<K>) -> String {
    let iat = key.iat_for(claims.iat);
    let json = if iat == claims.iat { claims.to_json() } else { Claims { iat, ..claims.clone() }.to_json() };
    let mut token = String::with_capacity(512);
    token.push_str(Segment::of::<K>(&key.kid()).as_str());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(json, &mut token);
    let mac = key.mac(K::PURPOSE, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(mac, &mut token);
    token
}

/// Checks `token` as one of kind `K` and returns its claims.
///
/// # Errors
/// The first fault found, in the order size, shape, header, key, signature, claims, issuer,
/// audience, times.
pub fn verify<K: Kind>(ring: &KeyRing, token: &str, expected: &Expected<'_>) -> Result<Verified<K>, TokenError> {
    let segments = Segments::split(token)?;
    let key = header::key::<K>(ring, segments.header)?;
    let mut mac = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(segments.mac, &mut mac) {
        Ok(32) => {}
        _ => return Err(TokenError::NotCompact),
    }
    if !key.verify_mac(K::PURPOSE, segments.signed.as_bytes(), &mac) {
        return Err(TokenError::Signature);
    }
    let claims = URL_SAFE_NO_PAD.decode(segments.claims).map_err(|_| TokenError::NotCompact)?;
    let claims = claims::check::<K>(&claims, expected)?;
    if key.is_cut_off(claims.iat) {
        return Err(TokenError::CutOff);
    }
    if key.is_void(claims.iat) {
        return Err(TokenError::Void);
    }
    key.usage().note_verified(expected.now.as_seconds());
    Ok(Verified { claims, kid: key.kid(), role: key.role() })
}

/// What a token says it is, to choose the kind to verify it as. Nothing is checked: the answer is a
/// claim of the sender.
pub fn claimed_typ(token: &str) -> Option<Typ> {
    let segments = Segments::split(token).ok()?;
    Header::read(segments.header).ok().map(|header| header.typ)
}

struct Segments<'a> {
    header: &'a str,
    claims: &'a str,
    mac: &'a str,
    /// Header and claims with the dot between them.
    signed: &'a str,
}

impl<'a> Segments<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, mac) = token.rsplit_once('.').ok_or(TokenError::NotCompact)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotCompact)?;
        if claims.contains('.') || header.is_empty() || claims.is_empty() || mac.len() != MAC_TEXT_LENGTH {
            return Err(TokenError::NotCompact);
        }
        Ok(Self { header, claims, mac, signed })
    }
}

#[cfg(test)]
mod forged;
#[cfg(test)]
mod tests;
