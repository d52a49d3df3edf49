//! Warnings about names that nobody reads but somebody probably meant.

use super::catalog;
use super::fault::{Warning, quoted};
use super::reader::Reader;
use super::source::is_known;

/// How many letters a name may be away from a known one to count as its misspelling.
const MAX_DISTANCE: usize = 2;

/// Beginnings that are ours alone: a name that starts so and is not known is a mistake, however far from any known one. Beginnings
/// that other programs or platforms also write (`AWS_`, `REDIS_`, `SESSION_` and the like) are left out on purpose.
const OWN_PREFIXES: &[&str] = &[
    "ACCESS_TOKEN_",
    "ACCOUNT_LOCKOUT_",
    "CORS_",
    "ENCRYPTION_KEY_",
    "IMAGE_",
    "PASSWORD_",
    "RATE_LIMIT_",
    "REFRESH_TOKEN_",
    "SECRET_KEY_",
    "SECURITY_",
    "SMTP_FROM_",
    "TRUSTED_PROX",
];

/// Warns about each unknown name that looks like a known one.
pub(super) fn warn(read: &mut Reader<'_>) {
    let unknown: Vec<_> = read.names().filter(|name| !is_known(name)).map(str::to_owned).collect();
    for name in unknown {
        if let Some(message) = suspicion(&name) {
            read.warn(Warning::new(printable(&name), message));
        }
    }
}

/// What is suspicious about the unknown `name`, if anything.
fn suspicion(name: &str) -> Option<String> {
    if let Some(open) = name.strip_suffix("_FILE").and_then(catalog::find) {
        return Some(format!("is not read: only a secret may come from a file; set {} itself", open.name));
    }
    let own = letters(name);
    let (distance, nearest) = spellings()
        .filter(|(known, end)| (known.len() + end.len()).abs_diff(name.len()) <= MAX_DISTANCE)
        // Each change of a letter takes at most one away and brings at most one in: most names end here, without a comparison.
        .filter(|(known, end)| {
            let known = letters(known) | letters(end);
            let most = (own & !known).count_ones().max((known & !own).count_ones());
            most as usize <= MAX_DISTANCE
        })
        .map(|(known, end)| format!("{known}{end}"))
        .map(|known| (strsim::levenshtein(name, &known), known))
        .min()
        .unwrap_or((usize::MAX, String::new()));
    if distance <= MAX_DISTANCE {
        return Some(format!("is not a known variable and is ignored: did you mean {nearest}?"));
    }
    let ours = OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    ours.then(|| "is not a known variable and is ignored: `fastcms config` lists all".to_owned())
}

/// Every name that is read, and what it ends in where a secret comes from a file.
fn spellings() -> impl Iterator<Item = (&'static str, &'static str)> {
    catalog::ALL.iter().flat_map(|variable| {
        let ends = if variable.is_secret() { &["", "_FILE"][..] } else { &[""] };
        variable.names().flat_map(move |name| ends.iter().map(move |end| (name, *end)))
    })
}

/// Which letters occur in a name, a bit each.
fn letters(name: &str) -> u64 {
    name.chars().fold(0, |seen, letter| seen | 1 << (u32::from(letter) % u64::BITS))
}

/// A name safe to print: names come from outside, too.
fn printable(name: &str) -> String {
    if name.bytes().all(|byte| byte.is_ascii_graphic()) && name.len() <= 60 { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_own_prefix_is_the_beginning_of_a_known_name() {
        for prefix in OWN_PREFIXES {
            assert!(catalog::ALL.iter().any(|variable| variable.name.starts_with(prefix)), "{prefix}");
        }
    }

    #[test]
    fn two_letters_away_is_suspicious_and_three_are_not() {
        for near in
            ["SECRT_KEY", "SECRETKEYY", "DEBUGS", "RATE_LIMT_PER_MINUTE", "SECRET_KEY_FIL", "BAO_ADR", "APP_PROT"]
        {
            let message = suspicion(near).unwrap_or_else(|| panic!("{near}"));
            assert!(message.contains("did you mean"), "{near}: {message}");
        }
        for far in ["HOME", "PATH", "AWS_PROFILE", "SESSION_MANAGER", "REDIS_SERVICE_HOST", "DEBUGGING"] {
            assert_eq!(suspicion(far), None, "{far}");
        }
    }

    #[test]
    fn names_that_are_passed_over_are_too_far_away() {
        let names: Vec<String> = spellings().map(|(known, end)| format!("{known}{end}")).collect();
        for name in &names {
            let own = letters(name);
            for other in &names {
                let most = (own & !letters(other)).count_ones();
                assert!(most as usize <= strsim::levenshtein(name, other), "{name} {other}");
            }
        }
    }

    #[test]
    fn a_stranger_under_an_own_prefix_is_suspicious() {
        assert!(suspicion("RATE_LIMIT_BURST_SIZE").is_some());
        assert!(suspicion("APP_NAME_FILE").unwrap().contains("only a secret"));
    }
}
