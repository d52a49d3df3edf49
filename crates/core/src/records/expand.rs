//! `expand`: which relations to follow, in whose eyes.

use std::sync::Arc;

use fastcms_expr::{Context, RuleKind};
use fastcms_store::records::{Expansion, Shape, View, Way};
use fastcms_store::schema::{Collection, FieldType};

use super::Door;
use super::list::invalid_at;
use crate::access::{self, Facts, Permission};
use crate::error::{Error, QueryPart, Result};

/// Most paths of one request (contract 16).
pub const MAX_PATHS: usize = 10;
/// Most relations in one path.
pub const MAX_DEPTH: usize = 3;

/// Reads a comma list of paths such as `author`, `author.team`, `comments_via_post`.
pub(super) fn read(door: &Door<'_>, text: Option<&str>) -> Result<Vec<Expansion>> {
    let mut expansions = Vec::new();
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(expansions) };
    let mut position = 0;
    for (count, path) in text.split(',').enumerate() {
        if count == MAX_PATHS {
            return Err(invalid(position, format!("at most {MAX_PATHS} paths can be expanded")));
        }
        add(door, &door.collection, &mut expansions, path.trim(), position, 1)?;
        position += path.chars().count() + 1;
    }
    Ok(expansions)
}

fn add(
    door: &Door<'_>,
    home: &Arc<Collection>,
    expansions: &mut Vec<Expansion>,
    path: &str,
    position: usize,
    depth: usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(invalid(position, format!("at most {MAX_DEPTH} relations can be followed one after another")));
    }
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let at = if let Some(at) = expansions.iter().position(|expansion| expansion.name == name) {
        at
    } else {
        let (way, target) = resolve(door, home, name).ok_or_else(|| invalid(position, unresolved(door, home, name)))?;
        expansions.push(expansion(door, name, way, target));
        expansions.len() - 1
    };
    let expansion = &mut expansions[at];
    match rest {
        None => Ok(()),
        Some(rest) => {
            let target = Arc::clone(&expansion.view.collection);
            add(door, &target, &mut expansion.children, rest, position + name.chars().count() + 1, depth + 1)
        }
    }
}

/// A visible relation field of `home`, or one of another collection that points at it (`<collection>_via_<field>`).
fn resolve(door: &Door<'_>, home: &Collection, name: &str) -> Option<(Way, Arc<Collection>)> {
    let is_relation = |collection: &Collection, field: usize| {
        collection.fields()[field].kind == FieldType::Relation && !collection.fields()[field].hidden
    };
    if let Some(field) = home.position(name).filter(|field| is_relation(home, *field)) {
        return Some((Way::Forward { field }, door.schema.target(&home.fields()[field]).cloned()?));
    }
    // Both names may hold `_via_` themselves.
    name.match_indices("_via_").find_map(|(at, via)| {
        let source = door.schema.by_name(&name[..at]).filter(|source| may_be_named(door, source))?;
        let field = source.position(&name[at + via.len()..]).filter(|field| is_relation(source, *field))?;
        let points_here = door.schema.target(&source.fields()[field]).is_some_and(|target| target.id() == home.id());
        points_here.then(|| (Way::Back { field }, Arc::clone(source)))
    })
}

/// Whether this caller may learn that there is such a collection: one whose records no rule shows to anybody is for its admins alone.
fn may_be_named(door: &Door<'_>, collection: &Collection) -> bool {
    collection.shows_itself() || door.caller.holds(Permission::RecordsRead)
}

/// Why nothing is found under a name.
fn unresolved(door: &Door<'_>, home: &Collection, name: &str) -> String {
    let is_polymorphic = |collection: &Collection, field: &str| {
        collection.field(field).is_some_and(|field| !field.hidden && field.polymorphic_type_field().is_some())
    };
    let from_afar = |(at, via): (usize, &str)| {
        let source = door.schema.by_name(&name[..at]).filter(|source| may_be_named(door, source));
        source.is_some_and(|source| is_polymorphic(source, &name[at + via.len()..]))
    };
    if is_polymorphic(home, name) || name.match_indices("_via_").any(from_afar) {
        return format!("`{name}` is a polymorphic relation, which cannot be expanded");
    }
    format!("unknown relation `{name}`")
}

fn expansion(door: &Door<'_>, name: &str, way: Way, target: Arc<Collection>) -> Expansion {
    let facts = Facts { request: door.request.within(Context::Expand), data: None, ..door.facts() };
    let rule = access::rule_on_the_way(&facts, &target, RuleKind::View, door.now);
    let sight = access::sight(&facts, &target, std::iter::empty(), door.now);
    let shape = Shape::all();
    let unseal = door.app.sealing.opener(&target);
    let view = View { schema: Arc::clone(&door.schema), collection: target, sight: Arc::new(sight), shape, unseal };
    Expansion { name: name.to_owned(), way, view, rule, children: Vec::new() }
}

fn invalid(position: usize, reason: String) -> Error {
    invalid_at(QueryPart::Expand, position, reason)
}
