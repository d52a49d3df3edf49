//! An address as text, without an allocation and without the general formatter: one is written for every request.

use std::fmt::{self, Write};
use std::net::IpAddr;

/// The longest there is: an IPv6 address with an IPv4 address in it.
const LONGEST: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// The one written form of an address: what `Display` of [`IpAddr`] writes.
#[derive(Clone, Copy)]
pub struct AddressText {
    bytes: [u8; LONGEST],
    length: usize,
}

impl AddressText {
    /// The text of `address`.
    pub fn new(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; LONGEST], length: 0 };
        match address {
            IpAddr::V4(v4) => {
                for (at, octet) in v4.octets().into_iter().enumerate() {
                    if at > 0 {
                        text.push(b'.');
                    }
                    text.push_number(octet);
                }
            }
            IpAddr::V6(v6) => {
                let written = write!(text, "{v6}");
                debug_assert!(written.is_ok(), "there is room for the longest");
            }
        }
        text
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("addresses are written in ASCII")
    }

    /// The text, ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn push_number(&mut self, number: u8) {
        if number >= 100 {
            self.push(b'0' + number / 100);
        }
        if number >= 10 {
            self.push(b'0' + number / 10 % 10);
        }
        self.push(b'0' + number % 10);
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_library_writes() {
        for text in
            ["0.0.0.0", "9.10.99.100", "255.255.255.255", "127.0.0.1", "::", "::1", "2001:db8::1", "::ffff:1.2.3.4"]
        {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(AddressText::new(address).as_str(), address.to_string());
        }
        let longest: IpAddr = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        assert_eq!(AddressText::new(longest).as_str(), longest.to_string());
    }
}
