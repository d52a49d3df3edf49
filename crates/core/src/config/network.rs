//! Whose word about the client address counts, and which addresses may come in and be called.

use ipnet::IpNet;

use super::catalog;
use super::kind::choice;
use super::reader::Reader;

choice! {
    /// The one header that a trusted proxy names the client in.
    pub enum ClientIpHeader {
        /// The right-most untrusted hop counts.
        XForwardedFor = "X-Forwarded-For",
        /// RFC 7239; the right-most untrusted hop counts.
        Forwarded = "Forwarded",
        /// One address.
        XRealIp = "X-Real-IP",
    }
}

/// Whose word about the client address counts, and which addresses may come in and be called.
#[derive(Debug, Clone)]
pub struct Proxies {
    /// Peers whose forwarded headers count.
    pub trusted: Vec<IpNet>,
    /// How many places from the right of the header the client stands; none: the right-most hop outside `trusted`.
    pub hops: Option<u8>,
    /// The header they name the client in.
    pub client_ip_header: ClientIpHeader,
    /// Whether the allow and block rules of the database apply.
    pub ip_filter: bool,
    /// Who may reach the admin UI, the admin API and setup; empty: anybody.
    pub admin_allowed: Vec<IpNet>,
    /// Internal ranges that outbound requests may reach.
    pub egress_allowed: Vec<IpNet>,
}

impl Proxies {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            trusted: read.networks(&catalog::TRUSTED_PROXIES),
            hops: read.whole(&catalog::TRUSTED_PROXY_HOPS).filter(|hops| *hops > 0),
            client_ip_header: read.preset_choice(&catalog::CLIENT_IP_HEADER),
            ip_filter: read.is_set(&catalog::IP_FILTER_ENABLED),
            admin_allowed: read.networks(&catalog::ADMIN_ALLOWED_CIDRS),
            egress_allowed: read.networks(&catalog::EGRESS_ALLOWED_CIDRS),
        }
    }

    /// Whether there is a proxy whose word counts.
    pub fn is_behind_proxy(&self) -> bool {
        !self.trusted.is_empty() || self.hops.is_some()
    }
}
