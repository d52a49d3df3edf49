//! How often a caller may call, and how much may be sent.

use ipnet::IpNet;

use super::catalog;
use super::kind::choice;
use super::reader::Reader;

choice! {
    /// Which headers tell callers what is left of their limit.
    pub enum LimitHeaders {
        /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
        Draft = "draft",
        /// `X-RateLimit-…`.
        Legacy = "legacy",
        /// Both families.
        Both = "both",
        /// None.
        Off = "off",
    }
}

/// How often a caller may call.
#[derive(Debug, Clone)]
pub struct RateLimits {
    /// Whether there is any limit.
    pub enabled: bool,
    /// Requests in any 60 seconds.
    pub per_minute: u32,
    /// Requests in any 3600 seconds.
    pub per_hour: u32,
    /// Which headers are sent.
    pub headers: LimitHeaders,
    /// Client addresses outside every limit.
    pub exempt: Vec<IpNet>,
}

impl RateLimits {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            enabled: read.is_set(&catalog::RATE_LIMIT_ENABLED),
            per_minute: read.preset_whole(&catalog::RATE_LIMIT_PER_MINUTE),
            per_hour: read.preset_whole(&catalog::RATE_LIMIT_PER_HOUR),
            headers: read.preset_choice(&catalog::RATE_LIMIT_HEADERS),
            exempt: read.networks(&catalog::RATE_LIMIT_EXEMPT_CIDRS),
        }
    }
}

/// How much may be sent.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of any body but uploads and imports.
    pub max_body_size: u64,
    /// Bytes of an upload or import.
    pub max_file_size: u64,
}

impl Limits {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            max_body_size: read.preset_whole(&catalog::MAX_BODY_SIZE),
            max_file_size: read.preset_whole(&catalog::MAX_FILE_SIZE),
        }
    }
}
