//! A corpus of forged tokens. Each differs from an honest one in one thing, signed with the right
//! key where that makes it harder; beside it the honest twin, written by the same means, is
//! accepted.

mod claims;
mod headers;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::tests::{A, AUDIENCE, ISSUER, NOW, access, file, impersonation, key, refresh, ring, verify_at};
use super::*;
use crate::keys::Purpose;

pub(super) fn header(typ: &str) -> String {
    format!(r#"{{"alg":"HS256","kid":"{}","typ":"{typ}"}}"#, key(A).kid())
}

/// Any header and claims under the sub-key of `purpose`.
pub(super) fn signed(purpose: Purpose, header: &str, claims: impl AsRef<[u8]>) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = ring().current().mac(purpose, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac))
}

fn with_header(header: &str) -> String {
    signed(Purpose::Access, header, access().to_json())
}

fn with_claims(claims: impl AsRef<[u8]>) -> String {
    signed(Purpose::Access, &header("at+jwt"), claims)
}

/// The honest claims with one member replaced by `member` (or taken away, if that is empty).
fn instead(name: &str, member: &str) -> String {
    let members = [
        ("iss", format!(r#""iss":"{ISSUER}""#)),
        ("aud", format!(r#""aud":"{AUDIENCE}""#)),
        ("sub", r#""sub":"account""#.to_owned()),
        ("sid", r#""sid":"session""#.to_owned()),
        ("jti", r#""jti":"id""#.to_owned()),
        ("iat", format!(r#""iat":{NOW}"#)),
        ("exp", format!(r#""exp":{}"#, NOW + 900)),
    ];
    assert!(name.is_empty() || members.iter().any(|known| known.0 == name));
    let kept = members.iter().filter(|known| known.0 != name).map(|known| known.1.as_str());
    let json: Vec<&str> = kept.chain((!member.is_empty()).then_some(member)).collect();
    with_claims(format!("{{{}}}", json.join(",")))
}

fn plus(member: &str) -> String {
    instead("", member)
}

fn fault(token: &str) -> Result<(), TokenError> {
    verify_at::<Access>(&ring(), token, NOW).map(|_| ())
}

fn refused(table: &[(&str, String, TokenError)]) {
    for (what, token, error) in table {
        assert_eq!(fault(token), Err(*error), "{what}");
    }
}

#[test]
fn the_honest_twins_are_accepted() {
    let kid = key(A).kid();
    for token in [
        with_header(&header("at+jwt")),
        with_header(&format!(r#" {{ "typ": "at+jwt", "kid":"{kid}",  "alg":"HS256" }} "#)),
        with_header(&format!(r#"{{"alg":"HS\u003256","kid":"{kid}","typ":"at+jwt"}}"#)),
        plus(""),
        plus(r#""ep":3,"gep":0"#),
        plus(&format!(r#""nbf":{}"#, NOW + 60)),
        plus(r#""unknown":{"a":[1,{"b":null}],"c":1.5}"#),
        plus(r#""unknown":-1.5e3,"type":"refresh""#),
        instead("iat", &format!(r#""iat":{}"#, NOW + 60)),
        instead("exp", &format!(r#""exp":{}"#, NOW + 1)),
    ] {
        assert_eq!(fault(&token), Ok(()), "{token}");
    }
}

#[test]
fn forged_shapes() {
    let good = sign(&ring(), &access());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, mac] = parts[..] else { unreachable!("a token has three segments") };
    let shape = TokenError::NotCompact;
    let padded = |text: &str| format!("{text}=");
    let last = mac.chars().last().unwrap();
    // The last character of 43 carries two bits that belong to no byte.
    let slack = ('A'..='z').find(|c| {
        c.is_ascii_alphanumeric() && *c != last && {
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            alphabet.find(*c).unwrap() / 4 == alphabet.find(last).unwrap() / 4
        }
    });
    refused(&[
        ("empty", String::new(), shape),
        ("one dot", ".".into(), shape),
        ("two dots", "..".into(), shape),
        ("no signature", format!("{head}.{body}"), shape),
        ("empty signature", format!("{head}.{body}."), shape),
        ("empty header", format!(".{body}.{mac}"), shape),
        ("empty claims", format!("{head}..{mac}"), shape),
        ("four segments", format!("{good}.{mac}"), shape),
        ("five segments, as of JWE", format!("{head}.{body}.{body}.{body}.{mac}"), shape),
        ("trailing dot", format!("{good}."), shape),
        ("leading dot", format!(".{good}"), shape),
        ("padding of the header", format!("{}.{body}.{mac}", padded(head)), shape),
        ("padding of the signature", format!("{head}.{body}.{}", padded(mac)), shape),
        ("padding of the claims", format!("{head}.{}.{mac}", padded(body)), TokenError::Signature),
        ("trailing blank", format!("{good} "), shape),
        ("trailing newline", format!("{good}\n"), shape),
        ("leading blank", format!(" {good}"), shape),
        ("scheme left in", format!("Bearer {good}"), shape),
        ("plus and slash of plain base64", format!("{head}.{body}.{}", "+/".repeat(21) + "A"), shape),
        ("slack bits of the signature", format!("{head}.{body}.{}{}", &mac[..42], slack.unwrap()), shape),
        ("truncated signature", format!("{head}.{body}.{}", &mac[..42]), shape),
        ("signature of zeros", format!("{head}.{body}.{}", "A".repeat(43)), TokenError::Signature),
        ("NUL inside", format!("{head}.{body}\0.{mac}"), TokenError::Signature),
        ("not ASCII", format!("{head}.{body}é.{mac}"), TokenError::Signature),
        ("swapped segments", format!("{body}.{head}.{mac}"), TokenError::Header),
        ("claims of nothing", signed(Purpose::Access, &header("at+jwt"), ""), shape),
        ("signed claims that are no base64", signed_text(&format!("{head}.{body}=")), shape),
        ("over 8 KiB", plus(&format!(r#""x":"{}""#, "a".repeat(8192))), TokenError::TooLong),
    ]);
    let room = MAX_TOKEN_BYTES - plus(r#""x":"""#).len();
    let fitting = plus(&format!(r#""x":"{}""#, "a".repeat(room * 3 / 4)));
    assert!(fitting.len() > MAX_TOKEN_BYTES - 4 && fitting.len() <= MAX_TOKEN_BYTES);
    assert_eq!(fault(&fitting), Ok(()));
}

fn signed_text(text: &str) -> String {
    let mac = ring().current().mac(Purpose::Access, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac))
}

#[test]
fn forged_signatures() {
    let json = access().to_json();
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header("at+jwt")), URL_SAFE_NO_PAD.encode(json));
    let by = |mac: &[u8]| format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac));
    let hmac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(&text).finalize().into_bytes();
    let sub_key = key(A).derive(Purpose::Access);
    assert_eq!(fault(&by(&hmac(sub_key.expose()))), Ok(()));
    let sha384 = Hmac::<Sha384>::new_from_slice(sub_key.expose()).unwrap().chain_update(&text).finalize().into_bytes();
    let sha512 = Hmac::<Sha512>::new_from_slice(sub_key.expose()).unwrap().chain_update(&text).finalize().into_bytes();
    let of = |purpose: Purpose| by(&hmac(key(A).derive(purpose).expose()));
    refused(&[
        ("the secret itself as key", by(&hmac(A.as_bytes())), TokenError::Signature),
        ("the empty key", by(&hmac(b"")), TokenError::Signature),
        ("the kid as key", by(&hmac(key(A).kid().as_str().as_bytes())), TokenError::Signature),
        ("the refresh key", of(Purpose::Refresh), TokenError::Signature),
        ("the file key", of(Purpose::File), TokenError::Signature),
        ("the impersonation key", of(Purpose::Impersonation), TokenError::Signature),
        ("the OAuth key", of(Purpose::OAuthState), TokenError::Signature),
        ("the mail key", of(Purpose::EmailAction), TokenError::Signature),
        ("the wrapping key", of(Purpose::Wrap), TokenError::Signature),
        (
            "the same purpose of another key",
            {
                let other = key("another key that is long enough to be one").derive(Purpose::Access);
                by(&hmac(other.expose()))
            },
            TokenError::Signature,
        ),
        ("HMAC-SHA384", by(&sha384), TokenError::NotCompact),
        ("HMAC-SHA512", by(&sha512), TokenError::NotCompact),
        ("HMAC-SHA512 cut to 32 bytes", by(&sha512[..32]), TokenError::Signature),
    ]);
}

/// Who knows the key of one kind, and re-labels its claims, still has no token of another kind:
/// typ, key and required claims each hold alone.
#[test]
fn relabelled_kinds() {
    let purposes = [Purpose::Access, Purpose::Refresh, Purpose::File, Purpose::Impersonation];
    let typs = ["at+jwt", "rt+jwt", "ft+jwt", "it+jwt"];
    let bodies = [access().to_json(), refresh().to_json(), file().to_json(), impersonation().to_json()];
    for (k, purpose) in purposes.into_iter().enumerate() {
        for (t, typ) in typs.into_iter().enumerate() {
            for (b, body) in bodies.iter().enumerate() {
                let token = signed(purpose, &header(typ), body);
                let accepted = [
                    verify_at::<Access>(&ring(), &token, NOW).is_ok(),
                    verify_at::<Refresh>(&ring(), &token, NOW).is_ok(),
                    verify_at::<File>(&ring(), &token, NOW).is_ok(),
                    verify_at::<Impersonation>(&ring(), &token, NOW).is_ok(),
                ];
                for (kind, accepted) in accepted.into_iter().enumerate() {
                    let honest = k == kind && t == kind && b == kind;
                    assert_eq!(accepted, honest, "{purpose:?} {typ} {body} as kind {kind}");
                }
            }
        }
    }
}
