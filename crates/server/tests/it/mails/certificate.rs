//! A certificate for a mail server of the tests: self-signed, for one name (RFC 5280), written by hand since it is all that is needed.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

/// `ecdsa-with-SHA256`, `id-ecPublicKey`, `prime256v1`, `id-at-commonName`, `id-ce-subjectAltName`.
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const DNS_NAME: u8 = 0x82;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// A certificate and its private key, both DER.
pub struct Certificate {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Certificate {
    /// One for this host name, from 2000 to 2049.
    pub fn for_name(name: &str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap();
        let algorithm = der(SEQUENCE, &[&der(OBJECT_ID, &[ECDSA_SHA256])]);
        let whose = der(SEQUENCE, &[&der(OBJECT_ID, &[COMMON_NAME]), &der(UTF8_STRING, &[name.as_bytes()])]);
        let whose = der(SEQUENCE, &[&der(SET, &[&whose])]);
        let validity = der(SEQUENCE, &[&der(UTC_TIME, &[b"000101000000Z"]), &der(UTC_TIME, &[b"491231235959Z"])]);
        let kind = der(SEQUENCE, &[&der(OBJECT_ID, &[EC_PUBLIC_KEY]), &der(OBJECT_ID, &[P256])]);
        let public = der(SEQUENCE, &[&kind, &der(BIT_STRING, &[&[0], pair.public_key().as_ref()])]);
        let names = der(OCTET_STRING, &[&der(SEQUENCE, &[&der(DNS_NAME, &[name.as_bytes()])])]);
        let extension = der(SEQUENCE, &[&der(OBJECT_ID, &[SUBJECT_ALT_NAME]), &names]);
        let content = der(
            SEQUENCE,
            &[
                &der(VERSION, &[&der(INTEGER, &[&[2]])]),
                &der(INTEGER, &[&[1]]),
                &algorithm,
                &whose,
                &validity,
                &whose,
                &public,
                &der(EXTENSIONS, &[&der(SEQUENCE, &[&extension])]),
            ],
        );
        let signature = pair.sign(&random, &content).unwrap();
        let certificate = der(SEQUENCE, &[&content, &algorithm, &der(BIT_STRING, &[&[0], signature.as_ref()])]);
        Self { certificate, key: key.as_ref().to_vec() }
    }
}

/// A value of this tag (X.690, definite length).
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match length {
        0..=0x7f => bytes.push(u8::try_from(length).unwrap()),
        0x80..=0xff => bytes.extend([0x81, u8::try_from(length).unwrap()]),
        _ => {
            bytes.push(0x82);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(parts.concat());
    bytes
}
