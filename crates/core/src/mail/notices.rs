//! Mails about what happened to an account, each made by one function. They go to the account's owner where
//! `SECURITY_NOTIFICATIONS_ENABLED` asks for them, and are queued in the transaction of what they are about.

use super::{Kind, Mail};
use crate::app::App;

/// Whose account it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// `users` or the id of an auth collection.
    pub realm: &'a str,
    pub id: &'a str,
    pub email: &'a str,
}

/// A notice of this kind, at this moment.
pub(crate) fn notice(app: &App, kind: Kind, owner: Owner<'_>) -> Mail {
    Mail::new(app, kind, owner.email)
        .about(owner.realm, owner.id)
        .saying("time", written(app.now_millis()))
        .only_if(app.config.mail.security_notifications)
}

/// The account is locked until then (unix milliseconds), after guesses from this address. The mail carries a link that unlocks it.
pub(crate) fn locked(app: &App, realm: &str, account_id: &str, until_millis: i64, address: &str) -> Mail {
    Mail::to_account(app, Kind::AccountLocked, realm, account_id)
        .saying("locked_until", written(until_millis))
        .saying("ip_address", address)
        .link_until(until_millis / 1000)
        .only_if(app.config.mail.security_notifications)
}

/// A moment as people read it, to the minute.
pub(crate) fn written(unix_millis: i64) -> String {
    let stamp = crate::time::stamp(unix_millis);
    let minute = stamp.get(..16).unwrap_or(&stamp);
    format!("{} UTC", minute.replace('T', " "))
}
