//! Which pages may call.

use super::*;

const LISTED: &str = "https://app.example.com";

fn allowed(server: &Server, origin: &str) -> Option<String> {
    server.ask("GET", "/").with("Origin", origin).expect(200).header("access-control-allow-origin").map(str::to_owned)
}

fn preflight(server: &Server, origin: &str, method: &str, header: &str) -> Answer {
    server
        .ask("OPTIONS", "/api/v1/auth/login")
        .with("Origin", origin)
        .with("Access-Control-Request-Method", method)
        .with("Access-Control-Request-Headers", header)
        .send()
}

/// R78, R79.
#[test]
fn cors_origins_of_one_is_that_one_and_nobody_else() {
    let (server, _) = started(&[("CORS_ORIGINS", LISTED)]);
    assert_eq!(allowed(&server, LISTED).as_deref(), Some(LISTED));
    for origin in [
        "http://localhost:3000",
        "null",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.com",
        "https://evil-app.example.com",
        "https://evilapp.example.com",
        "https://APP.example.com",
        "https://user@app.example.com",
        "https://app.example.com/",
        "https://app.example.com.",
        "https://app.example.comx",
        "*",
    ] {
        assert_eq!(allowed(&server, origin), None, "{origin}");
        let refused = preflight(&server, origin, "POST", "content-type");
        assert_eq!(refused.status, 400, "{origin}");
        assert!(refused.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{origin}");
    }
}

/// R77, R78.
#[test]
fn cors_origins_of_several_are_all_of_them_in_either_writing() {
    for list in
        ["https://app.example.com , http://localhost:5173,,", r#"["https://app.example.com", "http://localhost:5173"]"#]
    {
        let (server, _) = started(&[("CORS_ORIGINS", list)]);
        for origin in [LISTED, "http://localhost:5173"] {
            assert_eq!(allowed(&server, origin).as_deref(), Some(origin), "{list}");
            let answer = preflight(&server, origin, "PATCH", "authorization, x-api-key");
            assert_eq!(answer.status, 204);
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, PUT, PATCH, DELETE, OPTIONS"));
            let headers = "Authorization, Content-Type, X-API-Key, X-Requested-With, Accept";
            assert_eq!(answer.header("access-control-allow-headers"), Some(headers));
        }
        assert_eq!(allowed(&server, "http://localhost:3000"), None, "{list}");
        assert_eq!(preflight(&server, LISTED, "TRACE", "accept").status, 400);
        assert_eq!(preflight(&server, LISTED, "POST", "x-evil").status, 400);
    }
}

/// R80.
#[test]
fn cors_origins_that_could_never_match_or_match_everybody_are_refused_at_the_start() {
    for value in ["app.example.com", "https://app.example.com/path", "https://app.example.com/", "*"] {
        let output = Server::new(&[("CORS_ORIGINS", value)]).run(&["serve"], "");
        assert_eq!(output.status.code(), Some(1), "{value}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("CORS_ORIGINS"), "{value}");
    }
}

#[test]
fn cors_allow_credentials_false_says_nothing_of_credentials() {
    for (value, said) in [("true", Some("true")), ("false", None)] {
        let (server, _) = started(&[("CORS_ORIGINS", LISTED), ("CORS_ALLOW_CREDENTIALS", value)]);
        let answer = server.ask("GET", "/").with("Origin", LISTED).expect(200);
        assert_eq!(answer.header("access-control-allow-credentials"), said);
        let answer = preflight(&server, LISTED, "POST", "accept");
        assert_eq!(answer.header("access-control-allow-credentials"), said);
    }
    let (server, _) = started(&[("CORS_ORIGINS", "*"), ("CORS_ALLOW_CREDENTIALS", "false")]);
    assert_eq!(allowed(&server, "https://anybody.example").as_deref(), Some("*"));
}
