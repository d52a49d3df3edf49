//! Disks that fill up, refuse or dawdle.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Size of the disk that fills up.
const SMALL: &str = "size=768m";
/// What takes the room on it.
const BALLAST: &str = "ballast";
const SHIM: &str = include_str!("disk.c");

/// A small disk in memory, taken away when dropped. Needs the right to mount.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one over a folder.
    pub fn mount(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SMALL, "tmpfs"]).arg(folder).stderr(Stdio::null());
        if mount.status()?.success() {
            return Ok(Self(folder.to_owned()));
        }
        Err(io::Error::other("a small disk can be mounted by root only"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may not have let go of it yet.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Takes all room that is left on the disk of a folder.
pub fn fill(folder: &Path) -> io::Result<()> {
    let mut ballast = File::create(folder.join(BALLAST))?;
    let block = vec![0_u8; 64 * 1024];
    loop {
        match ballast.write_all(&block) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Gives the room back.
pub fn free(folder: &Path) -> io::Result<()> {
    fs::remove_file(folder.join(BALLAST))
}

/// The library of `disk.c`, and the folder by which it is told what to do.
#[derive(Debug, Clone)]
pub struct Shim {
    pub library: PathBuf,
    pub control: PathBuf,
}

impl Shim {
    /// Builds the library in a folder, with the machine's C compiler.
    pub fn build(folder: &Path) -> io::Result<Self> {
        let (source, library, control) = (folder.join("disk.c"), folder.join("disk.so"), folder.join("control"));
        fs::write(&source, SHIM)?;
        fs::create_dir_all(&control)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        if compiler.status()?.success() {
            return Ok(Self { library, control });
        }
        Err(io::Error::other("`cc` did not build the shim of the disk"))
    }

    pub fn set(&self, what: &str, value: &str) -> io::Result<()> {
        fs::write(self.control.join(what), value)
    }

    pub fn clear(&self, what: &str) -> io::Result<()> {
        fs::remove_file(self.control.join(what))
    }
}
