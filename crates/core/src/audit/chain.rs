//! Linking: what was committed is taken into the hash chain within a second, by one at a time, so that no write ever waits for it.
//!
//! Rows and hashes are read and made outside the transaction; a block is stored under the next number, and of two nodes that want the
//! same number one fails and looks again. Now and then a checkpoint says outside the database how far the chain went, so that what is
//! taken from its end shows.

use std::path::PathBuf;
use std::time::Duration;

use fastcms_guard::chain::{Hash, START};
use fastcms_store::audit::accounts::stretches;
use fastcms_store::audit::chain::{self as rows, Block, Closing, HashAt, Link, Linkable, Segment};
use fastcms_store::{Error as StoreError, Plan, Store};
use tokio::time::Instant;

use super::checkpoints::{Checkpoint, Outside};
use super::signer::{Signer, hash_of, hex};
use super::trail::Scribe;
use crate::error::{Error, Result};
use crate::time::stamp;

/// Links of one block at most.
pub(super) const BLOCK: i64 = 4_000;
/// How long a committed row waits to be linked at most, as long as nothing stands in the way.
pub(super) const PAUSE: Duration = Duration::from_millis(400);
/// After so long it is said that rows wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Links of one segment at most; another is begun each day as well.
const SEGMENT: i64 = 1_000_000;

/// The end of the chain.
pub(super) struct Head {
    pub(super) segment: Option<Segment>,
    pub(super) block: i64,
    /// Number of the last link; 0: none yet.
    pub(super) link: i64,
    pub(super) hash: Hash,
    pub(super) position: i64,
}

pub(super) async fn head(store: &Store) -> Result<Head> {
    let (segment, block) = store
        .read(Plan::Bounded, |reader| {
            Box::pin(async move {
                let segment = rows::last_segment(reader).await?;
                Ok::<_, StoreError>((segment, rows::last_block(reader).await?))
            })
        })
        .await?;
    let Some(segment) = segment else {
        return Ok(Head { segment: None, block: 0, link: 0, hash: START, position: 0 });
    };
    // Blocks of pruned segments are gone: where there is none left, the segment says where it began.
    let block = block.filter(|block| block.segment == segment.number);
    let (first_link, first_hash) = (segment.first_link, hash_of(&segment.first_hash));
    let Some(block) = block else {
        let number = last_number(store).await?;
        return Ok(Head {
            link: first_link,
            hash: first_hash,
            position: segment.first_position,
            block: number,
            segment: Some(segment),
        });
    };
    Ok(Head {
        segment: Some(segment),
        block: block.number,
        link: block.first_link + i64::try_from(block.entries.len()).unwrap_or(i64::MAX) - 1,
        hash: block.entries.last().map_or(first_hash, |link| link.hash),
        position: block.last_position,
    })
}

async fn last_number(store: &Store) -> Result<i64> {
    let block = store.read(Plan::Bounded, |reader| Box::pin(rows::last_block(reader))).await?;
    Ok(block.map_or(0, |block| block.number))
}

/// Since when rows wait although nothing more can be linked: on `PostgreSQL` none can that came after an open transaction began.
#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    is_said: bool,
}

impl Waiting {
    /// Takes note of whether rows wait; after how long that is to be said, where it is, once.
    fn note(&mut self, waits: bool, now: Instant) -> Option<Duration> {
        if !waits {
            *self = Self::default();
            return None;
        }
        let time = now.saturating_duration_since(*self.since.get_or_insert(now));
        let is_due = !self.is_said && time >= PATIENCE;
        self.is_said |= is_due;
        is_due.then_some(time)
    }
}

/// Who links, on this node.
pub(super) struct Chainer {
    store: Store,
    /// The one in use.
    signer: Signer,
    /// All that could be opened.
    signers: Vec<Signer>,
    outside: Outside,
    /// One run at a time on this node.
    turn: tokio::sync::Mutex<Waiting>,
}

impl Chainer {
    pub(super) fn new(store: Store, signer: Signer, signers: Vec<Signer>, folder: PathBuf) -> Self {
        let outside = Outside::new(signer.clone(), signers.clone(), folder);
        Self { store, signer, signers, outside, turn: tokio::sync::Mutex::default() }
    }

    /// Whether the database is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.store.is_closing()
    }

    /// Links everything that could be linked when it was called, and answers how much that was. What comes in meanwhile waits for the
    /// next call: blocks of a few links each would cost more than the links.
    pub(super) async fn run(&self, scribe: &Scribe) -> Result<i64> {
        let mut waiting = self.turn.lock().await;
        let mut linked = 0;
        loop {
            let known = self.outside.head();
            let head = head(&self.store).await?;
            if let Some(known) = known {
                self.compare(&known, &head, scribe).await?;
            }
            let (position, shift) = (head.position, self.signer.shift);
            let (found, is_all) = self.linkable(position, shift).await?;
            if found.is_empty() {
                let waits = self.store.read(Plan::Bounded, move |reader| Box::pin(rows::has_after(reader, position)));
                if let Some(time) = waiting.note(waits.await?, Instant::now()) {
                    tracing::error!(
                        seconds = time.as_secs(),
                        "events wait to be linked into the audit log: a transaction that stays open on the database server, in \
                         whatever database, holds them back (`pg_stat_activity` names it)"
                    );
                }
                return Ok(linked);
            }
            waiting.note(false, Instant::now());
            let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
            match self.append(head, &found, scribe).await {
                Ok(()) if is_all => return Ok(linked + count),
                Ok(()) => linked += count,
                // Another node was first.
                Err(Error::UniqueConflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next rows, and whether these are all. Whole positions only: a row that shares its position with a linked one could not follow
    /// later.
    async fn linkable(&self, after: i64, shift: i64) -> Result<(Vec<Linkable>, bool)> {
        let mut limit = BLOCK;
        loop {
            let mut found = self
                .store
                .read(Plan::Scan, move |reader| Box::pin(rows::linkable(reader, after, shift, limit)))
                .await?;
            if i64::try_from(found.len()).is_ok_and(|count| count < limit) {
                return Ok((found, true));
            }
            let cut = found.last().map(|last| last.position);
            found.retain(|row| Some(row.position) != cut);
            if !found.is_empty() {
                return Ok((found, false));
            }
            limit *= 2;
        }
    }

    async fn append(&self, head: Head, found: &[Linkable], scribe: &Scribe) -> Result<()> {
        let now = scribe.clock.now().as_millis();
        let time = stamp(now);
        let mut hash = head.hash;
        let mut link = head.link;
        let entries: Vec<Link> = found
            .iter()
            .map(|row| {
                link += 1;
                hash = self.signer.key.link(&hash, link, row.seq, &row.mac);
                Link { seq: row.seq, hash }
            })
            .collect();
        let stretches = stretches(found.iter().map(|row| (row.seq, row.account_id.as_deref())));
        let last_position = found.last().map_or(head.position, |row| row.position);
        let (closing, opening) = self.turnover(&head, &time);
        let segment = opening.as_ref().or(head.segment.as_ref()).map_or(1, |segment| segment.number);
        let block = Block {
            number: head.block + 1,
            segment,
            first_link: head.link + 1,
            after_position: head.position,
            last_position,
            entries,
            created: time.clone(),
        };
        let turned = opening.is_some();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if let Some((number, closing)) = closing {
                        rows::close(tx, number, &closing).await?;
                    }
                    if let Some(segment) = opening {
                        rows::open(tx, &segment).await?;
                    }
                    rows::append(tx, block, stretches).await?;
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.outside.keep(link, &hash, now);
        self.outside.checkpoint(link, &hash, now, turned);
        Ok(())
    }

    /// Whether the chain still goes through what this node knows as its end. What comes before it hangs on its hash.
    async fn compare(&self, known: &Checkpoint, head: &Head, scribe: &Scribe) -> Result<()> {
        if known.link == head.link && known.hash == hex(&head.hash) {
            return Ok(());
        }
        let number = known.link;
        let at = self.store.read(Plan::Bounded, move |reader| Box::pin(rows::hash_at(reader, number))).await?;
        let is_there = match at {
            HashAt::Linked(hash) => hex(&hash) == known.hash,
            HashAt::Gone(pruned) => {
                pruned.iter().any(|segment| self.signers.iter().any(|signer| signer.has_pruned(segment)))
            }
        };
        if is_there {
            // Another node went on from there.
            self.outside.keep(head.link, &head.hash, scribe.clock.now().as_millis());
        } else {
            self.outside.lost(known);
        }
        Ok(())
    }

    /// Whether another segment is due: how the one so far ends, and the one that begins.
    fn turnover(&self, head: &Head, time: &str) -> (Option<(i64, Closing)>, Option<Segment>) {
        let begin = |number| Segment {
            number,
            key_id: self.signer.key_id,
            opened: time.to_owned(),
            shift: self.signer.shift,
            first_link: head.link,
            first_hash: head.hash.to_vec(),
            first_position: head.position,
            closing: None,
            pruning: None,
        };
        let Some(segment) = &head.segment else { return (None, Some(begin(1))) };
        let links = head.link - segment.first_link;
        let same_key = segment.key_id == self.signer.key_id;
        let same_day = segment.opened.get(..10) == time.get(..10);
        if same_key && segment.shift == self.signer.shift && same_day && links < SEGMENT {
            return (None, None);
        }
        if links == 0 && same_key && segment.shift == self.signer.shift {
            return (None, None);
        }
        // The end of a segment whose key is lost cannot be sealed: it stays as it is.
        let closing = same_key.then(|| {
            let mut closing = Closing {
                closed: time.to_owned(),
                links,
                last_hash: head.hash.to_vec(),
                last_position: head.position,
                seal: Vec::new(),
            };
            closing.seal = self.signer.closing(segment, &closing).to_vec();
            (segment.number, closing)
        });
        (closing, Some(begin(segment.number + 1)))
    }

    /// A checkpoint at the end of the chain, whether or not one is due.
    pub(super) async fn checkpoint_now(&self, scribe: &Scribe) -> Result<()> {
        let head = head(&self.store).await?;
        if head.link > 0 && !self.outside.is_appended(head.link) {
            self.outside.checkpoint(head.link, &head.hash, scribe.clock.now().as_millis(), true);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_rows_wait_is_said_once_each_time_it_takes_too_long() {
        let (mut waiting, began) = (Waiting::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let said: Vec<u64> =
            [(1, true), (10, true), (11, true), (60, true), (61, false), (62, true), (71, true), (72, true)]
                .into_iter()
                .filter_map(|(seconds, waits)| waiting.note(waits, at(seconds)).map(|_| seconds))
                .collect();
        assert_eq!(said, [11, 72]);
    }
}
