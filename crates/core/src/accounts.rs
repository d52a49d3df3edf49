//! Accounts: who they are, how they sign in, how their sessions live and end. The same code serves `users` and every auth collection;
//! a [`Realm`] says which.

use fastcms_store::Plan;
use fastcms_store::accounts::{self as rows, Credentials};

use crate::app::App;
use crate::error::Result;

mod collection;
mod compromise;
mod cookie_sessions;
mod email;
mod email_change;
mod file_tokens;
mod first_proof;
pub mod impersonation;
pub(crate) mod one_time_code;
mod passwords;
mod proof;
mod reset;
mod sessions;
mod setup;
mod sign_in;
mod supervision;
mod tokens;
mod two_factor;
mod users;
mod verification;

pub use collection::{
    AuthCollection, own as own_record, register as register_in_collection, sign_in as sign_in_to_collection,
};
pub use compromise::{
    delete_by_email, require_password_change, require_password_change_by_email, require_password_change_of_all,
    reset_password_by_email, send_password_reset,
};
pub use cookie_sessions::{CookieGrant, authenticate_cookie, sign_in_with_cookie, sign_out_cookie};
pub use email_change::{confirm_email_change, request_email_change};
pub(crate) use file_tokens::{file_token, holder_of};
pub use impersonation::Impersonations;
pub use one_time_code::request_code;
pub use proof::{Presented, Proof, SignIn};
pub use reset::{request_password_reset, reset_password};
pub use sessions::Sessions;
pub(crate) use sessions::{must_enrol, realm_text, roles_of, table_of};
pub use setup::{SetupLink, needs_setup, offer_setup_link, set_up};
pub use sign_in::{
    change_password, delete_own, end_session, sessions_of, sign_in, sign_out, sign_out_everywhere, sweep_sessions,
};
pub use supervision::{end_sessions_by_admin, sessions_by_admin};
pub use tokens::{Grant, authenticate, refresh};
pub(crate) use two_factor::place as factor_place;
pub use two_factor::{
    Enrolment, TwoFactorStatus, begin_enrolment, disable_two_factor, enable_two_factor, renew_backup_codes,
    two_factor_status,
};
pub use users::{
    AdminChange, NewUser, OwnChange, Registered, UserPage, change_own, create_by_admin, delete_by_admin, get_by_admin,
    list_by_admin, own, register, set_role, update_by_admin,
};
pub use verification::{resend_verification, verify_email};

pub use fastcms_store::accounts::sessions::Session;
pub use fastcms_store::accounts::users::User;

use fastcms_secrets::Secret;

/// Where a request came from, as sessions remember it.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// Client address, already resolved against the trusted proxies.
    pub address: String,
    /// `User-Agent` as sent, at most [`Device::USER_AGENT_LIMIT`] characters.
    pub user_agent: String,
    /// The value of the cookie by which a browser that signed in before is known.
    pub cookie: Option<Secret<String>>,
}

impl Device {
    /// Characters of a user agent that are kept.
    pub const USER_AGENT_LIMIT: usize = 512;

    /// Seconds that a browser stays known after its last sign-in: a year (R43).
    pub const KNOWN_SECONDS: u32 = 365 * 24 * 3600;

    pub fn new(address: impl Into<String>, user_agent: &str, cookie: Option<Secret<String>>) -> Self {
        Self {
            address: address.into(),
            user_agent: user_agent.chars().filter(|c| !c.is_control()).take(Self::USER_AGENT_LIMIT).collect(),
            cookie,
        }
    }
}

/// An account as it is stored now, if it and its realm still exist.
pub(crate) async fn stored(app: &App, realm: &str, id: &str) -> Result<Option<Credentials>> {
    let Some(table) = table_of(&app.schema.load(), realm) else { return Ok(None) };
    let id = id.to_owned();
    Ok(app
        .store
        .read(Plan::Bounded, move |reader| Box::pin(async move { rows::by_id(reader, &table, &id).await }))
        .await?)
}
