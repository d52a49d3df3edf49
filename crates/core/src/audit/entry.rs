//! What an operation says about what it did: the event, the thing it happened to, and what was before and after. No secret gets in.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use super::event::Event;
use crate::error::Error;

/// Bytes of `details`; larger ones are left out, with a note that they were.
pub const MAX_DETAILS: usize = 16 * 1024;
/// Characters of every other text.
pub const MAX_TEXT: usize = 512;

/// What stands in the place of a secret.
pub const MASK: &str = "******";

/// Parts of the names under which secrets go.
const SECRET_NAMES: [&str; 13] = [
    "password",
    "secret",
    "token",
    "credential",
    "private",
    "passphrase",
    "api_key",
    "apikey",
    "cookie",
    "otp",
    "hash",
    "digest",
    "_code",
];

/// One event, said by whoever made it happen.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) event: Event,
    pub(super) resource: Option<(&'static str, String)>,
    pub(super) account: Option<(Option<String>, Option<String>)>,
    pub(super) details: Map<String, Json>,
    pub(super) error: Option<String>,
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self { event, resource: None, account: None, details: Map::new(), error: None }
    }
}

impl Event {
    /// The event, and the thing that it happened to: `user`, `collection`, `record`, …, and its id.
    pub fn on(self, kind: &'static str, id: impl Into<String>) -> Entry {
        Entry::from(self).on(kind, id)
    }

    /// The event, of somebody who has not signed in: see [`Entry::of_account`].
    pub fn of_account(self, id: Option<&str>, email: Option<&str>) -> Entry {
        Entry::from(self).of_account(id, email)
    }

    /// The event, and a detail of it.
    pub fn with(self, name: &str, value: impl Into<Json>) -> Entry {
        Entry::from(self).with(name, value)
    }
}

impl Entry {
    /// The thing that it happened to.
    pub fn on(mut self, kind: &'static str, id: impl Into<String>) -> Self {
        self.resource = Some((kind, id.into()));
        self
    }

    /// Whose event it is, where nobody has signed in yet: the account that was tried, or just made. Without this it is the caller's.
    pub fn of_account(mut self, id: Option<&str>, email: Option<&str>) -> Self {
        self.account = Some((id.map(str::to_owned), email.map(str::to_owned)));
        self
    }

    /// A detail. Under a name of secrets only that there was one is kept.
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.details.insert(name.to_owned(), masked(name, value.into()));
        self
    }

    /// What was before and what is after: of two objects only the members that differ.
    pub fn change(self, before: Json, after: Json) -> Self {
        let (before, after) = match (before, after) {
            (Json::Object(before), Json::Object(after)) => difference(&before, &after),
            other => other,
        };
        self.with("before", before).with("after", after)
    }

    /// Why it failed.
    pub fn error(mut self, error: &Error) -> Self {
        self.error = Some(match error {
            // What the database or a driver said may name values.
            Error::Internal(_) => "internal error".to_owned(),
            other => other.to_string(),
        });
        self
    }

    /// What happened.
    pub fn event(&self) -> Event {
        self.event
    }
}

fn difference(before: &Map<String, Json>, after: &Map<String, Json>) -> (Json, Json) {
    let differs = |name: &String| before.get(name) != after.get(name);
    let names: Vec<String> = before.keys().chain(after.keys()).filter(|name| differs(name)).cloned().collect();
    let only = |of: &Map<String, Json>| {
        names.iter().filter_map(|name| of.get(name).map(|value| (name.clone(), value.clone()))).collect()
    };
    (Json::Object(only(before)), Json::Object(only(after)))
}

/// The value with everything masked that goes under a name of secrets, at any depth.
fn masked(name: &str, value: Json) -> Json {
    match value {
        Json::Null | Json::Bool(_) => value,
        _ if is_secret(name) => MASK.into(),
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name.clone(), masked(&name, value))).collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(|item| masked(name, item)).collect()),
        other => other,
    }
}

fn is_secret(name: &str) -> bool {
    let folded = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| folded.contains(secret))
}

/// A text cut to [`MAX_TEXT`] characters, without what could steer a terminal or break a line.
pub(super) fn tamed(text: &str) -> Cow<'_, str> {
    // The usual case, in every row: nothing to take out, and no more bytes than it may have characters.
    if text.len() <= MAX_TEXT && !text.chars().any(char::is_control) {
        return text.into();
    }
    text.chars().filter(|character| !character.is_control()).take(MAX_TEXT).collect::<String>().into()
}

/// What is known of the actor and the details of an event as one object; where both have a name, the event has its way.
pub(super) struct Together<'a>(pub &'a [(&'static str, Cow<'a, str>)], pub &'a Map<String, Json>);

impl Together<'_> {
    fn of_actor(&self) -> impl Iterator<Item = &(&'static str, Cow<'_, str>)> {
        self.0.iter().filter(|(name, _)| !self.1.contains_key(*name))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty() && self.1.is_empty()
    }
}

impl Serialize for Together<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for (name, text) in self.of_actor() {
            members.serialize_entry(name, text)?;
        }
        for (name, value) in self.1 {
            members.serialize_entry(name, value)?;
        }
        members.end()
    }
}

/// The details as JSON; `None` where there are none.
pub(super) fn written(details: &Together<'_>) -> Option<String> {
    if details.is_empty() {
        return None;
    }
    // No map of texts can fail to be written.
    let text = serde_json::to_string(details).ok()?;
    if text.len() <= MAX_DETAILS {
        return Some(text);
    }
    // The small members stay: who did it from where is among them.
    let of_actor = details.of_actor().map(|(name, text)| ((*name).to_owned(), Json::from(&**text)));
    let mut small: Map<String, Json> = of_actor.chain(details.1.clone()).collect();
    small.retain(|_, value| value.to_string().len() <= MAX_DETAILS / 16);
    small.insert("left_out".to_owned(), format!("{} bytes", text.len()).into());
    Some(Json::Object(small).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_at_any_depth_and_in_any_case() {
        let entry = Event::SettingChanged
            .with("smtp_Password", "hunter2")
            .with("setting", json!({"client_secret": "s", "hosts": [{"token": "t", "name": "n"}], "has_secret": true}))
            .change(json!({"apiKey": "a", "name": "x"}), json!({"apiKey": "b", "name": "x"}));
        let text = written(&Together(&[], &entry.details)).unwrap();
        for secret in ["hunter2", "\"s\"", "\"t\"", "\"a\"", "\"b\""] {
            assert!(!text.contains(secret), "{text}");
        }
        assert_eq!(entry.details["setting"]["hosts"][0]["name"], "n");
        assert_eq!(entry.details["setting"]["has_secret"], true);
        assert_eq!(entry.details["before"], json!({"apiKey": MASK}));
    }

    #[test]
    fn of_a_change_only_what_differs_is_kept() {
        let entry = Event::UserUpdated
            .on("user", "1")
            .change(json!({"name": "a", "role": "user"}), json!({"name": "b", "role": "user"}));
        assert_eq!((&entry.details["before"], &entry.details["after"]), (&json!({"name": "a"}), &json!({"name": "b"})));
    }

    #[test]
    fn details_are_bounded_and_say_so() {
        let entry = Event::CollectionUpdated.with("request_id", "r").with("before", "x".repeat(MAX_DETAILS));
        let text = written(&Together(&[], &entry.details)).unwrap();
        assert!(text.len() < 200 && text.contains("left_out") && text.contains("request_id"), "{text}");
        let fits = Event::CollectionUpdated.with("before", "x".repeat(MAX_DETAILS - r#"{"before":""}"#.len()));
        assert_eq!(written(&Together(&[], &fits.details)).unwrap().len(), MAX_DETAILS);
    }

    #[test]
    fn what_could_forge_a_line_of_a_log_is_taken_out() {
        assert_eq!(tamed("a\r\n\u{1b}[31mb\u{85}"), "a[31mb");
        assert_eq!(tamed(&"é".repeat(MAX_TEXT + 1)).chars().count(), MAX_TEXT);
    }
}
