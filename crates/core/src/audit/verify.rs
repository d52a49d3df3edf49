//! Proving that nobody has touched the log: every row is read again, its signature and its link made again, in order. The first that
//! disagrees is named. Memory is bounded whatever the size of the log: one block at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use fastcms_guard::chain::{Hash, START};
use fastcms_store::audit::accounts;
use fastcms_store::audit::chain::{self as rows, Block, Closing, Link, PlacedRow, Segment};
use fastcms_store::{Plan, Store};

use super::chain::BLOCK;
use super::checkpoints::Checkpoint;
use super::signer::{Signer, hash_of, hex};
use crate::access::{self, Permission};
use crate::app::App;
use crate::caller::Caller;
use crate::data_keys;
use crate::error::Result;
use crate::time::{millis, stamp};

/// For questions to all rows at once: ids are compared each with each, and no index keeps them, so that all are sorted, which takes
/// seconds a million.
const WHOLE: Plan = Plan::Within(Duration::from_hours(1));

/// An event is linked within moments; a clock may be behind by so much, and a transaction take so long, before an event is said to be
/// older than what is before it.
const SLACK: i64 = 3_600_000;

/// What verifying came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Links that were made again and agree.
    pub links: i64,
    /// Links of segments whose rows were taken away by retention; their ends are sealed.
    pub pruned: i64,
    /// Events, those taken away by retention among them, under keys that are stored and cannot be opened: nothing can be said of them.
    pub unreadable: i64,
    /// Rows not linked yet, each with a good signature. Of those, a deletion would not be seen.
    pub tail: i64,
    /// Checkpoints that the chain was held against.
    pub checkpoints: usize,
    /// Checkpoints that none of the keys made that could be opened: nothing can be held against them, so that what they were kept for is
    /// not shown.
    pub strangers: usize,
    /// The first thing that is wrong.
    pub finding: Option<Finding>,
}

impl Report {
    /// Whether everything was looked at, and nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.finding.is_none() && self.unreadable == 0 && self.strangers == 0
    }
}

/// Something is wrong here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, as a sentence.
    pub what: String,
    /// The audit row, as far as it is known.
    pub row_id: Option<String>,
    /// Its number in the table.
    pub seq: Option<i64>,
    /// Number of the link.
    pub link: Option<i64>,
}

impl Finding {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), row_id: None, seq: None, link: None }
    }

    fn row(mut self, row: &PlacedRow) -> Self {
        self.row_id = Some(row.row.id.clone());
        self.seq = Some(row.seq);
        self
    }

    fn seq(mut self, seq: i64) -> Self {
        self.seq = Some(seq);
        self
    }

    fn link(mut self, link: i64) -> Self {
        self.link = Some(link);
        self
    }
}

/// Ends a walk early: a finding, or a fault of the store.
enum Stop {
    Found(Finding),
    Failed(crate::error::Error),
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

impl From<crate::error::Error> for Stop {
    fn from(error: crate::error::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<fastcms_store::Error> for Stop {
    fn from(error: fastcms_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Verifies the whole log against its keys and against `checkpoints` kept elsewhere. `progress` is told how many links were checked.
pub async fn verify(
    caller: &Caller,
    app: &App,
    checkpoints: &[Checkpoint],
    progress: &mut (dyn FnMut(i64) + Send),
) -> Result<Report> {
    access::require(caller, Permission::AuditRead)?;
    let signers = app.audit.signers.iter().map(|signer| (signer.key_id, signer)).collect();
    let stored = data_keys::stored(&app.store, super::PURPOSE).await?;
    let (known, strangers) = known(checkpoints, &app.audit.signers);
    let mut walk = Walk {
        store: &app.store,
        signers,
        stored: stored.iter().map(|key| key.id).collect(),
        checkpoints: known,
        report: Report { strangers, ..Report::default() },
        link: 0,
        hash: START,
        position: 0,
        pruned_to: None,
        oldest: String::new(),
        progress,
    };
    match walk.all().await {
        Ok(()) => Ok(walk.report),
        Err(Stop::Found(finding)) => Ok(Report { finding: Some(finding), ..walk.report }),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Those of `checkpoints` that a known key made, in the order of their links; and how many others there are. Those may be forged, so
/// they prove nothing; but whoever takes the key away with the log must not have the checkpoints forgotten with it.
fn known(checkpoints: &[Checkpoint], signers: &[Signer]) -> (VecDeque<Checkpoint>, usize) {
    let (mut known, strangers): (Vec<_>, Vec<_>) =
        checkpoints.iter().cloned().partition(|checkpoint| checkpoint.is_by_any(signers));
    known.sort_by_key(|checkpoint| checkpoint.link);
    (known.into(), strangers.len())
}

struct Walk<'w> {
    store: &'w Store,
    signers: HashMap<i64, &'w Signer>,
    /// Numbers of all keys that the log has or had, those that cannot be opened among them.
    stored: HashSet<i64>,
    checkpoints: VecDeque<Checkpoint>,
    report: Report,
    /// Where the walk is: number and hash of the last link, position of the last row.
    link: i64,
    hash: Hash,
    position: i64,
    /// When the last segment ended that retention took away, as it is sealed.
    pruned_to: Option<String>,
    /// No event that follows here can have been before: it would have gone by retention.
    oldest: String,
    progress: &'w mut (dyn FnMut(i64) + Send),
}

impl Walk<'_> {
    async fn all(&mut self) -> Result<(), Stop> {
        let segments = self.store.read(Plan::Scan, |reader| Box::pin(rows::segments(reader))).await?;
        let before = self.store.read(Plan::Scan, |reader| Box::pin(rows::rows_between(reader, i64::MIN, 0, 1))).await?;
        if let Some(row) = before.first() {
            return Err(Finding::new("a row was put before the first of the log").row(row).into());
        }
        let mut block = 0;
        for (at, segment) in segments.iter().enumerate() {
            self.begin(segment, at)?;
            block = self.segment(segment, block).await?;
        }
        self.report.tail = self.rows_up_to(i64::MAX).await?;
        if let Some(checkpoint) = self.checkpoints.front() {
            let missing = format!(
                "the chain ends at link {}, but a checkpoint of {} knows link {}: rows were taken from its end",
                self.link, checkpoint.time, checkpoint.link
            );
            return Err(Finding::new(missing).link(self.link + 1).into());
        }
        let doubled = self.store.read(WHOLE, |reader| Box::pin(rows::doubled_id(reader))).await?;
        if let Some((id, seq)) = doubled {
            return Err(Finding { row_id: Some(id), ..Finding::new("two rows have the same id").seq(seq) }.into());
        }
        self.accounts().await
    }

    /// Whether each event is found under its account, and once.
    async fn accounts(&self) -> Result<(), Stop> {
        let linked = self.position;
        let (unfound, found_twice) = self
            .store
            .read(WHOLE, move |reader| {
                Box::pin(async move {
                    let unfound = accounts::unfound(reader, linked).await?;
                    Ok::<_, fastcms_store::Error>((unfound, accounts::found_twice(reader).await?))
                })
            })
            .await?;
        if let Some((id, seq)) = unfound {
            let what = Finding::new("the row is not listed under its account: what leads to it was taken away");
            return Err(Finding { row_id: Some(id), ..what.seq(seq) }.into());
        }
        if let Some(seq) = found_twice {
            return Err(Finding::new("rows are listed twice under their account: what leads to them was added to")
                .seq(seq)
                .into());
        }
        Ok(())
    }

    /// A segment goes on where the one before it ended.
    fn begin(&self, segment: &Segment, at: usize) -> Result<(), Finding> {
        let number = i64::try_from(at).unwrap_or(i64::MAX) + 1;
        let follows = segment.number == number
            && segment.first_link == self.link
            && hash_of(&segment.first_hash) == self.hash
            && segment.first_position == self.position;
        if follows {
            return Ok(());
        }
        Err(Finding::new(format!("segment {} does not follow on what is before it", segment.number))
            .link(self.link + 1))
    }

    /// Walks one segment and answers the number of its last block.
    async fn segment(&mut self, segment: &Segment, mut last: i64) -> Result<i64, Stop> {
        let signer = self.signers.get(&segment.key_id).copied();
        if !self.stored.contains(&segment.key_id) {
            let what = format!("segment {} names a key that does not exist", segment.number);
            return Err(Finding::new(what).link(segment.first_link + 1).into());
        }
        if let (Some(signer), Some(closing)) = (signer, &segment.closing)
            && signer.closing(segment, closing).as_slice() != closing.seal
        {
            return Err(Finding::new(format!("the end of segment {} was changed", segment.number)).into());
        }
        if let (Some(pruning), Some(closing)) = (&segment.pruning, &segment.closing) {
            if signer.is_some_and(|signer| !signer.is_pruned(closing, pruning)) {
                return Err(Finding::new(format!("segment {} was not pruned by us", segment.number)).into());
            }
            match signer {
                Some(_) => self.report.pruned += closing.links,
                None => self.report.unreadable += closing.links,
            }
            self.pruned(segment, closing).await?;
            if signer.is_some() {
                self.ended(&closing.closed);
            }
            return Ok(last);
        }
        let number = segment.number;
        while let Some(block) =
            self.store.read(Plan::Scan, move |reader| Box::pin(rows::block_after(reader, number, last))).await?
        {
            last = block.number;
            if let Some(signer) = signer {
                self.block(signer, block).await?;
            } else {
                self.unreadable(&block)?;
            }
        }
        if let Some(closing) = &segment.closing
            && (self.link != segment.first_link + closing.links || hash_of(&closing.last_hash) != self.hash)
        {
            let what = format!("links are missing at the end of segment {number}");
            return Err(Finding::new(what).link(self.link + 1).into());
        }
        Ok(last)
    }

    /// Passes over a segment that retention took away. Rows that are still to go are ours; once its blocks are gone there are none.
    async fn pruned(&mut self, segment: &Segment, closing: &Closing) -> Result<(), Stop> {
        let (number, after, last) = (segment.number, segment.first_position, closing.last_position);
        let first = self
            .store
            .read(Plan::Scan, move |reader| {
                Box::pin(async move {
                    let is_swept = rows::block_after(reader, number, 0).await?.is_none();
                    let first = rows::rows_between(reader, after, last, 1).await?.pop();
                    Ok::<_, fastcms_store::Error>(first.filter(|_| is_swept))
                })
            })
            .await?;
        if let Some(row) = first {
            return Err(Finding::new("a row that retention took away was put back").row(&row).into());
        }
        self.rows_up_to(last).await?;
        self.skip(segment.first_link + closing.links, &closing.last_hash, last);
        Ok(())
    }

    /// Takes note of when a pruned segment ended. An event may be linked long after it happened, when nobody was there to do it, but then
    /// what follows on the segment before it is this one's: none is older than the beginning of the last segment that went.
    fn ended(&mut self, closed: &str) {
        if let Some(before) = self.pruned_to.replace(closed.to_owned()) {
            self.oldest = millis(&before).map(|before| stamp(before - SLACK)).unwrap_or_default();
        }
    }

    /// Passes over links whose key cannot be opened. What was said of them outside holds all the same.
    fn unreadable(&mut self, block: &Block) -> Result<(), Finding> {
        let count = i64::try_from(block.entries.len()).unwrap_or(i64::MAX);
        while let Some(checkpoint) = self.checkpoints.front().filter(|known| known.link <= self.link + count) {
            let at = usize::try_from(checkpoint.link - self.link - 1).ok().and_then(|at| block.entries.get(at));
            if at.is_none_or(|entry| hex(&entry.hash) != checkpoint.hash) {
                let what =
                    format!("the chain up to here is not the one that a checkpoint of {} knows", checkpoint.time);
                return Err(Finding::new(what).link(checkpoint.link));
            }
            self.report.checkpoints += 1;
            self.checkpoints.pop_front();
        }
        self.report.unreadable += count;
        let hash = block.entries.last().map(|link| link.hash.to_vec()).unwrap_or_default();
        self.skip(self.link + count, &hash, block.last_position);
        Ok(())
    }

    fn skip(&mut self, link: i64, hash: &[u8], position: i64) {
        (self.link, self.hash, self.position) = (link, hash_of(hash), position);
        while self.checkpoints.front().is_some_and(|checkpoint| checkpoint.link <= link) {
            self.checkpoints.pop_front();
        }
    }

    async fn block(&mut self, signer: &Signer, block: Block) -> Result<(), Stop> {
        if block.first_link != self.link + 1 || block.after_position != self.position {
            let what = format!("block {} does not follow on what is before it: links were taken out", block.number);
            return Err(Finding::new(what).link(self.link + 1).into());
        }
        let (after, last) = (block.after_position, block.last_position);
        // One more than there should be, so that a row too many is seen.
        let limit = i64::try_from(block.entries.len()).unwrap_or(i64::MAX - 1) + 1;
        let found =
            self.store.read(Plan::Scan, move |reader| Box::pin(rows::rows_between(reader, after, last, limit))).await?;
        let mut found = found.into_iter().collect::<VecDeque<_>>();
        for (at, entry) in block.entries.iter().enumerate() {
            let Some(row) = found.pop_front() else { return Err(missing(entry, self.link + 1).into()) };
            if row.seq != entry.seq {
                found.push_front(row);
                return Err(out_of_place(&block.entries[at..], &found, self.link + 1).into());
            }
            self.row(signer, entry, &row)?;
        }
        if let Some(row) = found.front() {
            return Err(Finding::new("a row was put between others").row(row).into());
        }
        self.position = block.last_position;
        (self.progress)(self.report.links);
        Ok(())
    }

    fn row(&mut self, signer: &Signer, entry: &Link, row: &PlacedRow) -> Result<(), Finding> {
        let link = self.link + 1;
        self.signature(row).map_err(|finding| finding.link(link))?;
        let hash = signer.key.link(&self.hash, link, row.seq, &row.row.mac);
        if hash != entry.hash {
            return Err(Finding::new("the row is not the one that was linked here").row(row).link(link));
        }
        (self.link, self.hash) = (link, hash);
        self.report.links += 1;
        while let Some(checkpoint) = self.checkpoints.front().filter(|checkpoint| checkpoint.link == link) {
            if checkpoint.hash != hex(&hash) {
                let what =
                    format!("the chain up to here is not the one that a checkpoint of {} knows", checkpoint.time);
                return Err(Finding::new(what).row(row).link(link));
            }
            self.report.checkpoints += 1;
            self.checkpoints.pop_front();
        }
        Ok(())
    }

    /// Whether the row says what was signed, and of a time that may stand here. Under a key that cannot be opened nothing can be said.
    fn signature(&mut self, row: &PlacedRow) -> Result<(), Finding> {
        if row.row.created < self.oldest {
            return Err(Finding::new("a row of a time that retention took away was put back").row(row));
        }
        match self.signers.get(&row.row.key_id) {
            Some(signer) if signer.row(&row.row).as_slice() == row.row.mac => Ok(()),
            Some(_) => Err(Finding::new("the row was changed, or was not written by us").row(row)),
            None if self.stored.contains(&row.row.key_id) => {
                self.report.unreadable += 1;
                Ok(())
            }
            None => Err(Finding::new("the row names a key that does not exist").row(row)),
        }
    }

    /// Looks at the rows from here to a position, that one included, which no link is held against; answers how many they are.
    async fn rows_up_to(&mut self, position: i64) -> Result<i64, Stop> {
        let mut count = 0;
        // Rows of one position may lie on both sides of nothing: positions are linked whole.
        let mut place = (self.position, i64::MAX);
        if self.store.dialect() == fastcms_store::Dialect::Sqlite {
            place = (self.position, self.position);
        }
        loop {
            let after = place;
            let found =
                self.store.read(Plan::Scan, move |reader| Box::pin(rows::rows_after(reader, after, BLOCK))).await?;
            let Some(last) = found.last() else { return Ok(count) };
            place = (last.position, last.seq);
            for row in &found {
                if row.position > position {
                    return Ok(count);
                }
                self.signature(row)?;
                count += 1;
            }
        }
    }
}

fn missing(entry: &Link, link: i64) -> Finding {
    Finding::new("a row was deleted").seq(entry.seq).link(link)
}

/// Rows and links have parted: which of the ways was it?
fn out_of_place(entries: &[Link], found: &VecDeque<PlacedRow>, link: i64) -> Finding {
    let (Some(entry), Some(row)) = (entries.first(), found.front()) else {
        return Finding::new("rows and links have parted").link(link);
    };
    let linked: HashSet<i64> = entries.iter().map(|entry| entry.seq).collect();
    if !linked.contains(&row.seq) {
        return Finding::new("a row was put between others").row(row).link(link);
    }
    if found.iter().any(|row| row.seq == entry.seq) {
        return Finding::new("rows were brought into another order").seq(entry.seq).link(link);
    }
    missing(entry, link)
}
