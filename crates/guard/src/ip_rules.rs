//! Which client addresses may come in: rules that allow or block networks, each for ever or until a moment.
//!
//! Blocking wins. As soon as one allowing rule is live, whoever is not allowed stays out. Looking an address up is a binary search,
//! however many rules there are and however they nest: networks never overlap but by containing one another, so the address space
//! falls into stretches within which the same rules hold.
//!
//! Where rules are kept and who may change them is not known here.

use std::net::IpAddr;

use ipnet::IpNet;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Allow,
    Block,
}

impl Effect {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Allow, Self::Block].into_iter().find(|effect| effect.as_str() == word)
    }
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub network: IpNet,
    pub effect: Effect,
    /// Unix milliseconds from which it no longer holds; `None`: for ever.
    pub expires_at: Option<i64>,
}

impl Rule {
    /// The last moment that the rule holds is the one before this.
    fn end(&self) -> i64 {
        self.expires_at.unwrap_or(i64::MAX)
    }
}

/// Until when each effect holds; 0: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Until {
    allow: i64,
    block: i64,
}

impl Until {
    fn with(mut self, rule: &Rule) -> Self {
        let end = match rule.effect {
            Effect::Allow => &mut self.allow,
            Effect::Block => &mut self.block,
        };
        *end = (*end).max(rule.end());
        self
    }
}

/// A stretch of addresses within which the same rules hold: from its first to the next stretch.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: u128,
    until: Until,
}

/// All rules, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    v4: Vec<Stretch>,
    v6: Vec<Stretch>,
    /// When the last allowing rule ends: until then only the allowed come in.
    only_allowed_until: i64,
}

impl RuleSet {
    /// The set of these rules. IPv4-mapped networks are IPv4.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let (mut v4, mut v6, mut only_allowed_until) = (Vec::new(), Vec::new(), 0);
        for mut rule in rules {
            rule.network = canonical(rule.network);
            if rule.effect == Effect::Allow {
                only_allowed_until = only_allowed_until.max(rule.end());
            }
            if matches!(rule.network, IpNet::V4(_)) { v4.push(rule) } else { v6.push(rule) }
        }
        Self { v4: stretches(v4), v6: stretches(v6), only_allowed_until }
    }

    /// Whether nobody is kept out, ever.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether the address may come in at this moment, unix milliseconds.
    pub fn admits(&self, address: IpAddr, now: i64) -> bool {
        if self.is_empty() {
            return true;
        }
        let (stretches, address) = match address.to_canonical() {
            IpAddr::V4(v4) => (&self.v4, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (&self.v6, v6.to_bits()),
        };
        let after = stretches.partition_point(|stretch| stretch.first <= address);
        let until = after.checked_sub(1).map_or(Until::default(), |place| stretches[place].until);
        until.block <= now && (self.only_allowed_until <= now || until.allow > now)
    }
}

/// IPv4-mapped networks as IPv4, host bits cut off.
pub fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = ipnet::Ipv4Net::new(v4, prefix)
    {
        return IpNet::V4(v4.trunc());
    }
    network.trunc()
}

/// First and last address of a network.
fn bounds(network: IpNet) -> (u128, u128) {
    match network {
        IpNet::V4(v4) => (v4.network().to_bits().into(), v4.broadcast().to_bits().into()),
        IpNet::V6(v6) => (v6.network().to_bits(), v6.broadcast().to_bits()),
    }
}

/// The stretches of one family. Sorted by first address, wider before narrower, a network comes right after those that contain it.
fn stretches(mut rules: Vec<Rule>) -> Vec<Stretch> {
    rules.sort_by_key(|rule| (bounds(rule.network).0, rule.network.prefix_len()));
    let mut made: Vec<Stretch> = Vec::with_capacity(rules.len() * 2);
    // The networks that we are inside of, each with its last address and what holds there.
    let mut around: Vec<(u128, Until)> = Vec::new();
    for rule in &rules {
        let (first, last) = bounds(rule.network);
        leave(&mut around, &mut made, Some(first));
        let until = around.last().map_or(Until::default(), |(_, until)| *until).with(rule);
        around.push((last, until));
        put(&mut made, first, until);
    }
    leave(&mut around, &mut made, None);
    made
}

/// Leaves the networks that end before `next`: after each, what holds is that of the one around it.
fn leave(around: &mut Vec<(u128, Until)>, made: &mut Vec<Stretch>, next: Option<u128>) {
    while let Some((last, _)) = around.last().copied() {
        if next.is_some_and(|next| next <= last) {
            return;
        }
        around.pop();
        let outside = around.last().map_or(Until::default(), |(_, until)| *until);
        if let Some(after) = last.checked_add(1) {
            put(made, after, outside);
        }
    }
}

fn put(made: &mut Vec<Stretch>, first: u128, until: Until) {
    match made.last_mut() {
        Some(stretch) if stretch.first == first => stretch.until = until,
        Some(stretch) if stretch.until == until => {}
        _ => made.push(Stretch { first, until }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_000;

    fn rule(network: &str, effect: Effect, expires_at: Option<i64>) -> Rule {
        Rule { network: network.parse().unwrap(), effect, expires_at }
    }

    fn admits(rules: &[Rule], address: &str) -> bool {
        RuleSet::new(rules.iter().copied()).admits(address.parse().unwrap(), NOW)
    }

    #[test]
    fn without_rules_everybody_comes_in() {
        assert!(admits(&[], "203.0.113.7") && admits(&[], "::1"));
    }

    #[test]
    fn blocking_wins_over_allowing_however_they_nest() {
        use Effect::{Allow, Block};
        let wide_block = [rule("10.0.0.0/8", Block, None), rule("10.1.2.3/32", Allow, None)];
        assert!(!admits(&wide_block, "10.1.2.3"));
        let narrow_block = [rule("10.0.0.0/8", Allow, None), rule("10.1.2.3/32", Block, None)];
        assert!(
            admits(&narrow_block, "10.1.2.2")
                && !admits(&narrow_block, "10.1.2.3")
                && admits(&narrow_block, "10.1.2.4")
        );
        let same = [rule("10.1.2.3/32", Allow, None), rule("10.1.2.3/32", Block, None)];
        assert!(!admits(&same, "10.1.2.3"));
    }

    #[test]
    fn one_live_allowing_rule_keeps_the_others_out_in_both_families() {
        let one = [rule("2001:db8::/32", Effect::Allow, None)];
        assert!(admits(&one, "2001:db8::1") && !admits(&one, "2001:db9::1") && !admits(&one, "203.0.113.7"));
        let over = [rule("2001:db8::/32", Effect::Allow, Some(NOW))];
        assert!(admits(&over, "2001:db9::1") && admits(&over, "203.0.113.7"));
    }

    #[test]
    fn a_rule_ends_at_its_moment() {
        let block = |until| [rule("203.0.113.0/24", Effect::Block, Some(until))];
        assert!(!admits(&block(NOW + 1), "203.0.113.7") && admits(&block(NOW), "203.0.113.7"));
    }

    /// D-23: `::ffff:127.0.0.1` went around a rule for `127.0.0.1`.
    #[test]
    fn a_mapped_address_is_the_address() {
        let v4 = [rule("127.0.0.1/32", Effect::Block, None)];
        assert!(!admits(&v4, "::ffff:127.0.0.1") && !admits(&v4, "127.0.0.1"));
        let mapped = [rule("::ffff:127.0.0.0/120", Effect::Block, None)];
        assert!(!admits(&mapped, "127.0.0.1") && admits(&mapped, "127.0.1.1"));
    }

    #[test]
    fn the_ends_of_the_address_space_are_addresses_too() {
        let all = [rule("0.0.0.0/0", Effect::Block, None), rule("::/0", Effect::Block, None)];
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert!(!admits(&all, address), "{address}");
        }
        let last = [rule("255.255.255.255/32", Effect::Block, None)];
        assert!(!admits(&last, "255.255.255.255") && admits(&last, "255.255.255.254"));
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        // Few high bits, so that networks nest and touch.
        let network = prop_oneof![
            (0_u32..16, 22_u8..=32)
                .prop_map(|(low, prefix)| { ipnet::Ipv4Net::new((0x0a00_0000 | low).into(), prefix).unwrap().into() }),
            (0_u128..16, 118_u8..=128)
                .prop_map(|(low, prefix)| ipnet::Ipv6Net::new(low.into(), prefix).unwrap().into()),
        ];
        let rule = (network, any::<bool>(), proptest::option::of(NOW - 2..NOW + 2)).prop_map(
            |(network, allow, expires_at)| Rule {
                network,
                effect: if allow { Effect::Allow } else { Effect::Block },
                expires_at,
            },
        );
        proptest::collection::vec(rule, 0..12)
    }

    proptest! {
        #[test]
        fn the_search_says_what_reading_every_rule_would(rules in rules(), low in 0_u32..20, v6 in any::<bool>()) {
            let address: IpAddr =
                if v6 { IpAddr::from(std::net::Ipv6Addr::from_bits(low.into())) } else { IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 | low)) };
            let live: Vec<&Rule> = rules.iter().filter(|rule| rule.end() > NOW).collect();
            let has = |effect, inside: bool| live.iter().any(|rule| rule.effect == effect && (!inside || canonical(rule.network).contains(&address)));
            let wanted = !has(Effect::Block, true) && (!has(Effect::Allow, false) || has(Effect::Allow, true));
            prop_assert_eq!(RuleSet::new(rules.iter().copied()).admits(address, NOW), wanted);
        }
    }

    #[test]
    fn ten_thousand_rules_are_asked_as_fast_as_few() {
        let many = (0..10_000_u32).map(|n| Rule {
            network: ipnet::Ipv4Net::new((0x0a00_0000 | (n << 8)).into(), 26).unwrap().into(),
            effect: Effect::Block,
            expires_at: None,
        });
        let set = RuleSet::new(many);
        let started = std::time::Instant::now();
        let kept_out = (0..1_000_000_u32)
            .filter(|n| !set.admits(std::net::Ipv4Addr::from_bits(0x0a00_0000 | (n * 7)).into(), NOW))
            .count();
        let each = started.elapsed() / 1_000_000;
        println!("{each:?} a look-up, {kept_out} kept out");
        assert!(kept_out > 0 && each < std::time::Duration::from_micros(20), "{each:?}");
    }
}
