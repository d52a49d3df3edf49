//! Forged claims, signed with the right key: missing, of the wrong type, given twice, out of time.

use super::*;

#[test]
fn forged_claims() {
    let claims = TokenError::Claims;
    let missing = |name: &'static str| (name, instead(name, ""), TokenError::Missing(name));
    let empty = |name: &'static str| (name, instead(name, &format!(r#""{name}":"""#)), TokenError::Missing(name));
    refused(&["iss", "aud", "sub", "sid", "jti", "iat", "exp"].map(missing));
    refused(&["iss", "aud", "sub", "sid", "jti"].map(empty));
    let iss = |value: &str| instead("iss", &format!(r#""iss":{value}"#));
    let aud = |value: &str| instead("aud", &format!(r#""aud":{value}"#));
    refused(&[
        ("another issuer", iss(r#""https://evil.example""#), TokenError::Issuer),
        ("issuer with a slash", iss(&format!(r#""{ISSUER}/""#)), TokenError::Issuer),
        ("issuer in capitals", iss(&format!(r#""{}""#, ISSUER.to_uppercase())), TokenError::Issuer),
        ("issuer as list", iss(&format!(r#"["{ISSUER}"]"#)), claims),
        ("issuer null", iss("null"), claims),
        ("another audience", aud(r#""fastcms:collection:1""#), TokenError::Audience),
        ("a longer audience", aud(&format!(r#""{AUDIENCE}x""#)), TokenError::Audience),
        ("audience as list", aud(&format!(r#"["{AUDIENCE}"]"#)), claims),
        ("audience as list of two", aud(&format!(r#"["{AUDIENCE}","x"]"#)), claims),
        ("sub a number", instead("sub", r#""sub":1"#), claims),
        ("sub null", instead("sub", r#""sub":null"#), claims),
        ("sid an object", instead("sid", r#""sid":{}"#), claims),
        ("ep negative", plus(r#""ep":-1"#), claims),
        ("ep a string", plus(r#""ep":"3""#), claims),
        ("an actor", plus(r#""act":{"sub":"admin"}"#), claims),
        ("claims an array", with_claims("[]"), claims),
        ("claims a string", with_claims(r#""x""#), claims),
        ("claims null", with_claims("null"), claims),
        ("claims no JSON", with_claims("{"), claims),
        ("claims with more after them", with_claims(format!("{}{{}}", access().to_json())), claims),
        ("claims with a comma too many", with_claims(access().to_json().replace('}', ",}")), claims),
        ("claims with a comment", with_claims(access().to_json().replace('}', "/**/}")), claims),
        ("claims not UTF-8", with_claims([b"{\"iss\":\"\xff\"}".as_slice()].concat()), claims),
        (
            "claims in UTF-16",
            with_claims(access().to_json().encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
            claims,
        ),
        ("half a surrogate", plus(r#""x":"\ud800""#), claims),
        ("nested 1000 deep", plus(&format!(r#""x":{}{}"#, "[".repeat(1000), "]".repeat(1000))), claims),
    ]);
}

#[test]
fn forged_duplicates() {
    let twice = |member: &str| (plus(member), TokenError::Claims);
    for (token, error) in [
        twice(r#""sub":"admin""#),
        twice(r#""\u0073ub":"admin""#),
        twice(&format!(r#""iss":"{ISSUER}""#)),
        twice(&format!(r#""aud":"{AUDIENCE}""#)),
        twice(&format!(r#""exp":{}"#, NOW + 900)),
        twice(&format!(r#""iat":{NOW}"#)),
        twice(r#""nbf":1,"nbf":1"#),
        twice(r#""ep":1,"ep":1"#),
        twice(r#""x":1,"x":1"#),
        twice(r#""x":1,"\u0078":2"#),
        twice(r#""x":{"y":1,"y":1}"#),
        twice(r#""x":[[{"z":1,"y":{},"z":1}]]"#),
    ] {
        assert_eq!(fault(&token), Err(error), "{token}");
    }
    let members = |count: usize| (0..count).map(|n| format!(r#""x{n}":0"#)).collect::<Vec<_>>().join(",");
    assert_eq!(fault(&plus(&members(32))), Ok(()));
    assert_eq!(fault(&plus(&members(33))), Err(TokenError::Claims));
}

#[test]
fn forged_times() {
    let exp = |value: &str| instead("exp", &format!(r#""exp":{value}"#));
    let iat = |value: &str| instead("iat", &format!(r#""iat":{value}"#));
    let (soon, past) = (NOW + 61, NOW - 60);
    refused(&[
        ("exp a string", exp(&format!(r#""{}""#, NOW + 900)), TokenError::Claims),
        ("exp a float", exp(&format!("{}.0", NOW + 900)), TokenError::Claims),
        ("exp with an exponent", exp("1800000900e0"), TokenError::Claims),
        ("exp beyond floats", exp("1e400"), TokenError::Claims),
        ("exp beyond i64", exp("9223372036854775808"), TokenError::Claims),
        ("exp beyond u64", exp("18446744073709551616"), TokenError::Claims),
        ("exp negative", exp("-1"), TokenError::Claims),
        ("exp negative zero", exp("-0"), TokenError::Claims),
        ("exp true", exp("true"), TokenError::Claims),
        ("exp null", exp("null"), TokenError::Claims),
        ("exp NaN", exp("NaN"), TokenError::Claims),
        ("exp with leading zeros", exp("01800000900"), TokenError::Claims),
        ("exp in hex", exp("0x6b49d584"), TokenError::Claims),
        ("exp past", exp(&past.to_string()), TokenError::Expired),
        ("exp 0", exp("0"), TokenError::Expired),
        ("exp in milliseconds", exp(&((NOW + 900) * 1000).to_string()), TokenError::Lifetime),
        ("exp never", exp(&i64::MAX.to_string()), TokenError::Lifetime),
        ("exp a second too late", exp(&(NOW + 901).to_string()), TokenError::Lifetime),
        ("exp before iat", exp(&(NOW - 1).to_string()), TokenError::Lifetime),
        ("iat in the future", iat(&soon.to_string()), TokenError::NotYet),
        ("iat never", iat(&i64::MAX.to_string()), TokenError::NotYet),
        ("iat 0", iat("0"), TokenError::Lifetime),
        ("iat a string", iat(&format!(r#""{NOW}""#)), TokenError::Claims),
        ("iat negative", iat("-1"), TokenError::Claims),
        ("nbf in the future", plus(&format!(r#""nbf":{soon}"#)), TokenError::NotYet),
        ("nbf a string", plus(r#""nbf":"0""#), TokenError::Claims),
        ("nbf a float", plus(r#""nbf":0.5"#), TokenError::Claims),
        ("nbf null", plus(r#""nbf":null"#), TokenError::Claims),
    ]);
}

#[test]
fn forged_actors() {
    let body = impersonation().to_json();
    let token = |act: &str| {
        let body = body.replace(r#"{"sub":"admin"}"#, act);
        verify_at::<Impersonation>(&ring(), &signed(Purpose::Impersonation, &header("it+jwt"), body), NOW)
    };
    assert!(token(r#"{"sub":"admin"}"#).is_ok());
    assert_eq!(token(r#"{"sub":""}"#).unwrap_err(), TokenError::Missing("act"));
    for act in [
        "{}",
        r#""admin""#,
        r#"["admin"]"#,
        "null",
        r#"{"sub":null}"#,
        r#"{"sub":"admin","sub":"other"}"#,
        r#"{"sub":"admin","act":{"sub":"other"}}"#,
    ] {
        assert_eq!(token(act).unwrap_err(), TokenError::Claims, "{act}");
    }
}
