//! An origin as a browser writes it (RFC 6454 section 6.2): `scheme://host` or
//! `scheme://host:port`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    /// No `://` after a scheme.
    #[error("write it with its scheme, such as `https://app.example`")]
    Scheme,
    /// Capital letters: a browser sends lower case.
    #[error("write it in lower case")]
    UpperCase,
    /// Something after host and port.
    #[error("leave out the path and any trailing slash")]
    Path,
    /// A user name.
    #[error("leave out the user name")]
    UserInfo,
    /// The host is none.
    #[error(
        "the host is not valid (international names are written in their `xn--` form, wildcards are not supported)"
    )]
    Host,
    /// The port is none.
    #[error("the port is not valid")]
    Port,
    /// The port is the scheme's own, which a browser leaves out.
    #[error("leave out the port: it is the default of the scheme")]
    DefaultPort,
}

/// An origin, exactly as a browser would send it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin. Nothing is repaired: a text that a browser would not send is refused.
    pub fn parse(text: &str) -> Result<Self, BadOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(BadOrigin::Scheme)?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(BadOrigin::UpperCase);
        }
        let of_scheme = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(of_scheme) {
            return Err(BadOrigin::Scheme);
        }
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(BadOrigin::Path);
        }
        if authority.contains('@') {
            return Err(BadOrigin::UserInfo);
        }
        let (host, port) = split_port(authority);
        if !is_host(host) {
            return Err(BadOrigin::Host);
        }
        if let Some(port) = port {
            let plain = !port.is_empty() && !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
            if !plain || port.parse::<u16>().is_err() {
                return Err(BadOrigin::Port);
            }
            if matches!((scheme, port), ("http" | "ws", "80") | ("https" | "wss", "443")) {
                return Err(BadOrigin::DefaultPort);
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scheme, such as `https`.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").expect("an origin has a scheme").0
    }

    /// The host, an IPv6 address with its brackets, without a port.
    pub fn host(&self) -> &str {
        split_port(self.0.split_once("://").expect("an origin has a scheme").1).0
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // A colon inside brackets belongs to the address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A name of letters, digits, hyphens, underscores and dots, an IPv4 address, or an IPv6 address in
/// brackets, as a browser serialises them.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        let of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(of_label)
    };
    let name = host.len() <= 253 && host.split('.').all(label);
    // What ends in a number is an IPv4 address or nothing (URL standard, host parsing).
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
