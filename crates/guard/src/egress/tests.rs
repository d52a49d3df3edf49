use std::collections::VecDeque;
use std::sync::Mutex;

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;

fn production(allowed: &[&str]) -> Egress {
    let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
    Egress::new(&allowed, false)
}

fn refused(egress: &Egress, address: &str) -> bool {
    egress.refusal(address.parse().unwrap()).is_some()
}

/// Addresses that R144 names, and one at each end of a range.
const INTERNAL: [&str; 42] = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
];
const PUBLIC: [&str; 15] = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2002:101:101::1",
];

#[test]
fn addresses_that_lead_inside_are_refused_in_every_form() {
    let egress = production(&[]);
    for address in INTERNAL {
        assert!(refused(&egress, address), "{address}");
    }
    for address in PUBLIC {
        assert!(!refused(&egress, address), "{address}");
    }
}

#[test]
fn what_is_listed_is_reached_and_nothing_beside_it() {
    let egress = production(&["10.1.0.0/16", "fd12::/16", "::ffff:192.168.7.0/120"]);
    for address in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::5", "192.168.7.9"] {
        assert!(!refused(&egress, address), "{address}");
    }
    // A gateway on the way is another network than ours.
    for address in ["10.2.0.1", "192.168.8.1", "fd13::1", "64:ff9b::a01:203", "127.0.0.1"] {
        assert!(refused(&egress, address), "{address}");
    }
    let everything = production(&["0.0.0.0/0", "::/0"]);
    for address in ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "64:ff9b::a9fe:a9fe"] {
        assert!(refused(&everything, address), "{address}: credentials are handed out there");
    }
    assert!(!refused(&everything, "127.0.0.1"));
}

#[test]
fn outside_production_own_networks_are_reached_and_no_others() {
    let egress = Egress::new(&[], true);
    for address in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd12::1"] {
        assert!(!refused(&egress, address), "{address}");
    }
    for address in ["169.254.169.254", "169.254.1.1", "0.0.0.0", "224.0.0.1", "fe80::1", "168.63.129.16"] {
        assert!(refused(&egress, address), "{address}");
    }
}

proptest! {
    /// However an IPv4 address is wrapped, it is refused wherever it is refused by itself.
    #[test]
    fn wrapping_an_address_opens_nothing(bits: u32) {
        let bare = std::net::Ipv4Addr::from_bits(bits);
        let egress = production(&[]);
        let [a, b, c, d] = bare.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        let wrapped = [
            IpAddr::V6(bare.to_ipv6_mapped()),
            IpAddr::from([0x64, 0xff9b, 0, 0, 0, 0, high, low]),
            IpAddr::from([0x2002, high, low, 0, 0, 0, 0, 1]),
        ];
        for address in wrapped {
            prop_assert_eq!(egress.refusal(address).is_some(), egress.refusal(bare.into()).is_some(), "{}", address);
        }
    }
}

#[test]
fn numbers_in_other_bases_are_the_addresses_that_they_are() {
    let egress = production(&[]);
    for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0x7f000001", "[::ffff:7f00:1]", "①②⑦.0.0.1"] {
        let url = url::Url::parse(&format!("http://{host}/")).unwrap();
        let address = match url.host().unwrap() {
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
            Host::Domain(name) => panic!("{host} was taken for the name {name}"),
        };
        assert!(egress.refusal(address).is_some(), "{host} is {address}");
    }
}

/// Answers each question with the next of its answers.
#[derive(Debug)]
struct Told(Mutex<VecDeque<Vec<IpAddr>>>);

impl Told {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parsed = answers.iter().map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect());
        Arc::new(Self(Mutex::new(parsed.collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Names for Told {
    fn lookup<'n>(&'n self, _name: &'n str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'n>> {
        let answer = self.0.lock().unwrap().pop_front().expect("nobody asks more often");
        Box::pin(async move { Ok(answer) })
    }
}

/// A socket, and whether anybody has connected to it.
async fn socket() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn was_reached(listener: &TcpListener) -> bool {
    tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await.is_ok()
}

fn name() -> Host {
    Host::Domain("rebind.example.com".to_owned())
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_address_that_was_looked_at_is_connected_to() {
    let (listener, port) = socket().await;
    // The second answer is what an attacker would have us connect to, had we asked again.
    let names = Told::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let egress = production(&["127.0.0.1/32"]).with_names(names.clone());
    let stream = egress.connect(&name(), port).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
    assert_eq!(names.left(), 1);
    assert!(was_reached(&listener).await);
}

#[tokio::test]
async fn a_name_that_rebinds_connects_nowhere() {
    let (listener, port) = socket().await;
    let names = Told::new(&[&["127.0.0.1"]]);
    let refused = production(&[]).with_names(names).connect(&name(), port).await.unwrap_err();
    assert!(matches!(refused, Unreached::Forbidden { .. }), "{refused}");
    assert!(!was_reached(&listener).await);
}

#[tokio::test]
async fn one_address_that_must_not_be_reached_refuses_the_name() {
    let (listener, port) = socket().await;
    let names = Told::new(&[&["127.0.0.1", "10.0.0.1"], &["127.0.0.1", "169.254.169.254"], &[]]);
    let egress = production(&["127.0.0.0/8"]).with_names(names);
    for _ in 0..2 {
        let refused = egress.connect(&name(), port).await.unwrap_err();
        assert!(matches!(refused, Unreached::Forbidden { .. }), "{refused}");
    }
    assert!(matches!(egress.connect(&name(), port).await, Err(Unreached::Unknown(_))));
    assert!(!was_reached(&listener).await);
}

#[tokio::test]
async fn an_address_in_the_place_of_a_name_is_looked_at_too() {
    let (listener, port) = socket().await;
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"] {
        let url = url::Url::parse(&format!("http://{host}/")).unwrap();
        let refused = production(&[]).connect(&url.host().unwrap().to_owned(), port).await.unwrap_err();
        assert!(refused.to_string().contains("a loopback address: EGRESS_ALLOWED_CIDRS"), "{refused}");
    }
    assert!(!was_reached(&listener).await);
    let host = Host::Ipv4(std::net::Ipv4Addr::LOCALHOST);
    production(&["127.0.0.0/8"]).connect(&host, port).await.unwrap();
}
