//! JSON bodies, both ways.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
};

use axum::{
    body::Body,
    extract::{FromRequest, OptionalFromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use fastcms_core::FieldErrors;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body as _;
use serde::Serialize;
use serde_json::Value;

use super::{Argument, Form, Place};
use crate::{api::operation::Docs, edge::body::BodyFault, error::Refusal};

/// Deepest nesting of a body (contract 16).
const MAX_DEPTH: usize = 64;

/// As an argument: the JSON body, read and checked as `T`. As an answer: `T` as JSON.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

/// An answer that is JSON already.
#[derive(Debug, Clone)]
pub struct JsonBytes(pub Bytes);

/// 204.
#[derive(Debug, Clone, Copy)]
pub struct NoContent;

impl<T: Form> Argument for Json<T> {
    fn describe(docs: &mut Docs) {
        docs.body = Some(T::schema());
    }
}

impl<T: Form> Argument for Option<Json<T>> {
    fn describe(docs: &mut Docs) {
        docs.body = Some(T::schema());
    }
}

impl<S: Sync, T: Form> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        check_headers(&parts.headers)?;
        parse(&read(body).await?).map(Self)
    }
}

/// `None` when there is no body at all.
impl<S: Sync, T: Form> OptionalFromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Refusal> {
        if request.body().is_end_stream() && !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

/// Other types than JSON are refused before anything is read: a form or `text/plain` body is what a page of another origin can
/// send without a preflight (ASVS 3.5.2).
fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(Refusal::UnsupportedMediaType("The body must be sent as application/json"));
    }
    check_encoding(headers)
}

/// Compressed bodies are refused: what cannot be unpacked cannot be a bomb.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(Refusal::UnsupportedMediaType("The body must not be compressed")) }
}

/// The whole body; its size is bounded by the edge.
pub(crate) async fn read(body: Body) -> Result<Bytes, Refusal> {
    let mut body = pin!(body);
    let Some(first) = next(body.as_mut()).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() {
        return Ok(first);
    }
    // A copy: a piece that is kept keeps the whole buffer that it was read into, however few bytes of it are the piece's.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(MOST_AHEAD).min(MOST_AHEAD);
    let mut all = BytesMut::with_capacity(first.len() + announced);
    all.extend_from_slice(&first);
    drop(first);
    while let Some(piece) = next(body.as_mut()).await? {
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// What is made room for before it came.
const MOST_AHEAD: usize = 64 * 1024;

async fn next(mut body: Pin<&mut Body>) -> Result<Option<Bytes>, Refusal> {
    loop {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return Ok(None),
            // Trailers say nothing that anybody asks for.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(match error.into_inner().downcast::<BodyFault>() {
                    Ok(fault) => fault.refusal(),
                    Err(_) => Refusal::BadRequest("The body ended early"),
                });
            }
        }
    }
}

fn body_fault(message: impl Into<String>) -> Refusal {
    Refusal::field("body", message)
}

/// Reads `text` as a `T`; every fault of it in one refusal.
pub(crate) fn parse<T: Form>(text: &[u8]) -> Result<T, Refusal> {
    if text.is_empty() {
        return Err(body_fault("A JSON body is required"));
    }
    if deeper_than(text, MAX_DEPTH) {
        return Err(body_fault(format!("At most {MAX_DEPTH} levels may be nested")));
    }
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| body_fault(format!("Not valid JSON (line {}, column {})", error.line(), error.column())))?;
    let Value::Object(object) = value else {
        return Err(body_fault("Must be an object"));
    };
    let mut faults = FieldErrors::default();
    let form = T::read(object, &Place::Root, &mut faults);
    faults.into_result()?;
    Ok(form.expect("a form without faults is complete"))
}

/// Whether brackets nest deeper than `limit`. Works on bytes, so that no parser ever recurses into what is too deep.
fn deeper_than(text: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => JsonBytes(bytes.into()).into_response(),
            Err(error) => Refusal::Core(fastcms_core::Error::internal(error)).into_response(),
        }
    }
}

impl IntoResponse for JsonBytes {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0));
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        response
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}
