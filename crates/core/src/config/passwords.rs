//! What a password must be, who needs a second factor, and what happens after failed logins.

use url::Url;

use super::catalog;
use super::kind::choice;
use super::reader::Reader;
use super::storage::web_url;

choice! {
    /// Who needs a second factor.
    pub enum RequireMfa {
        /// Admins.
        Admin = "admin",
        /// Everybody.
        All = "all",
    }
}

/// What a password must be, besides what always holds (the blocklist, at most 128 code points).
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Passwords {
    /// Fewest code points; none: the default of the policy, 10.
    pub min_length: Option<usize>,
    /// Whether an upper-case letter is needed.
    pub require_uppercase: bool,
    /// Whether a lower-case letter is needed.
    pub require_lowercase: bool,
    /// Whether a digit is needed.
    pub require_digit: bool,
    /// Whether a special character is needed.
    pub require_special: bool,
    /// How many earlier passwords, besides the current one, may not be used again.
    pub history_count: usize,
    /// Service that knows breached passwords by the head of their SHA-1.
    pub breach_url: Option<Url>,
    /// Further words that no password may contain.
    pub context_words: Vec<String>,
    /// Who needs a second factor; none: nobody.
    pub require_mfa: Option<RequireMfa>,
}

impl Passwords {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            min_length: read.whole(&catalog::PASSWORD_MIN_LENGTH),
            require_uppercase: read.is_set(&catalog::PASSWORD_REQUIRE_UPPERCASE),
            require_lowercase: read.is_set(&catalog::PASSWORD_REQUIRE_LOWERCASE),
            require_digit: read.is_set(&catalog::PASSWORD_REQUIRE_DIGIT),
            require_special: read.is_set(&catalog::PASSWORD_REQUIRE_SPECIAL),
            history_count: read.preset_whole(&catalog::PASSWORD_HISTORY_COUNT),
            breach_url: read.parsed(&catalog::PASSWORD_BREACH_URL, web_url),
            context_words: read.list(&catalog::CONTEXT_WORDS, |word| Ok(word.to_owned())),
            require_mfa: read.choice(&catalog::REQUIRE_MFA),
        }
    }
}

/// What happens after failed logins.
#[derive(Debug, Clone)]
pub struct Lockout {
    /// Whether accounts lock, and failures delay, at all.
    pub enabled: bool,
    /// Failures that lock an account.
    pub attempts: u32,
    /// Seconds that the lock lasts.
    pub duration_seconds: u32,
    /// Whether a locked account says so.
    pub reveal: bool,
}

impl Lockout {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            enabled: read.is_set(&catalog::ACCOUNT_LOCKOUT_ENABLED),
            attempts: read.preset_whole(&catalog::ACCOUNT_LOCKOUT_ATTEMPTS),
            duration_seconds: read.preset_whole(&catalog::ACCOUNT_LOCKOUT_DURATION),
            reveal: read.is_set(&catalog::ACCOUNT_LOCKOUT_REVEAL),
        }
    }
}
