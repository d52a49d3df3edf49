//! What the edge needs of the configuration, in the form it needs it.

use fastcms_core::config::{AllowedHosts, ClientIpHeader, Config, Origins, WebOrigin};
use fastcms_guard::{
    address::{AddressPolicy, ClientAddressHeader, TrustedProxies},
    cors::{CorsError, CorsPolicy},
};

/// Settings of the edge.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// HSTS, and plain HTTP is refused.
    pub production: bool,
    /// The listener is bound explicitly to a loopback address: nobody else can reach it, so plain HTTP and a loopback host pass.
    pub loopback: bool,
    /// Host names served, lower case and without port; `None`: any.
    pub hosts: Option<Vec<String>>,
    pub cors: CorsPolicy,
    pub address: AddressPolicy,
    /// Bytes of any body but those of uploads and imports.
    pub max_body: u64,
    /// Bytes of the body of an upload or import.
    pub max_file: u64,
}

/// What a multipart upload may weigh beyond its file: 50 parts of 64 KiB would be 3 MiB, ordinary ones stay far below.
const MULTIPART_ALLOWANCE: u64 = 256 * 1024;

impl EdgeSettings {
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
            cors: CorsPolicy::new(origins, config.cors.allow_credentials)?,
            address: AddressPolicy { proxies, header },
            max_body: config.limits.max_body_size,
            max_file: config
                .limits
                .max_file_size
                .saturating_add(MULTIPART_ALLOWANCE),
        })
    }
}
