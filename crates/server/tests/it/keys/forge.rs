//! A forger who knows secrets: derives keys by the labels of the contract, on its own, and writes tokens piece by piece.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// The kinds of token: header `typ` and label of the key.
pub const ACCESS: (&str, &str) = ("at+jwt", "fastcms/v1/jwt-access");
pub const REFRESH: (&str, &str) = ("rt+jwt", "fastcms/v1/jwt-refresh");
pub const FILE: (&str, &str) = ("ft+jwt", "fastcms/v1/jwt-file");
pub const IMPERSONATION: (&str, &str) = ("it+jwt", "fastcms/v1/jwt-impersonation");

/// Key of `secret` for a label.
pub fn derive<const N: usize>(secret: &str, label: &str) -> [u8; N] {
    let mut key = [0; N];
    Hkdf::<Sha256>::new(Some(b"fastcms/v1"), secret.as_bytes()).expand(label.as_bytes(), &mut key).unwrap();
    key
}

pub fn kid(secret: &str) -> String {
    base64(derive::<8>(secret, "fastcms/v1/kid"))
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn mac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// Any header and any claims under any key.
pub fn token(key: &[u8], header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let text = format!("{}.{}", base64(header), base64(claims));
    let mac = base64(mac(key, &text));
    format!("{text}.{mac}")
}

/// The header that a token of `kind` under `secret` must have.
pub fn header(secret: &str, kind: (&str, &str)) -> String {
    format!(r#"{{"alg":"HS256","kid":"{}","typ":"{}"}}"#, kid(secret), kind.0)
}

/// These claims as an honest token of `kind` under `secret`.
pub fn honest(secret: &str, kind: (&str, &str), claims: &Value) -> String {
    token(&derive::<32>(secret, kind.1), header(secret, kind), claims.to_string())
}

/// What a token says, unchecked: its header and its claims.
pub fn read(token: &str) -> (Value, Value) {
    let part = |n: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(n).expect("three segments")).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}
