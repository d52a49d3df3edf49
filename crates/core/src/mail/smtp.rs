//! The conversation with the mail server (RFC 5321): STARTTLS always (RFC 3207), the certificate always verified, then the account,
//! then mails. There is no way to send in the clear, and none to accept another certificate.

use std::future::Future;
use std::time::Duration;

use fastcms_secrets::Secret;
use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;

use super::Password;
use super::message::Outgoing;
use super::stream::Lines;
use crate::app::App;
use crate::config;

/// How long the server may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one exchange may take; RFC 5321 allows minutes, but a queue waits behind it.
const EXCHANGE: Duration = Duration::from_secs(30);

/// Where mail is handed in, and as whom.
pub struct MailServer {
    host: String,
    port: u16,
    user: String,
    password: Secret<String>,
    /// The password that took its place.
    taken: Password,
    tls: TlsParameters,
    own_name: ClientId,
}

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server cannot be used at the moment; no mail is to blame.
    Server(String),
    /// Not now, says the server of this mail.
    Later(String),
    /// Not ever, says the server of this mail.
    Never(String),
}

impl MailServer {
    /// The server of the settings; `None` where mail is off.
    ///
    /// # Errors
    /// Why its name cannot be verified.
    pub fn of(app: &App) -> Result<Option<Self>, String> {
        let own_name = app.config.server.base_url.host().to_owned();
        Self::build(&app.config.mail, app.mail.password(), own_name, None)
    }

    /// The same, trusting the authority of this certificate (DER) and nobody else.
    pub fn trusting(app: &App, authority: &[u8]) -> Result<Option<Self>, String> {
        let own_name = app.config.server.base_url.host().to_owned();
        Self::build(&app.config.mail, app.mail.password(), own_name, Some(authority))
    }

    fn build(
        mail: &config::Mail,
        taken: Password,
        own_name: String,
        authority: Option<&[u8]>,
    ) -> Result<Option<Self>, String> {
        use lettre::transport::smtp::client::CertificateStore;
        let (Some(user), Some(password)) = (&mail.user, &mail.password) else { return Ok(None) };
        let mut tls = TlsParameters::builder(mail.host.clone());
        if let Some(authority) = authority {
            let certificate = Certificate::from_der(authority.to_vec()).map_err(|error| chain(&error))?;
            tls = tls.certificate_store(CertificateStore::None).add_root_certificate(certificate);
        }
        Ok(Some(Self {
            host: mail.host.clone(),
            port: mail.port,
            user: user.clone(),
            password: password.clone(),
            taken,
            tls: tls.build_rustls().map_err(|error| chain(&error))?,
            own_name: ClientId::Domain(own_name),
        }))
    }

    /// A connection on which mails can be sent.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let name = || format!("{}:{}", self.host, self.port);
        let socket = tokio::time::timeout(CONNECT, TcpStream::connect((self.host.as_str(), self.port)))
            .await
            .map_err(|_| Failure::Server(format!("{} does not answer", name())))?
            .map_err(|error| Failure::Server(format!("{} cannot be reached: {error}", name())))?;
        let mut connection =
            server(AsyncSmtpConnection::connect_with_transport(Box::new(Lines::new(socket)), &self.own_name)).await?;
        server(connection.starttls(self.tls.clone(), &self.own_name)).await?;
        // The password of this moment: it may have been replaced since the server started.
        let taken = self.taken.load_full();
        let password = taken.as_deref().unwrap_or(&self.password);
        let credentials = Credentials::new(self.user.clone(), password.expose().clone());
        server(connection.auth(DEFAULT_MECHANISMS, &credentials)).await?;
        Ok(Connection(connection))
    }
}

/// A server that knows us.
pub(super) struct Connection(AsyncSmtpConnection);

impl Connection {
    /// Hands a mail in. After any failure the connection is not to be used again.
    pub(super) async fn send(&mut self, mail: &Outgoing) -> Result<(), Failure> {
        let mut parameters = Vec::new();
        let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if !mail.envelope.to().iter().chain(mail.envelope.from()).all(is_ascii) {
            if !self.0.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Failure::Never("the mail server takes addresses in ASCII only".to_owned()));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        // Whether we may send at all is a matter of the settings, not of this mail.
        server(self.0.command(Mail::new(mail.envelope.from().cloned(), parameters))).await?;
        for recipient in mail.envelope.to() {
            judged(self.0.command(Rcpt::new(recipient.clone(), Vec::new()))).await?;
        }
        judged(self.0.command(Data)).await?;
        judged(self.0.message(&mail.bytes)).await
    }

    /// Takes leave; whether the server answers does not matter any more.
    pub(super) async fn close(mut self) {
        let _ = tokio::time::timeout(EXCHANGE, self.0.quit()).await;
    }
}

async fn within<T>(exchange: impl Future<Output = Result<T, SmtpError>>) -> Result<Result<T, SmtpError>, Failure> {
    tokio::time::timeout(EXCHANGE, exchange)
        .await
        .map_err(|_| Failure::Server("the mail server takes too long to answer".to_owned()))
}

/// An exchange whose failure says something about the server.
async fn server<T>(exchange: impl Future<Output = Result<T, SmtpError>>) -> Result<T, Failure> {
    within(exchange).await?.map_err(|error| Failure::Server(chain(&error)))
}

/// An exchange whose failure says something about the mail, if the server said it.
async fn judged(exchange: impl Future<Output = Result<Response, SmtpError>>) -> Result<(), Failure> {
    match within(exchange).await? {
        Ok(_) => Ok(()),
        Err(error) if error.is_permanent() => Err(Failure::Never(chain(&error))),
        Err(error) if error.is_transient() => Err(Failure::Later(chain(&error))),
        Err(error) => Err(Failure::Server(chain(&error))),
    }
}

/// An error and its causes in one line of visible characters: some of it is what the server said.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    const LONGEST: usize = 300;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
