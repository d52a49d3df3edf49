//! Objects of a JSON body: declared once, read and documented from that.

use fastcms_core::FieldErrors;
use serde_json::{Map, Value, json};

use super::field::{Field, Place};

/// A body, or an object within one. Made by [`form!`](crate::form).
pub trait Form: Sized {
    /// Takes the known fields out of `object`; what is left is unknown and a fault each.
    fn read(object: Map<String, Value>, at: &Place<'_>, faults: &mut FieldErrors) -> Option<Self>;

    /// JSON Schema of the object.
    fn schema() -> Value;
}

/// Declares the shape of a JSON body. A field is required unless its type says otherwise (`Option`, `Patch`) or a default stands
/// behind `=`; `as "name"` gives the name on the wire where it cannot be the field's. Keys that are not declared are refused.
///
/// ```text
/// form! {
///     /// Body of `POST /auth/login`.
///     pub struct Login {
///         pub email: String,
///         pub password: Secret<String>,
///         pub two_factor_code: Option<String>,
///         pub cookie: bool = false,
///     }
/// }
/// ```
#[macro_export]
macro_rules! form {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_visibility:vis $field:ident $(as $wire:literal)? : $type:ty $(= $default:expr)?),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $visibility struct $name {
            $($(#[$field_meta])* $field_visibility $field: $type),*
        }

        impl $crate::extract::Form for $name {
            fn read(
                mut object: $crate::extract::form_parts::Object,
                at: &$crate::extract::Place<'_>,
                faults: &mut fastcms_core::FieldErrors,
            ) -> Option<Self> {
                $(let $field: Option<$type> = $crate::extract::form_parts::take(
                    &mut object, $crate::form!(@name $field $($wire)?), at, faults, $crate::form!(@default $($default)?),
                );)*
                $crate::extract::form_parts::refuse_unknown(&object, at, faults);
                Some(Self { $($field: $field?),* })
            }

            fn schema() -> serde_json::Value {
                $crate::extract::form_parts::schema(vec![$((
                    $crate::form!(@name $field $($wire)?),
                    <$type as $crate::extract::Field>::schema(),
                    $crate::form!(@required $type $(, $default)?),
                )),*])
            }
        }

        impl $crate::extract::Field for $name {
            fn read(
                value: serde_json::Value,
                at: &$crate::extract::Place<'_>,
                faults: &mut fastcms_core::FieldErrors,
            ) -> Option<Self> {
                let object = <$crate::extract::form_parts::Object as $crate::extract::Field>::read(value, at, faults)?;
                <Self as $crate::extract::Form>::read(object, at, faults)
            }

            fn schema() -> serde_json::Value {
                <Self as $crate::extract::Form>::schema()
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $wire:literal) => { $wire };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
    (@required $type:ty) => { <$type as $crate::extract::Field>::absent().is_none() };
    (@required $type:ty, $default:expr) => { false };
}

/// What [`form!`](crate::form) expands to.
pub mod parts {
    use super::{Field, FieldErrors, Map, Place, Value, json};

    pub type Object = Map<String, Value>;

    pub fn take<T: Field>(
        object: &mut Object,
        name: &'static str,
        at: &Place<'_>,
        faults: &mut FieldErrors,
        default: Option<T>,
    ) -> Option<T> {
        let place = Place::Key(at, name);
        if let Some(value) = object.remove(name) {
            return T::read(value, &place, faults);
        }
        let absent = default.or_else(T::absent);
        if absent.is_none() {
            faults.add(place.to_string(), "This field is required");
        }
        absent
    }

    pub fn refuse_unknown(object: &Object, at: &Place<'_>, faults: &mut FieldErrors) {
        for name in object.keys() {
            faults.add(Place::Key(at, name).to_string(), "Unknown field");
        }
    }

    pub fn schema(fields: Vec<(&'static str, Value, bool)>) -> Value {
        let required: Vec<&str> =
            fields.iter().filter(|(_, _, required)| *required).map(|(name, _, _)| *name).collect();
        let properties: Object = fields.into_iter().map(|(name, schema, _)| (name.to_owned(), schema)).collect();
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }
}
