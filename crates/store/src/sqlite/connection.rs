//! Opening connections, and stopping what they do when its time is up.

use super::counts::Counts;
use super::fault::meaning;
use super::session::control;
use crate::error::{Error, Fault, Result};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Statements kept prepared on each connection.
const STATEMENT_CACHE: usize = 128;
/// How long to wait for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before the same is tried again that another process is doing.
const SWITCH_PAUSE: Duration = Duration::from_millis(1);
/// How many steps of `SQLite`'s machine pass between two looks at the clock: well below a millisecond mostly, half a second where each
/// goes through a long text.
const STEPS_PER_LOOK: i32 = 500;

/// A file that was just made has nothing that would have to be brought back: its header is written and flushed once, without a journal.
const NEW_FILE_SETUP: &str = "PRAGMA journal_mode = MEMORY;";
/// `FULL`: an acknowledged write survives the loss of power. Foreign keys are checked, and the log is cut back to 16 MiB when it has
/// grown. When it is folded into the file, the thread that writes decides.
const WRITER_SETUP: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
    PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -4096;";
const READER_SETUP: &str = "PRAGMA query_only = ON; PRAGMA mmap_size = 0;";
/// What all readers together keep of the file in memory, KiB, as far as each has its least: a page that is not there costs a call of
/// the system, even where the system has it. Nothing is kept before it was read.
const READER_CACHES: usize = 32 * 1024;
/// What one reader keeps, KiB.
const READER_CACHE: std::ops::RangeInclusive<usize> = 1024..=8 * 1024;

/// Makes the file and its folder for this user alone, where they do not exist; says whether the file is new.
pub(super) fn create_file(path: &Path) -> Result<bool> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| cannot("create the folder", folder, &error))?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(cannot("create the file", path, &error)),
        _ if fs::metadata(path).is_ok_and(|found| found.is_dir()) => {
            let found = io::Error::from(ErrorKind::IsADirectory);
            Err(cannot("open the file", path, &found))
        }
        made => Ok(made.is_ok()),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Error {
    let fault = Fault::new("file", format!("cannot {what} `{}`: {error}", path.display()));
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem => Error::ReadOnly(fault),
        _ => Error::Unavailable(fault),
    }
}

/// A connection that writes, with nothing to stop it.
fn writer(path: &Path, is_new: bool) -> Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if is_new {
        match conn.execute_batch(NEW_FILE_SETUP).map_err(meaning) {
            // Somebody else came between, and has made a log already.
            Ok(()) | Err(Error::Busy(_)) => {}
            Err(error) => return Err(error),
        }
    }
    conn.execute_batch(WRITER_SETUP).map_err(meaning)?;
    let mode = write_ahead(&conn)?;
    if mode != "wal" {
        let message = format!("the file's folder does not allow a write-ahead log (journal mode is `{mode}`)");
        return Err(Error::ReadOnly(Fault::new("journal_mode", message)));
    }
    Ok(conn)
}

/// Has the file keep a write-ahead log, and answers how it is kept now. Whoever finds another one at doing the same is refused by `SQLite`
/// without a wait.
fn write_ahead(conn: &Connection) -> Result<String> {
    let begun = Instant::now();
    loop {
        match conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(meaning) {
            Err(Error::Busy(_)) if begun.elapsed() < BUSY_TIMEOUT => std::thread::sleep(SWITCH_PAUSE),
            mode => return mode,
        }
    }
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection> {
    // Neither URI file names nor symbolic tricks with double quotes: a name is a name, a misspelt column an error.
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(meaning)?;
    for (option, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        conn.set_db_config(option, on).map_err(meaning)?;
    }
    super::functions::add(&conn)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(meaning)?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(conn)
}

/// A connection with a deadline for what it is doing.
pub(super) struct TimedConnection {
    pub(super) conn: Connection,
    counts: Counts,
    opened: Instant,
    /// Milliseconds after `opened`; 0 when nothing runs.
    deadline: Arc<AtomicU64>,
    /// Pages in the log after the last commit of this connection.
    log: Arc<AtomicU32>,
}

impl TimedConnection {
    /// Opens one of `readers` that read; whatever runs on it stops at its deadline, or when `closing` is set.
    pub(super) fn reader(path: &Path, readers: usize, closing: &Arc<AtomicBool>) -> Result<Self> {
        let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.execute_batch(READER_SETUP).map_err(meaning)?;
        let kib = (READER_CACHES / readers.max(1)).clamp(*READER_CACHE.start(), *READER_CACHE.end());
        conn.pragma_update(None, "cache_size", -i64::try_from(kib).unwrap_or(1024)).map_err(meaning)?;
        Self::timed(conn, Arc::clone(closing))
    }

    /// Opens the one that writes, into a file that may just have been made; whatever runs on it stops at its deadline.
    pub(super) fn writer(path: &Path, is_new: bool) -> Result<Self> {
        let mut timed = Self::timed(writer(path, is_new)?, Arc::default())?;
        let log = Arc::clone(&timed.log);
        let note = move |_: &mut Wal, pages| {
            log.store(u32::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        };
        timed.conn.wal_hook(Some(note)).map_err(meaning)?;
        Ok(timed)
    }

    fn timed(mut conn: Connection, closing: Arc<AtomicBool>) -> Result<Self> {
        let (opened, deadline) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let watched = Arc::clone(&deadline);
        let is_up = move || {
            let deadline = watched.load(Ordering::Relaxed);
            deadline != 0 && (millis(opened.elapsed()) >= deadline || closing.load(Ordering::Relaxed))
        };
        conn.progress_handler(STEPS_PER_LOOK, Some(is_up)).map_err(meaning)?;
        Ok(Self { conn, counts: Counts::default(), opened, deadline, log: Arc::default() })
    }

    /// Lends the connection to `job` until `deadline`, and what was counted on it.
    pub(super) fn until<R>(&mut self, deadline: Instant, job: impl FnOnce(&mut Connection, &mut Counts) -> R) -> R {
        let left = deadline.saturating_duration_since(self.opened);
        self.deadline.store(millis(left).max(1), Ordering::Relaxed);
        let done = job(&mut self.conn, &mut self.counts);
        self.deadline.store(0, Ordering::Relaxed);
        done
    }

    /// Pages in the log after the last commit of this connection, the one that writes.
    pub(super) fn log_pages(&self) -> u32 {
        self.log.load(Ordering::Relaxed)
    }

    /// Has commits wait for no flush until [`TimedConnection::settle`]. The file stays sound whatever happens; the last commits may be
    /// gone after a loss of power.
    pub(super) fn unsettle(&self) -> Result<()> {
        self.conn.pragma_update(None, "synchronous", "NORMAL").map_err(meaning)
    }

    /// Flushes what was committed, and has every commit flushed from now on.
    pub(super) fn settle(&self) -> Result<()> {
        self.conn.pragma_update(None, "synchronous", "FULL").map_err(meaning)?;
        // Where the path led when the file was opened: the log lies there.
        let Some(path) = self.conn.path() else {
            // No path of letters: folding the log into the file flushes both.
            return self.conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").map_err(meaning);
        };
        let log = PathBuf::from(format!("{path}-wal"));
        // The log's beginning and its folder were flushed with its first commit. Nobody holds a lock on it that closing would end.
        match OpenOptions::new().write(true).open(&log).and_then(|log| log.sync_all()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("flush the file", &log, &error)),
            _ => Ok(()),
        }
    }

    /// Ends the snapshot of a job, if one is open; false if the connection cannot be used any more.
    pub(super) fn end(&mut self) -> bool {
        self.conn.is_autocommit() || control(&self.conn, "ROLLBACK").is_ok()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
