//! The one table of routes: which operation a method and a path mean.

use axum::{body::Body, response::Response};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};

use super::exchange::Segments;
use crate::{api::operation::Operation, extract::MAX_SEGMENTS};

/// All routes.
pub(super) struct Table<S> {
    paths: matchit::Router<Place<S>>,
}

/// One path and what may be done there.
struct Place<S> {
    operations: Vec<Operation<S>>,
    allow: HeaderValue,
}

/// What the table says of a method and a path.
pub(super) enum Found<'t, S> {
    Operation {
        operation: &'t Operation<S>,
        segments: Segments,
    },
    /// The path is served, not with this method.
    OtherMethod {
        allow: &'t HeaderValue,
    },
    /// The path is served with a trailing slash more or less.
    OtherSlash,
    Nothing,
}

impl<'t, S> Found<'t, S> {
    pub(super) fn operation(&self) -> Option<&'t Operation<S>> {
        match self {
            Self::Operation { operation, .. } => Some(operation),
            Self::OtherMethod { .. } | Self::OtherSlash | Self::Nothing => None,
        }
    }
}

impl<S> Table<S> {
    pub(super) fn new(operations: Vec<Operation<S>>) -> Self {
        let mut places: Vec<(&'static str, Vec<Operation<S>>)> = Vec::new();
        for operation in operations {
            match places.iter_mut().find(|(path, _)| *path == operation.path) {
                Some((path, there)) => {
                    let twice = there.iter().any(|other| other.method == operation.method);
                    assert!(!twice, "two operations for {} {path}", operation.method);
                    there.push(operation);
                }
                None => places.push((operation.path, vec![operation])),
            }
        }
        let mut paths = matchit::Router::new();
        for (path, operations) in places {
            assert!(path.matches('{').count() <= MAX_SEGMENTS, "too many segments in {path}");
            let allow = allow(&operations);
            let inserted = paths.insert(path, Place { operations, allow });
            assert!(inserted.is_ok(), "{path} collides with another path");
        }
        Self { paths }
    }

    /// `HEAD` is `GET`; the body is taken off on the way out.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found<'_, S> {
        let Ok(matched) = self.paths.at(path) else {
            return if self.serves_other_slash(path) { Found::OtherSlash } else { Found::Nothing };
        };
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let Some(operation) = matched.value.operations.iter().find(|operation| operation.method == *wanted) else {
            return Found::OtherMethod { allow: &matched.value.allow };
        };
        let mut segments = Segments::default();
        for ((_, value), span) in matched.params.iter().zip(&mut segments.spans) {
            let start = value.as_ptr().addr() - path.as_ptr().addr();
            let (Ok(start), Ok(end)) = (u16::try_from(start), u16::try_from(start + value.len())) else {
                return Found::Nothing;
            };
            *span = (start, end);
            segments.count += 1;
        }
        Found::Operation { operation, segments }
    }

    /// What may be done at this path.
    pub(super) fn operations_at(&self, path: &str) -> &[Operation<S>] {
        self.paths.at(path).map_or(&[], |matched| &matched.value.operations)
    }

    fn serves_other_slash(&self, path: &str) -> bool {
        match path.strip_suffix('/') {
            Some("") => false,
            Some(shorter) => self.paths.at(shorter).is_ok(),
            None => self.paths.at(&format!("{path}/")).is_ok(),
        }
    }
}

/// The answers that need no operation: `OPTIONS` on a path that is served, and the redirect to the other slash.
pub(super) fn elsewhere<S>(found: &Found<'_, S>, parts: &Parts) -> Response {
    let mut response = Response::new(Body::empty());
    if let Found::OtherMethod { allow } = found {
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::ALLOW, (*allow).clone());
        return response;
    }
    let path = parts.uri.path();
    let mut target = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
    if let Some(query) = parts.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let target = HeaderValue::try_from(target).expect("what was a valid request target is a valid header value");
    response.headers_mut().insert(header::LOCATION, target);
    response
}

/// The value of `Allow`: the methods of the operations, and what comes with them.
fn allow<S>(operations: &[Operation<S>]) -> HeaderValue {
    let mut methods: Vec<&str> = Vec::new();
    for operation in operations {
        methods.push(operation.method.as_str());
        if operation.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    HeaderValue::try_from(methods.join(", ")).expect("method names are valid header values")
}
