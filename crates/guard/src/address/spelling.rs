//! How an address may be written in a header.

use std::net::{IpAddr, Ipv6Addr};

/// `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:5678`, blanks around
/// it allowed; IPv4-mapped IPv6 becomes IPv4. Anything else (names, zones, octal or short forms) is
/// `None`.
pub(super) fn address(item: &[u8]) -> Option<IpAddr> {
    parse(std::str::from_utf8(item).ok()?.trim_matches([' ', '\t']), is_port)
}

/// The same as a `for` parameter has it (RFC 7239 section 6): IPv6 in brackets only, and the port
/// may be obfuscated.
pub(super) fn node(text: &str) -> Option<IpAddr> {
    if text.starts_with('[') || !text.contains("::") && text.matches(':').count() <= 1 {
        parse(text, |port| is_port(port) || is_obfuscated(port))
    } else {
        None
    }
}

fn parse(text: &str, port_is_fine: impl Fn(&str) -> bool) -> Option<IpAddr> {
    let address: IpAddr = if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        if !after.is_empty() && !after.strip_prefix(':').is_some_and(&port_is_fine) {
            return None;
        }
        address.parse::<Ipv6Addr>().ok()?.into()
    } else {
        match text.split_once(':') {
            // One colon: an IPv4 address with a port. More: a bare IPv6 address.
            Some((address, port)) if !port.contains(':') => {
                if !port_is_fine(port) {
                    return None;
                }
                IpAddr::V4(address.parse().ok()?)
            }
            _ => text.parse().ok()?,
        }
    };
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_obfuscated(text: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.strip_prefix('_').is_some_and(|name| !name.is_empty() && name.bytes().all(of_name))
}
