//! The shared backend of several nodes.

use fastcms_secrets::Secret;
use url::Url;

use super::catalog;
use super::reader::Reader;
use super::server::is_loopback_url;
use super::source::Sources;

/// The shared backend of several nodes.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Whether it is used.
    pub enabled: bool,
    /// Its address: it may carry a password.
    pub url: Secret<String>,
    /// Whether the connection leaves this machine without TLS.
    pub is_exposed: bool,
}

impl Redis {
    /// Reads the address anew; `None` where it is faulty, or may stand in a source that could not be read.
    pub fn reread(sources: &Sources) -> Option<Self> {
        let mut read = Reader::new(sources);
        let redis = Self::read(&mut read);
        let is_whole = read.is_whole();
        let (_, faults, _) = read.finish();
        (is_whole && faults.iter().all(|fault| !fault.variable.starts_with(catalog::REDIS_URL.name))).then_some(redis)
    }

    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let url = read.parsed(&catalog::REDIS_URL, |text| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "redis" | "rediss") && url.has_host() => Ok(url),
            _ => Err("is not an address such as `redis://localhost:6379/0` or `rediss://…`"),
        });
        Self {
            enabled: read.is_set(&catalog::REDIS_ENABLED),
            is_exposed: url.as_ref().is_some_and(|url| url.scheme() == "redis" && !is_loopback_url(url)),
            url: Secret::new(url.map_or_else(String::new, String::from)),
        }
    }
}
