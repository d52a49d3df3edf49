//! Claims about origins and policies.

use super::*;

fn policy(list: &str) -> CorsPolicy {
    CorsPolicy::new(list.split(','), true).unwrap()
}

#[test]
fn an_origin_is_what_a_browser_sends() {
    for text in [
        "https://app.example",
        "http://localhost:3000",
        "https://app.example:8443",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "https://[2001:db8::1]",
        "capacitor://localhost",
        "https://xn--bcher-kva.example",
        "http://my_host",
    ] {
        assert_eq!(Origin::parse(text).unwrap().as_str(), text);
    }
    let origin = Origin::parse("http://[::1]:8000").unwrap();
    assert_eq!((origin.scheme(), origin.host()), ("http", "[::1]"));
}

#[test]
fn what_a_browser_never_sends_is_no_origin() {
    for (text, fault) in [
        ("", BadOrigin::Scheme),
        ("null", BadOrigin::Scheme),
        ("app.example", BadOrigin::Scheme),
        ("//app.example", BadOrigin::Scheme),
        ("://app.example", BadOrigin::Scheme),
        ("1ttp://app.example", BadOrigin::Scheme),
        ("https:app.example", BadOrigin::Scheme),
        ("https://app.example/", BadOrigin::Path),
        ("https://app.example/path", BadOrigin::Path),
        ("https://app.example?q", BadOrigin::Path),
        ("https://app.example#f", BadOrigin::Path),
        ("https://app.example\\x", BadOrigin::Path),
        ("https://user@app.example", BadOrigin::UserInfo),
        ("HTTPS://app.example", BadOrigin::UpperCase),
        ("https://App.example", BadOrigin::UpperCase),
        ("https://", BadOrigin::Host),
        ("https://*.app.example", BadOrigin::Host),
        ("https://app..example", BadOrigin::Host),
        ("https://app.example.", BadOrigin::Host),
        ("https://bücher.example", BadOrigin::Host),
        ("https://app example", BadOrigin::Host),
        ("https://1.2.3", BadOrigin::Host),
        ("https://1.2.3.256", BadOrigin::Host),
        ("https://[::g]", BadOrigin::Host),
        ("https://::1", BadOrigin::Host),
        ("https://app.example:", BadOrigin::Port),
        ("https://app.example:0", BadOrigin::Port),
        ("https://app.example:65536", BadOrigin::Port),
        ("https://app.example:+80", BadOrigin::Port),
        ("https://app.example:x", BadOrigin::Port),
        ("https://app.example:443", BadOrigin::DefaultPort),
        ("http://app.example:80", BadOrigin::DefaultPort),
    ] {
        assert_eq!(Origin::parse(text), Err(fault), "{text:?}");
    }
}

#[test]
fn any_origin_with_credentials_is_no_policy() {
    assert_eq!(CorsPolicy::new(["*"], true), Err(CorsError::AnyWithCredentials));
    assert_eq!(CorsPolicy::new(["https://a.example", " * "], true), Err(CorsError::AnyWithCredentials));
    let any = CorsPolicy::new(["*"], false).unwrap();
    assert!(any.allows_any());
    assert_eq!(any.allow_origin("https://x.example"), Some(Allowed { origin: "*", credentials: false }));
}

#[test]
fn a_malformed_item_is_named() {
    let fault = CorsPolicy::new(["https://a.example", "https://b.example/"], true).unwrap_err();
    assert_eq!(fault.to_string(), "`https://b.example/` is no origin: leave out the path and any trailing slash");
}

#[test]
fn blanks_and_empty_items_of_a_list_do_not_matter() {
    let policy = policy(" https://a.example , https://b.example,,https://a.example");
    assert_eq!(
        policy.origins().iter().map(Origin::as_str).collect::<Vec<_>>(),
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn only_a_listed_origin_is_echoed() {
    let policy = policy("https://your-app.com,http://localhost:3000");
    for origin in ["https://your-app.com", "http://localhost:3000"] {
        assert_eq!(policy.allow_origin(origin), Some(Allowed { origin, credentials: true }));
    }
    for origin in [
        "",
        "*",
        "null",
        "http://your-app.com",
        "https://your-app.com:443",
        "https://your-app.com:8443",
        "https://your-app.com.evil.com",
        "https://evil-your-app.com",
        "https://evil.com/https://your-app.com",
        "https://YOUR-APP.com",
        "HTTPS://your-app.com",
        "https://your-app.com/",
        "https://your-app.com@evil.com",
        "https://user@your-app.com",
        "https://your-app.com, https://evil.com",
        " https://your-app.com",
        "https://your-app.com.",
        "http://localhost:3001",
        "http://localhost",
    ] {
        assert_eq!(policy.allow_origin(origin), None, "{origin:?}");
    }
}

#[test]
fn a_preflight_allows_the_methods_and_headers_of_the_contract_and_no_others() {
    let policy = policy("https://a.example");
    let ask = |method, headers: &[&str]| policy.preflight("https://a.example", method, headers.iter().copied());
    let allowed = Preflight::Allowed(Allowed { origin: "https://a.example", credentials: true });
    for method in ALLOW_METHODS.split(", ") {
        assert_eq!(ask(method, &[ALLOW_HEADERS]), allowed);
    }
    assert_eq!(ask("POST", &["authorization,content-type", "x-api-key"]), allowed);
    assert_eq!(ask("POST", &[]), allowed);
    assert_eq!(ask("POST", &[""]), allowed);
    for method in ["TRACE", "CONNECT", "HEAD", "get", "", "GET, POST", "*"] {
        assert_eq!(ask(method, &[]), Preflight::Refused(Refusal::Method), "{method:?}");
    }
    for headers in ["X-Evil", "Content-Type, X-Evil", "X-File-Token", "*", "accept authorization"] {
        assert_eq!(ask("GET", &[headers]), Preflight::Refused(Refusal::Header), "{headers:?}");
    }
    assert_eq!(policy.preflight("https://b.example", "GET", []), Preflight::Refused(Refusal::Origin));
    assert_eq!(Refusal::Header.as_str(), "header");
}

#[test]
fn the_lists_shown_are_the_lists_checked() {
    assert_eq!(ALLOW_METHODS, METHODS.join(", "));
    assert_eq!(ALLOW_HEADERS.to_ascii_lowercase(), HEADERS.join(", "));
}

#[test]
fn an_upgrade_needs_the_own_origin_or_a_listed_one() {
    let policy = policy("https://a.example");
    let own = Origin::parse("https://cms.example").unwrap();
    assert!(policy.permits_upgrade("https://a.example", Some(&own)));
    assert!(policy.permits_upgrade("https://cms.example", Some(&own)));
    assert!(!policy.permits_upgrade("https://cms.example", None));
    assert!(!policy.permits_upgrade("null", Some(&own)));
}
