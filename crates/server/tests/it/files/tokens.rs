//! File tokens: one file, two minutes, as long as who had them made may view it.

use http::Method;
use serde_json::{Value, json};

use super::{FILES, download, fetch, fetch_as, path, protected, uploaded};
use crate::callers::{Admin, Calls, User, open};
use crate::product::{Product, text};

crate::on_both_engines!(
    a_token_opens_one_file_in_url_and_header,
    a_token_ends_with_its_time,
    a_token_is_refused_for_everything_else,
    a_token_ends_with_whatever_stood_behind_it,
    a_token_asks_the_view_rule_again,
    d_43_a_token_stands_in_no_log,
);

async fn token(caller: &impl Calls, file: &Value) -> String {
    let made = caller.call(Method::POST, &format!("{}/token", path(file)), None).await.expect(200).json();
    assert_eq!(made["expires_in"], 120);
    text(&made["token"])
}

fn with_token(file: &Value, token: &str) -> String {
    format!("{}/download?token={token}", path(file))
}

async fn a_token_opens_one_file_in_url_and_header(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let (one, other) = (protected(&ann).await, protected(&ann).await);
    let token = token(&ann, &one).await;
    let guest = product.guest();
    for answer in [
        fetch(&guest, &with_token(&one, &token), &[]).await,
        fetch(&guest, &format!("{}/download", path(&one)), &[("x-file-token", &token)]).await,
    ] {
        let answer = answer.expect(200);
        assert_eq!(answer.bytes, b"hello file");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    }
    let head = fetch_as(&guest, Method::HEAD, &with_token(&one, &token), &[]).await.expect(200);
    assert_eq!((head.bytes.len(), head.header("content-length")), (0, Some("10")));
    fetch(&guest, &with_token(&other, &token), &[]).await.refused(403, "invalid_file_token");
    // A token that was brought decides, whoever brings it and whatever the file.
    fetch(&ann, &with_token(&other, &token), &[]).await.refused(403, "invalid_file_token");
    fetch(&guest, &with_token(&uploaded(&ann).await, &token), &[]).await.refused(403, "invalid_file_token");
    fetch(&guest, &with_token(&one, ""), &[]).await.refused(403, "invalid_file_token");
    fetch(&guest, &with_token(&one, &token), &[("x-file-token", &token)]).await.refused(400, "multiple_credentials");
    let twice = [("x-file-token", token.as_str()), ("x-file-token", token.as_str())];
    fetch(&guest, &format!("{}/download", path(&one)), &twice).await.refused(400, "multiple_credentials");
    // Nor anywhere else, in a URL or as anything else.
    for route in [path(&one), format!("{}/token", path(&one)), FILES.to_owned(), "/api/v1/auth/me".to_owned()] {
        let answer = guest.get(&format!("{route}?token={token}")).await;
        answer.refused(400, "credential_in_url");
    }
    guest.delete(&with_token(&one, &token)).await.refused(400, "credential_in_url");
    let bearer = crate::callers::Bearer { product, token: token.clone() };
    bearer.get("/api/v1/auth/me").await.refused(401, "invalid_token");
    bearer.get(&format!("{}/download", path(&one))).await.refused(401, "invalid_token");
    admin.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await.refused(401, "invalid_refresh_token");
}

/// The leeway for clocks that differ is 60 s (contract 2.2).
async fn a_token_ends_with_its_time(product: &Product) {
    product.admin().await;
    let ann = product.user("ann").await;
    let file = protected(&ann).await;
    let token = token(&ann, &file).await;
    product.clock.advance_millis((120 + 60) * 1000 - 1);
    fetch(&product.guest(), &with_token(&file, &token), &[]).await.expect(200);
    product.clock.advance_millis(1);
    fetch(&product.guest(), &with_token(&file, &token), &[]).await.refused(403, "invalid_file_token");
}

async fn a_token_is_refused_for_everything_else(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let file = protected(&ann).await;
    let good = token(&ann, &file).await;
    let mut parts: Vec<&str> = good.split('.').collect();
    let other = if parts[2].starts_with('A') { 'B' } else { 'A' };
    let flipped = format!("{}.{}.{other}{}", parts[0], parts[1], &parts[2][1..]);
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    let cut = good[..good.len() - 10].to_owned();
    parts.push("x");
    let longer = parts.join(".");
    let refresh = text(&ann.tokens["refresh_token"]);
    let huge = "a".repeat(9 * 1024);
    for bad in [
        &ann.token,
        &admin.token,
        &refresh,
        &flipped,
        &unsigned,
        &cut,
        &longer,
        &huge,
        &"x".to_owned(),
        &"%00".to_owned(),
    ] {
        fetch(&product.guest(), &with_token(&file, bad), &[]).await.refused(403, "invalid_file_token");
        if bad != "%00" {
            let path = format!("{}/download", path(&file));
            fetch(&product.guest(), &path, &[("x-file-token", bad)]).await.refused(403, "invalid_file_token");
        }
    }
    // Another key, and another issuer.
    let stranger = product.with(&[("SECRET_KEY", "0123456789abcdef-another-key-altogether-0123456789")]).await;
    fetch(&stranger.guest(), &with_token(&file, &good), &[]).await.refused(403, "invalid_file_token");
    let elsewhere = product.with(&[("BASE_URL", "http://elsewhere.example")]).await;
    fetch(&elsewhere.guest(), &with_token(&file, &good), &[]).await.refused(403, "invalid_file_token");
    let rotated = product
        .with(&[
            ("SECRET_KEY", "0123456789abcdef-another-key-altogether-0123456789"),
            ("SECRET_KEY_PREVIOUS", crate::process::SECRET),
        ])
        .await;
    fetch(&rotated.guest(), &with_token(&file, &good), &[]).await.expect(200);
}

/// Something that ends a token.
type End = for<'a> fn(&'a Admin<'_>, &'a User<'_>, &'a Value) -> futures_util::future::LocalBoxFuture<'a, ()>;

async fn a_token_ends_with_whatever_stood_behind_it(product: &Product) {
    let admin = product.admin().await;
    let ends: [(&str, End, u16); 6] = [
        (
            "the file is deleted",
            |_, user, file| Box::pin(async move { drop(user.delete(&path(file)).await.expect(204)) }),
            404,
        ),
        (
            "signed out",
            |_, user, _| Box::pin(async move { drop(user.post("/api/v1/auth/logout", &json!({})).await.expect(204)) }),
            403,
        ),
        (
            "suspended",
            |admin, user, _| {
                Box::pin(async move {
                    let path = format!("/api/v1/admin/users/{}", user.id);
                    admin.patch(&path, &json!({"disabled": true})).await.expect(200);
                })
            },
            403,
        ),
        (
            "another role",
            |admin, user, _| {
                Box::pin(async move {
                    let path = format!("/api/v1/admin/users/{}/role?role=admin", user.id);
                    admin.call(Method::PATCH, &path, None).await.expect(200);
                })
            },
            403,
        ),
        (
            "the account is deleted",
            |admin, user, _| {
                Box::pin(
                    async move { drop(admin.delete(&format!("/api/v1/admin/users/{}", user.id)).await.expect(204)) },
                )
            },
            403,
        ),
        (
            "signed out everywhere",
            |_, user, _| {
                Box::pin(async move { drop(user.post("/api/v1/auth/logout-all", &json!({})).await.expect(204)) })
            },
            403,
        ),
    ];
    for (at, (what, end, wanted)) in ends.into_iter().enumerate() {
        let user = product.user(&format!("user{at}")).await;
        let file = protected(&user).await;
        let token = token(&user, &file).await;
        fetch(&product.guest(), &with_token(&file, &token), &[]).await.expect(200);
        end(&admin, &user, &file).await;
        let answer = fetch(&product.guest(), &with_token(&file, &token), &[]).await;
        assert_eq!(answer.status.as_u16(), wanted, "{what}");
        assert_eq!(answer.code(), if wanted == 403 { "invalid_file_token" } else { "not_found" }, "{what}");
    }
}

async fn a_token_asks_the_view_rule_again(product: &Product) {
    let admin = product.admin().await;
    let (ann, bob) = (product.user("ann").await, product.user("bob").await);
    let schema = json!([{"name": "reader", "type": "text"}, {"name": "docs", "type": "file", "file": {"mime_types": ["text/plain"]}}]);
    let mut posts = open("posts", &schema);
    posts["view_rule"] = json!("reader = @request.auth.id");
    admin.collection(&posts).await;
    let file = protected(&ann).await;
    let post = ann.make("posts", &json!({"reader": bob.id, "docs": [file["id"]]})).await;
    let token = token(&bob, &file).await;
    fetch(&product.guest(), &with_token(&file, &token), &[]).await.expect(200);
    ann.change("posts", &post["id"], &json!({"reader": ann.id})).await.expect(200);
    fetch(&product.guest(), &with_token(&file, &token), &[]).await.refused(403, "invalid_file_token");
    // Nor does it help who may not view it, and whoever may needs none.
    fetch(&bob, &with_token(&file, &token), &[]).await.refused(403, "invalid_file_token");
    download(&ann, &file).await.expect(200);
}

/// D-43, R70: the value appears in no row of the request log. The log's lines carry no query at all.
async fn d_43_a_token_stands_in_no_log(product: &Product) {
    let admin = product.admin().await;
    let ann = product.user("ann").await;
    let file = protected(&ann).await;
    let token = token(&ann, &file).await;
    fetch(&product.guest(), &with_token(&file, &token), &[]).await.expect(200);
    fetch(&product.guest(), &with_token(&file, &format!("{token}x")), &[]).await.expect(403);
    fastcms_core::request_log::flush(&fastcms_core::Caller::background(), &product.app).await;
    let rows = admin.get("/api/v1/logs?limit=1000").await.expect(200);
    let rows = String::from_utf8(rows.bytes).unwrap();
    assert!(rows.contains("/download?token="), "{rows}");
    for part in token.split('.').skip(1) {
        assert!(!rows.contains(part), "{rows}");
    }
}
