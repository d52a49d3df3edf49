//! What a password must be, and who needs a second factor.

use super::*;

/// Registers with each password; what is said of it, or `None` where it was taken.
#[track_caller]
fn judged(settings: &[(&str, &str)], passwords: &[(&str, Option<&str>)]) {
    let (server, _) = started(settings);
    for (n, (password, said)) in passwords.iter().enumerate() {
        let answer = register(&server, &format!("u{n}"), password);
        match said {
            None => assert_eq!(answer.status, 201, "{password}: {}", answer.json()),
            Some(said) => {
                assert_eq!((answer.status, &answer.json()["error"]), (422, &json!("password_policy")), "{password}");
                assert_eq!(answer.json()["details"]["password"], *said, "{password}");
            }
        }
    }
}

#[test]
fn password_min_length_is_the_fewest_characters() {
    let short = Some("Password must be at least 14 characters long");
    judged(
        &[("PASSWORD_MIN_LENGTH", "14")],
        &[("zq8vkw3mtxbrn", short), ("zq8vkw3mtxbrnh", None), ("äöüßäöüßäöüßä", short), ("äöüßäöüßäöüßäö", None)],
    );
    judged(
        &[("PASSWORD_MIN_LENGTH", "6")],
        &[("zq8vk", Some("Password must be at least 6 characters long")), ("zq8vkw", None)],
    );
}

#[test]
fn password_require_uppercase_asks_for_one() {
    let missing = Some("Password must contain at least one uppercase letter");
    judged(&[("PASSWORD_REQUIRE_UPPERCASE", "true")], &[("zq8vkw3mtx!", missing), ("Zq8vkw3mtx!", None)]);
    judged(&[("PASSWORD_REQUIRE_UPPERCASE", "false")], &[("zq8vkw3mtx!", None)]);
}

#[test]
fn password_require_lowercase_asks_for_one() {
    let missing = Some("Password must contain at least one lowercase letter");
    judged(&[("PASSWORD_REQUIRE_LOWERCASE", "true")], &[("ZQ8VKW3MTX!", missing), ("zQ8VKW3MTX!", None)]);
}

#[test]
fn password_require_digit_asks_for_one() {
    let missing = Some("Password must contain at least one digit");
    judged(&[("PASSWORD_REQUIRE_DIGIT", "true")], &[("Zq-vkw-mtx!", missing), ("Zq-vkw-mtx7", None)]);
}

#[test]
fn password_require_special_asks_for_one() {
    let missing = Some("Password must contain at least one special character (!@#$%^&*...)");
    judged(
        &[("PASSWORD_REQUIRE_SPECIAL", "true")],
        &[("Zq8vkw3mtx", missing), ("Zq8vkw3mtx~", missing), ("Zq8vkw3mtx-", None)],
    );
}

/// R52: the blocklist stands beside rules of composition.
#[test]
fn password_require_and_all_its_kin_say_every_rule_that_is_broken() {
    let all = [
        ("PASSWORD_MIN_LENGTH", "12"),
        ("PASSWORD_REQUIRE_UPPERCASE", "true"),
        ("PASSWORD_REQUIRE_LOWERCASE", "true"),
        ("PASSWORD_REQUIRE_DIGIT", "true"),
        ("PASSWORD_REQUIRE_SPECIAL", "true"),
    ];
    let every = "Password must be at least 12 characters long; Password must contain at least one uppercase letter; Password must \
                 contain at least one digit; Password must contain at least one special character (!@#$%^&*...)";
    let common = Some("Password is too common");
    judged(&all, &[("zqvkwm", Some(every)), ("P@ssw0rd123!", common), ("Zqvk8wmt_brnh", None)]);
}

#[test]
fn password_history_count_is_how_many_earlier_ones_are_refused() {
    let (server, _) = started(&[("PASSWORD_HISTORY_COUNT", "2")]);
    let phrases = [PASSWORD, "second-zq8vkw3mtx", "third-zq8vkw3mtx", "fourth-zq8vkw3mtx"];
    let change = |old: &str, new: &str| {
        let token = server.sign_in(old).expect(200).json()["token"]["access_token"].as_str().unwrap().to_owned();
        let body = json!({"old_password": old, "new_password": new, "new_password_confirm": new});
        server.ask("POST", "/api/v1/auth/change-password").token(&token).json(&body).send()
    };
    for pair in phrases.windows(2) {
        assert_eq!(change(pair[0], pair[1]).status, 204);
    }
    for used in &phrases[1..] {
        let answer = change(phrases[3], used);
        assert_eq!(answer.json()["details"]["new_password"], "Password was used before", "{used}");
    }
    assert_eq!(change(phrases[3], phrases[0]).status, 204, "the third before it is forgotten");
}

#[test]
fn context_words_are_in_no_password() {
    let common = Some("Password is too common");
    judged(
        &[
            ("CONTEXT_WORDS", "zanzibar, kiosk,abc"),
            ("APP_NAME", "Pinboard"),
            ("BASE_URL", "http://wombat.example.net"),
        ],
        &[
            ("zq8v-ZanziBar-kw3m", common),
            ("zq8vKIOSKkw3m", common),
            ("zq8vabckw3mtx", None),
            ("my-pinboard-zq8v", common),
            ("my-wombats-zq8v", common),
            ("my-example-zq8v", common),
        ],
    );
}

/// R63.
#[test]
fn require_mfa_leaves_an_account_without_a_second_factor_nothing_but_enrolling() {
    for (value, admin, user) in [("admin", 403, 200), ("all", 403, 403), ("", 200, 200)] {
        let (server, token) = started(&[("REQUIRE_MFA", value)]);
        let sessions = |token: &str| server.ask("GET", "/api/v1/auth/sessions").token(token).status();
        assert_eq!(sessions(&token), admin, "REQUIRE_MFA={value}");
        let ann = register(&server, "ann", PASSWORD).json()["token"]["access_token"].as_str().unwrap().to_owned();
        assert_eq!(sessions(&ann), user, "REQUIRE_MFA={value}");
        server.ask("POST", "/api/v1/auth/2fa/setup").token(&token).json(&json!({})).expect(200);
    }
}
