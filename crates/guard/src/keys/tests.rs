//! Claims about keys and rings.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};

use super::*;
use crate::clock::Timestamp;

const A: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const B: &str = "schlüssel mit umlaut und leerzeichen";
const C: &str = "a third key that is long enough to be one: 0123456789";

fn key(text: &str) -> SecretKey {
    SecretKey::parse(Secret::new(text.to_owned())).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Computed with Python's `hmac` and `hashlib` from the text of RFC 5869.
#[test]
fn derivation_is_that_of_the_contract_to_the_byte() {
    let vectors = [
        (
            A,
            "Rf-XWrq3k6E",
            [
                "6f300f766dadfbef0bc71f4136ceb37bc33285174cc26b94c78a81d0154ad5c5",
                "efe578b41a7102f6bf7fac83df352cefe5965dd2de9ead0166241d9ea6ce8259",
                "3d431c16f5ed55a03770b2dc308e7c11507f762f162778826dac9d6868326c07",
                "06cc1e426daa44bca1a61c7cdf6b4133572463c60650bebab6df0db8e667bc94",
                "0352e57d486299369b2a586ca778b17ad24509d0ab88ca784ffa89acaed0cb86",
                "caa56613dd556b889f29eb73d5df41b59b605a95c81c7f0dfef0a8a616f7b827",
                "7f42b12e1cadace8f8a20347efbdc7d15daf5feab782b87768ae30f397b9d0bb",
            ],
        ),
        (
            B,
            "DoLyIKl9azI",
            [
                "11c2602616162d96e749ab0c624a254ef53c7d59b338a09395b0bb4169c036dc",
                "7d21216d807ad45558b7c9078a9f3c39cc12ec3ec5ef0447b9e403071ab7da5d",
                "435d0a5ce6688e1b2d3273e04794c48b54e53667ccc71026b24d577437563ac0",
                "389b829154a4015ba25d0461148723e7119d4b93bc5e7c9d21d78f0fdff92570",
                "0b24125444fe91b360f285693cb49d4602da9a0ddd058ceb6affc58ac76f72e5",
                "f68accabc9fe022cb8f1665b8d00927d1a150b5f674509d15f2af41452266d80",
                "48fc739bfc670620a3dc54403a4bd64ec8c539a3a1baa5f3a30c095128cc8c30",
            ],
        ),
    ];
    for (text, kid, sub_keys) in vectors {
        let key = key(text);
        let ring = KeyRing::single(&key);
        assert_eq!(key.kid().as_str(), kid);
        for (purpose, expected) in Purpose::ALL.into_iter().zip(sub_keys) {
            assert_eq!(hex(key.derive(purpose).expose()), expected, "{purpose:?}");
            assert_eq!(hex(ring.current().sub_key(purpose).expose()), expected, "{purpose:?} in a ring");
        }
    }
}

#[test]
fn a_mac_of_the_ring_is_hmac_sha256_under_the_sub_key_of_its_purpose() {
    let key = key(A);
    let ring = KeyRing::single(&key);
    let mut seen = BTreeSet::new();
    for purpose in Purpose::ALL {
        let plain = Hmac::<Sha256>::new_from_slice(key.derive(purpose).expose()).unwrap();
        let expected: [u8; 32] = plain.chain_update(b"message").finalize().into_bytes().into();
        let tag = ring.current().mac(purpose, b"message");
        assert_eq!(tag, expected);
        assert!(ring.current().verify_mac(purpose, b"message", &tag));
        assert!(!ring.current().verify_mac(purpose, b"message.", &tag));
        assert!(!ring.current().verify_mac(purpose, b"message", &tag[..31]));
        assert!(!ring.current().verify_mac(purpose, b"message", &[]));
        assert!(seen.insert(tag), "two purposes share a key");
    }
}

#[test]
fn a_ring_finds_each_key_by_its_id_and_no_other() {
    let previous = PreviousKey { key: key(A), seen_previous_at: Some(Timestamp::from_seconds(5)) };
    let ring = KeyRing::new(&key(B), [previous], [key(C)]);
    let role = |text| ring.get(&key(text).kid()).map(RingKey::role);
    assert_eq!(role(A), Some(Role::Previous));
    assert_eq!(role(B), Some(Role::Current));
    assert_eq!(role(C), Some(Role::Next));
    assert_eq!(role("another key"), None);
    assert_eq!(ring.current().kid(), key(B).kid());
    assert_eq!(ring.get(&key(A).kid()).unwrap().seen_previous_at(), Some(Timestamp::from_seconds(5)));
}

#[test]
fn a_key_given_twice_counts_in_its_first_role() {
    let previous = PreviousKey { key: key(A), seen_previous_at: None };
    let ring = KeyRing::new(&key(A), [previous.clone(), previous], [key(A)]);
    assert_eq!(ring.keys().map(RingKey::role).collect::<Vec<_>>(), [Role::Current]);
}

#[test]
fn only_a_previous_key_with_a_known_moment_has_a_cut_off() {
    let seen = Timestamp::from_seconds(1000);
    let ring = KeyRing::new(
        &key(A),
        [
            PreviousKey { key: key(B), seen_previous_at: Some(seen) },
            PreviousKey { key: key(C), seen_previous_at: None },
        ],
        [],
    );
    let cut_off = |text, iat| ring.get(&key(text).kid()).unwrap().is_cut_off(iat);
    assert!(!cut_off(A, i64::MAX));
    assert!(!cut_off(B, 4600));
    assert!(cut_off(B, 4601));
    assert!(!cut_off(C, i64::MAX));
}

#[test]
fn a_key_of_wrong_format_is_no_key() {
    for (text, fault) in [
        ("", WeakKey::Empty),
        (" 0f1e2d3c4b5a6978", WeakKey::OuterWhiteSpace),
        ("0f1e2d3c4b5a6978\n", WeakKey::OuterWhiteSpace),
        ("0f1e2d3c4b5a6978\u{a0}", WeakKey::OuterWhiteSpace),
        ("0f1e2d3c,4b5a6978", WeakKey::Comma),
    ] {
        assert_eq!(SecretKey::parse(Secret::new(text.to_owned())).unwrap_err(), fault, "{text:?}");
    }
}

#[test]
fn a_weak_key_can_be_taken_but_is_told() {
    for (text, fault) in [
        ("short", WeakKey::TooShort),
        (&A[..31], WeakKey::TooShort),
        (&"ab".repeat(20), WeakKey::TooUniform),
        (&"123456789".repeat(9), WeakKey::TooUniform),
        ("changeme", WeakKey::Placeholder),
        ("CHANGE-ME-CHANGE-ME-CHANGE-ME-CHANGE-ME", WeakKey::Placeholder),
        ("your-new-secret-key-here", WeakKey::Placeholder),
        ("your-secret-key-change-this-in-production-0123", WeakKey::Placeholder),
    ] {
        assert_eq!(key(text).check_strength().unwrap_err(), fault, "{text:?}");
    }
    assert_eq!(key(&A[..32]).check_strength(), Ok(()));
    assert_eq!(key(&"1234567890".repeat(4)).check_strength(), Ok(()));
    assert_eq!(key(B).check_strength(), Ok(()));
}

#[test]
fn a_list_of_keys_drops_blanks_and_refuses_nothing_else() {
    let list = |text: &str| {
        let keys = SecretKey::parse_list(&Secret::new(text.to_owned())).unwrap();
        keys.iter().map(SecretKey::kid).collect::<Vec<_>>()
    };
    assert_eq!(list(""), []);
    assert_eq!(list(&format!("{A}, {B} ,,")), [key(A).kid(), key(B).kid()]);
}

#[test]
fn no_debug_output_shows_key_material() {
    let key = key(A);
    let ring = KeyRing::single(&key);
    let text = format!("{key:?} {ring:?} {:?}", key.derive(Purpose::Access));
    assert!(!text.contains(A) && text.contains("[secret]"), "{text}");
    assert!(!text.contains("6f300f76") && !text.contains("111, 48, 15"), "{text}");
}

#[test]
fn a_key_id_is_11_characters_of_base64url() {
    assert_eq!(Kid::parse("Rf-XWrq3k6E").unwrap().to_string(), "Rf-XWrq3k6E");
    for text in ["", "Rf-XWrq3k6", "Rf-XWrq3k6EE", "Rf+XWrq3k6E", "Rf-XWrq3k6=", "Rf-XWrq3k ö"] {
        assert_eq!(Kid::parse(text), None, "{text:?}");
    }
}
