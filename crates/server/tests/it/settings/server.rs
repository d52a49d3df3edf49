//! Who the server says it is, where it listens, and what it shows.

use super::*;

#[test]
fn app_name_is_what_the_root_says() {
    let (server, _) = started(&[("APP_NAME", "Pinboard")]);
    assert_eq!(server.ask("GET", "/").expect(200).json()["message"], "Pinboard");
}

#[test]
fn app_version_is_what_admins_and_developers_see() {
    let (server, _) = started(&[("APP_VERSION", "17.4-custom"), ("DEBUG", "true")]);
    assert_eq!(server.ask("GET", "/").expect(200).json()["version"], "17.4-custom");
    for _ in 0..2 {
        assert_eq!(server.ask("GET", "/health").expect(200).json()["version"], "17.4-custom");
    }
}

#[test]
fn app_host_is_the_only_address_that_answers() {
    let mut server = Server::new(&[("APP_HOST", "127.0.0.9")]);
    server.host = "127.0.0.9".to_owned();
    server.start();
    server.ask("GET", "/").expect(200);
    server.host = "127.0.0.1".to_owned();
    assert!(server.ask("GET", "/").try_send().is_err(), "it listens on another address too");
}

#[test]
fn app_port_is_where_it_listens() {
    let port = crate::process::free_port();
    let mut server = Server::new(&[("APP_PORT", &port.to_string())]);
    server.port = port;
    server.start();
    server.ask("GET", "/").expect(200);
}

/// R99: whatever host is asked for, what is issued names the configured one.
#[test]
fn base_url_is_the_issuer_whatever_host_is_asked_for() {
    let (server, _) = started(&[("BASE_URL", "https://cms.example.net:8443/")]);
    let answer = server.sign_in(PASSWORD).host("evil.example").with("X-Forwarded-Host", "evil.example").expect(200);
    assert_eq!(claims(answer.json()["token"]["access_token"].as_str().unwrap())["iss"], "https://cms.example.net:8443");
    assert!(!String::from_utf8_lossy(&answer.body).contains("evil"));
}

/// R1, R71, R73.
#[test]
fn environment_production_hardens_without_any_further_switch() {
    for (environment, hardened) in [("development", false), ("staging", false), ("production", true)] {
        let mut server = Server::production(&[("ENVIRONMENT", environment)]);
        server.start();
        let root = server.ask("GET", "/").expect(200);
        assert_eq!(root.header("strict-transport-security").is_some(), hardened, "{environment}");
        let health = server.ask("GET", "/health").expect(200).json();
        assert_eq!(health.get("version").is_some(), environment == "development", "{environment}: {health}");
        server.ask("GET", "/docs").expect(404);
        let made = server.run(&["admin", "create", "root@example.com", "--password-stdin"], &format!("{PASSWORD}\n"));
        assert!(made.status.success(), "{made:?}");
        let body = json!({"email": "root@example.com", "password": PASSWORD, "cookie": true});
        let answer = server.ask("POST", "/api/v1/auth/login").json(&body).expect(200);
        let cookies: Vec<&String> =
            answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value).collect();
        assert!(!cookies.is_empty() && cookies.iter().all(|cookie| cookie.contains("; Secure") == hardened));
    }
}

/// R71; R72 is shown with the defects.
#[test]
fn debug_shows_the_documentation_and_is_refused_in_production() {
    for (debug, status) in [("true", 200), ("false", 404)] {
        let mut server = Server::new(&[("DEBUG", debug)]);
        server.start();
        for path in ["/docs", "/redoc", "/openapi.json"] {
            assert_eq!(server.ask("GET", path).status(), status, "DEBUG={debug} {path}");
        }
    }
    let server = Server::production(&[("DEBUG", "true")]);
    let output = server.run(&["serve"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("DEBUG"));
}

/// R99.
#[test]
fn allowed_hosts_are_the_hosts_that_are_served() {
    let (server, _) = started(&[("ALLOWED_HOSTS", "cms.example.com, other.example")]);
    for (host, status) in [
        ("cms.example.com", 200),
        ("CMS.example.com:8443", 200),
        ("other.example", 200),
        ("evil.example", 421),
        ("cms.example.com.evil.example", 421),
        ("xcms.example.com", 421),
    ] {
        assert_eq!(server.ask("GET", "/").host(host).status(), status, "{host}");
        server.ask("GET", "/health").host(host).expect(200);
    }
    server.ask("GET", "/").host("evil.example").refused(421, "misdirected_host");
}
