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

/// A service that knows one password, and what it was asked.
fn breaches(known: &str, status: &'static str) -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/range/", listener.local_addr().unwrap());
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (heard, digest) = (std::sync::Arc::clone(&asked), fastcms_guard::password::breach_digest(known));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, mut request) = (socket.unwrap(), Vec::new());
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            heard.lock().unwrap().push(String::from_utf8(request).unwrap());
            let body = format!("{}:0\r\n{}:17\r\n", "0".repeat(35), &digest.expose()[5..]);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            socket.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    (url, asked)
}

/// R53.
#[test]
fn password_breach_url_is_told_five_digits_and_refuses_what_it_knows() {
    let breached = "a phrase that everybody has";
    let (url, asked) = breaches(breached, "200 OK");
    let (server, admin) = started(&[("PASSWORD_BREACH_URL", &url)]);
    let refused = register(&server, "ann", breached);
    assert_eq!((refused.status, &refused.json()["details"]), (422, &json!({"password": "Password is too common"})));
    assert_eq!(register(&server, "ann", "a phrase that nobody has").status, 201);
    let members = json!({"name": "members", "type": "auth", "create_rule": "", "schema": []});
    server.ask("POST", "/api/v1/collections").token(&admin).json(&members).expect(201);
    let body = json!({"email": "ann@example.com", "password": breached, "password_confirm": breached});
    for door in ["/api/v1/collections/members/auth/register", "/api/v1/admin/users"] {
        server.ask("POST", door).token(&admin).json(&body).refused(422, "password_policy");
    }
    let output = server.run(&["admin", "create", "bob@example.com", "--password-stdin"], &format!("{breached}\n"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let digest = fastcms_guard::password::breach_digest(breached);
    let asked = asked.lock().unwrap();
    // Setup, two registrations, two doors more, the command line.
    assert_eq!(asked.len(), 6, "{asked:?}");
    for request in asked.iter() {
        let head = request.split("/range/").nth(1).unwrap().split(' ').next().unwrap();
        assert_eq!(head.len(), 5, "{request}");
        assert!(!request.contains(&digest.expose()[5..]) && !request.contains("phrase") && !request.contains("ann"));
    }
}

/// R53: it fails open, and no sign-in waits for it.
#[test]
fn password_breach_url_that_does_not_answer_refuses_nobody() {
    let closed = format!("http://127.0.0.1:{}/range/", crate::process::free_port());
    for url in [closed, breaches(PASSWORD, "503 Service Unavailable").0] {
        let (server, _) = started(&[("PASSWORD_BREACH_URL", &url)]);
        assert_eq!(register(&server, "ann", "a phrase that everybody has").status, 201, "{url}");
        server.sign_in(PASSWORD).expect(200);
        assert!(server.log().contains("PASSWORD_BREACH_URL"), "{}", server.log());
    }
    let plain = Server::production(&[("PASSWORD_BREACH_URL", "http://range.example.com/")]).run(&["serve"], "");
    assert_eq!(plain.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&plain.stderr).contains("PASSWORD_BREACH_URL"));
}
