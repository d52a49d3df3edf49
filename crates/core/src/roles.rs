//! Roles: named sets of permissions that admins define and give to users (contract 5.14). Nobody gives, and nobody takes away, what
//! they do not hold themselves; no role makes an admin.

use fastcms_store::roles::{self as rows, Role as Row};
use fastcms_store::{LockName, Plan, Reader, Tx};
use serde_json::{Value as Json, json};

use crate::access::{self, Permission, Permissions, Recent};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, FieldErrors, Result};
use crate::time::stamp;

/// Most roles of an installation.
pub const MAX_ROLES: i64 = 200;
/// Longest name of a role, characters.
pub const MAX_NAME: usize = 100;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub id: String,
    pub name: String,
    pub permissions: Permissions,
    /// How many users hold it.
    pub users: i64,
    pub created: String,
    pub updated: String,
}

impl Role {
    fn of(row: Row, users: i64) -> Self {
        let Row { id, name, permissions, created, updated } = row;
        Self { id, name, permissions: Permissions::stored(&permissions), users, created, updated }
    }
}

/// What a user's roles come to; nothing for an admin, who needs none.
pub(crate) async fn held(reader: &mut Reader<'_>, user_id: &str) -> Result<Permissions> {
    Ok(together(&rows::of_user(reader, user_id).await?))
}

/// The same inside a transaction.
pub(crate) async fn held_in(tx: &mut Tx<'_>, user_id: &str) -> Result<Permissions> {
    Ok(together(&rows::of_user_in(tx, user_id).await?))
}

fn together(roles: &[Row]) -> Permissions {
    roles.iter().fold(Permissions::NONE, |all, role| all.and(Permissions::stored(&role.permissions)))
}

/// Every role, by name.
pub async fn list(caller: &Caller, app: &App) -> Result<Vec<Role>> {
    access::require(caller, Permission::RolesRead)?;
    let found = app.store.read(Plan::Scan, |reader| Box::pin(rows::all(reader))).await?;
    Ok(found.into_iter().map(|(row, users)| Role::of(row, users)).collect())
}

/// Makes a role.
///
/// # Errors
/// [`Error::Forbidden`] for a permission that the caller does not hold, [`Error::AlreadyExists`] for a name that is taken.
pub async fn create(caller: &Recent, app: &App, name: &str, permissions: &[String]) -> Result<Role> {
    access::require(caller, Permission::RolesWrite)?;
    let (name, permissions) = checked(Some(name), Some(permissions))?;
    let (name, permissions) = (name.unwrap_or_default(), permissions.unwrap_or_default());
    access::require_all(caller, permissions)?;
    let now = stamp(app.now_millis());
    let row = Row { id: app.new_id(), name, permissions: written(permissions), created: now.clone(), updated: now };
    let stored = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("roles")).await?;
            if rows::count(tx).await? >= MAX_ROLES {
                return Err(Error::field("name", format!("There can be at most {MAX_ROLES} roles")));
            }
            rows::insert(tx, &row, &fastcms_expr::lower(&row.name)).await?;
            let event = Event::RoleCreated.on("role", row.id.as_str()).with("after", seen(&row));
            Ok(trail.record(tx, event).with(row))
        })
    });
    Ok(Role::of(stored.await.map_err(taken)?, 0))
}

/// Changes a role: what is `None` stays. It counts for its holders from their next request.
///
/// # Errors
/// As [`create`]; also [`Error::Forbidden`] for a role that holds more than the caller does.
pub async fn update(
    caller: &Recent,
    app: &App,
    id: &str,
    name: Option<&str>,
    permissions: Option<&[String]>,
) -> Result<Role> {
    access::require(caller, Permission::RolesWrite)?;
    let (name, permissions) = checked(name, permissions)?;
    access::require_all(caller, permissions.unwrap_or_default())?;
    let (asking, id, now) = (Caller::clone(caller), id.to_owned(), stamp(app.now_millis()));
    let stored = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("roles")).await?;
            let before = rows::by_id(tx, &id).await?.ok_or(Error::NotFound)?;
            access::require_all(&asking, Permissions::stored(&before.permissions))?;
            let after = Row {
                name: name.unwrap_or_else(|| before.name.clone()),
                permissions: permissions.map_or_else(|| before.permissions.clone(), written),
                updated: now,
                ..before.clone()
            };
            rows::update(tx, &after, &fastcms_expr::lower(&after.name)).await?;
            let users = rows::holders(tx, &id).await?;
            let event = Event::RoleUpdated.on("role", id).change(seen(&before), seen(&after));
            Ok(trail.record(tx, event).with((after, users)))
        })
    });
    let (row, users) = stored.await.map_err(taken)?;
    Ok(Role::of(row, users))
}

/// Takes a role away, and from everybody who holds it.
///
/// # Errors
/// [`Error::Forbidden`] for a role that holds more than the caller does.
pub async fn delete(caller: &Recent, app: &App, id: &str) -> Result<()> {
    access::require(caller, Permission::RolesWrite)?;
    let (asking, id) = (Caller::clone(caller), id.to_owned());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("roles")).await?;
            let before = rows::by_id(tx, &id).await?.ok_or(Error::NotFound)?;
            access::require_all(&asking, Permissions::stored(&before.permissions))?;
            let holders = rows::delete(tx, &id).await?;
            let event = Event::RoleDeleted.on("role", id).with("before", seen(&before)).with("holders", holders);
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// Gives a user exactly these roles, by their ids; the roles, by name.
///
/// # Errors
/// [`Error::SelfAction`] on oneself, [`Error::Forbidden`] where a role holds more than the caller does, or the user does, and
/// validation for an unknown role.
pub async fn set_of_user(caller: &Recent, app: &App, user_id: &str, ids: &[String]) -> Result<Vec<Role>> {
    access::require(caller, Permission::RolesWrite)?;
    if caller.account().is_some_and(|account| account.id == user_id) {
        return Err(Error::SelfAction);
    }
    if ids.len() > usize::try_from(MAX_ROLES).unwrap_or(usize::MAX) {
        return Err(Error::field("roles", format!("Must be at most {MAX_ROLES} roles")));
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let (asking, user_id) = (Caller::clone(caller), user_id.to_owned());
    let given = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            // Whoever changes what people may do waits for whoever else does.
            tx.lock(LockName::new("setup")).await?;
            tx.lock(LockName::new("roles")).await?;
            access::require_over(tx, &asking, &user_id).await?;
            let before = rows::of_user_in(tx, &user_id).await?;
            let mut granted = Permissions::NONE;
            for id in &ids {
                let role = rows::by_id(tx, id).await?;
                let role = role.ok_or_else(|| Error::field("roles", "Unknown role"))?;
                granted = granted.and(Permissions::stored(&role.permissions));
            }
            access::require_all(&asking, granted)?;
            rows::set_of_user(tx, &user_id, &ids).await?;
            let after = rows::of_user_in(tx, &user_id).await?;
            let names = |roles: &[Row]| roles.iter().map(|role| role.name.clone()).collect::<Vec<_>>();
            let event = Event::RolesGiven.on("user", user_id);
            let event = event.with("before", names(&before)).with("after", names(&after));
            Ok::<_, Error>(trail.record(tx, event).with(after))
        })
    });
    Ok(given.await?.into_iter().map(|row| Role::of(row, 0)).collect())
}

fn checked(name: Option<&str>, permissions: Option<&[String]>) -> Result<(Option<String>, Option<Permissions>)> {
    let mut errors = FieldErrors::default();
    let name = name.map(str::trim);
    match name {
        Some("") => errors.add("name", "This field is required"),
        Some(name) if name.chars().count() > MAX_NAME => errors.add("name", format!("Maximum length is {MAX_NAME}")),
        Some(name) if name.chars().any(char::is_control) => errors.add("name", "Does not match required pattern"),
        _ => {}
    }
    let permissions = permissions.map(|names| {
        let known = |name: &String| {
            let found = Permission::of_name(name);
            if found.is_none() {
                errors.add("permissions", format!("Unknown permission `{}`", shortened(name)));
            }
            found
        };
        names.iter().filter_map(known).collect()
    });
    errors.into_result().map(|()| (name.map(str::to_owned), permissions))
}

/// What is said back of a name that somebody made up.
fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn written(permissions: Permissions) -> String {
    Json::from(permissions.iter().map(Permission::name).collect::<Vec<_>>()).to_string()
}

/// A role as the audit log shows it.
fn seen(row: &Row) -> Json {
    let names: Vec<&str> = Permissions::stored(&row.permissions).iter().map(Permission::name).collect();
    json!({"name": row.name, "permissions": names})
}

fn taken(error: Error) -> Error {
    match error {
        Error::UniqueConflict(_) => Error::AlreadyExists("A role of this name".to_owned()),
        other => other,
    }
}
