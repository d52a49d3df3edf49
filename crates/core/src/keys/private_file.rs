//! A file with secrets that is replaced whole.
//!
//! The text is written beside the file, with its mode and owner, and takes its place by a rename: whoever reads it meanwhile sees the old
//! text or the new one. Whoever replaces it at the same time finds it locked.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file that nobody else replaces as long as this is held.
pub(crate) struct Held {
    path: PathBuf,
    pub(crate) file: File,
    about: Metadata,
}

impl Held {
    /// Opens and locks the file that `path` leads to.
    ///
    /// # Errors
    /// Why it stays as it is; a sentence that goes on after its name.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let fail = |error: std::io::Error| format!("cannot be changed: {error}");
        let path = fs::canonicalize(path).map_err(fail)?;
        let file = File::open(&path).map_err(fail)?;
        file.try_lock().map_err(|_| "is being changed by somebody else: try again".to_owned())?;
        let about = file.metadata().map_err(fail)?;
        if !is_still(&path, &about).map_err(fail)? {
            return Err("was changed by somebody else: try again".to_owned());
        }
        Ok(Self { path, file, about })
    }

    /// Puts a file with this text in its place.
    pub(crate) fn replace(&self, text: &str) -> std::io::Result<()> {
        replace(&self.path, &self.about, text)
    }
}

/// Whether the file at `path` is the one that was opened.
#[cfg(unix)]
fn is_still(path: &Path, opened: &Metadata) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let now = fs::metadata(path)?;
    Ok((now.dev(), now.ino()) == (opened.dev(), opened.ino()))
}

#[cfg(not(unix))]
fn is_still(_: &Path, _: &Metadata) -> std::io::Result<bool> {
    Ok(true)
}

/// Puts `text` in the place of the file, which has the mode and owner of the one before from the first byte on.
fn replace(path: &Path, before: &Metadata, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = write(&beside, before, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What failed is reported; a file that is left over is only worth a try.
        let _ = fs::remove_file(&beside);
        return written;
    }
    // The rename itself must be on disk before anybody relies on the new key.
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write(path: &Path, before: &Metadata, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
    }
    file.set_permissions(before.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
