//! Passwords on every door: one policy, one bounded pool of hashing, one way to refuse.

use fastcms_guard::password::{HashError, TOO_COMMON, local_part};
use fastcms_secrets::Secret;
use fastcms_store::Plan;
use fastcms_store::accounts as rows;

use crate::app::App;
use crate::error::{Error, FieldErrors, Result};

/// Seconds after which a caller who met a full pool may try again.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Refuses a password that the policy does not allow for this account; the message stands under `field`, the name under which the
/// password was sent.
pub(crate) async fn check_policy(app: &App, field: &str, password: &Secret<String>, email: &str) -> Result<()> {
    app.passwords
        .check(password.expose(), &[local_part(email)])
        .map_err(|texts| Error::PasswordPolicy(FieldErrors::one(field, texts.join("; "))))?;
    if app.breaches.know(password.expose()).await {
        return Err(Error::PasswordPolicy(FieldErrors::one(field, TOO_COMMON)));
    }
    Ok(())
}

/// The password that another is to take the place of.
pub(crate) struct Replaced<'a> {
    pub(crate) in_force: Option<&'a Secret<String>>,
    /// Its owner was told to change it: it may not be given once more.
    pub(crate) must_change: bool,
}

/// The same, and refuses what `PASSWORD_HISTORY_COUNT` remembers: the password in force and the last ones before it.
pub(crate) async fn check_new(
    app: &App,
    field: &str,
    password: &Secret<String>,
    email: &str,
    account: (&str, &str),
    replaced: Replaced<'_>,
) -> Result<()> {
    check_policy(app, field, password, email).await?;
    let count = app.config.passwords.history_count;
    let mut earlier = Vec::new();
    if count > 0 {
        let (realm, id) = (account.0.to_owned(), account.1.to_owned());
        let read = app.store.read(Plan::Bounded, move |reader| {
            Box::pin(async move { rows::earlier_passwords(reader, &realm, &id, count).await })
        });
        earlier = read.await?;
    }
    if count > 0 || replaced.must_change {
        earlier.extend(replaced.in_force.cloned());
    }
    for hash in earlier {
        let verdict = app.hasher.verify(password.clone(), Some(hash.expose().as_str())).await.map_err(failed)?;
        if verdict.is_match() {
            return Err(Error::PasswordPolicy(FieldErrors::one(field, "Password was used before")));
        }
    }
    Ok(())
}

/// The PHC string to store for a password that the policy let pass.
pub(crate) async fn hash(app: &App, password: Secret<String>) -> Result<Secret<String>> {
    app.hasher.hash(password).await.map(Secret::new).map_err(failed)
}

pub(crate) fn failed(error: HashError) -> Error {
    match error {
        HashError::Overloaded => Error::Overloaded { retry_after_seconds: RETRY_AFTER_SECONDS },
        other => Error::internal(other),
    }
}
