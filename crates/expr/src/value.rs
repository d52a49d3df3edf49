//! Values, their kinds, and the one definition of how two values compare.

/// What a field holds, as far as comparing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// text, editor, email, url, select, file id, relation id.
    Text,
    /// number.
    Number,
    /// bool.
    Bool,
    /// datetime, autodate, created, updated: text in the storage form `YYYY-MM-DDTHH:MM:SS.mmmZ`.
    Instant,
    /// date: text in the form `YYYY-MM-DD`.
    Date,
    /// json: compares only with null.
    Json,
    /// geopoint: compares only with null, and inside `geoDistance`.
    Geo,
}

impl Kind {
    /// The word used in error texts.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Instant => "a date-time",
            Self::Date => "a date",
            Self::Json => "JSON",
            Self::Geo => "a point",
        }
    }
}

/// A single value. Instants and dates are [`Value::Text`] in their storage form.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// true or false.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Text, an instant or a date.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The six positive comparisons; `!=` and `!~` are written as [`crate::Predicate::Not`] around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Same value; null equals null and nothing else.
    Equal,
    /// Left before right; false with null.
    Less,
    /// Left before or same as right; false with null.
    LessOrEqual,
    /// Left after right; false with null.
    Greater,
    /// Left after or same as right; false with null.
    GreaterOrEqual,
    /// Left contains right, both mapped by [`lower`]; false with null, true for an empty right.
    Contains,
}

impl Comparison {
    /// Whether `left` and `right` compare so: the definition SQL has to agree with. Values of different types are
    /// never equal nor ordered; text is ordered by bytes.
    pub fn holds(self, left: &Value, right: &Value) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        if self == Self::Contains {
            return match (left, right) {
                (Value::Text(left), Value::Text(right)) => lower(left).contains(&lower(right)),
                _ => false,
            };
        }
        if self == Self::Equal {
            return left == right;
        }
        let order = match (left, right) {
            (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
            (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            _ => None,
        };
        match self {
            Self::Less => order == Some(Less),
            Self::LessOrEqual => matches!(order, Some(Less | Equal)),
            Self::Greater => order == Some(Greater),
            Self::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
            Self::Equal | Self::Contains => false,
        }
    }

    /// The comparison that says the same with the sides exchanged; none for [`Comparison::Contains`].
    pub(crate) fn flipped(self) -> Option<Self> {
        match self {
            Self::Equal => Some(Self::Equal),
            Self::Less => Some(Self::Greater),
            Self::LessOrEqual => Some(Self::GreaterOrEqual),
            Self::Greater => Some(Self::Less),
            Self::GreaterOrEqual => Some(Self::LessOrEqual),
            Self::Contains => None,
        }
    }
}

/// Lower case, each character by its own Unicode mapping, without regard to its neighbours or a language.
pub fn lower(text: &str) -> String {
    // Most texts are plain, and searches do this to every row.
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().flat_map(char::to_lowercase).collect() }
}

/// Upper case, each character by its own Unicode mapping (`ß` becomes `SS`).
pub fn upper(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.chars().flat_map(char::to_uppercase).collect() }
}

/// Mean radius of the Earth in kilometres used by `geoDistance`.
pub const EARTH_RADIUS_KM: f64 = 6371.0;

/// Great-circle distance in kilometres between two points given in degrees, by the haversine formula.
pub fn distance_km(from_lat: f64, from_lng: f64, to_lat: f64, to_lng: f64) -> f64 {
    let lat = (to_lat - from_lat).to_radians() / 2.0;
    let lng = (to_lng - from_lng).to_radians() / 2.0;
    let cosines = from_lat.to_radians().cos() * to_lat.to_radians().cos();
    let haversine = lat.sin() * lat.sin() + cosines * lng.sin() * lng.sin();
    2.0 * EARTH_RADIUS_KM * haversine.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests;
