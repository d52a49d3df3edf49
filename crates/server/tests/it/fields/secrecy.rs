//! What is hidden stays inside, on every way out (contract 7.1, 7.3).

use serde_json::json;

use crate::callers::{COLLECTIONS, Calls, call, open, record, records, with_query};
use crate::on_both_engines;
use crate::process::PASSWORD;
use crate::product::{Product, text};

on_both_engines!(hidden_fields_never_leave_the_server, a_password_is_hashed_and_never_shown,);

/// D-10: hidden is hidden from everybody, on every way out, and can be written by whoever may write.
async fn hidden_fields_never_leave_the_server(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    admin.collection(&open("things", &json!([
        {"name": "shown", "type": "text"}, {"name": "veiled", "type": "text", "hidden": true}, {"name": "number", "type": "number", "hidden": true},
    ]))).await;
    let made = guest.make("things", &json!({"shown": "s", "veiled": "hidden-marker", "number": 987_654})).await;
    let changed = guest
        .change("things", &made["id"], &json!({"veiled": "hidden-marker-2", "number+": 1}))
        .await
        .expect(200)
        .json();
    assert_eq!((&made["data"], &changed["data"]), (&json!({"shown": "s"}), &json!({"shown": "s"})));
    let user = product.user("reader").await;
    for token in [None, Some(user.token.clone()), Some(admin.token.clone())] {
        let get = |path: String| {
            let token = token.as_deref();
            async move { call(product, token, http::Method::GET, &path, None).await }
        };
        for path in [records("things"), record("things", &made["id"])] {
            let body = get(path).await.expect(200);
            let body = String::from_utf8(body.bytes).unwrap();
            assert!(!body.contains("hidden-marker") && !body.contains("98765") && !body.contains("veiled"), "{body}");
        }
        for (name, value, code) in [
            ("filter", "veiled = 'hidden-marker-2'", "invalid_filter"),
            ("filter", "veiled != null", "invalid_filter"),
            ("filter", "shown = 's' && !(number > 5)", "invalid_filter"),
            ("filter", "veiled:length > 1", "invalid_filter"),
            ("sort", "veiled", "invalid_sort"),
            ("sort", "shown,-number", "invalid_sort"),
            ("fields", "veiled", "invalid_fields"),
            ("fields", "veiled:upper", "invalid_fields"),
        ] {
            get(with_query(&records("things"), &[(name, value)])).await.refused(400, code);
        }
        let found = get(with_query(&records("things"), &[("search", "marker")])).await.expect(200).json();
        assert_eq!(found["total"], 0);
    }
    let conflict = guest.create("things", &json!({"veiled": 5})).await.refused(422, "validation_failed").json();
    assert_eq!(conflict["details"], json!({"veiled": "Must be a string"}));
}

/// D-10: on every write path, and on no way out.
async fn a_password_is_hashed_and_never_shown(product: &Product) {
    let admin = product.admin().await;
    let guest = product.guest();
    let mut members = open("members", &json!([{"name": "nick", "type": "text"}]));
    members["type"] = json!("auth");
    admin.collection(&members).await;
    let made = guest.make("members", &json!({"email": "m@example.com", "password": PASSWORD, "nick": "m"})).await;
    let login = |password: &'static str| async move {
        let body = json!({"email": "m@example.com", "password": password});
        product.guest().post(&format!("{COLLECTIONS}/members/auth/login"), &body).await
    };
    let entered = login(PASSWORD).await.expect(200);
    let changed = admin.change("members", &made["id"], &json!({"password": "Another-Horse8-staple"})).await.expect(200);
    login(PASSWORD).await.refused(401, "invalid_credentials");
    login("Another-Horse8-staple").await.expect(200);
    let got = admin.get(&record("members", &made["id"])).await.expect(200);
    let listed = admin.list("members", &[]).await.expect(200);
    for answer in [entered, changed, got, listed] {
        let body = String::from_utf8(answer.bytes).unwrap();
        assert!(!body.contains("password") && !body.contains("argon2") && !body.contains("Horse"), "{body}");
    }
    assert!(made["data"].get("password").is_none(), "{made}");
    for (name, value, code) in [
        ("filter", "password ~ 'argon2'", "invalid_filter"),
        ("filter", "password != null", "invalid_filter"),
        ("sort", "password", "invalid_sort"),
        ("fields", "password", "invalid_fields"),
    ] {
        for answer in [guest.list("members", &[(name, value)]).await, admin.list("members", &[(name, value)]).await] {
            answer.refused(400, code);
        }
    }
    assert_eq!(admin.list("members", &[("search", "argon2")]).await.expect(200).json()["total"], 0);
    for (weak, path) in [
        (json!({"email": "n@example.com", "password": "short"}), None),
        (json!({"password": "P@ssw0rd123!"}), Some(&made["id"])),
    ] {
        let answer = match path {
            None => guest.create("members", &weak).await,
            Some(id) => admin.change("members", id, &weak).await,
        };
        assert!(answer.refused(422, "password_policy").json()["details"]["password"].is_string());
    }
    assert_eq!(text(&made["data"]["nick"]), "m");
}
