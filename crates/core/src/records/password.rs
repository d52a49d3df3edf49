//! Passwords of auth collections' records: the policy and the hashing of every other door.

use fastcms_guard::password::{HashError, local_part};
use fastcms_store::Value;

use super::Door;
use crate::error::{Error, FieldErrors, Result};
use crate::fields::Draft;

/// Holds the draft's new password, if it has one, against the policy.
pub(super) fn check(door: &Door<'_>, draft: &Draft) -> Result<()> {
    let Some(password) = &draft.password else { return Ok(()) };
    let email = draft.sets.iter().find_map(|(at, value)| match value {
        Value::Text(email) if door.collection.is_account_email(*at) => Some(email.as_str()),
        _ => None,
    });
    let context: Vec<&str> = email.map(local_part).into_iter().collect();
    let checked = door.app.passwords.check(password, &context);
    checked.map_err(|texts| Error::PasswordPolicy(FieldErrors::one("password", texts.join("; "))))
}

/// Puts the hash of the draft's new password among what is to be stored.
pub(super) async fn hash(door: &Door<'_>, draft: &mut Draft) -> Result<()> {
    let Some(password) = draft.password.take() else { return Ok(()) };
    let at = door.collection.position("password").ok_or(Error::NotFound)?;
    let hashed = door.app.hasher.hash(password.into()).await.map_err(|error| match error {
        HashError::Overloaded => Error::Overloaded { retry_after_seconds: 1 },
        other => Error::internal(other),
    })?;
    draft.sets.push((at, Value::Text(hashed)));
    Ok(())
}
