//! The task that empties the queue: one mail at a time, on as many nodes as there are, each mail on one of them.

use std::sync::Arc;
use std::time::Duration;

use fastcms_guard::opaque::OpaqueToken;
use fastcms_store::Tx;
use fastcms_store::accounts::{self, Credentials, fold_email};
use fastcms_store::mails::tokens::{self, MailToken};
use fastcms_store::mails::{self as rows, Mail};
use fastcms_store::schema::Schema;
use serde_json::{Map, Value};

use super::message::{Outgoing, compose};
use super::smtp::{Connection, Failure, MailServer};
use super::{Kind, Purpose};
use crate::accounts::{one_time_code, table_of};
use crate::app::App;
use crate::caller::Caller;
use crate::config::catalog;
use crate::error::{Error, Result};
use crate::secrets;

/// Seconds for which a claim keeps other nodes off.
const CLAIM_SECONDS: i64 = 300;
/// Tries after which a mail is given up: about a day.
const TRIES: i64 = 300;
/// Seconds until the second try; each further one waits twice as long, up to [`LONGEST_WAIT_SECONDS`].
const FIRST_WAIT_SECONDS: i64 = 15;
const LONGEST_WAIT_SECONDS: i64 = 300;
/// How often the queue is looked at when nothing was queued here: other nodes queue, too.
const LOOK: Duration = Duration::from_secs(5);
/// How long somebody who waits for a mail to be sent waits at most.
const AT_ONCE: Duration = Duration::from_secs(20);
/// How long a server that cannot be used is left alone.
const PAUSE: Duration = Duration::from_secs(15);

/// What became of the mails that were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Taken over by the mail server.
    pub sent: usize,
    /// To be tried again.
    pub put_back: usize,
    /// Refused for good, or tried too often.
    pub given_up: usize,
    /// Meant for nobody: no account has that address, or not any more.
    pub dropped: usize,
    /// The server could not be used, and the rest was left for later.
    pub interrupted: bool,
}

/// Sends what is queued, for as long as the product runs.
pub async fn run(caller: &Caller, app: &Arc<App>) {
    let server = match MailServer::of(app) {
        Ok(Some(server)) => server,
        Ok(None) => return,
        Err(error) => return tracing::error!(error, "the mail server of the settings cannot be used: no mail is sent"),
    };
    loop {
        match deliver(caller, app, &server).await {
            Ok(Delivered { interrupted: false, .. }) => {
                let _ = tokio::time::timeout(LOOK, app.mail.queued.notified()).await;
            }
            Ok(_) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::warn!(%error, "the mail queue could not be read");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Sends every mail that is due now, through this server; stops where the server cannot be used.
pub async fn deliver(_operator: &Caller, app: &App, server: &MailServer) -> Result<Delivered> {
    let mut done = Delivered::default();
    let mut connection = None;
    while let Some(claimed) = claim(app).await? {
        let Claimed { row, ready } = claimed;
        let outgoing = match ready {
            Ready::Send(outgoing) => outgoing,
            Ready::Nobody => {
                done.dropped += 1;
                continue;
            }
            Ready::Unwritable(why) => {
                settle(app, row, Failure::Never(why), &mut done).await?;
                continue;
            }
        };
        match send(app, server, &mut connection, &outgoing).await {
            Ok(()) => {
                done.sent += 1;
                app.store.write(move |tx| Box::pin(async move { rows::remove(tx, &row.id).await })).await?;
            }
            Err(failure) => {
                connection = None;
                settle(app, row, failure, &mut done).await?;
                if done.interrupted {
                    break;
                }
            }
        }
    }
    if let Some(connection) = connection {
        connection.close().await;
    }
    Ok(done)
}

/// Sends one mail without the queue.
///
/// # Errors
/// What went wrong, for an admin to read.
pub(super) async fn send_now(app: &App, server: &MailServer, kind: Kind, to: &str) -> std::result::Result<(), String> {
    let mail = compose(app, &app.new_id(), kind, to, &Map::new(), None)?;
    let sending = async {
        let mut connection = connect(app, server).await?;
        connection.send(&mail).await?;
        connection.close().await;
        Ok::<_, Failure>(())
    };
    match tokio::time::timeout(AT_ONCE, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Failure::Server(why) | Failure::Later(why) | Failure::Never(why))) => Err(why),
        Err(_) => Err("the mail server takes too long to answer".to_owned()),
    }
}

async fn send(
    app: &App,
    server: &MailServer,
    connection: &mut Option<Connection>,
    mail: &Outgoing,
) -> Result<(), Failure> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => connect(app, server).await?,
    };
    open.send(mail).await?;
    *connection = Some(open);
    Ok(())
}

/// A connection as ourselves, with the password of the settings.
async fn connect(app: &App, server: &MailServer) -> Result<Connection, Failure> {
    secrets::note_use(app, catalog::SMTP_PASSWORD.name, "mail server", 1).await;
    server.connect().await
}

/// Puts a mail back, or gives it up, and says so in the log.
async fn settle(app: &App, row: Mail, failure: Failure, done: &mut Delivered) -> Result<()> {
    let now = app.now_seconds();
    let (why, is_final) = match failure {
        Failure::Server(why) => {
            done.interrupted = true;
            (why, row.attempts >= TRIES)
        }
        Failure::Later(why) => (why, row.attempts >= TRIES),
        Failure::Never(why) => (why, true),
    };
    let (id, kind, attempts) = (row.id.clone(), row.kind.clone(), row.attempts);
    if is_final {
        done.given_up += 1;
        tracing::error!(mail = id, kind, attempts, error = why, "a mail could not be delivered and was given up");
        return Ok(app
            .store
            .write(move |tx| Box::pin(async move { rows::give_up(tx, &row, now, &why).await }))
            .await?);
    }
    done.put_back += 1;
    let due_at = now + wait_seconds(attempts);
    tracing::warn!(mail = id, kind, attempts, error = why, "a mail could not be delivered and is tried again");
    Ok(app.store.write(move |tx| Box::pin(async move { rows::put_back(tx, &row, due_at, &why).await })).await?)
}

fn wait_seconds(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(10);
    (FIRST_WAIT_SECONDS << doublings).min(LONGEST_WAIT_SECONDS)
}

/// A mail that is ours for a while.
struct Claimed {
    row: Mail,
    ready: Ready,
}

enum Ready {
    Send(Outgoing),
    Nobody,
    Unwritable(String),
}

/// Claims the mail that has been due for longest. Its link is made and its digest stored in the same transaction, so that a link never
/// arrives before it works.
async fn claim(app: &App) -> Result<Option<Claimed>> {
    let now = app.now_seconds();
    let schema = app.schema.load_full();
    let token = OpaqueToken::generate(&*app.rng);
    let digest = *token.digest().as_bytes();
    let code = one_time_code::generate(app);
    let (offered, until) = (code.clone(), one_time_code::expires_at(app));
    let key = Arc::clone(&app.attempts.key);
    let claimed = app
        .store
        .write(move |tx| {
            Box::pin(async move {
                let Some(row) = rows::claim(tx, now, now + CLAIM_SECONDS).await? else { return Ok(None) };
                let addressed = match Kind::named(&row.kind) {
                    Some(Kind::OneTimeCode) => {
                        with_code(
                            tx,
                            &schema,
                            &row,
                            |realm, id| one_time_code::digest(&key, realm, id, &offered),
                            until,
                        )
                        .await?
                    }
                    _ => address(tx, &schema, &row, digest, now).await?,
                };
                if addressed.is_none() {
                    rows::remove(tx, &row.id).await?;
                }
                Ok::<_, Error>(Some((row, addressed)))
            })
        })
        .await?;
    let Some((row, addressed)) = claimed else { return Ok(None) };
    let Some(Addressed { kind, recipient, purpose }) = addressed else {
        return Ok(Some(Claimed { row, ready: Ready::Nobody }));
    };
    let mut data: Map<String, Value> = serde_json::from_str(&row.data).unwrap_or_default();
    if kind == Kind::OneTimeCode {
        data.insert("code".to_owned(), Value::from(code.expose().as_str()));
    }
    let link = purpose.map(|purpose| format!("{}{}#{}", app.issuer, purpose.page(), token.expose()));
    let ready = match compose(app, &row.id, kind, &recipient, &data, link.as_deref()) {
        Ok(outgoing) => Ready::Send(outgoing),
        Err(why) => Ready::Unwritable(why),
    };
    Ok(Some(Claimed { row, ready }))
}

/// To whom a mail goes, and what its link is good for.
struct Addressed {
    kind: Kind,
    recipient: String,
    purpose: Option<Purpose>,
}

/// Decides to whom a claimed mail goes, and stores the digest of its link. `None`: to nobody.
async fn address(
    tx: &mut Tx<'_>,
    schema: &Schema,
    row: &Mail,
    digest: [u8; 32],
    now: i64,
) -> Result<Option<Addressed>> {
    let Some(kind) = Kind::named(&row.kind) else { return Ok(None) };
    let plain = Addressed { kind, recipient: row.recipient.clone(), purpose: None };
    let (Some(purpose), Some(realm)) = (kind.purpose(), &row.realm) else { return Ok(Some(plain)) };
    let Some(table) = table_of(schema, realm) else { return Ok(None) };
    let account = match &row.account_id {
        Some(id) => accounts::by_id_in(tx, &table, id).await?,
        None => accounts::by_email_in(tx, &table, &row.recipient).await?,
    };
    let Some(account) = account.filter(|account| is_entitled(kind, account, &row.recipient)) else { return Ok(None) };
    let until = row.link_until.unwrap_or(now + purpose.lifetime());
    // To the address as the account has it, not as somebody spelt it (CVE-2024-27295).
    let recipient = if kind == Kind::EmailChange { plain.recipient } else { account.email };
    if until <= now {
        return Ok(Some(Addressed { kind, recipient, purpose: None }));
    }
    let owner = MailToken { realm: realm.clone(), account_id: account.id, email: recipient.clone() };
    tokens::insert(tx, &digest, purpose.as_str(), &owner, until).await?;
    Ok(Some(Addressed { kind, recipient, purpose: Some(purpose) }))
}

/// The account that a code is for; the code becomes the one it may sign in with. `None`: nobody has the address.
async fn with_code(
    tx: &mut Tx<'_>,
    schema: &Schema,
    row: &Mail,
    digest: impl Fn(&str, &str) -> [u8; 32] + Send,
    until: i64,
) -> Result<Option<Addressed>> {
    let Some(realm) = &row.realm else { return Ok(None) };
    let Some(table) = table_of(schema, realm) else { return Ok(None) };
    let account = accounts::by_email_in(tx, &table, &row.recipient).await?;
    let Some(account) = account.filter(|account| is_entitled(Kind::OneTimeCode, account, &row.recipient)) else {
        return Ok(None);
    };
    let digest = digest(realm, &account.id);
    accounts::one_time_codes::put(tx, realm, &account.id, &digest, until).await?;
    Ok(Some(Addressed { kind: Kind::OneTimeCode, recipient: account.email, purpose: None }))
}

/// Whether the account is still one that such a mail is for.
fn is_entitled(kind: Kind, account: &Credentials, recipient: &str) -> bool {
    let same_address = recipient.is_empty() || fold_email(&account.email) == fold_email(recipient);
    match kind {
        Kind::Verification => same_address && !account.verified && !account.disabled,
        Kind::EmailChange => !account.disabled,
        _ => same_address && !account.disabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_tried_for_about_a_day() {
        let waits: Vec<i64> = (1..TRIES).map(wait_seconds).collect();
        assert_eq!(waits[..6], [15, 30, 60, 120, 240, 300]);
        let hours = waits.iter().sum::<i64>() / 3600;
        assert!((24..=26).contains(&hours), "{hours} hours");
    }
}
