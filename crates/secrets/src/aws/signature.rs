//! Signature Version 4 (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>), as far as it
//! takes to ask an endpoint whose path is `/`.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;
use crate::Secret;
use crate::https::{Request, host};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The request with its signature, good for some minutes around `now`.
pub(super) fn sign<'a>(
    request: Request<'a>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Timestamp,
) -> Request<'a> {
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let mut request = request.with("x-amz-date", time.as_str());
    if let Some(token) = &credentials.session_token {
        request = request.with("x-amz-security-token", token.expose());
    }
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.expose().trim())).collect();
    let host = host(request.url);
    headers.push(("host", &host));
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().flat_map(|(name, value)| [name, ":", value, "\n"]).collect();
    let canonical = Secret::new(format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        request.url.path(),
        request.url.query().unwrap_or_default(),
        hex(&Sha256::digest(request.body.expose())),
    ));
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical.expose())));

    let first = Secret::new(format!("AWS4{}", credentials.secret_access_key.expose()));
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(Secret::new(first.expose().clone().into_bytes()), |key, part| Secret::new(mac(key.expose(), part)));
    let signature = hex(&mac(key.expose(), &to_sign));
    let id = credentials.access_key_id.expose();
    request.with(
        "authorization",
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"),
    )
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    /// The example of AWS's own documentation of the algorithm: `ListUsers` of IAM.
    #[test]
    fn the_signature_is_that_of_the_documentation() {
        let url = Url::parse("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08").unwrap();
        let request = Request::get(&url).with("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let credentials = Credentials {
            access_key_id: Secret::new("AKIDEXAMPLE".to_owned()),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: None,
            until: None,
        };
        let signed = sign(request, &credentials, "us-east-1", "iam", "2015-08-30T12:36:00Z".parse().unwrap());
        let (_, value) = signed.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        assert_eq!(
            value.expose(),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }
}
