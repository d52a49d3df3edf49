//! The page of all error codes: status, sentence and what to do. Status and sentence are read from the table that answers are made of.

use std::fmt::Write;

use fastcms_core::error::QueryPart;
use fastcms_core::{Error, FieldErrors};
use http::HeaderValue;

use super::Refusal;

const HEAD: &str = "# Errors

Every code that an answer may carry. This page is generated from the code.

An error has one body, whatever refused:

```json
{\"error\": \"<code>\", \"message\": \"<sentence>\", \"details\": {\"<field>\": \"<message>\"}, \"request_id\": \"<X-Request-ID of the answer>\"}
```

Codes are stable; sentences may change. `details` is empty unless the table says what stands in it. An answer with 429, or with 503
`overloaded`, says in `Retry-After` after how many seconds to try again. In bulk, batch and upsert the `error` of an item is one of these codes.

";

/// The page, as it lies in `docs/errors.md`.
pub fn reference_markdown() -> String {
    let mut rows: Vec<(u16, &'static str, String, &'static str)> = specimens()
        .into_iter()
        .map(|(refusal, advice)| {
            let row = refusal.row();
            (row.status.as_u16(), row.code, row.message.into_owned(), advice)
        })
        .collect();
    rows.sort_by_key(|(status, ..)| *status);
    let mut page = HEAD.to_owned();
    page.push_str("| Status | Code | Sentence | What to do |\n|---|---|---|---|\n");
    for (status, code, sentence, advice) in rows {
        let _ = writeln!(page, "| {status} | `{code}` | {sentence} | {advice} |");
    }
    page
}

/// One refusal of each code, and what to do about it.
fn specimens() -> Vec<(Refusal, &'static str)> {
    [of_requests(), of_callers(), of_accounts(), of_data(), of_ours()].into_iter().flatten().collect()
}

fn of_requests() -> Vec<(Refusal, &'static str)> {
    let allow = HeaderValue::from_static("GET");
    let query = |part| Refusal::Core(Error::InvalidQuery { part, position: 0, reason: String::new() });
    vec![
        (
            Refusal::BadRequest("What cannot be understood about the request"),
            "Mend the request; the sentence says what",
        ),
        (
            Refusal::UnknownParameter(String::new()),
            "Leave out the parameter in `details.name`, or spell it as the schema does",
        ),
        (
            Refusal::CredentialInUrl(String::new()),
            "Send it in a header, and replace the credential: URLs stand in logs",
        ),
        (Refusal::MultipleCredentials, "Send either `Authorization` or `X-API-Key`, once"),
        (
            Refusal::DuplicateCookie(fastcms_guard::cookie::Duplicate("")),
            "Delete the cookies of this site: one in `details.name` was planted or is left over",
        ),
        (
            query(QueryPart::Filter),
            "Mend the filter where `details.position` points, for the reason in `details.reason`",
        ),
        (query(QueryPart::Sort), "Mend `sort` where `details.position` points"),
        (query(QueryPart::Fields), "Mend `fields` where `details.position` points"),
        (query(QueryPart::Expand), "Mend `expand` where `details.position` points"),
        (
            Refusal::Core(Error::InvalidThumb("")),
            "Ask for one of the sizes that `IMAGE_THUMBNAIL_SIZES` and the field offer; `details.thumb` says more",
        ),
        (Refusal::Core(Error::BatchTooLarge { limit: 100 }), "Send the rest in further requests"),
        (Refusal::Core(Error::NotFound), "Check path and id; a record that the caller may not see is not found either"),
        (Refusal::MethodNotAllowed(allow), "Use one of the methods in `Allow`"),
        (
            Refusal::PayloadTooLarge { limit: 0 },
            "Send less than `details.limit_bytes`, or raise `MAX_BODY_SIZE` or `MAX_FILE_SIZE`",
        ),
        (Refusal::UriTooLong, "Keep path and query within 16 KiB"),
        (
            Refusal::UnsupportedMediaType("What is wrong with the type or encoding of the body"),
            "Send the type that the route takes, without `Content-Encoding`",
        ),
        (Refusal::RangeNotSatisfiable { size: 0 }, "Ask for a range within `details.size`"),
        (Refusal::MisdirectedHost, "Add the host to `ALLOWED_HOSTS`, or call the server by the name in `BASE_URL`"),
        (Refusal::HeadersTooLarge, "Keep the header section within 32 KiB and 100 fields"),
    ]
}

fn of_callers() -> Vec<(Refusal, &'static str)> {
    let core = Refusal::Core;
    vec![
        (core(Error::AuthenticationRequired), "Sign in and send the token, or send an API key"),
        (
            core(Error::InvalidToken),
            "Refresh the token, or sign in again; an API key may be revoked, expired or inactive",
        ),
        (
            core(Error::InvalidCredentials),
            "Check address, password and code; a locked or disabled account answers the same",
        ),
        (core(Error::InvalidRefreshToken), "Sign in again; if the token was used before, its whole family is revoked"),
        (core(Error::Forbidden), "Ask for a role or rule that allows it"),
        (Refusal::Csrf, "Send the request from a page of this site, or use a token instead of the cookie"),
        (
            core(Error::AccountLocked { retry_after_seconds: 0 }),
            "Wait for `Retry-After`, use the link of the lockout mail, or have an admin unlock the account",
        ),
        (core(Error::InsufficientScope), "Give the API key the scope of this route"),
        (
            core(Error::InsufficientUserAuthentication),
            "Sign in again; sensitive actions want a sign-in within `STEP_UP_MINUTES`",
        ),
        (core(Error::PasswordChangeRequired), "Call `POST /api/v1/auth/change-password` first"),
        (core(Error::MfaEnrolmentRequired), "Enrol by `POST /api/v1/auth/2fa/setup` and `/enable` first"),
        (core(Error::RegistrationClosed), "Have an admin make the account; before setup, do the setup"),
        (
            core(Error::SetupTokenInvalid),
            "Take the link that the server printed at its start; it is good for 30 minutes",
        ),
        (Refusal::IpBlocked, "Have the address allowed; `fastcms ip-rules clear` undoes a lock-out"),
        (Refusal::HttpsRequired, "Call `https://`; behind a proxy, name it in `TRUSTED_PROXIES`"),
        (core(Error::FileProtected), "Sign in, or ask for a file token"),
        (core(Error::InvalidFileToken), "Ask for a new file token; it is good for two minutes and one file"),
        (core(Error::PasswordAuthDisabled), "Sign in another way"),
        (
            core(Error::RateLimited { per_minute: 0, per_hour: 0, retry_after_seconds: 0 }),
            "Wait for `Retry-After`; `details` holds the limits",
        ),
    ]
}

fn of_accounts() -> Vec<(Refusal, &'static str)> {
    let core = Refusal::Core;
    vec![
        (core(Error::InvalidVerificationToken), "Ask for a new mail"),
        (core(Error::InvalidResetToken), "Ask for a new mail"),
        (core(Error::InvalidUnlockToken), "Wait for the end of the lock, or have an admin unlock the account"),
        (core(Error::InvalidTwoFactorCode), "Enter the code that the app shows now; each is good once"),
        (core(Error::TwoFactorState), "Look at `GET /api/v1/auth/2fa/status` first"),
        (core(Error::EmailAlreadyVerified), "Nothing: the address is verified"),
        (core(Error::MailNotConfigured), "Set `SMTP_USER` and `SMTP_PASSWORD`"),
        (core(Error::MailFailed(String::new())), "Look at the server's log; mail that was queued is tried again"),
        (core(Error::SameEmail), "Send another address"),
        (core(Error::SetupAlreadyDone), "Sign in as an admin"),
        (core(Error::SelfAction), "Have another admin do it"),
        (core(Error::LastAdmin), "Make another admin first"),
        (core(Error::EmailTaken), "Send another address, or sign in"),
        (core(Error::PasswordPolicy(FieldErrors::default())), "Choose a password that meets the rules in `details`"),
    ]
}

fn of_data() -> Vec<(Refusal, &'static str)> {
    let core = Refusal::Core;
    vec![
        (core(Error::Validation(FieldErrors::default())), "Mend the fields in `details`"),
        (core(Error::WrongCollectionType), "Use a collection of the type that the route is for"),
        (
            core(Error::AlreadyExists("What is named".to_owned())),
            "Choose another name, or change the one that is there",
        ),
        (core(Error::UniqueConflict(String::new())), "Send another value for the field in `details`"),
        (
            core(Error::RelationRestricted("What points here".to_owned())),
            "Take away what points here first, or change `cascade_delete` of the relation",
        ),
        (core(Error::WouldLockYouOut), "Send `force`, or add a rule for your own address first"),
        (core(Error::SecretNotWritable(String::new())), "Replace the key where it is kept"),
    ]
}

fn of_ours() -> Vec<(Refusal, &'static str)> {
    let core = Refusal::Core;
    vec![
        (core(Error::internal("")), "Look for the `request_id` in the server's log"),
        (core(Error::Overloaded { retry_after_seconds: 1 }), "Wait for `Retry-After`"),
        (core(Error::Timeout), "Ask for less: a narrower filter, `skipTotal`, smaller batches"),
        (core(Error::ReadOnly(String::new())), "Look at disk and database: they refuse to be written to"),
        (core(Error::Unavailable(String::new())), "Look at the server's log: database or storage do not answer"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every code that the table can answer, as it stands in the source.
    fn codes() -> BTreeSet<&'static str> {
        let source = include_str!("../error.rs").split("#[cfg(test)]").next().unwrap();
        let code = |text: &'static str| {
            let (status, rest) = text.split_once(", \"")?;
            let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
            is_status.then(|| rest.split('"').next()).flatten()
        };
        source.split('(').filter_map(code).collect()
    }

    #[test]
    fn every_code_stands_on_the_page_once() {
        let listed: Vec<&str> = specimens().iter().map(|(refusal, _)| refusal.row().code).collect();
        let once: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(listed.len(), once.len(), "a code is listed twice");
        assert_eq!(once, codes());
        assert!(once.len() > 55, "{}", once.len());
    }
}
