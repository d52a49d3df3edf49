//! What cookies say of themselves where, and that the log says nothing of them.

use super::*;

on_both_engines!(
    production_marks_cookies_secure,
    https_at_a_trusted_proxy_marks_cookies_secure,
    the_host_prefix_replaces_the_name,
);

async fn production_marks_cookies_secure(product: &Product) {
    product.admin().await;
    let node = product.with(&PRODUCTION).await;
    let answer = node.guest().post(LOGIN, &credentials("root", true)).await.expect(200);
    let set = answer.header("set-cookie").unwrap().to_owned();
    assert!(set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"), "{set}");
    let root = Browser { product: &node, cookie: set.split(';').next().unwrap().to_owned() };
    let cookie = ("cookie", root.cookie.as_str());
    let path = "/api/v1/auth/me";
    let name = json!({"name": "Root"});
    for (origin, status) in
        [("https://cms.example.com", 200), ("https://app.example.com", 403), ("http://cms.example.com", 403)]
    {
        send(&node, Method::PATCH, path, Some(&name), &[cookie, ("origin", origin)]).await.expect(status);
    }
    let stale = root.post(LOGOUT, &json!({})).await.expect(204);
    assert_eq!(stale.header("set-cookie"), Some(format!("{CLEARED}; Secure").as_str()));
    node.close().await;
}

async fn https_at_a_trusted_proxy_marks_cookies_secure(product: &Product) {
    product.admin().await;
    let node = product.with(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    for (forwarded, secure) in [("https", true), ("http", false)] {
        let headers = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", forwarded)];
        let answer = send(&node, Method::POST, LOGIN, Some(&credentials("root", true)), &headers).await.expect(200);
        assert_eq!(answer.header("set-cookie").unwrap().ends_with("; Secure"), secure, "{forwarded}");
        let stale = [headers[0], headers[1], ("cookie", "fastcms_session=x")];
        let answer = send(&node, Method::GET, "/health", None, &stale).await.expect(200);
        assert_eq!(answer.header("set-cookie").unwrap().ends_with("; Secure"), secure, "{forwarded}");
    }
    // Nobody else's word counts.
    let headers = [("x-forwarded-proto", "https")];
    let answer = send(product, Method::POST, LOGIN, Some(&credentials("root", true)), &headers).await.expect(200);
    assert!(!answer.header("set-cookie").unwrap().contains("Secure"));
    node.close().await;
}

/// R85.
async fn the_host_prefix_replaces_the_name(product: &Product) {
    product.admin().await;
    for settings in [&PRODUCTION[..], &[]] {
        let settings = [settings, &[("COOKIE_HOST_PREFIX", "true")]].concat();
        let node = product.with(&settings).await;
        let root = browser(&node, "root").await;
        let value = root.cookie.strip_prefix("__Host-fastcms_session=").unwrap();
        root.get(ME).await.expect(200);
        // The plain name means nothing here, so that planting one is of no use; it is not answered either.
        let plain = format!("fastcms_session={value}");
        let answer = send(&node, Method::GET, ME, None, &[("cookie", plain.as_str())]).await;
        assert_eq!(answer.header("set-cookie"), None);
        answer.refused(401, "authentication_required");
        let both = format!("fastcms_session={PLANTED}; {}", root.cookie);
        send(&node, Method::GET, ME, None, &[("cookie", both.as_str())]).await.expect(200);
        let answer = root.post(LOGOUT, &json!({})).await.expect(204);
        let cleared = answer.header("set-cookie").unwrap();
        assert!(cleared.starts_with("__Host-fastcms_session=; Path=/; Max-Age=0;"), "{cleared}");
        assert!(cleared.ends_with("; Secure"), "{cleared}");
        node.close().await;
    }
}

/// Whatever becomes of the request, and however much is logged.
#[test]
fn a_cookie_value_is_in_no_line_of_the_log() {
    let mut server = Server::new(&[("LOG_LEVEL", "DEBUG"), ("DEBUG", "true")]);
    server.start();
    server.set_up();
    let host = format!("127.0.0.1:{}", server.port);
    let call = |method: &str, path: &str, extra: &str, body: &str| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        );
        let request = format!("{head}{extra}Content-Length: {}\r\n\r\n{body}", body.len());
        server.raw(request.as_bytes()).unwrap()
    };
    let login = call("POST", LOGIN, "", &credentials("root", true).to_string());
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap();
    let value = cookie.strip_prefix("fastcms_session=").unwrap();
    let sent = format!("Cookie: {cookie}\r\n");
    assert_eq!(call("GET", ME, &sent, "").status, 200);
    assert_eq!(call("GET", "/nothing", &sent, "").status, 404);
    assert_eq!(call("GET", ME, &format!("{sent}{sent}"), "").status, 400);
    assert_eq!(call("POST", LOGOUT, &sent, "").status, 403);
    let own = format!("{sent}Sec-Fetch-Site: same-origin\r\n");
    assert_eq!(call("POST", LOGIN, &own, "{").status, 422);
    assert_eq!(call("POST", LOGOUT, &own, "{}").status, 204);
    assert_eq!(call("GET", ME, &sent, "").status, 401);
    server.terminate();
    let log = server.log();
    assert!(log.contains(ME), "nothing was logged");
    assert!(!log.contains(value), "{log}");
}
