//! References that this machine follows by itself: to its environment, and to its files.

use std::path::Path;

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
}

impl Place<'_> {
    /// Follows a reference to a variable or a file; `None`: it leads to a manager.
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
            Reference::Vault { .. } | Reference::Aws { .. } | Reference::Azure { .. } => None,
        }
    }

    fn variable(&self, name: &str) -> Result<Resolution, Why> {
        let found = self.environment.iter().find(|(known, value)| known == name && !value.is_empty());
        let (_, value) = found.ok_or_else(|| Why::NotFound("no such variable, or an empty one".to_owned()))?;
        Ok(Resolution::only(Version { value: Secret::new(value.clone()), label: String::new(), created: None }))
    }
}

fn file(path: &Path) -> Result<Resolution, Why> {
    let value = read_file(path)?;
    let written = path.metadata().and_then(|about| about.modified()).ok();
    let since_epoch = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let created = since_epoch.and_then(|age| i64::try_from(age.as_secs()).ok());
    Ok(Resolution::only(Version { value, label: String::new(), created }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn follow(directory: &Path, text: &str) -> Result<String, Why> {
        let environment = [("GIVEN".to_owned(), "from there".to_owned()), ("EMPTY".to_owned(), String::new())];
        let place = Place { directory, environment: &environment };
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
