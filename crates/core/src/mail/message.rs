//! From a claimed row to the bytes that go to the mail server.

use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use serde_json::{Map, Value};

use super::Kind;
use super::edited::render_for;
use super::template::Rendered;
use crate::app::App;

/// A mail that can be handed to a server.
pub struct Outgoing {
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

/// Makes the mail of `id`: what every template may say, and `data` besides.
///
/// # Errors
/// Why there is none, such as an address that cannot stand in a header.
pub(super) fn compose(
    app: &App,
    id: &str,
    kind: Kind,
    recipient: &str,
    data: &Map<String, Value>,
    link: Option<&str>,
) -> Result<Outgoing, String> {
    let mut values = data.clone();
    for (name, value) in [
        ("app_name", Some(app.config.server.app_name.as_str())),
        ("base_url", Some(app.issuer.as_str())),
        ("email", Some(recipient)),
        ("link", link),
    ] {
        values.insert(name.to_owned(), value.map_or(Value::Null, Value::from));
    }
    let rendered = render_for(app, kind, &values)?;
    write(app, id, recipient, rendered)
}

fn write(app: &App, id: &str, recipient: &str, rendered: Rendered) -> Result<Outgoing, String> {
    let address = |text: &str| text.parse::<Address>().map_err(|_| "the address cannot be written to".to_owned());
    let sender = address(&app.config.mail.from_email)?;
    let recipient = address(recipient)?;
    let millis = u64::try_from(app.now_millis()).unwrap_or_default();
    // Programs do not answer what a program sent (RFC 3834, section 5).
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let message = Message::builder()
        .from(Mailbox::new(Some(printable(&app.config.mail.from_name)), sender.clone()))
        .to(Mailbox::new(None, recipient.clone()))
        .subject(rendered.subject)
        .date(UNIX_EPOCH + Duration::from_millis(millis))
        .message_id(Some(format!("<{id}@{}>", sender.domain())))
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
        .map_err(|error| error.to_string())?;
    let envelope = Envelope::new(Some(sender), vec![recipient]).map_err(|error| error.to_string())?;
    Ok(Outgoing { envelope, bytes: message.formatted() })
}

/// A name as it may stand in a header.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
