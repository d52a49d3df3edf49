//! The settings file as a place to put a new key: all that changes is changed in one step, or nothing is.
//!
//! A server that reads the file meanwhile sees the old settings or the new ones. Whoever rotates at the same time finds it locked.

use std::io::Read;
use std::path::Path;

use fastcms_guard::keys::{Kid, SecretKey};
use fastcms_secrets::{Secret, dotenv};

use super::Material;
use super::private_file::Held;
use crate::config::{MAX_SOURCE_BYTES, catalog};

/// How keys change their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The next key becomes the current one (a fresh one does where there is none), and the current one a previous one.
    Rotate,
    /// A fresh key becomes the next one.
    Stage,
    /// A fresh key becomes the current one, and every other a previous one, a staged one included.
    Supersede,
    /// No key but the current one is kept.
    Forget,
}

/// Why a file was left as it is; a sentence that goes on after its name.
pub(super) type Unchanged = String;

/// Changes the keys in the file at `path`, whose current key must be the one in force; the keys as they stand in it now.
pub(super) fn change(
    path: &Path,
    change: Change,
    in_force: Kid,
    fresh: &Secret<String>,
) -> Result<Material, Unchanged> {
    let fail = |error: std::io::Error| format!("cannot be changed: {error}");
    let mut file = Held::open(path)?;
    let mut text = String::new();
    let limit = u64::try_from(MAX_SOURCE_BYTES).expect("1 MiB fits into 64 bits");
    (&mut file.file).take(limit).read_to_string(&mut text).map_err(fail)?;
    let text = Secret::new(text);
    let keys = changed(Places::read(text.expose())?, change, in_force, fresh)?;
    let values = keys.values();
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.expose().as_str())).collect();
    let text = dotenv::assign(text.expose(), &values)?;
    file.replace(text.expose()).map_err(fail)?;
    keys.material()
}

/// The keys of a file as texts.
struct Places {
    current: Secret<String>,
    previous: Vec<Secret<String>>,
    next: Option<Secret<String>>,
}

impl Places {
    fn read(text: &str) -> Result<Self, Unchanged> {
        let (entries, _) = dotenv::parse(text);
        let value = |name: &str| {
            let entry = entries.iter().rfind(|entry| entry.name.eq_ignore_ascii_case(name));
            entry.map(|entry| entry.value.clone()).filter(|value| !value.expose().trim().is_empty())
        };
        let previous = value(catalog::SECRET_KEY_PREVIOUS.name);
        let previous = previous.iter().flat_map(|list| list.expose().split(',')).map(str::trim);
        Ok(Self {
            current: value(catalog::SECRET_KEY.name).ok_or("does not set SECRET_KEY")?,
            previous: previous.filter(|key| !key.is_empty()).map(|key| Secret::new(key.to_owned())).collect(),
            next: value(catalog::SECRET_KEY_NEXT.name),
        })
    }

    fn values(&self) -> [(&'static str, Secret<String>); 3] {
        let previous: Vec<&str> = self.previous.iter().map(|key| key.expose().as_str()).collect();
        [
            (catalog::SECRET_KEY.name, self.current.clone()),
            (catalog::SECRET_KEY_PREVIOUS.name, Secret::new(previous.join(","))),
            (catalog::SECRET_KEY_NEXT.name, self.next.clone().unwrap_or_else(|| Secret::new(String::new()))),
        ]
    }

    fn material(&self) -> Result<Material, Unchanged> {
        Ok(Material {
            current: parse(&self.current)?,
            previous: self.previous.iter().map(parse).collect::<Result<_, _>>()?,
            next: self.next.iter().map(parse).collect::<Result<_, _>>()?,
        })
    }
}

fn parse(text: &Secret<String>) -> Result<SecretKey, Unchanged> {
    SecretKey::parse(text.clone()).map_err(|weak| format!("holds what cannot be a key: {weak}"))
}

fn changed(old: Places, change: Change, in_force: Kid, fresh: &Secret<String>) -> Result<Places, Unchanged> {
    if parse(&old.current)?.kid() != in_force {
        return Err("names another SECRET_KEY than the one in force: restart, or wait until it is taken up".to_owned());
    }
    match change {
        Change::Supersede => {
            let previous = [old.current].into_iter().chain(old.next).chain(old.previous).collect();
            Ok(Places { current: fresh.clone(), previous, next: None })
        }
        Change::Forget => Ok(Places { current: old.current, previous: Vec::new(), next: None }),
        Change::Stage if old.next.is_some() => {
            Err("sets SECRET_KEY_NEXT already: once every node knows it, rotate".to_owned())
        }
        Change::Stage => Ok(Places { next: Some(fresh.clone()), ..old }),
        Change::Rotate => {
            let current = old.next.unwrap_or_else(|| fresh.clone());
            let mut previous = old.previous;
            previous.retain(|key| key.expose() != current.expose() && key.expose() != old.current.expose());
            previous.insert(0, old.current);
            Ok(Places { current, previous, next: None })
        }
    }
}

#[cfg(test)]
mod tests;
