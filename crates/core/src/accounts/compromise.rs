//! What is done about passwords that others may know, or that were forgotten: owners have to choose another one before they can do
//! anything else (R54), or get a link to do so, or, from whoever runs the host, a password.

use fastcms_secrets::Secret;
use fastcms_store::accounts::users::User;
use fastcms_store::accounts::{self as rows, AccountTable};
use fastcms_store::{Change, ChangeKind, Plan};

use super::sign_in::{End, end_in};
use super::users::{AdminChange, delete_by_admin, update_by_admin};
use crate::access::{self, Permission, Recent};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::mail::{self, Kind, Mail};
use crate::time::stamp;

/// Marks a user: every session ends, and the next one can do nothing but change the password.
pub async fn require_password_change(caller: &Caller, app: &App, id: &str) -> Result<()> {
    access::require(caller, Permission::UsersWrite)?;
    let (asking, id) = (caller.clone(), id.to_owned());
    let (now, stamped) = (app.now_seconds(), stamp(app.now_millis()));
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let user = access::require_over(tx, &asking, &id).await?;
            rows::require_password_change(tx, &AccountTable::Users, Some(&id), &stamped).await?;
            end_in(tx, "users", &id, End::All, now).await?;
            let event = Event::PasswordChangeRequired.on("user", &id).of_account(Some(&id), Some(&user.email));
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// The same for the user of this address.
pub async fn require_password_change_by_email(caller: &Caller, app: &App, email: &str) -> Result<()> {
    access::require(caller, Permission::UsersWrite)?;
    require_password_change(caller, app, &id_of(app, email).await?).await
}

/// Marks every account, those of auth collections and the caller's included. Sessions go on, and can do nothing but change the
/// password. How many accounts that are.
pub async fn require_password_change_of_all(caller: &Caller, app: &App) -> Result<u64> {
    access::require_admin(caller)?;
    access::require_recent(caller, app)?;
    let schema = app.schema.load_full();
    let stamped = stamp(app.now_millis());
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let collections = schema.collections().iter().filter(|collection| collection.is_auth());
            let tables = collections.map(|collection| AccountTable::Collection(collection.table().clone()));
            let mut marked = 0;
            for table in std::iter::once(AccountTable::Users).chain(tables) {
                marked += rows::require_password_change(tx, &table, None, &stamped).await?;
            }
            tx.announce(Change::new(ChangeKind::Everything, ""));
            let event = Event::PasswordChangeRequired.with("accounts", marked);
            Ok::<_, Error>(trail.record(tx, event).with(marked))
        })
    })
    .await
}

/// Sends a user a link to choose another password (R59): whoever asks never learns it.
///
/// # Errors
/// [`Error::MailNotConfigured`].
pub async fn send_password_reset(caller: &Caller, app: &App, id: &str) -> Result<()> {
    access::require(caller, Permission::UsersWrite)?;
    mail::require_configured(app)?;
    let (asking, id) = (caller.clone(), id.to_owned());
    let mail = Mail::to_account(app, Kind::PasswordReset, "users", &id);
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let user = access::require_over(tx, &asking, &id).await?;
            mail::enqueue(tx, mail).await?;
            let event = Event::PasswordResetAsked.on("user", &id).of_account(Some(&id), Some(&user.email));
            Ok(trail.record(tx, event).with(()))
        })
    })
    .await
}

/// Gives the user of this address a password, by whoever runs the host: it lasts (R59).
pub async fn reset_password_by_email(
    caller: &Caller,
    app: &App,
    email: &str,
    password: Secret<String>,
) -> Result<User> {
    access::require(caller, Permission::UsersWrite)?;
    let change = AdminChange { password: Some(password), ..AdminChange::default() };
    update_by_admin(caller, app, &id_of(app, email).await?, change).await
}

/// Takes the user of this address away.
pub async fn delete_by_email(caller: &Recent, app: &App, email: &str) -> Result<()> {
    access::require(caller, Permission::UsersWrite)?;
    delete_by_admin(caller, app, &id_of(app, email).await?).await
}

/// The id of the user of this address.
///
/// # Errors
/// [`Error::NotFound`].
async fn id_of(app: &App, email: &str) -> Result<String> {
    let email = email.to_owned();
    let found = app.store.read(Plan::Bounded, move |reader| {
        Box::pin(async move { rows::by_email(reader, &AccountTable::Users, &email).await })
    });
    Ok(found.await?.ok_or(Error::NotFound)?.id)
}
