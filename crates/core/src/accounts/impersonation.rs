//! Admins who act as a user, to see what that user sees. The token is short of everything that could outlast it: it is not refreshed,
//! reaches no admin route, changes no credential and makes no key. Who acts stands in it and in every event (RFC 8693 §4.1).
//!
//! It lives in the store: ending it, the session it was begun in, or what ends the sessions of either account counts from the next
//! request.

use std::sync::Arc;

use fastcms_guard::clock::Timestamp;
use fastcms_guard::token::{self, Claims, Expected, ImpersonationDetails};
use fastcms_store::accounts::impersonations::{self as rows, Ends};
use fastcms_store::accounts::{self, AccountTable, Credentials, sessions};
use fastcms_store::{Change, ChangeKind, LockName, Plan};

use super::Device;
use crate::access::{self, Permission, Permissions, Recent};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::{Account, Acting, Caller, Principal, Realm};
use crate::error::{Error, Result};
use crate::keys;
use crate::mail::{self, Kind, Owner};
use crate::memory::{Memory, RECHECK_MILLIS};
use crate::roles;
use crate::time::stamp;

pub use fastcms_store::accounts::impersonations::{Impersonation, Listed};

/// How long one may last, seconds (contract 2.2).
pub const SHORTEST_SECONDS: u32 = 60;
pub const LONGEST_SECONDS: u32 = 86_400;

/// Characters of a reason.
const REASON_LIMIT: usize = 500;

/// Most live ones that are listed.
const LISTED: i64 = 1_000;

/// Impersonations remembered at once.
const REMEMBERED: usize = 1_000;

/// One that was begun.
pub struct Begun {
    pub access_token: String,
    /// Seconds.
    pub expires_in: i64,
}

/// A live impersonation as it stood when it was read.
#[derive(Debug, Clone)]
struct Live {
    acting: Arc<Acting>,
    jti: Arc<str>,
    /// The admin's session.
    session: Arc<str>,
    /// Unix seconds.
    expires_at: i64,
    read_at: i64,
}

/// Impersonations known to be alive.
#[derive(Debug)]
pub struct Impersonations(Memory<String, Live>);

impl Default for Impersonations {
    fn default() -> Self {
        Self(Memory::new(REMEMBERED))
    }
}

impl Impersonations {
    /// Takes note of a committed change, on this node or another.
    pub fn apply(&self, change: &Change) {
        let id = change.id.as_str();
        match change.kind {
            ChangeKind::Session => self.0.forget(|live| *live.acting.id == *id || *live.session == *id),
            ChangeKind::Account => self.0.forget(|live| live.acting.admin_id == id || live.acting.account.id == id),
            ChangeKind::Everything => self.0.forget(|_| true),
            _ => {}
        }
    }
}

/// Begins to act as a user, who is told of it.
pub async fn begin(
    caller: &Recent,
    app: &App,
    user_id: &str,
    seconds: u32,
    reason: &str,
    device: &Device,
) -> Result<Begun> {
    access::require(caller, Permission::UsersImpersonate)?;
    let admin = access::require_in_person(caller)?.clone();
    let reason = check_reason(reason)?;
    if admin.id == user_id {
        return Err(Error::SelfAction);
    }
    let now = app.now_seconds();
    let expires_at = now + i64::from(seconds.clamp(SHORTEST_SECONDS, LONGEST_SECONDS));
    let row = Impersonation {
        id: app.new_id(),
        jti: app.new_id(),
        admin_id: admin.id,
        session_id: admin.session,
        user_id: user_id.to_owned(),
        reason,
        ip_address: device.address.clone(),
        created: stamp(app.now_millis()),
        expires_at,
        revoked_at: None,
    };
    let claims = Claims::<token::Impersonation> {
        iss: app.issuer.clone(),
        aud: Realm::Users.audience(),
        sub: row.user_id.clone(),
        jti: row.jti.clone(),
        iat: now,
        exp: expires_at,
        details: ImpersonationDetails {
            sid: row.id.clone(),
            actor: row.admin_id.clone(),
            epoch: None,
            global_epoch: None,
        },
    };
    let access_token = keys::issue(app, &app.keys.load_full(), &claims).await?;
    store(caller, app, row).await?;
    Ok(Begun { access_token, expires_in: expires_at - now })
}

fn check_reason(reason: &str) -> Result<String> {
    let reason = reason.trim();
    let message = match reason.chars().count() {
        0 => "This field is required".to_owned(),
        length if length > REASON_LIMIT => format!("Maximum length is {REASON_LIMIT}"),
        _ if reason.contains('\0') => "Must not contain NUL".to_owned(),
        _ => return Ok(reason.to_owned()),
    };
    Err(Error::field("reason", message))
}

/// Stores it, provided that both accounts still are what they must be. Under the lock that every change of a role takes.
async fn store(caller: &Caller, app: &App, row: Impersonation) -> Result<()> {
    let owner = Owner { realm: "users", id: &row.user_id, email: "" };
    let told = mail::notice(app, Kind::Impersonated, owner)
        .saying("ends", crate::mail::written(row.expires_at.saturating_mul(1000)))
        .saying("reason", row.reason.as_str());
    let (asking, now) = (caller.clone(), app.now_seconds());
    let stored = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            tx.lock(LockName::new("setup")).await?;
            let admin = accounts::by_id_in(tx, &AccountTable::Users, &row.admin_id).await?;
            let held = roles::held_in(tx, &row.admin_id).await?;
            let may = admin.is_some_and(|admin| may_impersonate(&admin, held));
            let session = sessions::by_id_locked(tx, &row.session_id).await?;
            if !may || session.is_none_or(|session| !session.is_live(now)) {
                return Err(Error::InvalidToken);
            }
            let user = access::require_over(tx, &asking, &row.user_id).await?;
            if user.role == "admin" || user.disabled {
                return Err(Error::Forbidden);
            }
            rows::insert(tx, &row).await?;
            mail::enqueue(tx, told.addressed_to(user.email.as_str())).await?;
            let event =
                Event::Impersonated.on("user", user.id).with("impersonation", row.id).with("reason", row.reason);
            Ok(trail
                .record(tx, event.with("email", user.email).with("expires_at", stamp(row.expires_at * 1000)))
                .with(()))
        })
    });
    let stored = stored.await;
    if let Err(Error::Forbidden) = &stored {
        audit::note(caller, app, Event::ImpersonationRefused.on("user", ""));
    }
    stored
}

/// Whether this account, as it stands now, may act for others.
fn may_impersonate(account: &Credentials, held: Permissions) -> bool {
    !account.disabled && (account.role.as_deref() == Some("admin") || held.holds(Permission::UsersImpersonate))
}

/// Who presents this impersonation token.
///
/// # Errors
/// [`Error::InvalidToken`] for every way in which it can be wrong or over.
pub(super) async fn authenticate(app: &App, bearer: &str) -> Result<Caller> {
    let now_millis = app.now_millis();
    let claims = verify(app, bearer, now_millis)?;
    let live = live(app, &claims.details.sid, now_millis).await?;
    let same = *live.jti == *claims.jti
        && live.acting.account.id == claims.sub
        && live.acting.admin_id == claims.details.actor
        && now_millis / 1000 < live.expires_at;
    if same { Ok(Principal::Acting(live.acting).into()) } else { Err(Error::InvalidToken) }
}

/// The account that is acted as by this impersonation, while it lives: for what was made inside of it.
pub(super) async fn account_behind(app: &App, id: &str) -> Result<Arc<Account>> {
    let now_millis = app.now_millis();
    let live = live(app, id, now_millis).await?;
    if now_millis / 1000 < live.expires_at { Ok(Arc::clone(&live.acting.account)) } else { Err(Error::InvalidToken) }
}

async fn live(app: &App, id: &str, now_millis: i64) -> Result<Live> {
    let known = app.impersonations.0.get(&id.to_owned());
    match known.filter(|live| now_millis - live.read_at < RECHECK_MILLIS) {
        Some(live) => Ok(live),
        None => read(app, id, now_millis).await,
    }
}

fn verify(app: &App, bearer: &str, now_millis: i64) -> Result<Claims<token::Impersonation>> {
    let expected = Expected {
        issuer: &app.issuer,
        audience: &|audience| Realm::of_audience(audience) == Some(Realm::Users),
        now: Timestamp::from_millis(now_millis),
        max_lifetime: i64::from(LONGEST_SECONDS),
    };
    let verified = token::verify::<token::Impersonation>(&app.keys.load(), bearer, &expected);
    Ok(verified.map_err(|_| Error::InvalidToken)?.claims)
}

async fn read(app: &App, id: &str, now_millis: i64) -> Result<Live> {
    let began = app.impersonations.0.moment();
    let (wanted, idle_since) = (id.to_owned(), stamp(now_millis - app.idle_millis()));
    let found = app
        .store
        .read(Plan::Bounded, move |reader| {
            Box::pin(async move {
                let Some(row) = rows::by_id(reader, &wanted).await? else { return Ok(None) };
                let session = sessions::by_id(reader, &row.session_id).await?;
                let stands = session.is_some_and(|session| session.stands(now_millis / 1000, &idle_since));
                if !stands {
                    return Ok(None);
                }
                let admin = accounts::by_id(reader, &AccountTable::Users, &row.admin_id).await?;
                let user = accounts::by_id(reader, &AccountTable::Users, &row.user_id).await?;
                let held = roles::held(reader, &row.admin_id).await?;
                Ok::<_, Error>(admin.zip(user).map(|(admin, user)| (row, admin, user, held)))
            })
        })
        .await?;
    let alive = found.filter(|(row, admin, user, held)| {
        let both_stand = may_impersonate(admin, *held) && user.role.as_deref() != Some("admin") && !user.disabled;
        row.is_live(now_millis / 1000) && both_stand
    });
    let Some((row, admin, user, _)) = alive else {
        app.impersonations.0.drop_one(&id.to_owned());
        return Err(Error::InvalidToken);
    };
    let account = Account {
        id: user.id,
        realm: Realm::Users,
        session: row.id.clone(),
        email: user.email,
        role: user.role,
        verified: user.verified,
        authenticated_at: 0,
        must_change_password: user.must_change_password,
        // The target is not there to enrol; whoever acts was asked already.
        must_enrol: false,
        roles: Permissions::NONE,
    };
    let live = Live {
        acting: Arc::new(Acting {
            id: row.id.clone(),
            account: Arc::new(account),
            admin_id: admin.id,
            admin_email: admin.email,
        }),
        jti: row.jti.into(),
        session: row.session_id.into(),
        expires_at: row.expires_at,
        read_at: now_millis,
    };
    app.impersonations.0.remember(row.id, live.clone(), began);
    Ok(live)
}

/// Live impersonations, newest first.
pub async fn list(caller: &Caller, app: &App) -> Result<Vec<Listed>> {
    access::require(caller, Permission::UsersImpersonate)?;
    let now = app.now_seconds();
    let read = app.store.read(Plan::Scan, move |reader| Box::pin(async move { rows::live(reader, now, LISTED).await }));
    Ok(read.await?)
}

/// Ends one, whoever began it.
///
/// # Errors
/// [`Error::NotFound`] for one that is not live.
pub async fn end(caller: &Caller, app: &App, id: &str) -> Result<()> {
    access::require(caller, Permission::UsersImpersonate)?;
    if finish(caller, app, End::One(id.to_owned())).await? == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Ends all of one user.
pub async fn end_of_user(caller: &Caller, app: &App, user_id: &str) -> Result<()> {
    access::require(caller, Permission::UsersImpersonate)?;
    super::users::known(app, user_id).await?;
    finish(caller, app, End::OfUser(user_id.to_owned())).await.map(drop)
}

/// Ends the one that the caller acts by.
pub(super) async fn end_own(caller: &Caller, app: &App, acting: &Acting) -> Result<()> {
    finish(caller, app, End::One(acting.id.clone())).await.map(drop)
}

enum End {
    One(String),
    OfUser(String),
}

async fn finish(caller: &Caller, app: &App, which: End) -> Result<usize> {
    let now = app.now_seconds();
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let ends = match &which {
                End::One(id) => Ends::One(id),
                End::OfUser(id) => Ends::OfUser(id),
            };
            let ended = rows::end(tx, ends, now).await?;
            let count = ended.len();
            let mut recorded = audit::Recorded::nothing_happened();
            for (id, user) in ended {
                tx.announce(Change::new(ChangeKind::Session, id.as_str()));
                recorded = trail.record(tx, Event::ImpersonationEnded.on("user", user).with("impersonation", id));
            }
            Ok(recorded.with(count))
        })
    })
    .await
}
