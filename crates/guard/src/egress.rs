//! Where requests may go that we send by ourselves, so that nobody has them sent into the network behind us (server-side request forgery).
//!
//! There is one door, [`Egress::connect`]: a name is resolved once, all of its addresses are looked at, one that must not be reached
//! refuses the name as a whole, and the connection is made to the addresses that were looked at. A name that answers otherwise a moment
//! later changes nothing. An address in the place of a name is looked at in the same way. What is sent over the connection, and that no
//! redirect is followed and no proxy asked, is for the caller.
//!
//! In production the networks of the operator, private and loopback, are reached only where they are listed; elsewhere they are reached
//! as they are. What belongs to nobody (link-local, multicast, reserved) is reached only where it is listed. Services that hand out
//! credentials of the machine are never reached. Sources: IANA special-purpose registries, ASVS 1.3.6, R144.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::net::TcpStream;
use url::Host;

mod ranges;

pub use ranges::{Reach, reach};

/// Addresses of one name that are tried at most.
const TRIED: usize = 8;

/// Who knows the addresses of names.
pub trait Names: Send + Sync + fmt::Debug {
    /// Every address of a name, in the order in which they are to be tried.
    fn lookup<'n>(&'n self, name: &'n str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'n>>;
}

/// The host's own way of resolving names.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn lookup<'n>(&'n self, name: &'n str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'n>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// The address must not be reached.
    #[error("`{host}` is {address}, {what}: EGRESS_ALLOWED_CIDRS does not list it")]
    Forbidden {
        /// As it was asked for.
        host: String,
        address: IpAddr,
        /// Such as `a loopback address`.
        what: &'static str,
    },
    /// The name has no address.
    #[error("`{0}` has no address")]
    Unknown(String),
    /// Resolving or connecting failed.
    #[error("`{0}` cannot be reached: {1}")]
    Failed(String, io::Error),
}

/// Where requests may go.
#[derive(Debug, Clone)]
pub struct Egress {
    allowed: Arc<[IpNet]>,
    inside: bool,
    names: Arc<dyn Names>,
}

impl Egress {
    /// What is listed in `allowed` may be reached besides the public internet; with `inside` private and loopback networks too.
    pub fn new(allowed: &[IpNet], inside: bool) -> Self {
        Self {
            allowed: allowed.iter().copied().map(crate::ip_rules::canonical).collect(),
            inside,
            names: Arc::new(SystemNames),
        }
    }

    /// The same, with names resolved elsewhere.
    pub fn with_names(mut self, names: Arc<dyn Names>) -> Self {
        self.names = names;
        self
    }

    /// Why an address must not be reached; `None`: it may.
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let is_listed = || self.allowed.iter().any(|network| network.contains(&address.to_canonical()));
        match reach(address) {
            Reach::Public => None,
            Reach::Credentials => Some("where credentials of the machine are handed out"),
            Reach::Inside(what) => (!self.inside && !is_listed()).then_some(what),
            Reach::Special(what) => (!is_listed()).then_some(what),
        }
    }

    /// Connects to a host that may be reached.
    ///
    /// # Errors
    /// [`Unreached`], before anything was sent to an address that must not be reached.
    pub async fn connect(&self, host: &Host, port: u16) -> Result<TcpStream, Unreached> {
        let failed = |error| Unreached::Failed(host.to_string(), error);
        let addresses = match host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self.names.lookup(name).await.map_err(failed)?,
        };
        for address in &addresses {
            if let Some(what) = self.refusal(*address) {
                return Err(Unreached::Forbidden { host: host.to_string(), address: *address, what });
            }
        }
        let mut last = None;
        for address in addresses.into_iter().take(TRIED) {
            match TcpStream::connect(SocketAddr::new(address, port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| Unreached::Unknown(host.to_string()), failed))
    }
}

#[cfg(test)]
mod tests;
