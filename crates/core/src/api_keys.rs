//! API keys: what users give to their programs. A key acts as its owner, with the owner's rights of this moment and within its scopes;
//! it manages neither keys nor credentials. Of its text only the SHA-256 is kept, and nothing of it depends on `SECRET_KEY`.

use fastcms_guard::api_key::ApiKeyText;
use fastcms_secrets::Secret;
use fastcms_store::accounts::{self, AccountTable};
use fastcms_store::api_keys::{self as rows, NewSecret};
use fastcms_store::{Change, ChangeKind, Plan, Tx};
use serde_json::{Value, json};

use crate::access::{self, Recent};
use crate::app::App;
use crate::audit::{self, Event, Recorded};
use crate::caller::{Account, Caller, Realm};
use crate::error::{Error, Result};
use crate::mail::{self, Kind, Owner};
use crate::time::stamp;

mod draft;
mod live;
mod scopes;

pub use draft::{KeyChange, NewKey};
pub use fastcms_store::api_keys::ApiKey;
pub use live::{ApiKeys, authenticate};
pub use scopes::{Action, Area, Need, Scopes};

/// Most keys of one user: the list is not paged.
pub const MAX_KEYS: i64 = 1_000;

/// Longest overlap of a rotation, seconds.
pub const MAX_OVERLAP_SECONDS: u32 = 604_800;

/// Texts that are made for a key, in case the first ones' public names are taken: one in 2³² is, per key that exists.
const CANDIDATES: usize = 4;

/// Texts of a key that may work beside the one in force; past that those that end first end at once.
const MAX_OVERLAPPING: i64 = 10;

/// A key whose text is shown this once.
#[derive(Debug)]
pub struct FreshKey {
    pub key: ApiKey,
    pub text: Secret<String>,
}

/// The person whose keys these are. Keys belong to `users` alone.
fn owner(caller: &Caller) -> Result<&Account> {
    let account = access::require_in_person(caller)?;
    if account.realm == Realm::Users { Ok(account) } else { Err(Error::InvalidToken) }
}

/// Makes a key.
pub async fn create(caller: &Recent, app: &App, new: NewKey) -> Result<FreshKey> {
    let account = owner(caller)?;
    let draft = new.check(app, account)?;
    let now = stamp(app.now_millis());
    let key = ApiKey {
        id: app.new_id(),
        user_id: account.id.clone(),
        name: draft.name,
        scopes: draft.scopes,
        active: true,
        expires_at: draft.expires_at,
        allowed_cidrs: draft.allowed_cidrs,
        rate_limit_per_minute: draft.rate_limit_per_minute,
        last_used_at: None,
        last_used_ip: None,
        created: now.clone(),
        updated: now,
        prefix: String::new(),
    };
    let owner = Owner { realm: "users", id: &account.id, email: &account.email };
    let notice = mail::notice(app, Kind::ApiKeyCreated, owner).saying("key_name", key.name.as_str());
    let texts = candidates(app);
    let (key, chosen, texts) = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let user = accounts::by_id_locked(tx, &AccountTable::Users, &key.user_id).await?;
            if user.is_none_or(|user| user.disabled) {
                return Err(Error::InvalidToken);
            }
            if rows::count(tx, &key.user_id).await? >= MAX_KEYS {
                return Err(Error::field("name", format!("At most {MAX_KEYS} API keys are allowed")));
            }
            rows::insert(tx, &key).await?;
            let chosen = store_text(tx, &key.id, &texts).await?;
            tx.announce(Change::new(ChangeKind::ApiKey, key.id.clone()));
            mail::enqueue(tx, notice).await?;
            let event = Event::ApiKeyCreated.on("api_key", &key.id).with("name", key.name.as_str());
            Ok(trail.record(tx, event.with("scopes", key.scopes.as_str())).with((key, chosen, texts)))
        })
    })
    .await?;
    Ok(shown(key, texts, chosen))
}

fn candidates(app: &App) -> Vec<ApiKeyText> {
    (0..CANDIDATES).map(|_| ApiKeyText::generate(&*app.rng)).collect()
}

/// Stores the first text whose public name is free; says which that was.
async fn store_text(tx: &mut Tx<'_>, key_id: &str, texts: &[ApiKeyText]) -> Result<usize> {
    for (at, text) in texts.iter().enumerate() {
        let prefix = text.prefix().as_str().to_owned();
        let secret = NewSecret { prefix, digest: *text.digest().as_bytes() };
        if rows::insert_secret(tx, key_id, &secret).await? {
            return Ok(at);
        }
    }
    Err(Error::internal("the public names of all new texts are taken"))
}

fn shown(mut key: ApiKey, mut texts: Vec<ApiKeyText>, chosen: usize) -> FreshKey {
    let text = texts.swap_remove(chosen);
    text.prefix().as_str().clone_into(&mut key.prefix);
    FreshKey { key, text: text.into_text() }
}

/// The caller's keys, newest first.
pub async fn list(caller: &Caller, app: &App) -> Result<Vec<ApiKey>> {
    let user = owner(caller)?.id.clone();
    let read = app.store.read(Plan::Bounded, move |reader| Box::pin(async move { rows::of_user(reader, &user).await }));
    Ok(read.await?)
}

/// One of the caller's keys; those of others are not found.
pub async fn get(caller: &Caller, app: &App, id: &str) -> Result<ApiKey> {
    let (user, id) = (owner(caller)?.id.clone(), id.to_owned());
    app.store
        .read(Plan::Bounded, move |reader| Box::pin(async move { rows::by_id(reader, &user, &id).await }))
        .await?
        .ok_or(Error::NotFound)
}

/// Changes what one of the caller's keys is good for, from its next use on.
pub async fn change(caller: &Caller, app: &App, id: &str, change: KeyChange) -> Result<ApiKey> {
    let account = owner(caller)?;
    let change = change.check(app, account)?;
    let (user, wanted, now) = (account.id.clone(), id.to_owned(), stamp(app.now_millis()));
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let before = rows::by_id_locked(tx, &user, &wanted).await?.ok_or(Error::NotFound)?;
            rows::update(tx, &user, &wanted, &change, &now).await?;
            tx.announce(Change::new(ChangeKind::ApiKey, wanted.as_str()));
            let after = changed(&before, change);
            let event = Event::ApiKeyUpdated.on("api_key", wanted).change(seen(&before), seen(&after));
            Ok::<_, Error>(trail.record(tx, event).with(()))
        })
    })
    .await?;
    get(caller, app, id).await
}

/// Gives one of the caller's keys a new text. The one before works for `overlap_seconds` more, at most [`MAX_OVERLAP_SECONDS`], so
/// that programs can move over one by one; with 0 it ends at once, and with it all that were rotated out earlier.
pub async fn rotate(caller: &Recent, app: &App, id: &str, overlap_seconds: u32) -> Result<FreshKey> {
    let (user, id) = (owner(caller)?.id.clone(), id.to_owned());
    let now = app.now_millis();
    let ends_at = now + i64::from(overlap_seconds.min(MAX_OVERLAP_SECONDS)) * 1000;
    let texts = candidates(app);
    let (key, chosen, texts) = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let key = rows::by_id_locked(tx, &user, &id).await?.ok_or(Error::NotFound)?;
            rows::retire_secrets(tx, &id, ends_at, now, MAX_OVERLAPPING).await?;
            let chosen = store_text(tx, &id, &texts).await?;
            tx.announce(Change::new(ChangeKind::ApiKey, id.as_str()));
            let event = Event::ApiKeyUpdated.on("api_key", id).with("rotated", true);
            let event = event.with("overlap_ends", stamp(ends_at));
            Ok::<_, Error>(trail.record(tx, event).with((key, chosen, texts)))
        })
    })
    .await?;
    Ok(shown(key, texts, chosen))
}

/// Takes one of the caller's keys away.
pub async fn delete(caller: &Caller, app: &App, id: &str) -> Result<()> {
    if end(caller, app, Some(id)).await? == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Takes all of the caller's keys away; says how many those were.
pub async fn revoke_all(caller: &Caller, app: &App) -> Result<u64> {
    end(caller, app, None).await
}

async fn end(caller: &Caller, app: &App, only: Option<&str>) -> Result<u64> {
    let (user, only) = (owner(caller)?.id.clone(), only.map(str::to_owned));
    audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let gone = rows::delete(tx, &user, only.as_deref()).await?;
            for id in &gone {
                tx.announce(Change::new(ChangeKind::ApiKey, id.as_str()));
            }
            let count = gone.len() as u64;
            let recorded = match only {
                Some(id) if count > 0 => trail.record(tx, Event::ApiKeyRevoked.on("api_key", id)),
                None => trail.record(tx, Event::ApiKeysRevoked.on("user", user).with("keys", count)),
                Some(_) => Recorded::nothing_happened(),
            };
            Ok(recorded.with(count))
        })
    })
    .await
}

/// A key as a change leaves it.
fn changed(before: &ApiKey, change: rows::KeyChange) -> ApiKey {
    let mut after = before.clone();
    after.name = change.name.unwrap_or(after.name);
    after.scopes = change.scopes.unwrap_or(after.scopes);
    after.active = change.active.unwrap_or(after.active);
    after.expires_at = change.expires_at.or(after.expires_at);
    after.allowed_cidrs = change.allowed_cidrs.unwrap_or(after.allowed_cidrs);
    after.rate_limit_per_minute = change.rate_limit_per_minute.or(after.rate_limit_per_minute);
    after
}

/// What the audit log says of a key.
fn seen(key: &ApiKey) -> Value {
    json!({
        "name": key.name, "scopes": key.scopes, "active": key.active, "expires_at": key.expires_at.map(stamp),
        "allowed_cidrs": key.allowed_cidrs, "rate_limit_per_minute": key.rate_limit_per_minute,
    })
}
