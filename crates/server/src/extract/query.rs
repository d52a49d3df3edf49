//! Query parameters. Names that no argument of the handler declares never come this far: the edge refuses them.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use fastcms_core::{Error, FieldErrors};
use http::request::Parts;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Argument, Within};
use crate::{api::operation::Docs, error::Refusal};

/// A type that the text of a parameter can be read as.
pub trait Parameter: Sized {
    /// The value, or the message for the client.
    fn read(text: &str) -> Result<Self, String>;

    /// What stands for a parameter that was not sent; `None`: it is required.
    fn absent() -> Option<Self> {
        None
    }

    /// JSON Schema of the value.
    fn schema() -> Value;
}

impl Parameter for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

impl Parameter for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("Must be a boolean".to_owned()),
        }
    }

    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl<const MIN: u32, const MAX: u32> Parameter for Within<MIN, MAX> {
    fn read(text: &str) -> Result<Self, String> {
        Self::of(text.parse().map_err(|_| "Must be a number".to_owned())?)
    }

    fn schema() -> Value {
        Self::range_schema()
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        T::read(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// The parameters of a route. Made by [`query!`](crate::query).
pub trait QueryForm: Sized {
    /// Reads the pairs of a query string, or says every fault.
    fn read(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<Self, FieldErrors>;

    /// Name, schema, required.
    fn parameters() -> Vec<(&'static str, Value, bool)>;
}

/// Declares the query parameters of a route. A parameter is required unless it is an `Option` or a default stands behind `=`.
///
/// ```text
/// query! {
///     pub struct Paging {
///         pub page: Within<1, 10_000_000> = Within(1),
///         pub per_page: Within<1, 200> = Within(30),
///         pub skip_total as "skipTotal": bool = false,
///     }
/// }
/// ```
#[macro_export]
macro_rules! query {
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

        impl $crate::extract::QueryForm for $name {
            fn read(
                pairs: &[(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)],
            ) -> Result<Self, fastcms_core::FieldErrors> {
                let mut faults = fastcms_core::FieldErrors::default();
                $(let $field: Option<$type> = $crate::extract::query_parts::take(
                    pairs, $crate::form!(@name $field $($wire)?), &mut faults, $crate::form!(@default $($default)?),
                );)*
                match ($($field,)*) {
                    ($(Some($field),)*) if faults.is_empty() => Ok(Self { $($field),* }),
                    _ => Err(faults),
                }
            }

            fn parameters() -> Vec<(&'static str, serde_json::Value, bool)> {
                vec![$((
                    $crate::form!(@name $field $($wire)?),
                    <$type as $crate::extract::Parameter>::schema(),
                    $crate::query!(@required $type $(, $default)?),
                )),*]
            }
        }
    };
    (@required $type:ty) => { <$type as $crate::extract::Parameter>::absent().is_none() };
    (@required $type:ty, $default:expr) => { false };
}

/// What [`query!`](crate::query) expands to.
pub mod parts {
    use super::{Cow, FieldErrors, Parameter};

    pub fn take<T: Parameter>(
        pairs: &[(Cow<'_, str>, Cow<'_, str>)],
        name: &'static str,
        faults: &mut FieldErrors,
        default: Option<T>,
    ) -> Option<T> {
        let mut values = pairs.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value);
        let Some(value) = values.next() else {
            let absent = default.or_else(T::absent);
            if absent.is_none() {
                faults.add(name, "This field is required");
            }
            return absent;
        };
        if values.next().is_some() {
            faults.add(name, "Must be given once");
            return None;
        }
        T::read(value).map_err(|message| faults.add(name, message)).ok()
    }
}

/// The query parameters, read as `T`.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: QueryForm> Argument for Query<T> {
    fn describe(docs: &mut Docs) {
        docs.query.extend(T::parameters());
    }
}

impl<S: Sync, T: QueryForm> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let pairs: Vec<_> = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).collect();
        T::read(&pairs).map(Self).map_err(|faults| Error::Validation(faults).into())
    }
}

/// Every pair of the query string, decoded, in order: what rules read as `@request.query.…`.
#[derive(Debug, Clone, Default)]
pub struct QueryPairs(pub Vec<(String, String)>);

impl Argument for QueryPairs {}

impl<S: Sync> FromRequestParts<S> for QueryPairs {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()))
    }
}
