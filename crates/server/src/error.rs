//! Why a request is refused, and the one table from meaning to status, stable code and sentence (contract 3).
//!
//! A handler returns a [`Refusal`]; it becomes a response without body that carries the refusal, and the edge writes the body
//! when it knows the request id. Nothing else in this crate writes an error body, and faults of ours are logged there, once.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use fastcms_core::{Error, FieldErrors, error::QueryPart};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::edge::Thinning;

mod reference;

pub use reference::reference_markdown;

/// Every way in which a request ends without what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The product refused or failed.
    #[error(transparent)]
    Core(#[from] Error),

    // What HTTP itself refuses.
    /// Not understandable as a request; the text is the sentence that the client reads.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The query names something that the route does not know.
    #[error("unknown parameter `{0}`")]
    UnknownParameter(String),
    /// The path exists, not with this method. Holds the value of `Allow`.
    #[error("method not allowed")]
    MethodNotAllowed(HeaderValue),
    /// The body is larger than `limit` bytes.
    #[error("the body is larger than {limit} bytes")]
    PayloadTooLarge { limit: u64 },
    #[error("the address of the request is too long")]
    UriTooLong,
    #[error("the header section is too large")]
    HeadersTooLarge,
    /// No byte of the range asked for is there; the whole has so many.
    #[error("the range lies outside of {size} bytes")]
    RangeNotSatisfiable { size: u64 },
    /// The body is of another type or encoding than the route takes.
    #[error("{0}")]
    UnsupportedMediaType(&'static str),

    // What the edge refuses.
    /// A preflight that is not granted: the part at fault (`origin`, `method`, `header`) and what it said.
    #[error("the preflight is refused for its {part}")]
    PreflightRefused { part: &'static str, value: String },
    #[error("this host is not served here")]
    MisdirectedHost,
    #[error("HTTPS is required")]
    HttpsRequired,
    /// A credential stands in the query string, under this name.
    #[error("a credential in the query string (`{0}`)")]
    CredentialInUrl(String),
    #[error("more than one credential")]
    MultipleCredentials,
    #[error(transparent)]
    DuplicateCookie(#[from] fastcms_guard::cookie::Duplicate),
    /// The client's address may not come in, or not here. Why, stays with the rule.
    #[error("the client address is not let in")]
    IpBlocked,
    /// A cookie may not speak for this request: no page of ours sent it.
    #[error("a cookie, and no sign that an own page sent the request")]
    Csrf,
}

/// What a handler answers.
pub type Answer<T = Response> = std::result::Result<T, Refusal>;

/// The refusal that a response carries until the edge writes it out.
#[derive(Clone)]
pub(crate) struct Refused(pub(crate) Arc<Refusal>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.row().status;
        response.extensions_mut().insert(Refused(Arc::new(self)));
        response
    }
}

/// One row of the table: what the client sees of a refusal, without its details.
pub(crate) struct Row {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    message: Cow<'static, str>,
}

/// The body of every error, in the order of contract 3.
#[derive(Serialize)]
struct Wire<'a> {
    error: &'static str,
    message: &'a str,
    details: Map<String, Value>,
    request_id: &'a str,
}

impl Refusal {
    /// One field, one message: 422 `validation_failed`.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Core(Error::field(field, message))
    }

    /// The table of contract 3.
    pub(crate) fn row(&self) -> Row {
        let (status, code, message) = match self {
            Self::Core(error) => return core_row(error),
            Self::BadRequest(sentence) => (400, "bad_request", *sentence),
            Self::UnknownParameter(_) => {
                (400, "unknown_parameter", "The query string names a parameter that this route does not know")
            }
            Self::MethodNotAllowed(_) => (405, "method_not_allowed", "This method is not allowed here"),
            Self::PayloadTooLarge { .. } => (413, "payload_too_large", "The body is too large"),
            Self::RangeNotSatisfiable { .. } => {
                (416, "range_not_satisfiable", "No byte of the range that was asked for is there")
            }
            Self::UriTooLong => (414, "uri_too_long", "The URL is too long"),
            Self::HeadersTooLarge => (431, "headers_too_large", "The header section is too large"),
            Self::UnsupportedMediaType(sentence) => (415, "unsupported_media_type", *sentence),
            Self::PreflightRefused { .. } => {
                (400, "bad_request", "The preflight asks for something that is not allowed")
            }
            Self::MisdirectedHost => (421, "misdirected_host", "This host is not served here"),
            Self::HttpsRequired => (403, "https_required", "This API is served over HTTPS only"),
            Self::CredentialInUrl(_) => {
                (400, "credential_in_url", "A credential must not stand in a URL; send it as a header")
            }
            Self::MultipleCredentials => (400, "multiple_credentials", "Send exactly one credential"),
            Self::DuplicateCookie(_) => (400, "duplicate_cookie", "The same cookie was sent more than once"),
            Self::IpBlocked => (403, "ip_blocked", "This address is not allowed here"),
            Self::Csrf => (403, "csrf", "A session cookie acts only for pages of this site"),
        };
        row(status, code, Cow::Borrowed(message))
    }

    fn details(&self) -> Map<String, Value> {
        match self {
            Self::Core(error) => core_details(error),
            Self::UnknownParameter(name) | Self::CredentialInUrl(name) => one("name", name.as_str()),
            Self::DuplicateCookie(duplicate) => one("name", duplicate.0),
            Self::PreflightRefused { part, value } => one(part, value.as_str()),
            Self::PayloadTooLarge { limit } => one("limit_bytes", *limit),
            Self::RangeNotSatisfiable { size } => one("size", *size),
            _ => Map::new(),
        }
    }

    /// The whole answer: status, body of contract 3 and the headers that belong to the refusal.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let row = self.row();
        let wire = Wire { error: row.code, message: &row.message, details: self.details(), request_id };
        let body = serde_json::to_vec(&wire).expect("text keys and JSON values always serialise");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = row.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::MethodNotAllowed(allow) => {
                headers.insert(header::ALLOW, allow.clone());
            }
            Self::PayloadTooLarge { .. } | Self::Core(Error::FileTooLarge { .. }) => {
                // The rest of the body is not waited for, so the connection cannot be used again.
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Self::RangeNotSatisfiable { size } => {
                let range = HeaderValue::try_from(format!("bytes */{size}")).expect("a number is a valid header value");
                headers.insert(header::CONTENT_RANGE, range);
            }
            Self::Core(Error::Overloaded { retry_after_seconds } | Error::AccountLocked { retry_after_seconds }) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
            }
            Self::Core(Error::RateLimited { retry_after_seconds, .. }) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
            }
            Self::Core(Error::InvalidToken | Error::InvalidRefreshToken) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            }
            _ if row.status == StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }

    /// Writes faults of ours to the log, with all that the body must not say. Those of the database meet every request, so they are
    /// thinned out: `more` says how many lines were left out before this one.
    pub(crate) fn log(&self, request_id: &str, faults: &Thinning) {
        match self {
            Self::Core(Error::Internal(source)) => {
                tracing::error!(request_id, error = %chain(source.as_ref()), "internal error");
            }
            Self::Core(Error::Unavailable(what)) => {
                if let Some(more) = faults.turn() {
                    tracing::error!(request_id, what, more, "unavailable");
                }
            }
            Self::Core(Error::ReadOnly(why)) => {
                if let Some(more) = faults.turn() {
                    tracing::warn!(request_id, why, more, "write refused");
                }
            }
            Self::Core(Error::Overloaded { .. }) => tracing::warn!(request_id, "overloaded"),
            Self::Core(Error::Timeout) => tracing::warn!(request_id, "timed out"),
            _ => {}
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn row(status: u16, code: &'static str, message: Cow<'static, str>) -> Row {
    Row { status: StatusCode::from_u16(status).expect("the table holds valid statuses"), code, message }
}

fn one(name: &str, value: impl Into<Value>) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value.into())])
}

fn core_row(error: &Error) -> Row {
    let (status, code) = core_code(error);
    row(status, code, core_sentence(error))
}

const fn core_code(error: &Error) -> (u16, &'static str) {
    match error {
        Error::NotFound => (404, "not_found"),
        Error::AuthenticationRequired => (401, "authentication_required"),
        Error::InvalidToken => (401, "invalid_token"),
        Error::InvalidCredentials => (401, "invalid_credentials"),
        Error::AccountLocked { .. } => (403, "account_locked"),
        Error::InvalidRefreshToken => (401, "invalid_refresh_token"),
        Error::Forbidden => (403, "forbidden"),
        Error::InsufficientScope => (403, "insufficient_scope"),
        Error::IpBlocked => (403, "ip_blocked"),
        Error::RegistrationClosed => (403, "registration_closed"),
        Error::PasswordAuthDisabled => (403, "password_auth_disabled"),
        Error::PasswordChangeRequired => (403, "password_change_required"),
        Error::InsufficientUserAuthentication => (403, "insufficient_user_authentication"),
        Error::SetupTokenInvalid => (403, "setup_token_invalid"),
        Error::FileProtected => (403, "file_protected"),
        Error::InvalidFileToken => (403, "invalid_file_token"),
        Error::InvalidThumb(_) => (400, "invalid_thumb"),
        Error::FileTooLarge { .. } => (413, "payload_too_large"),
        Error::InvalidTwoFactorCode => (400, "invalid_two_factor_code"),
        Error::TwoFactorState => (400, "two_factor_state"),
        Error::MfaEnrolmentRequired => (403, "mfa_enrolment_required"),
        Error::SetupAlreadyDone => (400, "setup_already_done"),
        Error::InvalidVerificationToken => (400, "invalid_verification_token"),
        Error::InvalidResetToken => (400, "invalid_reset_token"),
        Error::InvalidUnlockToken => (400, "invalid_unlock_token"),
        Error::EmailAlreadyVerified => (400, "email_already_verified"),
        Error::SameEmail => (400, "same_email"),
        Error::MailNotConfigured => (400, "mail_not_configured"),
        Error::MailFailed(_) => (502, "mail_failed"),
        Error::SelfAction => (400, "self_action"),
        Error::LastAdmin => (409, "last_admin"),
        Error::RateLimited { .. } => (429, "rate_limited"),
        Error::WouldLockYouOut => (409, "would_lock_you_out"),
        Error::Validation(_) => (422, "validation_failed"),
        Error::PasswordPolicy(_) => (422, "password_policy"),
        Error::InvalidQuery { part, .. } => match part {
            QueryPart::Filter => (400, "invalid_filter"),
            QueryPart::Sort => (400, "invalid_sort"),
            QueryPart::Fields => (400, "invalid_fields"),
            QueryPart::Expand => (400, "invalid_expand"),
        },
        Error::BatchTooLarge { .. } => (400, "batch_too_large"),
        Error::WrongCollectionType => (400, "wrong_collection_type"),
        Error::AlreadyExists(_) => (409, "already_exists"),
        Error::EmailTaken => (409, "email_taken"),
        Error::UniqueConflict(_) => (409, "unique_conflict"),
        Error::RelationRestricted(_) => (409, "relation_restricted"),
        Error::SecretNotWritable(_) | Error::RotationRefused(_) => (409, "secret_not_writable"),
        Error::Overloaded { .. } => (503, "overloaded"),
        Error::Timeout => (503, "timeout"),
        Error::ReadOnly(_) => (503, "read_only"),
        Error::Unavailable(_) => (503, "unavailable"),
        Error::Internal(_) => (500, "internal_error"),
    }
}

fn core_sentence(error: &Error) -> Cow<'static, str> {
    Cow::Borrowed(match error {
        Error::NotFound => "Nothing was found here",
        Error::AuthenticationRequired => "Sign in first",
        Error::InvalidToken => "The token is invalid, expired or revoked",
        Error::InvalidCredentials => "The credentials are wrong",
        Error::AccountLocked { .. } => "Too many attempts failed; try again later",
        Error::InvalidRefreshToken => "The refresh token is invalid, expired or used",
        Error::Forbidden => "You are not allowed to do this",
        Error::InsufficientScope => "The scopes of this API key do not reach this far",
        Error::IpBlocked => "Requests from this address are refused",
        Error::RegistrationClosed => "Registration is closed",
        Error::PasswordAuthDisabled => "Signing in by password is turned off",
        Error::PasswordChangeRequired => "Change your password first",
        Error::InsufficientUserAuthentication => "The last sign-in is too old for this; sign in again",
        Error::SetupTokenInvalid => "The setup token is missing, wrong, used or expired",
        Error::FileProtected => "This file is protected; sign in, or bring a file token",
        Error::InvalidFileToken => "The file token is invalid, expired, revoked or of another file",
        Error::InvalidThumb(_) => "The file is not offered as a picture of this kind",
        Error::FileTooLarge { .. } => "The body is too large",
        Error::InvalidTwoFactorCode => "The code is wrong",
        Error::TwoFactorState => "This is not possible as the second factor stands now",
        Error::MfaEnrolmentRequired => "Set up a second factor first",
        Error::SetupAlreadyDone => "Setup is already done",
        Error::InvalidVerificationToken | Error::InvalidResetToken | Error::InvalidUnlockToken => {
            "The link is wrong, used or past its time"
        }
        Error::EmailAlreadyVerified => "The e-mail address is verified already",
        Error::SameEmail => "The account has this e-mail address already",
        Error::MailNotConfigured => "Mail is not set up on this server",
        Error::MailFailed(_) => "The mail server did not take the mail",
        Error::SelfAction => "This is not possible on your own account",
        Error::LastAdmin => "The last admin cannot be deleted, disabled or demoted",
        Error::WouldLockYouOut => "This would leave you no way in; for an address rule, send `force` if you mean it",
        Error::RateLimited { .. } => "Too many requests; wait before the next one",
        Error::Validation(_) => "Some of what was sent is not valid",
        Error::PasswordPolicy(_) => "The password does not meet the rules",
        Error::InvalidQuery { part, .. } => match part {
            QueryPart::Filter => "The filter is not valid",
            QueryPart::Sort => "The sort order is not valid",
            QueryPart::Fields => "The list of fields is not valid",
            QueryPart::Expand => "The list of relations to expand is not valid",
        },
        Error::BatchTooLarge { limit } => {
            return format!("At most {limit} items are allowed").into();
        }
        Error::WrongCollectionType => "This does not work on a collection of this type",
        Error::AlreadyExists(what) => return format!("{what} exists already").into(),
        Error::EmailTaken => "This e-mail address is taken",
        Error::UniqueConflict(_) => "A value that must be unique exists already",
        Error::RelationRestricted(why) | Error::RotationRefused(why) => return why.clone().into(),
        Error::SecretNotWritable(_) => {
            "The key comes from a source that cannot be written; the server's log says which"
        }
        Error::Overloaded { .. } => "The server is busy; try again later",
        Error::Timeout => "The request took too long",
        Error::ReadOnly(_) => "Writes are refused at the moment",
        Error::Unavailable(_) => "This is unavailable at the moment",
        Error::Internal(_) => "Something went wrong on our side",
    })
}

fn core_details(error: &Error) -> Map<String, Value> {
    match error {
        Error::Validation(fields) | Error::PasswordPolicy(fields) => field_details(fields),
        Error::InvalidQuery { position, reason, .. } => Map::from_iter([
            ("position".to_owned(), Value::from(*position)),
            ("reason".to_owned(), Value::from(reason.as_str())),
        ]),
        Error::UniqueConflict(field) => one(field, "Must be unique"),
        Error::InvalidThumb(why) => one("thumb", *why),
        Error::FileTooLarge { limit } => one("limit_bytes", *limit),
        Error::RateLimited { per_minute, per_hour, retry_after_seconds } => Map::from_iter([
            ("limit_per_minute".to_owned(), Value::from(*per_minute)),
            ("limit_per_hour".to_owned(), Value::from(*per_hour)),
            ("retry_after_seconds".to_owned(), Value::from(*retry_after_seconds)),
        ]),
        _ => Map::new(),
    }
}

fn field_details(fields: &FieldErrors) -> Map<String, Value> {
    fields.iter().map(|(field, message)| (field.to_owned(), Value::from(message))).collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn rendered(error: Error) -> (u16, Value, http::HeaderMap) {
        let (parts, body) = Refusal::from(error).render("id").into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), serde_json::from_slice(&body).unwrap(), parts.headers)
    }

    #[tokio::test]
    async fn details_say_where_and_what() {
        let query = Error::InvalidQuery { part: QueryPart::Filter, position: 7, reason: "no such field".to_owned() };
        let (status, body, _) = rendered(query).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_filter")));
        assert_eq!(body["details"], json!({"position": 7, "reason": "no such field"}));
        let (status, body, _) = rendered(Error::UniqueConflict("slug".to_owned())).await;
        assert_eq!((status, &body["details"]), (409, &json!({"slug": "Must be unique"})));
        let (_, body, _) = rendered(Error::field("schema.0.name", "Unknown field")).await;
        assert_eq!(body["details"], json!({"schema.0.name": "Unknown field"}));
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error", "message", "details", "request_id"]);
    }

    #[tokio::test]
    async fn an_overload_says_when_to_come_back() {
        let (status, body, headers) = rendered(Error::Overloaded { retry_after_seconds: 3 }).await;
        assert_eq!((status, &body["error"]), (503, &json!("overloaded")));
        assert_eq!(headers[header::RETRY_AFTER], "3");
    }

    #[tokio::test]
    async fn reasons_of_ours_stay_with_us() {
        for error in
            [Error::internal("marker"), Error::Unavailable("marker".to_owned()), Error::ReadOnly("marker".to_owned())]
        {
            let (status, body, _) = rendered(error).await;
            assert!(status >= 500 && !body.to_string().contains("marker"), "{body}");
        }
    }
}
