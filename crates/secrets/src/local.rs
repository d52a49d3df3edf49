//! References that this machine follows by itself: to its environment, to its files, and into its files of age.

use std::collections::BTreeMap;
use std::path::Path;

use crate::age::{Identities, read_text};
use crate::document::{Content, Document, Member};
use crate::dotenv;
use crate::resolution::{Resolution, Version};
use crate::unresolved::Why;
use crate::{Reference, Secret, read_file};

/// What references are followed within.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where relative paths start.
    pub directory: &'a Path,
    /// The process environment.
    pub environment: &'a [(String, String)],
    /// What opens files of age, or why nothing does.
    pub identities: &'a Result<Identities, Why>,
}

impl Place<'_> {
    /// Follows a reference to a variable, a file or a file of age; `None`: it leads to a manager.
    ///
    /// A file is read anew each time, by its path: a volume of Kubernetes, which swaps the folder behind `..data`, shows its new
    /// content from then on.
    ///
    /// # Errors
    /// Why there is no secret.
    pub fn follow(&self, reference: &Reference) -> Option<Result<Resolution, Why>> {
        match reference {
            Reference::Environment(name) => Some(self.variable(name)),
            Reference::File(path) => Some(file(&self.directory.join(path))),
            Reference::Age { path, field } => Some(self.age(&self.directory.join(path), field.as_deref())),
            Reference::Vault { .. } | Reference::Aws { .. } | Reference::Azure { .. } => None,
        }
    }

    fn variable(&self, name: &str) -> Result<Resolution, Why> {
        let found = self.environment.iter().find(|(known, value)| known == name && !value.is_empty());
        let (_, value) = found.ok_or_else(|| Why::NotFound("no such variable, or an empty one".to_owned()))?;
        Ok(Resolution::only(Version { value: Secret::new(value.clone()), label: String::new(), created: None }))
    }

    fn age(&self, path: &Path, field: Option<&str>) -> Result<Resolution, Why> {
        let identities = self.identities.as_ref().map_err(Clone::clone)?;
        let text = read_text(path, identities)?;
        let content = match field {
            None => Content::Text(Secret::new(without_newline(text.expose()).to_owned())),
            Some(_) if text.expose().trim_start().starts_with('{') => Content::Text(text),
            Some(field) => Content::Members(assigned(text.expose(), field)?),
        };
        let document = Document { content, label: String::new(), created: written(path) };
        document.version(field).map(Resolution::only)
    }
}

/// The value of one name in a text of the form of `.env`; the last one of several, whatever the case, as there.
fn assigned(text: &str, field: &str) -> Result<BTreeMap<String, Member>, Why> {
    let (entries, faults) = dotenv::parse(text);
    if let Some((line, message)) = faults.first() {
        return Err(Why::Unusable(format!("line {line} of what it holds cannot be read: {message}")));
    }
    let last = entries.into_iter().rfind(|entry| entry.name.eq_ignore_ascii_case(field));
    Ok(last.into_iter().map(|entry| (field.to_owned(), Member::Text(entry.value))).collect())
}

fn without_newline(text: &str) -> &str {
    let cut = text.strip_suffix('\n').unwrap_or(text);
    if cut.len() < text.len() { cut.strip_suffix('\r').unwrap_or(cut) } else { text }
}

fn file(path: &Path) -> Result<Resolution, Why> {
    let value = read_file(path)?;
    Ok(Resolution::only(Version { value, label: String::new(), created: written(path) }))
}

/// When a file was written, unix seconds.
fn written(path: &Path) -> Option<i64> {
    let written = path.metadata().and_then(|about| about.modified()).ok()?;
    let age = written.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(age.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn follow(directory: &Path, text: &str) -> Result<String, Why> {
        let environment = [("GIVEN".to_owned(), "from there".to_owned()), ("EMPTY".to_owned(), String::new())];
        let identities = Err(Why::NotConfigured("no identities".to_owned()));
        let place = Place { directory, environment: &environment, identities: &identities };
        let reference = Reference::parse(text).unwrap().unwrap();
        place.follow(&reference).unwrap().map(|found| found.current.value.expose().clone())
    }

    #[test]
    fn a_variable_is_found_by_its_exact_name() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(follow(folder.path(), "env:GIVEN").unwrap(), "from there");
        for absent in ["env:given", "env:EMPTY", "env:OTHER"] {
            assert!(matches!(follow(folder.path(), absent), Err(Why::NotFound(_))), "{absent}");
        }
    }

    /// As kubelet does it: a fresh folder, then one rename of the link that all files go through.
    #[cfg(unix)]
    #[test]
    fn a_volume_of_kubernetes_shows_its_new_content_after_the_swap() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("..2026_01")).unwrap();
        fs::write(at("..2026_01/key"), "old\n").unwrap();
        symlink("..2026_01", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        assert_eq!(follow(folder.path(), "file:key").unwrap(), "old");
        fs::create_dir(at("..2026_02")).unwrap();
        fs::write(at("..2026_02/key"), "new\n").unwrap();
        symlink("..2026_02", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at("..2026_01")).unwrap();
        assert_eq!(follow(folder.path(), "file:key").unwrap(), "new");
    }

    #[test]
    fn each_fault_of_a_file_keeps_its_meaning() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("empty"), "\n").unwrap();
        assert!(matches!(follow(folder.path(), "file:none"), Err(Why::NotFound(_))));
        assert!(matches!(follow(folder.path(), "file:empty"), Err(Why::Unusable(_))));
        assert!(matches!(follow(folder.path(), "file:."), Err(Why::Unusable(_))));
    }
}
