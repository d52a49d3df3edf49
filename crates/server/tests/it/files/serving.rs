//! How bytes are served: ranges, conditions, and headers under which nothing in them can act.

use http::Method;
use serde_json::Value;

use super::{FILES, download, fetch, fetch_as, file, path, png, protected, upload};
use crate::callers::Calls;
use crate::product::{Answer, Product};

crate::on_both_engines!(
    ranges_are_served_byte_by_byte,
    every_answer_about_a_file_is_inert,
    cve_2022_27952_what_a_browser_would_run_is_never_inline,
    a_name_cannot_leave_its_header,
    bytes_may_have_an_origin_of_their_own,
);

async fn ranges_are_served_byte_by_byte(product: &Product) {
    let admin = product.admin().await;
    let content: Vec<u8> = (0..200_000_u32).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect();
    let made = upload(&admin, &[file("a.txt", "text/plain", &content)]).await.expect(201).json();
    let path = format!("{}/download", path(&made));
    let size = content.len();
    for (range, status, from, to) in [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=0-99", 206, 0, 100),
        ("bytes=65530-131080", 206, 65_530, 131_081),
        ("bytes=199999-", 206, 199_999, size),
        ("bytes=-5", 206, size - 5, size),
        ("bytes=100-999999", 206, 100, size),
        ("bytes=0-1,3-4", 200, 0, size),
        ("bytes=5-1", 200, 0, size),
        ("elephants=0-1", 200, 0, size),
        ("bytes=200000-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ] {
        let answer = fetch(&product.guest(), &path, &[("range", range)]).await;
        assert_eq!(answer.status.as_u16(), status, "{range}");
        assert_eq!(answer.header("accept-ranges"), Some("bytes"), "{range}");
        match status {
            206 => {
                let said = format!("bytes {from}-{}/{size}", to - 1);
                assert_eq!(answer.header("content-range"), Some(said.as_str()));
                assert_eq!(answer.header("content-length"), Some((to - from).to_string().as_str()));
                assert!(answer.bytes == content[from..to], "{range}");
            }
            416 => {
                assert_eq!(
                    (answer.code().as_str(), answer.header("content-range")),
                    ("range_not_satisfiable", Some("bytes */200000"))
                );
            }
            _ => assert!(answer.bytes == content && answer.header("content-range").is_none(), "{range}"),
        }
    }
    let whole = fetch(&product.guest(), &path, &[]).await.expect(200);
    let (etag, modified) =
        (whole.header("etag").unwrap().to_owned(), whole.header("last-modified").unwrap().to_owned());
    let fresh = fetch(&product.guest(), &path, &[("if-none-match", &etag), ("range", "bytes=0-1")]).await.expect(304);
    assert!(fresh.bytes.is_empty() && fresh.header("etag") == Some(etag.as_str()));
    fetch(&product.guest(), &path, &[("if-modified-since", &modified)]).await.expect(304);
    fetch(&product.guest(), &path, &[("if-range", &etag), ("range", "bytes=0-1")]).await.expect(206);
    fetch(&product.guest(), &path, &[("if-range", "\"old\""), ("range", "bytes=0-1")]).await.expect(200);
    let head = fetch_as(&product.guest(), Method::HEAD, &path, &[("range", "bytes=0-1")]).await.expect(200);
    assert_eq!((head.bytes.len(), head.header("content-length")), (0, Some("200000")));
    let empty = upload(&admin, &[file("a.txt", "text/plain", b"")]).await.expect(201).json();
    assert!(download(&product.guest(), &empty).await.expect(200).bytes.is_empty());
    // Nobody may know from a condition what they may not have.
    let closed = protected(&admin).await;
    let closed = format!("{FILES}/{}/download", closed["id"].as_str().unwrap());
    for header in [("if-none-match", "*"), ("range", "bytes=0-0"), ("range", "bytes=999999-")] {
        fetch(&product.guest(), &closed, &[header]).await.refused(403, "file_protected");
    }
}

/// The headers of contract 8 and R139, whatever the status.
fn assert_inert(answer: &Answer, what: &str) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{what}: {name}");
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{what}: {name}");
    }
    let about_a_file = matches!(answer.status.as_u16(), 200 | 206 | 304 | 416);
    let policy =
        if about_a_file { "sandbox; default-src 'none'" } else { "default-src 'none'; frame-ancestors 'none'" };
    assert_eq!(answer.header("content-security-policy"), Some(policy), "{what}");
    let kept = if about_a_file { "private, no-store" } else { "no-store, no-cache, must-revalidate, private" };
    assert_eq!(answer.header("cache-control"), Some(kept), "{what}");
    if about_a_file {
        assert!(answer.header("content-disposition").is_some() && answer.header("etag").is_some(), "{what}");
    }
}

async fn every_answer_about_a_file_is_inert(product: &Product) {
    let admin = product.admin().await;
    let text = upload(&admin, &[file("a.txt", "text/plain", b"hello")]).await.expect(201).json();
    let content = png(200, 100);
    let picture = upload(&admin, &[file("a.png", "image/png", &content)]).await.expect(201).json();
    let closed = protected(&admin).await;
    let etag = download(&admin, &text).await.header("etag").unwrap().to_owned();
    let of = |file: &Value, query: &str| format!("{}/download{query}", path(file));
    for (at, headers, status) in [
        (of(&text, ""), vec![], 200),
        (of(&text, ""), vec![("range", "bytes=0-1")], 206),
        (of(&text, ""), vec![("range", "bytes=9-")], 416),
        (of(&text, ""), vec![("if-none-match", etag.as_str())], 304),
        (of(&text, "?thumb=100x100"), vec![], 400),
        (of(&picture, ""), vec![], 200),
        (of(&picture, "?thumb=100x100"), vec![], 200),
        (of(&picture, "?thumb=100x100"), vec![("range", "bytes=0-1")], 206),
        (of(&picture, "?thumb=5000x5000"), vec![], 400),
        (of(&closed, ""), vec![], 403),
        (of(&closed, "?token=x"), vec![], 403),
        (format!("{FILES}/018f0000-0000-7000-8000-000000000000/download"), vec![], 404),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = fetch_as(&product.guest(), method.clone(), &at, &headers).await;
            // A range is asked of GET alone.
            let wanted = if method == Method::HEAD && matches!(status, 206 | 416) { 200 } else { status };
            assert_eq!(answer.status.as_u16(), wanted, "{method} {at}");
            assert_inert(&answer, &format!("{method} {at} {headers:?}"));
            assert!(method == Method::GET || answer.bytes.is_empty());
        }
    }
    let inline = |answer: Answer| answer.header("content-disposition").unwrap().starts_with("inline");
    assert!(inline(download(&admin, &picture).await));
    assert!(!inline(download(&admin, &text).await));
    let thumb = fetch(&admin, &of(&picture, "?thumb=100x100"), &[]).await;
    assert_eq!(thumb.header("content-type"), Some("image/jpeg"));
    assert_eq!(thumb.header("content-disposition"), Some("inline; filename=\"a.jpg\""));
}

/// SVG, HTML and XML are refused; where an operator takes them, they come as nothing in particular, never inline.
async fn cve_2022_27952_what_a_browser_would_run_is_never_inline(product: &Product) {
    let admin = product.admin().await;
    let active = [
        ("a.svg", "image/svg+xml", &b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"[..]),
        ("a.html", "text/html", b"<html><script>alert(1)</script></html>"),
        (
            "a.xml",
            "text/xml",
            b"<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
        ),
    ];
    for (name, media_type, content) in active {
        upload(&admin, &[file(name, media_type, content)]).await.refused(422, "validation_failed");
    }
    let lax =
        product.with(&[("ALLOWED_FILE_TYPES", "image/svg+xml,text/html,text/xml,application/octet-stream")]).await;
    let admin = crate::callers::Bearer { product: &lax, token: admin.token.clone() };
    for (name, media_type, content) in active {
        let made = upload(&admin, &[file(name, media_type, content)]).await.expect(201).json();
        assert_eq!(made["mime_type"], media_type);
        let answer = download(&lax.guest(), &made).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"), "{name}");
        assert!(answer.header("content-disposition").unwrap().starts_with("attachment;"), "{name}");
        assert_inert(&answer, name);
    }
    let polyglot = [&png(10, 10)[..], b"<script>alert(1)</script>"].concat();
    let made = upload(&admin, &[file("a.png", "image/png", &polyglot)]).await.expect(201).json();
    assert_eq!(made["mime_type"], "application/octet-stream");
    let answer = download(&lax.guest(), &made).await.expect(200);
    assert!(answer.header("content-disposition").unwrap().starts_with("attachment;"));
}

/// D-25, R140.
async fn a_name_cannot_leave_its_header(product: &Product) {
    let admin = product.admin().await;
    for (sent, kept, header) in [
        ("../../evil.txt", "evil.txt", "attachment; filename=\"evil.txt\""),
        ("..\\..\\evil.txt", "evil.txt", "attachment; filename=\"evil.txt\""),
        ("CON.txt", "_CON.txt", "attachment; filename=\"_CON.txt\""),
        ("a\"; filename=\"b.txt", "a_; filename=_b.txt", "attachment; filename=\"a_; filename=_b.txt\""),
        ("ü.txt", "ü.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
        ("a\u{202e}b.txt", "ab.txt", "attachment; filename=\"ab.txt\""),
        ("50%.txt", "50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
    ] {
        let made = upload(&admin, &[file(sent, "text/plain", b"x")]).await.expect(201).json();
        assert_eq!(made["original_filename"], kept);
        assert_eq!(download(&admin, &made).await.header("content-disposition"), Some(header), "{sent}");
    }
    let long = format!("{}.txt", "n".repeat(5_000));
    let made = upload(&admin, &[file(&long, "text/plain", b"x")]).await.expect(201).json();
    assert_eq!(made["original_filename"].as_str().unwrap().len(), 255);
    upload(&admin, &[file("../../evil.html", "text/plain", b"x")]).await.refused(422, "validation_failed");
}

async fn bytes_may_have_an_origin_of_their_own(product: &Product) {
    let admin = product.admin().await;
    let apart = product.with(&[("FILES_ORIGIN", "https://files.example"), ("ALLOWED_HOSTS", "cms.example")]).await;
    let admin = crate::callers::Bearer { product: &apart, token: admin.token.clone() };
    let content = png(20, 20);
    let made = {
        let mut request =
            super::posting(admin.token(), axum::body::Body::from(super::form(&[file("a.png", "image/png", &content)])));
        request.headers_mut().insert("host", "cms.example".parse().unwrap());
        apart.send(request).await.expect(201).json()
    };
    let path = path(&made);
    assert_eq!(made["url"], format!("https://files.example{path}/download"));
    let at = |host: &'static str, path: String| {
        let request = http::Request::get(path).header("host", host).body(axum::body::Body::empty()).unwrap();
        apart.send(request)
    };
    let own = at("files.example", format!("{path}/download")).await.expect(200);
    assert!(own.header("content-disposition").unwrap().starts_with("inline;"));
    assert_eq!(own.header("cross-origin-resource-policy"), Some("cross-origin"));
    let beside = at("cms.example", format!("{path}/download")).await.expect(200);
    assert!(beside.header("content-disposition").unwrap().starts_with("attachment;"));
    assert_eq!(beside.header("cross-origin-resource-policy"), Some("same-origin"));
    for elsewhere in ["/api/v1/auth/me", "/", "/api/v1/files", "/setup", "/nothing"] {
        at("files.example", elsewhere.to_owned()).await.refused(421, "misdirected_host");
    }
    at("files.example", path.clone()).await.refused(421, "misdirected_host");
    at("other.example", format!("{path}/download")).await.refused(421, "misdirected_host");
    at("files.example", "/health".to_owned()).await.expect(200);
}
