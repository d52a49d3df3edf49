//! What an expression may name: the fields of a collection as its owner chooses to offer them.

use crate::Kind;

/// A field as far as expressions are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// What one value is.
    pub kind: Kind,
    /// Whether the field holds a list of such values (multi-select, files, a relation to many).
    pub list: bool,
}

/// The names an expression may use. Fields that must not be seen (hidden, passwords) are simply not offered.
/// `id`, `created` and `updated` are fields like any other.
pub trait Schema {
    /// The field of this name, exactly as spelled.
    fn field(&self, name: &str) -> Option<Field>;
    /// All names [`Schema::field`] knows, for suggestions.
    fn field_names(&self) -> Vec<String>;
    /// The schema a relation field points to; none for any other field.
    fn related(&self, field: &str) -> Option<Box<dyn Schema + '_>>;
    /// Another collection, for `@collection.<name>.<field>`.
    fn collection(&self, name: &str) -> Option<Box<dyn Schema + '_>>;
    /// All names [`Schema::collection`] knows, for suggestions.
    fn collection_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Where an expression stands, which decides the operands it may use.
///
/// | operand | filter | list, view, delete | create | update, manage |
/// |---|---|---|---|---|
/// | fields, `@record.` | yes | yes | own fields, as sent | yes |
/// | `relation.field`, `geoDistance` | yes | yes | no | yes |
/// | `@request.auth.` `.query.` `.headers.` `.method` `.context` | no | yes | yes | yes |
/// | `@request.data.` | no | no | yes | yes |
/// | `:changed` | no | no | no | yes |
/// | `@collection.` | no | yes | yes | yes |
/// | macros, literals, lists | yes | yes | yes | yes |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A filter sent by a caller.
    Filter,
    /// A rule stored with a collection.
    Rule(RuleKind),
}

/// The six rules of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// Which rows appear in a list.
    List,
    /// Which record may be read.
    View,
    /// What may be created.
    Create,
    /// Which record may be changed, and how.
    Update,
    /// Which record may be deleted.
    Delete,
    /// Who may write system fields of an auth collection.
    Manage,
}
