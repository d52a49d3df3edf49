//! Why an operation was refused or failed, by meaning. The HTTP layer has one table from here to statuses and stable codes;
//! this module knows none of them.

use std::fmt;

/// What a core operation answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Messages by field, in the order in which they were found. Nested input uses dots (`schema.0.name`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(String, String)>);

impl FieldErrors {
    /// One message for one field.
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![(field.into(), message.into())])
    }

    /// Adds a message; a further one for the same field is joined to the first by `; `.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let (field, message) = (field.into(), message.into());
        match self.0.iter_mut().find(|(name, _)| *name == field) {
            Some((_, before)) => {
                before.push_str("; ");
                before.push_str(&message);
            }
            None => self.0.push((field, message)),
        }
    }

    /// All messages of `inner`, their fields below `prefix`.
    pub fn nest(&mut self, prefix: &str, inner: Self) {
        for (field, message) in inner.0 {
            self.add(format!("{prefix}.{field}"), message);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(field, message)| (field.as_str(), message.as_str()))
    }

    /// `Ok` when nothing was found, else [`Error::Validation`].
    pub fn into_result(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::Validation(self)) }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (field, message)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{field}: {message}")?;
        }
        Ok(())
    }
}

/// Which part of a query string an expression came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryPart {
    Filter,
    Sort,
    Fields,
    Expand,
}

/// Every way in which an operation can end without its result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown, or not for this caller's eyes.
    #[error("not found")]
    NotFound,

    // Who is calling.
    #[error("sign in first")]
    AuthenticationRequired,
    #[error("the token is invalid, expired or revoked")]
    InvalidToken,
    #[error("wrong e-mail address, password or code")]
    InvalidCredentials,
    #[error("the account is locked for {retry_after_seconds} s")]
    AccountLocked { retry_after_seconds: u64 },
    #[error("the refresh token is invalid, expired, used or revoked")]
    InvalidRefreshToken,
    #[error("not allowed for this caller")]
    Forbidden,
    #[error("the API key has no scope for this")]
    InsufficientScope,
    #[error("this address may not come in")]
    IpBlocked,
    #[error("registration is closed")]
    RegistrationClosed,
    #[error("password sign-in is turned off")]
    PasswordAuthDisabled,
    #[error("the password must be changed first")]
    PasswordChangeRequired,
    #[error("the last sign-in is too old for this action")]
    InsufficientUserAuthentication,
    #[error("the setup token is missing, wrong, used or expired")]
    SetupTokenInvalid,
    #[error("wrong code of the second factor")]
    InvalidTwoFactorCode,
    #[error("the second factor is not in the state for this")]
    TwoFactorState,
    #[error("a second factor must be set up first")]
    MfaEnrolmentRequired,
    #[error("setup is already done")]
    SetupAlreadyDone,
    #[error("the link is wrong, used or past its time")]
    InvalidVerificationToken,
    #[error("the link is wrong, used or past its time")]
    InvalidResetToken,
    #[error("the link is wrong, used or past its time")]
    InvalidUnlockToken,
    #[error("the e-mail address is verified already")]
    EmailAlreadyVerified,
    #[error("the account has this e-mail address already")]
    SameEmail,
    #[error("no mail is sent: SMTP_USER and SMTP_PASSWORD are not set")]
    MailNotConfigured,
    #[error("the mail server did not take the mail: {0}")]
    MailFailed(String),
    #[error("not on the own account")]
    SelfAction,
    #[error("the last admin stays")]
    LastAdmin,

    #[error("the file is protected")]
    FileProtected,
    #[error("the file token is invalid, expired, revoked or of another file")]
    InvalidFileToken,
    /// Too often: after so many seconds the same is admitted.
    #[error("the limit of {per_minute} a minute or {per_hour} an hour is used up")]
    RateLimited { per_minute: u32, per_hour: u32, retry_after_seconds: u32 },

    // What was sent.
    #[error("validation failed: {0}")]
    Validation(FieldErrors),
    #[error("password policy: {0}")]
    PasswordPolicy(FieldErrors),
    #[error("invalid {part:?} at {position}: {reason}")]
    InvalidQuery { part: QueryPart, position: usize, reason: String },
    #[error("no picture is offered like this: {0}")]
    InvalidThumb(&'static str),
    #[error("the file is larger than {limit} bytes")]
    FileTooLarge { limit: u64 },
    #[error("more than {limit} items")]
    BatchTooLarge { limit: usize },
    #[error("not for a collection of this type")]
    WrongCollectionType,

    // What stands in the way.
    #[error("{0} exists already")]
    AlreadyExists(String),
    #[error("the e-mail address is taken")]
    EmailTaken,
    #[error("{0} must be unique")]
    UniqueConflict(String),
    #[error("{0}")]
    RelationRestricted(String),
    /// Where the secret comes from, or why its place cannot be written: for the operator, not for the wire.
    #[error("the secret cannot be written: {0}")]
    SecretNotWritable(String),

    /// What stands in the way of a rotation: for whoever asked for it.
    #[error("{0}")]
    RotationRefused(String),

    #[error("the rule would shut out its maker")]
    WouldLockYouOut,

    // What failed on our side.
    #[error("overloaded, retry in {retry_after_seconds} s")]
    Overloaded { retry_after_seconds: u64 },
    #[error("the time budget was used up")]
    Timeout,
    #[error("writes are refused: {0}")]
    ReadOnly(String),
    #[error("unavailable: {0}")]
    Unavailable(String),
    #[error("internal: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One field, one message.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Validation(FieldErrors::one(field, message))
    }

    /// A fault of ours: logged once at the edge, answered with the request id only.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let error = error.into();
        // Its text repeats that of the panic, which may hold anything that was at hand.
        if error.is::<tokio::task::JoinError>() {
            return Self::Internal("a task did not end".into());
        }
        Self::Internal(error)
    }
}
