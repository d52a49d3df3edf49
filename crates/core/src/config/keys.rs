//! Key material as it was given. What makes it fit for use, derivation and the ring of keys belong to `fastcms_guard::keys`.

use fastcms_guard::keys::{SecretKey, WeakKey};
use fastcms_secrets::{Secret, TransitKey};

use super::catalog::{self, Variable};
use super::fault::Faults;
use super::kind::choice;
use super::reader::{Reader, reference};
use super::rules;
use super::source::Sources;

/// What our own examples put where a key belongs; production refuses it.
pub(super) const PLACEHOLDER: &str = "changeme-run-fastcms-keys-generate";

choice! {
    /// What a start does when sealed values cannot be opened.
    pub enum SealedData {
        /// Production does not start.
        Refuse = "refuse",
        /// It starts, and those values read as missing.
        Accept = "accept",
    }
}

/// Key material.
#[derive(Debug, Clone)]
pub struct Keys {
    /// What tokens are signed with; none in development without `SECRET_KEY`.
    pub secret_key: Option<Secret<String>>,
    /// Keys being retired.
    pub secret_key_previous: Vec<Secret<String>>,
    /// The key about to be promoted.
    pub secret_key_next: Option<Secret<String>>,
    /// What data keys are wrapped by instead of `SECRET_KEY`.
    pub encryption_key: Option<Secret<String>>,
    /// Earlier ones.
    pub encryption_key_previous: Vec<Secret<String>>,
    /// The key of a vault that wraps data keys instead of any of these.
    pub transit_key: Option<TransitKey>,
    /// What to do when sealed values cannot be opened.
    pub sealed_data_unreadable: SealedData,
}

impl Keys {
    pub(super) fn read(read: &mut Reader<'_>, is_production: bool) -> Self {
        let mut keys = Self {
            secret_key: one(read, &catalog::SECRET_KEY),
            secret_key_previous: many(read, &catalog::SECRET_KEY_PREVIOUS),
            secret_key_next: one(read, &catalog::SECRET_KEY_NEXT),
            encryption_key: one(read, &catalog::ENCRYPTION_KEY),
            encryption_key_previous: many(read, &catalog::ENCRYPTION_KEY_PREVIOUS),
            transit_key: transit_key(read),
            sealed_data_unreadable: read.preset_choice(&catalog::SEALED_DATA_UNREADABLE),
        };
        // A manager tells by itself what was before and what comes next.
        let (before, next) = read.neighbours(&catalog::SECRET_KEY);
        // Who guesses it could sign tokens that count. In production it never signed one: no start takes it there.
        let before = possible(before).filter(|key| !is_production || weakness(key).is_none());
        add(&mut keys.secret_key_previous, before);
        keys.secret_key_next = keys.secret_key_next.or(possible(next));
        let (before, _) = read.neighbours(&catalog::ENCRYPTION_KEY);
        add(&mut keys.encryption_key_previous, possible(before));
        keys
    }
}

impl Keys {
    /// Reads the keys anew, with the same rules as at a start.
    ///
    /// # Errors
    /// All faults together; the keys in force should stay then.
    pub fn reread(sources: &Sources, is_production: bool) -> Result<Self, Faults> {
        let mut read = Reader::new(sources);
        let keys = Self::read(&mut read, is_production);
        let (_, mut faults, _) = read.finish();
        if is_production {
            rules::keys(&keys, &mut faults);
        }
        if faults.is_empty() { Ok(keys) } else { Err(Faults(faults)) }
    }
}

/// Adds a key to those being retired, unless it is there.
fn add(keys: &mut Vec<Secret<String>>, key: Option<Secret<String>>) {
    keys.extend(key.filter(|key| keys.iter().all(|known| known.expose() != key.expose())));
}

/// Another version of a manager's, if it can be a key at all. One that cannot was never in force, and must not keep the one that
/// somebody wrote after it, to put it right, from being so.
fn possible(key: Option<Secret<String>>) -> Option<Secret<String>> {
    key.filter(|key| SecretKey::check_format(key.expose()).is_ok())
}

/// The key of a vault that wraps data keys.
pub(super) fn transit_key(read: &mut Reader<'_>) -> Option<TransitKey> {
    read.parsed(&catalog::ENCRYPTION_TRANSIT_KEY, TransitKey::parse)
}

fn one(read: &mut Reader<'_>, variable: &'static Variable) -> Option<Secret<String>> {
    let key = read.secret(variable)?;
    check(read, variable, std::slice::from_ref(&key));
    Some(key)
}

fn many(read: &mut Reader<'_>, variable: &'static Variable) -> Vec<Secret<String>> {
    let keys = read.secrets(variable);
    check(read, variable, &keys);
    keys
}

/// What no key may be, in whatever mode.
fn check(read: &mut Reader<'_>, variable: &Variable, keys: &[Secret<String>]) {
    let texts = || keys.iter().map(Secret::expose);
    if let Some(fault) = texts().find_map(|text| SecretKey::check_format(text).err()) {
        read.fault(variable, fault.to_string());
    }
    // The content of a file is not followed; taken literally a reference would be a key that anybody can guess.
    if texts().any(|text| !matches!(reference(text), Ok(None))) {
        let message = format!("{}_FILE leads to a reference: write the key itself into the file", variable.name);
        read.fault(variable, message);
    }
}

/// What makes `key` unfit for production.
pub(super) fn weakness(key: &Secret<String>) -> Option<WeakKey> {
    SecretKey::parse(key.clone()).and_then(|key| key.check_strength()).err()
}

#[cfg(test)]
mod tests {
    use fastcms_secrets::{Reference, Resolution, Version};

    use super::*;

    #[test]
    fn what_our_own_examples_hold_is_refused_in_production() {
        assert_eq!(weakness(&Secret::new(PLACEHOLDER.to_owned())), Some(WeakKey::Placeholder));
    }

    /// Somebody wrote a key with a blank at its end, and then wrote it again without: found on a real vault, where no server started.
    #[test]
    fn a_version_of_a_manager_that_can_be_no_key_does_not_bar_the_one_after_it() {
        let key = "4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f";
        let version =
            |text: &str| Version { value: Secret::new(text.to_owned()), label: "1".to_owned(), created: None };
        let text = "vault:secret/fastcms/prod#SECRET_KEY";
        let reference = Reference::parse(text).unwrap().unwrap();
        for bad in [format!("{key} "), format!("{key},{key}")] {
            let found = Resolution { current: version(key), previous: Some(version(&bad)), next: Some(version(&bad)) };
            let sources = Sources {
                environment: vec![("SECRET_KEY".to_owned(), text.to_owned())],
                resolved: [(reference.clone(), Ok(found))].into(),
                ..Sources::default()
            };
            let keys = Keys::reread(&sources, true).unwrap();
            assert_eq!(keys.secret_key.unwrap().expose(), key);
            assert!(keys.secret_key_previous.is_empty() && keys.secret_key_next.is_none());
        }
    }

    /// `AWSPREVIOUS` of a secret that somebody tried out with `new` signed what the first four seconds of a start gave out.
    #[test]
    fn a_weak_version_of_a_manager_counts_for_nothing_in_production() {
        let key = "4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f";
        let version =
            |text: &str| Version { value: Secret::new(text.to_owned()), label: "1".to_owned(), created: None };
        let text = "aws-sm:fastcms/prod#SECRET_KEY";
        let found = Resolution { current: version(key), previous: Some(version("new")), next: None };
        let sources = Sources {
            environment: vec![("SECRET_KEY".to_owned(), text.to_owned())],
            resolved: [(Reference::parse(text).unwrap().unwrap(), Ok(found))].into(),
            ..Sources::default()
        };
        let before = |is_production| Keys::reread(&sources, is_production).unwrap().secret_key_previous.len();
        assert_eq!((before(true), before(false)), (0, 1));
    }

    #[test]
    fn what_openssl_prints_is_taken() {
        let key = "4f1c0a9be37d52680c1f9e4ab7d3365510e2c98f7ab6d4e3f2019c8b7a6d5e4f";
        assert_eq!(weakness(&Secret::new(key.to_owned())), None);
    }
}
