//! JSON of headers and claims, read strictly: no member twice, at any depth; integers are integers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A header of exactly these members.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    pub alg: Cow<'a, str>,
    #[serde(borrow)]
    pub kid: Cow<'a, str>,
    #[serde(borrow)]
    pub typ: Cow<'a, str>,
}

/// The claims of any kind, before it is asked which of them are there. Public in a private module:
/// a sealed trait needs it.
#[derive(Debug, Default, PartialEq)]
pub struct RawClaims {
    pub iss: Option<String>,
    pub aud: Option<String>,
    pub sub: Option<String>,
    pub sid: Option<String>,
    pub fam: Option<String>,
    pub file_id: Option<String>,
    pub jti: Option<String>,
    pub iat: Option<i64>,
    pub exp: Option<i64>,
    pub nbf: Option<i64>,
    pub epoch: Option<u64>,
    pub global_epoch: Option<u64>,
    /// `act.sub`.
    pub actor: Option<String>,
}

impl Serialize for RawClaims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in [
            ("iss", &self.iss),
            ("aud", &self.aud),
            ("sub", &self.sub),
            ("sid", &self.sid),
            ("fam", &self.fam),
            ("file_id", &self.file_id),
            ("jti", &self.jti),
        ] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in [("iat", self.iat), ("exp", self.exp), ("nbf", self.nbf)] {
            if let Some(value) = value {
                map.serialize_entry(name, &value)?;
            }
        }
        for (name, value) in [("ep", self.epoch), ("gep", self.global_epoch)] {
            if let Some(value) = value {
                map.serialize_entry(name, &value)?;
            }
        }
        if let Some(actor) = &self.actor {
            map.serialize_entry("act", &Actor { sub: Cow::Borrowed(actor) })?;
        }
        map.end()
    }
}

/// The `act` claim: one actor, no chain of them (a nested `act` is refused with every other
/// member).
#[derive(serde::Serialize)]
struct Actor<'a> {
    sub: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for Actor<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not derived: a derived struct would also be read from an array.
        struct ActorVisitor;
        impl<'de> Visitor<'de> for ActorVisitor {
            type Value = Actor<'static>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the one member `sub`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut sub = None;
                while let Some(Name(name)) = map.next_key()? {
                    if name != "sub" {
                        return Err(de::Error::custom("a member other than `sub`"));
                    }
                    text(&mut map, &mut sub)?;
                }
                sub.map(|sub| Actor { sub: Cow::Owned(sub) }).ok_or_else(|| de::Error::missing_field("sub"))
            }
        }
        deserializer.deserialize_map(ActorVisitor)
    }
}

/// A time or counter: a JSON integer that is not negative (`12.0`, `1e3`, `"12"` and `-1` are
/// none).
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;
        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(value))
            }
        }
        deserializer.deserialize_u64(WholeVisitor)
    }
}

/// An object member's name, without a copy where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(value)))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for RawClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = RawClaims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawClaims, A::Error> {
        let mut claims = RawClaims::default();
        let mut unknown: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "iss" => text(&mut map, &mut claims.iss)?,
                "aud" => text(&mut map, &mut claims.aud)?,
                "sub" => text(&mut map, &mut claims.sub)?,
                "sid" => text(&mut map, &mut claims.sid)?,
                "fam" => text(&mut map, &mut claims.fam)?,
                "file_id" => text(&mut map, &mut claims.file_id)?,
                "jti" => text(&mut map, &mut claims.jti)?,
                "iat" => time(&mut map, &mut claims.iat)?,
                "exp" => time(&mut map, &mut claims.exp)?,
                "nbf" => time(&mut map, &mut claims.nbf)?,
                "ep" => {
                    let Whole(value) = map.next_value()?;
                    once(&mut claims.epoch, value)?;
                }
                "gep" => {
                    let Whole(value) = map.next_value()?;
                    once(&mut claims.global_epoch, value)?;
                }
                "act" => {
                    let actor: Actor<'static> = map.next_value()?;
                    once(&mut claims.actor, actor.sub.into_owned())?;
                }
                // RFC 7519 section 4: claims that are not understood are ignored, so that a newer
                // node may add one.
                _ => {
                    map.next_value_seed(NoDuplicates)?;
                    remember(&mut unknown, name)?;
                }
            }
        }
        Ok(claims)
    }
}

fn once<T, E: de::Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(E::custom("a member given twice")) } else { Ok(()) }
}

fn text<'de, A: MapAccess<'de>>(map: &mut A, slot: &mut Option<String>) -> Result<(), A::Error> {
    let value = map.next_value()?;
    once(slot, value)
}

fn time<'de, A: MapAccess<'de>>(map: &mut A, slot: &mut Option<i64>) -> Result<(), A::Error> {
    let Whole(value) = map.next_value()?;
    once(slot, i64::try_from(value).map_err(|_| de::Error::custom("a time past all time"))?)
}

/// Most members of one object that is not understood; names are compared with each other, so their
/// number is bounded.
const MAX_UNKNOWN_MEMBERS: usize = 32;

fn remember<'de, E: de::Error>(names: &mut Vec<Cow<'de, str>>, name: Cow<'de, str>) -> Result<(), E> {
    if names.len() == MAX_UNKNOWN_MEMBERS || names.contains(&name) {
        return Err(E::custom("a member given twice, or too many members"));
    }
    names.push(name);
    Ok(())
}

/// Any JSON value in which no object has a member twice; the value itself is dropped.
struct NoDuplicates;

impl<'de> DeserializeSeed<'de> for NoDuplicates {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            map.next_value_seed(Self)?;
            remember(&mut names, name)?;
        }
        Ok(())
    }
}
