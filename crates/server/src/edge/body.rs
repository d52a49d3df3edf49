//! A request's body on its way in: never more bytes than allowed, a trace of whether it still moves, and what becomes of one that
//! nobody wants to read.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use fastcms_core::Error;
use http::{HeaderMap, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::error::Refusal;

/// A body that brings less than this between two looks at the clock counts as stalled, so that a byte now and then is no sign
/// of life.
const SIGN_OF_LIFE: u64 = 1024;
/// The larger what is held of a body, the more must come of it: this part of it between two looks at the clock.
const SHARE_OF_LIFE: u64 = 64;
/// Bytes that bodies read into memory hold at once, each until it was answered; one more is 503.
const ROOM: usize = 256 * 1024 * 1024;
/// Bodies up to this size are not counted: the number of connections bounds them.
const SMALL: u64 = 16 * 1024;
/// Bytes that one permit of the room stands for.
const UNIT: u64 = 1024;
/// What is taken of a body that nobody read, and how long it is waited for, so that the connection can go on with its next request.
/// Clients send head and body in two pieces, and a refusal is often ready before the second.
const UNWANTED: u64 = 64 * 1024;
const UNWANTED_WAIT: Duration = Duration::from_millis(500);

/// How far a body has come.
#[derive(Debug)]
pub(crate) struct Progress {
    made: Instant,
    /// Milliseconds from `made` to the last sign of life.
    last: AtomicU64,
    finished: AtomicBool,
    /// What was left of the body when its reader went away.
    left: Mutex<Option<Body>>,
    /// The place that the body takes up in memory.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

/// The room of bodies that are read into memory.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROOM / usize::try_from(UNIT).expect("a few bytes")))
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            made: Instant::now(),
            last: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            left: Mutex::new(None),
            place: Mutex::new(None),
        }
    }

    fn keep(&self, more: OwnedSemaphorePermit) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *place {
            Some(place) => place.merge(more),
            None => *place = Some(more),
        }
    }

    /// Reads off what nobody wanted of the body. False: it is too much, or it does not come, and the connection cannot be used again.
    pub(super) async fn read_off(&self) -> bool {
        if self.finished() {
            return true;
        }
        let Some(mut body) = self.left.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return false;
        };
        if body.size_hint().lower() > UNWANTED {
            return false;
        }
        let mut taken = 0;
        let all = poll_fn(|cx| {
            loop {
                match ready!(Pin::new(&mut body).poll_frame(cx)) {
                    None => return Poll::Ready(true),
                    Some(Err(_)) => return Poll::Ready(false),
                    Some(Ok(frame)) => taken += frame.data_ref().map_or(0, |data| data.len() as u64),
                }
                if body.is_end_stream() || taken > UNWANTED {
                    return Poll::Ready(body.is_end_stream());
                }
            }
        });
        tokio::time::timeout(UNWANTED_WAIT, all).await.unwrap_or(false)
    }

    fn note(&self) {
        let millis = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    /// The last sign of life; before there is any, the start.
    pub(crate) fn last(&self) -> Instant {
        self.made + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// The last byte is here.
    pub(crate) fn finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("bodies take up all the memory that they may")]
    NoRoom,
}

impl BodyFault {
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::TooLarge { limit } => Refusal::PayloadTooLarge { limit: *limit },
            Self::NoRoom => Error::Overloaded { retry_after_seconds: 1 }.into(),
        }
    }
}

/// Refuses what announces itself as too large, before a byte of it is read.
pub(super) fn check_announced(headers: &HeaderMap, limit: u64) -> Result<(), Refusal> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) { Err(Refusal::PayloadTooLarge { limit }) } else { Ok(()) }
}

/// A body under watch.
pub(super) struct Watched {
    inner: Body,
    limit: u64,
    read: u64,
    since_sign: u64,
    /// Where it takes its place as it is read into memory, and how much it has; `None`: it is passed on as it comes.
    room: Option<Arc<Semaphore>>,
    reserved: u64,
    progress: Arc<Progress>,
}

impl Watched {
    /// Without a limit so far.
    pub(super) fn new<B>(inner: B, progress: Arc<Progress>) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { inner: Body::new(inner), limit: u64::MAX, read: 0, since_sign: 0, room: None, reserved: SMALL, progress }
    }

    /// The same body, of which no more than so many bytes may be read.
    pub(super) fn within(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// The same body, which its reader will keep whole in memory.
    pub(super) fn in_memory(mut self, room: &Arc<Semaphore>) -> Self {
        self.room = Some(Arc::clone(room));
        self
    }

    /// Takes the place that so many bytes need, as much again ahead: buffers grow like that.
    fn reserve(&mut self) -> bool {
        let Some(room) = &self.room else { return true };
        if self.read <= self.reserved {
            return true;
        }
        let more = (self.read * 2).min(self.limit).saturating_sub(self.reserved).max(UNIT);
        let units = u32::try_from(more.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let place = Arc::clone(room).try_acquire_many_owned(units);
        self.reserved += more;
        place.map(|place| self.progress.keep(place)).is_ok()
    }

    fn needed_for_a_sign(&self) -> u64 {
        let held = if self.room.is_some() { self.read } else { 0 };
        SIGN_OF_LIFE.max(held / SHARE_OF_LIFE)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.progress.finished() {
            let left = std::mem::take(&mut self.inner);
            *self.progress.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.read += length;
                this.since_sign += length;
                if this.read > this.limit {
                    return Poll::Ready(Some(Err(BodyFault::TooLarge { limit: this.limit }.into())));
                }
                if !this.reserve() {
                    return Poll::Ready(Some(Err(BodyFault::NoRoom.into())));
                }
                let ended = this.inner.is_end_stream();
                if ended || this.since_sign >= this.needed_for_a_sign() {
                    this.since_sign = 0;
                    this.progress.note();
                }
                if ended {
                    this.progress.finished.store(true, Ordering::Relaxed);
                }
            }
            None => {
                this.progress.note();
                this.progress.finished.store(true, Ordering::Relaxed);
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
