//! Multipart bodies, part by part, as they come. The parser is multer's; what it may take in at a time is ours to say, since it reads as
//! much as there is and looks for the end of a part's headers however long they are.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    BoxError,
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use futures_util::{Stream, future::poll_fn};
use http::{HeaderValue, header};
use http_body::Body as _;

use super::{Argument, json::check_encoding};
use crate::{api::operation::Docs, edge::body::BodyFault, error::Refusal};

/// Most parts, and the longest part that is no file, bytes (contract 16).
const MAX_PARTS: usize = 50;
pub(crate) const MAX_FIELD: usize = fastcms_core::files::MAX_FIELD;
/// Longest head of a part, or text before the first, bytes.
const MAX_HEAD: usize = 32 * 1024;
/// What the parser gets at a time.
const PIECE: usize = 16 * 1024;
/// What it may take in for one piece of a part's content.
const MAX_PENDING: usize = 8 * PIECE;
/// Longest boundary, bytes (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;
/// What may come behind the last part, bytes.
const MAX_EPILOGUE: usize = 64 * 1024;

/// A multipart body under way.
pub struct Multipart {
    parser: multer::Multipart<'static>,
    source: Arc<Mutex<Source>>,
    parts: usize,
}

/// One part of it.
pub struct Part {
    field: multer::Field<'static>,
    source: Arc<Mutex<Source>>,
}

/// The body, handed on in small pieces.
struct Source {
    body: Body,
    rest: Bytes,
    /// What may still be handed on before the parser has to show something for it.
    allowance: usize,
    /// A piece was just handed on: the parser looks at it before it gets another.
    resting: bool,
}

/// The parser took in all it may and found nothing.
#[derive(Debug, thiserror::Error)]
#[error("the head of a part is too long")]
struct HeadTooLong;

impl Source {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if self.resting {
            self.resting = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into_inner()))),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let size = self.rest.len().min(PIECE);
        if size > self.allowance {
            return Poll::Ready(Some(Err(HeadTooLong.into())));
        }
        self.allowance -= size;
        self.resting = true;
        Poll::Ready(Some(Ok(self.rest.split_to(size))))
    }
}

/// What the parser sees of the body.
struct Pieces(Arc<Mutex<Source>>);

impl Stream for Pieces {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_piece(cx)
    }
}

fn allow(source: &Mutex<Source>, bytes: usize) {
    source.lock().unwrap_or_else(PoisonError::into_inner).allowance = bytes;
}

impl Multipart {
    /// The next part; the one before must have been read to its end.
    pub async fn next(&mut self) -> Result<Option<Part>, Refusal> {
        allow(&self.source, MAX_HEAD);
        let Some(field) = self.parser.next_field().await.map_err(refusal)? else {
            self.finish().await?;
            return Ok(None);
        };
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Refusal::PayloadTooLarge { limit: MAX_PARTS as u64 });
        }
        Ok(Some(Part { field, source: Arc::clone(&self.source) }))
    }

    /// Reads what comes behind the last part, so that the connection can go on.
    async fn finish(&mut self) -> Result<(), Refusal> {
        allow(&self.source, MAX_EPILOGUE);
        loop {
            let piece = poll_fn(|cx| self.source.lock().unwrap_or_else(PoisonError::into_inner).poll_piece(cx)).await;
            match piece {
                None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(source_refusal(error)),
            }
        }
    }
}

impl Part {
    pub fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// As it was sent; `None` for a part that is no file.
    pub fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    pub fn content_type(&self) -> Option<&str> {
        self.field.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
    }

    /// The next piece of its content.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        allow(&self.source, MAX_PENDING);
        self.field.chunk().await.map_err(refusal)
    }

    /// Its content as text.
    pub async fn text(mut self) -> Result<String, Refusal> {
        let mut text = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if text.len() + chunk.len() > MAX_FIELD {
                return Err(Refusal::PayloadTooLarge { limit: MAX_FIELD as u64 });
            }
            text.extend_from_slice(&chunk);
        }
        String::from_utf8(text).map_err(|_| Refusal::field(self.name(), "Must be a string"))
    }
}

fn refusal(error: multer::Error) -> Refusal {
    match error {
        multer::Error::StreamReadFailed(cause) => source_refusal(cause),
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => Refusal::BadRequest("The multipart body is not complete"),
        _ => Refusal::BadRequest("The multipart body is malformed"),
    }
}

fn source_refusal(cause: BoxError) -> Refusal {
    match cause.downcast::<BodyFault>() {
        Ok(fault) => fault.refusal(),
        Err(cause) if cause.is::<HeadTooLong>() => Refusal::PayloadTooLarge { limit: MAX_HEAD as u64 },
        Err(_) => Refusal::BadRequest("The body ended early"),
    }
}

impl Argument for Multipart {
    fn describe(docs: &mut Docs) {
        docs.form.get_or_insert_with(|| serde_json::json!({"type": "object"}));
    }
}

impl<S: Sync> FromRequest<S> for Multipart {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str).and_then(Result::ok);
        let boundary = multer::parse_boundary(kind.unwrap_or_default()).map_err(|error| match error {
            multer::Error::NoBoundary => Refusal::BadRequest("The multipart body has no boundary"),
            _ => Refusal::UnsupportedMediaType("The body must be sent as multipart/form-data"),
        })?;
        check_encoding(&parts.headers)?;
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
            return Err(Refusal::BadRequest("The boundary of the multipart body is empty or too long"));
        }
        let source = Source { body, rest: Bytes::new(), allowance: 0, resting: false };
        let source = Arc::new(Mutex::new(source));
        let parser = multer::Multipart::new(Pieces(Arc::clone(&source)), boundary);
        Ok(Self { parser, source, parts: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(body: Vec<u8>) -> Multipart {
        let request = Request::post("/").header(header::CONTENT_TYPE, "multipart/form-data; boundary=B");
        Multipart::from_request(request.body(Body::from(body)).unwrap(), &()).await.unwrap()
    }

    async fn read(body: Vec<u8>) -> Result<Vec<(String, usize)>, Refusal> {
        let (mut form, mut found) = (of(body).await, Vec::new());
        while let Some(mut part) = form.next().await? {
            let (name, mut size) = (part.name().to_owned(), 0);
            while let Some(chunk) = part.chunk().await? {
                assert!(chunk.len() <= MAX_PENDING);
                size += chunk.len();
            }
            found.push((name, size));
        }
        Ok(found)
    }

    fn part(name: &str, head: &str, content: &[u8]) -> Vec<u8> {
        let head = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{head}\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    }

    #[tokio::test]
    async fn parts_come_whole_in_pieces() {
        let large: Vec<u8> = (0..3_000_000_u32).map(|at| if at % 7 == 0 { b'\r' } else { b'-' }).collect();
        let body =
            [part("a", "", b""), part("b", "X: y\r\n", &large), part("c", "", b"1"), b"--B--\r\n".to_vec()].concat();
        let wanted = [("a", 0), ("b", large.len()), ("c", 1)].map(|(name, size)| (name.to_owned(), size));
        assert_eq!(read(body).await.ok(), Some(wanted.to_vec()));
    }

    #[tokio::test]
    async fn heads_preambles_and_numbers_have_limits() {
        let long = |size: usize| format!("X: {}\r\n", "a".repeat(size));
        assert!(read([part("a", &long(16_000), b"1"), b"--B--".to_vec()].concat()).await.is_ok());
        for bad in [
            part("a", &long(MAX_HEAD), b"1"),
            part("a", &long(9_000_000), b"1"),
            [vec![b'x'; 9_000_000], part("a", "", b"1")].concat(),
            vec![b'x'; 9_000_000],
            part("a", "", b"").repeat(MAX_PARTS + 1),
            [part("a", "", b""), b"--B--".to_vec(), vec![b'x'; 9_000_000]].concat(),
        ] {
            let refused = read(bad).await.expect_err("too much");
            assert!(matches!(refused, Refusal::PayloadTooLarge { .. }), "{refused:?}");
        }
        let all = [part("a", "", b"").repeat(MAX_PARTS), b"--B--".to_vec()].concat();
        assert_eq!(read(all).await.ok().map(|found| found.len()), Some(MAX_PARTS));
    }

    #[tokio::test]
    async fn what_ends_early_or_is_no_multipart_is_refused() {
        for bad in [
            b"".to_vec(),
            b"--B".to_vec(),
            b"--B\r\n".to_vec(),
            b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhalf".to_vec(),
            part("a", "", b"1"),
            b"--B\r\nno header\r\n\r\n1\r\n--B--".to_vec(),
            b"{}".to_vec(),
        ] {
            let text = String::from_utf8_lossy(&bad).into_owned();
            assert!(matches!(read(bad).await, Err(Refusal::BadRequest(_))), "{text}");
        }
    }
}
