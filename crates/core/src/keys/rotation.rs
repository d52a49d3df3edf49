//! Another key in the place of the one in force: where it is kept, and in the process that is asked.

use fastcms_guard::ids;
use fastcms_guard::keys::{Kid, SecretKey};
use fastcms_secrets::Secret;
use fastcms_store::accounts::sessions;
use fastcms_store::{Change as Told, ChangeKind, signing_keys as rows};

use super::settings_file::{self, Change};
use super::{Material, recheck};
use crate::access::{self, Permission, Recent};
use crate::app::App;
use crate::audit::{self, Event};
use crate::config::{Origin, catalog};
use crate::error::{Error, Result};
use crate::secrets::rotation::{Care, noting_refusal, replace_key};

/// Makes a new key where it is kept, by a manager, a file, or the settings file.
///
/// # Errors
/// [`Error::RotationRefused`] and [`Error::SecretNotWritable`] with what stands in the way; nothing has changed then.
pub async fn rotate(caller: &Recent, app: &App) -> Result<Kid> {
    access::require(caller, Permission::KeysRotate)?;
    let done = match replace_key(caller, app, &catalog::SECRET_KEY, Care::Full).await {
        Ok(Some(replaced)) => kid_of(&replaced.fresh),
        Ok(None) => rotate_in_settings(caller, app).await,
        Err(error) => Err(error),
    };
    noting_refusal(caller, app, &catalog::SECRET_KEY, done).await
}

/// Puts a new key into the settings file, the old one among the previous ones, and both in force here at once. A staged key is the new
/// one where there is one.
pub(crate) async fn rotate_in_settings(caller: &Recent, app: &App) -> Result<Kid> {
    let before = app.keys.load().current().kid();
    let material = write(app, Change::Rotate).await?;
    let kid = material.current.kid();
    app.replace_keys(material).await?;
    tracing::info!(%kid, "the signing key was rotated");
    note(caller, app, kid, "current", before).await?;
    Ok(kid)
}

/// Puts a new key into the settings file as the next one: verified at once, and signed with by nobody until it is promoted.
///
/// # Errors
/// As [`rotate`]; also where one is staged already.
pub async fn stage(caller: &Recent, app: &App) -> Result<Kid> {
    access::require(caller, Permission::KeysRotate)?;
    let before = app.keys.load().current().kid();
    let staged = write(app, Change::Stage).await;
    let material = noting_refusal(caller, app, &catalog::SECRET_KEY, staged).await?;
    let kid = material.next.first().map_or_else(|| material.current.kid(), fastcms_guard::keys::SecretKey::kid);
    app.replace_keys(material).await?;
    tracing::info!(%kid, "a next signing key was staged");
    note(caller, app, kid, "next", before).await?;
    Ok(kid)
}

/// Has the audit log say which key took which place. Key ids are no secrets.
async fn note(caller: &Recent, app: &App, kid: Kid, place: &'static str, before: Kid) -> Result<()> {
    let event =
        Event::KeyRotated.on("signing_key", kid.to_string()).with("place", place).with("was_current", before.as_str());
    audit::write(caller, app, move |tx, trail| Box::pin(async move { Ok(trail.record(tx, event).with(())) })).await
}

/// What an emergency came to.
#[derive(Debug)]
pub struct Emergency {
    /// Sessions that were live until now.
    pub sessions: u64,
    /// The new key, or why the old one could not be replaced and is in force still.
    pub replaced: Result<Kid, String>,
}

/// For a key that leaked: ends every session, those of browsers included, and voids every token that any key has signed so far; then
/// replaces the key, and keeps no other. API keys go on: no secret of ours is in them.
pub async fn revoke_everything(caller: &Recent, app: &App) -> Result<Emergency> {
    access::require(caller, Permission::KeysRotate)?;
    let now = app.now_seconds();
    let sessions = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            let sessions = sessions::revoke_everything(tx, now).await?;
            rows::revoke_all(tx, now).await?;
            tx.announce(Told::new(ChangeKind::Keys, ""));
            tx.announce(Told::everything());
            let event = Event::KeysRevoked.with("sessions", sessions);
            Ok::<_, Error>(trail.record(tx, event).with(sessions))
        })
    })
    .await?;
    recheck(caller, app).await?;
    tracing::warn!(sessions, "every session was ended and every token revoked in an emergency");
    let before = app.keys.load().current().kid();
    let superseded = supersede(caller, app).await;
    let replaced = match noting_refusal(caller, app, &catalog::SECRET_KEY, superseded).await {
        Ok(kid) => {
            note(caller, app, kid, "current", before).await?;
            Ok(kid)
        }
        Err(Error::SecretNotWritable(why) | Error::RotationRefused(why)) => {
            tracing::error!(
                why,
                "SECRET_KEY could not be replaced and is in force still: replace it by hand, with the old one in SECRET_KEY_PREVIOUS for \
                 one start, and restart"
            );
            Err(why)
        }
        Err(error) => return Err(error),
    };
    Ok(Emergency { sessions, replaced })
}

/// Puts a new key in the place of every other. Those before it go in a second step, once the data keys are wrapped by the new one: a
/// process that ends in between finds both.
async fn supersede(caller: &Recent, app: &App) -> Result<Kid> {
    if let Some(replaced) = replace_key(caller, app, &catalog::SECRET_KEY, Care::Emergency).await? {
        return supersede_with(app, &replaced.fresh).await;
    }
    let material = write(app, Change::Supersede).await?;
    let kid = material.current.kid();
    app.replace_keys(material).await?;
    let alone = write(app, Change::Forget).await?;
    app.replace_keys(alone).await?;
    Ok(kid)
}

/// Puts a key that is kept elsewhere already in the place of every other, in the same two steps.
async fn supersede_with(app: &App, fresh: &Secret<String>) -> Result<Kid> {
    let current = SecretKey::parse(fresh.clone()).map_err(Error::internal)?;
    let (kid, mut material) = (current.kid(), app.key_material.lock().await.clone());
    material.previous.insert(0, std::mem::replace(&mut material.current, current.clone()));
    material.previous.append(&mut material.next);
    app.replace_keys(material).await?;
    app.replace_keys(Material::only(current)).await?;
    Ok(kid)
}

fn kid_of(key: &Secret<String>) -> Result<Kid> {
    Ok(SecretKey::parse(key.clone()).map_err(Error::internal)?.kid())
}

/// Changes the settings file; the keys as they stand in it now.
async fn write(app: &App, change: Change) -> Result<Material> {
    check_source(app)?;
    let path = app.config.directory.join(".env");
    let fresh = Secret::new(ids::hex::<32>(&*app.rng));
    let in_force = app.keys.load().current().kid();
    let changed = tokio::task::spawn_blocking(move || settings_file::change(&path, change, in_force, &fresh)).await;
    changed.map_err(Error::internal)?.map_err(|why| Error::SecretNotWritable(format!("`.env` {why}")))
}

/// A value that another source sets would win over the one in the file.
fn check_source(app: &App) -> Result<()> {
    for variable in [&catalog::SECRET_KEY, &catalog::SECRET_KEY_PREVIOUS, &catalog::SECRET_KEY_NEXT] {
        let origin = app.config.origin(variable);
        let is_ours = matches!(origin, Origin::DotEnv(_));
        let is_unset = *origin == Origin::Default && variable.name != catalog::SECRET_KEY.name;
        if !is_ours && !is_unset {
            let from =
                if *origin == Origin::Default { "is not set".to_owned() } else { format!("comes from {origin}") };
            return Err(Error::SecretNotWritable(format!(
                "{} {from}, not from `.env`: change it there",
                variable.name
            )));
        }
    }
    Ok(())
}
