//! A collection as the expression language sees it.

use fastcms_expr::{Field as Offered, Kind, RuleKind, Schema as Names};

use super::{Collection, Field, FieldType, Rule, Schema};

/// Which names of a collection an expression may use. Passwords are never among them, hidden fields only in rules.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'s> {
    schema: &'s Schema,
    collection: &'s Collection,
    hidden_too: bool,
    /// Also what is behind a relation to a collection that only admins may list.
    closed_too: bool,
    /// Also what lies sealed, which can be shown and not compared.
    sealed_too: bool,
}

impl<'s> Offer<'s> {
    /// What a rule may name.
    pub fn to_rules(schema: &'s Schema, collection: &'s Collection) -> Self {
        Self { schema, collection, hidden_too: true, closed_too: true, sealed_too: false }
    }

    /// What a filter or sort may name. What is behind a relation to a collection that only admins may list is offered to them alone: no
    /// row of it could match for others, and not even its names are for them.
    pub fn to_queries(schema: &'s Schema, collection: &'s Collection, is_admin: bool) -> Self {
        Self { schema, collection, hidden_too: false, closed_too: is_admin, sealed_too: false }
    }

    /// What a list of fields to show may name.
    pub fn to_shapes(schema: &'s Schema, collection: &'s Collection, is_admin: bool) -> Self {
        Self { sealed_too: true, ..Self::to_queries(schema, collection, is_admin) }
    }

    fn offers(&self, at: usize) -> bool {
        let field = &self.collection.fields()[at];
        !self.collection.is_password(at) && (self.hidden_too || !field.hidden) && (self.sealed_too || !field.encrypted)
    }

    fn is_open(&self, target: &Collection) -> bool {
        self.closed_too || !matches!(target.rules().get(RuleKind::List), Rule::Admins)
    }

    fn beside(&self, collection: &'s Collection) -> Box<dyn Names + 's> {
        Box::new(Self { collection, ..*self })
    }
}

fn kind(field: &Field) -> Kind {
    if field.encrypted {
        // Nothing can be asked of it.
        return Kind::Json;
    }
    match field.kind {
        FieldType::Number => Kind::Number,
        FieldType::Bool => Kind::Bool,
        FieldType::Date => Kind::Date,
        FieldType::Datetime | FieldType::Autodate => Kind::Instant,
        FieldType::Json => Kind::Json,
        FieldType::Geopoint => Kind::Geo,
        _ => Kind::Text,
    }
}

impl Names for Offer<'_> {
    fn field(&self, name: &str) -> Option<Offered> {
        match name {
            "id" => return Some(Offered { kind: Kind::Text, list: false }),
            "created" | "updated" => return Some(Offered { kind: Kind::Instant, list: false }),
            _ => {}
        }
        let at = self.collection.position(name).filter(|at| self.offers(*at))?;
        let field = &self.collection.fields()[at];
        Some(Offered { kind: kind(field), list: field.is_many() })
    }

    fn field_names(&self) -> Vec<String> {
        let own = self
            .collection
            .fields()
            .iter()
            .enumerate()
            .filter(|(at, _)| self.offers(*at))
            .map(|(_, field)| field.name.clone());
        ["id", "created", "updated"].into_iter().map(str::to_owned).chain(own).collect()
    }

    fn related(&self, field: &str) -> Option<Box<dyn Names + '_>> {
        let at = self.collection.position(field).filter(|at| self.offers(*at))?;
        let target = self.schema.target(&self.collection.fields()[at]).filter(|target| self.is_open(target))?;
        Some(self.beside(target))
    }

    fn collection(&self, name: &str) -> Option<Box<dyn Names + '_>> {
        let collection = self.schema.by_name(name).filter(|collection| self.is_open(collection))?;
        Some(self.beside(collection))
    }

    fn collection_names(&self) -> Vec<String> {
        let open = self.schema.collections().iter().filter(|collection| self.is_open(collection));
        open.map(|collection| collection.name().to_owned()).collect()
    }
}
