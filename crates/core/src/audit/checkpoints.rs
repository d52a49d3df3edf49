//! What is said outside the database of how far the chain went, so that what is taken from its end shows: lines of a file and of the log
//! now and then, for good, and one file that always holds the last link of this node.
//!
//! This module knows nothing of rows: it is told links and hashes.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use fastcms_guard::chain::{Hash, Kind};
use serde::{Deserialize, Serialize};

use super::signer::{Signer, hex};
use crate::time::stamp;

/// A checkpoint is due after so many links, or so many milliseconds.
const DUE_LINKS: i64 = 10_000;
const DUE_MILLIS: i64 = 3600 * 1000;
/// Name of the file in the data folder that checkpoints are appended to.
pub const CHECKPOINTS: &str = "audit-checkpoints.jsonl";
/// Name of the file in the data folder that holds the last link, written over with each block.
pub const HEAD: &str = "audit-head.json";
/// Bytes of that file, blanks at its end included: no line is longer, so that none leaves a rest of another.
const HEAD_LENGTH: usize = 512;

/// How far the chain went at a moment, signed: a line of the checkpoint file and of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub time: String,
    /// Number of the last link.
    pub link: i64,
    /// Its hash, in hex.
    pub hash: String,
    /// Which data key signed.
    pub key_id: i64,
    /// In hex.
    pub signature: String,
}

impl Checkpoint {
    fn new(signer: &Signer, time: String, link: i64, hash: &[u8]) -> Self {
        let signature = hex(&Self::signature(signer, &time, link, &hex(hash)));
        Self { time, link, hash: hex(hash), key_id: signer.key_id, signature }
    }

    fn signature(signer: &Signer, time: &str, link: i64, hash: &str) -> Hash {
        let parts: [&[u8]; 3] = [time.as_bytes(), &link.to_be_bytes(), hash.as_bytes()];
        signer.key.sign(Kind::Checkpoint, parts.map(Some))
    }

    /// Whether one of these made it.
    pub(super) fn is_by_any(&self, signers: &[Signer]) -> bool {
        signers.iter().any(|signer| {
            signer.key_id == self.key_id
                && hex(&Self::signature(signer, &self.time, self.link, &self.hash)) == self.signature
        })
    }
}

/// The files of this node.
pub(super) struct Outside {
    /// The one in use.
    signer: Signer,
    /// All that could be opened.
    signers: Vec<Signer>,
    /// Nothing is written where it cannot be.
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Link and time (unix milliseconds) of the last checkpoint that was appended.
    appended: Option<(i64, i64)>,
    /// The last link that this node knows of; none either before the file was read.
    head: Option<Checkpoint>,
    is_read: bool,
    /// The last write of the head failed, which was said.
    is_failing: bool,
}

impl Outside {
    pub(super) fn new(signer: Signer, signers: Vec<Signer>, folder: PathBuf) -> Self {
        Self { signer, signers, folder, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last link that this node knows of. To be asked before the database is: it says at least as much then.
    pub(super) fn head(&self) -> Option<Checkpoint> {
        let mut state = self.state();
        if !state.is_read {
            state.is_read = true;
            state.head = self.kept();
        }
        state.head.clone()
    }

    /// What the file says, if a key made it that can be opened. What another made cannot be held against anything, and is not written
    /// over for good: whoever verifies is told of it.
    fn kept(&self) -> Option<Checkpoint> {
        let text = std::fs::read_to_string(self.folder.join(HEAD)).ok()?;
        let Ok(kept) = serde_json::from_str::<Checkpoint>(&text) else {
            tracing::error!(file = HEAD, "what this node knew as the end of the audit log cannot be read");
            return None;
        };
        if kept.is_by_any(&self.signers) {
            return Some(kept);
        }
        tracing::error!(
            link = kept.link,
            time = kept.time,
            key_id = kept.key_id,
            "what this node knew as the end of the audit log is not by a key of this database that can be opened: \
             `fastcms audit verify` tells more"
        );
        self.append(&kept);
        None
    }

    /// The chain goes up to here now.
    pub(super) fn keep(&self, link: i64, hash: &Hash, now: i64) {
        let head = Checkpoint::new(&self.signer, stamp(now), link, hash);
        let written = || -> std::io::Result<()> {
            let line = serde_json::to_string(&head).map_err(std::io::Error::other)?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(false);
            self.open(HEAD, options)?.write_all(format!("{line:<width$}\n", width = HEAD_LENGTH - 1).as_bytes())
        };
        let written = written();
        let mut state = self.state();
        state.head = Some(head);
        if let Err(error) = &written
            && !state.is_failing
        {
            tracing::error!(%error, "the end of the audit log could not be written to its file");
        }
        state.is_failing = written.is_err();
    }

    /// The chain no longer goes through what was known as its end: that is kept for good, for whoever verifies.
    pub(super) fn lost(&self, head: &Checkpoint) {
        tracing::error!(
            link = head.link,
            time = head.time,
            "the audit log was cut or put back to an earlier state: `fastcms audit verify` says where"
        );
        self.append(head);
        self.state().head = None;
    }

    /// Appends a checkpoint when one is due.
    pub(super) fn checkpoint(&self, link: i64, hash: &Hash, now: i64, is_due: bool) {
        let mut state = self.state();
        let waits = state.appended.is_some_and(|(at, when)| link - at < DUE_LINKS && now - when < DUE_MILLIS);
        if waits && !is_due {
            return;
        }
        state.appended = Some((link, now));
        drop(state);
        self.append(&Checkpoint::new(&self.signer, stamp(now), link, hash));
    }

    /// Whether the last checkpoint is about this link.
    pub(super) fn is_appended(&self, link: i64) -> bool {
        self.state().appended.is_some_and(|(at, _)| at == link)
    }

    fn append(&self, checkpoint: &Checkpoint) {
        let Checkpoint { time, link, hash, key_id, signature } = checkpoint;
        tracing::info!(target: "fastcms::audit", time, link, hash, key_id, signature, "audit checkpoint");
        let appended = || -> std::io::Result<()> {
            let line = serde_json::to_string(checkpoint).map_err(std::io::Error::other)?;
            let mut options = std::fs::OpenOptions::new();
            options.append(true).create(true);
            writeln!(self.open(CHECKPOINTS, options)?, "{line}")
        };
        if let Err(error) = appended() {
            tracing::error!(%error, "an audit checkpoint could not be written to its file");
        }
    }

    fn open(&self, name: &str, mut options: std::fs::OpenOptions) -> std::io::Result<std::fs::File> {
        std::fs::create_dir_all(&self.folder)?;
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(self.folder.join(name))
    }
}
