//! Sensitive actions want a sign-in that is not long ago (ASVS 7.5.1, RFC 9470): an unattended browser or a stolen access token must
//! not be enough to take an account over.

use std::ops::Deref;

use super::refusal;
use crate::app::App;
use crate::caller::{Caller, Principal};
use crate::error::{Error, Result};

/// A caller who signed in within `STEP_UP_MINUTES`. Sensitive operations take it in place of a [`Caller`], so that the check cannot be
/// left out: [`recent`] alone makes one.
#[derive(Debug, Clone)]
pub struct Recent(Caller);

impl Deref for Recent {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

/// The caller, if they signed in recently.
///
/// # Errors
/// [`Error::AuthenticationRequired`] for guests, [`Error::InsufficientUserAuthentication`] for a sign-in that is too old.
pub fn recent(caller: Caller, app: &App) -> Result<Recent> {
    require_recent(&caller, app)?;
    Ok(Recent(caller))
}

/// The same check where it depends on what is asked for. The operator needs no sign-in.
pub fn require_recent(caller: &Caller, app: &App) -> Result<()> {
    match &caller.principal {
        Principal::Operator => Ok(()),
        Principal::Account(account) => {
            let age = app.now_seconds().saturating_sub(account.authenticated_at);
            if age <= app.step_up_seconds() { Ok(()) } else { Err(Error::InsufficientUserAuthentication) }
        }
        // Nobody stands behind a key at this moment, and who acts as somebody has not signed in as them.
        Principal::ApiKey(_) | Principal::Acting(_) | Principal::Guest => Err(refusal(caller)),
    }
}
