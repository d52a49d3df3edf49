//! Values of a field that changes its type. A change of type is lossless or it does not happen: a value is kept as clients see it, or
//! written in the form of the new type so that nothing of it is lost.
//!
//! | from | to | values that stand in the way |
//! |---|---|---|
//! | any kind of text (text, editor, email, url, select, date, datetime) | any other | those that are none of the new type, or would be written differently |
//! | number | text | none |
//! | text | number, bool | those not written as JSON writes one: `007`, `1e3`, `True` |
//! | bool | text, number | none (1 and 0) |
//! | number | bool | all but 1 and 0 |
//! | date | datetime | none (midnight, UTC) |
//! | datetime | date | those not at midnight |
//! | one | several (select, relation) | none |
//! | several | one | lists of more than one |
//! | anything | json | none |
//! | json | anything but relation and file | those that are not what clients would send for the new type |
//! | relation | text | none (the id) |
//! | file | text | lists of more than one (the id) |
//! | datetime | autodate, and back | none |
//! | anything else | relation, file, autodate | all |
//!
//! `min`, `max`, lengths and patterns are for values that are written from now on; only the type itself and the choices of a select
//! are held against those that are there.

use std::sync::Arc;

use fastcms_store::schema::{Collection, Field, FieldType, Schema, Storage, Validation};
use fastcms_store::{Dialect, Value};
use serde_json::{Map, Number, Value as Json};

use super::update::Change;
use crate::error::{Error, Result};
use crate::fields::{self, Cleaned, Mode};

/// Whether values that are there have to be looked at.
pub(super) fn is_needed(old: &Field, new: &Field) -> bool {
    old.kind != new.kind || old.is_many() != new.is_many() || narrower(old, new).is_some()
}

/// What of a select offers less than it did: the key of it.
pub(super) fn narrower(old: &Field, new: &Field) -> Option<&'static str> {
    if old.kind != FieldType::Select || new.kind != FieldType::Select {
        return None;
    }
    let most = |field: &Field| field.select.as_ref().map_or(1, |select| select.max_select.max(1));
    if old.choices().iter().any(|choice| !new.choices().contains(choice)) {
        return Some("select.values");
    }
    (most(new) < most(old)).then_some("select.max_select")
}

/// Turns values of one state of a collection into those of the next.
#[derive(Debug)]
pub(super) struct Converter {
    /// The fields of the next state, of their types and no more.
    target: Arc<Collection>,
    /// What each of them was.
    before: Vec<Option<Field>>,
}

impl Converter {
    pub fn new(change: &Change<'_>, dialect: Dialect) -> Result<Self> {
        let mut definition = change.new.definition().clone();
        for field in &mut definition.fields {
            let values = field.validation.values.take().filter(|_| field.kind == FieldType::Select);
            field.validation = Validation { values, ..Validation::default() };
        }
        let schema = Schema::new(0, vec![definition], dialect)?;
        let target = Arc::clone(schema.by_id(change.new.id()).ok_or(Error::NotFound)?);
        let before = (0..change.new.fields().len())
            .map(|now| change.origins.of(now).map(|was| change.old.fields()[was].clone()));
        Ok(Self { target, before: before.collect() })
    }

    /// The value to store in the field at `now`, if this one is none that would be lost. Null in the place of an empty list.
    pub fn convert(&self, now: usize, json: &Json) -> Option<Value> {
        let (old, new) = (self.before.get(now)?.as_ref()?, &self.target.fields()[now]);
        match (old.kind, new.kind) {
            (FieldType::Datetime | FieldType::Autodate, FieldType::Autodate | FieldType::Datetime) => {
                return json.as_str().map(Value::from);
            }
            (FieldType::Relation, FieldType::Relation) => {}
            (_, FieldType::Autodate | FieldType::File | FieldType::Relation) => return None,
            _ => {}
        }
        let candidate = in_form_of(old, new, json)?;
        if candidate.is_null() {
            return Some(Value::Null);
        }
        let data = Map::from_iter([(new.name.clone(), candidate.clone())]);
        let draft = fields::check(&self.target, &Cleaned::now(&self.target, &data, usize::MAX), Mode::Update).ok()?;
        let (_, value) = draft.sets.into_iter().next()?;
        is_same(&value, new.storage(), &candidate).then_some(value)
    }
}

/// What a client would send for the new type to say the same.
fn in_form_of(old: &Field, new: &Field, json: &Json) -> Option<Json> {
    use FieldType::{Bool, Date, Datetime, Json as AnyJson, Number as Numeric};
    if new.kind == AnyJson || old.kind == AnyJson {
        return Some(json.clone());
    }
    match (old.is_many(), new.is_many()) {
        (false, true) => return Some(Json::Array(vec![json.clone()])),
        (true, false) => {
            return match json.as_array()?.as_slice() {
                [] => Some(Json::Null),
                [one] => Some(one.clone()),
                _ => None,
            };
        }
        _ => {}
    }
    let is_text = |kind: FieldType| Field::new("", kind).storage() == Storage::Text;
    match (old.kind, new.kind) {
        (Numeric | Bool, kind) if is_text(kind) => Some(json.to_string().into()),
        (Numeric, Bool) => match json.as_f64()? {
            0.0 => Some(false.into()),
            1.0 => Some(true.into()),
            _ => None,
        },
        (Bool, Numeric) => Some(u8::from(json.as_bool()?).into()),
        (kind, Numeric) if is_text(kind) => {
            let number: Number = serde_json::from_str(json.as_str()?).ok()?;
            // Written as it would be shown, or something of it would be lost.
            let again = shown(number.as_f64()?).to_string();
            (json.as_str()? == again).then_some(number.into())
        }
        (kind, Bool) if is_text(kind) => json.as_str()?.parse::<bool>().ok().map(Json::from),
        (Date, Datetime) => Some(format!("{}{MIDNIGHT}", json.as_str()?).into()),
        (Datetime, Date) => json.as_str()?.strip_suffix(MIDNIGHT).map(Json::from),
        _ => Some(json.clone()),
    }
}

const MIDNIGHT: &str = "T00:00:00.000Z";
/// The largest whole number that a double holds exactly, 2^53.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A number as records show it: whole ones without a fraction.
fn shown(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() <= MAX_WHOLE {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        let whole = number as i64;
        return whole.into();
    }
    number.into()
}

/// Whether a value will be shown as `json`.
fn is_same(value: &Value, storage: Storage, json: &Json) -> bool {
    match (value, storage) {
        (Value::Text(text), Storage::Json) => serde_json::from_str::<Json>(text).is_ok_and(|stored| stored == *json),
        (Value::Text(text), _) => json.as_str() == Some(text),
        (Value::Real(_) | Value::Bool(_), _) => true,
        _ => false,
    }
}
