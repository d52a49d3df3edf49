//! What was sent to make or change a collection, read with every fault found at once.

use fastcms_store::Name;
use fastcms_store::schema::{CollectionKind, Field, FieldType, RULE_KINDS, RuleTexts, auth_fields, rule_key};
use serde_json::{Map, Value as Json};

use super::field;
use crate::error::{FieldErrors, Result};

/// Fields of one schema (contract 16).
pub const MAX_FIELDS: usize = 200;
/// Values of one select field.
pub const MAX_SELECT_VALUES: usize = 200;
/// Collections in all.
pub const MAX_COLLECTIONS: usize = 1_000;

/// Names that no collection may have, whatever the case (contract 7.2).
pub const RESERVED_NAMES: [&str; 20] = [
    "collections",
    "users",
    "system",
    "refresh_tokens",
    "verification_tokens",
    "password_reset_tokens",
    "api_keys",
    "oauth_accounts",
    "oauth_providers",
    "files",
    "webhooks",
    "webhook_deliveries",
    "settings",
    "plugin_settings",
    "ip_rules",
    "audit_logs",
    "request_logs",
    "backups",
    "email_templates",
    "search_indexes",
];

/// Columns of an auth collection's table that are no fields.
const ACCOUNT_COLUMNS: [&str; 3] = ["email_folded", "disabled", "must_change_password"];

/// What was sent, `None` where nothing was.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub name: Option<String>,
    pub kind: Option<CollectionKind>,
    pub fields: Option<Vec<Field>>,
    /// Where a field says what it was called before: its position, and that name.
    pub renamed: Vec<(usize, String)>,
    pub options: Option<Map<String, Json>>,
    /// Only those that were sent; the inner `None` is admins only.
    pub rules: Vec<(fastcms_expr::RuleKind, Option<String>)>,
}

impl Sent {
    /// The rules, with those sent in the place of what they were.
    pub fn rules_over(&self, before: &RuleTexts) -> RuleTexts {
        let mut rules = before.clone();
        for (kind, text) in &self.rules {
            rules.set(*kind, text.clone());
        }
        rules
    }
}

/// Reads the body of a creation or a change. What depends on the type of the collection is in [`check_fields`].
pub(super) fn read(body: &Map<String, Json>) -> Result<Sent> {
    let mut errors = FieldErrors::default();
    let mut sent = Sent::default();
    for (key, value) in body {
        if let Some(kind) = RULE_KINDS.into_iter().find(|kind| rule_key(*kind) == key) {
            match value {
                Json::Null => sent.rules.push((kind, None)),
                Json::String(text) if text.contains('\0') => {
                    errors.add(key.as_str(), "Must not contain the NUL character");
                }
                Json::String(text) => sent.rules.push((kind, Some(text.clone()))),
                _ => errors.add(key.as_str(), "Must be a string"),
            }
            continue;
        }
        match (key.as_str(), value) {
            ("name" | "type" | "schema" | "options" | "view_query", Json::Null) => {}
            ("name", Json::String(name)) => match check_name(name) {
                Ok(()) => sent.name = Some(name.clone()),
                Err(message) => errors.add("name", message),
            },
            ("type", Json::String(kind)) => match CollectionKind::of_name(kind) {
                Some(CollectionKind::View) => errors.add("type", "view collections are not available yet"),
                Some(kind) => sent.kind = Some(kind),
                None => errors.add("type", "Must be one of: base, auth, view"),
            },
            ("name" | "type", _) => errors.add(key.as_str(), "Must be a string"),
            ("schema", Json::Array(fields)) => sent.fields = Some(read_fields(fields, &mut sent.renamed, &mut errors)),
            ("schema", _) => errors.add("schema", "Must be an array of fields"),
            ("options", Json::Object(options)) => sent.options = Some(options.clone()),
            ("options", _) => errors.add("options", "Must be an object"),
            ("view_query", _) => errors.add("view_query", "Only for view collections"),
            _ => errors.add(key.as_str(), "Unknown field"),
        }
    }
    errors.into_result().map(|()| sent)
}

fn check_name(name: &str) -> Result<(), String> {
    Name::new(name).map_err(|error| capitalised(&error.to_string()))?;
    if RESERVED_NAMES.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err("This name is reserved".to_owned());
    }
    Ok(())
}

pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn read_fields(sent: &[Json], renamed: &mut Vec<(usize, String)>, errors: &mut FieldErrors) -> Vec<Field> {
    if sent.len() > MAX_FIELDS {
        errors.add("schema", format!("Must be at most {MAX_FIELDS} fields"));
        return Vec::new();
    }
    let mut fields: Vec<Field> = Vec::with_capacity(sent.len());
    for (at, json) in sent.iter().enumerate() {
        let mut faults = FieldErrors::default();
        let read = field::read(json, &mut faults);
        if let Some((field, was)) = read {
            renamed.extend(was.map(|was| (at, was)));
            if fields.iter().any(|other| other.name.eq_ignore_ascii_case(&field.name)) {
                faults.add("name", "Must be unique");
            }
            fields.push(field);
        }
        errors.nest(&format!("schema.{at}"), faults);
    }
    fields
}

/// Holds fields and options against the type of the collection.
pub(super) fn check_fields(kind: CollectionKind, fields: &[Field], options: &Map<String, Json>) -> Result<()> {
    let mut errors = FieldErrors::default();
    let system = auth_fields();
    for (at, field) in fields.iter().enumerate().filter(|_| kind == CollectionKind::Auth) {
        match system.iter().find(|system| system.name.eq_ignore_ascii_case(&field.name)) {
            Some(_) if field.encrypted => {
                errors.add(format!("schema.{at}.encrypted"), "Not for a system field");
            }
            Some(system) if system.kind != field.kind || system.name != field.name => {
                errors.add(format!("schema.{at}.name"), "This name belongs to a system field");
            }
            None if ACCOUNT_COLUMNS.iter().any(|taken| taken.eq_ignore_ascii_case(&field.name)) => {
                errors.add(format!("schema.{at}.name"), "This name is reserved");
            }
            _ => {}
        }
    }
    for (at, field) in fields.iter().enumerate() {
        let Some(name) = field.polymorphic_type_field() else { continue };
        let is_own = kind != CollectionKind::Auth || system.iter().all(|system| system.name != name);
        let names_one = fields.iter().any(|other| {
            other.name == name
                && matches!(other.kind, FieldType::Text | FieldType::Select)
                && !other.is_many()
                && !other.encrypted
        });
        if !is_own || !names_one {
            let path = format!("schema.{at}.relation.polymorphic_type_field");
            errors.add(path, "Must name a text field, or a select field with one value, of this schema");
        }
    }
    for (key, value) in options {
        let path = format!("options.{key}");
        match (kind, key.as_str(), value) {
            (CollectionKind::Auth, "identity_field", Json::Null) => {}
            (CollectionKind::Auth, "identity_field", Json::String(name)) => {
                let is_identity = fields.iter().any(|field| {
                    field.name == *name
                        && field.validation.unique
                        && field.validation.required
                        && field.kind.is_free_text()
                });
                if name != "email" && !is_identity {
                    errors.add(path, "Must name `email` or a required, unique text field");
                }
            }
            (CollectionKind::Auth, "identity_field", _) => errors.add(path, "Must be a string"),
            _ => errors.add(path, "Unknown option"),
        }
    }
    errors.into_result()
}
