//! The first time that somebody shows an account's address to be theirs, by reading what was sent there. Who registered the account
//! may have been somebody else, who waits for just that (pre-hijacking; CVE-2024-38351): nothing they laid up opens it afterwards.
//!
//! Opening a link that asks "is this account yours" is another matter: it says yes to the account as it is, password included.

use fastcms_store::accounts::{self as rows, AccountTable, devices};
use fastcms_store::{Tx, api_keys};

use super::sign_in::{End, end_in};
use crate::audit::{Event, Recorded, Trail};
use crate::error::Result;
use crate::mail;
use crate::time::stamp;

/// Where an account is.
pub(super) struct Place<'a> {
    pub(super) realm: &'a str,
    pub(super) table: &'a AccountTable,
    pub(super) id: &'a str,
}

/// Takes the address for verified. Where it was not before, everything by which the account could be entered ends: sessions, what was
/// made in them, what others do as this account, API keys, known browsers, links in mails, and the password. A second factor stays:
/// whoever comes this way has just given a code of it. `None` where the address was verified already.
pub(super) async fn note(
    tx: &mut Tx<'_>,
    trail: &Trail,
    place: &Place<'_>,
    now_millis: i64,
) -> Result<Option<Recorded>> {
    let Place { realm, table, id } = *place;
    let stamped = stamp(now_millis);
    let Some(account) = rows::by_id_locked(tx, table, id).await?.filter(|account| !account.verified) else {
        return Ok(None);
    };
    rows::set_verified(tx, table, id, &stamped).await?;
    rows::drop_password(tx, table, id, &stamped).await?;
    devices::forget(tx, realm, id, None).await?;
    let keys = if realm == "users" { api_keys::delete(tx, id, None).await?.len() } else { 0 };
    mail::void_links(tx, realm, id).await?;
    // Announces the account, so that every node forgets its keys too.
    let sessions = end_in(tx, realm, id, End::All, now_millis / 1000).await?;
    let event = Event::EmailVerified.of_account(Some(id), Some(&account.email)).with("realm", realm);
    Ok(Some(trail.record(tx, event.with("sessions_ended", sessions).with("api_keys_deleted", keys))))
}
