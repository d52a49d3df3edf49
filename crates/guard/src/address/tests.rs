//! Claims about client addresses.
#![expect(clippy::too_many_lines, reason = "tables of cases")]

use super::*;

type Lines = &'static [(&'static str, &'static [u8])];

fn resolve_by(policy: &AddressPolicy, peer: &str, lines: Lines) -> ClientAddress {
    policy.resolve(peer.parse().unwrap(), |name| lines.iter().filter(move |line| line.0 == name).map(|line| line.1))
}

fn resolve(header: ClientAddressHeader, peer: &str, lines: Lines) -> ClientAddress {
    let proxies = TrustedProxies::parse("10.0.0.0/8, 192.0.2.7, 2001:db8:aa::/48").unwrap();
    resolve_by(&AddressPolicy { proxies, header }, peer, lines)
}

/// Peer 10.0.0.1 is trusted; each `X-Forwarded-For` must give this client. `-` stands for the peer
/// itself.
#[test]
fn x_forwarded_for_gives_the_right_most_untrusted_hop_or_the_peer() {
    let table: &[(&'static [u8], &str)] = &[
        (b"203.0.113.9", "203.0.113.9"),
        (b" 203.0.113.9\t", "203.0.113.9"),
        (b"203.0.113.9:4711", "203.0.113.9"),
        (b"1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (b"1.1.1.1,203.0.113.9", "203.0.113.9"),
        (b"127.0.0.1, 203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9, 10.9.9.9", "203.0.113.9"),
        (b"1.1.1.1, 203.0.113.9, 192.0.2.7, 10.9.9.9", "203.0.113.9"),
        (b"203.0.113.9, ::ffff:10.9.9.9", "203.0.113.9"),
        (b"203.0.113.9, [2001:db8:aa::1]:80", "203.0.113.9"),
        (b"<script>, 203.0.113.9", "203.0.113.9"),
        (b"\xff\xfe, 203.0.113.9", "203.0.113.9"),
        (b",,,, 203.0.113.9", "203.0.113.9"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
        (b"::FFFF:203.0.113.9", "203.0.113.9"),
        (b"::ffff:cb00:7109", "203.0.113.9"),
        (b"0:0:0:0:0:ffff:cb00:7109", "203.0.113.9"),
        (b"[::ffff:203.0.113.9]:443", "203.0.113.9"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"2001:DB8:0:0::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:db8::1]:65535", "2001:db8::1"),
        (b"10.0.0.2, 10.0.0.3", "10.0.0.2"),
        (b"127.0.0.1", "127.0.0.1"),
        (b"", "-"),
        (b" ", "-"),
        (b",", "-"),
        (b"203.0.113.9,", "-"),
        (b"203.0.113.9, ,10.0.0.2", "-"),
        (b"unknown", "-"),
        (b"localhost", "-"),
        (b"_hidden", "-"),
        (b"203.0.113", "-"),
        (b"203.0.113.9.1", "-"),
        (b"203.0.113.256", "-"),
        (b"0203.0.113.9", "-"),
        (b"0xcb.0.113.9", "-"),
        (b"3405803785", "-"),
        (b"203.0.113.9/32", "-"),
        (b"203.0.113.9:", "-"),
        (b"203.0.113.9:port", "-"),
        (b"203.0.113.9:65536", "-"),
        (b"203.0.113.9:+80", "-"),
        (b"203.0.113.9:80:80", "-"),
        (b"203.0.113.9 10.0.0.1", "-"),
        (b"203.0.113.9;10.0.0.1", "-"),
        (b"\"203.0.113.9\"", "-"),
        (b"'203.0.113.9'", "-"),
        (b"203.0.113.9\0", "-"),
        (b"203.0.113.9\r\n", "-"),
        (b"\xef\xbb\xbf203.0.113.9", "-"),
        ("２０３.0.113.9".as_bytes(), "-"),
        (b"[203.0.113.9]", "-"),
        (b"[2001:db8::1", "-"),
        (b"2001:db8::1]", "-"),
        (b"[2001:db8::1]80", "-"),
        (b"[[2001:db8::1]]", "-"),
        (b"[2001:db8::1]:", "-"),
        (b"fe80::1%eth0", "-"),
        (b"[fe80::1%25eth0]", "-"),
        (b"2001:db8::g", "-"),
        (b"1:2:3:4:5:6:7:8:9", "-"),
        (b":::1", "-"),
        (b"for=203.0.113.9", "-"),
        (b"http://203.0.113.9", "-"),
        (b"203.0.113.9, unknown, 10.0.0.2", "-"),
        (b"203.0.113.9, \xff, 10.0.0.2", "-"),
    ];
    assert!(table.len() >= 40);
    let proxies = TrustedProxies::parse("10.0.0.0/8, 192.0.2.7, 2001:db8:aa::/48").unwrap();
    let policy = AddressPolicy { proxies, header: ClientAddressHeader::XForwardedFor };
    for (value, client) in table {
        let client = if *client == "-" { "10.0.0.1" } else { client };
        let found = policy.resolve("10.0.0.1".parse().unwrap(), |name| (name == "x-forwarded-for").then_some(*value));
        assert_eq!(found.address.to_string(), client, "{:?}", String::from_utf8_lossy(value));
        assert!(found.via_proxy);
    }
}

#[test]
fn several_lines_are_one_list_in_their_order() {
    let found = resolve(
        ClientAddressHeader::XForwardedFor,
        "10.0.0.1",
        &[
            ("x-forwarded-for", b"1.1.1.1"),
            ("x-forwarded-for", b"203.0.113.9, 10.0.0.4"),
            ("x-forwarded-for", b"10.0.0.3"),
        ],
    );
    assert_eq!(found.address.to_string(), "203.0.113.9");
    let spoofed = resolve(
        ClientAddressHeader::XForwardedFor,
        "10.0.0.1",
        &[("x-forwarded-for", b"1.1.1.1"), ("x-forwarded-for", b"203.0.113.9")],
    );
    assert_eq!(spoofed.address.to_string(), "203.0.113.9");
}

#[test]
fn no_header_of_an_untrusted_peer_counts() {
    const ALL: Lines = &[
        ("x-forwarded-for", b"1.1.1.1"),
        ("forwarded", b"for=1.1.1.1;proto=https;host=evil.example"),
        ("x-real-ip", b"1.1.1.1"),
        ("x-forwarded-proto", b"https"),
        ("x-forwarded-host", b"evil.example"),
    ];
    for header in [ClientAddressHeader::XForwardedFor, ClientAddressHeader::Forwarded, ClientAddressHeader::XRealIp] {
        for peer in
            ["203.0.113.1", "11.0.0.1", "192.0.2.8", "2001:db8:ab::1", "::1", "::ffff:203.0.113.1", "::10.0.0.1"]
        {
            let found = resolve(header, peer, ALL);
            assert_eq!(found, ClientAddress::direct(peer.parse().unwrap()), "{header:?} {peer}");
        }
        let nobody = AddressPolicy { proxies: TrustedProxies::none(), header };
        assert_eq!(resolve_by(&nobody, "10.0.0.1", ALL), ClientAddress::direct("10.0.0.1".parse().unwrap()));
    }
}

#[test]
fn only_the_configured_header_is_read() {
    let found = resolve(
        ClientAddressHeader::XRealIp,
        "10.0.0.1",
        &[("x-forwarded-for", b"1.1.1.1"), ("forwarded", b"for=2.2.2.2"), ("x-real-ip", b"203.0.113.9")],
    );
    assert_eq!(found.address.to_string(), "203.0.113.9");
    let found = resolve(ClientAddressHeader::XRealIp, "10.0.0.1", &[("x-forwarded-for", b"1.1.1.1")]);
    assert_eq!(found.address.to_string(), "10.0.0.1");
}

#[test]
fn x_real_ip_is_one_line_with_one_address() {
    const BAD: [Lines; 3] = [
        &[("x-real-ip", b"1.1.1.1, 203.0.113.9")],
        &[("x-real-ip", b"1.1.1.1"), ("x-real-ip", b"203.0.113.9")],
        &[("x-real-ip", b"unknown")],
    ];
    for lines in BAD {
        assert_eq!(resolve(ClientAddressHeader::XRealIp, "10.0.0.1", lines).address.to_string(), "10.0.0.1");
    }
}

#[test]
fn forwarded_is_read_by_its_grammar() {
    let table: &[(&'static [u8], &str)] = &[
        (b"for=203.0.113.9", "203.0.113.9"),
        (b"For=\"203.0.113.9:4711\"", "203.0.113.9"),
        (b"for=\"203.0.113.9:_port\"", "203.0.113.9"),
        (b"for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        (b"for=\"[2001:db8::1]\"", "2001:db8::1"),
        (b"for=\"[::ffff:203.0.113.9]\"", "203.0.113.9"),
        (b"by=10.0.0.9;for=203.0.113.9;ext=\"a,b;for=1.1.1.1\"", "203.0.113.9"),
        (b"for=1.1.1.1, for=203.0.113.9;proto=http", "203.0.113.9"),
        (b"for=1.1.1.1,for=203.0.113.9 , for=10.0.0.2", "203.0.113.9"),
        (b"for=\"_a\\\"b\", for=203.0.113.9", "203.0.113.9"),
        (b"for=unknown, for=203.0.113.9", "203.0.113.9"),
        (b"for=unknown", "-"),
        (b"for=_hidden", "-"),
        (b"for=203.0.113.9, for=unknown, for=10.0.0.2", "-"),
        (b"for=203.0.113.9, proto=http", "-"),
        (b"for=2001:db8::1", "-"),
        (b"for=\"2001:db8::1\"", "-"),
        (b"for=203.0.113.9:80", "-"),
        (b"for=203.0.113.9;for=1.1.1.1", "-"),
        (b"for=\"203.0.113.9", "-"),
        (b"for= 203.0.113.9", "-"),
        (b"for =203.0.113.9", "-"),
        (b"for", "-"),
        (b"for=", "-"),
        (b"for=203.0.113.9,", "-"),
        (b"for=203.0.113.9;", "-"),
        (b"\"for=203.0.113.9", "-"),
        (b"for=1.1.1.1\", for=203.0.113.9", "-"),
        (b"for=203.0.113.9\xff", "-"),
        (b"203.0.113.9", "-"),
        (b"", "-"),
    ];
    let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap();
    let policy = AddressPolicy { proxies, header: ClientAddressHeader::Forwarded };
    for (value, client) in table {
        let client = if *client == "-" { "10.0.0.1" } else { client };
        let found = policy.resolve("10.0.0.1".parse().unwrap(), |name| (name == "forwarded").then_some(*value));
        assert_eq!(found.address.to_string(), client, "{:?}", String::from_utf8_lossy(value));
    }
}

#[test]
fn scheme_and_host_come_from_the_hop_that_named_the_client() {
    let table: &[(Lines, Option<Scheme>, Option<&str>)] = &[
        (
            &[("x-forwarded-proto", b"https"), ("x-forwarded-host", b"cms.example")],
            Some(Scheme::Https),
            Some("cms.example"),
        ),
        (&[("x-forwarded-proto", b" HTTP ")], Some(Scheme::Http), None),
        (&[("x-forwarded-proto", b"https, http"), ("x-forwarded-for", b"203.0.113.9")], Some(Scheme::Http), None),
        (
            &[("x-forwarded-proto", b"https, http"), ("x-forwarded-for", b"203.0.113.9, 10.0.0.2")],
            Some(Scheme::Https),
            None,
        ),
        (&[("x-forwarded-proto", b"https"), ("x-forwarded-for", b"203.0.113.9, 10.0.0.2")], Some(Scheme::Https), None),
        (&[("x-forwarded-proto", b"ftp")], None, None),
        (&[("x-forwarded-proto", b"")], None, None),
        (&[("x-forwarded-host", b"evil.example, cms.example")], None, Some("cms.example")),
        (&[("forwarded", b"proto=https;host=evil.example")], None, None),
        (&[], None, None),
    ];
    for (lines, scheme, host) in table {
        let found = resolve(ClientAddressHeader::XForwardedFor, "10.0.0.1", lines);
        assert_eq!((found.scheme, found.host.as_deref()), (*scheme, *host), "{lines:?}");
    }
    let found = resolve(
        ClientAddressHeader::Forwarded,
        "10.0.0.1",
        &[
            ("forwarded", b"for=203.0.113.9;proto=https;host=\"cms.example:443\", for=10.0.0.2;proto=http;host=inner"),
            ("x-forwarded-proto", b"http"),
        ],
    );
    assert_eq!((found.scheme, found.host.as_deref()), (Some(Scheme::Https), Some("cms.example:443")));
}

const TWO: Lines = &[("x-forwarded-for", b"9.9.9.9, 203.0.113.9, 198.51.100.1")];

#[test]
fn a_number_of_hops_finds_the_client_from_the_right() {
    let by_hops = |hops, list: &str| AddressPolicy {
        proxies: TrustedProxies::parse(list).unwrap().with_hops(hops),
        header: ClientAddressHeader::XForwardedFor,
    };
    let client = |policy: &AddressPolicy, peer, lines| resolve_by(policy, peer, lines).address.to_string();
    assert_eq!(client(&by_hops(1, ""), "198.51.100.2", TWO), "198.51.100.1");
    assert_eq!(client(&by_hops(2, ""), "198.51.100.2", TWO), "203.0.113.9");
    assert_eq!(client(&by_hops(4, ""), "198.51.100.2", TWO), "198.51.100.2");
    assert_eq!(client(&by_hops(usize::MAX, ""), "198.51.100.2", TWO), "198.51.100.2");
    assert_eq!(client(&by_hops(0, ""), "198.51.100.2", TWO), "198.51.100.2");
    assert_eq!(client(&by_hops(2, "10.0.0.0/8"), "198.51.100.2", TWO), "198.51.100.2");
    assert_eq!(client(&by_hops(2, "10.0.0.0/8"), "10.0.0.1", TWO), "203.0.113.9");
    assert_eq!(client(&by_hops(2, ""), "10.0.0.1", &[("x-forwarded-for", b"1.1.1.1, junk")]), "10.0.0.1");
}

#[test]
fn a_list_of_proxies_takes_networks_and_addresses_and_names_what_is_neither() {
    let proxies = TrustedProxies::parse(" 10.1.2.3/8 ,::1,, ::ffff:192.0.2.0/120 ").unwrap();
    for inside in ["10.255.0.1", "::1", "192.0.2.200", "::ffff:10.0.0.1"] {
        assert!(proxies.contains(inside.parse().unwrap()), "{inside}");
    }
    for outside in ["11.0.0.1", "::2", "192.0.3.1", "::ffff:11.0.0.1"] {
        assert!(!proxies.contains(outside.parse().unwrap()), "{outside}");
    }
    assert!(TrustedProxies::parse("").unwrap().is_empty());
    for bad in ["10.0.0.0/33", "localhost", "10.0.0", "10.0.0.0/-1", "*"] {
        assert_eq!(TrustedProxies::parse(bad), Err(BadProxies(bad.to_owned())));
    }
}

#[test]
fn a_limit_counts_an_address_or_the_64_of_a_subscriber() {
    let client = |text: &str| ClientAddress::direct(text.parse().unwrap());
    assert_eq!(client("203.0.113.9").limit_network().to_string(), "203.0.113.9/32");
    assert_eq!(client("::ffff:203.0.113.9").limit_network().to_string(), "203.0.113.9/32");
    assert_eq!(client("203.0.113.9").source_network().to_string(), "203.0.113.0/24");
    assert_eq!(client("2001:db8::1").limit_network(), client("2001:db8::ffff:1").limit_network());
    assert_ne!(client("2001:db8::1").limit_network(), client("2001:db8:0:1::1").limit_network());
}

#[test]
fn a_header_name_is_known_in_any_case() {
    assert_eq!(ClientAddressHeader::parse("X-Forwarded-For"), Some(ClientAddressHeader::XForwardedFor));
    assert_eq!(ClientAddressHeader::parse("forwarded"), Some(ClientAddressHeader::Forwarded));
    assert_eq!(ClientAddressHeader::parse("X-REAL-IP"), Some(ClientAddressHeader::XRealIp));
    assert_eq!(ClientAddressHeader::parse("True-Client-IP"), None);
}

proptest::proptest! {
    #[test]
    fn nothing_in_a_header_panics_or_leaves_the_rules(
        lines in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..80), 0..4),
        hops in 0_usize..4,
    ) {
        for header in [ClientAddressHeader::XForwardedFor, ClientAddressHeader::Forwarded, ClientAddressHeader::XRealIp] {
            let proxies = TrustedProxies::parse("10.0.0.0/8").unwrap().with_hops(hops);
            let policy = AddressPolicy { proxies, header };
            let ask = |_| lines.iter().map(Vec::as_slice);
            proptest::prop_assert!(policy.resolve("10.0.0.1".parse().unwrap(), ask).via_proxy);
            proptest::prop_assert!(!policy.resolve("11.0.0.1".parse().unwrap(), ask).via_proxy);
        }
    }
}
