//! Access and refresh tokens: issued at sign-in, checked on every request, rotated inside their session.

use std::sync::Arc;

use fastcms_guard::clock::Timestamp;
use fastcms_guard::keys::{KeyRing, Kid};
use fastcms_guard::limits::Class;
use fastcms_guard::opaque::OpaqueToken;
use fastcms_guard::token::{self, Access, AccessDetails, Claims, Expected, Refresh, RefreshDetails, TokenError};
use fastcms_secrets::Secret;
use fastcms_store::accounts::sessions::{self as rows, RefreshMark, Session, SessionKind, Which};
use fastcms_store::accounts::{self as accounts, AccountTable, Credentials};
use fastcms_store::{Change, ChangeKind, Tx};

use super::Device;
use super::proof::Proven;
use super::sessions::{account_of, realm_text, table_of};
use crate::app::App;
use crate::attempts::Attempt;
use crate::audit::{self, Entry, Event, Recorded};
use crate::caller::{Caller, Principal, Realm};
use crate::error::{Error, Result};
use crate::keys;
use crate::limits;
use crate::mail::{self, Kind, Owner};
use crate::time::stamp;

/// A pair of fresh tokens.
#[derive(Clone)]
pub struct Grant {
    /// Whose they are.
    pub account_id: String,
    pub access_token: String,
    pub refresh_token: String,
    /// Lifetime of the access token, seconds.
    pub expires_in: i64,
    /// The cookie by which the browser is known from now on; `None` where nobody signed in.
    pub device: Option<Secret<String>>,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("account_id", &self.account_id).finish_non_exhaustive()
    }
}

/// Who presents this access or impersonation token.
///
/// # Errors
/// [`Error::InvalidToken`] for every way in which a token, its session or its account can be wrong: a caller learns nothing from the
/// difference.
pub async fn authenticate(app: &App, bearer: &str) -> Result<Caller> {
    let verified = token::verify::<Access>(&app.keys.load(), bearer, &expected(app, app.access_seconds()));
    let claims = match verified {
        Ok(verified) => verified.claims,
        Err(TokenError::Kind) => return super::impersonation::authenticate(app, bearer).await,
        Err(_) => return Err(Error::InvalidToken),
    };
    let realm = Realm::of_audience(&claims.aud).ok_or(Error::InvalidToken)?;
    let account = account_of(app, &claims.details.sid, &realm).await?;
    if account.id == claims.sub { Ok(Principal::Account(account).into()) } else { Err(Error::InvalidToken) }
}

/// What every token of ours must agree with. The audience names the realm and is judged by who asks.
fn expected(app: &App, max_lifetime: i64) -> Expected<'_> {
    Expected { issuer: &app.issuer, audience: &|_| true, now: Timestamp::from_millis(app.now_millis()), max_lifetime }
}

/// A new session for an account that has just proved who it is.
pub(crate) async fn open_session(
    caller: &Caller,
    app: &App,
    realm: &Realm,
    proven: Proven,
    device: &Device,
) -> Result<Grant> {
    let now = app.now_seconds();
    let ring = app.keys.load_full();
    let mark = RefreshMark { jti: app.new_id(), iat: now, kid: ring.current().kid().to_string() };
    let kind = SessionKind::Tokens { current: mark.clone(), previous: None };
    let session = begin_session(app, realm, &proven.credentials, device, kind, app.refresh_seconds());
    let tokens_of = Tokens { session_id: &session.id, account_id: &session.account_id, expires_at: session.expires_at };
    let mut grant = grant(app, &ring, realm, tokens_of, &mark, now).await?;
    grant.device = Some(store_session(caller, app, session, proven, device).await?);
    Ok(grant)
}

/// The row of a session that begins now.
pub(super) fn begin_session(
    app: &App,
    realm: &Realm,
    credentials: &Credentials,
    device: &Device,
    kind: SessionKind,
    lifetime_seconds: i64,
) -> Session {
    let now_millis = app.now_millis();
    Session {
        id: app.new_id(),
        realm: realm_text(realm).to_owned(),
        account_id: credentials.id.clone(),
        user_agent: device.user_agent.clone(),
        ip_address: device.address.clone(),
        created: stamp(now_millis),
        last_seen: stamp(now_millis),
        authenticated_at: now_millis / 1000,
        expires_at: now_millis / 1000 + lifetime_seconds,
        revoked_at: None,
        kind,
    }
}

/// Stores a session, provided the password it was decided on is still the one in force; forgives the guess that led here, and
/// remembers the browser. The cookie by which it is known from now on.
pub(super) async fn store_session(
    caller: &Caller,
    app: &App,
    session: Session,
    proven: Proven,
    device: &Device,
) -> Result<Secret<String>> {
    let table = table_of(&app.schema.load(), &session.realm).ok_or(Error::InvalidCredentials)?;
    let Proven { credentials, attempt } = proven;
    let browser = Browser::of(app, attempt.as_ref(), device);
    let cookie = browser.cookie.clone();
    let owner = Owner { realm: &session.realm, id: &session.account_id, email: &credentials.email };
    let told =
        attempt.as_ref().map(|attempt| mail::SignInNotices::of(app, owner, device, attempt.known_device.is_some()));
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            still_stands(tx, &table, &session.account_id, credentials.password.as_ref()).await?;
            if let Some(told) = told {
                told.enqueue(tx, &session).await?;
            }
            rows::insert(tx, &session).await?;
            if let Some(attempt) = attempt {
                attempt.forgive_in(tx).await?;
            }
            browser.remember(tx, &session).await?;
            let event = Event::SignedIn.of_account(Some(&session.account_id), Some(&credentials.email));
            let event = event.on("session", session.id).with("realm", session.realm);
            Ok::<_, Error>(trail.record(tx, event).with(()))
        })
    })
    .await?;
    Ok(cookie)
}

/// A browser that signs in, and what it will be known by. A value it brought is kept only where it is known for this very account:
/// whoever planted another one does not learn the new value.
struct Browser {
    cookie: Secret<String>,
    digest: [u8; 32],
    before: Option<[u8; 32]>,
    now: i64,
}

impl Browser {
    fn of(app: &App, attempt: Option<&Attempt>, device: &Device) -> Self {
        let now = app.now_seconds();
        if let (Some(digest), Some(cookie)) = (attempt.and_then(|attempt| attempt.known_device), &device.cookie) {
            return Self { cookie: cookie.clone(), digest, before: None, now };
        }
        let fresh = OpaqueToken::generate(&*app.rng);
        Self {
            digest: *fresh.digest().as_bytes(),
            cookie: Secret::new(fresh.expose().to_owned()),
            before: device.cookie_digest(),
            now,
        }
    }

    async fn remember(&self, tx: &mut Tx<'_>, session: &Session) -> Result<()> {
        let until = self.now + i64::from(Device::KNOWN_SECONDS);
        let account = (session.realm.as_str(), session.account_id.as_str());
        Ok(accounts::devices::remember(tx, &self.digest, self.before.as_ref(), account, self.now, until).await?)
    }
}

/// A password that was changed, or an account that was disabled, while the old password was being verified opens nothing.
async fn still_stands(
    tx: &mut Tx<'_>,
    table: &AccountTable,
    id: &str,
    decided_on: Option<&Secret<String>>,
) -> Result<()> {
    let stored = accounts::by_id_locked(tx, table, id).await?.ok_or(Error::InvalidCredentials)?;
    let same = stored.password.as_ref().map(Secret::expose) == decided_on.map(Secret::expose);
    if same && !stored.disabled { Ok(()) } else { Err(Error::InvalidCredentials) }
}

/// What a pair of tokens is made for.
#[derive(Clone, Copy)]
struct Tokens<'a> {
    session_id: &'a str,
    account_id: &'a str,
    /// Absolute end of the session, unix seconds.
    expires_at: i64,
}

async fn grant(
    app: &App,
    ring: &KeyRing,
    realm: &Realm,
    tokens: Tokens<'_>,
    mark: &RefreshMark,
    now: i64,
) -> Result<Grant> {
    let Tokens { session_id, account_id, expires_at } = tokens;
    let access = Claims::<Access> {
        iss: app.issuer.clone(),
        aud: realm.audience(),
        sub: account_id.to_owned(),
        jti: app.new_id(),
        iat: now,
        exp: (now + app.access_seconds()).min(expires_at),
        details: AccessDetails { sid: session_id.to_owned(), epoch: None, global_epoch: None },
    };
    let refresh = Claims::<Refresh> {
        iss: app.issuer.clone(),
        aud: realm.audience(),
        sub: account_id.to_owned(),
        jti: mark.jti.clone(),
        iat: mark.iat,
        exp: expires_at,
        details: RefreshDetails { sid: session_id.to_owned(), fam: session_id.to_owned() },
    };
    let kid = Kid::parse(&mark.kid).ok_or(Error::InvalidRefreshToken)?;
    Ok(Grant {
        account_id: account_id.to_owned(),
        expires_in: access.exp - now,
        access_token: keys::issue(app, ring, &access).await?,
        refresh_token: token::sign_with(ring, &kid, &refresh).map_err(|_| Error::InvalidRefreshToken)?,
        device: None,
    })
}

/// Exchanges a refresh token for a new pair, in the realm the route is for. A superseded token presented again within
/// `REFRESH_GRACE_SECONDS` gets the same successor; later it ends the session (RFC 9700 §4.14.2).
pub async fn refresh(caller: &Caller, app: &App, realm: &Realm, refresh_token: &str) -> Result<Grant> {
    let outcome = rotate(caller, app, realm, refresh_token).await;
    if let Err(error @ Error::InvalidRefreshToken) = &outcome {
        audit::note(caller, app, Event::RefreshRefused.with("realm", realm_text(realm)).error(error));
    }
    outcome
}

async fn rotate(caller: &Caller, app: &App, realm: &Realm, refresh_token: &str) -> Result<Grant> {
    let now = app.now_seconds();
    let ring = app.keys.load_full();
    let claims = token::verify::<Refresh>(&ring, refresh_token, &expected(app, app.refresh_seconds()))
        .map_err(|_| Error::InvalidRefreshToken)?
        .claims;
    if Realm::of_audience(&claims.aud).as_ref() != Some(realm) {
        return Err(Error::InvalidRefreshToken);
    }
    limits::charge_named(caller, app, Class::Refresh, realm, &claims.sub).await?;
    let table = table_of(&app.schema.load(), realm_text(realm)).ok_or(Error::InvalidRefreshToken)?;
    let next = RefreshMark { jti: app.new_id(), iat: now, kid: ring.current().kid().to_string() };
    let claims = Arc::new(claims);
    let outcome = match supersede(caller, app, &claims, table.clone(), next.clone()).await? {
        Some(expires_at) => Some((expires_at, next)),
        None => same_successor(caller, app, &claims, table).await?,
    };
    let (expires_at, mark) = outcome.ok_or(Error::InvalidRefreshToken)?;
    let tokens_of = Tokens { session_id: &claims.details.sid, account_id: &claims.sub, expires_at };
    grant(app, &ring, realm, tokens_of, &mark, now).await
}

/// The event about a session and whose it is.
fn about(event: Event, claims: &Claims<Refresh>, realm: &str, email: &str) -> Entry {
    let event = event.of_account(Some(&claims.sub), Some(email));
    event.on("session", claims.details.sid.as_str()).with("realm", realm)
}

/// Puts `next` in the place of the token presented, if that is the current one, and says when the session ends for good.
async fn supersede(
    caller: &Caller,
    app: &App,
    claims: &Arc<Claims<Refresh>>,
    table: AccountTable,
    next: RefreshMark,
) -> Result<Option<i64>> {
    let (now, last_seen, claims) = (app.now_seconds(), stamp(app.now_millis()), Arc::clone(claims));
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let realm = realm_of_audience(&claims)?;
            let presented = rows::Presented {
                session_id: &claims.details.sid,
                realm: realm_text(&realm),
                account_id: &claims.sub,
                jti: &claims.jti,
            };
            let Some(expires_at) = rows::rotate(tx, presented, &next, now, &last_seen).await? else {
                return Ok(Recorded::nothing_happened().with(None));
            };
            // An error takes the rotation back.
            let account = accounts::by_id_in(tx, &table, &claims.sub).await?;
            let account = account.filter(|account| !account.disabled).ok_or(Error::InvalidRefreshToken)?;
            let event = about(Event::TokenRefreshed, &claims, realm_text(&realm), &account.email);
            Ok::<_, Error>(trail.record(tx, event).with(Some(expires_at)))
        })
    })
    .await
}

/// What became of a token that is no longer the current one: shortly after it was used, its successor again, for two windows of one
/// browser, or an answer that was lost; later, somebody else has it, and its session ends.
async fn same_successor(
    caller: &Caller,
    app: &App,
    claims: &Arc<Claims<Refresh>>,
    table: AccountTable,
) -> Result<Option<(i64, RefreshMark)>> {
    let (now, claims) = (app.now_seconds(), Arc::clone(claims));
    let grace = i64::from(app.config.tokens.refresh_grace_seconds);
    let realm = realm_of_audience(&claims)?;
    let warning =
        mail::notice(app, Kind::RefreshReused, Owner { realm: realm_text(&realm), id: &claims.sub, email: "" });
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let refused = || Ok(Recorded::nothing_happened().with(None));
            let Some(session) = rows::by_id_locked(tx, &claims.details.sid).await? else { return refused() };
            let account = accounts::by_id_in(tx, &table, &session.account_id).await?;
            let Some(account) = account.filter(|account| !account.disabled) else { return refused() };
            let is_of_realm = session.realm == realm_text(&realm);
            if !session.is_live(now) || !is_of_realm || session.account_id != claims.sub {
                return refused();
            }
            let SessionKind::Tokens { current, previous } = session.kind else { return refused() };
            if previous.is_some_and(|(previous, used_at)| previous == claims.jti && now - used_at <= grace) {
                return Ok(Recorded::nothing_happened().with(Some((session.expires_at, current))));
            }
            rows::revoke(tx, &session.realm, &session.account_id, Which::One(&session.id), now).await?;
            tx.announce(Change::new(ChangeKind::Session, session.id.clone()));
            let recorded = trail.record(tx, about(Event::RefreshReused, &claims, &session.realm, &account.email));
            mail::enqueue(tx, warning.addressed_to(account.email)).await?;
            tracing::warn!(
                session = session.id,
                account = session.account_id,
                "a used refresh token came back: its session is ended"
            );
            Ok::<_, Error>(recorded.with(None))
        })
    })
    .await
}

fn realm_of_audience(claims: &Claims<Refresh>) -> Result<Realm> {
    Realm::of_audience(&claims.aud).ok_or(Error::InvalidRefreshToken)
}

/// The session a refresh token belongs to, if the token is good: what signing out with it ends.
pub(crate) fn session_of_refresh(app: &App, refresh_token: &str) -> Option<(Realm, String, String)> {
    let ring = app.keys.load();
    let claims = token::verify::<Refresh>(&ring, refresh_token, &expected(app, app.refresh_seconds())).ok()?.claims;
    Some((Realm::of_audience(&claims.aud)?, claims.sub, claims.details.sid))
}
