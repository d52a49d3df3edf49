//! Where a variable is given: by its own text, by the file that it names, by systemd, by a reference that its text is.

use std::path::PathBuf;

use fastcms_secrets::{Place, Reference, Secret};

use super::{Given, Reader, reference};
use crate::config::catalog::{self, Variable};
use crate::config::fault::Fault;
use crate::config::references::{managed, reaches_managers};
use crate::config::source::{Origin, Sources};

/// The folder of credentials that systemd makes for a service (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
impl Reader<'_> {
    /// A secret, without a note that it was read.
    pub fn secret_text(&mut self, variable: &'static Variable) -> Option<Secret<String>> {
        self.given(variable).map(|given| given.text)
    }

    /// The text found under the variable's names, or in the file that names; a faulty file counts as nothing found.
    pub(super) fn given(&mut self, variable: &'static Variable) -> Option<Given> {
        let found = variable
            .names()
            .map(|name| {
                let file = variable.is_secret().then(|| self.found(&format!("{name}_FILE"), false)).flatten();
                (name, self.found(name, variable.kind.is_list() && !variable.is_secret()), file)
            })
            .find(|(_, direct, file)| direct.is_some() || file.is_some());
        let Some((name, direct, file)) = found else {
            return self.credential(variable).or_else(|| self.in_secret_path(variable));
        };
        match (direct, file) {
            (Some(_), Some(_)) => {
                let message = format!("both {name} and {name}_FILE are set: keep one of them");
                self.faults.push(Fault::new(variable.name, message).check("E008"));
                None
            }
            (direct, None) if variable.is_secret() && !variable.kind.is_list() => self.followed(variable, direct?),
            (direct, None) => direct,
            (None, Some(file)) => {
                let path = self.sources.directory.join(file.text.expose().trim());
                match fastcms_secrets::read_file(&path) {
                    Ok(text) => Some(Given { text, origin: Origin::File(path) }),
                    // A list that may grow is a list while it has nothing in it.
                    Err(fastcms_secrets::Error::Empty(_)) if variable.kind.is_list() => {
                        Some(Given { text: Secret::new(String::new()), origin: Origin::File(path) })
                    }
                    Err(error) => {
                        self.faults.push(Fault::new(format!("{name}_FILE"), error.to_string()));
                        None
                    }
                }
            }
        }
    }

    /// A credential that systemd passed to the service: the file of the variable's name, in capitals or in small letters.
    fn credential(&mut self, variable: &'static Variable) -> Option<Given> {
        let path = self.credential_path(variable)?;
        let read = fastcms_secrets::read_file(&path).map_err(|error| error.to_string());
        let text = self.or_fault(variable, read)?;
        Some(Given { text, origin: Origin::File(path) })
    }

    fn credential_path(&self, variable: &Variable) -> Option<PathBuf> {
        let is_hidden = variable.names().any(|name| self.values.contains_key(name));
        let (_, folder) = self.sources.environment.iter().find(|(name, _)| name == CREDENTIALS)?;
        if !variable.is_secret() || is_hidden || folder.is_empty() {
            return None;
        }
        let folder = self.sources.directory.join(folder);
        let names = variable.names().flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]);
        names.map(|name| folder.join(name)).find(|path| path.exists())
    }

    /// A secret that lies at `VAULT_SECRET_PATH` under its name, if it does.
    fn in_secret_path(&mut self, variable: &'static Variable) -> Option<Given> {
        let reference = self.at_secret_path(variable)?;
        self.sources.resolved.get(&reference)?;
        let text = Secret::new(reference.to_string());
        self.followed(variable, Given { text, origin: Origin::Default })
    }

    /// What a secret's text stands for: itself, or what its reference leads to.
    pub(super) fn followed(&mut self, variable: &'static Variable, given: Given) -> Option<Given> {
        let reference = self.or_fault(variable, reference(given.text.expose()))?;
        let Some(reference) = reference else { return Some(given) };
        let Sources { directory, environment, .. } = self.sources;
        let place = Place { directory, environment, identities: &self.identities };
        let here = place.follow(&reference).map(|found| found.map_err(|why| why.of(&reference).to_string()));
        let found = here.unwrap_or_else(|| match self.sources.resolved.get(&reference) {
            Some(found) => found.clone().map_err(|error| error.to_string()),
            None => Err(format!("`{reference}` was not asked for: nobody asks a secret manager here")),
        });
        let found = self.or_fault(variable, found)?;
        // One reference that leads to another would be taken for the secret itself, and everybody knows its text.
        if !matches!(Reference::parse(found.current.value.expose()), Ok(None)) {
            self.fault(variable, format!("`{reference}` leads to another reference: keep the secret itself there"));
            return None;
        }
        let text = found.current.value.clone();
        let origin = match reference {
            Reference::File(path) => Origin::File(self.sources.directory.join(path)),
            Reference::Environment(_) => Origin::Environment,
            Reference::Age { path, field } => {
                Origin::Age(Reference::Age { path: self.sources.directory.join(path), field })
            }
            managed => {
                let version = found.current.label.clone();
                self.managed.insert(variable.name, found);
                Origin::Manager(managed, version)
            }
        };
        Some(Given { text, origin })
    }

    /// The references to managers that a secret is given by.
    pub fn references(&self, variable: &Variable) -> Vec<Reference> {
        let given = variable.names().find_map(|name| self.found(name, false));
        given.map_or_else(Vec::new, |given| managed(given.text.expose(), variable.kind.is_list()))
    }

    /// Where in the vault a secret is looked for that nobody gave: the field of its name at `VAULT_SECRET_PATH`.
    pub fn at_secret_path(&self, variable: &Variable) -> Option<Reference> {
        let place = self.raw(&catalog::VAULT_SECRET_PATH)?;
        let is_open = variable.is_secret()
            && !reaches_managers(variable)
            && self.credential_path(variable).is_none()
            && variable
                .names()
                .all(|name| self.found(name, false).is_none() && self.found(&format!("{name}_FILE"), false).is_none());
        let reference = is_open.then(|| Reference::parse(&format!("vault:{place}#{}", variable.name)));
        reference.and_then(|reference| reference.ok().flatten())
    }

    /// The versions beside the one in force that a manager holds of a variable read before.
    pub fn neighbours(&self, variable: &Variable) -> (Option<Secret<String>>, Option<Secret<String>>) {
        let Some(found) = self.managed.get(variable.name) else { return (None, None) };
        let value = |version: &Option<fastcms_secrets::Version>| version.as_ref().map(|version| version.value.clone());
        (value(&found.previous), value(&found.next))
    }
}
