//! How much lies on the disk.

use std::fs;
use std::path::{Path, PathBuf};

/// Most entries that are looked at; a folder with more is not counted.
const MAX_ENTRIES: usize = 200_000;
/// What `SQLite` keeps beside its file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Bytes of the database file with what lies beside it, and of a folder with everything in it. Links are not followed.
pub(super) fn size(database: Option<&Path>, folder: &Path) -> Option<u64> {
    let mut files: Vec<PathBuf> = database.map(Path::to_owned).into_iter().collect();
    if let Some(file) = database {
        files.extend(BESIDE.iter().map(|end| {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        }));
    }
    let beside: u64 = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|found| found.len()).sum();
    Some(beside + below(folder, MAX_ENTRIES)?)
}

fn below(folder: &Path, most: usize) -> Option<u64> {
    let (mut bytes, mut seen) = (0, 0);
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Nothing was uploaded yet, or it went while we looked.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(_) => return None,
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > most {
                return None;
            }
            // `metadata` of an entry is that of a link itself.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                waiting.push(entry.path());
            } else if found.is_file() {
                bytes += found.len();
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_counted_with_everything_below_it_and_not_past_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("a"), [0; 10]).unwrap();
        fs::write(folder.path().join("below/b"), [0; 5]).unwrap();
        assert_eq!(below(folder.path(), 3), Some(15));
        assert_eq!(below(folder.path(), 2), None);
        assert_eq!(below(&folder.path().join("nowhere"), 2), Some(0));
    }

    #[test]
    fn what_the_database_keeps_beside_its_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        fs::write(&file, [0; 10]).unwrap();
        fs::write(folder.path().join("app.db-wal"), [0; 7]).unwrap();
        assert_eq!(size(Some(&file), &folder.path().join("files")), Some(17));
        assert_eq!(size(None, &folder.path().join("files")), Some(0));
    }
}
