//! The signature of a request that we send, as its receiver checks it (the Standard Webhooks convention): an HMAC over the message's
//! id, the time and the body. Where the request goes is not known here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastcms_secrets::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `webhook-signature`: `v1,` and the signature in base64.
pub fn signature(secret: &Secret<String>, id: &str, timestamp: i64, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    let mac = mac.chain_update(id).chain_update(".").chain_update(timestamp.to_string()).chain_update(".");
    format!("v1,{}", STANDARD.encode(mac.chain_update(body).finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_over_id_time_and_body() {
        let secret = Secret::new("a secret of the receiver".to_owned());
        let one = signature(&secret, "id", 1_700_000_000, b"{}");
        assert_eq!(one, "v1,F+CDr66TwOYyaXPKKy7zpliQX/zuJWTsm3gwayq/cLw=");
        let other = Secret::new("another secret".to_owned());
        for another in [
            signature(&other, "id", 1_700_000_000, b"{}"),
            signature(&secret, "di", 1_700_000_000, b"{}"),
            signature(&secret, "id", 1_700_000_001, b"{}"),
            signature(&secret, "id", 1_700_000_000, b"{ }"),
        ] {
            assert_ne!(one, another);
        }
    }
}
