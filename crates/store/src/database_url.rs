//! `DATABASE_URL`, read once into checked parts. Its password never shows in `Debug`, `Display` or an error.

use crate::sql::Dialect;
use fastcms_secrets::Secret;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use url::Url;

/// Where the database is.
#[derive(Clone)]
pub struct DatabaseUrl(Target);

#[derive(Clone)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    Postgres(Box<PostgresUrl>),
}

/// The parts of a `postgresql://` URL.
#[derive(Clone)]
pub(crate) struct PostgresUrl {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<Secret<String>>,
    pub(crate) database: String,
    pub(crate) tls: TlsMode,
    /// Whether that was said, or is the default.
    tls_is_given: bool,
    pub(crate) root_certificates: Option<PathBuf>,
    pub(crate) application_name: Option<String>,
}

impl PostgresUrl {
    /// Whether both lead to the same database in the same way, whoever goes.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        let place = |url: &Self| {
            let names = (url.host.clone(), url.port, url.database.clone(), url.application_name.clone());
            (names, url.tls, url.root_certificates.clone())
        };
        place(self) == place(other)
    }

    /// Whether both name the same user and password. Both come from the operator: time tells nobody anything.
    pub(crate) fn has_credentials_of(&self, other: &Self) -> bool {
        let password = |url: &Self| url.password.as_ref().map(|password| password.expose().clone());
        self.user == other.user && password(self) == password(other)
    }
}

/// How the connection to `PostgreSQL` is protected: libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it, whoever it is. The default, as in libpq.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS, and the certificate comes from a trusted authority.
    VerifyCa,
    /// TLS, and the certificate is the host's own: the only mode that stops somebody in the middle.
    VerifyFull,
}

impl TlsMode {
    const ALL: [Self; 5] = [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// The word in the URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// Why a text is no [`DatabaseUrl`]. None of them carries the text, since it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `SQLite` nor `PostgreSQL`.
    #[error("unknown database: use `sqlite:///./data/app.db` or `postgresql://user:password@host/database`")]
    UnknownScheme,
    /// `sqlite:` without three slashes and a path.
    #[error("`sqlite:///` needs a path behind it, as in `sqlite:///./data/app.db`")]
    NoPath,
    /// A database in memory would lose what was acknowledged.
    #[error("a database in memory is not supported: name a file, as in `sqlite:///./data/app.db`")]
    InMemory,
    /// Not readable as a URL.
    #[error("not a valid URL: characters such as `@`, `/` and `#` in a password must be percent-encoded")]
    Malformed,
    /// No host.
    #[error("the host is missing: `postgresql://user:password@host/database`")]
    NoHost,
    /// No user.
    #[error("the user is missing: `postgresql://user:password@host/database`")]
    NoUser,
    /// No database.
    #[error("the database's name is missing: `postgresql://user:password@host/database`")]
    NoDatabase,
    /// A parameter behind `?` that is not known.
    #[error("unknown parameter `{0}`: known are `sslmode`, `sslrootcert`, `application_name`, `host` and `user`")]
    UnknownParameter(String),
    /// An `sslmode` that is none.
    #[error("`sslmode` must be `disable`, `prefer`, `require`, `verify-ca` or `verify-full`")]
    UnknownTlsMode,
}

impl DatabaseUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(UrlError::UnknownScheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" | "sqlite+aiosqlite" => sqlite(rest),
            "postgres" | "postgresql" | "postgresql+asyncpg" | "postgres+asyncpg" => postgres(rest),
            _ => Err(UrlError::UnknownScheme),
        }
    }

    /// A `SQLite` file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Target::Sqlite(path.into()))
    }

    /// The engine it is for.
    pub fn dialect(&self) -> Dialect {
        match self.0 {
            Target::Sqlite(_) => Dialect::Sqlite,
            Target::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The file, of `SQLite`.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Target::Sqlite(path) => Some(path),
            Target::Postgres(_) => None,
        }
    }

    /// The host (or folder of the socket), of `PostgreSQL`.
    pub fn host(&self) -> Option<&str> {
        match &self.0 {
            Target::Sqlite(_) => None,
            Target::Postgres(url) => Some(&url.host),
        }
    }

    /// How the connection is protected, of `PostgreSQL`.
    pub fn tls_mode(&self) -> Option<TlsMode> {
        match &self.0 {
            Target::Sqlite(_) => None,
            Target::Postgres(url) => Some(url.tls),
        }
    }

    /// The same, protected like this where the address does not say how.
    #[must_use]
    pub fn with_default_tls(mut self, mode: TlsMode) -> Self {
        if let Target::Postgres(url) = &mut self.0
            && !url.tls_is_given
        {
            url.tls = mode;
        }
        self
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl, UrlError> {
    let path = rest.strip_prefix("///").ok_or(UrlError::NoPath)?;
    if let Some((_, parameters)) = path.split_once('?') {
        let name = parameters.split(['=', '&']).next().unwrap_or_default();
        return Err(UrlError::UnknownParameter(name.to_owned()));
    }
    match path {
        "" | "/" => Err(UrlError::NoPath),
        ":memory:" => Err(UrlError::InMemory),
        _ if path.ends_with('/') || path.contains('\0') => Err(UrlError::NoPath),
        _ => Ok(DatabaseUrl::sqlite(path)),
    }
}

fn postgres(rest: &str) -> Result<DatabaseUrl, UrlError> {
    let url = Url::parse(&format!("postgresql:{rest}")).map_err(|_| UrlError::Malformed)?;
    let mut parts = PostgresUrl {
        host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(5432),
        user: decoded(url.username())?,
        password: url.password().map(decoded).transpose()?.map(Secret::new),
        database: decoded(url.path().strip_prefix('/').unwrap_or_default())?,
        tls: TlsMode::Prefer,
        tls_is_given: false,
        root_certificates: None,
        application_name: None,
    };
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "sslmode" | "ssl" => {
                let mode = TlsMode::ALL.into_iter().find(|mode| mode.as_str() == value);
                parts.tls = mode.ok_or(UrlError::UnknownTlsMode)?;
                parts.tls_is_given = true;
            }
            "sslrootcert" => parts.root_certificates = Some(PathBuf::from(value.as_ref())),
            "application_name" => parts.application_name = Some(value.into_owned()),
            "host" => parts.host = value.into_owned(),
            "user" => parts.user = value.into_owned(),
            _ => return Err(UrlError::UnknownParameter(key.into_owned())),
        }
    }
    if parts.host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if parts.user.is_empty() {
        return Err(UrlError::NoUser);
    }
    if parts.database.is_empty() || parts.database.contains('/') {
        return Err(UrlError::NoDatabase);
    }
    Ok(DatabaseUrl(Target::Postgres(Box::new(parts))))
}

/// Undoes percent-encoding; `+` stays a plus, as in libpq.
fn decoded(part: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok()).ok_or(UrlError::Malformed)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| UrlError::Malformed)?);
        rest = &tail[2..];
    }
    let text = String::from_utf8(bytes).map_err(|_| UrlError::Malformed)?;
    if text.contains('\0') { Err(UrlError::Malformed) } else { Ok(text) }
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    /// The URL with `***` for its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Sqlite(path) => write!(f, "sqlite:///{}", path.display()),
            Target::Postgres(url) => {
                let password = if url.password.is_some() { ":***" } else { "" };
                let PostgresUrl { user, host, port, database, tls, .. } = url.as_ref();
                write!(f, "postgresql://{user}{password}@{host}:{port}/{database}?sslmode={}", tls.as_str())
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accepted_form_is_read_and_shown_without_its_password() {
        for (text, shown) in [
            ("sqlite:///./data/app.db", "sqlite:///./data/app.db"),
            ("sqlite:///app.db", "sqlite:///app.db"),
            ("sqlite:////var/lib/app.db", "sqlite:////var/lib/app.db"),
            ("sqlite+aiosqlite:///./data/app.db", "sqlite:///./data/app.db"),
            ("SQLite:///a b%20c.db", "sqlite:///a b%20c.db"),
            ("postgres://u:MARKER@h/d", "postgresql://u:***@h:5432/d?sslmode=prefer"),
            ("postgresql://u@h:1234/d", "postgresql://u@h:1234/d?sslmode=prefer"),
            ("postgresql+asyncpg://u:MARKER@h/d?ssl=require", "postgresql://u:***@h:5432/d?sslmode=require"),
            ("postgresql://u:MARKER%40%2F@[::1]/d?sslmode=disable", "postgresql://u:***@::1:5432/d?sslmode=disable"),
            (
                "postgresql://u:MARKER@h/d?sslmode=verify-full&sslrootcert=/ca.pem&application_name=x",
                "postgresql://u:***@h:5432/d?sslmode=verify-full",
            ),
            ("postgresql:///d?host=/run/postgresql&user=u", "postgresql://u@/run/postgresql:5432/d?sslmode=prefer"),
        ] {
            let url = DatabaseUrl::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?}").contains("MARKER"), "{text}");
        }
    }

    #[test]
    fn every_refused_form_has_its_reason_and_no_reason_repeats_the_password() {
        for (text, why) in [
            ("", UrlError::UnknownScheme),
            ("data/app.db", UrlError::UnknownScheme),
            ("mysql://u:MARKER@h/d", UrlError::UnknownScheme),
            ("sqlite://app.db", UrlError::NoPath),
            ("sqlite:///", UrlError::NoPath),
            ("sqlite:////", UrlError::NoPath),
            ("sqlite:///data/", UrlError::NoPath),
            ("sqlite:///:memory:", UrlError::InMemory),
            ("sqlite:///a.db?mode=memory", UrlError::UnknownParameter("mode".into())),
            ("postgresql://u:MARKER@h:port/d", UrlError::Malformed),
            ("postgresql://u:MARKER%4@h/d", UrlError::Malformed),
            ("postgresql://u:MARKER@h/", UrlError::NoDatabase),
            ("postgresql://u:MARKER@h", UrlError::NoDatabase),
            ("postgresql://h/d", UrlError::NoUser),
            ("postgresql:///d", UrlError::NoHost),
            ("postgresql://u:MARKER@h/d?sslmode=on", UrlError::UnknownTlsMode),
            ("postgresql://u:MARKER@h/d?sslkey=x", UrlError::UnknownParameter("sslkey".into())),
        ] {
            let error = DatabaseUrl::parse(text).unwrap_err();
            assert_eq!(error, why, "{text}");
            assert!(!format!("{error} {error:?}").contains("MARKER"), "{text}");
        }
    }

    #[test]
    fn a_password_is_decoded() {
        let url = DatabaseUrl::parse("postgresql://us%40er:p%40ss+w%2Ford@h/d").unwrap();
        let Target::Postgres(parts) = url.target() else { panic!("a PostgreSQL URL") };
        assert_eq!(parts.user, "us@er");
        assert_eq!(parts.password.as_ref().unwrap().expose(), "p@ss+w/ord");
    }
}
