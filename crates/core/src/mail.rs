//! Outgoing mail: a queue in the store, and the task that empties it.
//!
//! A mail is queued in the transaction of what it is about: it is sent if that was committed, and no answer ever waits for a mail
//! server. What was queued is sent at least once: a node claims one mail at a time, sends it, and takes it out; a claim that its node
//! did not live to settle ends by itself. What cannot be sent is tried again for a day, then given up and kept for an admin to see.
//!
//! **No secret is in the queue.** A row says what a mail is about, never what its link is: the token of a link is made when its mail
//! is being sent, its digest is stored before the mail leaves, and the text itself exists in memory alone. So there is nothing to seal
//! and nothing to wipe, a mail that waited for hours carries a link that is as good as new, and each attempt has a link of its own.
//! Whether an address has an account is asked then as well, and not when somebody asks for a reset: that request does the same work,
//! one insert, for every address.
//!
//! Links are made from `BASE_URL` alone. This module does not know when a mail is due to somebody: the operations do.

mod edited;
mod kind;
mod message;
mod notices;
mod smtp;
mod stream;
mod template;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use fastcms_secrets::Secret;
use fastcms_store::accounts::one_time_codes;
use fastcms_store::mails::{self as rows, Standing};
use fastcms_store::{Plan, Tx};
use serde_json::{Map, Value};
use tokio::sync::Notify;

pub(crate) use edited::reload as reload_templates;
pub use edited::{ShownTemplate, preview, reset_template, set_template, template, templates};
pub use kind::{Kind, Purpose};
pub(crate) use notices::{
    Owner, SignInNotices, locked, notice, notice_to_admins, password_changed, to_admins, written,
};
pub use smtp::MailServer;
pub use template::{Rendered, Template};
pub use worker::{Delivered, deliver, run};

use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::time::stamp;

/// Mails that may wait; past that new ones are dropped (contract 16).
pub const QUEUE: i64 = 10_000;

/// What runs of outgoing mail besides the queue in the store.
#[derive(Debug, Default)]
pub struct Post {
    /// Rings when a mail was queued on this node.
    queued: Arc<Notify>,
    /// Mails that were dropped because the queue was full.
    dropped: Arc<AtomicU64>,
    /// The password at the mail server that took the place of the one we started with.
    password: Password,
    /// Texts that admins wrote.
    edited: edited::Edited,
}

/// A password that may be replaced while the server runs.
type Password = Arc<ArcSwapOption<Secret<String>>>;

impl Post {
    /// Another password for the mail server: it counts for the next connection.
    pub(crate) fn take_password(&self, password: Secret<String>) {
        self.password.store(Some(Arc::new(password)));
    }

    fn password(&self) -> Password {
        Arc::clone(&self.password)
    }

    /// A mail was queued on this node.
    pub(crate) fn note_queued(&self) {
        self.queued.notify_one();
    }

    /// Mails that this process dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A mail to be queued. Made before the transaction, queued inside it with [`enqueue`].
#[derive(Debug, Clone)]
pub struct Mail {
    kind: Kind,
    row: rows::Mail,
    data: Map<String, Value>,
    due_at: i64,
    wanted: bool,
    dropped: Arc<AtomicU64>,
}

impl Mail {
    /// A mail of this kind to this address. Where mail is off, queueing it does nothing.
    pub fn new(app: &App, kind: Kind, recipient: impl Into<String>) -> Self {
        let row = rows::Mail {
            id: app.new_id(),
            kind: kind.name().to_owned(),
            realm: None,
            account_id: None,
            recipient: recipient.into(),
            data: String::new(),
            link_until: None,
            attempts: 0,
            created: stamp(app.now_millis()),
        };
        Self {
            kind,
            row,
            data: Map::new(),
            due_at: app.now_seconds(),
            wanted: app.config.mail.is_enabled(),
            dropped: Arc::clone(&app.mail.dropped),
        }
    }

    /// The realm that an address is to be looked up in when the mail is sent; it goes to an account of that address or to nobody.
    pub fn in_realm(mut self, realm: &str) -> Self {
        self.row.realm = Some(realm.to_owned());
        self
    }

    /// The account that it is about. A link is made for this account, if it still exists then.
    pub fn about(mut self, realm: &str, account_id: &str) -> Self {
        self.row.account_id = Some(account_id.to_owned());
        self.in_realm(realm)
    }

    /// To the address that the account has when the mail is sent: to nobody, if there is no such account. For what must be the same
    /// work whether or not there is one.
    pub fn to_account(app: &App, kind: Kind, realm: &str, account_id: &str) -> Self {
        Self::new(app, kind, "").about(realm, account_id)
    }

    /// Another recipient, for one who is known inside the transaction only.
    pub fn addressed_to(mut self, recipient: impl Into<String>) -> Self {
        self.row.recipient = recipient.into();
        self
    }

    /// Something that the template may say.
    pub fn saying(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// When its link dies (unix seconds), instead of some time after it is sent.
    pub fn link_until(mut self, until: i64) -> Self {
        self.row.link_until = Some(until);
        self
    }

    /// Queues it although security notices are not wanted.
    fn whether_or_not_wanted(mut self, app: &App) -> Self {
        self.wanted = app.config.mail.is_enabled();
        self
    }

    /// The same mail once more, for somebody else.
    fn again(&self, number: usize) -> Self {
        let mut other = self.clone();
        other.row.id = format!("{}-{number}", self.row.id);
        other
    }

    /// Whether queueing it does anything.
    fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Queues it on this condition only.
    pub fn only_if(mut self, wanted: bool) -> Self {
        self.wanted &= wanted;
        self
    }
}

/// Queues a mail, in the transaction of what it is about. A newer mail with a link takes the place of an older one that still waits.
/// Where the queue is full the mail is dropped, counted and spoken of in the log: what it is about goes on.
pub(crate) async fn enqueue(tx: &mut Tx<'_>, mail: Mail) -> Result<()> {
    let Mail { kind, mut row, data, due_at, wanted, dropped } = mail;
    if !wanted {
        return Ok(());
    }
    if kind.purpose().is_some() {
        rows::withdraw_older(tx, &row).await?;
    }
    row.data = Value::Object(data).to_string();
    if !rows::enqueue(tx, &row, due_at, QUEUE).await? {
        let count = dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::error!(kind = kind.name(), count, "the mail queue is full: mails are dropped");
        }
    }
    Ok(())
}

/// The same in a transaction of its own, for what changes nothing else.
pub(crate) async fn enqueue_alone(app: &App, mail: Mail) -> Result<()> {
    app.store.write(move |tx| Box::pin(enqueue(tx, mail))).await
}

/// Refuses what makes no sense without mail.
pub(crate) fn require_configured(app: &App) -> Result<()> {
    if app.config.mail.is_enabled() { Ok(()) } else { Err(Error::MailNotConfigured) }
}

/// Voids an account's links and its one-time code, and links that were still to be sent: its password or address changed.
pub(crate) async fn void_links(tx: &mut Tx<'_>, realm: &str, account_id: &str) -> Result<()> {
    one_time_codes::void(tx, realm, account_id).await?;
    void(tx, realm, account_id, None).await
}

/// The same for links of one purpose: one was used, or another takes their place.
pub(crate) async fn void_links_for(tx: &mut Tx<'_>, realm: &str, account_id: &str, purpose: Purpose) -> Result<()> {
    void(tx, realm, account_id, Some(purpose)).await
}

async fn void(tx: &mut Tx<'_>, realm: &str, account_id: &str, purpose: Option<Purpose>) -> Result<()> {
    // Waiting mails first: a claim that is under way holds its row, and has its token stored once it lets go.
    let is_meant = |kind: &&Kind| kind.purpose().is_some_and(|its| purpose.is_none_or(|purpose| purpose == its));
    let kinds: Vec<&str> = Kind::ALL.iter().filter(is_meant).map(|kind| kind.name()).collect();
    rows::withdraw_of_account(tx, realm, account_id, &kinds).await?;
    Ok(rows::tokens::void(tx, realm, account_id, purpose.map(Purpose::as_str)).await?)
}

/// How many mails wait, and how many were given up.
pub async fn standing(caller: &Caller, app: &App) -> Result<Standing> {
    access::require(caller, Permission::SettingsRead)?;
    Ok(app.store.read(Plan::Scan, |reader| Box::pin(rows::standing(reader))).await?)
}

/// Hands a test mail to this server at once, so that whoever set mail up sees what comes of it.
///
/// # Errors
/// [`Error::MailFailed`] with what the server said, [`Error::Overloaded`] where the queue is full.
pub async fn send_test(caller: &Caller, app: &App, server: &MailServer, to: &str) -> Result<()> {
    access::require(caller, Permission::SettingsWrite)?;
    if !crate::fields::email::is_address(to) {
        return Err(Error::field("to_email", "Invalid email format"));
    }
    if standing(caller, app).await?.waiting >= QUEUE {
        return Err(Error::Overloaded { retry_after_seconds: 60 });
    }
    worker::send_now(app, server, Kind::Test, to).await.map_err(Error::MailFailed)
}

/// The mail server of the settings.
///
/// # Errors
/// [`Error::MailNotConfigured`], or [`Error::MailFailed`] where its name cannot be verified.
pub fn server(app: &App) -> Result<MailServer> {
    MailServer::of(app).map_err(Error::MailFailed)?.ok_or(Error::MailNotConfigured)
}

/// Takes away links that are past their time, and mails that were given up long ago.
pub async fn sweep(_operator: &Caller, app: &App) -> Result<()> {
    let now = app.now_seconds();
    app.store
        .write(move |tx| {
            Box::pin(async move {
                rows::tokens::sweep(tx, now).await?;
                rows::sweep(tx, now - KEPT_FAILED_SECONDS).await?;
                Ok(())
            })
        })
        .await
}

/// How long a mail that was given up is kept, seconds.
const KEPT_FAILED_SECONDS: i64 = 30 * 24 * 3600;
