//! E-mail addresses.

/// Longest address, in characters (contract 7.3).
pub const MAX_LENGTH: usize = 255;

/// An address as people have them: a dot-atom (RFC 5322, with the letters of RFC 6531) at a domain of at least two labels.
/// Quoted local parts, comments and address literals are refused.
pub fn is_address(text: &str) -> bool {
    if text.chars().count() > MAX_LENGTH {
        return false;
    }
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    (1..=64).contains(&local.len()) && local.split('.').all(is_atom) && is_domain(domain)
}

fn is_atom(atom: &str) -> bool {
    !atom.is_empty()
        && atom.chars().all(|c| {
            if c.is_ascii() {
                c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
            } else {
                c.is_alphanumeric()
            }
        })
}

fn is_domain(domain: &str) -> bool {
    let mut labels = 0;
    let mut last = "";
    for label in domain.split('.') {
        let shape = label.chars().all(|c| c.is_alphanumeric() || c == '-');
        if label.is_empty() || label.len() > 63 || !shape || label.starts_with('-') || label.ends_with('-') {
            return false;
        }
        labels += 1;
        last = label;
    }
    labels >= 2 && last.chars().count() >= 2 && !last.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses_need_a_local_part_and_a_domain_of_two_labels() {
        for good in ["a@b.co", "first.last+tag@sub.example.org", "jürgen@müller.de", "o'neil@example.com"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "x.y@",
            "@example.org",
            "a@b",
            "a b@example.org",
            "a..b@example.org",
            ".a@example.org",
            "a@-b.org",
            "a@b..org",
            "a@example.1",
            "a@b@c.org",
            "\"q\"@example.org",
            "a@exam ple.org",
            "a@example.org\n",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(!is_address(&format!("{}@example.org", "a".repeat(65))));
    }
}
