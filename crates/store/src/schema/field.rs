//! A field of a collection as it is written down (contract 7.3), and the column it becomes.

use serde::{Deserialize, Serialize};
use serde_json::Number;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    Text,
    Editor,
    Number,
    Bool,
    Email,
    Url,
    Date,
    Datetime,
    Select,
    File,
    Relation,
    Json,
    Geopoint,
    Autodate,
}

impl FieldType {
    /// All of them, in the order in which the contract lists them.
    pub const ALL: [Self; 14] = [
        Self::Text,
        Self::Editor,
        Self::Number,
        Self::Bool,
        Self::Email,
        Self::Url,
        Self::Date,
        Self::Datetime,
        Self::Select,
        Self::File,
        Self::Relation,
        Self::Json,
        Self::Geopoint,
        Self::Autodate,
    ];

    /// The name used in a field's JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Editor => "editor",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Email => "email",
            Self::Url => "url",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Select => "select",
            Self::File => "file",
            Self::Relation => "relation",
            Self::Json => "json",
            Self::Geopoint => "geopoint",
            Self::Autodate => "autodate",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Free text: where an empty string of an optional field means no value, and where a search looks.
    pub fn is_free_text(self) -> bool {
        matches!(self, Self::Text | Self::Editor | Self::Email | Self::Url)
    }
}

/// How a field's values lie in a column. The same text on both engines, so that values move byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// A string.
    Text,
    /// A double.
    Number,
    /// `BOOLEAN`, on SQLite an integer.
    Bool,
    /// Canonical JSON text.
    Json,
}

/// Checks on a field's values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Validation {
    pub required: bool,
    pub unique: bool,
    pub min: Option<Number>,
    pub max: Option<Number>,
    /// Unicode scalar values.
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
    /// Matches the whole value.
    pub pattern: Option<String>,
    pub values: Option<Vec<String>>,
}

/// How many records stand at the two ends of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cardinality {
    OneToMany,
    ManyToOne,
    ManyToMany,
    OneToOne,
    Polymorphic,
}

/// What happens to a record when one that it points at is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The deletion is refused.
    Restrict,
    /// It goes too.
    Cascade,
    /// The pointer is cleared.
    SetNull,
    /// The pointer stays and points nowhere.
    NoAction,
}

/// Where a relation field points. A polymorphic one reads no collection from here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelationOptions {
    pub collection: Option<String>,
    pub collection_id: Option<String>,
    #[serde(rename = "type")]
    pub cardinality: Cardinality,
    pub cascade_delete: OnDelete,
    pub display_fields: Vec<String>,
    pub max_depth: u8,
    pub junction_table: Option<String>,
    pub junction_field: Option<String>,
    pub target_field: Option<String>,
    pub polymorphic_type_field: Option<String>,
}

/// The choices of a select field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectOptions {
    pub values: Vec<String>,
    pub max_select: u32,
}

/// What a file field takes, and in which sizes its images are offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileOptions {
    /// Bytes of one file.
    pub max_size: u64,
    pub max_files: u32,
    /// In lower case, without parameters.
    pub mime_types: Vec<String>,
    /// `WxH`, with `f`, `t` or `b` behind for how an image is made to fit.
    pub thumbs: Vec<String>,
}

impl Default for FileOptions {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            max_size: 5 * 1024 * 1024,
            max_files: 1,
            mime_types: texts(&["image/jpeg", "image/png", "image/gif"]),
            thumbs: texts(&["100x100", "500x500"]),
        }
    }
}

/// Ranges of a point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeopointOptions {
    pub require_altitude: bool,
    pub min_lat: Option<Number>,
    pub max_lat: Option<Number>,
    pub min_lng: Option<Number>,
    pub max_lng: Option<Number>,
}

/// When an autodate is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutodateOptions {
    pub on_create: bool,
    pub on_update: bool,
}

impl Default for AutodateOptions {
    fn default() -> Self {
        Self { on_create: true, on_update: true }
    }
}

/// One field of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: FieldType,
    #[serde(default)]
    pub validation: Validation,
    #[serde(default)]
    pub relation: Option<RelationOptions>,
    #[serde(default)]
    pub select: Option<SelectOptions>,
    #[serde(default)]
    pub file: Option<FileOptions>,
    #[serde(default)]
    pub geopoint: Option<GeopointOptions>,
    #[serde(default)]
    pub autodate: Option<AutodateOptions>,
    #[serde(default)]
    pub label: Option<String>,
    #[serde(default)]
    pub hint: Option<String>,
    #[serde(default)]
    pub hidden: bool,
    #[serde(default)]
    pub system: bool,
    /// Values lie sealed in the table: they can be shown, and nothing else can be done with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
}

impl Field {
    /// A field with nothing but a name and a type.
    pub fn new(name: impl Into<String>, kind: FieldType) -> Self {
        Self {
            name: name.into(),
            kind,
            validation: Validation::default(),
            relation: None,
            select: None,
            file: None,
            geopoint: None,
            autodate: None,
            label: None,
            hint: None,
            hidden: false,
            system: false,
            encrypted: false,
        }
    }

    /// Whether a value is a list.
    pub fn is_many(&self) -> bool {
        match self.kind {
            FieldType::Select => self.select.as_ref().is_some_and(|select| select.max_select > 1),
            FieldType::Relation => self.relation.as_ref().is_some_and(|relation| {
                matches!(relation.cardinality, Cardinality::OneToMany | Cardinality::ManyToMany)
            }),
            FieldType::File => true,
            _ => false,
        }
    }

    /// How its values lie in their column.
    pub fn storage(&self) -> Storage {
        if self.encrypted { Storage::Text } else { self.plain_storage() }
    }

    /// How its values would lie there if they were not sealed.
    pub fn plain_storage(&self) -> Storage {
        match self.kind {
            FieldType::Number => Storage::Number,
            FieldType::Bool => Storage::Bool,
            FieldType::Json | FieldType::Geopoint | FieldType::File => Storage::Json,
            FieldType::Select | FieldType::Relation if self.is_many() => Storage::Json,
            _ => Storage::Text,
        }
    }

    /// The field whose value names the collection that a polymorphic relation points into; `None` for anything else.
    pub fn polymorphic_type_field(&self) -> Option<&str> {
        let relation = self.relation.as_ref().filter(|relation| relation.cardinality == Cardinality::Polymorphic)?;
        relation.polymorphic_type_field.as_deref()
    }

    /// The choices of a select field, wherever they were written.
    pub fn choices(&self) -> &[String] {
        match (&self.select, &self.validation.values) {
            (Some(select), _) if !select.values.is_empty() => &select.values,
            (_, Some(values)) => values,
            _ => &[],
        }
    }
}
