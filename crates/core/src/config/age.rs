//! Settings in a file of age: `SECRETS_AGE_FILE`, and the identities that open it and whatever `age:` leads to.
//!
//! What stands in the file counts as if it stood in `.env`, after everything that is given in plain sight. Nothing of it is written
//! anywhere.

use fastcms_secrets::{Identities, Reference, Why, read_age_file};

use super::catalog;
use super::fault::Fault;
use super::reader::{Reader, reference};
use super::source::{Origin, Raw, assigned};

/// Opens the identities; what is wrong with the setting itself is said where it is read.
pub(super) fn identities(read: &mut Reader<'_>) -> Result<Identities, Why> {
    let variable = &catalog::SECRETS_AGE_IDENTITY;
    let is_given = read.is_given(variable) || read.is_file_given(variable);
    match read.unsaid(|read| read.secret_text(variable)) {
        Some(text) => Identities::parse(text.expose())
            .map_err(|why| Why::NotConfigured(format!("what SECRETS_AGE_IDENTITY gives {why}"))),
        None if is_given => Err(Why::NotConfigured("SECRETS_AGE_IDENTITY cannot be had".to_owned())),
        None => Err(Why::NotConfigured(
            "set SECRETS_AGE_IDENTITY_FILE to the file of the identity that opens it".to_owned(),
        )),
    }
}

/// What is wrong with the identities themselves.
pub(super) fn check(read: &mut Reader<'_>) {
    let Some(text) = read.secret(&catalog::SECRETS_AGE_IDENTITY) else { return };
    if let Err(why) = Identities::parse(text.expose()) {
        read.fault(&catalog::SECRETS_AGE_IDENTITY, why.to_string());
    }
}

/// A fault where the identity is to come out of a file that it opens.
pub(super) fn circle(read: &Reader<'_>) -> Option<Fault> {
    let variable = &catalog::SECRETS_AGE_IDENTITY;
    let is_inside = read.raw(variable).is_some_and(|text| matches!(reference(&text), Ok(Some(Reference::Age { .. }))));
    let message = "opens files of age, so none of them can keep it: give it by a file";
    is_inside.then(|| Fault::new(variable.name, message))
}

/// Adds what stands in the file that `SECRETS_AGE_FILE` names.
pub(super) fn add(read: &mut Reader<'_>) {
    let variable = &catalog::SECRETS_AGE_FILE;
    let Some(name) = read.raw(variable) else { return };
    let path = read.directory().join(name);
    let text = match read.identities() {
        Ok(identities) => read_age_file(&path, identities),
        Err(why) => Err(why.clone()),
    };
    let text = match text {
        Ok(text) => text,
        Err(why) => {
            read.lack(Fault::new(variable.name, format!("`{}` {why}", path.display())));
            return;
        }
    };
    let (assigned, faults, warnings) = assigned(text.expose(), variable.name);
    for fault in faults {
        read.lack(fault);
    }
    for warning in warnings {
        read.warn(warning);
    }
    let identity = catalog::SECRETS_AGE_IDENTITY.name;
    for (name, (line, text)) in assigned {
        if name == variable.name || name == identity || name.strip_suffix("_FILE") == Some(identity) {
            let message = format!("line {line}: {name} cannot stand inside, since it takes it to open the file");
            read.lack(Fault::new(variable.name, message));
            continue;
        }
        let origin = Origin::Age(Reference::Age { path: path.clone(), field: Some(name.clone()) });
        read.add(name, Raw { text, origin });
    }
}
