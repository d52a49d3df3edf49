//! Who may do what: the only place that decides. Operations ask here and nowhere else; what they get back is either leave, a
//! refusal, or a condition that goes into the statement's WHERE.

use std::collections::HashMap;

use fastcms_expr::{Predicate, RuleKind};
use fastcms_store::files::Reach;
use fastcms_store::predicate::Sight;
use fastcms_store::schema::{Collection, Rule};
use jiff::Timestamp;

use crate::accounts::realm_text;
use crate::caller::{Account, Caller, Principal, Realm};
use crate::error::{Error, Result};

mod facts;
mod step_up;

pub(crate) use facts::Facts;
pub use facts::{NoParts, RequestFacts, RequestParts};
pub use fastcms_expr::Context;
pub use step_up::{Recent, recent, require_recent};

/// Leave for admins of `users` and the operator. Everybody else is told to sign in, or that it is not for them.
pub fn require_admin(caller: &Caller) -> Result<()> {
    if caller.is_admin() { Ok(()) } else { Err(refusal(caller)) }
}

/// Leave for anyone signed in, of whatever realm. The operator has no account and is refused.
pub fn require_account(caller: &Caller) -> Result<&Account> {
    caller.account().ok_or_else(|| refusal(caller))
}

/// The refusal that fits this caller: guests may try again with a credential, others may not.
pub fn refusal(caller: &Caller) -> Error {
    match caller.principal {
        Principal::Guest => Error::AuthenticationRequired,
        Principal::Account(_) | Principal::Operator => Error::Forbidden,
    }
}

/// Which files the caller may put into a record: admins any, others their own uploads.
pub(crate) fn usable_files(caller: &Caller) -> Reach {
    if caller.is_admin() {
        return Reach::All;
    }
    caller.account().map_or(Reach::None, |account| Reach::Own {
        realm: realm_text(&account.realm).to_owned(),
        account_id: account.id.clone(),
    })
}

/// What the rule asks of a record, for this caller and this request. Admins pass it by; where there is none, everybody else is refused,
/// the same for records that exist and for those that do not. A rule that cannot be decided denies.
pub(crate) fn rule(facts: &Facts<'_>, collection: &Collection, kind: RuleKind, now: Timestamp) -> Result<Predicate> {
    if facts.caller.is_admin() {
        return Ok(Predicate::True);
    }
    match collection.rules().get(kind) {
        Rule::Admins => Err(refusal(facts.caller)),
        Rule::Everyone => Ok(Predicate::True),
        Rule::When(checked) => Ok(checked.bind(facts, now).unwrap_or_else(|error| {
            tracing::debug!(collection = collection.name(), rule = ?kind, %error, "a rule could not be decided and denies");
            Predicate::False
        })),
    }
}

/// The same for rows that a caller meets on the way: a missing rule shows none instead of refusing the request.
pub(crate) fn rule_on_the_way(facts: &Facts<'_>, collection: &Collection, kind: RuleKind, now: Timestamp) -> Predicate {
    rule(facts, collection, kind, now).unwrap_or(Predicate::False)
}

/// What this caller sees of records: everything, or what `paths` (filters and sort keys of the request) may touch in other collections.
pub(crate) fn sight<'p>(
    facts: &Facts<'_>,
    home: &Collection,
    paths: impl Iterator<Item = &'p [String]>,
    now: Timestamp,
) -> Sight {
    let own = facts.caller.account().and_then(|account| match &account.realm {
        Realm::Users => None,
        Realm::Collection(id) => Some((id.to_string(), account.id.clone())),
    });
    let mut sight = Sight { sees_all: facts.caller.is_admin(), own, rows: HashMap::new() };
    if sight.sees_all {
        return sight;
    }
    for path in paths {
        let mut reached = home;
        for relation in &path[..path.len().saturating_sub(1)] {
            let Some(target) = reached.field(relation).and_then(|field| facts.schema.target(field)) else { break };
            if !sight.rows.contains_key(target.id()) {
                let rows = rule_on_the_way(facts, target, RuleKind::List, now);
                sight.rows.insert(target.id().to_owned(), rows);
            }
            reached = target;
        }
    }
    sight
}
