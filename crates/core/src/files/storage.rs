//! Where bytes are kept: one narrow interface, one implementation a kind of storage. It knows ids and bytes, nothing of rows or callers.
//!
//! Whatever is to be kept is spooled first, into a local file that nobody else can name; a driver takes it from there. A [`Key`] is made
//! of the id of a file and nothing else, so no text of a request ever becomes a path.

mod local;
mod spool;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub(super) use local::Local;
pub(super) use spool::Spool;

use super::picture::Thumb;
use crate::error::{Error, Result};

/// Bytes on their way out, a piece at a time.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// The ids among those given that have a row.
pub(super) type Known<'a> = dyn Fn(Vec<String>) -> BoxFuture<'a, Result<HashSet<String>>> + Send + Sync + 'a;

/// A place that keeps bytes. Its futures may be dropped at any point.
pub(super) trait Storage: Send + Sync + fmt::Debug {
    /// As `STORAGE_TYPE` names it.
    fn name(&self) -> &'static str;

    /// Keeps what was spooled: once this is answered, it survives a loss of power.
    fn keep(&self, key: Key, spool: Spool) -> BoxFuture<'_, io::Result<Kept>>;

    /// The bytes of a range that lies within what is kept.
    fn read(&self, key: Key, range: Range<u64>) -> BoxFuture<'_, io::Result<Pieces>>;

    /// How many bytes are kept under this key; `None`: nothing is.
    fn size(&self, key: Key) -> BoxFuture<'_, io::Result<Option<u64>>>;

    /// Takes away what is kept for a file, and everything that was made from it. Nothing there is no fault.
    fn remove(&self, key: Key) -> BoxFuture<'_, io::Result<()>>;

    /// Takes away what uploads have left behind that never came to their end; how many such leftovers there were.
    fn sweep<'a>(&'a self, known: &'a Known<'a>) -> BoxFuture<'a, Result<usize>>;

    /// Whether bytes could be kept now.
    fn check(&self) -> BoxFuture<'_, io::Result<()>>;
}

/// The name of something kept: a file, or a picture that was made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// A UUID in its one written form.
    id: String,
    picture: Option<Thumb>,
}

impl Key {
    /// The key of a file; `None` for what is no id.
    pub(super) fn of(id: &str) -> Option<Self> {
        let well_formed = id.len() == ID_LENGTH
            && id.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        well_formed.then(|| Self { id: id.to_owned(), picture: None })
    }

    /// The key of a picture made from this file.
    pub(super) fn picture(&self, thumb: Thumb) -> Self {
        Self { id: self.id.clone(), picture: Some(thumb) }
    }

    /// One of 256 folders; the end of an id is random, its head is the time.
    fn shard(&self) -> &str {
        &self.id[ID_LENGTH - 2..]
    }

    fn name(&self) -> String {
        self.picture.map_or_else(|| self.id.clone(), |thumb| format!("{}_{thumb}", self.id))
    }

    /// As it stands in a row: `3f/018f…3f`.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.shard(), self.name())
    }
}

const ID_LENGTH: usize = 36;

/// Something that was kept for a row which is yet to be stored. Until it is dropped no sweep takes it away; dropped unconfirmed, it is
/// taken away at once.
pub(super) struct Kept {
    undo: Option<Box<dyn FnOnce() + Send>>,
    _spool: Spool,
}

impl Kept {
    fn new(spool: Spool, undo: impl FnOnce() + Send + 'static) -> Self {
        Self { undo: Some(Box::new(undo)), _spool: spool }
    }

    /// Its row is stored, or may be: it stays.
    pub(super) fn confirm(mut self) {
        self.undo = None;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            undo();
        }
    }
}

/// A fault of the storage, by what it means to a caller; the log says the rest.
pub(super) fn fault(error: &io::Error) -> Error {
    let what = format!("file storage: {error}");
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Error::ReadOnly(what),
        _ => Error::Unavailable(what),
    }
}

/// Runs something that waits for a disk where waiting is allowed.
pub(super) async fn blocking<T, F>(job: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(job).await.unwrap_or_else(|_| Err(io::Error::other("a task did not end")))
}

/// A folder that its owner alone may look into, made with all that leads there.
fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Where uploads lie until they are complete.
pub(super) fn incoming(root: &Path) -> PathBuf {
    root.join("incoming")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_id_becomes_a_path() {
        for bad in [
            "",
            "..",
            "../../../../../../../../../etc/passwd",
            "018f0000-0000-7000-8000-00000000000/",
            "018f0000-0000-7000-8000-00000000000G",
            "018F0000-0000-7000-8000-00000000000A",
            "018f0000000070008000000000000000abcd",
            "018f0000-0000-7000-8000-00000000000a\0",
        ] {
            assert_eq!(Key::of(bad), None, "{bad:?}");
        }
        let key = Key::of("018f0000-0000-7000-8000-0000000000af").unwrap();
        assert_eq!(key.path(), "af/018f0000-0000-7000-8000-0000000000af");
        let thumb = Thumb::parse("100x0").unwrap();
        assert_eq!(key.picture(thumb).path(), "af/018f0000-0000-7000-8000-0000000000af_100x0");
    }
}
