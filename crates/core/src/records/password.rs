//! Passwords of auth collections' records: the policy, the history and the hashing of every other door.

use fastcms_guard::password::{HashError, TOO_COMMON, local_part};
use fastcms_secrets::Secret;
use fastcms_store::accounts::{self, AccountTable, Credentials};
use fastcms_store::{Plan, Tx, Value};

use super::{Door, Failure};
use crate::error::{Error, FieldErrors, Result};
use crate::fields::Draft;

/// Holds the draft's new password, if it has one, against the policy; `stored` is the address of an account that exists already.
pub(super) async fn check(door: &Door<'_>, draft: &Draft, stored: Option<&str>) -> Result<()> {
    let Some(password) = &draft.password else { return Ok(()) };
    let sent = draft.sets.iter().find_map(|(at, value)| match value {
        Value::Text(email) if door.collection.is_account_email(*at) => Some(email.as_str()),
        _ => None,
    });
    let context: Vec<&str> = [sent, stored].into_iter().flatten().map(local_part).collect();
    door.app.passwords.check(password, &context).map_err(|texts| refused(texts.join("; ")))?;
    if door.app.breaches.know(password).await { Err(refused(TOO_COMMON.to_owned())) } else { Ok(()) }
}

/// The same for an account that exists; refuses what `PASSWORD_HISTORY_COUNT` remembers, too. Answers the hash that was in force.
pub(super) async fn check_new(door: &Door<'_>, draft: &Draft, id: &str) -> Result<Option<Secret<String>>, Failure> {
    let Some(password) = &draft.password else { return Ok(None) };
    let count = door.app.config.passwords.history_count;
    let (table, realm, id) =
        (AccountTable::Collection(door.collection.table().clone()), door.collection.id().to_owned(), id.to_owned());
    let read = door.app.store.read(Plan::Bounded, move |reader| {
        Box::pin(async move {
            let account = accounts::by_id(reader, &table, &id).await?;
            let earlier =
                if count == 0 { Vec::new() } else { accounts::earlier_passwords(reader, &realm, &id, count).await? };
            Ok((account, earlier))
        })
    });
    let read: Result<(Option<Credentials>, Vec<Secret<String>>), Failure> = read.await;
    let (account, mut earlier) = read?;
    let account = account.ok_or(Error::NotFound)?;
    check(door, draft, Some(&account.email)).await?;
    if count > 0 {
        earlier.extend(account.password.clone());
        for hash in &earlier {
            let known = door
                .app
                .hasher
                .verify(Secret::new(password.clone()), Some(hash.expose().as_str()))
                .await
                .map_err(failed)?;
            if known.is_match() {
                return Err(refused("Password was used before".to_owned()).into());
            }
        }
    }
    Ok(account.password)
}

/// Puts the hash of the draft's new password among what is to be stored.
pub(super) async fn hash(door: &Door<'_>, draft: &mut Draft) -> Result<()> {
    let Some(password) = draft.password.take() else { return Ok(()) };
    let at = door.collection.position("password").ok_or(Error::NotFound)?;
    let hashed = door.app.hasher.hash(password.into()).await.map_err(failed)?;
    draft.sets.push((at, Value::Text(hashed)));
    Ok(())
}

/// Remembers the hash that is being replaced.
pub(super) async fn remember(
    tx: &mut Tx<'_>,
    realm: &str,
    id: &str,
    old: Option<&Secret<String>>,
    now: &str,
) -> Result<(), Failure> {
    match old {
        Some(old) => Ok(accounts::remember_password(tx, realm, id, old, now).await?),
        None => Ok(()),
    }
}

fn refused(text: String) -> Error {
    Error::PasswordPolicy(FieldErrors::one("password", text))
}

fn failed(error: HashError) -> Error {
    match error {
        HashError::Overloaded => Error::Overloaded { retry_after_seconds: 1 },
        other => Error::internal(other),
    }
}
