//! A socket with a sense of time: it gives up on heads that do not come, on connections that idle and on readers that do not read,
//! and it empties itself before it closes on a client that is still sending.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode, header};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

use super::head::Head;
use crate::edge::Connection;

/// From the first byte of a head (or from the start of the connection) to its last (contract 16).
const HEAD: Duration = Duration::from_secs(10);
/// Between an answer and the next request (contract 16).
const IDLE: Duration = Duration::from_secs(75);
/// A client that takes less than [`LEAST_TAKEN`] of a waiting answer in so long is gone, or holds on to our memory.
const UNWRITABLE: Duration = Duration::from_secs(30);
/// Bytes: 4 KiB a second.
const LEAST_TAKEN: usize = 120 * 1024;
/// What is read and thrown away of a body nobody wants, so that the answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;
/// Most bytes taken from the system at a time, of a head and of a body. hyper makes its buffer larger when a read fills the 8 KiB that
/// it wants to begin with, and each buffer is held for as long as a slow client likes.
const HEAD_AT_ONCE: u64 = 4 * 1024;
const BODY_AT_ONCE: u64 = 8 * 1024 - 1;
/// Bytes of head and body that are joined before they are written: for so few, a copy costs less than handing the system two pieces.
const COPIED: usize = 8 * 1024;
/// A head up to this size costs its connection no place among the large ones.
const SMALL_HEAD: usize = 8 * 1024;

thread_local! {
    /// Where a thread joins what it writes.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What the socket and the requests on it know of each other.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) connection: Connection,
    made: Instant,
    /// A request is under way.
    busy: AtomicBool,
    /// The connection is another protocol's now, and its times are none of ours.
    upgraded: AtomicBool,
    /// When the last one ended, in milliseconds since `made`.
    freed: AtomicU64,
    /// What is written next was asked of us: it answers a request that was handed over, not one that the parser refused.
    asked: AtomicBool,
    /// The head that comes in.
    head: Mutex<Head>,
}

impl Line {
    pub(super) fn new(peer: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            connection: Connection::new(peer),
            made: Instant::now(),
            busy: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            freed: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            head: Mutex::default(),
        })
    }

    /// A request begins.
    pub(super) fn begin(&self) {
        self.busy.store(true, Ordering::Relaxed);
        self.connection.unread.store(false, Ordering::Relaxed);
    }

    /// Its answer has been handed over.
    pub(super) fn end(&self) {
        let millis = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.freed.store(millis, Ordering::Relaxed);
        self.busy.store(self.upgraded.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// From here on the connection counts as busy for ever.
    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    fn idle_since(&self) -> Instant {
        self.made + Duration::from_millis(self.freed.load(Ordering::Relaxed))
    }

    /// Forgets the head of the request that begins, and says whether it was sound; only one of a body in chunks is looked at.
    pub(super) fn take_head(&self, headers: &HeaderMap) -> bool {
        self.asked.store(true, Ordering::Relaxed);
        let head = std::mem::take(&mut *self.head());
        let Some(encoding) = headers.get(header::TRANSFER_ENCODING) else { return true };
        // A body in chunks is all that is understood: `gzip, chunked` would be read by others as something else.
        encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") && head.is_sound(headers.len())
    }

    fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a connection that reads is waiting for, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The rest of a head.
    Head(Instant),
    /// The next request.
    Idle(Instant),
    /// Nothing: a request is under way.
    Nothing,
}

pub(super) struct Socket {
    /// Each read has its own limit.
    stream: Take<TcpStream>,
    line: Arc<Line>,
    waiting: Waiting,
    /// Armed lazily: it may ring early and is then set again, so that a request costs no timer.
    alarm: Option<Pin<Box<Sleep>>>,
    write_alarm: Option<Pin<Box<Sleep>>>,
    /// Bytes that the client took since the alarm was set, and whether it is being waited for.
    taken: usize,
    blocked: bool,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
    refuse: Refuse,
    /// The places of large heads, and ours among them: kept to the end, as the parser keeps its buffer.
    large_heads: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
    /// What goes out in place of an answer of the parser, and how many bytes that had.
    replaced: Option<(Bytes, usize)>,
}

/// Our answer with this status, in place of the parser's bare one, if we have one.
pub(super) type Refuse = Box<dyn Fn(StatusCode) -> Option<Bytes> + Send>;

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, what)
}

impl Socket {
    pub(super) fn new(stream: TcpStream, line: Arc<Line>, refuse: Refuse, large_heads: Arc<Semaphore>) -> Self {
        let waiting = Waiting::Head(Instant::now());
        Self {
            stream: stream.take(0),
            line,
            waiting,
            alarm: None,
            write_alarm: None,
            taken: 0,
            blocked: false,
            linger: None,
            refuse,
            large_heads,
            place: None,
            replaced: None,
        }
    }

    /// Whether `bytes` are an answer that the parser gave without asking us; ours is then to be written instead.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if self.replaced.is_none() && !self.line.asked.load(Ordering::Relaxed) {
            let status = bytes.strip_prefix(b"HTTP/1.1 ").and_then(|rest| StatusCode::from_bytes(rest.get(..3)?).ok());
            let status = status.map(|status| self.line.head().verdict(status));
            self.replaced = status.and_then(|status| (self.refuse)(status)).map(|ours| (ours, bytes.len()));
            if self.replaced.is_some() {
                self.line.connection.unread.store(true, Ordering::Relaxed);
            }
        }
        self.replaced.is_some()
    }

    /// Notes what came of a head. One that grows large needs a place; without it the connection ends here.
    fn note_head(&mut self, came: usize) -> io::Result<()> {
        if came > SMALL_HEAD && self.place.is_none() {
            self.place = Arc::clone(&self.large_heads).try_acquire_owned().ok();
            if self.place.is_none() {
                // Nothing was sent yet, so there is room for this; and if there is not, closing says enough.
                let text = (self.refuse)(StatusCode::SERVICE_UNAVAILABLE).unwrap_or_default();
                let _ = self.stream.get_ref().try_write(&text);
                return Err(io::Error::new(ErrorKind::OutOfMemory, "too many large heads at once"));
            }
        }
        if let Waiting::Idle(_) = self.waiting {
            self.waiting = Waiting::Head(Instant::now());
        }
        Ok(())
    }

    /// Writes all of the replacement, and counts it as what it replaces.
    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some((ours, theirs)) = &mut self.replaced {
            if ours.is_empty() {
                let theirs = *theirs;
                self.replaced = None;
                return Poll::Ready(Ok(theirs));
            }
            let outcome = Pin::new(self.stream.get_mut()).poll_write(cx, ours);
            let count = ready!(self.poll_unwritable(cx, outcome))?;
            if let Some((ours, _)) = &mut self.replaced {
                ours.advance(count);
            }
        }
        Poll::Ready(Ok(0))
    }

    /// Ready when what the connection waits for did not come in time.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (deadline, what) = match self.waiting {
            Waiting::Head(since) => (Some(since + HEAD), "the head did not come in time"),
            Waiting::Idle(since) => (Some(since + IDLE), "the connection idled"),
            Waiting::Nothing => (None, ""),
        };
        // Where nothing is waited for, the request may end without this being called again: look then whether the connection idles.
        let next = || deadline.unwrap_or_else(|| Instant::now() + IDLE);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next())));
        if deadline.is_some_and(|deadline| alarm.deadline() > deadline) || alarm.is_elapsed() {
            alarm.as_mut().reset(next());
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Poll::Ready(timed_out(what));
            }
            alarm.as_mut().reset(next());
        }
        Poll::Pending
    }

    /// The outcome of a write; one that stays pending for too long fails, and so does one of many that get on too slowly.
    fn poll_unwritable(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = outcome {
            self.taken = self.taken.saturating_add(*written.as_ref().unwrap_or(&0));
            self.blocked = false;
            return Poll::Ready(written);
        }
        let ends = Instant::now() + UNWRITABLE;
        let alarm = self.write_alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now())));
        // An alarm that went by while nobody was waited for means nothing.
        if !self.blocked && alarm.deadline() <= Instant::now() {
            self.taken = 0;
            alarm.as_mut().reset(ends);
        }
        self.blocked = true;
        while alarm.as_mut().poll(cx).is_ready() {
            // A window that began with an earlier answer says nothing of this one.
            let is_whole = alarm.deadline() >= self.line.idle_since() + UNWRITABLE;
            if is_whole && self.taken < LEAST_TAKEN {
                return Poll::Ready(Err(timed_out("the client does not read")));
            }
            self.taken = 0;
            alarm.as_mut().reset(ends);
        }
        Poll::Pending
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let busy = this.line.busy.load(Ordering::Relaxed);
        if busy {
            this.waiting = Waiting::Nothing;
        } else if this.line.asked.swap(false, Ordering::Relaxed) || this.waiting == Waiting::Nothing {
            this.waiting = Waiting::Idle(this.line.idle_since());
        }
        this.stream.set_limit(if busy { BODY_AT_ONCE } else { HEAD_AT_ONCE });
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if outcome.is_pending() {
            return this.poll_late(cx).map(Err);
        }
        let piece = &buffer.filled()[before..];
        if !busy && !piece.is_empty() {
            let came = {
                let mut head = this.line.head();
                head.push(piece);
                head.bytes()
            };
            this.note_head(came)?;
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return self.poll_replacement(cx);
        }
        let outcome = Pin::new(self.stream.get_mut()).poll_write(cx, bytes);
        self.poll_unwritable(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(slices.first().map_or(&[], |slice| slice)) {
            return self.poll_replacement(cx);
        }
        let outcome = if slices.len() > 1 && slices.iter().map(|slice| slice.len()).sum::<usize>() <= COPIED {
            JOINED.with_borrow_mut(|joined| {
                joined.clear();
                for slice in slices {
                    joined.extend_from_slice(slice);
                }
                Pin::new(self.stream.get_mut()).poll_write(cx, joined)
            })
        } else {
            Pin::new(self.stream.get_mut()).poll_write_vectored(cx, slices)
        };
        self.poll_unwritable(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(this.stream.get_mut()).poll_shutdown(cx))?;
        if !this.line.connection.unread.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let (until, left) = this.linger.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES));
        let mut scratch = [0; 16 * 1024];
        while *left > 0 && until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(this.stream.get_mut()).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    *left = left.saturating_sub(buffer.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
