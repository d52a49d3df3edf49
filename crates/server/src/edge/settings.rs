//! What the edge needs of the configuration, in the form it needs it.

use fastcms_core::config::{AllowedHosts, ClientIpHeader, Config, LimitHeaders, Origins, WebOrigin};
use fastcms_guard::{
    address::{AddressPolicy, ClientAddressHeader, TrustedProxies},
    cookie::CookiePolicy,
    cors::{CorsError, CorsPolicy},
};
use url::Url;

/// Settings of the edge.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// HSTS, and plain HTTP is refused.
    pub production: bool,
    /// The listener is bound explicitly to a loopback address: nobody else can reach it, so plain HTTP and a loopback host pass.
    pub loopback: bool,
    /// Host names served, lower case and without port; `None`: any.
    pub hosts: Option<Vec<String>>,
    /// Name of the host that serves uploaded bytes and nothing else, if it is another than that of the product.
    pub files_host: Option<String>,
    pub cors: CorsPolicy,
    /// How cookies are called and written.
    pub cookies: CookiePolicy,
    /// The public origin, as a browser writes it: where a cookie may speak for an unsafe method.
    pub own_origin: String,
    pub address: AddressPolicy,
    /// Which headers say what is left of a rate limit.
    pub limit_headers: LimitHeaders,
    /// Bytes of any body but those of uploads and imports.
    pub max_body: u64,
    /// Bytes of the body of an upload or import.
    pub max_file: u64,
}

/// What a multipart upload may weigh beyond its file: 50 parts of 64 KiB would be 3 MiB, ordinary ones stay far below.
const MULTIPART_ALLOWANCE: u64 = 256 * 1024;

impl EdgeSettings {
    /// How cookies are named and written under these settings.
    pub(crate) fn cookies(config: &Config) -> CookiePolicy {
        CookiePolicy { host_prefix: config.tokens.cookie_host_prefix, always_secure: config.server.is_production() }
    }

    /// The settings that `config` asks for.
    ///
    /// # Errors
    /// When the CORS origins cannot be a policy; the configuration refuses the same earlier.
    pub fn new(config: &Config) -> Result<Self, CorsError> {
        let origins: Vec<&str> = match &config.cors.origins {
            Origins::Any => vec!["*"],
            Origins::These(origins) => origins.iter().map(WebOrigin::as_str).collect(),
        };
        let mut proxies = TrustedProxies::in_networks(config.proxies.trusted.iter().copied());
        if let Some(hops) = config.proxies.hops {
            proxies = proxies.with_hops(usize::from(hops));
        }
        let header = match config.proxies.client_ip_header {
            ClientIpHeader::XForwardedFor => ClientAddressHeader::XForwardedFor,
            ClientIpHeader::Forwarded => ClientAddressHeader::Forwarded,
            ClientIpHeader::XRealIp => ClientAddressHeader::XRealIp,
        };
        Ok(Self {
            production: config.server.is_production(),
            loopback: config.server.is_loopback(),
            hosts: match &config.server.allowed_hosts {
                AllowedHosts::Any => None,
                AllowedHosts::These(hosts) => Some(hosts.clone()),
            },
            files_host: files_host(config),
            cors: CorsPolicy::new(origins, config.cors.allow_credentials)?,
            cookies: Self::cookies(config),
            own_origin: origin_of(config.server.base_url.as_str()),
            address: AddressPolicy { proxies, header },
            limit_headers: config.rate_limits.headers,
            max_body: config.limits.max_body_size,
            max_file: config.limits.max_file_size.saturating_add(MULTIPART_ALLOWANCE),
        })
    }
}

fn files_host(config: &Config) -> Option<String> {
    let host = |address: &str| Url::parse(address).ok()?.host_str().map(str::to_owned);
    let own = host(config.storage.files_origin.as_ref()?.as_str())?;
    (host(config.server.base_url.as_str()).as_ref() != Some(&own)).then_some(own)
}

/// Scheme, host and port of an address. Its path, if it has one, is no part of an origin.
fn origin_of(address: &str) -> String {
    // The configuration has refused what is no address; nothing equals the origin of one.
    Url::parse(address).map_or_else(|_| String::new(), |address| address.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (address, origin) in [
            ("https://cms.example.com", "https://cms.example.com"),
            ("https://cms.example.com:443/", "https://cms.example.com"),
            ("https://CMS.example.com/sub", "https://cms.example.com"),
            ("http://localhost:8000", "http://localhost:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(origin_of(address), origin, "{address}");
        }
    }
}
