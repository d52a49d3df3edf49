//! Names to what they stand for: fields, paths through relations, parts of the request, other collections.

use super::comparison::Given;
use super::{Checker, Flag, Resolved, Side};
use crate::predicate::{Column, Modifier, Term, Unit};
use crate::schema::{Field, Schema};
use crate::suggestion::suggest;
use crate::syntax::{RequestName, Suffix};
use crate::value::Kind;
use crate::{Error, MAX_PATH};

/// A path to its column.
pub(crate) fn column(path: &str, position: usize, schema: &dyn Schema) -> Result<Column, Error> {
    let names: Vec<&str> = path.split('.').collect();
    if names.len() > MAX_PATH {
        return Err(Error::new(position, format!("`{path}` has more than {MAX_PATH} parts")));
    }
    let mut crosses_many = false;
    let field = follow(&names, position, schema, &mut crosses_many)?;
    Ok(Column {
        path: names.into_iter().map(str::to_owned).collect(),
        kind: field.kind,
        list: field.list,
        crosses_many,
        modifier: None,
    })
}

/// Follows relations to the last name. Recursion is bounded by [`MAX_PATH`].
fn follow(names: &[&str], position: usize, schema: &dyn Schema, crosses_many: &mut bool) -> Result<Field, Error> {
    let Some((name, rest)) = names.split_first() else {
        return Err(Error::new(position, "expected the name of a field"));
    };
    let Some(field) = schema.field(name) else {
        let near = suggest(name, schema.field_names());
        return Err(Error::new(position, format!("unknown field `{name}`{near}")));
    };
    if rest.is_empty() {
        return Ok(field);
    }
    let Some(target) = schema.related(name) else {
        return Err(Error::new(
            position,
            format!("`{name}` is not a relation to one collection, so nothing can follow its dot"),
        ));
    };
    *crosses_many |= field.list;
    let next = position + name.chars().count() + 1;
    follow(rest, next, &*target, crosses_many)
}

impl Checker<'_> {
    pub(super) fn field(&self, path: &str, at: usize, suffix: Option<Suffix>) -> Result<Resolved, Error> {
        let column = column(path, at, self.schema).map_err(|mut error| {
            if self.is_rule() && error.reason.starts_with("unknown field") {
                error.reason.push_str("; text stands in quotes");
            }
            error
        })?;
        if self.is_create() {
            return self.sent_field(column, at, suffix);
        }
        match suffix {
            None => Ok(stored(column, None, false)),
            Some(Suffix::IsSet) => Ok(Resolved::Flag(Flag::ColumnSet(column))),
            Some(Suffix::Changed) => self.changed(column, at),
            Some(Suffix::Each) if column.is_many() => Ok(stored(column, None, true)),
            Some(Suffix::Each) => Err(Error::new(at, format!("`{path}` is not a list"))),
            Some(Suffix::Length) if column.kind == Kind::Text || column.list => {
                if column.list && column.crosses_many {
                    let reason = format!("`{path}` holds many lists, which have no one length");
                    return Err(Error::new(at, reason));
                }
                Ok(stored(column, Some(Modifier::Length), false))
            }
            Some(Suffix::Lower) if column.kind == Kind::Text => Ok(stored(column, Some(Modifier::Lower), false)),
            Some(Suffix::Upper) if column.kind == Kind::Text => Ok(stored(column, Some(Modifier::Upper), false)),
            Some(suffix) => Err(Error::new(
                at,
                format!("`{path}` is {}, which takes no `:{}`", column.kind.noun(), suffix.as_str()),
            )),
        }
    }

    /// A field in a create rule: there is no stored record, so it is what the request sends for it.
    fn sent_field(&self, column: Column, at: usize, suffix: Option<Suffix>) -> Result<Resolved, Error> {
        if column.path.len() > 1 {
            return Err(Error::new(at, "a create rule sees only what the request sends, not related records"));
        }
        self.request(&RequestName::Data(column.path), suffix, at)
    }

    fn changed(&self, column: Column, at: usize) -> Result<Resolved, Error> {
        if !self.sees_change() {
            return Err(Error::new(at, "`:changed` stands only in update and manage rules"));
        }
        if column.path.len() > 1 {
            return Err(Error::new(at, "`:changed` takes a field of the record itself"));
        }
        Ok(Resolved::Flag(Flag::Changed(column)))
    }

    pub(super) fn request(&self, name: &RequestName, suffix: Option<Suffix>, at: usize) -> Result<Resolved, Error> {
        if !self.is_rule() {
            return Err(Error::new(at, "`@request` stands only in rules"));
        }
        if matches!(name, RequestName::Data(_)) && !self.sees_data() {
            return Err(Error::new(at, "`@request.data` stands only in create, update and manage rules"));
        }
        let given = self.request_given(name);
        let textual = matches!(given, Given::Dynamic | Given::Textual | Given::Fixed(Kind::Text));
        let sent = matches!(name, RequestName::Data(_) | RequestName::Query(_) | RequestName::Header(_));
        let (given, each) = match suffix {
            None => (given, false),
            Some(Suffix::IsSet) if sent => {
                return Ok(Resolved::Flag(Flag::RequestSet(name.clone())));
            }
            Some(Suffix::Changed) => {
                let RequestName::Data(path) = name else {
                    return Err(Error::new(at, format!("`{name}` takes no `:changed`")));
                };
                let column = column(&path.join("."), at + "@request.data.".len(), self.schema)?;
                return self.changed(column, at);
            }
            Some(Suffix::Each) if matches!(name, RequestName::Data(_)) => (given, true),
            Some(Suffix::Length) if textual || self.is_sent_list(name) => (Given::Fixed(Kind::Number), false),
            Some(Suffix::Lower | Suffix::Upper) if textual => (Given::Fixed(Kind::Text), false),
            Some(suffix) => {
                return Err(Error::new(at, format!("`{name}` takes no `:{}`", suffix.as_str())));
            }
        };
        let name = name.clone();
        Ok(Resolved::Side { side: Side::Request { name, suffix }, given, each })
    }

    fn sent_schema_field(&self, name: &RequestName) -> Option<Field> {
        match name {
            RequestName::Data(path) => match path.as_slice() {
                [field] => self.schema.field(field),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_sent_list(&self, name: &RequestName) -> bool {
        self.sent_schema_field(name).is_some_and(|field| field.list)
    }

    fn request_given(&self, name: &RequestName) -> Given {
        match name {
            RequestName::AuthVerified => Given::Fixed(Kind::Bool),
            RequestName::Query(_) | RequestName::Header(_) => Given::Textual,
            RequestName::Data(_) => match self.sent_schema_field(name) {
                Some(field) if !matches!(field.kind, Kind::Json | Kind::Geo) => Given::Fixed(field.kind),
                _ => Given::Dynamic,
            },
            _ => Given::Fixed(Kind::Text),
        }
    }

    pub(super) fn collection(
        &self,
        name: &str,
        field: &str,
        suffix: Option<Suffix>,
        at: usize,
    ) -> Result<Resolved, Error> {
        if !self.is_rule() {
            return Err(Error::new(at, "`@collection` stands only in rules"));
        }
        if let Some(suffix) = suffix {
            return Err(Error::new(at, format!("`@collection` takes no `:{}`", suffix.as_str())));
        }
        let Some(target) = self.schema.collection(name) else {
            let near = suggest(name, self.schema.collection_names());
            let position = at + "@collection.".len();
            return Err(Error::new(position, format!("unknown collection `{name}`{near}")));
        };
        let position = at + "@collection.".len() + name.chars().count() + 1;
        let found = follow(&[field], position, &*target, &mut false)?;
        if matches!(found.kind, Kind::Json | Kind::Geo) {
            return Err(Error::new(
                position,
                format!("`{field}` is {}, which compares with nothing", found.kind.noun()),
            ));
        }
        Ok(Resolved::Side {
            side: Side::Stored(Term::Collection {
                collection: name.to_owned(),
                field: field.to_owned(),
                kind: found.kind,
                list: found.list,
            }),
            given: Given::Fixed(found.kind),
            each: false,
        })
    }

    pub(super) fn distance(
        &self,
        field: &str,
        at: usize,
        (lat, lng): (f64, f64),
        unit: Unit,
    ) -> Result<Resolved, Error> {
        if self.is_create() {
            return Err(Error::new(at, "a create rule has no stored point to measure from"));
        }
        let column = column(field, at, self.schema)?;
        if column.kind != Kind::Geo || column.is_many() {
            return Err(Error::new(at, format!("found `{field}`, expected a geopoint field")));
        }
        Ok(Resolved::Side {
            side: Side::Stored(Term::Distance { column, lat, lng, unit }),
            given: Given::Fixed(Kind::Number),
            each: false,
        })
    }
}

fn stored(mut column: Column, modifier: Option<Modifier>, each: bool) -> Resolved {
    column.modifier = modifier;
    let given = Given::Fixed(column.item_kind());
    Resolved::Side { side: Side::Stored(Term::Column(column)), given, each }
}
