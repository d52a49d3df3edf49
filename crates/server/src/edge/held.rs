//! Answers that wait for their readers: how much memory they hold in all. Each is complete before its first byte leaves, and a client
//! that reads slowly, or not at all, keeps it there (contract 16, connections: a thousand clients are enough).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use fastcms_core::Error;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Refusal;

/// Bytes that large answers hold at once; one more is 503.
const MOST: u64 = 256 * 1024 * 1024;
/// Answers up to this size are not counted: the number of connections bounds them.
const SMALL: u64 = 64 * 1024;
/// What is handed to the connection at a time.
const PIECE: usize = 64 * 1024;
/// What one permit stands for.
const UNIT: u64 = 1024;

/// The room for large answers.
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        Self::of(MOST)
    }

    fn of(bytes: u64) -> Self {
        Self(Arc::new(Semaphore::new(usize::try_from(bytes / UNIT).unwrap_or(Semaphore::MAX_PERMITS))))
    }

    /// The answer, with its place taken until its last byte was read or its reader is gone.
    pub(super) fn hold(&self, response: Response) -> Result<Response, Refusal> {
        let size = match response.body().size_hint().exact() {
            Some(size) if size > SMALL => size,
            _ => return Ok(response),
        };
        let units = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX);
        match Arc::clone(&self.0).try_acquire_many_owned(units) {
            Ok(place) => Ok(response.map(|body| Body::new(Held { body, rest: Bytes::new(), _place: place }))),
            Err(_) => Err(Error::Overloaded { retry_after_seconds: 1 }.into()),
        }
    }
}

/// A body and its place. It is handed over a piece at a time, and each piece is a copy: what the connection still has to write must
/// not keep all of the answer.
struct Held {
    body: Body,
    rest: Bytes,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let size = self.rest.len().min(PIECE);
        let piece = Bytes::copy_from_slice(&self.rest.split_to(size));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(size: u64) -> Response {
        Response::new(Body::from(vec![0; usize::try_from(size).unwrap()]))
    }

    #[test]
    fn large_answers_share_a_room_and_small_ones_need_none() {
        let room = Room::of(2 * SMALL + 2 * UNIT);
        let first = room.hold(answer(SMALL + UNIT)).ok().unwrap();
        assert_eq!(first.body().size_hint().exact(), Some(SMALL + UNIT));
        let second = room.hold(answer(SMALL + 1)).ok().unwrap();
        assert!(room.hold(answer(SMALL + 1)).is_err(), "one more");
        assert!(room.hold(answer(SMALL)).is_ok());
        drop(first);
        assert!(room.hold(answer(SMALL + 1)).is_ok());
        drop(second);
    }

    #[tokio::test]
    async fn a_large_answer_comes_whole_in_pieces_that_do_not_hold_it() {
        use http_body_util::BodyExt;

        let room = Room::of(4 * SMALL);
        let sent: Vec<u8> = (0..3 * SMALL + 7).map(|at| at.to_le_bytes()[0]).collect();
        let mut body = room.hold(Response::new(Body::from(sent.clone()))).ok().unwrap().into_body();
        let (mut came, mut pieces) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            let left = sent.len() - came.len() - piece.len();
            assert_eq!(body.size_hint().exact(), u64::try_from(left).ok());
            came.extend_from_slice(&piece);
            pieces += 1;
        }
        assert_eq!((came == sent, pieces), (true, 4));
        assert!(room.hold(answer(2 * SMALL)).is_err(), "still in its place");
        drop(body);
        assert!(room.hold(answer(2 * SMALL)).is_ok());
    }
}
