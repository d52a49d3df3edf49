//! Another value in the place of a secret of the settings, written to where it is kept.
//!
//! What can be made anew by ourselves alone is a key of ours. A password has a second owner, a mail server or a database, and one that
//! we wrote would be refused by it: such a secret is changed there, and followed here.
//!
//! Nothing is replaced that is not in force yet, and nothing is pushed out that something still depends on. A manager takes the new
//! version only where nobody wrote meanwhile; then it is read back. From there it goes the way of every change: each node verifies with
//! it at once and signs with it once every node has seen it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastcms_guard::ids;
use fastcms_guard::keys::{Kid, SecretKey};
use fastcms_secrets::{Reference, Resolution, Secret, Unwritten, Wanted};
use fastcms_store::secret_rotations as rows;
use fastcms_store::{Plan, data_keys as wrapped};

use super::{Custody, Item, inventory};
use crate::access::{self, Permission, Recent};
use crate::app::App;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::config::{Origin, Variable, catalog};
use crate::data_keys;
use crate::error::{Error, Result};
use crate::keys::private_file::Held;
use crate::keys::{self, Material};

/// Random bytes of a new key.
const KEY_BYTES: usize = 48;
/// How long one who rotates a secret is waited for, seconds: longer than a manager can take.
const CLAIM_SECONDS: i64 = 120;

/// How much care there is time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nothing may be lost.
    Full,
    /// The key leaked: it goes, whatever depends on it.
    Emergency,
}

/// Where a secret is kept that can be replaced from here.
enum Place {
    Manager(Arc<Custody>, Reference),
    /// A file, and the one that keeps the keys before.
    Files {
        current: PathBuf,
        previous: PathBuf,
    },
    /// The settings file, which knows its own way.
    DotEnv,
}

/// What a replacement came to.
pub(crate) struct Replaced {
    pub fresh: Secret<String>,
    source: String,
    version: String,
    before: String,
}

/// Makes a secret of the settings anew, in the place where it is kept.
///
/// # Errors
/// [`Error::NotFound`] for what is no secret, or is not set; [`Error::RotationRefused`] with what stands in the way.
pub async fn rotate(caller: &Recent, app: &App, name: &str) -> Result<Item> {
    access::require(caller, Permission::SecretsRotate)?;
    let variable = catalog::find(name).filter(|variable| variable.is_secret() && variable.name == name);
    let variable =
        variable.filter(|variable| *app.config.origin(variable) != Origin::Default).ok_or(Error::NotFound)?;
    let done = match Place::of(app, variable) {
        Ok(Place::DotEnv) => keys::rotate_in_settings(caller, app).await.map(drop).map_err(shown),
        Ok(place) => replace(caller, app, variable, &place, Care::Full).await.map(drop),
        Err(refused) => Err(refused),
    };
    noting_refusal(caller, app, variable, done).await?;
    inventory::item(app, variable).await.ok_or(Error::NotFound)
}

/// Has the audit log say that somebody wanted a secret made anew, where something stood in the way. Not by the queue of what has no
/// transaction: a command ends before that is written.
pub(crate) async fn noting_refusal<T>(
    caller: &Caller,
    app: &App,
    variable: &'static Variable,
    done: Result<T>,
) -> Result<T> {
    if let Err(error) = &done {
        note_refusal(caller, app, variable, error).await;
    }
    done
}

pub(super) async fn note_refusal(caller: &Caller, app: &App, variable: &'static Variable, error: &Error) {
    let (name, event) = (variable.name, Event::SecretRotationRefused.on("secret", variable.name).error(error));
    if let Err(error) = audit::record(caller, app, event).await {
        tracing::error!(%error, name, "a refused rotation is missing in the audit log");
    }
}

/// The same for a key, where it is not kept by the settings file; `None`: it is.
pub(crate) async fn replace_key(
    caller: &Recent,
    app: &App,
    variable: &'static Variable,
    care: Care,
) -> Result<Option<Replaced>> {
    match app.config.origin(variable) {
        Origin::Manager(..) | Origin::File(_) => {
            replace(caller, app, variable, &Place::of(app, variable)?, care).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether a secret can be made anew from here, as far as its place is concerned.
pub(super) fn can_rotate(app: &App, variable: &'static Variable) -> bool {
    Place::of(app, variable).is_ok()
}

/// Replaces a secret as the one who does it at this moment, and has the audit log say so.
async fn replace(
    caller: &Recent,
    app: &App,
    variable: &'static Variable,
    place: &Place,
    care: Care,
) -> Result<Replaced> {
    let (name, holder) = (variable.name, app.new_id());
    claim(app, name, &holder).await?;
    let done = match place {
        Place::Manager(custody, reference) => in_manager(app, variable, custody, reference, care).await,
        Place::Files { current, previous } => in_files(app, variable, current, previous).await,
        Place::DotEnv => Err(refused(name, "is kept by `.env`")),
    };
    let now = app.now_seconds();
    let event = done.as_ref().ok().map(|done| {
        let event = Event::SecretRotated.on("secret", name).with("source", done.source.clone());
        event.with("version", done.version.clone()).with("before", done.before.clone())
    });
    let settled = audit::write(caller, app, move |tx, trail| {
        Box::pin(async move {
            rows::release(tx, name, &holder, event.as_ref().map(|_| now)).await?;
            Ok::<_, Error>(match event {
                Some(event) => trail.record(tx, event).with(()),
                None => audit::Recorded::nothing_happened().with(()),
            })
        })
    })
    .await;
    match &done {
        Ok(done) => tracing::warn!(name, source = done.source, version = done.version, "a secret was rotated"),
        Err(error) => tracing::warn!(name, %error, "a secret was not rotated"),
    }
    settled.and(done)
}

async fn claim(app: &App, name: &'static str, holder: &str) -> Result<()> {
    let (now, holder) = (app.now_seconds(), holder.to_owned());
    let claimed = app
        .store
        .write(move |tx| {
            Box::pin(async move { Ok::<_, Error>(rows::claim(tx, name, &holder, now, now + CLAIM_SECONDS).await?) })
        })
        .await?;
    if claimed { Ok(()) } else { Err(refused(name, "is being rotated by somebody else at this moment")) }
}

impl Place {
    fn of(app: &App, variable: &'static Variable) -> Result<Self> {
        let name = variable.name;
        if ![catalog::SECRET_KEY.name, catalog::ENCRYPTION_KEY.name].contains(&name) {
            let why = "is known to somebody else too, or is a place of keys: change it there, write the new one to where it is kept, \
                       and it is followed";
            return Err(refused(name, why));
        }
        match app.config.origin(variable) {
            Origin::Manager(reference, _) => {
                let custody =
                    app.custody.clone().ok_or_else(|| refused(name, "is kept by a manager that is not asked"))?;
                let names = custody.names(reference);
                if names != name {
                    return Err(refused(
                        name,
                        &format!("is one secret for several settings ({names}): give each its own"),
                    ));
                }
                Ok(Self::Manager(custody, reference.clone()))
            }
            Origin::File(path) => {
                let beside = if name == catalog::SECRET_KEY.name {
                    &catalog::SECRET_KEY_PREVIOUS
                } else {
                    &catalog::ENCRYPTION_KEY_PREVIOUS
                };
                let Origin::File(previous) = app.config.origin(beside) else {
                    let why = format!(
                        "would be lost at the next start: give {0}_FILE a file too, which may be empty, so that the key before stays known",
                        beside.name
                    );
                    return Err(refused(name, &why));
                };
                Ok(Self::Files { current: path.clone(), previous: previous.clone() })
            }
            Origin::DotEnv(_) if name == catalog::SECRET_KEY.name => Ok(Self::DotEnv),
            other => Err(refused(name, &format!("comes from {other}: change it there"))),
        }
    }
}

async fn in_manager(
    app: &App,
    variable: &'static Variable,
    custody: &Custody,
    reference: &Reference,
    care: Care,
) -> Result<Replaced> {
    let name = variable.name;
    if reference.is_pinned() {
        return Err(refused(name, &format!("`{reference}` {}", Unwritten::Pinned)));
    }
    let was = custody.ask(reference).await.map_err(|fault| refused(name, &fault))?;
    if care == Care::Full {
        check(app, variable, &was).await?;
    }
    let fresh = match &was.next {
        Some(staged) => {
            parse(name, &staged.value)?.check_strength().map_err(|weak| refused(name, &weak.to_string()))?;
            staged.value.clone()
        }
        None => Secret::new(ids::hex::<KEY_BYTES>(&*app.rng)),
    };
    let version = app.new_id();
    let found = custody.managers.replace(reference, &was, (&fresh, &version)).await;
    let found = found.map_err(|why| refused(name, &format!("`{reference}` {why}")))?;
    if found.previous.as_ref().is_none_or(|before| !before.is_same_secret(&was.current)) {
        tracing::error!(name, %reference, "the manager does not keep the version before: nodes that start from now on do not know it");
    }
    let version = found.current.label.clone();
    custody.take(reference, found).await;
    Ok(Replaced { fresh, source: reference.to_string(), version, before: was.current.label })
}

/// Whether a key is in force everywhere, and the one before it may be forgotten.
async fn check(app: &App, variable: &'static Variable, was: &Resolution) -> Result<()> {
    let (name, current) = (variable.name, parse(variable.name, &was.current.value)?.kid());
    if name == catalog::ENCRYPTION_KEY.name {
        let stored = app.store.read(Plan::Bounded, |reader| Box::pin(wrapped::all(reader))).await?;
        let by = data_keys::wrapped_by_key(&stored);
        return if by.keys().all(|kid| kid == current.as_str()) {
            Ok(())
        } else {
            Err(refused(name, "does not wrap every data key yet: a start of the server has it do so"))
        };
    }
    if app.keys.load().current().kid() != current {
        return Err(refused(name, "was changed and is not signed with yet: wait until it is"));
    }
    let Some(before) = &was.previous else { return Ok(()) };
    let pushed_out: Kid = parse(name, &before.value)?.kid();
    let standing = keys::dependents_of_all(app).await?;
    let dependents = standing.iter().find(|key| key.kid == pushed_out.as_str()).map(|key| key.dependents.join("; "));
    match dependents.filter(|dependents| !dependents.is_empty()) {
        None => Ok(()),
        Some(dependents) => Err(refused(
            name,
            &format!(
                "was rotated not long ago, and the key before it would be forgotten ({dependents}): `fastcms keys status` says when it \
                 may go; for a key that leaked there is `fastcms keys rotate --emergency`"
            ),
        )),
    }
}

/// Writes the key that is replaced into its file first, so that a process that starts in between knows both.
async fn in_files(app: &App, variable: &'static Variable, current: &Path, previous: &Path) -> Result<Replaced> {
    let name = variable.name;
    let in_force = (name == catalog::SECRET_KEY.name).then(|| app.keys.load().current().kid());
    let standing = keys::dependents_of_all(app).await?;
    let kept = move |key: &str| {
        let kid = SecretKey::parse(Secret::new(key.to_owned())).map(|key| key.kid());
        // Of what wraps data keys nothing is known here, so nothing of it goes.
        in_force.is_none()
            || !kid.is_ok_and(|kid| standing.iter().any(|it| it.kid == kid.as_str() && it.is_safe_to_remove()))
    };
    let fresh = Secret::new(ids::hex::<KEY_BYTES>(&*app.rng));
    let (new, from, to) = (fresh.clone(), current.to_owned(), previous.to_owned());
    let done = tokio::task::spawn_blocking(move || exchange(&from, &to, in_force, &new, kept)).await;
    let before = done.map_err(Error::internal)?.map_err(|why| refused(name, &why))?;
    let version = parse(name, &fresh)?.kid().to_string();
    Ok(Replaced { fresh, source: format!("file {}", current.display()), version, before: before.to_string() })
}

fn exchange(
    current: &Path,
    previous: &Path,
    in_force: Option<Kid>,
    fresh: &Secret<String>,
    kept: impl Fn(&str) -> bool,
) -> Result<Kid, String> {
    let of = |path: &Path, why: &dyn std::fmt::Display| format!("`{}` {why}", path.display());
    let held = Held::open(current).map_err(|why| of(current, &why))?;
    let beside = Held::open(previous).map_err(|why| of(previous, &why))?;
    let old = fastcms_secrets::read_file(current).map_err(|error| error.to_string())?;
    let kid = SecretKey::parse(old.clone()).map_err(|weak| of(current, &weak))?.kid();
    if in_force.is_some_and(|in_force| in_force != kid) {
        return Err(of(current, &"holds another key than the one in force: wait until it is taken up"));
    }
    let known = match fastcms_secrets::read_file(previous) {
        Ok(known) => known,
        Err(fastcms_secrets::Error::Empty(_)) => Secret::new(String::new()),
        Err(error) => return Err(error.to_string()),
    };
    let others =
        known.expose().split(',').map(str::trim).filter(|key| !key.is_empty() && *key != old.expose() && kept(key));
    let list: Vec<&str> = std::iter::once(old.expose().as_str()).chain(others).collect();
    let list = Secret::new(list.join(","));
    beside.replace(list.expose()).map_err(|error| of(previous, &format!("cannot be changed: {error}")))?;
    held.replace(fresh.expose()).map_err(|error| of(current, &format!("cannot be changed: {error}")))?;
    Ok(kid)
}

impl Custody {
    /// What a manager says of a reference now, with what is beside it.
    async fn ask(&self, reference: &Reference) -> Result<Resolution, String> {
        let wanted = std::iter::once((reference.clone(), Wanted::Ring)).collect();
        let mut found = self.managers.follow(&wanted, &std::collections::BTreeMap::new()).await;
        let found = found.remove(reference).ok_or_else(|| "was not asked for".to_owned())?;
        found.map_err(|fault| fault.to_string())
    }

    /// The keys of a start. One that was written so lately that other nodes may not have looked yet verifies alone: this node signs with
    /// the one before, as they do, until [`keys::Watch`] lets it sign. Not with a key that was revoked: who has it signs as well.
    pub(crate) async fn with_care(
        &self,
        mut material: Material,
        now: i64,
        refresh_seconds: u32,
        revoked: &[String],
    ) -> Material {
        let name = catalog::SECRET_KEY.name;
        let reference =
            self.wants.names.iter().find(|(_, names)| names.contains(&name)).map(|(reference, _)| reference);
        let held = self.held.lock().await;
        let Some(found) = reference.and_then(|reference| held.get(reference)) else { return material };
        let before = still_signing(found, now, refresh_seconds).filter(|kid| !revoked.contains(&kid.to_string()));
        let place = material.previous.iter().position(|key| Some(key.kid()) == before);
        if let Some(place) = place {
            let signs = material.previous.remove(place);
            material.next.push(std::mem::replace(&mut material.current, signs));
        }
        material
    }

    /// Holds what was written from here, without waiting for the next look.
    async fn take(&self, reference: &Reference, found: Resolution) {
        self.held.lock().await.insert(reference.clone(), found);
        self.changed.notify_one();
    }
}

/// The version before, where other nodes may still sign with it.
fn still_signing(found: &Resolution, now: i64, refresh_seconds: u32) -> Option<Kid> {
    let age = now - found.current.created?;
    let before = found.previous.as_ref().filter(|_| (0..2 * i64::from(refresh_seconds)).contains(&age))?;
    SecretKey::parse(before.value.clone()).ok().map(|key| key.kid())
}

fn parse(name: &str, value: &Secret<String>) -> Result<SecretKey> {
    SecretKey::parse(value.clone()).map_err(|weak| refused(name, &format!("holds what cannot be a key: {weak}")))
}

fn refused(name: &str, why: &str) -> Error {
    Error::RotationRefused(format!("{name} {why}"))
}

/// What the settings file keeps us from is for whoever asked to see.
fn shown(error: Error) -> Error {
    match error {
        Error::SecretNotWritable(why) => Error::RotationRefused(why),
        other => other,
    }
}
