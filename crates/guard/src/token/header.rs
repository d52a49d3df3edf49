//! The header of a token: exactly `alg`, `kid` and `typ`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Kind, TokenError, Typ, json};
use crate::keys::{KeyRing, Kid, RingKey};

/// Longest header segment read, in characters: ours have 75, other spacing and escapes need a few more.
const MAX_LENGTH: usize = 512;

const BEGINNING: &[u8] = br#"{"alg":"HS256","kid":""#;
const MIDDLE: &[u8] = br#"","typ":""#;
const END: &[u8] = br#""}"#;

/// A header segment as this product writes it, made without an allocation: one is compared with every token that comes.
pub(super) struct Segment {
    text: [u8; 96],
    length: usize,
}

impl Segment {
    /// The segment of tokens of kind `K` under the key `kid`.
    pub(super) fn of<K: Kind>(kid: &Kid) -> Self {
        let (mut json, mut end) = ([0; 72], 0);
        for part in [BEGINNING, kid.as_str().as_bytes(), MIDDLE, K::TYP.as_str().as_bytes(), END] {
            json[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        let mut text = [0; 96];
        let length = URL_SAFE_NO_PAD.encode_slice(&json[..end], &mut text).expect("72 bytes are 96 characters");
        Self { text, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("base64url is ASCII")
    }
}

/// What a header says.
pub(super) struct Header {
    pub(super) kid: Kid,
    pub(super) typ: Typ,
}

impl Header {
    pub(super) fn read(segment: &str) -> Result<Self, TokenError> {
        if segment.len() > MAX_LENGTH {
            return Err(TokenError::Header);
        }
        let mut buffer = [0; MAX_LENGTH];
        let length = URL_SAFE_NO_PAD.decode_slice(segment, &mut buffer).map_err(|_| TokenError::NotCompact)?;
        let buffer = &buffer[..length];
        // serde would read a struct from an array as well.
        if buffer.trim_ascii_start().first() != Some(&b'{') {
            return Err(TokenError::Header);
        }
        let raw: json::Header<'_> = serde_json::from_slice(buffer).map_err(|_| TokenError::Header)?;
        if raw.alg != "HS256" {
            return Err(TokenError::Algorithm);
        }
        let typ = Typ::parse(&raw.typ).ok_or(TokenError::Kind)?;
        // A kid of another shape is just one that no key of ours has.
        let kid = Kid::parse(&raw.kid).ok_or(TokenError::UnknownKey)?;
        Ok(Self { kid, typ })
    }
}

/// The key that a token of kind `K` with this header segment names.
///
/// A segment that is letter by letter what we write for a key of the ring needs no reading; whatever else comes is read strictly.
pub(super) fn key<'r, K: Kind>(ring: &'r KeyRing, segment: &str) -> Result<&'r RingKey, TokenError> {
    let is_ours = |key: &&RingKey| Segment::of::<K>(&key.kid()).as_bytes() == segment.as_bytes();
    if let Some(key) = ring.keys().find(is_ours) {
        return Ok(key);
    }
    let header = Header::read(segment)?;
    if header.typ != K::TYP {
        return Err(TokenError::Kind);
    }
    ring.get(&header.kid).ok_or(TokenError::UnknownKey)
}
