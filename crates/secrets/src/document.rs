//! What a manager keeps under one name: a text, or members by name. Only what is text can be a secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Secret;
use crate::resolution::Version;
use crate::unresolved::Why;

/// One version of what is kept under a name.
pub(crate) struct Document {
    pub content: Content,
    /// What the manager calls this version.
    pub label: String,
    /// When it was written, unix seconds.
    pub created: Option<i64>,
}

/// The content of a document.
pub(crate) enum Content {
    Text(Secret<String>),
    Members(BTreeMap<String, Member>),
}

/// A member, as far as it may be a secret.
pub(crate) enum Member {
    Text(Secret<String>),
    Other,
}

impl Document {
    /// The version of the secret that is this field, or the whole text.
    pub fn version(&self, field: Option<&str>) -> Result<Version, Why> {
        let value = match (&self.content, field) {
            (Content::Text(text), None) => text.clone(),
            (Content::Text(text), Some(field)) => {
                let members: BTreeMap<String, Member> = serde_json::from_str(text.expose())
                    .map_err(|_| Why::Unusable(format!("it is no JSON object, so it has no field `{field}`")))?;
                member(&members, field)?
            }
            (Content::Members(members), Some(field)) => member(members, field)?,
            (Content::Members(_), None) => return Err(Why::Unusable("it has fields, name one".to_owned())),
        };
        if value.expose().is_empty() {
            return Err(Why::Unusable("it is empty, write the secret".to_owned()));
        }
        if value.expose().len() > crate::MAX_FILE_BYTES {
            return Err(Why::Unusable("it is larger than 64 KiB, a secret is smaller".to_owned()));
        }
        Ok(Version { value, label: self.label.clone(), created: self.created })
    }
}

fn member(members: &BTreeMap<String, Member>, field: &str) -> Result<Secret<String>, Why> {
    match members.get(field) {
        Some(Member::Text(text)) => Ok(text.clone()),
        Some(Member::Other) => Err(Why::Unusable(format!("its field `{field}` is no text"))),
        None => Err(Why::NotFound(format!("no field `{field}`"))),
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Member, E> {
                Ok(Member::Text(Secret::new(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Member, E> {
                Ok(Member::Text(Secret::new(text)))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Member, E> {
                Ok(Member::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Member, E> {
                Ok(Member::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Member, E> {
                Ok(Member::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Member, E> {
                Ok(Member::Other)
            }

            fn visit_unit<E>(self) -> Result<Member, E> {
                Ok(Member::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Member, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Member, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// A text of an answer that is a secret.
pub(crate) struct SecretText(pub Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(String::deserialize(deserializer)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        let content = Content::Text(Secret::new(text.to_owned()));
        Document { content, label: "1".to_owned(), created: None }
    }

    #[test]
    fn a_field_is_a_member_that_is_text() {
        let json = document(r#"{"a":"x","n":1,"o":{"b":[null]},"l":[1,{}],"e":"","z":null,"t":true,"f":1.5,"neg":-1}"#);
        assert_eq!(json.version(Some("a")).unwrap().value.expose(), "x");
        for other in ["n", "o", "l", "z", "t", "f", "neg", "e"] {
            assert!(matches!(json.version(Some(other)), Err(Why::Unusable(_))), "{other}");
        }
        assert!(matches!(json.version(Some("none")), Err(Why::NotFound(_))));
        assert_eq!(document("just text").version(None).unwrap().value.expose(), "just text");
        assert!(matches!(document("just text").version(Some("a")), Err(Why::Unusable(_))));
    }

    #[test]
    fn an_empty_secret_and_a_huge_one_are_none() {
        assert!(matches!(document("").version(None), Err(Why::Unusable(_))));
        assert!(document(&"a".repeat(crate::MAX_FILE_BYTES)).version(None).is_ok());
        assert!(matches!(document(&"a".repeat(crate::MAX_FILE_BYTES + 1)).version(None), Err(Why::Unusable(_))));
    }
}
