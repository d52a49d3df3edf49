//! Who reads a field or a collection that a change takes away, renames or turns into something else. A rule is never rewritten: what an
//! admin allowed is what an admin wrote. One that would say something else afterwards stands in the way, and is named.

use fastcms_expr::RuleKind;
use fastcms_store::schema::{Collection, RULE_KINDS, SYSTEM_COLUMNS, Storage, rule_key};

use super::mentions::Mentions;
use super::update::Change;
use crate::error::{FieldErrors, Result};

/// Refuses a change that leaves somebody reading what is no longer there. Rules in `sent` came with the change and mean what they say.
pub(super) fn check(change: &Change<'_>, sent: &[RuleKind]) -> Result<()> {
    let mut errors = FieldErrors::default();
    check_own_rules(change, sent, &mut errors);
    check_other_rules(change, &mut errors);
    check_indexes(change.new, &mut errors);
    check_displays(change, &mut errors);
    check_realm(change, sent, &mut errors);
    errors.into_result()
}

/// Names whose values are no longer found under them.
fn gone<'c>(change: &Change<'c>) -> impl Iterator<Item = &'c str> {
    let (old, new, origins) = (change.old, change.new, change.origins);
    let names = old.fields().iter().enumerate();
    names
        .filter(move |(was, field)| new.position(&field.name).is_none_or(|now| origins.of(now) != Some(*was)))
        .map(|(_, field)| field.name.as_str())
}

fn check_own_rules(change: &Change<'_>, sent: &[RuleKind], errors: &mut FieldErrors) {
    for kind in RULE_KINDS.into_iter().filter(|kind| !sent.contains(kind)) {
        let Some(rule) = change.new.definition().rules.get(kind) else {
            continue;
        };
        let mentions = Mentions::of(rule);
        for name in gone(change).filter(|name| mentions.field_at_home(change.old.name(), name)) {
            errors.add(rule_key(kind), format!("Reads `{name}`: send the rule with the change"));
        }
    }
}

/// What no longer exists is found by checking the rules anew; a name that means another field now is not.
fn check_other_rules(change: &Change<'_>, errors: &mut FieldErrors) {
    let reused: Vec<_> = gone(change).filter(|name| change.new.position(name).is_some()).collect();
    if reused.is_empty() {
        return;
    }
    for (other, kind, mentions) in rules_of_others(change) {
        for name in reused.iter().filter(|name| mentions.field_from_afar(change.old.name(), name)) {
            errors.add("schema", format!("`{}` of the collection `{}` reads `{name}`", rule_key(kind), other.name()));
        }
    }
}

fn rules_of_others<'c>(change: &Change<'c>) -> impl Iterator<Item = (&'c Collection, RuleKind, Mentions)> {
    let (after, id) = (change.after, change.new.id());
    after.collections().iter().filter(move |other| other.id() != id).flat_map(|other| {
        RULE_KINDS
            .into_iter()
            .filter_map(|kind| Some((&**other, kind, Mentions::of(other.definition().rules.get(kind)?))))
    })
}

/// Every member of an index is a field that an index can hold.
pub(super) fn check_indexes(collection: &Collection, errors: &mut FieldErrors) {
    for index in &collection.definition().indexes {
        for member in &index.fields {
            if let Err(message) = check_member(collection, &member.name) {
                errors.add("schema", format!("The index `{}` reads `{}`: {message}", index.name, member.name));
            }
        }
    }
}

/// Whether an index can hold this field.
pub(super) fn check_member(collection: &Collection, name: &str) -> Result<(), &'static str> {
    if SYSTEM_COLUMNS.contains(&name) {
        return Ok(());
    }
    match collection.position(name) {
        None => Err("Unknown field"),
        Some(at) if collection.is_password(at) => Err("Unknown field"),
        Some(at) if collection.fields()[at].encrypted => Err("Not for an encrypted field"),
        Some(at) if collection.storage(at) == Storage::Json => Err("Not for a field of this type"),
        Some(_) => Ok(()),
    }
}

/// Relations of other collections that show a field which cannot be shown any more.
fn check_displays(change: &Change<'_>, errors: &mut FieldErrors) {
    let is_shown = |collection: &Collection, name: &str| {
        SYSTEM_COLUMNS.contains(&name) || collection.field(name).is_some_and(|field| !field.hidden)
    };
    for reference in
        change.after.references(change.new.id()).filter(|reference| reference.collection.id() != change.new.id())
    {
        let field = &reference.collection.fields()[reference.field];
        let shows = field.relation.iter().flat_map(|relation| &relation.display_fields);
        for name in shows.filter(|name| !is_shown(change.new, name) && was_shown(change.old, name)) {
            errors.add(
                "schema",
                format!("`{}` of the collection `{}` shows `{name}`", field.name, reference.collection.name()),
            );
        }
    }
}

fn was_shown(old: &Collection, name: &str) -> bool {
    old.field(name).is_some_and(|field| !field.hidden)
}

/// Rules that compare the collection of the calling account with the name before.
fn check_realm(change: &Change<'_>, sent: &[RuleKind], errors: &mut FieldErrors) {
    let was = change.old.name();
    if was == change.new.name() || !change.old.is_auth() {
        return;
    }
    let own = RULE_KINDS
        .into_iter()
        .filter(|kind| !sent.contains(kind))
        .filter_map(|kind| Some((change.new, kind, Mentions::of(change.new.definition().rules.get(kind)?))));
    for (collection, kind, _) in own.chain(rules_of_others(change)).filter(|(_, _, mentions)| mentions.realm(was)) {
        let text = format!(
            "`{}` of the collection `{}` compares `@request.auth.collection` with `{was}`",
            rule_key(kind),
            collection.name()
        );
        errors.add("name", text);
    }
}
