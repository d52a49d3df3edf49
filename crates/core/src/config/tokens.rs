//! Lives of tokens and sessions.

use jiff::civil::Date;

use super::catalog;
use super::fault::quoted;
use super::kind::choice;
use super::reader::Reader;

choice! {
    /// Algorithm of the tokens.
    pub enum Algorithm {
        /// HMAC with SHA-256 (RFC 7518 §3.2).
        Hs256 = "HS256",
    }
}

/// Lives of tokens and sessions.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Algorithm of the tokens.
    pub algorithm: Algorithm,
    /// Life of an access token in minutes.
    pub access_minutes: u32,
    /// Absolute end of a refresh family in days.
    pub refresh_days: u32,
    /// Seconds in which a superseded refresh token still answers with its successor.
    pub refresh_grace_seconds: u32,
    /// Minutes without a request after which a cookie session ends.
    pub session_idle_minutes: u32,
    /// Hours after which a cookie session ends.
    pub session_absolute_hours: u32,
    /// Minutes since login after which sensitive actions ask for a new one.
    pub step_up_minutes: u32,
    /// Whether cookies are called `__Host-…`.
    pub cookie_host_prefix: bool,
    /// Last day (UTC) on which a refresh token of `FastCMS` for Python is exchanged; none: never.
    pub accept_legacy_until: Option<Date>,
}

impl Tokens {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            algorithm: read.preset_choice(&catalog::ALGORITHM),
            access_minutes: read.preset_whole(&catalog::ACCESS_TOKEN_EXPIRE_MINUTES),
            refresh_days: read.preset_whole(&catalog::REFRESH_TOKEN_EXPIRE_DAYS),
            refresh_grace_seconds: read.preset_whole(&catalog::REFRESH_GRACE_SECONDS),
            session_idle_minutes: read.preset_whole(&catalog::SESSION_IDLE_MINUTES),
            session_absolute_hours: read.preset_whole(&catalog::SESSION_ABSOLUTE_HOURS),
            step_up_minutes: read.preset_whole(&catalog::STEP_UP_MINUTES),
            cookie_host_prefix: read.is_set(&catalog::COOKIE_HOST_PREFIX),
            accept_legacy_until: read.parsed(&catalog::ACCEPT_LEGACY_TOKENS_UNTIL, |text| {
                text.parse::<Date>().map_err(|_| format!("{} is not a date: write it as `2026-01-31`", quoted(text)))
            }),
        }
    }
}
