//! Claims as this product writes them: one flat object without blanks, of texts without escapes and of whole numbers. Reading those is a
//! fifth of the work of the strict reader, to which everything else is left.

use super::json::RawClaims;

/// The claims, where they are written plainly; `None` says nothing about them. What is answered is what the strict reader would.
pub(super) fn read(json: &[u8]) -> Option<RawClaims> {
    let mut rest = std::str::from_utf8(json).ok()?.strip_prefix('{')?;
    let mut claims = RawClaims::default();
    loop {
        let (name, after) = text(rest)?;
        let value = after.strip_prefix(':')?;
        rest = match name {
            "iss" => put_text(&mut claims.iss, value)?,
            "aud" => put_text(&mut claims.aud, value)?,
            "sub" => put_text(&mut claims.sub, value)?,
            "sid" => put_text(&mut claims.sid, value)?,
            "fam" => put_text(&mut claims.fam, value)?,
            "file_id" => put_text(&mut claims.file_id, value)?,
            "jti" => put_text(&mut claims.jti, value)?,
            "iat" => put_whole(&mut claims.iat, value)?,
            "exp" => put_whole(&mut claims.exp, value)?,
            "nbf" => put_whole(&mut claims.nbf, value)?,
            _ => return None,
        };
        if rest == "}" {
            return Some(claims);
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// A text without escapes, and what follows it.
fn text(json: &str) -> Option<(&str, &str)> {
    let (text, rest) = json.strip_prefix('"')?.split_once('"')?;
    let odd = text.bytes().fold(0, |odd, byte| odd | u8::from(byte == b'\\') | u8::from(byte < b' '));
    (odd == 0).then_some((text, rest))
}

fn put_text<'j>(slot: &mut Option<String>, json: &'j str) -> Option<&'j str> {
    let (value, rest) = text(json)?;
    slot.replace(value.to_owned()).is_none().then_some(rest)
}

/// A whole number of at most 18 digits, which every `i64` holds.
fn put_whole<'j>(slot: &mut Option<i64>, json: &'j str) -> Option<&'j str> {
    let digits = json.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = json.split_at(digits);
    if !(1..=18).contains(&digits) || (digits > 1 && number.starts_with('0')) {
        return None;
    }
    slot.replace(number.parse().ok()?).is_none().then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agree(json: &str) -> bool {
        let strict: Option<RawClaims> = serde_json::from_str(json).ok();
        let plain = read(json.as_bytes());
        plain.as_ref().is_none_or(|plain| strict.as_ref() == Some(plain))
    }

    #[test]
    fn what_we_write_is_plain() {
        let claims = RawClaims {
            iss: Some("https://cms.example.com".to_owned()),
            sub: Some("a".to_owned()),
            jti: Some("\u{e9}".to_owned()),
            iat: Some(1_795_341_381),
            exp: Some(0),
            ..RawClaims::default()
        };
        let json = serde_json::to_string(&claims).unwrap();
        assert_eq!(read(json.as_bytes()), Some(claims));
    }

    #[test]
    fn whatever_else_is_left_to_the_strict_reader() {
        for json in [
            "",
            "{",
            "{}",
            "[]",
            "{\"iss\":\"a\"",
            "{\"iss\":\"a\"}}",
            "{\"iss\":\"a\"},",
            "{\"iss\":\"a\",}",
            "{\"iss\": \"a\"}",
            " {\"iss\":\"a\"}",
            "{\"iss\":\"a\",\"iss\":\"a\"}",
            "{\"iss\":\"\\u0061\"}",
            "{\"i\\u0073s\":\"a\"}",
            "{\"iss\":\"a\nb\"}",
            "{\"iat\":1.0}",
            "{\"iat\":1e3}",
            "{\"iat\":-1}",
            "{\"iat\":01}",
            "{\"iat\":}",
            "{\"iat\":\"1\"}",
            "{\"iat\":1234567890123456789}",
            "{\"iss\":1}",
            "{\"ISS\":\"a\"}",
            "{\"act\":{\"sub\":\"a\"}}",
            "{\"more\":1}",
        ] {
            assert_eq!(read(json.as_bytes()), None, "{json}");
        }
        assert_eq!(read(b"{\"iss\":\"\xff\"}"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// Pieces of JSON in any order, most of them plain: never does the plain reader see what the strict one does not.
        #[test]
        fn the_plain_reader_agrees_with_the_strict_one(
            pieces in prop::collection::vec(prop::sample::select(&[
                "{", "}", ",", ":", "\"iss\"", "\"aud\"", "\"iat\"", "\"exp\"", "\"a\"", "\"\"", "1", "0", "00", "12", "\\", "\"", " ",
                "\"iss\":\"a\"", "\"iat\":7", "\"sub\":\"b\",", "{\"jti\":\"c\",", "null", "\u{1}", "9223372036854775807",
            ][..]), 0..9),
        ) {
            let json = pieces.concat();
            prop_assert!(agree(&json), "{json}");
            let wrapped = format!("{{{json}}}");
            prop_assert!(agree(&wrapped), "{wrapped}");
        }
    }
}
