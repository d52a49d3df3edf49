//! The rules a new password must keep.

use unicode_normalization::UnicodeNormalization;

use super::{MAX_BYTES, blocklist};

/// Fewest code points where nothing is configured.
pub const MIN_LENGTH: usize = 10;

/// Most code points (NIST SP 800-63B: at least 64 must be allowed).
pub const MAX_LENGTH: usize = 128;

/// Context words shorter than this are ignored, or `s@example.com` would forbid every `s`.
pub const MIN_CONTEXT_LENGTH: usize = 4;

/// What is said of a password that others use, too.
pub const TOO_COMMON: &str = "Password is too common";

const SPECIAL: &str = "!@#$%^&*()_+-=[]{}\\|;':\",./<>?";

/// The rules. What is not set is not asked for; the blocklist and the maximum always are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one setting, named like it")]
pub struct Policy {
    /// Fewest code points.
    pub min_length: usize,
    /// At least one upper-case letter.
    pub require_uppercase: bool,
    /// At least one lower-case letter.
    pub require_lowercase: bool,
    /// At least one digit, 0 to 9.
    pub require_digit: bool,
    /// At least one of ``!@#$%^&*()_+-=[]{}\|;':",./<>?``.
    pub require_special: bool,
    /// Words no password may contain, whoever's it is: the product's name, its host, words of the
    /// installation.
    pub context_words: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_length: MIN_LENGTH,
            require_uppercase: false,
            require_lowercase: false,
            require_digit: false,
            require_special: false,
            context_words: Vec::new(),
        }
    }
}

impl Policy {
    /// Judges `password`; `context` are words that belong to this account alone, such as the
    /// [`local_part`] of its address. Blocks for well under a millisecond, whatever the length.
    ///
    /// # Errors
    /// The text of every rule that is broken, in a fixed order.
    pub fn check(&self, password: &str, context: &[&str]) -> Result<(), Vec<String>> {
        let oversized = password.len() > MAX_BYTES;
        let head = &password[..password.floor_char_boundary(MAX_BYTES)];
        let text: String = head.nfc().collect();
        let length = text.chars().count();
        let folded = fold(&text);

        let mut broken = Vec::new();
        let mut rule = |kept: bool, text: &str| {
            if !kept {
                broken.push(text.to_owned());
            }
        };
        rule(length >= self.min_length, &format!("Password must be at least {} characters long", self.min_length));
        rule(!oversized && length <= MAX_LENGTH, "Password must be at most 128 characters long");
        rule(
            !self.require_uppercase || text.chars().any(char::is_uppercase),
            "Password must contain at least one uppercase letter",
        );
        rule(
            !self.require_lowercase || text.chars().any(char::is_lowercase),
            "Password must contain at least one lowercase letter",
        );
        rule(
            !self.require_digit || text.chars().any(|c| c.is_ascii_digit()),
            "Password must contain at least one digit",
        );
        rule(
            !self.require_special || text.contains(|c| SPECIAL.contains(c)),
            "Password must contain at least one special character (!@#$%^&*...)",
        );
        rule(!text.contains('\0'), "Password must not contain a NUL character");
        let words = self.context_words.iter().map(String::as_str).chain(context.iter().copied());
        rule(!blocklist::is_common(&folded) && !contains_any(&folded, words), TOO_COMMON);
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }
}

/// Lower case, and compatibility characters (`Ｐ`, `ﬁ`) as what they look like: for comparison only.
fn fold(text: &str) -> String {
    // Lower-casing can leave a form that is not normalised, hence twice.
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

fn contains_any<'w>(folded: &str, mut words: impl Iterator<Item = &'w str>) -> bool {
    words.any(|word| {
        let word = fold(word.trim());
        word.chars().count() >= MIN_CONTEXT_LENGTH && folded.contains(&word)
    })
}

/// The part of an e-mail address before its last `@`, as a context word.
pub fn local_part(email: &str) -> &str {
    email.rsplit_once('@').map_or(email, |(local, _)| local)
}

/// The labels of a URL's host, as context words; none for an address.
pub fn host_labels(url: &str) -> Vec<String> {
    match url::Url::parse(url).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name.split('.').filter(|label| !label.is_empty()).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(policy: &Policy, password: &str) -> Vec<String> {
        policy.check(password, &[]).err().unwrap_or_default()
    }

    #[test]
    fn without_settings_only_length_and_blocklist_count() {
        let policy = Policy::default();
        for fine in ["lower case words only", "ääääääääää", "          ", "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀", "zq8vkw3mtx"]
        {
            assert_eq!(broken(&policy, fine), [""; 0], "{fine}");
        }
        assert_eq!(broken(&policy, "zq8vkw3mt"), ["Password must be at least 10 characters long"]);
    }

    #[test]
    fn length_counts_code_points_from_the_minimum_to_128_and_no_further() {
        let policy = Policy::default();
        assert_eq!(broken(&policy, &"ü€".repeat(64)), [""; 0]);
        let past = ["Password must be at most 128 characters long"];
        assert_eq!(broken(&policy, &format!("{}x", "ü€".repeat(64))), past);
        assert_eq!(broken(&policy, &"€ü".repeat(1_000_000)), past);
        // A letter and its combining accent are one code point once composed.
        assert_eq!(broken(&policy, &"e\u{301}".repeat(128)), [""; 0]);
        assert_eq!(broken(&policy, &"e\u{301}".repeat(9)).len(), 1);
    }

    #[test]
    fn each_set_rule_is_enforced_and_every_broken_one_is_listed() {
        let policy = Policy {
            min_length: 12,
            require_uppercase: true,
            require_lowercase: true,
            require_digit: true,
            require_special: true,
            context_words: Vec::new(),
        };
        assert_eq!(
            broken(&policy, ""),
            [
                "Password must be at least 12 characters long",
                "Password must contain at least one uppercase letter",
                "Password must contain at least one lowercase letter",
                "Password must contain at least one digit",
                "Password must contain at least one special character (!@#$%^&*...)",
            ]
        );
        assert_eq!(
            broken(&policy, "zqvkwmtxbrnh"),
            [
                "Password must contain at least one uppercase letter",
                "Password must contain at least one digit",
                "Password must contain at least one special character (!@#$%^&*...)",
            ]
        );
        assert_eq!(broken(&policy, "Zqvk8wmt_brnh"), [""; 0]);
        for special in SPECIAL.chars() {
            assert_eq!(broken(&policy, &format!("Zqvk8wmtxbrnh{special}")), [""; 0], "{special}");
        }
        assert_eq!(broken(&policy, "Zqvk8wmtxbrnh§ ~`").len(), 1);
    }

    #[test]
    fn common_passwords_are_refused_in_every_form() {
        let policy = Policy { min_length: 1, ..Policy::default() };
        for common in [
            "password",
            "PASSWORD",
            "Password123!",
            "P@ssw0rd123!",
            "p@$$w0rd",
            "letmein!!!!!!",
            "Iloveyou2024",
            "1lov3y0u!",
            "qwertyuiop1234567890",
            "1234567890",
            "123456",
            "trustno1",
            "tru$tno1..",
            "ｐａｓｓｗｏｒｄ",
            "Passw０rd",
        ] {
            assert_eq!(broken(&policy, common), [TOO_COMMON], "{common}");
        }
        for fine in ["xpassword", "pass word", "1password1a", "!password", "correct horse battery staple"] {
            assert_eq!(broken(&policy, fine), [""; 0], "{fine}");
        }
    }

    #[test]
    fn context_words_of_four_letters_or_more_are_refused_anywhere() {
        let policy =
            Policy { context_words: vec!["FastCMS".into(), "abc".into(), "Größe".into()], ..Policy::default() };
        for (password, context) in [
            ("zq8vFASTCMSkw3m", ""),
            ("my-grösse-xGRÖSSEx-größe", ""),
            ("zq8vk-annalena-w3", "AnnaLena"),
            ("annalenazq8vk", "annalena"),
        ] {
            assert_eq!(policy.check(password, &[context]), Err(vec![TOO_COMMON.to_owned()]), "{password}");
        }
        for (password, context) in
            [("zq8vabckw3m", "s"), ("zq8vbobkw3m", "bob"), ("zq8vkw3mtx", ""), ("zq8v   kw3m", "   ")]
        {
            assert_eq!(policy.check(password, &[context]), Ok(()), "{password}");
        }
    }

    #[test]
    fn a_nul_is_refused_and_said_so() {
        assert_eq!(broken(&Policy::default(), "zq8vkw3mtx\0"), ["Password must not contain a NUL character"]);
    }

    #[test]
    fn context_comes_from_the_address_and_the_host() {
        assert_eq!(local_part("anna.lena@example.com"), "anna.lena");
        assert_eq!(local_part("\"a@b\"@example.com"), "\"a@b\"");
        assert_eq!(local_part("anna"), "anna");
        assert_eq!(host_labels("https://cms.example.com:8000/x"), ["cms", "example", "com"]);
        assert_eq!(host_labels("http://127.0.0.1:8000"), [""; 0]);
        assert_eq!(host_labels("no url"), [""; 0]);
    }

    proptest::proptest! {
        #[test]
        fn no_password_panics_the_check(password in ".*", word in ".{0,8}") {
            let _ = Policy::default().check(&password, &[&word]);
        }
    }
}
