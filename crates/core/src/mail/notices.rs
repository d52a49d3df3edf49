//! Mails about what happened to an account, each made by one function. They go to the account's owner where
//! `SECURITY_NOTIFICATIONS_ENABLED` asks for them, and are queued in the transaction of what they are about.

use fastcms_store::accounts::sessions::{self, Session};
use fastcms_store::accounts::users;
use fastcms_store::{Plan, Tx, api_keys};

use super::{Kind, Mail, enqueue};
use crate::accounts::Device;
use crate::app::App;
use crate::error::Result;

/// Characters of a user agent that a mail shows.
const SHOWN_AGENT: usize = 120;
/// Most admins that are told of one thing.
const TOLD_ADMINS: i64 = 20;

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

/// The owner's password is another one. API keys outlive it, so the mail lists them (contract 2.4).
pub(crate) async fn password_changed(app: &App, kind: Kind, owner: Owner<'_>) -> Result<Mail> {
    let notice = notice(app, kind, owner);
    if owner.realm != "users" || !app.config.mail.is_enabled() {
        return Ok(notice);
    }
    let id = owner.id.to_owned();
    let keys =
        app.store.read(Plan::Bounded, move |reader| Box::pin(async move { api_keys::of_user(reader, &id).await }));
    let keys = keys.await?;
    let mut names: Vec<&str> = keys.iter().filter(|key| key.active).map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    Ok(notice.saying("api_keys", names.join(", ")))
}

/// What is told about a sign-in with a password.
#[derive(Debug)]
pub(crate) struct SignInNotices {
    /// `SECURITY_LOGIN_NOTIFICATIONS`: every one is told.
    every: bool,
    /// The browser was known before.
    is_known: bool,
    usual: Mail,
    new_device: Mail,
}

impl SignInNotices {
    pub(crate) fn of(app: &App, owner: Owner<'_>, device: &Device, is_known: bool) -> Self {
        let about = |kind| {
            notice(app, kind, owner)
                .saying("ip_address", device.address.as_str())
                .saying("user_agent", device.user_agent.chars().take(SHOWN_AGENT).collect::<String>())
        };
        let every = app.config.mail.login_notifications;
        let usual = about(Kind::NewSignIn).whether_or_not_wanted(app).only_if(every);
        Self { every, is_known, usual, new_device: about(Kind::NewDevice) }
    }

    /// Queues the one that fits, before the session is stored.
    pub(crate) async fn enqueue(self, tx: &mut Tx<'_>, session: &Session) -> Result<()> {
        if self.every {
            return enqueue(tx, self.usual).await;
        }
        if self.is_known || !self.new_device.is_wanted() {
            return Ok(());
        }
        let Session { realm, account_id, ip_address, user_agent, .. } = session;
        if sessions::is_new_place(tx, realm, account_id, ip_address, user_agent).await? {
            enqueue(tx, self.new_device).await?;
        }
        Ok(())
    }
}

/// The account is locked until then (unix milliseconds), after guesses from this address. The mail carries a link that unlocks it.
pub(crate) fn locked(app: &App, realm: &str, account_id: &str, until_millis: i64, address: &str) -> Mail {
    Mail::to_account(app, Kind::AccountLocked, realm, account_id)
        .saying("locked_until", written(until_millis))
        .saying("ip_address", address)
        .link_until(until_millis / 1000)
        .only_if(app.config.mail.security_notifications)
}

/// Tells admins of something that none of them did, where security notices are wanted. `headline` becomes the subject.
pub(crate) async fn to_admins(tx: &mut Tx<'_>, notice: Mail) -> Result<()> {
    if !notice.is_wanted() {
        return Ok(());
    }
    for (number, address) in users::admin_addresses(tx, TOLD_ADMINS).await?.into_iter().enumerate() {
        enqueue(tx, notice.again(number).addressed_to(address)).await?;
    }
    Ok(())
}

/// What [`to_admins`] says.
pub(crate) fn notice_to_admins(app: &App, headline: &str, message: String) -> Mail {
    Mail::new(app, Kind::NoticeToAdmins, "")
        .saying("headline", headline)
        .saying("message", message)
        .only_if(app.config.mail.security_notifications)
}

/// A moment as people read it, to the minute.
pub(crate) fn written(unix_millis: i64) -> String {
    let stamp = crate::time::stamp(unix_millis);
    let minute = stamp.get(..16).unwrap_or(&stamp);
    format!("{} UTC", minute.replace('T', " "))
}
