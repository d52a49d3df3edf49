//! Outgoing mail.

use fastcms_secrets::Secret;

use super::catalog;
use super::fault::quoted;
use super::reader::Reader;
use super::source::Sources;

/// Outgoing mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Account there.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// Sender address.
    pub from_email: String,
    /// Sender name.
    pub from_name: String,
    /// Whether owners are told about security events of their account.
    pub security_notifications: bool,
    /// Whether owners are told about each login with a password.
    pub login_notifications: bool,
}

impl Mail {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            host: read.preset_text(&catalog::SMTP_HOST),
            port: read.preset_whole(&catalog::SMTP_PORT),
            user: read.text(&catalog::SMTP_USER),
            password: read.secret(&catalog::SMTP_PASSWORD),
            from_email: read.parsed(&catalog::SMTP_FROM_EMAIL, mail_address).unwrap_or_default(),
            from_name: read.preset_text(&catalog::SMTP_FROM_NAME),
            security_notifications: read.is_set(&catalog::SECURITY_NOTIFICATIONS_ENABLED),
            login_notifications: read.is_set(&catalog::SECURITY_LOGIN_NOTIFICATIONS),
        }
    }

    /// Reads the settings of mail anew; a fault is said with all others at a start.
    pub fn reread(sources: &Sources) -> Self {
        Self::read(&mut Reader::new(sources))
    }

    /// Whether mail is sent at all: only with user and password.
    pub fn is_enabled(&self) -> bool {
        self.user.is_some() && self.password.is_some()
    }
}

/// Rough shape only: the mail server is the judge of the rest.
fn mail_address(text: &str) -> Result<String, String> {
    let shaped = text
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if shaped && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,".contains(c)) {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is not a mail address", quoted(text)))
    }
}
