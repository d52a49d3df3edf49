//! Sensitive actions want a sign-in that is not long ago (ASVS 7.5.1, RFC 9470).

use crate::caller::Account;
use crate::error::{Error, Result};

/// Leave for an account that signed in at most `within` seconds before `now` (unix seconds).
pub fn require_recent_sign_in(account: &Account, now: i64, within: i64) -> Result<()> {
    if now.saturating_sub(account.authenticated_at) <= within {
        Ok(())
    } else {
        Err(Error::InsufficientUserAuthentication)
    }
}
