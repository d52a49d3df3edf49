//! The collections as they stand: one immutable snapshot of all of them, by id and by name, with their rules parsed and checked and
//! their statements begun. Who holds it swaps it for a new one when a collection changes; nothing here reads a database.

mod collection;
mod field;
mod index;
mod offer;
mod pattern;
mod rules;

pub use collection::{Collection, CollectionKind, Definition, SYSTEM_COLUMNS, auth_fields};
pub use field::{
    AutodateOptions, Cardinality, Field, FieldType, FileOptions, GeopointOptions, OnDelete, RelationOptions,
    SelectOptions, Storage, Validation,
};
pub use index::{Index, IndexMember, IndexOrder, MAX_KEY_BYTES};
pub use offer::Offer;
pub use pattern::Pattern;
pub use rules::{BrokenRule, RULE_KINDS, Rule, RuleTexts, Rules, rule_key};

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::{Dialect, Error};

/// All collections at one moment.
#[derive(Debug)]
pub struct Schema {
    generation: i64,
    collections: Vec<Arc<Collection>>,
    by_id: HashMap<Arc<str>, usize>,
    /// By name in lower case: names are unique whatever their case.
    by_name: BTreeMap<String, usize>,
    /// Rules that name what is no longer there. They admit admins only.
    broken: Vec<BrokenRule>,
}

/// A relation field that points at a collection, seen from there.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'s> {
    pub collection: &'s Arc<Collection>,
    /// Position of the field in it.
    pub field: usize,
}

impl Schema {
    /// Puts the collections together: resolves relations, parses and checks rules, begins statements.
    pub fn new(generation: i64, definitions: Vec<Definition>, dialect: Dialect) -> Result<Self, Error> {
        let collections = definitions
            .into_iter()
            .map(|definition| Collection::new(definition, dialect))
            .collect::<Result<Vec<_>, _>>()?;
        let mut schema = Self {
            generation,
            by_id: collections.iter().enumerate().map(|(at, collection)| (collection.id().into(), at)).collect(),
            by_name: collections.iter().enumerate().map(|(at, c)| (c.name().to_ascii_lowercase(), at)).collect(),
            collections: collections.into_iter().map(Arc::new).collect(),
            broken: Vec::new(),
        };
        let mut ready = Vec::with_capacity(schema.collections.len());
        let mut broken = Vec::new();
        for collection in &schema.collections {
            let rules = Rules::check(&schema, collection, &mut broken);
            ready.push(Arc::new(collection.with_rules(rules)));
        }
        schema.collections = ready;
        schema.broken = broken;
        Ok(schema)
    }

    /// A schema without collections, older than any that is stored.
    pub fn empty() -> Self {
        Self {
            generation: -1,
            collections: Vec::new(),
            by_id: HashMap::new(),
            by_name: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    /// How often anything of it had changed when it was read: of two snapshots the one with more is the newer.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    pub fn by_id(&self, id: &str) -> Option<&Arc<Collection>> {
        self.by_id.get(id).map(|at| &self.collections[*at])
    }

    /// Whatever the case of `name`.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Collection>> {
        let at = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            self.by_name.get(&name.to_ascii_lowercase())
        } else {
            self.by_name.get(name)
        };
        at.map(|at| &self.collections[*at])
    }

    /// All collections, in the order in which they were loaded (newest first).
    pub fn collections(&self) -> &[Arc<Collection>] {
        &self.collections
    }

    /// Where a relation field points. A polymorphic one points nowhere by itself: see [`Schema::polymorphic_target`].
    pub fn target(&self, field: &Field) -> Option<&Arc<Collection>> {
        let relation = field.relation.as_ref().filter(|relation| relation.cardinality != Cardinality::Polymorphic)?;
        match (&relation.collection_id, &relation.collection) {
            (Some(id), _) => self.by_id(id),
            (None, Some(name)) => self.by_name(name),
            (None, None) => None,
        }
    }

    /// The relation fields, of whatever collection, that point at the collection with this id.
    pub fn references<'s>(&'s self, id: &'s str) -> impl Iterator<Item = Reference<'s>> {
        self.collections.iter().flat_map(move |collection| {
            let fields = collection.fields().iter().enumerate();
            fields
                .filter(move |(_, field)| self.target(field).is_some_and(|target| target.id() == id))
                .map(move |(field, _)| Reference { collection, field })
        })
    }

    /// The collection that a polymorphic relation points into when its type field says `name`, exactly as the collection is spelled.
    pub fn polymorphic_target(&self, name: &str) -> Option<&Arc<Collection>> {
        self.by_name(name).filter(|target| target.name() == name && target.kind() != CollectionKind::View)
    }

    /// The polymorphic relation fields of all collections. Where a record of theirs points stands in the record.
    pub fn polymorphic(&self) -> impl Iterator<Item = Reference<'_>> {
        self.collections.iter().flat_map(|collection| {
            let fields = collection.fields().iter().enumerate();
            fields
                .filter(|(_, field)| field.polymorphic_type_field().is_some())
                .map(move |(field, _)| Reference { collection, field })
        })
    }

    /// Rules that name what is no longer there.
    pub fn broken(&self) -> &[BrokenRule] {
        &self.broken
    }
}
