//! Which scope of an API key a route asks for: derived from method and path, so that no route is without an answer.

use fastcms_core::api_keys::{Action, Area, Need};
use http::Method;

use crate::extract::Audience;

/// What a route asks of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: the route is for everybody, or asks for a scope itself.
    Free,
    /// This scope; of records, for one collection at least: which one, the operation looks at.
    Of(Need),
    /// The whole key, `*`: for what no area names.
    Whole,
}

/// Heads of paths below `/api/v1/` and the area they belong to.
const AREAS: [(&str, Area); 15] = [
    ("collections", Area::Collections),
    ("views", Area::Records),
    ("files", Area::Files),
    ("search", Area::Search),
    ("webhooks", Area::Webhooks),
    ("ws", Area::Realtime),
    ("admin", Area::Admin),
    ("settings", Area::Admin),
    ("logs", Area::Admin),
    ("audit", Area::Admin),
    ("backups", Area::Admin),
    ("hooks", Area::Admin),
    ("stats", Area::Admin),
    ("ip-rules", Area::Admin),
    ("health", Area::Admin),
];

impl Scope {
    /// The scope of a route. Only an area opens a route to keys that are good for less than everything.
    pub(super) fn of(method: &Method, path: &str, audience: Audience) -> Self {
        let Some(below) = path.strip_prefix("/api/v1/") else {
            // Pages, health, documentation.
            return if audience == Audience::Anyone { Self::Free } else { Self::under(Area::Admin, method) };
        };
        let mut segments = below.split('/');
        let (head, sub) = (segments.next().unwrap_or_default(), segments.nth(1));
        match (head, sub) {
            ("collections", Some("records")) => Self::under(Area::Records, method),
            // Accounts of collections sign in with what they have; making one is making a record, which asks for its own scope.
            ("collections", Some("auth")) | ("batch", None) => Self::Free,
            // A view's cache is no record.
            ("views", Some("refresh")) => Self::under(Area::Collections, method),
            ("oauth", _) if audience == Audience::Admin => Self::under(Area::Admin, method),
            ("auth" | "setup" | "health" | "oauth", _) if audience == Audience::Anyone => Self::Free,
            _ => AREAS
                .into_iter()
                .find(|(known, _)| *known == head)
                .map_or(Self::Whole, |(_, area)| Self::under(area, method)),
        }
    }

    fn under(area: Area, method: &Method) -> Self {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        Self::Of(Need::new(area, if reads { Action::Read } else { Action::Write }))
    }

    /// The scope by name; `None` for the whole key, and where none is asked for.
    pub fn need(self) -> Option<Need> {
        match self {
            Self::Of(need) => Some(need),
            Self::Free | Self::Whole => None,
        }
    }
}
