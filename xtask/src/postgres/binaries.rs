//! Where `PostgreSQL`'s server programs are, and how they get there on Debian when they are not.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::announce;

/// What a cluster of our own needs.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// Debian keeps each version's programs in `<version>/bin` below this, outside of PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Debian's switch against a cluster, and with it a running service, on installation.
const CREATE_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";

/// A folder that holds all programs needed.
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Looks for the programs; where they are missing, root on Debian installs them and anyone else is told how.
    pub fn find_or_install(is_root: bool) -> io::Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let apt_get = search_path().any(|folder| folder.join("apt-get").is_file());
        if !(is_root && apt_get) {
            return Err(io::Error::other(
                "PostgreSQL's server programs are missing: install PostgreSQL (Debian, Ubuntu: `apt-get install \
                 postgresql`), or set `TEST_DATABASE_URL` to a server the tests may use",
            ));
        }
        install()?;
        Self::find().ok_or_else(|| io::Error::other("PostgreSQL was installed, yet its server programs are missing"))
    }

    /// The folder, for messages.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a cluster.
    pub fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    /// Starts and stops a server.
    pub fn pg_ctl(&self) -> PathBuf {
        self.folder.join("pg_ctl")
    }

    fn find() -> Option<Self> {
        let is_complete = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).is_file());
        let folder = search_path().chain(debian_folders(Path::new(DEBIAN))).find(is_complete)?;
        Some(Self { folder })
    }
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// `<version>/bin` of every version below the root, newest first.
fn debian_folders(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// Installs Debian's package, and nothing that runs by itself.
fn install() -> io::Result<()> {
    announce("PostgreSQL: not found, installing Debian's package `postgresql`");
    forbid_cluster()?;
    apt_get(&["update"])?;
    // The switch above is a configuration file of the package: ours stays.
    apt_get(&["install", "--yes", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", "postgresql"])
}

/// Tells Debian's package, before it arrives, to make no cluster. A file already there is somebody's decision.
fn forbid_cluster() -> io::Result<()> {
    let path = Path::new(CREATE_CLUSTER);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            announce(&format!("PostgreSQL: `{CREATE_CLUSTER}` now says that installing makes no cluster"));
            file.write_all(
                b"# Written by `cargo xtask test`, which makes its own clusters.\ncreate_main_cluster = false\n",
            )
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn apt_get(arguments: &[&str]) -> io::Result<()> {
    announce(&format!("`apt-get {}`", arguments.join(" ")));
    let mut command = Command::new("apt-get");
    command.arg("--quiet").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    if command.status()?.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("`apt-get {}` failed", arguments.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_taken_by_number_not_by_text() {
        let root = std::env::temp_dir().join(format!("fastcms-xtask-versions-{}", std::process::id()));
        for name in ["9", "15", "common"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let found = debian_folders(&root);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, [root.join("15/bin"), root.join("9/bin")]);
    }

    #[test]
    fn a_machine_without_debian_packages_has_no_such_folders() {
        assert!(debian_folders(Path::new("/nonexistent")).is_empty());
    }
}
