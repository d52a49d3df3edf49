//! One sliding window: how much was used in the last so many seconds.

use std::collections::VecDeque;

/// Length of a window, and how finely it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Milliseconds.
    pub millis: i64,
    /// Requests that are remembered one by one; of more, those within `millis / runs` of each other are remembered as one run,
    /// which counts until the last of them has left the window. So an exact window admits at most that much earlier.
    pub runs: u32,
}

/// A minute: exact up to 128 requests, beyond that within half a second.
pub const MINUTE: Span = Span { millis: 60_000, runs: 128 };
/// An hour: exact up to 64 requests, beyond that within a minute.
pub const HOUR: Span = Span { millis: 3_600_000, runs: 64 };

/// How far a clock may fall behind what was seen of it before it counts as set back: threads that race for a lock read it in another
/// order than they get in.
const JITTER_MILLIS: i64 = 1_000;

/// Offsets are kept below this, in milliseconds: far below what their type holds.
const REBASE: i64 = 1 << 31;

/// Requests that were made together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// The last of them, milliseconds after the base of the window.
    at: u32,
    count: u32,
}

/// What was used of a window. 8 bytes a run, nothing on the heap while unused.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Oldest first.
    runs: VecDeque<Run>,
    /// Unix milliseconds that offsets count from.
    base: i64,
    /// Offset of the first request of the youngest run.
    youngest: u32,
    used: u32,
}

impl Window {
    /// Forgets what has left the window at `now`, and answers the time to count by: that one, or where the clock fell a little behind
    /// what it was, the latter. A clock that was set back takes the window with it: nothing is forgiven, nobody is shut out.
    pub fn slide(&mut self, now: i64, span: Span) -> i64 {
        let Some(last) = self.runs.back().map(|run| self.base + i64::from(run.at)) else {
            return now;
        };
        let now = if now >= last {
            now
        } else if last - now <= JITTER_MILLIS {
            last
        } else {
            self.base -= last - now;
            now
        };
        self.forget_before(now - span.millis);
        now
    }

    /// As [`Window::slide`], for a window that holds promises for the near future, at most `ahead` milliseconds of it.
    pub(super) fn slide_with_promises(&mut self, now: i64, ahead: i64, span: Span) {
        if let Some(last) = self.runs.back().map(|run| self.base + i64::from(run.at))
            && last > now + ahead + JITTER_MILLIS * 60
        {
            self.base -= last - now - ahead;
        }
        self.forget_before(now - span.millis);
    }

    /// A run counts while less than a window has passed since its last request.
    fn forget_before(&mut self, edge: i64) {
        while let Some(run) = self.runs.front()
            && self.base + i64::from(run.at) <= edge
        {
            self.used -= run.count;
            self.runs.pop_front();
        }
    }

    /// What counts now: right after [`Window::slide`].
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Whether nothing counts.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// What is left of `limit`.
    pub fn room(&self, limit: u32) -> u32 {
        limit.saturating_sub(self.used)
    }

    /// Counts `count` requests at `at`. Whether there is room was asked before.
    pub fn add(&mut self, at: i64, count: u32, limit: u32, span: Span) {
        if count == 0 {
            return;
        }
        self.used = self.used.saturating_add(count);
        let offset = self.offset(at);
        let step = step(limit, span);
        match self.runs.back_mut() {
            Some(run) if offset == run.at => run.count = run.count.saturating_add(count),
            Some(run) if offset > run.at && i64::from(offset - self.youngest) < step => {
                run.at = offset;
                run.count = run.count.saturating_add(count);
            }
            Some(run) if offset < run.at => self.add_before(offset, count, span),
            _ => {
                self.runs.push_back(Run { at: offset, count });
                self.youngest = offset;
            }
        }
    }

    /// Counts at its place among the others; where there are many already, in the first run that ends no earlier: a little longer
    /// than it must, never less.
    fn add_before(&mut self, offset: u32, count: u32, span: Span) {
        let place = self.runs.partition_point(|run| run.at < offset);
        if self.runs.len() < 2 * span.runs as usize && self.runs[place].at > offset {
            self.runs.insert(place, Run { at: offset, count });
        } else {
            self.runs[place].count = self.runs[place].count.saturating_add(count);
        }
    }

    /// Takes back `count` requests that were counted at `at`; nothing if they have left the window since.
    pub fn take_back(&mut self, at: i64, count: u32, limit: u32, span: Span) {
        let Ok(offset) = u32::try_from(at - self.base) else { return };
        let place = self.runs.partition_point(|run| run.at < offset);
        // The run that they became part of ends within a step of them. A later one is somebody else's.
        let reach = step(limit, span);
        let Some(run) = self.runs.get_mut(place).filter(|run| i64::from(run.at - offset) <= reach) else { return };
        let taken = count.min(run.count);
        run.count -= taken;
        self.used -= taken;
        if run.count == 0 {
            self.runs.remove(place);
        }
        if let Some(run) = self.runs.back() {
            self.youngest = self.youngest.min(run.at);
        }
    }

    /// Milliseconds from `now` until `cost` fits under `limit`; 0: it does.
    pub fn wait(&self, now: i64, cost: u32, limit: u32, span: Span) -> i64 {
        let mut used = self.used;
        let mut wait = 0;
        for run in &self.runs {
            if used.saturating_add(cost) <= limit {
                break;
            }
            used -= run.count;
            wait = self.base + i64::from(run.at) + span.millis - now;
        }
        wait
    }

    /// Milliseconds from `now` until something leaves the window; its length when nothing counts.
    pub fn until_first_leaves(&self, now: i64, span: Span) -> i64 {
        self.runs.front().map_or(span.millis, |run| self.base + i64::from(run.at) + span.millis - now)
    }

    fn offset(&mut self, at: i64) -> u32 {
        if self.runs.is_empty() {
            self.base = at;
        } else if let Ok(earlier) = u32::try_from(self.base - at) {
            self.base = at;
            self.youngest = self.youngest.saturating_add(earlier);
            for run in &mut self.runs {
                run.at = run.at.saturating_add(earlier);
            }
        } else if at - self.base > REBASE
            && let Some(shift) = self.runs.front().map(|run| run.at)
        {
            self.base += i64::from(shift);
            self.youngest = self.youngest.saturating_sub(shift);
            for run in &mut self.runs {
                run.at -= shift;
            }
        }
        u32::try_from((at - self.base).max(0)).unwrap_or(u32::MAX)
    }

    /// Runs held: what it costs in memory.
    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Writes the window for another node: base, then offset and count of each run, little-endian.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.base.to_le_bytes());
        into.extend_from_slice(&self.youngest.to_le_bytes());
        into.extend_from_slice(&u32::try_from(self.runs.len()).unwrap_or(u32::MAX).to_le_bytes());
        for run in &self.runs {
            into.extend_from_slice(&run.at.to_le_bytes());
            into.extend_from_slice(&run.count.to_le_bytes());
        }
    }

    /// Reads what [`Window::write`] wrote from the head of `bytes`, and answers the rest; `None`: it is something else.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (base, bytes) = bytes.split_first_chunk::<8>()?;
        let (youngest, bytes) = number(bytes)?;
        let (length, mut bytes) = number(bytes)?;
        let mut window = Self { base: i64::from_le_bytes(*base), youngest, ..Self::default() };
        let mut last = 0;
        for _ in 0..length {
            let (at, rest) = number(bytes)?;
            let (count, rest) = number(rest)?;
            bytes = rest;
            if at < last || count == 0 {
                return None;
            }
            last = at;
            window.used = window.used.checked_add(count)?;
            window.runs.push_back(Run { at, count });
        }
        Some((window, bytes))
    }
}

/// Within so many milliseconds requests are remembered as one run; 0: each by itself.
fn step(limit: u32, span: Span) -> i64 {
    if limit <= span.runs { 0 } else { span.millis / i64::from(span.runs) }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}
