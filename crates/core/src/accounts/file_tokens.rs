//! File tokens: one file, two minutes, in a URL if need be. They speak for the account that had them made, as it stands when they are used.

use std::sync::Arc;

use fastcms_guard::clock::Timestamp;
use fastcms_guard::token::{self, Claims, Expected, File, FileDetails, Kind, MAX_FILE_LIFETIME_SECONDS};
use fastcms_store::Plan;
use fastcms_store::accounts as rows;

use super::impersonation;
use super::sessions::{account_behind, must_enrol, realm_text, roles_of, table_of};
use crate::access;
use crate::app::App;
use crate::caller::{Account, Caller, Principal, Realm};
use crate::error::{Error, Result};
use crate::keys;

/// A token that opens this file for whoever brings it, and for how many seconds.
pub(crate) async fn file_token(caller: &Caller, app: &App, file_id: &str) -> Result<(String, i64)> {
    let account = access::require_account(caller)?;
    let now = app.now_seconds();
    // It ends with the session or the impersonation that it was made in; API keys have neither.
    let sid = match &caller.principal {
        Principal::Account(_) => Some(account.session.clone()),
        Principal::Acting(acting) => Some(acting.id.clone()),
        _ => None,
    };
    let claims = Claims::<File> {
        iss: app.issuer.clone(),
        aud: account.realm.audience(),
        sub: account.id.clone(),
        jti: app.new_id(),
        iat: now,
        exp: now + File::DEFAULT_LIFETIME_SECONDS,
        details: FileDetails { file_id: file_id.to_owned(), sid },
    };
    let ring = app.keys.load_full();
    Ok((keys::issue(app, &ring, &claims).await?, File::DEFAULT_LIFETIME_SECONDS))
}

/// For whom this token, which the caller brought, opens this file.
///
/// # Errors
/// [`Error::InvalidFileToken`] for every way in which the token, its session or its account can be wrong.
pub(crate) async fn holder_of(caller: &Caller, app: &App, text: &str, file_id: &str) -> Result<Caller> {
    let claims = verified(app, text)?;
    if claims.details.file_id != file_id {
        return Err(Error::InvalidFileToken);
    }
    let realm = Realm::of_audience(&claims.aud).ok_or(Error::InvalidFileToken)?;
    let account = match &claims.details.sid {
        Some(sid) => match account_behind(app, sid, &realm).await {
            Err(Error::InvalidToken) if realm == Realm::Users => impersonation::account_behind(app, sid).await,
            found => found,
        },
        None => without_session(app, &claims.sub, realm).await,
    };
    let account = match account {
        Err(Error::InvalidToken) => return Err(Error::InvalidFileToken),
        account => account?,
    };
    let stands = account.id == claims.sub && !account.must_change_password && !account.must_enrol;
    let holder = Caller { principal: Principal::Account(account), channel: caller.channel.clone() };
    if stands { Ok(holder) } else { Err(Error::InvalidFileToken) }
}

fn verified(app: &App, text: &str) -> Result<Claims<File>> {
    let expected = Expected {
        issuer: &app.issuer,
        // It names the realm, which the caller reads.
        audience: &|_| true,
        now: Timestamp::from_millis(app.now_millis()),
        max_lifetime: MAX_FILE_LIFETIME_SECONDS,
    };
    let verified = token::verify::<File>(&app.keys.load(), text, &expected);
    Ok(verified.map_err(|_| Error::InvalidFileToken)?.claims)
}

/// The account of a token that was made outside of any session.
async fn without_session(app: &App, id: &str, realm: Realm) -> Result<Arc<Account>> {
    let table = table_of(&app.schema.load(), realm_text(&realm)).ok_or(Error::InvalidToken)?;
    let (id, of_realm, require_mfa) = (id.to_owned(), realm.clone(), app.config.passwords.require_mfa);
    let found = app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move {
                let Some(credentials) = rows::by_id(reader, &table, &id).await? else { return Ok(None) };
                let must_enrol = must_enrol(reader, require_mfa, realm_text(&of_realm), &credentials).await?;
                let roles = roles_of(reader, realm_text(&of_realm), &credentials).await?;
                Ok::<_, Error>(Some((credentials, must_enrol, roles)))
            })
        })
        .await?;
    let found = found.filter(|(account, ..)| !account.disabled);
    let (credentials, must_enrol, roles) = found.ok_or(Error::InvalidToken)?;
    Ok(Arc::new(Account {
        id: credentials.id,
        realm,
        session: String::new(),
        email: credentials.email,
        role: credentials.role,
        verified: credentials.verified,
        authenticated_at: 0,
        must_change_password: credentials.must_change_password,
        must_enrol,
        roles,
    }))
}
