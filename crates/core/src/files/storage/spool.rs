//! A file of which nobody knows yet whether it will be kept. It goes away with its value, and with its process: the lock that is held on
//! it tells a sweep whether somebody is still at work.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::make_folder;

/// Bytes that were received, and their digest.
#[derive(Debug)]
pub(in crate::files) struct Spool {
    file: File,
    /// `None` once it was kept under another name.
    path: Option<PathBuf>,
    size: u64,
    digest: Sha256,
}

impl Spool {
    /// An empty one in `folder`, under a name that was never used. Waits for the disk, as everything here does.
    pub(in crate::files) fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(folder)?;
                options.open(&path)?
            }
            opened => opened?,
        };
        let spool = Self { file, path: Some(path), size: 0, digest: Sha256::new() };
        spool.file.try_lock().map_err(io::Error::from)?;
        Ok(spool)
    }

    /// The same, filled.
    pub(in crate::files) fn of(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Self> {
        let mut spool = Self::begin(folder, name)?;
        spool.write(bytes)?;
        Ok(spool)
    }

    pub(in crate::files) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub(in crate::files) fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of the bytes so far, in hex.
    pub(in crate::files) fn checksum(&self) -> String {
        use std::fmt::Write as _;
        let digest = self.digest.clone().finalize();
        digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The bytes, to be looked at from their beginning.
    pub(in crate::files) fn content(&self) -> &File {
        &self.file
    }

    /// Puts it where it is to stay, on disk with its name. The lock is kept with it.
    pub(super) fn settle(&mut self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(path) = &self.path {
            match std::fs::rename(path, target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => {
                    make_folder(folder)?;
                    if let Some(above) = folder.parent() {
                        sync_folder(above)?;
                    }
                    std::fs::rename(path, target)?;
                }
                renamed => renamed?,
            }
        }
        self.path = None;
        sync_folder(folder)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be taken away now is taken away by the next sweep.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A name is on disk once its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
