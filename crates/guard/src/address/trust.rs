//! Which peers' word counts.

use std::net::IpAddr;
use std::num::NonZeroUsize;

use ipnet::{IpNet, Ipv4Net};

/// An item that is neither a network nor an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network in CIDR notation, such as `10.0.0.0/8`")]
pub struct BadProxies(pub String);

/// The proxies whose forwarded headers count: by their networks, by their number, or both.
///
/// - Networks alone: a peer inside them is a proxy; hops are walked from the right until one lies outside.
/// - A number of hops alone (for clouds without fixed ranges): every peer is a proxy, and the client is the entry so many
///   places from the right. Only safe where nothing but the proxies can reach the port.
/// - Both: the peer must lie inside the networks, the client is found by the number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    hops: Option<NonZeroUsize>,
}

impl TrustedProxies {
    /// Nobody is trusted: the peer is the client.
    pub const fn none() -> Self {
        Self { networks: Vec::new(), hops: None }
    }

    /// Proxies inside `networks`; IPv4-mapped networks become IPv4.
    pub fn in_networks(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self { networks: networks.into_iter().map(canonical).collect(), hops: None }
    }

    /// Reads a comma-separated list of networks and addresses; blank items are dropped.
    ///
    /// # Errors
    /// The first item that is neither.
    pub fn parse(list: &str) -> Result<Self, BadProxies> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let network = |item: &str| {
            let parsed = item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
            parsed.map_err(|_| BadProxies(item.to_owned()))
        };
        Ok(Self::in_networks(items.map(network).collect::<Result<Vec<_>, _>>()?))
    }

    /// Finds the client `hops` entries from the right instead of by networks; 0 is as if never
    /// said.
    pub fn with_hops(mut self, hops: usize) -> Self {
        self.hops = NonZeroUsize::new(hops);
        self
    }

    /// Whether no proxy is trusted at all.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.hops.is_none()
    }

    /// Whether the word of this peer counts.
    pub fn trusts_peer(&self, peer: IpAddr) -> bool {
        if self.networks.is_empty() { self.hops.is_some() } else { self.contains(peer) }
    }

    /// Whether the address lies inside one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client among `hops` (right to left, `None` where malformed), and its place counted from
    /// 1.
    ///
    /// Where every hop is trusted the left-most is the client: a host inside the trusted networks
    /// calling through a proxy.
    pub(super) fn walk(&self, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<(IpAddr, usize)> {
        let mut hops = hops.zip(1..);
        if let Some(wanted) = self.hops {
            // Every entry up to the wanted one was written by a proxy, and must be in order.
            let mut client = None;
            for (address, place) in hops.by_ref().take(wanted.get()) {
                client = Some((address?, place));
            }
            return client.filter(|(_, place)| *place == wanted.get());
        }
        let mut client = None;
        for (address, place) in hops {
            let address = address?;
            client = Some((address, place));
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
    {
        return Ipv4Net::new(v4, prefix).expect("a prefix up to 32").trunc().into();
    }
    network.trunc()
}
