//! Who may do what: the only place that decides. Operations ask here and nowhere else; what they get back is either leave, a
//! refusal, or a condition that goes into the statement's WHERE.

use std::collections::HashMap;

use fastcms_expr::{Predicate, RuleKind};
use fastcms_store::Tx;
use fastcms_store::accounts::users::{self, User};
use fastcms_store::files::{Reach, StoredFile};
use fastcms_store::predicate::Sight;
use fastcms_store::schema::{Collection, Rule};
use jiff::Timestamp;

use crate::accounts::realm_text;
use crate::api_keys::{Action, Area, Need};
use crate::caller::{Account, Caller, Principal, Realm};
use crate::error::{Error, Result};

mod facts;
mod permission;
mod step_up;

pub(crate) use facts::Facts;
pub use facts::{NoParts, RequestFacts, RequestParts};
pub use fastcms_expr::Context;
pub use permission::{Permission, Permissions};
pub use step_up::{Recent, recent, require_recent};

/// Leave for admins of `users` and the operator. Everybody else is told to sign in, or that it is not for them.
pub fn require_admin(caller: &Caller) -> Result<()> {
    if caller.is_admin() { Ok(()) } else { Err(refusal(caller)) }
}

/// Leave for whoever holds this permission: admins and the operator by being that, others by a role.
pub fn require(caller: &Caller, permission: Permission) -> Result<()> {
    if caller.holds(permission) { Ok(()) } else { Err(refusal(caller)) }
}

/// Leave for whoever holds all of these: nobody gives what they do not hold.
pub(crate) fn require_all(caller: &Caller, permissions: Permissions) -> Result<()> {
    if caller.permissions().covers(permissions) { Ok(()) } else { Err(refusal(caller)) }
}

/// Leave to change a user, to end their sessions or to act for them: not for an admin's account, nor for that of anybody who holds
/// more than the caller; oneself aside. In the transaction of the change.
///
/// # Errors
/// [`Error::NotFound`] for an unknown user, [`Error::Forbidden`].
pub(crate) async fn require_over(tx: &mut Tx<'_>, caller: &Caller, user_id: &str) -> Result<User> {
    let user = users::by_id_locked(tx, user_id).await?.ok_or(Error::NotFound)?;
    let is_self = caller.account().is_some_and(|own| own.realm == Realm::Users && own.id == user_id);
    if !caller.is_admin() && !is_self {
        let held = crate::roles::held_in(tx, user_id).await?;
        if user.role == "admin" || !caller.permissions().covers(held) {
            return Err(refusal(caller));
        }
    }
    Ok(user)
}

/// Leave for anyone signed in, of whatever realm. The operator has no account and is refused.
pub fn require_account(caller: &Caller) -> Result<&Account> {
    caller.account().ok_or_else(|| refusal(caller))
}

/// Leave for a person who signed in: credentials, keys and sessions are no business of API keys, not even of the owner's, nor of admins
/// in somebody's place.
pub fn require_in_person(caller: &Caller) -> Result<&Account> {
    match &caller.principal {
        Principal::Account(account) => Ok(account),
        Principal::Guest | Principal::ApiKey(_) | Principal::Acting(_) | Principal::Operator => Err(refusal(caller)),
    }
}

/// Leave as far as the scopes of an API key go, which nobody else has: for what is not done to records of one collection. The edge asks
/// for every route before its handler runs.
///
/// # Errors
/// [`Error::InsufficientScope`].
pub fn require_scope(caller: &Caller, need: Option<Need>) -> Result<()> {
    let Some(key) = caller.api_key() else { return Ok(()) };
    let covered = need.map_or_else(|| key.scopes.cover_everything(), |need| key.scopes.touch(need));
    if covered { Ok(()) } else { Err(Error::InsufficientScope) }
}

/// The same for records that an operation touches whatever its own area is: those of an export, of a whole collection.
///
/// # Errors
/// [`Error::InsufficientScope`].
pub(crate) fn require_records(caller: &Caller, action: Action) -> Result<()> {
    if caller.covers(Need::new(Area::Records, action)) { Ok(()) } else { Err(Error::InsufficientScope) }
}

/// The same for records of one collection.
fn require_collection(caller: &Caller, need: Need, collection: &Collection) -> Result<()> {
    let covered = caller.api_key().is_none_or(|key| key.scopes.cover_collection(need, collection.name()));
    if covered { Ok(()) } else { Err(Error::InsufficientScope) }
}

/// The refusal that fits this caller: guests may try again with a credential, others may not.
pub fn refusal(caller: &Caller) -> Error {
    match caller.principal {
        Principal::Guest => Error::AuthenticationRequired,
        Principal::Account(_) | Principal::ApiKey(_) | Principal::Acting(_) | Principal::Operator => Error::Forbidden,
    }
}

/// Which files the caller may put into a record: whoever sees all files any, others their own uploads.
pub(crate) fn usable_files(caller: &Caller) -> Reach {
    if caller.holds(Permission::FilesRead) {
        return Reach::All;
    }
    caller.account().map_or(Reach::None, |account| Reach::Own {
        realm: realm_text(&account.realm).to_owned(),
        account_id: account.id.clone(),
    })
}

/// Whether a file is the caller's to see, or to change and to delete: they uploaded it, or hold `permission`. An id means nothing
/// without its realm (CVE-2026-25574).
pub(crate) fn owns_file(caller: &Caller, file: &StoredFile, permission: Permission) -> bool {
    let is_own = |account: &Account| {
        file.owner.as_ref().is_some_and(|(realm, id)| realm == realm_text(&account.realm) && *id == account.id)
    };
    caller.holds(permission) || caller.account().is_some_and(is_own)
}

/// Whether rules of this kind do not bind the caller: admins, and who reads or writes all records by a role.
fn passes_by(caller: &Caller, kind: RuleKind) -> bool {
    caller.holds(match kind {
        RuleKind::List | RuleKind::View => Permission::RecordsRead,
        RuleKind::Create | RuleKind::Update | RuleKind::Delete | RuleKind::Manage => Permission::RecordsWrite,
    })
}

/// What the rule asks of a record, for this caller and this request, if the scopes of an API key reach this far. Admins pass it by; where there is none, everybody else is refused,
/// the same for records that exist and for those that do not. A rule that cannot be decided denies.
pub(crate) fn rule(facts: &Facts<'_>, collection: &Collection, kind: RuleKind, now: Timestamp) -> Result<Predicate> {
    require_collection(facts.caller, facts.request.need, collection)?;
    if passes_by(facts.caller, kind) {
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

/// The same for rows that a caller meets on the way, which are read whatever is done: a missing rule shows none instead of refusing the
/// request.
pub(crate) fn rule_on_the_way(facts: &Facts<'_>, collection: &Collection, kind: RuleKind, now: Timestamp) -> Predicate {
    let request = facts.request.reading();
    rule(&Facts { request, ..*facts }, collection, kind, now).unwrap_or(Predicate::False)
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
    let sees_all = facts.caller.holds(Permission::RecordsRead);
    let follows_all = sees_all && facts.caller.covers(facts.request.reading().need);
    let mut sight = Sight { sees_all, follows_all, own, rows: HashMap::new() };
    if sight.follows_all {
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
