//! Forged headers: another algorithm, another kind, another key, a key sent along.

use super::*;

#[test]
fn forged_headers() {
    let kid = key(A).kid();
    let alg = |alg: &str| with_header(&format!(r#"{{"alg":{alg},"kid":"{kid}","typ":"at+jwt"}}"#));
    let plus = |member: &str| with_header(&format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"at+jwt",{member}}}"#));
    let typ = |typ: &str| with_header(&header(typ));
    let named = |kid: &str| with_header(&format!(r#"{{"alg":"HS256","kid":{kid},"typ":"at+jwt"}}"#));
    refused(&[
        ("alg none", alg(r#""none""#), TokenError::Algorithm),
        ("alg None", alg(r#""None""#), TokenError::Algorithm),
        ("alg nOnE", alg(r#""nOnE""#), TokenError::Algorithm),
        ("alg empty", alg(r#""""#), TokenError::Algorithm),
        ("alg hs256", alg(r#""hs256""#), TokenError::Algorithm),
        ("alg with a blank", alg(r#""HS256 ""#), TokenError::Algorithm),
        ("alg HS384", alg(r#""HS384""#), TokenError::Algorithm),
        ("alg HS512", alg(r#""HS512""#), TokenError::Algorithm),
        ("alg RS256", alg(r#""RS256""#), TokenError::Algorithm),
        ("alg ES256", alg(r#""ES256""#), TokenError::Algorithm),
        ("alg dir", alg(r#""dir""#), TokenError::Algorithm),
        ("alg null", alg("null"), TokenError::Header),
        ("alg number", alg("256"), TokenError::Header),
        ("alg list", alg(r#"["HS256"]"#), TokenError::Header),
        ("no alg", with_header(&format!(r#"{{"kid":"{kid}","typ":"at+jwt"}}"#)), TokenError::Header),
        ("no kid", with_header(r#"{"alg":"HS256","typ":"at+jwt"}"#), TokenError::Header),
        ("no typ", with_header(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#)), TokenError::Header),
        ("alg twice", plus(r#""alg":"HS256""#), TokenError::Header),
        ("alg twice, once escaped", plus(r#""\u0061lg":"none""#), TokenError::Header),
        ("typ twice", plus(r#""typ":"rt+jwt""#), TokenError::Header),
        ("kid twice", plus(&format!(r#""kid":"{kid}""#)), TokenError::Header),
        ("crit unknown", plus(r#""crit":["x"],"x":1"#), TokenError::Header),
        ("crit empty", plus(r#""crit":[]"#), TokenError::Header),
        ("b64 false", plus(r#""b64":false"#), TokenError::Header),
        ("zip", plus(r#""zip":"DEF""#), TokenError::Header),
        ("jku", plus(r#""jku":"http://127.0.0.1:1/jwks""#), TokenError::Header),
        ("x5u", plus(r#""x5u":"http://127.0.0.1:1/cert""#), TokenError::Header),
        ("jwk", plus(r#""jwk":{"kty":"oct","k":"AA"}"#), TokenError::Header),
        ("x5c", plus(r#""x5c":["AA"]"#), TokenError::Header),
        ("an array of the values", with_header(&format!(r#"["HS256","{kid}","at+jwt"]"#)), TokenError::Header),
        ("no JSON", with_header("HS256"), TokenError::Header),
        ("something after it", with_header(&format!("{}{{}}", header("at+jwt"))), TokenError::Header),
        ("a byte order mark", with_header(&format!("\u{feff}{}", header("at+jwt"))), TokenError::Header),
        ("typ JWT", typ("JWT"), TokenError::Kind),
        ("typ at+JWT", typ("at+JWT"), TokenError::Kind),
        ("typ with its tree", typ("application/at+jwt"), TokenError::Kind),
        ("typ of refresh", typ("rt+jwt"), TokenError::Kind),
        ("typ of file", typ("ft+jwt"), TokenError::Kind),
        ("typ of impersonation", typ("it+jwt"), TokenError::Kind),
        ("typ id token", typ("id+jwt"), TokenError::Kind),
        ("kid empty", named(r#""""#), TokenError::UnknownKey),
        ("kid of another key", named(r#""AAAAAAAAAAA""#), TokenError::UnknownKey),
        ("kid with a path", named(r#""../../dev/null""#), TokenError::UnknownKey),
        ("kid with SQL", named(r#""' OR 1=1 --""#), TokenError::UnknownKey),
        ("kid in another case", named(&format!(r#""{}""#, kid.as_str().to_lowercase())), TokenError::UnknownKey),
        ("kid a number", named("0"), TokenError::Header),
        ("header too long", with_header(&format!("{}{}", header("at+jwt"), " ".repeat(400))), TokenError::Header),
    ]);
}
