//! Tokens that nobody issued: each differs from an honest one in one thing, and is signed with the right key where that makes it harder.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha384, Sha512};

use super::KEY_B;
use super::forge::{self, ACCESS, FILE, IMPERSONATION, REFRESH, base64, derive, header, kid, token};
use crate::process::SECRET;

/// An honest token to depart from.
pub struct Model {
    pub token: String,
    /// `typ` and label of its kind.
    pub kind: (&'static str, &'static str),
    /// Unix seconds.
    pub now: i64,
    /// Where a server listens that must never be asked.
    pub trap: String,
}

impl Model {
    fn claims(&self) -> Value {
        forge::read(&self.token).1
    }

    fn key(&self) -> [u8; 32] {
        derive(SECRET, self.kind.1)
    }

    fn header(&self) -> String {
        header(SECRET, self.kind)
    }

    /// The unchanged claims under the right key: accepted, or nothing else here proves anything.
    pub fn twin(&self) -> String {
        forge::honest(SECRET, self.kind, &self.claims())
    }

    /// This header over the honest claims, signed.
    fn headed(&self, header: impl AsRef<[u8]>) -> String {
        token(&self.key(), header, self.claims().to_string())
    }

    /// These claims under the honest header, signed.
    fn claiming(&self, claims: impl AsRef<[u8]>) -> String {
        token(&self.key(), self.header(), claims)
    }

    /// The honest claims with one member changed, or taken away.
    fn with(&self, name: &str, value: Option<Value>) -> String {
        let mut claims = self.claims();
        let members = claims.as_object_mut().unwrap();
        match value {
            Some(value) => drop(members.insert(name.to_owned(), value)),
            None => assert!(members.remove(name).is_some(), "no claim `{name}` to leave out"),
        }
        self.claiming(claims.to_string())
    }

    /// The honest claims with a member written as `text`, which need not be JSON that a writer of JSON would give.
    fn written(&self, name: &str, text: &str) -> String {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove(name);
        let rest = claims.to_string();
        self.claiming(format!("{{\"{name}\":{text},{}", &rest[1..]))
    }

    /// The honest claims with one more member behind them.
    fn and(&self, member: &str) -> String {
        let claims = self.claims().to_string();
        self.claiming(format!("{},{member}}}", &claims[..claims.len() - 1]))
    }

    /// The honest header with one more member.
    fn header_and(&self, member: &str) -> String {
        let header = self.header();
        self.headed(format!("{},{member}}}", &header[..header.len() - 1]))
    }
}

/// Everything a forger may try, with what it is.
pub fn forged(model: &Model) -> Vec<(String, String)> {
    let mut all = Vec::new();
    headers(model, &mut all);
    keys(model, &mut all);
    claims(model, &mut all);
    times(model, &mut all);
    shapes(model, &mut all);
    assert!(all.len() >= 80, "{} forged tokens", all.len());
    all
}

type Corpus = Vec<(String, String)>;

fn headers(model: &Model, all: &mut Corpus) {
    let (kid, typ) = (kid(SECRET), model.kind.0);
    for alg in
        ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"]
    {
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#);
        all.push((format!("alg `{alg}`, signed"), model.headed(&header)));
        let unsigned = format!("{}.{}.", base64(&header), base64(model.claims().to_string()));
        all.push((format!("alg `{alg}`, signature empty"), unsigned));
    }
    for alg in ["null", "256", r#"["HS256"]"#, r#"{"HS256":1}"#, "true"] {
        all.push((format!("alg {alg}"), model.headed(format!(r#"{{"alg":{alg},"kid":"{kid}","typ":"{typ}"}}"#))));
    }
    all.push(("no alg".into(), model.headed(format!(r#"{{"kid":"{kid}","typ":"{typ}"}}"#))));
    all.push(("no kid".into(), model.headed(format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#))));
    all.push(("no typ".into(), model.headed(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#))));
    for typ in ["JWT", "jwt", "", "at+jwt;a=b", "application/at+jwt", "AT+JWT", " at+jwt"] {
        all.push((format!("typ `{typ}`"), model.headed(format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"{typ}"}}"#))));
    }
    for kind in [ACCESS, REFRESH, FILE, IMPERSONATION].iter().filter(|kind| kind.0 != typ) {
        all.push((format!("typ of {}, own key", kind.0), model.headed(header(SECRET, *kind))));
    }
    let trap = &model.trap;
    for member in [
        format!(r#""jku":"http://{trap}/jwks.json""#),
        format!(r#""x5u":"http://{trap}/cert.pem""#),
        r#""jwk":{"kty":"oct","k":"AAAA"}"#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
        r#""crit":["exp"]"#.to_owned(),
        r#""crit":["b64"],"b64":false"#.to_owned(),
        r#""crit":[]"#.to_owned(),
        r#""zip":"DEF""#.to_owned(),
        r#""cty":"JWT""#.to_owned(),
        r#""enc":"A256GCM""#.to_owned(),
        r#""alg":"HS256""#.to_owned(),
        format!(r#""kid":"{kid}""#),
        format!(r#""typ":"{typ}""#),
    ] {
        all.push((format!("header with {member}"), model.header_and(&member)));
    }
    all.push(("header that is an array".into(), model.headed(format!(r#"["HS256","{kid}","{typ}"]"#))));
    all.push(("header that is no JSON".into(), model.headed("HS256")));
}

fn keys(model: &Model, all: &mut Corpus) {
    let claims = model.claims().to_string();
    let typ = model.kind.0;
    for label in [
        ACCESS.1,
        REFRESH.1,
        FILE.1,
        IMPERSONATION.1,
        "fastcms/v1/oauth-state",
        "fastcms/v1/email-action",
        "fastcms/v1/wrap",
        "fastcms/v1/kid",
        "fastcms/v1",
        "",
    ] {
        if label != model.kind.1 {
            all.push((format!("key of `{label}`"), token(&derive::<32>(SECRET, label), model.header(), &claims)));
        }
    }
    all.push(("the secret itself as the key".into(), token(SECRET.as_bytes(), model.header(), &claims)));
    all.push(("an empty key".into(), token(&[], model.header(), &claims)));
    all.push(("a key of zeros".into(), token(&[0; 32], model.header(), &claims)));
    all.push(("the kid as the key".into(), token(kid(SECRET).as_bytes(), model.header(), &claims)));
    let other = derive::<32>(KEY_B, model.kind.1);
    all.push(("another key, own kid".into(), token(&other, model.header(), &claims)));
    all.push(("own key, another kid".into(), model.headed(header(KEY_B, model.kind))));
    all.push(("another key with its kid".into(), token(&other, header(KEY_B, model.kind), &claims)));
    for kid in ["", "AAAAAAAAAAA", "../../dev/null", "' OR 1=1 --", "AAAAAAAAAAAA", "http://127.0.0.1/key"] {
        all.push((format!("kid `{kid}`"), model.headed(format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"{typ}"}}"#))));
    }
    all.push(("kid as number".into(), model.headed(format!(r#"{{"alg":"HS256","kid":1,"typ":"{typ}"}}"#))));
    let text = format!("{}.{}", base64(model.header()), base64(&claims));
    let long = Hmac::<Sha512>::new_from_slice(&model.key()).unwrap().chain_update(&text).finalize().into_bytes();
    all.push(("MAC of SHA-512".into(), format!("{text}.{}", base64(long))));
    all.push(("MAC of SHA-512, cut to 32 bytes".into(), format!("{text}.{}", base64(&long[..32]))));
    let longer = Hmac::<Sha384>::new_from_slice(&model.key()).unwrap().chain_update(&text).finalize().into_bytes();
    all.push(("MAC of SHA-384".into(), format!("{text}.{}", base64(longer))));
}

fn claims(model: &Model, all: &mut Corpus) {
    let own = model.claims();
    for name in own.as_object().unwrap().keys() {
        // A file token that was made outside of any session has none.
        if (model.kind, name.as_str()) != (FILE, "sid") {
            all.push((format!("no {name}"), model.with(name, None)));
            all.push((format!("{name} null"), model.with(name, Some(Value::Null))));
        }
        all.push((format!("{name} as array"), model.with(name, Some(json!([own[name]])))));
        all.push((format!("{name} twice"), model.and(&format!(r#""{name}":{}"#, own[name]))));
    }
    let iss = own["iss"].as_str().unwrap();
    for other in [
        format!("{iss}/"),
        format!("{iss}.evil.example"),
        iss.to_uppercase(),
        "https://evil.example".into(),
        String::new(),
    ] {
        all.push((format!("iss `{other}`"), model.with("iss", Some(json!(other)))));
    }
    for other in [
        "fastcms",
        "fastcms:",
        "fastcms:user",
        "FASTCMS:USERS",
        "fastcms:users ",
        "fastcms:collection:",
        "fastcms:collection:users",
        "*",
        "",
    ] {
        all.push((format!("aud `{other}`"), model.with("aud", Some(json!(other)))));
    }
    for (name, other) in [
        ("sub", "00000000-0000-7000-8000-000000000000"),
        ("sub", ""),
        ("sid", "00000000-0000-7000-8000-000000000000"),
        ("sid", "' OR 1=1"),
        ("file_id", "00000000-0000-7000-8000-000000000000"),
        ("file_id", "../app.db"),
        ("file_id", ""),
    ] {
        if own.get(name).is_some() {
            all.push((format!("{name} `{other}`"), model.with(name, Some(json!(other)))));
        }
    }
    if model.kind == ACCESS {
        all.push(("an actor in an access token".into(), model.with("act", Some(json!({"sub": own["sub"]})))));
    }
    if model.kind == IMPERSONATION {
        actors(model, all);
    }
    all.push(("claims that are an array".into(), model.claiming("[1]")));
    all.push(("claims that are a text".into(), model.claiming("\"sub\"")));
    all.push(("claims that are empty".into(), model.claiming("")));
    all.push(("claims with more behind them".into(), model.claiming(format!("{own}{own}"))));
    all.push((
        "claims that are not UTF-8".into(),
        model.claiming([b"{\"sub\":\"\xff\xfe\",".as_slice(), &own.to_string().as_bytes()[1..]].concat()),
    ));
    all.push(("claims with a byte order mark".into(), model.claiming(format!("\u{feff}{own}"))));
    all.push((
        "claims nested 5000 deep".into(),
        model.and(&format!(r#""x":{}{}"#, "[".repeat(2_500), "]".repeat(2_500))),
    ));
}

/// Who acts is part of what was begun.
fn actors(model: &Model, all: &mut Corpus) {
    let own = model.claims();
    let nobody = "00000000-0000-7000-8000-000000000000";
    all.push(("another id".into(), model.with("jti", Some(json!(nobody)))));
    for act in [
        json!({}),
        json!({"sub": ""}),
        json!({"sub": nobody}),
        json!({"sub": own["sub"]}),
        json!({"sub": own["act"]["sub"], "act": own["act"]}),
        json!({"sub": own["act"]["sub"], "role": "admin"}),
        json!(own["act"]["sub"]),
    ] {
        all.push((format!("acted by {act}"), model.with("act", Some(act))));
    }
}

fn times(model: &Model, all: &mut Corpus) {
    let (now, own) = (model.now, model.claims());
    let exp = own["exp"].as_i64().unwrap();
    for text in [
        format!("\"{exp}\""),
        format!("{exp}.5"),
        format!("{exp}.0"),
        "1e400".into(),
        "-1".into(),
        "0".into(),
        "true".into(),
        "99999999999999999999".into(),
        "9223372036854775807".into(),
        (now - 61).to_string(),
        (now - 100_000).to_string(),
        own["iat"].to_string(),
        format!("{exp}e0"),
        "NaN".into(),
    ] {
        all.push((format!("exp {text}"), model.written("exp", &text)));
    }
    for text in
        [(now + 61).to_string(), format!("\"{now}\""), format!("{now}.5"), "1e400".into(), "-1".into(), "true".into()]
    {
        all.push((format!("iat {text}"), model.written("iat", &text)));
    }
    for text in [(now + 61).to_string(), format!("\"{now}\""), "1e400".into(), "[]".into()] {
        all.push((format!("nbf {text}"), model.and(&format!(r#""nbf":{text}"#))));
    }
    // A second more than the kind may live.
    let long = exp + 1 + (own["iat"].as_i64().unwrap() + lifetime(model.kind) - exp).max(0);
    all.push(("a life a second too long".into(), model.written("exp", &long.to_string())));
}

/// The longest life of a kind by default, in seconds.
fn lifetime(kind: (&str, &str)) -> i64 {
    match kind {
        ACCESS => 900,
        REFRESH => 30 * 24 * 3600,
        FILE => 300,
        _ => 86_400,
    }
}

fn shapes(model: &Model, all: &mut Corpus) {
    let token = &model.token;
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, mac] = parts[..] else { panic!("a token has three segments") };
    for (what, text) in [
        ("one segment", head.to_owned()),
        ("two segments", format!("{head}.{body}")),
        ("an empty signature", format!("{head}.{body}.")),
        ("four segments", format!("{token}.{mac}")),
        ("five segments", format!("{head}.{body}.{body}.{body}.{mac}")),
        ("no header", format!(".{body}.{mac}")),
        ("no claims", format!("{head}..{mac}")),
        ("a dot at the end", format!("{token}.")),
        ("a dot in front", format!(".{token}")),
        ("padding", format!("{token}=")),
        ("padding of the claims", format!("{head}.{body}==.{mac}")),
        ("its own scheme", format!("Bearer {token}")),
        ("something behind it", format!("{token} {token}")),
        ("a comma behind it", format!("{token},{token}")),
        ("header and claims swapped", format!("{body}.{head}.{mac}")),
        ("another token's signature", format!("{head}.{body}.{}", base64([7; 32]))),
        ("9 KiB", model.and(&format!(r#""x":"{}""#, "x".repeat(6_900)))),
        ("a signature of 9 KiB", format!("{head}.{body}.{}", "A".repeat(9 * 1024))),
    ] {
        all.push((what.to_owned(), text));
    }
    for at in [1, token.len() / 3, token.len() / 2, token.len() - 43, token.len() - 1] {
        all.push((format!("cut after {at}"), token[..at].to_owned()));
    }
    // One bit each, in header, claims and signature (not in the two last bits, which carry nothing).
    for at in [
        0,
        head.len() / 2,
        head.len() + 2,
        head.len() + body.len() / 2,
        token.len() - 43,
        token.len() - 20,
        token.len() - 2,
    ] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        if bytes != token.as_bytes() {
            all.push((format!("another letter at {at}"), String::from_utf8(bytes).unwrap()));
        }
    }
}
