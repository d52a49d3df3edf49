//! A folder: `incoming/` for uploads under way, and 256 folders by the end of the id for what is kept.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};

use super::{ID_LENGTH, Kept, Key, Known, Pieces, Spool, Storage, blocking, fault, incoming, make_folder};
use crate::error::Result;

/// What is read at a time.
const PIECE: u64 = 64 * 1024;

/// Bytes in a folder of this host.
#[derive(Debug, Clone)]
pub(in crate::files) struct Local {
    root: PathBuf,
}

impl Local {
    pub(in crate::files) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn place(&self, key: &Key) -> PathBuf {
        self.root.join(key.shard()).join(key.name())
    }
}

impl Storage for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn keep(&self, key: Key, mut spool: Spool) -> BoxFuture<'_, io::Result<Kept>> {
        let target = self.place(&key);
        let keep = move || {
            if let Err(error) = spool.settle(&target) {
                let _ = std::fs::remove_file(&target);
                return Err(error);
            }
            Ok(Kept::new(spool, move || drop(std::fs::remove_file(target))))
        };
        Box::pin(blocking(keep))
    }

    fn read(&self, key: Key, range: Range<u64>) -> BoxFuture<'_, io::Result<Pieces>> {
        let path = self.place(&key);
        Box::pin(async move {
            let open = move || {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(range.start))?;
                Source { file, left: range.end.saturating_sub(range.start) }.next()
            };
            let (first, source) = blocking(open).await?;
            let rest = stream::try_unfold(source, |source| async move {
                if source.left == 0 {
                    return Ok(None);
                }
                blocking(move || source.next()).await.map(Some)
            });
            Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
        })
    }

    fn size(&self, key: Key) -> BoxFuture<'_, io::Result<Option<u64>>> {
        let path = self.place(&key);
        Box::pin(blocking(move || match std::fs::metadata(path) {
            Ok(about) => Ok(Some(about.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }))
    }

    fn remove(&self, key: Key) -> BoxFuture<'_, io::Result<()>> {
        let folder = self.root.join(key.shard());
        Box::pin(blocking(move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_name().to_str().and_then(id_of) == Some(&key.id) {
                    remove(&entry.path())?;
                }
            }
            Ok(())
        }))
    }

    fn sweep<'a>(&'a self, known: &'a Known<'a>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let folder = incoming(&self.root);
            let unfinished = blocking(move || sweep_incoming(&folder)).await.map_err(|error| fault(&error))?;
            let root = self.root.clone();
            let kept = blocking(move || kept(&root)).await.map_err(|error| fault(&error))?;
            let suspects = without_row(kept, known).await?;
            if suspects.is_empty() {
                return Ok(unfinished);
            }
            // An upload holds its lock until its row is committed: what can be locked now, and still has no row, never gets one.
            let locked = blocking(move || Ok(lock_all(suspects))).await.map_err(|error| fault(&error))?;
            let orphans = without_row(locked, known).await?;
            let removed =
                blocking(move || orphans.iter().try_fold(0, |count, orphan| remove(&orphan.path).map(|()| count + 1)));
            Ok(unfinished + removed.await.map_err(|error| fault(&error))?)
        })
    }

    fn check(&self) -> BoxFuture<'_, io::Result<()>> {
        let folder = incoming(&self.root);
        Box::pin(blocking(move || {
            make_folder(&folder)?;
            let probe = folder.join(format!("probe-{}", std::process::id()));
            std::fs::write(&probe, b"probe")?;
            remove(&probe)
        }))
    }
}

/// A file that is being read.
struct Source {
    file: File,
    left: u64,
}

impl Source {
    /// The next piece. A file that ends early is a fault: its length was promised.
    fn next(mut self) -> io::Result<(Bytes, Self)> {
        let size = usize::try_from(self.left.min(PIECE)).unwrap_or(usize::MAX);
        let mut piece = vec![0; size];
        self.file.read_exact(&mut piece)?;
        self.left -= size as u64;
        Ok((piece.into(), self))
    }
}

/// Something kept, and the lock on it if it was taken.
struct Found {
    id: String,
    path: PathBuf,
    _lock: Option<File>,
}

/// The id that a kept name begins with.
fn id_of(name: &str) -> Option<&str> {
    let (id, rest) = name.split_at_checked(ID_LENGTH)?;
    (rest.is_empty() || rest.starts_with('_')).then_some(id).filter(|id| Key::of(id).is_some())
}

/// Everything that is kept. Names that are not ours are left alone.
fn kept(root: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for shard in listed(root)? {
        let is_shard = shard.file_name().to_str().is_some_and(|name| name.len() == 2);
        if !is_shard || !shard.file_type()?.is_dir() {
            continue;
        }
        for entry in listed(&shard.path())? {
            if let Some(id) = entry.file_name().to_str().and_then(id_of) {
                found.push(Found { id: id.to_owned(), path: entry.path(), _lock: None });
            }
        }
    }
    Ok(found)
}

fn listed(folder: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

async fn without_row(found: Vec<Found>, known: &Known<'_>) -> Result<Vec<Found>> {
    let known = known(found.iter().map(|found| found.id.clone()).collect()).await?;
    Ok(found.into_iter().filter(|found| !known.contains(&found.id)).collect())
}

fn lock_all(found: Vec<Found>) -> Vec<Found> {
    found.into_iter().filter_map(|found| Some(Found { _lock: Some(lock(&found.path)?), ..found })).collect()
}

/// The file, if nobody is at work on it.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn sweep_incoming(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in listed(folder)? {
        if let Some(_lock) = lock(&entry.path()) {
            remove(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
