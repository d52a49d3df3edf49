//! An index that an admin gave a collection, as it is written down.

use serde::{Deserialize, Serialize};

/// Most bytes of text that one index entry holds. `PostgreSQL` takes 2 704 in all.
pub const MAX_KEY_BYTES: usize = 2600;
/// What is set aside of it for each member that is no text of a field: a number, a flag, an id, an instant.
const SMALL_MEMBER: usize = 64;

/// In what order the entries of an index lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexOrder {
    #[default]
    Asc,
    Desc,
}

impl IndexOrder {
    /// The word for it in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

/// One member of an index: a field of the schema, `id`, `created` or `updated`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMember {
    pub name: String,
    pub order: IndexOrder,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Unique within its collection, whatever the case.
    pub name: String,
    pub fields: Vec<IndexMember>,
    /// No two records have the same values in all members; a record without a value in one of them is free.
    pub unique: bool,
    pub created: String,
}

impl Index {
    /// Whether a field is one of its members.
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|member| member.name == field)
    }

    /// How many bytes each of its `texts` members that are text may have, so that an entry always fits.
    pub(super) fn share(&self, texts: usize) -> usize {
        let small = self.fields.len().saturating_sub(texts) * SMALL_MEMBER;
        MAX_KEY_BYTES.saturating_sub(small) / texts.max(1)
    }
}
