//! Keys that change while the server runs, because a file that they are read from does.
//!
//! Nodes see a change at different moments. So a new key verifies as soon as it is seen and signs after twice the time between two looks,
//! when every node has seen it; the key before it goes on verifying until this process ends, whether or not the settings keep it. A key
//! that was revoked in an emergency is replaced at once: there is nothing left to be careful with.

use std::collections::HashMap;

use fastcms_guard::keys::{KeyRing, Kid, Role, SecretKey};

use super::Material;
use crate::app::App;
use crate::caller::Caller;
use crate::config::Keys;
use crate::error::{Error, Result};

/// What is known from one look to the next.
#[derive(Debug, Default)]
pub struct Watch {
    /// When each key of the ring was first seen here, unix milliseconds.
    known: HashMap<Kid, i64>,
    /// Keys that were replaced while the server ran.
    replaced: Vec<SecretKey>,
}

impl Watch {
    /// Compares the settings with the keys in force and puts in force what may be. Answers after how many milliseconds there will be
    /// more to do, if there will.
    ///
    /// # Errors
    /// A text that cannot be a key, or those of the store; the ring in force stays then.
    pub async fn look(&mut self, _operator: &Caller, app: &App, keys: &Keys) -> Result<Option<i64>> {
        let Some(wanted) = Material::configured(keys).map_err(Error::internal)? else { return Ok(None) };
        let in_force = app.key_material.lock().await.clone();
        let ring = app.keys.load_full();
        let now = app.now_millis();
        self.known.retain(|kid, _| ring.get(kid).is_some());
        for key in ring.keys() {
            self.known.entry(key.kid()).or_insert(now);
        }
        let wait = self.wait(app, &wanted, &ring, now);
        let target = self.target(&in_force, wanted, &ring, wait == 0);
        if places(&target.ring()) != places(&ring) {
            let (current, keys) = (target.current.kid(), 1 + target.previous.len() + target.next.len());
            app.replace_keys(target).await?;
            self.known.entry(current).or_insert(now);
            for key in app.keys.load().keys() {
                self.known.entry(key.kid()).or_insert(now);
            }
            tracing::info!(%current, keys, "the keys in the settings changed and are in force");
        }
        Ok(Some(wait).filter(|wait| *wait > 0))
    }

    /// Milliseconds until the wanted key may sign.
    fn wait(&self, app: &App, wanted: &Material, ring: &KeyRing, now: i64) -> i64 {
        let current = ring.current();
        if wanted.current.kid() == current.kid() || current.standing().revoked_at.is_some() {
            return 0;
        }
        let seen = self.known.get(&wanted.current.kid()).copied().unwrap_or(now);
        (seen + 2_000 * i64::from(app.config.secrets.refresh_seconds) - now).max(0)
    }

    fn target(&mut self, in_force: &Material, wanted: Material, ring: &KeyRing, may_sign: bool) -> Material {
        let is_revoked = |kid: &Kid| ring.get(kid).is_some_and(|key| key.standing().revoked_at.is_some());
        let Material { current, mut previous, mut next } = wanted;
        let current = if may_sign {
            let replaced = &in_force.current;
            if replaced.kid() != current.kid() && self.replaced.iter().all(|key| key.kid() != replaced.kid()) {
                self.replaced.push(replaced.clone());
            }
            current
        } else {
            next.push(current);
            in_force.current.clone()
        };
        self.replaced.retain(|key| key.kid() != current.kid() && !is_revoked(&key.kid()));
        for key in &self.replaced {
            if previous.iter().all(|known| known.kid() != key.kid()) {
                previous.push(key.clone());
            }
        }
        previous.retain(|key| key.kid() != current.kid());
        Material { current, previous, next }
    }
}

/// Which key does what.
fn places(ring: &KeyRing) -> Vec<(Kid, Role)> {
    let mut places: Vec<(Kid, Role)> = ring.keys().map(|key| (key.kid(), key.role())).collect();
    places.sort_by_key(|(kid, _)| *kid);
    places
}
