//! One field of a schema as sent (contract 7.3): every option known, of its type, and of use to the field's type.

use fastcms_store::Name;
use fastcms_store::schema::{
    AutodateOptions, Cardinality, Field, FieldType, FileOptions, GeopointOptions, OnDelete, Pattern, RelationOptions,
    SYSTEM_COLUMNS, SelectOptions, Validation,
};
use serde_json::{Map, Number, Value as Json};

use super::definition::{MAX_SELECT_VALUES, capitalised};
use crate::error::FieldErrors;

/// Longest value of a select field, in characters.
const MAX_CHOICE: usize = 255;
/// Most files in one field of a record.
const MAX_FILES: u32 = 1_000;
/// Most media types, and most sizes of thumbnails, of one field.
const MAX_FILE_TEXTS: usize = 100;
/// Longest side of a thumbnail, pixels.
const MAX_THUMB_SIDE: u32 = 4_096;

/// Reads a field, and what it was called before (`renamed_from`, in a change only); faults are added under the names of its keys. `None`
/// where it has no usable name and type.
pub(super) fn read(json: &Json, errors: &mut FieldErrors) -> Option<(Field, Option<String>)> {
    let Json::Object(object) = json else {
        errors.add("type", "A field must be an object");
        return None;
    };
    let mut keys = Keys::new(object, errors);
    let name = keys.text("name");
    let kind = keys.text("type");
    let label = keys.text("label");
    let hint = keys.text("hint");
    let hidden = keys.flag("hidden").unwrap_or(false);
    keys.flag("system");
    let encrypted = keys.flag("encrypted").unwrap_or(false);
    let renamed_from = keys.text("renamed_from");
    let parts =
        ["validation", "relation", "select", "file", "geopoint", "autodate"].map(|part| (part, keys.take(part)));
    keys.finish();

    let name = name.or_else(|| missing(errors, object, "name"))?;
    let kind = kind.or_else(|| missing(errors, object, "type"))?;
    let Some(kind) = FieldType::of_name(&kind) else {
        errors.add("type", format!("Must be one of: {}", FieldType::ALL.map(FieldType::name).join(", ")));
        return None;
    };
    if let Err(error) = Name::new(name.as_str()) {
        errors.add("name", capitalised(&error.to_string()));
    }
    if SYSTEM_COLUMNS.iter().any(|taken| taken.eq_ignore_ascii_case(&name)) {
        errors.add("name", "This name belongs to a system field");
    }
    let mut field = Field { label, hint, hidden, encrypted, ..Field::new(name, kind) };
    for (part, value) in parts {
        read_part(&mut field, part, value, errors);
    }
    complete(&mut field, errors);
    Some((field, renamed_from))
}

fn missing(errors: &mut FieldErrors, object: &Map<String, Json>, key: &str) -> Option<String> {
    if object.get(key).is_none_or(Json::is_null) {
        errors.add(key, "This field is required");
    }
    None
}

fn read_part(field: &mut Field, part: &'static str, value: Option<&Json>, errors: &mut FieldErrors) {
    let Some(value) = value else { return };
    let Json::Object(object) = value else {
        errors.add(part, "Must be an object");
        return;
    };
    let fits = match part {
        "validation" => true,
        "relation" => field.kind == FieldType::Relation,
        "select" => field.kind == FieldType::Select,
        "file" => field.kind == FieldType::File,
        "geopoint" => field.kind == FieldType::Geopoint,
        _ => field.kind == FieldType::Autodate,
    };
    if !fits {
        errors.add(part, format!("Not for a field of type {}", field.kind.name()));
        return;
    }
    let mut faults = FieldErrors::default();
    let mut keys = Keys::new(object, &mut faults);
    match part {
        "validation" => field.validation = validation(&mut keys, field.kind),
        "relation" => field.relation = Some(relation(&mut keys)),
        "select" => {
            let max_select = keys.number("max_select").unwrap_or(1).max(1);
            field.select = Some(SelectOptions { values: keys.texts("values").unwrap_or_default(), max_select });
        }
        "file" => field.file = Some(file(&mut keys)),
        "geopoint" => {
            field.geopoint = Some(GeopointOptions {
                require_altitude: keys.flag("require_altitude").unwrap_or(false),
                min_lat: keys.any_number("min_lat"),
                max_lat: keys.any_number("max_lat"),
                min_lng: keys.any_number("min_lng"),
                max_lng: keys.any_number("max_lng"),
            });
        }
        "autodate" => {
            field.autodate = Some(AutodateOptions {
                on_create: keys.flag("on_create").unwrap_or(true),
                on_update: keys.flag("on_update").unwrap_or(true),
            });
        }
        _ => {}
    }
    keys.finish();
    errors.nest(part, faults);
}

fn file(keys: &mut Keys<'_, '_>) -> FileOptions {
    let unsaid = FileOptions::default();
    let options = FileOptions {
        max_size: keys.size("max_size").unwrap_or(unsaid.max_size),
        max_files: keys.number("max_files").unwrap_or(unsaid.max_files),
        mime_types: keys
            .texts("mime_types")
            .map_or(unsaid.mime_types, |types| types.iter().map(|mime_type| mime_type.to_ascii_lowercase()).collect()),
        thumbs: keys.texts("thumbs").unwrap_or(unsaid.thumbs),
    };
    if options.max_size == 0 {
        keys.fault("max_size", "Minimum value is 1");
    }
    if options.max_files == 0 {
        keys.fault("max_files", "Minimum value is 1");
    }
    if options.max_files > MAX_FILES {
        keys.fault("max_files", format!("Maximum value is {MAX_FILES}"));
    }
    if options.mime_types.is_empty() {
        keys.fault("mime_types", "This field is required");
    }
    for (key, texts) in [("mime_types", &options.mime_types), ("thumbs", &options.thumbs)] {
        if texts.len() > MAX_FILE_TEXTS {
            keys.fault(key, format!("Must be at most {MAX_FILE_TEXTS} values"));
        }
    }
    if !options.mime_types.iter().all(|text| is_mime_type(text)) {
        keys.fault("mime_types", "Each value must be a media type such as image/png");
    }
    if !options.thumbs.iter().all(|text| is_thumb(text)) {
        keys.fault("thumbs", format!("Each value must be a size such as 100x100, of at most {MAX_THUMB_SIDE} pixels"));
    }
    options
}

/// A media type (RFC 6838), without parameters.
fn is_mime_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

/// A size as a download asks for it (contract 8): `WxH`, one of them may be 0.
fn is_thumb(text: &str) -> bool {
    let side = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|side| is_number && *side <= MAX_THUMB_SIDE)
    };
    let size = text.strip_suffix(['f', 't', 'b']).unwrap_or(text).split_once('x');
    size.and_then(|(width, height)| side(width).zip(side(height))).is_some_and(|sides| sides != (0, 0))
}

fn validation(keys: &mut Keys<'_, '_>, kind: FieldType) -> Validation {
    let validation = Validation {
        required: keys.flag("required").unwrap_or(false),
        unique: keys.flag("unique").unwrap_or(false),
        min: keys.any_number("min"),
        max: keys.any_number("max"),
        min_length: keys.number("min_length"),
        max_length: keys.number("max_length"),
        pattern: keys.text("pattern"),
        values: keys.texts("values"),
    };
    let is_text = kind.is_free_text();
    let for_values = is_text || kind == FieldType::Select;
    for (key, is_set, fits) in [
        (
            "unique",
            validation.unique,
            !matches!(kind, FieldType::Json | FieldType::Geopoint | FieldType::File | FieldType::Autodate),
        ),
        ("required", validation.required, kind != FieldType::Autodate),
        ("min", validation.min.is_some(), kind == FieldType::Number),
        ("max", validation.max.is_some(), kind == FieldType::Number),
        ("min_length", validation.min_length.is_some(), is_text),
        ("max_length", validation.max_length.is_some(), is_text),
        ("pattern", validation.pattern.is_some(), is_text),
        ("values", validation.values.is_some(), for_values),
    ] {
        if is_set && !fits {
            keys.fault(key, format!("Not for a field of type {}", kind.name()));
        }
    }
    if let Some(Err(message)) = validation.pattern.as_deref().map(Pattern::new) {
        keys.fault("pattern", message);
    }
    let above = |low: &Option<Number>, high: &Option<Number>| match (low, high) {
        (Some(low), Some(high)) => low.as_f64() > high.as_f64(),
        _ => false,
    };
    if above(&validation.min, &validation.max) {
        keys.fault("min", "Must not be above max");
    }
    if validation.min_length.zip(validation.max_length).is_some_and(|(min, max)| min > max) {
        keys.fault("min_length", "Must not be above max_length");
    }
    validation
}

fn relation(keys: &mut Keys<'_, '_>) -> RelationOptions {
    let cardinality = match keys.text("type").as_deref() {
        None | Some("many-to-one") => Cardinality::ManyToOne,
        Some("one-to-many") => Cardinality::OneToMany,
        Some("many-to-many") => Cardinality::ManyToMany,
        Some("one-to-one") => Cardinality::OneToOne,
        Some("polymorphic") => Cardinality::Polymorphic,
        Some(_) => {
            keys.fault("type", "Must be one of: one-to-many, many-to-one, many-to-many, one-to-one, polymorphic");
            Cardinality::ManyToOne
        }
    };
    let max_depth = keys.number("max_depth").unwrap_or(1);
    if max_depth > 5 {
        keys.fault("max_depth", "Maximum value is 5");
    }
    let options = RelationOptions {
        collection: keys.text("collection"),
        collection_id: keys.text("collection_id"),
        cardinality,
        cascade_delete: on_delete(keys),
        display_fields: keys.texts("display_fields").unwrap_or_else(|| vec!["id".to_owned()]),
        max_depth: u8::try_from(max_depth).unwrap_or(5),
        junction_table: keys.text("junction_table"),
        junction_field: keys.text("junction_field"),
        target_field: keys.text("target_field"),
        polymorphic_type_field: keys.text("polymorphic_type_field"),
    };
    let required = if cardinality == Cardinality::Polymorphic {
        options.polymorphic_type_field.is_none().then_some("polymorphic_type_field")
    } else {
        (options.collection.is_none() && options.collection_id.is_none()).then_some("collection")
    };
    if let Some(key) = required {
        keys.fault(key, "This field is required");
    }
    options
}

fn on_delete(keys: &mut Keys<'_, '_>) -> OnDelete {
    match keys.take("cascade_delete") {
        None | Some(Json::Bool(false)) => OnDelete::Restrict,
        Some(Json::Bool(true)) => OnDelete::Cascade,
        Some(Json::String(text)) => match text.as_str() {
            "restrict" => OnDelete::Restrict,
            "cascade" => OnDelete::Cascade,
            "set_null" => OnDelete::SetNull,
            "no_action" => OnDelete::NoAction,
            _ => {
                keys.fault("cascade_delete", "Must be one of: restrict, cascade, set_null, no_action");
                OnDelete::Restrict
            }
        },
        Some(_) => {
            keys.fault("cascade_delete", "Must be a string or a boolean");
            OnDelete::Restrict
        }
    }
}

/// What only the whole field shows.
fn complete(field: &mut Field, errors: &mut FieldErrors) {
    if field.encrypted {
        use FieldType::{Autodate, File, Relation, Select};
        if matches!(field.kind, Autodate | File | Relation | Select) {
            errors.add("encrypted", format!("Not for a field of type {}", field.kind.name()));
        }
        if field.validation.unique {
            errors.add("validation.unique", "Not for an encrypted field");
        }
    }
    match field.kind {
        FieldType::Select => {
            if field.choices().is_empty() {
                errors.add("select.values", "This field is required");
            }
            if field.choices().len() > MAX_SELECT_VALUES {
                errors.add("select.values", format!("Must be at most {MAX_SELECT_VALUES} values"));
            }
            let choices = field.choices();
            if choices
                .iter()
                .any(|choice| choice.is_empty() || choice.contains('\0') || choice.chars().count() > MAX_CHOICE)
            {
                errors.add("select.values", format!("Each value must have 1 to {MAX_CHOICE} characters"));
            }
            if field.is_many() && field.validation.unique {
                errors.add("validation.unique", "Not for a field with several values");
            }
        }
        FieldType::Relation => {
            if field.relation.is_none() {
                errors.add("relation", "This field is required");
            }
            if field.relation.as_ref().is_some_and(|relation| relation.cardinality == Cardinality::OneToOne) {
                field.validation.unique = true;
            }
            if field.is_many() && field.validation.unique {
                errors.add("validation.unique", "Not for a field with several values");
            }
        }
        FieldType::Autodate if field.autodate.is_none() => field.autodate = Some(AutodateOptions::default()),
        _ => {}
    }
}

/// Takes the keys out of an object one by one; what is left at the end is unknown.
struct Keys<'a, 'e> {
    object: &'a Map<String, Json>,
    known: Vec<&'static str>,
    errors: &'e mut FieldErrors,
}

impl<'a, 'e> Keys<'a, 'e> {
    fn new(object: &'a Map<String, Json>, errors: &'e mut FieldErrors) -> Self {
        Self { object, known: Vec::new(), errors }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Json> {
        self.known.push(key);
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.errors.add(key, message);
    }

    fn read<T>(&mut self, key: &'static str, message: &str, read: impl Fn(&Json) -> Option<T>) -> Option<T> {
        let value = self.take(key)?;
        let read = read(value);
        if read.is_none() {
            self.fault(key, message);
        }
        read
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, "Must be a string", |value| {
            value.as_str().filter(|text| !text.contains('\0')).map(str::to_owned)
        })
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, "Must be a boolean", Json::as_bool)
    }

    fn number(&mut self, key: &'static str) -> Option<u32> {
        self.read(key, "Must be a whole number", |value| value.as_u64().and_then(|number| u32::try_from(number).ok()))
    }

    fn size(&mut self, key: &'static str) -> Option<u64> {
        self.read(key, "Must be a whole number", |value| value.as_u64().filter(|size| i64::try_from(*size).is_ok()))
    }

    fn any_number(&mut self, key: &'static str) -> Option<Number> {
        self.read(key, "Must be a number", |value| value.as_number().cloned())
    }

    fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.read(key, "Must be an array of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    fn finish(self) {
        for key in self.object.keys() {
            if !self.known.contains(&key.as_str()) {
                self.errors.add(key.as_str(), "Unknown field");
            }
        }
    }
}
