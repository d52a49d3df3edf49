//! Claims about honest tokens, and properties of all of them.

use fastcms_secrets::Secret;
use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::ids::{self, SystemRng};
use crate::keys::{PreviousKey, Purpose, Role, SecretKey};

pub(super) const ISSUER: &str = "https://cms.example";
pub(super) const AUDIENCE: &str = "fastcms:users";
pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const A: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const B: &str = "another key that is long enough to be one: 0123456789";

pub(super) fn key(text: &str) -> SecretKey {
    SecretKey::parse(Secret::new(text.to_owned())).unwrap()
}

pub(super) fn ring() -> KeyRing {
    KeyRing::single(&key(A))
}

pub(super) fn claims<K: Kind>(details: K::Details) -> Claims<K> {
    Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: "account".to_owned(),
        jti: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        iat: NOW - 10,
        exp: NOW - 10 + K::DEFAULT_LIFETIME_SECONDS,
        details,
    }
}

pub(super) fn access() -> Claims<Access> {
    claims(AccessDetails { sid: "session".to_owned(), epoch: Some(3), global_epoch: None })
}

pub(super) fn refresh() -> Claims<Refresh> {
    claims(RefreshDetails { sid: "session".to_owned(), fam: "family".to_owned() })
}

pub(super) fn file() -> Claims<File> {
    claims(FileDetails { file_id: "file".to_owned(), sid: None })
}

pub(super) fn impersonation() -> Claims<Impersonation> {
    claims(ImpersonationDetails {
        sid: "session".to_owned(),
        actor: "admin".to_owned(),
        epoch: None,
        global_epoch: Some(1),
    })
}

pub(super) fn verify_at<K: Kind>(ring: &KeyRing, token: &str, now: i64) -> Result<Verified<K>, TokenError> {
    let audience = Expected::one_of(&[AUDIENCE]);
    let now = Timestamp::from_seconds(now);
    let expected = Expected { issuer: ISSUER, audience: &audience, now, max_lifetime: K::DEFAULT_LIFETIME_SECONDS };
    verify::<K>(ring, token, &expected)
}

fn accepts<K: Kind>(token: &str) -> bool {
    verify_at::<K>(&ring(), token, NOW).is_ok()
}

#[test]
fn a_token_says_what_was_signed() {
    let ring = ring();
    let token = sign(&ring, &impersonation());
    let verified = verify_at::<Impersonation>(&ring, &token, NOW).unwrap();
    assert_eq!(verified, Verified { claims: impersonation(), kid: key(A).kid(), role: Role::Current });
    assert_eq!(verify_at::<Access>(&ring, &sign(&ring, &access()), NOW).unwrap().claims, access());
    assert_eq!(verify_at::<Refresh>(&ring, &sign(&ring, &refresh()), NOW).unwrap().claims, refresh());
    assert_eq!(verify_at::<File>(&ring, &sign(&ring, &file()), NOW).unwrap().claims, file());
}

const TOKEN_BY_PYTHON: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IlJmLVhXcnEzazZFIiwidHlwIjoiZnQrand0In0.",
    "eyJpc3MiOiJodHRwczovL2Ntcy5leGFtcGxlIiwiYXVkIjoiZmFzdGNtczp1c2VycyIsInN1YiI6ImFjY291bnQiLCJmaWxlX2lk",
    "IjoiZmlsZSIsImp0aSI6IkFBQUFBQUFBQUFBQUFBQUFBQUFBQUEiLCJpYXQiOjE3OTk5OTk5OTAsImV4cCI6MTgwMDAwMDExMH0.",
    "6-q9fgyN-cY9Mp1EskMh2xknNhj51YEoKZcV6ecMGdE",
);

/// Computed with Python's `hmac` from the sub-key of the contract.
#[test]
fn the_text_of_a_token_is_that_of_any_jwt_library() {
    assert_eq!(sign(&ring(), &file()), TOKEN_BY_PYTHON);
}

#[test]
fn every_kind_is_refused_as_every_other() {
    let ring = ring();
    let tokens = [sign(&ring, &access()), sign(&ring, &refresh()), sign(&ring, &file()), sign(&ring, &impersonation())];
    for (index, token) in tokens.iter().enumerate() {
        let accepted = [
            accepts::<Access>(token),
            accepts::<Refresh>(token),
            accepts::<File>(token),
            accepts::<Impersonation>(token),
        ];
        let mut own = [false; 4];
        own[index] = true;
        assert_eq!(accepted, own, "{token}");
    }
    let typs = tokens.each_ref().map(|token| claimed_typ(token));
    assert_eq!(typs, [Some(Typ::Access), Some(Typ::Refresh), Some(Typ::File), Some(Typ::Impersonation)]);
    assert_eq!(claimed_typ("junk"), None);
}

#[test]
fn a_rotation_keeps_tokens_until_their_key_leaves() {
    let (a, b) = (key(A), key(B));
    let token = sign(&KeyRing::single(&a), &refresh());
    let role = |ring: &KeyRing| verify_at::<Refresh>(ring, &token, NOW).map(|verified| verified.role);
    let previous = PreviousKey { key: a.clone(), seen_previous_at: Some(Timestamp::from_seconds(NOW)) };
    assert_eq!(role(&KeyRing::new(&b, [], [a])), Ok(Role::Next));
    let rotating = KeyRing::new(&b, [previous], []);
    assert_eq!(role(&rotating), Ok(Role::Previous));
    assert_eq!(role(&KeyRing::single(&b)), Err(TokenError::UnknownKey));
    let fresh = sign(&rotating, &refresh());
    assert_eq!(verify_at::<Refresh>(&rotating, &fresh, NOW).unwrap().kid, b.kid());
}

#[test]
fn under_a_previous_key_nothing_counts_that_was_issued_over_an_hour_after() {
    let retired = NOW - 7200;
    let previous = PreviousKey { key: key(A), seen_previous_at: Some(Timestamp::from_seconds(retired)) };
    let ring = KeyRing::new(&key(B), [previous], []);
    let issued = |iat| {
        let claims = Claims { iat, exp: iat + 86_400, ..refresh() };
        let token = sign_with(&ring, &key(A).kid(), &claims).unwrap();
        verify_at::<Refresh>(&ring, &token, NOW).map(|_| ())
    };
    assert_eq!(issued(retired - 1), Ok(()));
    assert_eq!(issued(retired + 3600), Ok(()));
    assert_eq!(issued(retired + 3601), Err(TokenError::CutOff));
}

#[test]
fn a_token_can_be_made_again_from_what_is_stored_of_it() {
    let before = sign(&KeyRing::single(&key(A)), &refresh());
    let previous = PreviousKey { key: key(A), seen_previous_at: None };
    let after = KeyRing::new(&key(B), [previous], []);
    assert_eq!(sign_with(&after, &key(A).kid(), &refresh()).unwrap(), before);
    let gone = KeyRing::single(&key(B));
    assert_eq!(sign_with(&gone, &key(A).kid(), &refresh()), Err(TokenError::UnknownKey));
}

#[test]
fn leeway_is_60_seconds_on_each_side() {
    let token = sign(&ring(), &access());
    let (iat, exp) = (access().iat, access().exp);
    let at = |now| verify_at::<Access>(&ring(), &token, now).map(|_| ());
    assert_eq!(at(iat - 61), Err(TokenError::NotYet));
    assert_eq!(at(iat - 60), Ok(()));
    assert_eq!(at(exp + 59), Ok(()));
    assert_eq!(at(exp + 60), Err(TokenError::Expired));
    assert_eq!(at(i64::MAX / 1000), Err(TokenError::Expired));
}

#[test]
fn a_lifetime_is_positive_and_at_most_that_of_the_kind() {
    let lived = |seconds| {
        let claims = Claims { exp: access().iat + seconds, ..access() };
        verify_at::<Access>(&ring(), &sign(&ring(), &claims), NOW).map(|_| ())
    };
    assert_eq!(lived(900), Ok(()));
    assert_eq!(lived(901), Err(TokenError::Lifetime));
    assert_eq!(lived(0), Err(TokenError::Lifetime));
    assert_eq!(lived(-1), Err(TokenError::Lifetime));
}

#[test]
fn text_of_any_kind_survives_in_claims() {
    let claims = Claims { sub: "\"quoted\" \\ \u{0} é 🦀 \u{2028}".to_owned(), ..access() };
    let verified = verify_at::<Access>(&ring(), &sign(&ring(), &claims), NOW).unwrap();
    assert_eq!(verified.claims, claims);
}

proptest! {
    #[test]
    fn no_text_is_a_token_or_a_panic(text in "\\PC{0,200}|([A-Za-z0-9_=-]{0,60}\\.){0,5}[A-Za-z0-9_-]{0,60}") {
        prop_assert!(!accepts::<Access>(&text));
        let _ = claimed_typ(&text);
    }

    #[test]
    fn no_claims_panic_even_signed(json in "\\PC{0,80}|\\{(\"(iss|exp|act|x)\":(1|\\[\\]|\\{\\}|\"a\"),?){0,6}\\}") {
        let token = forged::signed(Purpose::Access, &forged::header("at+jwt"), &json);
        prop_assert!(!accepts::<Access>(&token));
    }

    #[test]
    fn no_mutation_of_a_token_is_accepted(at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3) {
        let token = sign(&ring(), &access());
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => { bytes.remove(at); }
        }
        let Ok(mutated) = String::from_utf8(bytes) else { return Ok(()) };
        prop_assert_eq!(accepts::<Access>(&mutated), mutated == token);
    }

    #[test]
    fn no_splice_of_two_tokens_is_accepted(which in prop::array::uniform3(0_usize..4)) {
        let ring = ring();
        let other = Claims { sub: "other".to_owned(), ..access() };
        let tokens =
            [sign(&ring, &access()), sign(&ring, &other), sign(&ring, &refresh()), sign(&ring, &impersonation())];
        let part = |index: usize| tokens[which[index]].split('.').nth(index).unwrap_or_default();
        let spliced = [part(0), part(1), part(2)].join(".");
        prop_assert_eq!(accepts::<Access>(&spliced), tokens[..2].contains(&spliced));
    }
}

#[test]
fn ids_fit_into_claims() {
    let claims = Claims { jti: ids::token_id(&SystemRng), ..access() };
    assert!(accepts::<Access>(&sign(&ring(), &claims)));
}
