//! What the edge found out about a request, for the extractors.

use std::{net::IpAddr, sync::Arc};

use fastcms_core::{Caller, Error, access::Permission, api_keys::Need};
use fastcms_guard::cookie::CookiePolicy;
use http::Extensions;

use super::{RequestId, Thinning};
use crate::{error::Refusal, extract::Params};

/// Where uploaded bytes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesDoor {
    /// There is no origin of their own for them.
    Common,
    /// At the origin of their own.
    Own,
    /// At the product's, although there is one of their own.
    Beside,
}

/// One request, as the edge knows it. The only extension of a request.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub request_id: RequestId,
    /// The client address of contract 9.6.
    pub client: IpAddr,
    /// The other end of the socket: the client itself, or a proxy.
    pub peer: IpAddr,
    /// The request came over HTTPS, here or at a trusted proxy.
    pub secure: bool,
    /// Which origin the request was sent to, as far as uploaded bytes go.
    pub door: FilesDoor,
    pub caller: Caller,
    /// How the answer writes cookies.
    pub cookies: CookiePolicy,
    /// What the route needs of the scopes of an API key.
    pub(crate) need: Option<Need>,
    /// What opens a route of admins to others.
    pub(crate) permission: Option<Permission>,
    pub(crate) params: Segments,
    /// Which lines of faults are written.
    pub(crate) faults: Arc<Thinning>,
}

impl Exchange {
    /// The exchange of a request that came through the edge.
    pub(crate) fn of(extensions: &Extensions) -> Result<&Self, Refusal> {
        extensions.get().ok_or_else(|| Error::internal("the request did not come through the edge").into())
    }

    pub(crate) fn params<'p>(&self, path: &'p str) -> Params<'p> {
        self.params.of(path)
    }
}

/// Where the `{name}` segments of a path stand in it: start and end of each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Segments {
    pub(super) spans: [(u16, u16); crate::extract::MAX_SEGMENTS],
    pub(super) count: usize,
}

impl Segments {
    pub(crate) fn of<'p>(&self, path: &'p str) -> Params<'p> {
        let raw = self.spans.map(|(start, end)| path.get(usize::from(start)..usize::from(end)).unwrap_or_default());
        Params { raw, count: self.count }
    }
}
