//! Segments of the path.

use axum::extract::FromRequestParts;
use fastcms_core::Error;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::Argument;
use crate::{edge::Exchange, error::Refusal};

/// Most `{name}` segments of one path.
pub(crate) const MAX_SEGMENTS: usize = 4;

/// The `{name}` segments of a request's path, in their order, as they were sent (percent-encoded).
#[derive(Debug, Clone, Copy)]
pub struct Params<'a> {
    pub(crate) raw: [&'a str; MAX_SEGMENTS],
    pub(crate) count: usize,
}

impl<'a> Params<'a> {
    /// The `n`th segment, decoded; `None` when there is none or it is not UTF-8.
    pub fn get(&self, n: usize) -> Option<std::borrow::Cow<'a, str>> {
        let raw = *self.raw[..self.count].get(n)?;
        // What is to be decoded is rare.
        if raw.contains('%') { percent_decode_str(raw).decode_utf8().ok() } else { Some(raw.into()) }
    }
}

/// A type that one segment can be read as. What cannot be read cannot exist: 404.
pub trait PathSegment: Sized {
    fn read(segment: &str) -> Option<Self>;
}

impl PathSegment for String {
    fn read(segment: &str) -> Option<Self> {
        Some(segment.to_owned())
    }
}

/// An id: a UUID in its one written form (36 characters, lower case).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(pub String);

impl PathSegment for Id {
    fn read(segment: &str) -> Option<Self> {
        let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let well_formed = segment.len() == 36
            && segment.bytes().enumerate().all(|(at, byte)| {
                if hyphen(at) { byte == b'-' } else { byte.is_ascii_digit() || matches!(byte, b'a'..=b'f') }
            });
        well_formed.then(|| Self(segment.to_owned()))
    }
}

/// The segments of the path: `Path<Id>` for one, `Path<(String, Id)>` for two.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T> Argument for Path<T> {}

fn segment<T: PathSegment>(params: &Params<'_>, n: usize) -> Result<T, Refusal> {
    params.get(n).and_then(|segment| T::read(&segment)).ok_or_else(|| Error::NotFound.into())
}

impl<S: Sync, T: PathSegment> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let params = Exchange::of(&parts.extensions)?.params(parts.uri.path());
        Ok(Self(segment(&params, 0)?))
    }
}

impl<S: Sync, A: PathSegment, B: PathSegment> FromRequestParts<S> for Path<(A, B)> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let params = Exchange::of(&parts.extensions)?.params(parts.uri.path());
        Ok(Self((segment(&params, 0)?, segment(&params, 1)?)))
    }
}
