//! The `Forwarded` header (RFC 7239 section 4).

use std::net::IpAddr;

use super::spelling;

/// What one proxy said of the hop before it.
#[derive(Default)]
pub(super) struct Element {
    node: Option<String>,
    pub proto: Option<String>,
    pub host: Option<String>,
}

impl Element {
    /// The address in `for`, if it is one (`unknown` and obfuscated names are none).
    pub(super) fn address(&self) -> Option<IpAddr> {
        spelling::node(self.node.as_deref()?)
    }
}

/// Every element of every line, the nearest proxy's last. `None` if any of it is malformed: where
/// an element ends is then anybody's guess, and the guess would be the client's to steer.
pub(super) fn parse<'h>(lines: impl IntoIterator<Item = &'h [u8]>) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    for line in lines {
        let mut rest = std::str::from_utf8(line).ok()?;
        loop {
            let (element, after) = element(rest)?;
            elements.push(element);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return None,
            }
        }
    }
    Some(elements)
}

/// One element and what follows it: nothing, or a comma and more.
fn element(text: &str) -> Option<(Element, &str)> {
    let mut element = Element::default();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let (name, after) = token(rest)?;
        let (value, after) = value(after.strip_prefix('=')?)?;
        let slot = match name.to_ascii_lowercase().as_str() {
            "for" => Some(&mut element.node),
            "proto" => Some(&mut element.proto),
            "host" => Some(&mut element.host),
            _ => None,
        };
        // A parameter occurs once in an element.
        if slot.is_some_and(|slot| slot.replace(value).is_some()) {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(';') {
            Some(next) => rest = next,
            None => return Some((element, rest)),
        }
    }
}

/// A token (RFC 9110 section 5.6.2) and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !of_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token or a quoted string, without its quotes and escapes, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, after)| (value.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            '\t' | ' '..='~' => value.push(character),
            _ => return None,
        }
    }
    None
}
