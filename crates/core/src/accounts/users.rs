//! `users`: registering, the own profile, and what admins do to them.

use fastcms_guard::limits::Class;
use fastcms_secrets::Secret;
use fastcms_store::accounts::users::{self as rows, User, UserChange};
use fastcms_store::accounts::{self, AccountTable, Credentials, forget, remember_password, replace_password};
use fastcms_store::{Change, ChangeKind, LockName, Plan, Tx};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep_until};

use super::passwords::Replaced;
use super::proof::Proven;
use super::sessions::{realm_text, table_of};
use super::setup::{email_taken, needs_setup};
use super::sign_in::{End, end_in};
use super::tokens::{Grant, open_session};
use super::verification::invitation;
use super::{Device, email, passwords};
use crate::access::{self, Permission, Recent};
use crate::app::App;
use crate::attempts::FLOOR;
use crate::audit::{self, Event, Recorded};
use crate::caller::{Account, Caller, Realm};
use crate::error::{Error, FieldErrors, Result};
use crate::limits;
use crate::mail::{self, Kind, Mail, Owner};
use crate::time::stamp;

/// Characters of a user's name.
const NAME_LIMIT: usize = 255;

/// A user about to be made. The confirmation was compared before.
pub struct NewUser {
    pub email: String,
    pub password: Secret<String>,
    pub name: Option<String>,
}

/// What people may change of themselves.
#[derive(Debug, Clone, Default)]
pub struct OwnChange {
    pub name: Option<Option<String>>,
    pub avatar: Option<Option<String>>,
    pub email_visibility: Option<bool>,
}

/// What admins may change of others.
#[derive(Debug, Clone, Default)]
pub struct AdminChange {
    pub name: Option<Option<String>>,
    pub email: Option<String>,
    pub role: Option<String>,
    pub verified: Option<bool>,
    pub disabled: Option<bool>,
    pub password: Option<Secret<String>>,
}

/// A page of users.
#[derive(Debug, Clone)]
pub struct UserPage {
    pub items: Vec<User>,
    pub total: i64,
}

/// Checks a new user and hashes the password: the row to store and its hash.
pub(crate) async fn draft(app: &App, new: NewUser, role: &str, verified: bool) -> Result<(User, Secret<String>)> {
    let mut faults = FieldErrors::default();
    let address = email::check("email", &new.email).unwrap_or_else(|_| {
        faults.add("email", "Invalid email format");
        String::new()
    });
    let name = check_name(new.name).unwrap_or_else(|message| {
        faults.add("name", message);
        None
    });
    faults.into_result()?;
    passwords::check_policy(app, "password", &new.password, &address).await?;
    let password = passwords::hash(app, new.password).await?;
    let now = stamp(app.now_millis());
    let user = User {
        id: app.new_id(),
        email: address,
        name,
        avatar: None,
        role: role.to_owned(),
        verified,
        email_visibility: false,
        disabled: false,
        must_change_password: false,
        two_factor_enabled: false,
        created: now.clone(),
        updated: now,
    };
    Ok((user, password))
}

fn check_name(name: Option<String>) -> Result<Option<String>, String> {
    match name {
        Some(name) if name.contains('\0') => Err("Must not contain NUL".to_owned()),
        Some(name) if name.chars().any(char::is_control) => Err("Must not contain control characters".to_owned()),
        Some(name) if name.chars().count() > NAME_LIMIT => Err(format!("Maximum length is {NAME_LIMIT}")),
        Some(name) if name.is_empty() => Ok(None),
        other => Ok(other),
    }
}

pub(crate) fn credentials(user: &User, password: Secret<String>) -> Credentials {
    Credentials {
        id: user.id.clone(),
        email: user.email.clone(),
        password: Some(password),
        verified: user.verified,
        role: Some(user.role.clone()),
        disabled: user.disabled,
        must_change_password: user.must_change_password,
    }
}

/// Stores a new user; one whose address is not known to be theirs is asked for that.
async fn store_new(
    caller: &Caller,
    app: &App,
    user: &User,
    password: &Secret<String>,
    event: audit::Entry,
) -> Result<()> {
    let (row, phc, event) = (user.clone(), password.clone(), event.on("user", &user.id));
    let invitation = invitation(app, "users", &user.id, &user.email).only_if(!user.verified);
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            rows::insert(tx, &row, Some(&phc)).await?;
            mail::enqueue(tx, invitation).await?;
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
    .map_err(email_taken)
}

/// What a registration comes to.
#[derive(Debug)]
pub enum Registered<T> {
    /// The account is there, and signed in.
    SignedIn(Grant, T),
    /// Whoever has the address was sent a mail: nothing else is said.
    ToBeVerified,
}

/// Anyone may register once an admin exists. Where addresses have to be verified nobody is signed in, and one that is taken is
/// answered like one that is not.
pub async fn register(caller: &Caller, app: &App, new: NewUser, device: &Device) -> Result<Registered<User>> {
    let opened = Instant::now();
    if needs_setup(caller, app).await? {
        return Err(Error::RegistrationClosed);
    }
    limits::charge_named(caller, app, Class::Register, &Realm::Users, &new.email).await?;
    let (user, password) = draft(app, new, "user", false).await?;
    let event = Event::Registered.of_account(Some(&user.id), Some(&user.email));
    if app.settings.now().verification_required {
        match store_new(caller, app, &user, &password, event).await {
            Err(Error::EmailTaken) => tell_taken(caller, app, &Realm::Users, &user.email).await?,
            made => made?,
        }
        sleep_until(opened + FLOOR).await;
        return Ok(Registered::ToBeVerified);
    }
    store_new(caller, app, &user, &password, event).await?;
    let proven = Proven { credentials: credentials(&user, password), attempt: None };
    let grant = open_session(caller, app, &Realm::Users, proven, device).await?;
    Ok(Registered::SignedIn(grant, user))
}

/// Tells whoever has the address that somebody registered it again, where the answer must not: one that is not verified yet is asked
/// for that once more.
pub(super) async fn tell_taken(caller: &Caller, app: &App, realm: &Realm, email: &str) -> Result<()> {
    let Some(table) = table_of(&app.schema.load(), realm_text(realm)) else { return Ok(()) };
    let (realm, email) = (realm_text(realm).to_owned(), email.to_owned());
    let again = invitation(app, &realm, "", &email);
    let known = Mail::new(app, Kind::AlreadyRegistered, email.as_str()).in_realm(&realm);
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let Some(account) = accounts::by_email_in(tx, &table, &email).await? else {
                return Ok(Recorded::nothing_happened().with(()));
            };
            let wanted = !account.disabled;
            let mail = if account.verified { known } else { again.about(&realm, &account.id) };
            mail::enqueue(tx, mail.only_if(wanted).addressed_to(account.email)).await?;
            let event = Event::RegisteredAgain.of_account(None, Some(&email)).with("realm", realm);
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// The calling user.
pub async fn own(caller: &Caller, app: &App) -> Result<User> {
    let account = own_account(caller)?;
    get(app, &account.id).await?.ok_or(Error::InvalidToken)
}

/// The account of a caller who must be one of `users`: a token of an auth collection is the wrong audience here.
fn own_account(caller: &Caller) -> Result<&Account> {
    let account = access::require_account(caller)?;
    if account.realm == Realm::Users { Ok(account) } else { Err(Error::InvalidToken) }
}

async fn get(app: &App, id: &str) -> Result<Option<User>> {
    let id = id.to_owned();
    Ok(app.store.read(Plan::Bounded, move |reader| Box::pin(async move { rows::by_id(reader, &id).await })).await?)
}

/// Changes the caller's own profile.
pub async fn change_own(caller: &Caller, app: &App, change: OwnChange) -> Result<User> {
    let account = own_account(caller)?;
    let mut faults = FieldErrors::default();
    let name = change.name.map(|name| {
        check_name(name).unwrap_or_else(|message| {
            faults.add("name", message);
            None
        })
    });
    if let Some(Some(avatar)) = &change.avatar
        && !crate::fields::url::is_https(avatar)
    {
        faults.add("avatar", "Invalid URL format");
    }
    faults.into_result()?;
    let change =
        UserChange { name, avatar: change.avatar, email_visibility: change.email_visibility, ..UserChange::default() };
    apply(caller, app, &account.id, change).await?;
    get(app, &account.id).await?.ok_or(Error::InvalidToken)
}

async fn apply(caller: &Caller, app: &App, id: &str, change: UserChange) -> Result<()> {
    let (id, now) = (id.to_owned(), stamp(app.now_millis()));
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let before = rows::by_id_locked(tx, &id).await?.ok_or(Error::NotFound)?;
            rows::update(tx, &id, &change, &now).await?;
            tx.announce(Change::new(ChangeKind::Account, id.as_str()));
            let event = Event::UserUpdated.on("user", id).change(seen(&before), seen(&changed(&before, &change)));
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// A user as the audit log shows it.
fn seen(user: &User) -> Json {
    serde_json::json!({
        "email": user.email, "name": user.name, "avatar": user.avatar, "role": user.role, "verified": user.verified,
        "email_visibility": user.email_visibility, "disabled": user.disabled,
    })
}

/// The user once the change is made.
fn changed(before: &User, change: &UserChange) -> User {
    let UserChange { name, avatar, email, role, verified, disabled, email_visibility } = change.clone();
    User {
        name: name.unwrap_or_else(|| before.name.clone()),
        avatar: avatar.unwrap_or_else(|| before.avatar.clone()),
        email: email.unwrap_or_else(|| before.email.clone()),
        role: role.unwrap_or_else(|| before.role.clone()),
        verified: verified.unwrap_or(before.verified),
        disabled: disabled.unwrap_or(before.disabled),
        email_visibility: email_visibility.unwrap_or(before.email_visibility),
        ..before.clone()
    }
}

/// A page of users, newest first.
pub async fn list_by_admin(caller: &Caller, app: &App, page: i64, per_page: i64) -> Result<UserPage> {
    access::require(caller, Permission::UsersRead)?;
    let (items, total) = app
        .store
        .read(Plan::Scan, move |reader| {
            Box::pin(async move { rows::page(reader, (page - 1) * per_page, per_page).await })
        })
        .await?;
    Ok(UserPage { items, total })
}

/// One user.
pub async fn get_by_admin(caller: &Caller, app: &App, id: &str) -> Result<User> {
    access::require(caller, Permission::UsersRead)?;
    get(app, id).await?.ok_or(Error::NotFound)
}

/// Fails for an unknown user; for operations that asked for another permission than reading users.
pub(super) async fn known(app: &App, id: &str) -> Result<()> {
    get(app, id).await?.map(drop).ok_or(Error::NotFound)
}

/// Makes a user or another admin. Admins made by admins are verified.
pub async fn create_by_admin(caller: &Caller, app: &App, new: NewUser, role: &str) -> Result<User> {
    access::require(caller, Permission::UsersWrite)?;
    if role == "admin" {
        access::require_admin(caller)?;
        access::require_recent(caller, app)?;
    }
    check_role(role).map_err(|message| Error::field("role", message))?;
    let (mut user, password) = draft(app, new, role, role == "admin").await?;
    // Whoever made the account knows the password, unless they run the host anyway.
    user.must_change_password = caller.account().is_some();
    let event = Event::UserCreated.with("email", user.email.as_str()).with("role", role);
    store_new(caller, app, &user, &password, event).await?;
    Ok(user)
}

fn check_role(role: &str) -> Result<(), &'static str> {
    if matches!(role, "user" | "admin") { Ok(()) } else { Err("Must be one of: user, admin") }
}

/// Changes a user. A role, address or password that changes, and disabling, end that user's sessions. Role, address and password are
/// what an account is taken over by: they want a recent sign-in of whoever changes them.
pub async fn update_by_admin(caller: &Caller, app: &App, id: &str, change: AdminChange) -> Result<User> {
    access::require(caller, Permission::UsersWrite)?;
    if change.role.is_some() {
        access::require_admin(caller)?;
    }
    if change.role.is_some() || change.email.is_some() || change.password.is_some() {
        access::require_recent(caller, app)?;
    }
    let mut faults = FieldErrors::default();
    let address = change.email.as_deref().map(|text| email::check("email", text));
    if let Some(Err(_)) = address {
        faults.add("email", "Invalid email format");
    }
    if let Some(Err(message)) = change.role.as_deref().map(check_role) {
        faults.add("role", message);
    }
    let name = change.name.clone().map(check_name).transpose().unwrap_or_else(|message| {
        faults.add("name", message);
        None
    });
    faults.into_result()?;
    let is_self = caller.account().is_some_and(|account| account.id == id);
    if is_self && (change.role.is_some() || change.disabled == Some(true)) {
        return Err(Error::SelfAction);
    }
    let before = get(app, id).await?.ok_or(Error::NotFound)?;
    let row_change = UserChange {
        email: address.and_then(Result::ok),
        name,
        role: change.role,
        verified: change.verified,
        disabled: change.disabled,
        ..UserChange::default()
    };
    let password = match change.password {
        Some(password) => {
            let email = row_change.email.as_deref().unwrap_or(&before.email);
            Some(given_password(app, id, email, password, caller).await?)
        }
        None => None,
    };
    change_guarded(caller, app, id, row_change, password).await?;
    get(app, id).await?.ok_or(Error::NotFound)
}

/// A password that was hashed, and whether its owner has to change it at the next sign-in.
struct GivenPassword {
    hash: Secret<String>,
    must_change: bool,
}

/// An admin's password for somebody else lasts until their next sign-in only; the operator's and one's own stay.
async fn given_password(
    app: &App,
    id: &str,
    email: &str,
    password: Secret<String>,
    caller: &Caller,
) -> Result<GivenPassword> {
    let wanted = id.to_owned();
    let account = app
        .store
        .read(Plan::Bounded, |reader| {
            Box::pin(async move { accounts::by_id(reader, &AccountTable::Users, &wanted).await })
        })
        .await?;
    let in_force = account.and_then(|account| account.password);
    let replaced = Replaced { in_force: in_force.as_ref(), must_change: false };
    passwords::check_new(app, "password", &password, email, ("users", id), replaced).await?;
    let must_change = caller.account().is_some_and(|account| account.id != id);
    Ok(GivenPassword { hash: passwords::hash(app, password).await?, must_change })
}

/// Applies a change that may take an admin away, or end sessions, in one transaction.
async fn change_guarded(
    caller: &Caller,
    app: &App,
    id: &str,
    change: UserChange,
    password: Option<GivenPassword>,
) -> Result<()> {
    let owner = Owner { realm: "users", id, email: "" };
    let set_by_admin = password.as_ref().is_some_and(|password| password.must_change);
    let kind = if set_by_admin { Kind::PasswordSetByAdmin } else { Kind::PasswordChanged };
    let of_password = mail::password_changed(app, kind, owner).await?.only_if(password.is_some());
    let of_address = mail::notice(app, Kind::EmailChanged, owner);
    let (id, stamped, now) = (id.to_owned(), stamp(app.now_millis()), app.now_seconds());
    let asking = caller.clone();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("setup")).await?;
            let before = access::require_over(tx, &asking, &id).await?;
            let loses_admin =
                change.role.as_deref().is_some_and(|role| role != "admin") || change.disabled == Some(true);
            if loses_admin {
                keep_an_admin(tx, &before).await?;
            }
            rows::update(tx, &id, &change, &stamped).await?;
            if let Some(GivenPassword { hash, must_change }) = &password {
                let replaced = accounts::by_id_in(tx, &AccountTable::Users, &id).await?;
                if let Some(old) = replaced.and_then(|account| account.password) {
                    remember_password(tx, "users", &id, &old, &stamped).await?;
                }
                replace_password(tx, &AccountTable::Users, &id, None, hash, *must_change, &stamped).await?;
                accounts::devices::forget(tx, "users", &id, None).await?;
            }
            let after = changed(&before, &change);
            let ends = password.is_some()
                || after.role != before.role
                || after.email != before.email
                || change.disabled == Some(true);
            if after.email != before.email {
                let notice = of_address.addressed_to(&before.email).saying("new_email", after.email.as_str());
                mail::enqueue(tx, notice).await?;
            }
            mail::enqueue(tx, of_password.addressed_to(&before.email)).await?;
            if ends {
                mail::void_links(tx, "users", &id).await?;
                end_in(tx, "users", &id, End::All, now).await?;
            } else {
                tx.announce(Change::new(ChangeKind::Account, id.as_str()));
            }
            if password.is_some() {
                let _ = trail.record(tx, Event::PasswordChanged.on("user", id.as_str()));
            }
            let event = change_event(&before, &after).on("user", id).change(seen(&before), seen(&after));
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
    .map_err(email_taken)
}

/// What a change of a user is called: by its weightiest part.
fn change_event(before: &User, after: &User) -> Event {
    match (after.role != before.role, before.disabled, after.disabled) {
        (true, _, _) => Event::UserRoleChanged,
        (false, false, true) => Event::UserDisabled,
        (false, true, false) => Event::UserEnabled,
        _ if after.email != before.email => Event::EmailChanged,
        _ => Event::UserUpdated,
    }
}

async fn keep_an_admin(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    let counts = user.role == "admin" && !user.disabled;
    if counts && rows::other_admins(tx, &user.id).await? == 0 { Err(Error::LastAdmin) } else { Ok(()) }
}

/// Gives a user another role.
pub async fn set_role(caller: &Recent, app: &App, id: &str, role: &str) -> Result<User> {
    update_by_admin(caller, app, id, AdminChange { role: Some(role.to_owned()), ..AdminChange::default() }).await
}

/// Takes a user away.
pub async fn delete_by_admin(caller: &Recent, app: &App, id: &str) -> Result<()> {
    access::require(caller, Permission::UsersWrite)?;
    if caller.account().is_some_and(|account| account.id == id) {
        return Err(Error::SelfAction);
    }
    remove(caller, app, id).await
}

/// Takes a user away with all that hangs on it, oneself or one that the caller stands over; the last admin stays.
pub(crate) async fn remove(caller: &Caller, app: &App, id: &str) -> Result<()> {
    let (asking, id) = (caller.clone(), id.to_owned());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("setup")).await?;
            let user = access::require_over(tx, &asking, &id).await?;
            keep_an_admin(tx, &user).await?;
            forget(tx, "users", &id).await?;
            rows::delete(tx, &id).await?;
            tx.announce(Change::new(ChangeKind::Account, id.as_str()));
            Ok(trail.record(tx, Event::UserDeleted.on("user", id).with("before", seen(&user))).with(()))
        })
    })
    .await
}
