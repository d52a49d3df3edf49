//! The way into the request log: bounded, and never waited for.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastcms_guard::clock::Clock;
use fastcms_guard::ids::Rng;
use fastcms_store::Store;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::url;
use super::writer::Writer;
use crate::caller::{Account, Caller};

/// Requests that may wait to be written; past that they are lost. Two MB of usual URLs, 25 MB of the longest.
pub(super) const CAPACITY: usize = 10_000;
/// Rows written together at most.
pub(super) const BATCH: usize = 500;
/// Longest method kept, bytes: the registered ones are far shorter, but clients may invent some.
const MAX_METHOD: usize = 32;

/// A request that was answered, as the edge saw it.
#[derive(Clone, Copy)]
pub struct Answered<'r> {
    pub method: &'r str,
    /// Path of the URL.
    pub path: &'r str,
    /// Query of the URL, without its `?`. No value of it is kept.
    pub query: Option<&'r str>,
    pub status: u16,
    /// When the request came.
    pub started: Instant,
    /// How long the answer took from there.
    pub took: Duration,
    /// The client address of contract 9.6.
    pub client: IpAddr,
    pub caller: &'r Caller,
    /// `X-Request-ID` of the answer, ASCII.
    pub request_id: [u8; 32],
    /// The request came with a credential that is none of ours.
    pub credential_refused: bool,
}

/// A request that waits to be written. It holds nothing of the request itself: its buffers are free.
pub(super) struct Entry {
    pub(super) method: Cow<'static, str>,
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) started: Instant,
    pub(super) took: Duration,
    pub(super) client: IpAddr,
    pub(super) account: Option<Arc<Account>>,
}

impl Entry {
    fn of(answered: &Answered<'_>) -> Self {
        let account = answered.caller.principal.account().cloned();
        Self {
            method: method(answered.method),
            url: url::redacted(answered.path, answered.query),
            status: answered.status,
            started: answered.started,
            took: answered.took,
            client: answered.client,
            account,
        }
    }
}

/// A method; the usual ones without an allocation.
fn method(sent: &str) -> Cow<'static, str> {
    const USUAL: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"];
    match USUAL.iter().find(|usual| **usual == sent) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(sent.chars().filter(char::is_ascii_graphic).take(MAX_METHOD).collect()),
    }
}

/// What the queue's two ends share.
#[derive(Default)]
pub(super) struct Shared {
    /// Rings when a batch is full: until then nobody is woken, which would cost the request a system call.
    pub(super) full: Notify,
    /// Requests that were not written.
    pub(super) lost: AtomicU64,
}

/// The request log of a running product.
pub struct RequestLog {
    queue: mpsc::Sender<Entry>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    shared: Arc<Shared>,
}

impl RequestLog {
    /// Starts the task that writes; it ends with the last owner of the log. Wants a running tokio runtime.
    pub fn start(store: Store, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        let (log, queue, flushes) = Self::of_capacity(CAPACITY);
        let writer = Writer::new(queue, Arc::clone(&log.shared), store, clock, rng);
        tokio::spawn(writer.run(flushes));
        log
    }

    fn of_capacity(capacity: usize) -> (Self, mpsc::Receiver<Entry>, mpsc::Receiver<oneshot::Sender<()>>) {
        let (queue, entries) = mpsc::channel(capacity);
        let (flushes, asked) = mpsc::channel(1);
        let shared = Arc::default();
        (Self { queue, flushes, shared }, entries, asked)
    }

    /// Takes note of an answered request: a copy into the queue, or a count where the queue is full. Never waits.
    pub fn note(&self, answered: &Answered<'_>) {
        let Ok(place) = self.queue.try_reserve() else {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        place.send(Entry::of(answered));
        if self.queue.max_capacity() - self.queue.capacity() >= BATCH {
            self.shared.full.notify_one();
        }
    }

    /// How many requests were not written since the start: the queue was full, or the store refused.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything noted before is written, or lost.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        // Where the writer has ended there is nothing left to write.
        if self.flushes.send(done).await.is_ok() {
            let _ = written.await;
        }
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLog").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(caller: &Caller) -> Answered<'_> {
        Answered {
            method: "GET",
            path: "/api/v1/collections/posts/records/01912345-0000-7000-8000-000000000001",
            query: None,
            status: 200,
            started: Instant::now(),
            took: Duration::from_micros(50),
            client: IpAddr::from([203, 0, 113, 7]),
            caller,
            request_id: [b'0'; 32],
            credential_refused: false,
        }
    }

    #[test]
    fn what_finds_the_queue_full_is_counted_and_lost() {
        let (log, mut entries, _asked) = RequestLog::of_capacity(3);
        for _ in 0..3 {
            log.note(&answered(&Caller::guest()));
        }
        assert_eq!(log.lost(), 0);
        log.note(&answered(&Caller::guest()));
        assert_eq!(log.lost(), 1);
        assert!(entries.try_recv().is_ok());
        log.note(&answered(&Caller::guest()));
        assert_eq!((log.lost(), entries.len()), (1, 3));
        drop(entries);
        log.note(&answered(&Caller::guest()));
        assert_eq!(log.lost(), 2);
    }

    #[test]
    fn the_writer_is_woken_by_a_full_batch_and_not_before() {
        let (log, _entries, _asked) = RequestLog::of_capacity(CAPACITY);
        let woken = |log: &RequestLog| futures_util::FutureExt::now_or_never(log.shared.full.notified()).is_some();
        for _ in 1..BATCH {
            log.note(&answered(&Caller::guest()));
        }
        assert!(!woken(&log));
        log.note(&answered(&Caller::guest()));
        assert!(woken(&log));
    }

    #[test]
    fn a_strange_method_is_bounded_and_visible() {
        assert_eq!(method("PATCH"), Cow::Borrowed("PATCH"));
        assert_eq!(method("PRO\u{1b}P"), "PROP");
        assert_eq!(method(&"X".repeat(MAX_METHOD + 1)).len(), MAX_METHOD);
    }
}
