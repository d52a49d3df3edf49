//! Whose request it is: the address of the client, behind proxies or not.
//!
//! The peer of the socket, unless that is a trusted proxy: then the right-most untrusted hop of the
//! ONE configured header (RFC 7239 section 8.1: what stands left of it is the client's own word).
//! Anything malformed on the way there falls back to the peer. Scheme and host as the client saw
//! them come from the same trusted peer.
//!
//! Header values are taken as bytes, line by line, from whatever holds them.

mod forwarded;
mod spelling;
mod text;
mod trust;

pub use text::AddressText;
pub use trust::{BadProxies, TrustedProxies};

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use forwarded::Element;

/// The one header the client address is read from. The other two are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAddressHeader {
    /// `X-Forwarded-For`: addresses separated by commas, the nearest proxy's entry last.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), which also carries scheme and host.
    Forwarded,
    /// `X-Real-IP`: a single address.
    XRealIp,
}

impl ClientAddressHeader {
    /// The header's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::XRealIp => "x-real-ip",
        }
    }

    /// Reads the name of a header, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let named = |header: &Self| header.name().eq_ignore_ascii_case(name.trim());
        [Self::XForwardedFor, Self::Forwarded, Self::XRealIp].into_iter().find(named)
    }
}

/// The scheme a client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// What is known of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client's address; IPv4-mapped IPv6 is IPv4 here.
    pub address: IpAddr,
    /// Whether the peer is a trusted proxy.
    pub via_proxy: bool,
    /// The scheme a trusted proxy says the client used; `None`: that of the connection.
    pub scheme: Option<Scheme>,
    /// The host a trusted proxy says the client asked for; `None`: that of the request. As sent,
    /// lossily decoded and possibly no host name at all: to be compared with a list, never to be
    /// echoed.
    pub host: Option<String>,
}

impl ClientAddress {
    /// The client that is the peer itself.
    pub fn direct(peer: IpAddr) -> Self {
        Self { address: peer.to_canonical(), via_proxy: false, scheme: None, host: None }
    }

    /// The network a limit is counted for: the address itself for IPv4, its /64 for IPv6 (one
    /// subscriber has them all).
    pub fn limit_network(&self) -> IpNet {
        network(self.address, 32)
    }

    /// The network that counts as one source of attempts: the /24 for IPv4, the /64 for IPv6.
    pub fn source_network(&self) -> IpNet {
        network(self.address, 24)
    }
}

fn network(address: IpAddr, v4_prefix: u8) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Net::new(v4, v4_prefix).expect("a prefix up to 32").trunc().into(),
        IpAddr::V6(v6) => Ipv6Net::new(v6, 64).expect("a prefix up to 128").trunc().into(),
    }
}

/// How client addresses are found.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Whose word counts.
    pub proxies: TrustedProxies,
    /// Where that word stands.
    pub header: ClientAddressHeader,
}

impl AddressPolicy {
    /// The client of a request from `peer`. `lines` gives the values of a header (name in lower
    /// case), one item a line, in the order received; it is asked only when the peer is trusted.
    pub fn resolve<'h, I>(&self, peer: IpAddr, lines: impl Fn(&'static str) -> I) -> ClientAddress
    where
        I: IntoIterator<Item = &'h [u8]>,
    {
        let peer = peer.to_canonical();
        if !self.proxies.trusts_peer(peer) {
            return ClientAddress::direct(peer);
        }
        if self.header == ClientAddressHeader::Forwarded {
            return self.by_forwarded(peer, lines);
        }
        let found = match self.header {
            ClientAddressHeader::XRealIp => single(lines("x-real-ip")).map(|address| (address, 1)),
            _ => self.by_x_forwarded_for(lines("x-forwarded-for")),
        };
        let (address, hop) = found.unwrap_or((peer, 1));
        ClientAddress {
            address,
            via_proxy: true,
            scheme: nth_from_right(lines("x-forwarded-proto"), hop).and_then(|item| scheme(&item)),
            host: nth_from_right(lines("x-forwarded-host"), hop),
        }
    }

    /// The client's address and which hop from the right named it, counted from 1.
    fn by_x_forwarded_for<'h>(&self, lines: impl IntoIterator<Item = &'h [u8]>) -> Option<(IpAddr, usize)> {
        let lines: Vec<&[u8]> = lines.into_iter().collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        self.proxies.walk(hops.map(spelling::address))
    }

    fn by_forwarded<'h, I>(&self, peer: IpAddr, lines: impl Fn(&'static str) -> I) -> ClientAddress
    where
        I: IntoIterator<Item = &'h [u8]>,
    {
        let unknown = ClientAddress { via_proxy: true, ..ClientAddress::direct(peer) };
        let Some(elements) = forwarded::parse(lines("forwarded")) else {
            return unknown;
        };
        let hops = elements.iter().rev().map(Element::address);
        let found = self.proxies.walk(hops);
        let (address, hop) = found.unwrap_or((peer, 1));
        let Some(element) = elements.iter().rev().nth(hop - 1) else {
            return unknown;
        };
        ClientAddress {
            address,
            via_proxy: true,
            scheme: element.proto.as_deref().and_then(scheme),
            host: element.host.clone(),
        }
    }
}

fn scheme(text: &str) -> Option<Scheme> {
    if text.eq_ignore_ascii_case("https") {
        Some(Scheme::Https)
    } else if text.eq_ignore_ascii_case("http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

/// The address of a header that must have exactly one line with exactly one address.
fn single<'h>(lines: impl IntoIterator<Item = &'h [u8]>) -> Option<IpAddr> {
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    if lines.next().is_some() { None } else { spelling::address(line) }
}

/// The item the hop that named the client wrote: the `hop`th from the right, or the left-most of a
/// shorter list (most proxies overwrite these headers with their one value instead of appending to
/// them).
fn nth_from_right<'h>(lines: impl IntoIterator<Item = &'h [u8]>, hop: usize) -> Option<String> {
    let lines: Vec<&[u8]> = lines.into_iter().collect();
    let items = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    let item = items.take(hop).last()?;
    Some(String::from_utf8_lossy(item.trim_ascii()).into_owned())
}

#[cfg(test)]
mod tests;
